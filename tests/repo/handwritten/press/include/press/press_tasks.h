/* The tasks of written:press. */
#ifndef WRITTEN_PRESS_TASKS_H_
#define WRITTEN_PRESS_TASKS_H_

#include "chimaera/chimaera.h"
#include "press_methods.h"

namespace written::press {

/** A range of blocks. */
struct Extent {
  chi::u64 start_;
  chi::u32 blocks_;
  chi::u32 reserved_;
};

/** A named range. */
struct Entry {
  hipc::string name_;
  Extent extent_{};
  hipc::vector<chi::f32> weights_;

  Entry() = default;
  explicit Entry(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : name_(alloc), weights_(alloc) {}
};

/** Changes every field. */
struct TurnTask : public chi::Task {
  INOUT hipc::string text_;
  INOUT hipc::vector<hipc::string> words_;
  INOUT hipc::vector<Extent> extents_;
  INOUT Entry entry_;
  INOUT hipc::vector<Entry> entries_;
  INOUT chi::u64 total_ = 0;

  /** SHM default constructor */
  explicit TurnTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc),
        text_(alloc),
        words_(alloc),
        extents_(alloc),
        entry_(alloc),
        entries_(alloc) {}

  /** Emplace constructor */
  template <typename Fill>
  TurnTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
           const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : TurnTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kTurn;
    dom_query_ = dom_query;
    fill(*this);
  }
};

/** Fails. */
struct FailTask : public chi::Task {
  IN chi::u32 thrown_ = 0;
  chi::u32 reserved_ = 0;
  IN hipc::string why_;

  /** SHM default constructor */
  explicit FailTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc), why_(alloc) {}

  /** Emplace constructor */
  template <typename Fill>
  FailTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
           const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : FailTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kFail;
    dom_query_ = dom_query;
    fill(*this);
  }
};

/** Has the Rust module turn a text. */
struct RelayTask : public chi::Task {
  IN hipc::string store_;
  IN hipc::string text_;
  IN chi::u32 width_ = 0;
  chi::u32 reserved_ = 0;
  IN hipc::string why_;
  OUT hipc::vector<hipc::string> answers_;

  /** SHM default constructor */
  explicit RelayTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), store_(alloc), text_(alloc), why_(alloc), answers_(alloc) {}

  /** Emplace constructor */
  template <typename Fill>
  RelayTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
            const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : RelayTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kRelay;
    dom_query_ = dom_query;
    fill(*this);
  }
};

}  // namespace written::press

#endif  // WRITTEN_PRESS_TASKS_H_
