/* Calls both modules from C. */
#include <stdio.h>
#include <stdlib.h>

#include "parts_c.h"
#include "shelf_c.h"

#define EXPECT(CONDITION)                                                                      \
  do {                                                                                         \
    if (!(CONDITION)) {                                                                        \
      fprintf(stderr, "line %d: %s is not so (%s)\n", __LINE__, #CONDITION, chi_last_error()); \
      exit(1);                                                                                 \
    }                                                                                          \
  } while (0)

static void call(chi_task *task, chi_status expected) {
  EXPECT(chi_submit(task) == CHI_OK);
  EXPECT(chi_wait(task, CHI_WAIT_FOREVER) == expected);
}

#define CALL(MODULE, NAME)                                                                        \
  static void call_##MODULE(const char *pool_name) {                                              \
    const chi_domain_query query = {CHI_DOMAIN_DYNAMIC, 0};                                       \
    chi_pool_id pool;                                                                             \
    EXPECT(chi_pool_create(NAME, pool_name, NULL, 0, &pool) == CHI_OK);                           \
    described_##MODULE##_sum_task *sum;                                                           \
    EXPECT(described_##MODULE##_sum_new(pool, query, "abcde", 5, 2, false, &sum) == CHI_OK);      \
    call(&sum->task, CHI_OK);                                                                     \
    const uint64_t *sums = sum->sums_.data_;                                                      \
    EXPECT(sum->sums_.size_ == 24 && sums[0] == 195 && sums[1] == 199 && sums[2] == 101);         \
    chi_task_delete(&sum->task);                                                                  \
    EXPECT(described_##MODULE##_sum_new(pool, query, "abcde", 5, 2, true, &sum) == CHI_OK);       \
    call(&sum->task, CHI_INVALID);                                                                \
    chi_task_delete(&sum->task);                                                                  \
    const uint8_t digest[20] = {1, 2};                                                            \
    const described_##MODULE##_extent extents[2] = {{1, 7, 0, {0}}, {2, 7, 0, {0}}};              \
    described_##MODULE##_turn_task *turn;                                                         \
    EXPECT(described_##MODULE##_turn_new(pool, query, -3, 1.25, true, digest, "text", "bytes", 5, \
                                         &extents[0], extents, 2, extents, &turn) == CHI_OK);     \
    call(&turn->task, CHI_OK);                                                                    \
    EXPECT(turn->tiny_ == 3 && turn->wide_ == 2.5 && turn->flag_ == 0);                           \
    EXPECT(turn->digest_[18] == 2 && turn->digest_[19] == 1);                                     \
    EXPECT(turn->text_.bytes_.size_ == 4 && memcmp(turn->text_.bytes_.data_, "txet", 4) == 0);    \
    EXPECT(turn->data_.size_ == 5 && memcmp(turn->data_.data_, "setyb", 5) == 0);                 \
    EXPECT(turn->extent_.start_ == 2 && turn->entry_.kind_ == 1);                                 \
    const described_##MODULE##_extent *turned = turn->extents_.data_;                             \
    EXPECT(turned[0].start_ == 2 && turned[1].start_ == 1);                                       \
    EXPECT(turn->pairs_[0].start_ == 2 && turn->pairs_[1].start_ == 1);                           \
    chi_task_delete(&turn->task);                                                                 \
  }

CALL(parts, DESCRIBED_PARTS_MODULE)
CALL(shelf, DESCRIBED_SHELF_MODULE)

int main(void) {
  chi_client_options options = {0};
  options.size = sizeof(options);
  EXPECT(chi_init(&options) == CHI_OK);
  call_parts("c_parts");
  call_shelf("c_shelf");
  chi_shutdown();
  return 0;
}
