// clang-format off
/* described:shelf for C: the tasks that its YAML describes. Generated from chimaera_mod.yaml; do not edit. */
#ifndef DESCRIBED_SHELF_C_H_
#define DESCRIBED_SHELF_C_H_

#include <string.h>

#include "chimaera/abi.h"
#include "chimaera/params_c.h"

#ifdef __cplusplus
extern "C" {
#define DESCRIBED_SHELF_ASSERT static_assert
#else
#define DESCRIBED_SHELF_ASSERT _Static_assert
#endif

/** The module's name. */
#define DESCRIBED_SHELF_MODULE "described:shelf"
/** Method kSum (described_shelf_sum_task). */
#define DESCRIBED_SHELF_SUM 10
/** Method kTurn (described_shelf_turn_task). */
#define DESCRIBED_SHELF_TURN 11
/** Method kNothing (described_shelf_nothing_task). */
#define DESCRIBED_SHELF_NOTHING 12
/** Method kFail (described_shelf_fail_task). */
#define DESCRIBED_SHELF_FAIL 13
/** Method kRelay (described_shelf_relay_task). */
#define DESCRIBED_SHELF_RELAY 14
/** Method kSettings (described_shelf_settings_task). */
#define DESCRIBED_SHELF_SETTINGS 16
/** Method kPause (described_shelf_pause_task). */
#define DESCRIBED_SHELF_PAUSE 17
#ifndef DESCRIBED_SHELF_FIND_POOL_
#define DESCRIBED_SHELF_FIND_POOL_

/** Finds an existing pool by its name, whatever its parameters, and stores its id. Errors: those of
 * `chi_pool_find_of`. Any thread. */
static inline chi_status described_shelf_find_pool(const char *pool_name, chi_pool_id *pool) {
  return chi_pool_find_of(DESCRIBED_SHELF_MODULE, pool_name, pool);
}
#endif

/** What a pool is created with. Start from described_shelf_params_default(). */
typedef struct described_shelf_params {
  /** A number. */
  int64_t factor_;
  /** `share`. */
  float share_;
  /** `exact`. */
  bool exact_;
  /** A text. Borrowed; null is empty. */
  const char *label_;
  /** `note`. Borrowed; null is empty. */
  const char *note_;
  /** `limit`. */
  uint64_t limit_;
  /** A pool on which it depends. Borrowed; null is empty. */
  const char *beside_;
} described_shelf_params;

/** The default parameters of a pool. Any thread. */
static inline described_shelf_params described_shelf_params_default(void) {
  described_shelf_params params;
  params.factor_ = -9223372036854775807 - 1;
  params.share_ = 0.25f;
  params.exact_ = true;
  params.label_ = "the \"label\"";
  params.note_ = "";
  params.limit_ = 18446744073709551615u;
  params.beside_ = "";
  return params;
}

/** Creates a pool with `containers` containers on this node, or finds it if it exists with the same
 * parameters, and stores its id. Errors: those of `chi_pool_create_with`, and `CHI_NO_SPACE`. Any
 * thread. */
static inline chi_status described_shelf_create(const char *pool_name, const described_shelf_params *params,
                                             uint32_t containers, chi_pool_id *pool) {
  chi_params bytes = chi_params_begin();
  chi_params_put(&bytes, &params->factor_, sizeof(params->factor_));
  chi_params_put(&bytes, &params->share_, sizeof(params->share_));
  chi_params_put(&bytes, &params->exact_, sizeof(params->exact_));
  chi_params_put_text(&bytes, params->label_);
  chi_params_put_text(&bytes, params->note_);
  chi_params_put(&bytes, &params->limit_, sizeof(params->limit_));
  chi_params_put_text(&bytes, params->beside_);
  return chi_params_create(&bytes, DESCRIBED_SHELF_MODULE, pool_name, containers, pool);
}

/** A part of a file. */
typedef struct described_shelf_extent {
  /** Where it begins. */
  uint64_t start_;
  /** `blocks`. */
  uint32_t blocks_;
  /** `sparse`. 0 or 1. */
  uint8_t sparse_;
  /** Padding; zero. */
  uint8_t reserved0_[3];
} described_shelf_extent;

/** A named part. */
typedef struct described_shelf_entry {
  /** Its name. */
  chi_shm_string name_;
  /** `extent`. */
  described_shelf_extent extent_;
  /** `data`. */
  chi_shm_vector data_;
  /** `weights`. Elements: float. */
  chi_shm_vector weights_;
  /** `kind`. */
  uint8_t kind_;
  /** Padding; zero. */
  uint8_t reserved0_[7];
} described_shelf_entry;

/** The source of a copy into a described_shelf_entry. The functions that take it borrow it. */
typedef struct described_shelf_entry_value {
  /** Its name. */
  const char *name_;
  /** `extent`. */
  described_shelf_extent extent_;
  /** `data`. */
  const void *data_;
  uint64_t data_size_;
  /** `weights`. */
  const float *weights_;
  uint64_t weights_count_;
  /** `kind`. */
  uint8_t kind_;
} described_shelf_entry_value;

/** Copies a value into a struct in a task or in one of a task's vectors. Errors: those of
 * `chi_vector_set`. Any thread. */
static inline chi_status described_shelf_entry_set(chi_task *task, described_shelf_entry *to,
                                               const described_shelf_entry_value *from) {
  to->extent_ = from->extent_;
  to->kind_ = from->kind_;
  chi_status status = chi_string_set(task, &to->name_, from->name_);
  if (status == CHI_OK) status = chi_vector_set(task, &to->data_, from->data_, from->data_size_);
  if (status == CHI_OK) status = chi_vector_set(task, &to->weights_, from->weights_, from->weights_count_ * sizeof(*from->weights_));
  return status;
}

/** Sets a vector of such structs to copies of the values. Otherwise like described_shelf_entry_set. */
static inline chi_status described_shelf_entry_set_all(chi_task *task, chi_shm_vector *vector,
                                                   const described_shelf_entry_value *from, uint64_t count) {
  chi_status status = chi_vector_elements(task, vector, count, sizeof(described_shelf_entry));
  described_shelf_entry *to = (described_shelf_entry *)vector->data_;
  for (uint64_t i = 0; status == CHI_OK && i < count; ++i) {
    status = described_shelf_entry_set(task, &to[i], &from[i]);
  }
  return status;
}

/** Sums up the bytes of every block. */
typedef struct described_shelf_sum_task {
  /** The header of the task. */
  chi_task task;
  /** In: What to sum up. */
  chi_shm_vector data_;
  /** In: Bytes of a block, not 0. */
  uint32_t block_size_;
  /** In: Whether the last block must be whole. 0 or 1. */
  uint8_t exact_;
  /** Padding; zero. */
  uint8_t reserved0_[3];
  /** Out: A sum for every block. Elements: uint64_t. */
  chi_shm_vector sums_;
} described_shelf_sum_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status described_shelf_sum_new(
    chi_pool_id pool, chi_domain_query query,
    const void *data, uint64_t data_size,
    uint32_t block_size,
    bool exact,
    described_shelf_sum_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, DESCRIBED_SHELF_SUM, &made);
  if (status != CHI_OK) return status;
  *task = (described_shelf_sum_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0xa4e2);
  (*task)->block_size_ = block_size;
  (*task)->exact_ = exact ? 1 : 0;
  status = chi_vector_set(made, &(*task)->data_, data, data_size);
  if (status != CHI_OK) {
    chi_task_delete(made);
    *task = NULL;
  }
  return status;
}

/** Gives everything back, some of it turned round. */
typedef struct described_shelf_turn_task {
  /** The header of the task. */
  chi_task task;
  /** In and out: `tiny`. */
  int8_t tiny_;
  /** Padding; zero. */
  uint8_t reserved0_[7];
  /** In and out: `wide`. */
  double wide_;
  /** In and out: `flag`. 0 or 1. */
  uint8_t flag_;
  /** In and out: `digest`. */
  uint8_t digest_[20];
  /** Padding; zero. */
  uint8_t reserved1_[3];
  /** In and out: `text`. */
  chi_shm_string text_;
  /** In and out: `data`. */
  chi_shm_vector data_;
  /** In and out: `extent`. */
  described_shelf_extent extent_;
  /** In and out: `entry`. */
  described_shelf_entry entry_;
  /** In and out: `extents`. Elements: described_shelf_extent. */
  chi_shm_vector extents_;
  /** In and out: `words`. Elements: chi_shm_string. */
  chi_shm_vector words_;
  /** In and out: `blobs`. Elements: chi_shm_vector. */
  chi_shm_vector blobs_;
  /** In and out: `rows`. Elements: chi_shm_vector. */
  chi_shm_vector rows_;
  /** In and out: `entries`. Elements: described_shelf_entry. */
  chi_shm_vector entries_;
  /** In and out: `pairs`. */
  described_shelf_extent pairs_[2];
} described_shelf_turn_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status described_shelf_turn_new(
    chi_pool_id pool, chi_domain_query query,
    int8_t tiny,
    double wide,
    bool flag,
    const uint8_t digest[20],
    const char *text,
    const void *data, uint64_t data_size,
    const described_shelf_extent *extent,
    const described_shelf_entry_value *entry,
    const described_shelf_extent *extents, uint64_t extents_count,
    const char *const *words, uint64_t words_count,
    const void *const *blobs, const uint64_t *blobs_sizes, uint64_t blobs_count,
    const int16_t *const *rows, const uint64_t *rows_counts, uint64_t rows_count,
    const described_shelf_entry_value *entries, uint64_t entries_count,
    const described_shelf_extent pairs[2],
    described_shelf_turn_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, DESCRIBED_SHELF_TURN, &made);
  if (status != CHI_OK) return status;
  *task = (described_shelf_turn_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0x65495);
  (*task)->tiny_ = tiny;
  (*task)->wide_ = wide;
  (*task)->flag_ = flag ? 1 : 0;
  memcpy((*task)->digest_, digest, sizeof((*task)->digest_));
  (*task)->extent_ = *extent;
  memcpy((*task)->pairs_, pairs, sizeof((*task)->pairs_));
  status = chi_string_set(made, &(*task)->text_, text);
  if (status == CHI_OK) status = chi_vector_set(made, &(*task)->data_, data, data_size);
  if (status == CHI_OK) status = described_shelf_entry_set(made, &(*task)->entry_, entry);
  if (status == CHI_OK) status = chi_vector_set(made, &(*task)->extents_, extents, extents_count * sizeof(*extents));
  if (status == CHI_OK) status = chi_strings_set(made, &(*task)->words_, words, words_count);
  if (status == CHI_OK) status = chi_vectors_set(made, &(*task)->blobs_, blobs, blobs_sizes, 1, blobs_count);
  if (status == CHI_OK) status = chi_vectors_set(made, &(*task)->rows_, (const void *const *)rows, rows_counts, sizeof(**rows), rows_count);
  if (status == CHI_OK) status = described_shelf_entry_set_all(made, &(*task)->entries_, entries, entries_count);
  if (status != CHI_OK) {
    chi_task_delete(made);
    *task = NULL;
  }
  return status;
}

/** Does nothing. */
typedef struct described_shelf_nothing_task {
  /** The header of the task. */
  chi_task task;
} described_shelf_nothing_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status described_shelf_nothing_new(
    chi_pool_id pool, chi_domain_query query,
    described_shelf_nothing_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, DESCRIBED_SHELF_NOTHING, &made);
  if (status != CHI_OK) return status;
  *task = (described_shelf_nothing_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0x48de6);
  return status;
}

/** Fails. */
typedef struct described_shelf_fail_task {
  /** The header of the task. */
  chi_task task;
  /** In: Whether by what nobody expects. 0 or 1. */
  uint8_t thrown_;
  /** Padding; zero. */
  uint8_t reserved0_[7];
  /** In: `why`. */
  chi_shm_string why_;
} described_shelf_fail_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status described_shelf_fail_new(
    chi_pool_id pool, chi_domain_query query,
    bool thrown,
    const char *why,
    described_shelf_fail_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, DESCRIBED_SHELF_FAIL, &made);
  if (status != CHI_OK) return status;
  *task = (described_shelf_fail_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0x6afe0);
  (*task)->thrown_ = thrown ? 1 : 0;
  status = chi_string_set(made, &(*task)->why_, why);
  if (status != CHI_OK) {
    chi_task_delete(made);
    *task = NULL;
  }
  return status;
}

/** Has the module in the other language sum up bytes, several times at once. */
typedef struct described_shelf_relay_task {
  /** The header of the task. */
  chi_task task;
  /** In: The name of the other module's pool. */
  chi_shm_string store_;
  /** In: `data`. */
  chi_shm_vector data_;
  /** In: How many sums are under way at once. */
  uint32_t width_;
  /** Padding; zero. */
  uint8_t reserved0_[4];
  /** In: Makes the other module fail with this message, if not empty. */
  chi_shm_string why_;
  /** Out: `sums`. Elements: uint64_t. */
  chi_shm_vector sums_;
} described_shelf_relay_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status described_shelf_relay_new(
    chi_pool_id pool, chi_domain_query query,
    const char *store,
    const void *data, uint64_t data_size,
    uint32_t width,
    const char *why,
    described_shelf_relay_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, DESCRIBED_SHELF_RELAY, &made);
  if (status != CHI_OK) return status;
  *task = (described_shelf_relay_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0x2e398);
  (*task)->width_ = width;
  status = chi_string_set(made, &(*task)->store_, store);
  if (status == CHI_OK) status = chi_vector_set(made, &(*task)->data_, data, data_size);
  if (status == CHI_OK) status = chi_string_set(made, &(*task)->why_, why);
  if (status != CHI_OK) {
    chi_task_delete(made);
    *task = NULL;
  }
  return status;
}

/** Says what the pool was created with. */
typedef struct described_shelf_settings_task {
  /** The header of the task. */
  chi_task task;
  /** Out: `factor`. */
  int64_t factor_;
  /** Out: `share`. */
  float share_;
  /** Out: `exact`. 0 or 1. */
  uint8_t exact_;
  /** Padding; zero. */
  uint8_t reserved0_[3];
  /** Out: `label`. */
  chi_shm_string label_;
  /** Out: `note`. */
  chi_shm_string note_;
  /** Out: `limit`. */
  uint64_t limit_;
} described_shelf_settings_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status described_shelf_settings_new(
    chi_pool_id pool, chi_domain_query query,
    described_shelf_settings_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, DESCRIBED_SHELF_SETTINGS, &made);
  if (status != CHI_OK) return status;
  *task = (described_shelf_settings_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0x6eb99);
  return status;
}

/** Sleeps. */
typedef struct described_shelf_pause_task {
  /** The header of the task. */
  chi_task task;
  /** In: How long. */
  uint32_t seconds_;
  /** Padding; zero. */
  uint8_t reserved0_[4];
} described_shelf_pause_task;

/** Creates a task with copies of the arguments. The caller submits it, and deletes it with
 * `chi_task_delete`. On an error (those of `chi_task_new` and `chi_vector_set`) there is no task to
 * delete. Any thread. */
static inline chi_status described_shelf_pause_new(
    chi_pool_id pool, chi_domain_query query,
    uint32_t seconds,
    described_shelf_pause_task **task) {
  chi_task *made = NULL;
  *task = NULL;
  chi_status status = chi_task_new(sizeof(**task), pool, query, DESCRIBED_SHELF_PAUSE, &made);
  if (status != CHI_OK) return status;
  *task = (described_shelf_pause_task *)(void *)made;
  made->status_ = (chi_status)(CHI_TASK_LAYOUT |
                               (uint32_t)(sizeof(**task) / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT | 0x7719e);
  (*task)->seconds_ = seconds;
  return status;
}

DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_extent) == 16, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_extent, start_) == 0, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_extent, blocks_) == 8, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_extent, sparse_) == 12, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_entry) == 144, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_entry, name_) == 0, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_entry, extent_) == 40, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_entry, data_) == 56, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_entry, weights_) == 96, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_entry, kind_) == 136, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_sum_task) == 152, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_sum_task, data_) == 64, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_sum_task, block_size_) == 104, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_sum_task, exact_) == 108, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_sum_task, sums_) == 112, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_turn_task) == 576, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, tiny_) == 64, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, wide_) == 72, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, flag_) == 80, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, digest_) == 81, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, text_) == 104, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, data_) == 144, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, extent_) == 184, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, entry_) == 200, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, extents_) == 344, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, words_) == 384, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, blobs_) == 424, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, rows_) == 464, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, entries_) == 504, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_turn_task, pairs_) == 544, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_nothing_task) == 64, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_fail_task) == 112, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_fail_task, thrown_) == 64, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_fail_task, why_) == 72, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_relay_task) == 232, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_relay_task, store_) == 64, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_relay_task, data_) == 104, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_relay_task, width_) == 144, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_relay_task, why_) == 152, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_relay_task, sums_) == 192, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_settings_task) == 168, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_settings_task, factor_) == 64, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_settings_task, share_) == 72, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_settings_task, exact_) == 76, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_settings_task, label_) == 80, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_settings_task, note_) == 120, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_settings_task, limit_) == 160, "offset differs from the other languages");
DESCRIBED_SHELF_ASSERT(sizeof(described_shelf_pause_task) == 72, "size differs from the other languages");
DESCRIBED_SHELF_ASSERT(offsetof(described_shelf_pause_task, seconds_) == 64, "offset differs from the other languages");

#undef DESCRIBED_SHELF_ASSERT
#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // DESCRIBED_SHELF_C_H_
