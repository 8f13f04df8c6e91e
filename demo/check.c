/* The demo's C program: gets from chimaera:kv what the Rust program put there, decompresses it with
 * example:mod_name, and compares it with the files.
 *
 *     demo_check INSTANCE DIRECTORY RECORDS
 *
 * RECORDS is the file that demo_compress wrote. Lines on standard output report each task, and
 * files that differ or have changed in the meantime. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kv/kv_c.h"
#include "mod_name/mod_name_c.h"
#include "record.h"

static const chi_domain_query kQuery = {CHI_DOMAIN_DYNAMIC, 0};

/* The two pools, and the directory of the files. */
typedef struct demo {
  chi_pool_id kv;
  chi_pool_id compressor;
  const char *directory;
} demo;

/* A record in memory. */
typedef struct piece {
  demo_record record;
  const char *path; /* Not null-terminated. */
  const char *frame;
} piece;

static uint64_t Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Submits a task and waits for it. */
static chi_status Run(chi_task *task) {
  const chi_status status = chi_submit(task);
  return status == CHI_OK ? chi_wait(task, CHI_WAIT_FOREVER) : status;
}

/* Prints why a call failed. */
static int Failed(const char *what, const char *of) {
  fprintf(stderr, "demo_check: %s %s: %s\n", what, of, chi_last_error());
  return 1;
}

/* Whether the file contains `bytes` at the record's offset: 1, 0, or -1 if it cannot be compared
 * because the file has changed since demo_compress read it. */
static int EqualsFile(const demo *demo, const piece *piece, const char *bytes) {
  const size_t size = piece->record.size;
  char *path = NULL;
  char *read_bytes = malloc(size == 0 ? 1 : size);
  int equal = -1;
  if (read_bytes != NULL &&
      asprintf(&path, "%s/%.*s", demo->directory, (int)piece->record.path_size, piece->path) >= 0) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 &&
        (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec ==
            piece->record.modified_ns) {
      size_t done = 0;
      while (done < size) {
        const ssize_t n =
            pread(fd, read_bytes + done, size - done, (off_t)(piece->record.offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
      }
      equal = done == size && memcmp(read_bytes, bytes, size) == 0;
    }
    if (fd >= 0) close(fd);
  }
  free(path);
  free(read_bytes);
  return equal;
}

/* Decompresses a frame and compares it with the file. Returns the exit code of the program. */
static int CheckFrame(const demo *demo, const piece *piece, const void *frame,
                      uint64_t frame_size) {
  example_mod_name_decompress_task *task = NULL;
  const uint64_t begin = Now();
  chi_status status = example_mod_name_decompress_new(demo->compressor, kQuery, frame, frame_size,
                                                      piece->record.size, &task);
  if (status == CHI_OK) status = Run(&task->task);
  if (status != CHI_OK) {
    if (task != NULL) chi_task_delete(&task->task);
    return Failed("decompress", "a frame");
  }
  printf("task decompress %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", frame_size, task->output_.size_,
         Now() - begin);
  int result = 0;
  const int equal =
      task->output_.size_ == piece->record.size ? EqualsFile(demo, piece, task->output_.data_) : 0;
  if (equal == 0) {
    printf("mismatch %" PRIu64 "\n", piece->record.file);
    result = 1;
  } else if (equal < 0) {
    printf("changed %" PRIu64 "\n", piece->record.file);
  }
  chi_task_delete(&task->task);
  return result;
}

/* Gets a value and compares it with the piece's frame. The caller deletes the task, if one is
 * returned. */
static int GetFrame(const demo *demo, const piece *piece, const char *key,
                    chimaera_kv_get_task **get) {
  const uint64_t begin = Now();
  chi_status status = chimaera_kv_get_new(demo->kv, kQuery, key, get);
  if (status == CHI_OK) status = Run(&(*get)->task);
  if (status != CHI_OK) return Failed("get", key);
  printf("task get %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", (uint64_t)strlen(key),
         (*get)->value_.size_, Now() - begin);
  if ((*get)->value_.size_ != piece->record.frame_size ||
      memcmp((*get)->value_.data_, piece->frame, piece->record.frame_size) != 0) {
    printf("mismatch %" PRIu64 "\n", piece->record.file);
    return 1;
  }
  return 0;
}

/* Replaces the stored value by the piece's frame, and gets it back. */
static int PutFrame(const demo *demo, const piece *piece, const char *key) {
  chimaera_kv_put_task *put = NULL;
  const uint64_t begin = Now();
  chi_status status =
      chimaera_kv_put_new(demo->kv, kQuery, key, piece->frame, piece->record.frame_size, &put);
  if (status == CHI_OK) status = Run(&put->task);
  if (put != NULL) chi_task_delete(&put->task);
  if (status != CHI_OK) return Failed("put", key);
  printf("task put %" PRIu64 " 0 %" PRIu64 "\n", (uint64_t)strlen(key) + piece->record.frame_size,
         Now() - begin);
  chimaera_kv_get_task *get = NULL;
  const int result = GetFrame(demo, piece, key, &get);
  if (get != NULL) chi_task_delete(&get->task);
  return result;
}

/* Gets a piece from the store, checks it, puts it again, and deletes it there. */
static int Check(const demo *demo, const piece *piece) {
  char *key = NULL;
  if (asprintf(&key, "%" PRIu64 "/%.*s", piece->record.offset, (int)piece->record.path_size,
               piece->path) < 0) {
    fprintf(stderr, "demo_check: out of memory for a key\n");
    return 1;
  }
  chimaera_kv_get_task *get = NULL;
  int result = GetFrame(demo, piece, key, &get);
  if (result == 0) result = CheckFrame(demo, piece, get->value_.data_, get->value_.size_);
  if (get != NULL) chi_task_delete(&get->task);
  if (PutFrame(demo, piece, key) != 0) result = 1;

  chimaera_kv_delete_task *del = NULL;
  chi_status status = chimaera_kv_delete_new(demo->kv, kQuery, key, &del);
  if (status == CHI_OK) status = Run(&del->task);
  if (status != CHI_OK) result = Failed("delete", key);
  if (del != NULL) chi_task_delete(&del->task);
  free(key);
  return result;
}

/* Checks all records of a file that is mapped into memory. */
static int CheckAll(const demo *demo, const char *records, size_t size) {
  int result = 0;
  for (size_t at = 0; at < size;) {
    piece piece;
    memcpy(&piece.record, records + at, sizeof(piece.record));
    piece.path = records + at + sizeof(piece.record);
    piece.frame = piece.path + piece.record.path_size;
    at += sizeof(piece.record) + piece.record.path_size + piece.record.frame_size;
    if (Check(demo, &piece) != 0) result = 1;
  }
  return result;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s INSTANCE DIRECTORY RECORDS\n", argv[0]);
    return 2;
  }
  const int fd = open(argv[3], O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) {
    fprintf(stderr, "%s: %s: %s\n", argv[0], argv[3], strerror(errno));
    return 1;
  }
  const size_t size = (size_t)status.st_size;
  if (size == 0) return 0;
  const char *records = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (records == MAP_FAILED) {
    fprintf(stderr, "%s: %s: %s\n", argv[0], argv[3], strerror(errno));
    return 1;
  }

  chi_client_options options = {.size = sizeof(options), .instance = argv[1]};
  demo demo = {.directory = argv[2]};
  if (chi_init(&options) != CHI_OK) return Failed("connect to", argv[1]);
  int result = 1;
  if (chi_pool_find("demo_store", &demo.kv) != CHI_OK) {
    Failed("find the pool", "demo_store");
  } else if (chi_pool_create(EXAMPLE_MOD_NAME_MODULE, "demo_compressor", NULL, 0,
                             &demo.compressor) != CHI_OK) {
    Failed("find the pool", "demo_compressor");
  } else {
    result = CheckAll(&demo, records, size);
  }
  chi_shutdown();
  return result;
}
