// clang-format off
/* The tasks of client/src/tasks.rs of chimaera:bdev. Generated from chimaera_mod.yaml; do not edit. */
#ifndef CHIMAERA_BDEV_TASKS_H_
#define CHIMAERA_BDEV_TASKS_H_

#include <cstddef>

#include "chimaera/chimaera.h"
#include "bdev_methods.h"

namespace chimaera::bdev {

// Blocks that follow each other.
struct Extent {
  // The first block.
  uint64_t block_;
  // How many, at least one.
  uint64_t count_;
  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(block_, count_);
  }
};

// What a device is, and what it has done since its pool was created.
struct Stats {
  // Bytes of a block.
  uint64_t block_size_;
  // How many blocks there are.
  uint64_t blocks_;
  // How many of them are not allocated.
  uint64_t free_blocks_;
  // How blocks are moved, an `Engine`.
  uint64_t engine_;
  // Reads that succeeded.
  uint64_t reads_;
  // Writes that succeeded.
  uint64_t writes_;
  // Flushes that succeeded.
  uint64_t flushes_;
  // Bytes of the reads that succeeded.
  uint64_t read_bytes_;
  // Bytes of the writes that succeeded.
  uint64_t written_bytes_;
  // Reads, writes and flushes that the operating system refused.
  uint64_t errors_;
  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(block_size_, blocks_, free_blocks_, engine_, reads_, writes_, flushes_, read_bytes_, written_bytes_, errors_);
  }
};

// `kAllocate`: allocates blocks.
struct AllocateTask : public chi::Task {
  // In: how many blocks.
  uint64_t count_;
  // Out: the blocks, in as few extents as there are.
  hipc::vector<Extent> extents_;
  /** SHM default constructor */
  explicit AllocateTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), count_(), extents_(alloc) {}

  /** Emplace constructor */
  AllocateTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : AllocateTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kAllocate;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task, and sets its fields. */
  template <typename Fill>
  AllocateTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : AllocateTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller gives. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(count_);
  }

  /** Sends what the method finds. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(extents_);
  }
};

// `kFree`: frees blocks.
struct FreeTask : public chi::Task {
  // In.
  hipc::vector<Extent> extents_;
  /** SHM default constructor */
  explicit FreeTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), extents_(alloc) {}

  /** Emplace constructor */
  FreeTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : FreeTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kFree;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task, and sets its fields. */
  template <typename Fill>
  FreeTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : FreeTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller gives. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(extents_);
  }

  /** Sends what the method finds. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

// `kRead`: reads blocks.
struct ReadTask : public chi::Task {
  // In: the first block.
  uint64_t block_;
  // In: how many blocks.
  uint64_t count_;
  // Out: their bytes. They go where the field points already, when there is room: to a buffer that
  // the caller attached.
  hipc::vector<char> data_;
  /** SHM default constructor */
  explicit ReadTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), block_(), count_(), data_(alloc) {}

  /** Emplace constructor */
  ReadTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : ReadTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kRead;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task, and sets its fields. */
  template <typename Fill>
  ReadTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : ReadTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller gives. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(block_, count_);
  }

  /** Sends what the method finds. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(data_);
  }
};

// `kWrite`: writes blocks.
struct WriteTask : public chi::Task {
  // In: the first block.
  uint64_t block_;
  // In: whole blocks.
  hipc::vector<char> data_;
  /** SHM default constructor */
  explicit WriteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), block_(), data_(alloc) {}

  /** Emplace constructor */
  WriteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : WriteTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kWrite;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task, and sets its fields. */
  template <typename Fill>
  WriteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : WriteTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller gives. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(block_, data_);
  }

  /** Sends what the method finds. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

// `kFlush`: makes what was written last, also when the machine loses its power.
struct FlushTask : public chi::Task {

  /** SHM default constructor */
  explicit FlushTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc) {}

  /** Emplace constructor */
  FlushTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : FlushTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kFlush;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task, and sets its fields. */
  template <typename Fill>
  FlushTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : FlushTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller gives. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method finds. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

// `kStats`: tells what the device is and did.
struct StatsTask : public chi::Task {
  // Out.
  Stats stats_;
  /** SHM default constructor */
  explicit StatsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), stats_() {}

  /** Emplace constructor */
  StatsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : StatsTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kStats;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task, and sets its fields. */
  template <typename Fill>
  StatsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : StatsTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller gives. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method finds. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(stats_);
  }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(Extent) == 16, "another size than in the other languages");
static_assert(offsetof(Extent, block_) == 0, "lies elsewhere in the other languages");
static_assert(offsetof(Extent, count_) == 8, "lies elsewhere in the other languages");
static_assert(sizeof(Stats) == 80, "another size than in the other languages");
static_assert(offsetof(Stats, block_size_) == 0, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, blocks_) == 8, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, free_blocks_) == 16, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, engine_) == 24, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, reads_) == 32, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, writes_) == 40, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, flushes_) == 48, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, read_bytes_) == 56, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, written_bytes_) == 64, "lies elsewhere in the other languages");
static_assert(offsetof(Stats, errors_) == 72, "lies elsewhere in the other languages");
static_assert(sizeof(AllocateTask) == 112, "another size than in the other languages");
static_assert(offsetof(AllocateTask, count_) == 64, "lies elsewhere in the other languages");
static_assert(offsetof(AllocateTask, extents_) == 72, "lies elsewhere in the other languages");
static_assert(sizeof(FreeTask) == 104, "another size than in the other languages");
static_assert(offsetof(FreeTask, extents_) == 64, "lies elsewhere in the other languages");
static_assert(sizeof(ReadTask) == 120, "another size than in the other languages");
static_assert(offsetof(ReadTask, block_) == 64, "lies elsewhere in the other languages");
static_assert(offsetof(ReadTask, count_) == 72, "lies elsewhere in the other languages");
static_assert(offsetof(ReadTask, data_) == 80, "lies elsewhere in the other languages");
static_assert(sizeof(WriteTask) == 112, "another size than in the other languages");
static_assert(offsetof(WriteTask, block_) == 64, "lies elsewhere in the other languages");
static_assert(offsetof(WriteTask, data_) == 72, "lies elsewhere in the other languages");
static_assert(sizeof(FlushTask) == 64, "another size than in the other languages");
static_assert(sizeof(StatsTask) == 144, "another size than in the other languages");
static_assert(offsetof(StatsTask, stats_) == 64, "lies elsewhere in the other languages");
#pragma GCC diagnostic pop

}  // namespace chimaera::bdev

#endif  // CHIMAERA_BDEV_TASKS_H_
