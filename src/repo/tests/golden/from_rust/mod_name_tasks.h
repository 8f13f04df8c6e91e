// clang-format off
/* The tasks of src/tasks.rs of example:mod_name. Generated from chimaera_mod.yaml; do not edit. */
#ifndef EXAMPLE_MOD_NAME_TASKS_H_
#define EXAMPLE_MOD_NAME_TASKS_H_

#include <cstddef>

#include "chimaera/chimaera.h"
#include "mod_name_methods.h"

namespace example::mod_name {

// Where a part lies.
struct Extent {
  uint64_t start_;
  uint8_t digest_[20];
  uint32_t reserved_;
  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(start_, digest_);
  }
};

struct Entry {
  hipc::string name_;
  Extent extent_;
  hipc::vector<float> weights_;
  uint8_t flag_;
  /** SHM default constructor */
  Entry() : name_(), extent_(), weights_(), flag_() {}
  explicit Entry(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : name_(alloc), extent_(), weights_(alloc), flag_() {}

  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(name_, extent_, weights_, flag_);
  }
};

// What this struct is takes so many words that its comment does not fit into a line of a header,
// which has at most a hundred columns.
struct FirstTask : public chi::Task {
  // In.
  Entry entry_;
  hipc::vector<Entry> entries_;
  hipc::vector<hipc::vector<int16_t>> rows_;
  hipc::vector<hipc::vector<char>> blobs_;
  uint8_t type_;
  chi::PoolId cache_;
  chi::DomainQuery asked_;
  chi::TaskNode node_;
  Extent extents_[2];
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x608e6;

  /** SHM default constructor */
  explicit FirstTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), entry_(alloc), entries_(alloc), rows_(alloc), blobs_(alloc), type_(), cache_(), asked_(), node_(), extents_() {}

  /** Emplace constructor */
  FirstTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : FirstTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kFirst;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  FirstTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : FirstTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(entry_, entries_, blobs_, type_, asked_, node_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(entries_, rows_, extents_);
  }
};

// Has no method.
struct OtherTask : public chi::Task {

  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x3752e;

  /** SHM default constructor */
  explicit OtherTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc) {}

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(Extent) == 32, "size differs from the other languages");
static_assert(offsetof(Extent, start_) == 0, "offset differs from the other languages");
static_assert(offsetof(Extent, digest_) == 8, "offset differs from the other languages");
static_assert(offsetof(Extent, reserved_) == 28, "offset differs from the other languages");
static_assert(sizeof(Entry) == 120, "size differs from the other languages");
static_assert(offsetof(Entry, name_) == 0, "offset differs from the other languages");
static_assert(offsetof(Entry, extent_) == 40, "offset differs from the other languages");
static_assert(offsetof(Entry, weights_) == 72, "offset differs from the other languages");
static_assert(offsetof(Entry, flag_) == 112, "offset differs from the other languages");
static_assert(sizeof(FirstTask) == 408, "size differs from the other languages");
static_assert(offsetof(FirstTask, entry_) == 64, "offset differs from the other languages");
static_assert(offsetof(FirstTask, entries_) == 184, "offset differs from the other languages");
static_assert(offsetof(FirstTask, rows_) == 224, "offset differs from the other languages");
static_assert(offsetof(FirstTask, blobs_) == 264, "offset differs from the other languages");
static_assert(offsetof(FirstTask, type_) == 304, "offset differs from the other languages");
static_assert(offsetof(FirstTask, cache_) == 308, "offset differs from the other languages");
static_assert(offsetof(FirstTask, asked_) == 316, "offset differs from the other languages");
static_assert(offsetof(FirstTask, node_) == 328, "offset differs from the other languages");
static_assert(offsetof(FirstTask, extents_) == 344, "offset differs from the other languages");
static_assert(sizeof(OtherTask) == 64, "size differs from the other languages");
#pragma GCC diagnostic pop

}  // namespace example::mod_name

#endif  // EXAMPLE_MOD_NAME_TASKS_H_
