/* Calls both modules from C. */
#include <string.h>

#include "expect.h"
#include "loom_tasks_c.h"
#include "press/press_c.h"

static const chi_domain_query kQuery = {CHI_DOMAIN_DYNAMIC, 0};

static void *new_task(size_t size, chi_pool_id pool, uint32_t method) {
  chi_task *task;
  EXPECT(chi_task_new((uint32_t)size, pool, kQuery, method, &task) == CHI_OK);
  return task;
}

static void expect_text(const chi_shm_string *got, const char *expected) {
  EXPECT(got->bytes_.size_ == strlen(expected));
  EXPECT(memcmp(got->bytes_.data_, expected, got->bytes_.size_) == 0);
}

/* Both modules have the same tasks, but each has its own struct names. */
#define CALLS(MODULE, SHOUTED)                                                                    \
  static void call_errors_##MODULE(chi_pool_id pool) {                                            \
    for (uint32_t thrown = 0; thrown < 2; ++thrown) {                                             \
      written_##MODULE##_fail_task *fail =                                                        \
          new_task(sizeof(*fail), pool, WRITTEN_##SHOUTED##_FAIL);                                \
      fail->thrown_ = thrown;                                                                     \
      EXPECT(chi_string_set(&fail->task, &fail->why_, TEXT) == CHI_OK);                           \
      expect_end(&fail->task, thrown ? CHI_FAILED : CHI_MODULE_STATUS, TEXT);                     \
      chi_task_delete(&fail->task);                                                               \
    }                                                                                             \
    chi_task *other = new_task(sizeof(chi_task), pool, 13);                                       \
    expect_end(other, CHI_UNSUPPORTED, "kOld");                                                   \
    chi_task_delete(other);                                                                       \
    other = new_task(sizeof(chi_task), pool, 99);                                                 \
    expect_end(other, CHI_NO_METHOD, "99");                                                       \
    chi_task_delete(other);                                                                       \
  }                                                                                               \
                                                                                                  \
  static void call_turn_##MODULE(chi_pool_id pool) {                                              \
    const char *const words[3] = {"one", "", TEXT};                                               \
    const written_##MODULE##_extent extents[2] = {{1, 7, 0}, {2, 8, 0}};                          \
    const float weights[1] = {0.5f};                                                              \
    written_##MODULE##_turn_task *turn = new_task(sizeof(*turn), pool, WRITTEN_##SHOUTED##_TURN); \
    chi_task *task = &turn->task;                                                                 \
    turn->total_ = 40;                                                                            \
    EXPECT(chi_string_set(task, &turn->text_, TEXT) == CHI_OK);                                   \
    EXPECT(chi_strings_set(task, &turn->words_, words, 3) == CHI_OK);                             \
    EXPECT(chi_vector_set(task, &turn->extents_, extents, sizeof(extents)) == CHI_OK);            \
    EXPECT(chi_string_set(task, &turn->entry_.name_, TEXT) == CHI_OK);                            \
    turn->entry_.extent_ = extents[0];                                                            \
    EXPECT(chi_vector_elements(task, &turn->entries_, UINT64_MAX, 16) == CHI_TOO_LARGE);          \
    EXPECT(chi_vector_elements(task, &turn->entries_, 2, sizeof(turn->entry_)) == CHI_OK);        \
    written_##MODULE##_entry *entries = turn->entries_.data_;                                     \
    EXPECT(chi_string_set(task, &entries[0].name_, "first") == CHI_OK);                           \
    EXPECT(chi_vector_set(task, &entries[0].weights_, weights, sizeof(weights)) == CHI_OK);       \
    expect_end(task, CHI_OK, NULL);                                                               \
    EXPECT(turn->total_ == 43);                                                                   \
    expect_text(&turn->text_, TEXT "!");                                                          \
    const chi_shm_string *got_words = turn->words_.data_;                                         \
    EXPECT(turn->words_.size_ == 3 * sizeof(*got_words));                                         \
    expect_text(&got_words[0], TEXT);                                                             \
    EXPECT(got_words[1].bytes_.size_ == 0);                                                       \
    expect_text(&got_words[2], "one");                                                            \
    const written_##MODULE##_extent *got_extents = turn->extents_.data_;                          \
    EXPECT(turn->extents_.size_ == sizeof(extents));                                              \
    EXPECT(got_extents[0].blocks_ == 8 && got_extents[1].blocks_ == 9);                           \
    expect_text(&turn->entry_.name_, TEXT "?");                                                   \
    EXPECT(turn->entry_.extent_.start_ == 2 && turn->entry_.weights_.size_ == sizeof(float));     \
    const written_##MODULE##_entry *got = turn->entries_.data_;                                   \
    EXPECT(turn->entries_.size_ == 2 * sizeof(*got));                                             \
    expect_text(&got[0].name_, "first?");                                                         \
    expect_text(&got[1].name_, "?");                                                              \
    const float *got_weights = got[0].weights_.data_;                                             \
    EXPECT(got[0].weights_.size_ == 2 * sizeof(float));                                           \
    EXPECT(got_weights[0] == 0.5f && got_weights[1] == 1);                                        \
    chi_task_delete(task);                                                                        \
  }                                                                                               \
                                                                                                  \
  static void call_##MODULE(const char *pool_name, const char *other) {                           \
    chi_pool_id pool;                                                                             \
    EXPECT(chi_pool_create(WRITTEN_##SHOUTED##_MODULE, pool_name, NULL, 0, &pool) == CHI_OK);     \
    call_errors_##MODULE(pool);                                                                   \
    call_turn_##MODULE(pool);                                                                     \
    for (int fails = 0; fails < 2; ++fails) {                                                     \
      written_##MODULE##_relay_task *relay =                                                      \
          new_task(sizeof(*relay), pool, WRITTEN_##SHOUTED##_RELAY);                              \
      relay->width_ = 2;                                                                          \
      EXPECT(chi_string_set(&relay->task, &relay->store_, other) == CHI_OK);                      \
      EXPECT(chi_string_set(&relay->task, &relay->text_, TEXT) == CHI_OK);                        \
      if (fails) EXPECT(chi_string_set(&relay->task, &relay->why_, TEXT) == CHI_OK);              \
      expect_end(&relay->task, fails ? CHI_MODULE_STATUS : CHI_OK, fails ? TEXT : NULL);          \
      const chi_shm_string *answers = relay->answers_.data_;                                      \
      EXPECT(fails || relay->answers_.size_ == 2 * sizeof(*answers));                             \
      if (!fails) expect_text(&answers[1], TEXT "1!");                                            \
      chi_task_delete(&relay->task);                                                              \
    }                                                                                             \
  }

CALLS(press, PRESS)
CALLS(loom, LOOM)

int main(void) {
  chi_client_options options = {0};
  options.size = sizeof(options);
  EXPECT(chi_init(&options) == CHI_OK);
  call_press("c_press", "c_other_loom");
  call_loom("c_loom", "c_other_press");
  chi_shutdown();
  return 0;
}
