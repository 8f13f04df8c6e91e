// clang-format off
/* The tasks of client/src/tasks.rs of chimaera:bdev. Generated from chimaera_mod.yaml; do not edit. */
#ifndef CHIMAERA_BDEV_TASKS_H_
#define CHIMAERA_BDEV_TASKS_H_

#include <cstddef>

#include "chimaera/chimaera.h"
#include "bdev_methods.h"

namespace chimaera::bdev {

// A contiguous range of blocks.
struct Extent {
  // The first block.
  uint64_t block_;
  // Number of blocks, at least one.
  uint64_t count_;
  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(block_, count_);
  }
};

// The properties of a device, and its counters since its pool was created.
struct Stats {
  // Block size in bytes.
  uint64_t block_size_;
  // Number of blocks.
  uint64_t blocks_;
  // Number of blocks that are not allocated.
  uint64_t free_blocks_;
  // How blocks are transferred, an `Engine`.
  uint64_t engine_;
  // Reads that succeeded.
  uint64_t reads_;
  // Writes that succeeded.
  uint64_t writes_;
  // Flushes that succeeded.
  uint64_t flushes_;
  // Bytes of successful reads.
  uint64_t read_bytes_;
  // Bytes of successful writes.
  uint64_t written_bytes_;
  // Reads, writes and flushes that failed in the operating system.
  uint64_t errors_;
  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(block_size_, blocks_, free_blocks_, engine_, reads_, writes_, flushes_, read_bytes_, written_bytes_, errors_);
  }
};

// `kAllocate`: allocates blocks.
struct AllocateTask : public chi::Task {
  // In: number of blocks.
  uint64_t count_;
  // In: who owns the blocks. 0 means nobody: they stay allocated until they are freed. Those of an
  // owner are free again when the owner is released, and when the device is opened again.
  uint64_t owner_;
  // Out: the blocks, in as few extents as possible.
  hipc::vector<Extent> extents_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x55d5e;

  /** SHM default constructor */
  explicit AllocateTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), count_(), owner_(), extents_(alloc) {}

  /** Emplace constructor */
  AllocateTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : AllocateTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kAllocate;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  AllocateTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : AllocateTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(count_, owner_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(extents_);
  }
};

// `kFree`: frees blocks.
struct FreeTask : public chi::Task {
  // In.
  hipc::vector<Extent> extents_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x43832;

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

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  FreeTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : FreeTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(extents_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

// `kRead`: reads blocks.
struct ReadTask : public chi::Task {
  // In: the first block.
  uint64_t block_;
  // In: number of blocks.
  uint64_t count_;
  // Out: their bytes. If the field already points to enough space, such as a buffer that the caller
  // attached, they are written there.
  hipc::vector<char> data_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x34e7a;

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

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  ReadTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : ReadTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(block_, count_);
  }

  /** Sends what the method returns. */
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
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x9642;

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

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  WriteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : WriteTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(block_, data_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

// `kFlush`: makes completed writes, allocations and releases durable.
struct FlushTask : public chi::Task {

  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x3752e;

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

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  FlushTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : FlushTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

// `kStats`: gets the device's properties and counters.
struct StatsTask : public chi::Task {
  // Out.
  Stats stats_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0xae2e;

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

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  StatsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : StatsTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(stats_);
  }
};

// `kGrow`: adds blocks to a device in a file.
struct GrowTask : public chi::Task {
  // In: the number of blocks that the device shall have; 0 means as many as its file has room for.
  uint64_t blocks_;
  // Out: the number of blocks that it has now.
  uint64_t total_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x6bf0e;

  /** SHM default constructor */
  explicit GrowTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), blocks_(), total_() {}

  /** Emplace constructor */
  GrowTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : GrowTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kGrow;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  GrowTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : GrowTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(blocks_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(total_);
  }
};

// `kRelease`: frees the blocks of an owner.
struct ReleaseTask : public chi::Task {
  // In: the owner, which is not 0.
  uint64_t owner_;
  // Out: the number of blocks that were freed.
  uint64_t blocks_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x9a3e;

  /** SHM default constructor */
  explicit ReleaseTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), owner_(), blocks_() {}

  /** Emplace constructor */
  ReleaseTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : ReleaseTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kRelease;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  ReleaseTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : ReleaseTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(owner_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(blocks_);
  }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(Extent) == 16, "size differs from the other languages");
static_assert(offsetof(Extent, block_) == 0, "offset differs from the other languages");
static_assert(offsetof(Extent, count_) == 8, "offset differs from the other languages");
static_assert(sizeof(Stats) == 80, "size differs from the other languages");
static_assert(offsetof(Stats, block_size_) == 0, "offset differs from the other languages");
static_assert(offsetof(Stats, blocks_) == 8, "offset differs from the other languages");
static_assert(offsetof(Stats, free_blocks_) == 16, "offset differs from the other languages");
static_assert(offsetof(Stats, engine_) == 24, "offset differs from the other languages");
static_assert(offsetof(Stats, reads_) == 32, "offset differs from the other languages");
static_assert(offsetof(Stats, writes_) == 40, "offset differs from the other languages");
static_assert(offsetof(Stats, flushes_) == 48, "offset differs from the other languages");
static_assert(offsetof(Stats, read_bytes_) == 56, "offset differs from the other languages");
static_assert(offsetof(Stats, written_bytes_) == 64, "offset differs from the other languages");
static_assert(offsetof(Stats, errors_) == 72, "offset differs from the other languages");
static_assert(sizeof(AllocateTask) == 120, "size differs from the other languages");
static_assert(offsetof(AllocateTask, count_) == 64, "offset differs from the other languages");
static_assert(offsetof(AllocateTask, owner_) == 72, "offset differs from the other languages");
static_assert(offsetof(AllocateTask, extents_) == 80, "offset differs from the other languages");
static_assert(sizeof(FreeTask) == 104, "size differs from the other languages");
static_assert(offsetof(FreeTask, extents_) == 64, "offset differs from the other languages");
static_assert(sizeof(ReadTask) == 120, "size differs from the other languages");
static_assert(offsetof(ReadTask, block_) == 64, "offset differs from the other languages");
static_assert(offsetof(ReadTask, count_) == 72, "offset differs from the other languages");
static_assert(offsetof(ReadTask, data_) == 80, "offset differs from the other languages");
static_assert(sizeof(WriteTask) == 112, "size differs from the other languages");
static_assert(offsetof(WriteTask, block_) == 64, "offset differs from the other languages");
static_assert(offsetof(WriteTask, data_) == 72, "offset differs from the other languages");
static_assert(sizeof(FlushTask) == 64, "size differs from the other languages");
static_assert(sizeof(StatsTask) == 144, "size differs from the other languages");
static_assert(offsetof(StatsTask, stats_) == 64, "offset differs from the other languages");
static_assert(sizeof(GrowTask) == 80, "size differs from the other languages");
static_assert(offsetof(GrowTask, blocks_) == 64, "offset differs from the other languages");
static_assert(offsetof(GrowTask, total_) == 72, "offset differs from the other languages");
static_assert(sizeof(ReleaseTask) == 80, "size differs from the other languages");
static_assert(offsetof(ReleaseTask, owner_) == 64, "offset differs from the other languages");
static_assert(offsetof(ReleaseTask, blocks_) == 72, "offset differs from the other languages");
#pragma GCC diagnostic pop

}  // namespace chimaera::bdev

#endif  // CHIMAERA_BDEV_TASKS_H_
