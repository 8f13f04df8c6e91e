// clang-format off
/* The tasks of client/src/tasks.rs of written:loom. Generated from chimaera_mod.yaml; do not edit. */
#ifndef WRITTEN_LOOM_TASKS_H_
#define WRITTEN_LOOM_TASKS_H_

#include <cstddef>

#include "chimaera/chimaera.h"
#include "loom_methods.h"

namespace written::loom {

// A range of blocks.
struct Extent {
  // The first block.
  uint64_t start_;
  // Number of blocks.
  uint32_t blocks_;
  // Padding; zero.
  uint32_t reserved_;
  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(start_, blocks_, reserved_);
  }
};

// A named range.
struct Entry {
  // Its name.
  hipc::string name_;
  // Its range.
  Extent extent_;
  // Its weights.
  hipc::vector<float> weights_;
  /** SHM default constructor */
  Entry() : name_(), extent_(), weights_() {}
  explicit Entry(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : name_(alloc), extent_(), weights_(alloc) {}

  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(name_, extent_, weights_);
  }
};

// Changes every field.
struct TurnTask : public chi::Task {
  // In and out.
  hipc::string text_;
  // In and out.
  hipc::vector<hipc::string> words_;
  // In and out.
  hipc::vector<Extent> extents_;
  // In and out.
  Entry entry_;
  // In and out.
  hipc::vector<Entry> entries_;
  // In and out.
  uint64_t total_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x5b366;

  /** SHM default constructor */
  explicit TurnTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), text_(alloc), words_(alloc), extents_(alloc), entry_(alloc), entries_(alloc), total_() {}

  /** Emplace constructor */
  TurnTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : TurnTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kTurn;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  TurnTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : TurnTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(text_, words_, extents_, entry_, entries_, total_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(text_, words_, extents_, entry_, entries_, total_);
  }
};

// Fails.
struct FailTask : public chi::Task {
  // In: 1 to fail with a panic.
  uint32_t thrown_;
  uint32_t reserved_;
  // In.
  hipc::string why_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x155e6;

  /** SHM default constructor */
  explicit FailTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), thrown_(), reserved_(), why_(alloc) {}

  /** Emplace constructor */
  FailTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : FailTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kFail;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  FailTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : FailTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(thrown_, why_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

// Has the C++ module turn a text.
struct RelayTask : public chi::Task {
  // In: the name of the C++ module's pool.
  hipc::string store_;
  // In.
  hipc::string text_;
  // In: number of concurrent calls.
  uint32_t width_;
  uint32_t reserved_;
  // In: the reason why the other module shall fail afterwards, if not empty.
  hipc::string why_;
  // Out.
  hipc::vector<hipc::string> answers_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x41166;

  /** SHM default constructor */
  explicit RelayTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), store_(alloc), text_(alloc), width_(), reserved_(), why_(alloc), answers_(alloc) {}

  /** Emplace constructor */
  RelayTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : RelayTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kRelay;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  RelayTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : RelayTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(store_, text_, width_, why_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(answers_);
  }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(Extent) == 16, "size differs from the other languages");
static_assert(offsetof(Extent, start_) == 0, "offset differs from the other languages");
static_assert(offsetof(Extent, blocks_) == 8, "offset differs from the other languages");
static_assert(offsetof(Extent, reserved_) == 12, "offset differs from the other languages");
static_assert(sizeof(Entry) == 96, "size differs from the other languages");
static_assert(offsetof(Entry, name_) == 0, "offset differs from the other languages");
static_assert(offsetof(Entry, extent_) == 40, "offset differs from the other languages");
static_assert(offsetof(Entry, weights_) == 56, "offset differs from the other languages");
static_assert(sizeof(TurnTask) == 328, "size differs from the other languages");
static_assert(offsetof(TurnTask, text_) == 64, "offset differs from the other languages");
static_assert(offsetof(TurnTask, words_) == 104, "offset differs from the other languages");
static_assert(offsetof(TurnTask, extents_) == 144, "offset differs from the other languages");
static_assert(offsetof(TurnTask, entry_) == 184, "offset differs from the other languages");
static_assert(offsetof(TurnTask, entries_) == 280, "offset differs from the other languages");
static_assert(offsetof(TurnTask, total_) == 320, "offset differs from the other languages");
static_assert(sizeof(FailTask) == 112, "size differs from the other languages");
static_assert(offsetof(FailTask, thrown_) == 64, "offset differs from the other languages");
static_assert(offsetof(FailTask, reserved_) == 68, "offset differs from the other languages");
static_assert(offsetof(FailTask, why_) == 72, "offset differs from the other languages");
static_assert(sizeof(RelayTask) == 232, "size differs from the other languages");
static_assert(offsetof(RelayTask, store_) == 64, "offset differs from the other languages");
static_assert(offsetof(RelayTask, text_) == 104, "offset differs from the other languages");
static_assert(offsetof(RelayTask, width_) == 144, "offset differs from the other languages");
static_assert(offsetof(RelayTask, reserved_) == 148, "offset differs from the other languages");
static_assert(offsetof(RelayTask, why_) == 152, "offset differs from the other languages");
static_assert(offsetof(RelayTask, answers_) == 192, "offset differs from the other languages");
#pragma GCC diagnostic pop

}  // namespace written::loom

#endif  // WRITTEN_LOOM_TASKS_H_
