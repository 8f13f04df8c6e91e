/* A C application with a block device: c_bdev NAME PARAMETERS creates a device of 64 blocks of 4096
 * bytes, uses it in every way, and passes invalid arguments. Prints a JSON line with the status and
 * the reason of a failure. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bdev/bdev_c.h"
#include "json.h"

enum { BLOCK = 4096, BLOCKS = 64 };
/* Statuses of the module: not enough free blocks, and a block that is not allocated. */
enum { DEVICE_FULL = CHI_MODULE_STATUS, NOT_ALLOCATED = CHI_MODULE_STATUS + 1 };

static chi_pool_id pool;
static const chi_domain_query anywhere = {CHI_DOMAIN_DYNAMIC, 0};

static int done(chi_status status, const char *why) {
  printf("{\"status\":%d,", status);
  json_string("message", why, strlen(why));
  puts("}");
  return 0;
}

/* Submits a task, if it could be created, and waits for it. The caller still owns the task. */
static chi_status run(chi_status made, chi_task *task) {
  if (made != CHI_OK) return made;
  chi_status status = chi_submit(task);
  if (status == CHI_OK) status = chi_wait(task, CHI_WAIT_FOREVER);
  return status == CHI_OK ? task->status_ : status;
}

static chi_status allocate(uint64_t count, chimaera_bdev_extent *extent, uint64_t *extents) {
  chimaera_bdev_allocate_task *task;
  const chi_status made = chimaera_bdev_allocate_new(pool, anywhere, count, &task);
  const chi_status status = run(made, &task->task);
  if (status == CHI_OK) {
    *extents = task->extents_.size_ / sizeof(*extent);
    memcpy(extent, task->extents_.data_, sizeof(*extent));
  }
  chi_task_delete(&task->task);
  return status;
}

static chi_status release(const chimaera_bdev_extent *extents, uint64_t n) {
  chimaera_bdev_free_task *task;
  const chi_status made = chimaera_bdev_free_new(pool, anywhere, extents, n, &task);
  const chi_status status = run(made, &task->task);
  chi_task_delete(&task->task);
  return status;
}

static chi_status put(uint64_t block, const void *data, uint64_t size) {
  chimaera_bdev_write_task *task;
  const chi_status made = chimaera_bdev_write_new(pool, anywhere, block, data, size, &task);
  const chi_status status = run(made, &task->task);
  chi_task_delete(&task->task);
  return status;
}

/* Reads blocks, and compares them with the expected bytes. */
static chi_status get(uint64_t block, uint64_t count, const void *expected) {
  chimaera_bdev_read_task *task;
  const chi_status made = chimaera_bdev_read_new(pool, anywhere, block, count, &task);
  chi_status status = run(made, &task->task);
  if (status == CHI_OK && (task->data_.size_ != count * BLOCK ||
                           memcmp(task->data_.data_, expected, task->data_.size_) != 0)) {
    status = CHI_FAILED;
  }
  chi_task_delete(&task->task);
  return status;
}

static chi_status flush(void) {
  chimaera_bdev_flush_task *task;
  const chi_status made = chimaera_bdev_flush_new(pool, anywhere, &task);
  const chi_status status = run(made, &task->task);
  chi_task_delete(&task->task);
  return status;
}

/* Allocates and releases the blocks of an owner. */
static chi_status own(uint64_t owner, uint64_t blocks, uint64_t *released) {
  chimaera_bdev_allocate_task *allocate;
  chi_status status = chimaera_bdev_allocate_new(pool, anywhere, blocks, &allocate);
  if (status == CHI_OK) allocate->owner_ = owner;
  status = run(status, &allocate->task);
  chi_task_delete(&allocate->task);
  if (status != CHI_OK) return status;
  chimaera_bdev_release_task *release;
  const chi_status made = chimaera_bdev_release_new(pool, anywhere, owner, &release);
  status = run(made, &release->task);
  *released = release->blocks_;
  chi_task_delete(&release->task);
  return status;
}

static chi_status grow(uint64_t blocks, uint64_t *total) {
  chimaera_bdev_grow_task *task;
  const chi_status made = chimaera_bdev_grow_new(pool, anywhere, blocks, &task);
  const chi_status status = run(made, &task->task);
  *total = task->total_;
  chi_task_delete(&task->task);
  return status;
}

static chi_status count(chimaera_bdev_stats *stats) {
  chimaera_bdev_stats_task *task;
  const chi_status made = chimaera_bdev_stats_new(pool, anywhere, &task);
  const chi_status status = run(made, &task->task);
  *stats = task->stats_;
  chi_task_delete(&task->task);
  return status;
}

#define EXPECT(CONDITION) \
  if (!(CONDITION)) return done(CHI_FAILED, #CONDITION)

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const char *module = CHIMAERA_BDEV_MODULE;
  const char *parameters = argv[2];
  chi_status status = chi_init(NULL);
  if (status == CHI_OK) {
    status = chi_pool_create(module, argv[1], parameters, strlen(parameters), &pool);
  }
  if (status != CHI_OK) return done(status, chi_last_error());

  static unsigned char data[3 * BLOCK];
  for (size_t i = 0; i < sizeof(data); ++i) data[i] = (unsigned char)(i * i >> 9);
  chimaera_bdev_extent extent;
  uint64_t extents = 0;
  EXPECT(allocate(BLOCKS, &extent, &extents) == CHI_OK && extents == 1);
  EXPECT(extent.block_ == 0 && extent.count_ == BLOCKS);
  EXPECT(put(5, data, sizeof(data)) == CHI_OK);
  EXPECT(put(BLOCKS - 1, data, BLOCK) == CHI_OK);
  EXPECT(get(5, 3, data) == CHI_OK);
  EXPECT(get(6, 1, data + BLOCK) == CHI_OK);
  EXPECT(get(BLOCKS - 1, 1, data) == CHI_OK);
  EXPECT(flush() == CHI_OK);

  chimaera_bdev_stats stats;
  EXPECT(count(&stats) == CHI_OK);
  EXPECT(stats.block_size_ == BLOCK && stats.blocks_ == BLOCKS && stats.free_blocks_ == 0);
  EXPECT(stats.writes_ == 2 && stats.written_bytes_ == 4 * BLOCK);
  EXPECT(stats.reads_ == 3 && stats.read_bytes_ == 5 * BLOCK);
  EXPECT(stats.flushes_ == 1 && stats.errors_ == 0);

  chimaera_bdev_extent other;
  EXPECT(allocate(1, &other, &extents) == DEVICE_FULL);
  EXPECT(put(0, data, 100) == CHI_INVALID);
  EXPECT(put(0, data, 0) == CHI_INVALID);
  EXPECT(put(BLOCKS, data, BLOCK) == CHI_INVALID);
  EXPECT(get(BLOCKS - 1, 2, data) == CHI_INVALID);
  EXPECT(get(UINT64_MAX, 1, data) == CHI_INVALID);
  EXPECT(get(0, 0, data) == CHI_INVALID);
  EXPECT(get(0, UINT64_MAX, data) == CHI_INVALID);
  const chimaera_bdev_extent wrong[] = {{1, 2}, {2, 1}, {BLOCKS, 1}, {0, 0}};
  EXPECT(release(wrong, 2) == NOT_ALLOCATED);
  EXPECT(release(wrong + 2, 1) == CHI_INVALID);
  EXPECT(release(wrong + 3, 1) == CHI_INVALID);
  const chimaera_bdev_extent parts[] = {{10, 1}, {12, 3}};
  EXPECT(release(parts, 2) == CHI_OK);
  EXPECT(get(10, 1, data) == NOT_ALLOCATED);
  EXPECT(allocate(4, &other, &extents) == CHI_OK && extents == 2 && other.block_ == 10);
  EXPECT(release(&extent, 1) == CHI_OK);
  EXPECT(release(&extent, 1) == NOT_ALLOCATED);
  EXPECT(count(&stats) == CHI_OK && stats.free_blocks_ == BLOCKS);
  uint64_t released = 0;
  EXPECT(own(7, 5, &released) == CHI_OK && released == 5);
  EXPECT(count(&stats) == CHI_OK && stats.free_blocks_ == BLOCKS);
  const bool in_file = strstr(parameters, "path=") != NULL;
  uint64_t total = 0;
  EXPECT(grow(BLOCKS + 9, &total) == (in_file ? CHI_OK : CHI_UNSUPPORTED));
  EXPECT(total == (in_file ? BLOCKS + 9 : 0));

  /* A method that the device does not have, and a pool that does not exist. */
  chi_task *task;
  EXPECT(chi_task_new(sizeof(*task), pool, anywhere, 99, &task) == CHI_OK);
  EXPECT(run(CHI_OK, task) == CHI_NO_METHOD);
  chi_task_delete(task);
  EXPECT(chi_pool_destroy(pool) == CHI_OK);
  EXPECT(flush() == CHI_NO_POOL);
  chi_pool_id none;
  EXPECT(chi_pool_create(module, "wrong", "blocks=x", 8, &none) == CHI_INVALID);
  EXPECT(strstr(chi_last_error(), "blocks") != NULL);
  return done(CHI_OK, "");
}
