// clang-format off
/* chimaera:bdev for C: the tasks of client/src/tasks.rs. Generated from chimaera_mod.yaml; do not edit. */
#ifndef CHIMAERA_BDEV_TASKS_C_H_
#define CHIMAERA_BDEV_TASKS_C_H_

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#define CHIMAERA_BDEV_ASSERT static_assert
#else
#define CHIMAERA_BDEV_ASSERT _Static_assert
#endif

/** The module's name. */
#define CHIMAERA_BDEV_MODULE "chimaera:bdev"
/** Method kAllocate (chimaera_bdev_allocate_task). */
#define CHIMAERA_BDEV_ALLOCATE 10
/** Method kFree (chimaera_bdev_free_task). */
#define CHIMAERA_BDEV_FREE 11
/** Method kRead (chimaera_bdev_read_task). */
#define CHIMAERA_BDEV_READ 12
/** Method kWrite (chimaera_bdev_write_task). */
#define CHIMAERA_BDEV_WRITE 13
/** Method kFlush (chimaera_bdev_flush_task). */
#define CHIMAERA_BDEV_FLUSH 14
/** Method kStats (chimaera_bdev_stats_task). */
#define CHIMAERA_BDEV_STATS 15
/** Method kGrow (chimaera_bdev_grow_task). */
#define CHIMAERA_BDEV_GROW 16
/** Method kRelease (chimaera_bdev_release_task). */
#define CHIMAERA_BDEV_RELEASE 17
#ifndef CHIMAERA_BDEV_FIND_POOL_
#define CHIMAERA_BDEV_FIND_POOL_

/** Finds an existing pool by its name, whatever its parameters, and stores its id. Errors: those of
 * `chi_pool_find_of`. Any thread. */
static inline chi_status chimaera_bdev_find_pool(const char *pool_name, chi_pool_id *pool) {
  return chi_pool_find_of(CHIMAERA_BDEV_MODULE, pool_name, pool);
}
#endif

// A contiguous range of blocks.
typedef struct chimaera_bdev_extent {
  // The first block.
  uint64_t block_;
  // Number of blocks, at least one.
  uint64_t count_;
} chimaera_bdev_extent;

// The properties of a device, and its counters since its pool was created.
typedef struct chimaera_bdev_stats {
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
} chimaera_bdev_stats;

// `kAllocate`: allocates blocks.
typedef struct chimaera_bdev_allocate_task {
  // The header of the task.
  chi_task task;
  // In: number of blocks.
  uint64_t count_;
  // In: who owns the blocks. 0 means nobody: they stay allocated until they are freed. Those of an
  // owner are free again when the owner is released, and when the device is opened again.
  uint64_t owner_;
  // Out: the blocks, in as few extents as possible.
  chi_shm_vector extents_;
} chimaera_bdev_allocate_task;

// `kFree`: frees blocks.
typedef struct chimaera_bdev_free_task {
  // The header of the task.
  chi_task task;
  // In.
  chi_shm_vector extents_;
} chimaera_bdev_free_task;

// `kRead`: reads blocks.
typedef struct chimaera_bdev_read_task {
  // The header of the task.
  chi_task task;
  // In: the first block.
  uint64_t block_;
  // In: number of blocks.
  uint64_t count_;
  // Out: their bytes. If the field already points to enough space, such as a buffer that the caller
  // attached, they are written there.
  chi_shm_vector data_;
} chimaera_bdev_read_task;

// `kWrite`: writes blocks.
typedef struct chimaera_bdev_write_task {
  // The header of the task.
  chi_task task;
  // In: the first block.
  uint64_t block_;
  // In: whole blocks.
  chi_shm_vector data_;
} chimaera_bdev_write_task;

// `kFlush`: makes completed writes, allocations and releases durable.
typedef struct chimaera_bdev_flush_task {
  // The header of the task.
  chi_task task;
} chimaera_bdev_flush_task;

// `kStats`: gets the device's properties and counters.
typedef struct chimaera_bdev_stats_task {
  // The header of the task.
  chi_task task;
  // Out.
  struct chimaera_bdev_stats stats_;
} chimaera_bdev_stats_task;

// `kGrow`: adds blocks to a device in a file.
typedef struct chimaera_bdev_grow_task {
  // The header of the task.
  chi_task task;
  // In: the number of blocks that the device shall have; 0 means as many as its file has room for.
  uint64_t blocks_;
  // Out: the number of blocks that it has now.
  uint64_t total_;
} chimaera_bdev_grow_task;

// `kRelease`: frees the blocks of an owner.
typedef struct chimaera_bdev_release_task {
  // The header of the task.
  chi_task task;
  // In: the owner, which is not 0.
  uint64_t owner_;
  // Out: the number of blocks that were freed.
  uint64_t blocks_;
} chimaera_bdev_release_task;

CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_extent) == 16, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_extent, block_) == 0, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_extent, count_) == 8, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_stats) == 80, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, block_size_) == 0, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, blocks_) == 8, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, free_blocks_) == 16, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, engine_) == 24, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, reads_) == 32, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, writes_) == 40, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, flushes_) == 48, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, read_bytes_) == 56, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, written_bytes_) == 64, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats, errors_) == 72, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_allocate_task) == 120, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_allocate_task, count_) == 64, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_allocate_task, owner_) == 72, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_allocate_task, extents_) == 80, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_free_task) == 104, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_free_task, extents_) == 64, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_read_task) == 120, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_read_task, block_) == 64, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_read_task, count_) == 72, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_read_task, data_) == 80, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_write_task) == 112, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_write_task, block_) == 64, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_write_task, data_) == 72, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_flush_task) == 64, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_stats_task) == 144, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_stats_task, stats_) == 64, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_grow_task) == 80, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_grow_task, blocks_) == 64, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_grow_task, total_) == 72, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(sizeof(chimaera_bdev_release_task) == 80, "size differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_release_task, owner_) == 64, "offset differs from the other languages");
CHIMAERA_BDEV_ASSERT(offsetof(chimaera_bdev_release_task, blocks_) == 72, "offset differs from the other languages");

#undef CHIMAERA_BDEV_ASSERT
#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_BDEV_TASKS_C_H_
