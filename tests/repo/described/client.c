/* Calls both modules from C. */
#include <string.h>

#include "expect.h"
#include "parts_c.h"
#include "shelf_c.h"

static const chi_domain_query kQuery = {CHI_DOMAIN_DYNAMIC, 0};

static void expect_bytes(const chi_shm_vector *got, const char *expected) {
  EXPECT(got->size_ == strlen(expected));
  EXPECT(got->size_ == 0 || memcmp(got->data_, expected, got->size_) == 0);
}

/* A text of LONG_SIZE bytes whose first byte differs from all others. */
static char *long_text(void) {
  char *text = malloc(LONG_SIZE + 1);
  EXPECT(text != NULL);
  memset(text, 'b', LONG_SIZE);
  text[0] = 'a';
  text[LONG_SIZE] = 0;
  return text;
}

#define STALE(MODULE) "client built from another description of described:" #MODULE " kSum; rebuild"

/* Both modules have the same tasks, but each has its own struct names. */
#define CALLS(MODULE, NAME)                                                                      \
  static void call_sum_##MODULE(chi_pool_id pool) {                                              \
    described_##MODULE##_sum_task *sum;                                                          \
    EXPECT(described_##MODULE##_sum_new(pool, kQuery, "abcde", 5, 2, false, &sum) == CHI_OK);    \
    expect_end(&sum->task, CHI_OK, NULL);                                                        \
    const uint64_t *sums = sum->sums_.data_;                                                     \
    EXPECT(sum->sums_.size_ == 24 && sums[0] == 195 && sums[1] == 199 && sums[2] == 101);        \
    chi_task_delete(&sum->task);                                                                 \
    EXPECT(described_##MODULE##_sum_new(pool, kQuery, NULL, 0, 2, true, &sum) == CHI_OK);        \
    expect_end(&sum->task, CHI_OK, NULL);                                                        \
    EXPECT(sum->sums_.size_ == 0);                                                               \
    chi_task_delete(&sum->task);                                                                 \
  }                                                                                              \
                                                                                                 \
  static void call_errors_##MODULE(chi_pool_id pool) {                                           \
    described_##MODULE##_sum_task *sum;                                                          \
    EXPECT(described_##MODULE##_sum_new(pool, kQuery, "abcde", 5, 2, true, &sum) == CHI_OK);     \
    expect_end(&sum->task, CHI_INVALID, "the last block is not whole");                          \
    chi_task_delete(&sum->task);                                                                 \
    EXPECT(described_##MODULE##_sum_new(pool, kQuery, "abcde", 5, 2, true, &sum) == CHI_OK);     \
    sum->task.status_ ^= 1; /* As in a client of another description. */                         \
    expect_end(&sum->task, CHI_VERSION, STALE(MODULE));                                          \
    chi_task_delete(&sum->task);                                                                 \
    described_##MODULE##_fail_task *fail;                                                        \
    EXPECT(described_##MODULE##_fail_new(pool, kQuery, false, TEXT, &fail) == CHI_OK);           \
    expect_end(&fail->task, CHI_MODULE_STATUS, TEXT);                                            \
    chi_task_delete(&fail->task);                                                                \
    EXPECT(described_##MODULE##_fail_new(pool, kQuery, true, TEXT, &fail) == CHI_OK);            \
    expect_end(&fail->task, CHI_FAILED, TEXT);                                                   \
    chi_task_delete(&fail->task);                                                                \
    chi_task *other;                                                                             \
    EXPECT(chi_task_new(sizeof(chi_task), pool, kQuery, 15, &other) == CHI_OK);                  \
    expect_end(other, CHI_UNSUPPORTED, "kOld");                                                  \
    chi_task_delete(other);                                                                      \
    EXPECT(chi_task_new(sizeof(chi_task), pool, kQuery, 99, &other) == CHI_OK);                  \
    expect_end(other, CHI_NO_METHOD, "99");                                                      \
    chi_task_delete(other);                                                                      \
  }                                                                                              \
                                                                                                 \
  static void call_turn_##MODULE(chi_pool_id pool) {                                             \
    char *text = long_text();                                                                    \
    const uint8_t digest[20] = {1, 2};                                                           \
    const described_##MODULE##_extent extents[2] = {{1, 7, 0, {0}}, {2, 7, 0, {0}}};             \
    const float weights[1] = {0.5f};                                                             \
    const described_##MODULE##_entry_value entries[3] = {                                        \
        {TEXT, extents[0], "data", 4, weights, 1, 1},                                            \
        {NULL, extents[1], NULL, 0, NULL, 0, 2},                                                 \
        {text, extents[1], text, LONG_SIZE, NULL, 0, 3}};                                        \
    const char *const words[4] = {"one", "", TEXT, text};                                        \
    const void *const blobs[2] = {"12", NULL};                                                   \
    const uint64_t blobs_sizes[2] = {2, 0};                                                      \
    const int16_t row[3] = {1, -2, 3};                                                           \
    const int16_t *const rows[2] = {row, NULL};                                                  \
    const uint64_t rows_counts[2] = {3, 0};                                                      \
    described_##MODULE##_turn_task *turn;                                                        \
    EXPECT(described_##MODULE##_turn_new(pool, kQuery, -3, 1.25, true, digest, text, "bytes", 5, \
                                         &extents[0], &entries[0], extents, 2, words, 4, blobs,  \
                                         blobs_sizes, 2, rows, rows_counts, 2, entries, 3,       \
                                         extents, &turn) == CHI_OK);                             \
    expect_end(&turn->task, CHI_OK, NULL);                                                       \
    EXPECT(turn->tiny_ == 3 && turn->wide_ == 2.5 && turn->flag_ == 0);                          \
    EXPECT(turn->digest_[18] == 2 && turn->digest_[19] == 1);                                    \
    const char *turned = turn->text_.bytes_.data_;                                               \
    EXPECT(turn->text_.bytes_.size_ == LONG_SIZE && turned[0] == 'b');                           \
    EXPECT(turned[LONG_SIZE - 1] == 'a');                                                        \
    expect_bytes(&turn->data_, "setyb");                                                         \
    EXPECT(turn->extent_.start_ == 2);                                                           \
    expect_bytes(&turn->entry_.name_.bytes_, TEXT "!");                                          \
    expect_bytes(&turn->entry_.data_, "atad");                                                   \
    const float *changed = turn->entry_.weights_.data_;                                          \
    EXPECT(turn->entry_.weights_.size_ == 8 && changed[0] == 0.5f && changed[1] == 1);           \
    EXPECT(turn->entry_.extent_.blocks_ == 8 && turn->entry_.kind_ == 2);                        \
    const described_##MODULE##_extent *got_extents = turn->extents_.data_;                       \
    EXPECT(turn->extents_.size_ == sizeof(extents));                                             \
    EXPECT(got_extents[0].start_ == 2 && got_extents[1].start_ == 1);                            \
    const chi_shm_string *got_words = turn->words_.data_;                                        \
    EXPECT(turn->words_.size_ == 4 * sizeof(chi_shm_string));                                    \
    expect_bytes(&got_words[0].bytes_, "eno");                                                   \
    expect_bytes(&got_words[1].bytes_, "");                                                      \
    EXPECT(got_words[2].bytes_.size_ == strlen(TEXT));                                           \
    EXPECT(got_words[3].bytes_.size_ == LONG_SIZE);                                              \
    const chi_shm_vector *got_blobs = turn->blobs_.data_;                                        \
    EXPECT(turn->blobs_.size_ == 2 * sizeof(chi_shm_vector));                                    \
    expect_bytes(&got_blobs[0], "21");                                                           \
    expect_bytes(&got_blobs[1], "");                                                             \
    const chi_shm_vector *got_rows = turn->rows_.data_;                                          \
    EXPECT(turn->rows_.size_ == 2 * sizeof(chi_shm_vector) && got_rows[0].size_ == 6);           \
    const int16_t *got_row = got_rows[0].data_;                                                  \
    EXPECT(got_row[0] == 3 && got_row[1] == -2 && got_row[2] == 1 && got_rows[1].size_ == 0);    \
    const described_##MODULE##_entry *got_entries = turn->entries_.data_;                        \
    EXPECT(turn->entries_.size_ == 3 * sizeof(*got_entries));                                    \
    expect_bytes(&got_entries[0].name_.bytes_, TEXT "!");                                        \
    expect_bytes(&got_entries[1].name_.bytes_, "!");                                             \
    expect_bytes(&got_entries[1].data_, "");                                                     \
    EXPECT(got_entries[1].weights_.size_ == 4 && got_entries[1].kind_ == 3);                     \
    EXPECT(got_entries[2].name_.bytes_.size_ == LONG_SIZE + 1);                                  \
    EXPECT(((const char *)got_entries[2].data_.data_)[LONG_SIZE - 1] == 'a');                    \
    EXPECT(turn->pairs_[0].start_ == 2 && turn->pairs_[1].start_ == 1);                          \
    chi_task_delete(&turn->task);                                                                \
    free(text);                                                                                  \
  }                                                                                              \
                                                                                                 \
  static void call_params_##MODULE(void) {                                                       \
    chi_pool_id pool;                                                                            \
    chi_pool_id same;                                                                            \
    described_##MODULE##_params params = described_##MODULE##_params_default();                  \
    EXPECT(params.factor_ == INT64_MIN && params.limit_ == UINT64_MAX);                          \
    params.factor_ = 7;                                                                          \
    params.exact_ = false;                                                                       \
    params.note_ = TEXT;                                                                         \
    EXPECT(described_##MODULE##_create("typed_" #MODULE, &params, 1, &pool) == CHI_OK);          \
    const char *text = "note=" TEXT ",factor=7,exact=false";                                     \
    EXPECT(chi_pool_create(NAME, "typed_" #MODULE, text, strlen(text), &same) == CHI_OK);        \
    EXPECT(same.major_ == pool.major_ && same.minor_ == pool.minor_);                            \
    same = (chi_pool_id){0, 0};                                                                  \
    EXPECT(described_##MODULE##_find_pool("typed_" #MODULE, &same) == CHI_OK);                   \
    EXPECT(same.major_ == pool.major_ && same.minor_ == pool.minor_);                            \
    EXPECT(described_##MODULE##_find_pool("nobody", &same) == CHI_NO_POOL);                      \
    EXPECT(described_##MODULE##_find_pool("admin", &same) == CHI_INVALID);                       \
    described_##MODULE##_settings_task *found;                                                   \
    EXPECT(described_##MODULE##_settings_new(pool, kQuery, &found) == CHI_OK);                   \
    expect_end(&found->task, CHI_OK, NULL);                                                      \
    EXPECT(found->factor_ == 7 && found->share_ == 0.25f && found->exact_ == 0);                 \
    expect_bytes(&found->label_.bytes_, "the \"label\"");                                        \
    expect_bytes(&found->note_.bytes_, TEXT);                                                    \
    chi_task_delete(&found->task);                                                               \
    params = described_##MODULE##_params_default();                                              \
    EXPECT(described_##MODULE##_create("typed_" #MODULE, &params, 1, &same) == CHI_EXISTS);      \
    EXPECT(described_##MODULE##_create("plain_" #MODULE, &params, 1, &pool) == CHI_OK);          \
    EXPECT(chi_pool_create(NAME, "plain_" #MODULE, NULL, 0, &same) == CHI_OK);                   \
    EXPECT(same.major_ == pool.major_ && same.minor_ == pool.minor_);                            \
  }                                                                                              \
                                                                                                 \
  static void call_##MODULE(const char *pool_name, const char *other) {                          \
    chi_pool_id pool;                                                                            \
    EXPECT(chi_pool_create(NAME, pool_name, NULL, 0, &pool) == CHI_OK);                          \
    call_sum_##MODULE(pool);                                                                     \
    call_errors_##MODULE(pool);                                                                  \
    call_turn_##MODULE(pool);                                                                    \
    described_##MODULE##_relay_task *relay;                                                      \
    EXPECT(described_##MODULE##_relay_new(pool, kQuery, other, "abc", 3, 3, NULL, &relay) ==     \
           CHI_OK);                                                                              \
    expect_end(&relay->task, CHI_OK, NULL);                                                      \
    const uint64_t *sums = relay->sums_.data_;                                                   \
    EXPECT(relay->sums_.size_ == 24 && sums[0] == 97 && sums[1] == 195 && sums[2] == 294);       \
    chi_task_delete(&relay->task);                                                               \
    EXPECT(described_##MODULE##_relay_new(pool, kQuery, other, "abc", 3, 3, TEXT, &relay) ==     \
           CHI_OK);                                                                              \
    expect_end(&relay->task, CHI_MODULE_STATUS, TEXT);                                           \
    chi_task_delete(&relay->task);                                                               \
  }

CALLS(parts, DESCRIBED_PARTS_MODULE)
CALLS(shelf, DESCRIBED_SHELF_MODULE)

int main(void) {
  chi_client_options options = {0};
  options.size = sizeof(options);
  EXPECT(chi_init(&options) == CHI_OK);
  call_parts("c_parts", "c_other_shelf");
  call_shelf("c_shelf", "c_other_parts");
  call_params_parts();
  call_params_shelf();
  chi_shutdown();
  return 0;
}
