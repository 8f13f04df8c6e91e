/* A C application with tasks other than simple calls: c_model MODULE. Prints a JSON line with the
 * status and the reason of a failure. */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "chimaera/abi.h"
#include "json.h"

/* ValueTask of tests/fixtures/model_tasks.h, and its methods. */
struct value_task {
  struct chi_task task;
  uint64_t value;
  uint64_t width;
  uint64_t result;
  chi_pool_id other;
};
enum { SLEEP = 10, TICK = 12, TICKS = 13, ASK = 15 };

static chi_pool_id pool;

static int done(chi_status status, const char *why) {
  printf("{\"status\":%d,", status);
  json_string("message", why, strlen(why));
  puts("}");
  return 0;
}

static struct value_task *make(uint32_t method, uint64_t value) {
  const chi_domain_query query = {CHI_DOMAIN_DYNAMIC, 0};
  struct chi_task *task = NULL;
  if (chi_task_new(sizeof(struct value_task), pool, query, method, &task) != CHI_OK) return NULL;
  struct value_task *made = (struct value_task *)task;
  made->value = value;
  return made;
}

/* Waits for a submitted task and deletes it. Returns its status. */
static chi_status end(struct value_task *task, uint64_t *result) {
  chi_status status = chi_wait(&task->task, CHI_WAIT_FOREVER);
  if (status == CHI_OK) status = task->task.status_;
  if (result != NULL) *result = task->result;
  chi_task_delete(&task->task);
  return status;
}

static chi_status run(struct value_task *task, uint64_t *result) {
  const chi_status status = chi_submit(&task->task);
  return status == CHI_OK ? end(task, result) : status;
}

static uint64_t ticks(void) {
  uint64_t result = 0;
  return run(make(TICKS, 0), &result) == CHI_OK ? result : UINT64_MAX;
}

/* Adds the value of a complete task to the sum, and deletes it. */
static void add_up(chi_task *task, void *sum) {
  if (task->status_ == CHI_OK) *(uint64_t *)sum += ((struct value_task *)task)->value;
  chi_task_delete(task);
}

#define EXPECT(CONDITION) \
  if (!(CONDITION)) return done(CHI_FAILED, #CONDITION)

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  char name[256];
  snprintf(name, sizeof(name), "c %s", argv[1]);
  chi_status status = chi_init(NULL);
  if (status == CHI_OK) status = chi_pool_create(argv[1], name, NULL, 0, &pool);
  if (status != CHI_OK) return done(status, chi_last_error());
  const struct chi_ipc *ipc = chi_ipc_manager();

  struct value_task *periodic = make(TICK, 0);
  periodic->task.task_flags_.bits_ |= CHI_TASK_PERIODIC;
  periodic->task.period_ns_ = 100000;
  EXPECT(chi_submit(&periodic->task) == CHI_OK);
  while (ticks() < 20) EXPECT(ipc->yield_now(ipc) == CHI_OK);
  EXPECT(!chi_is_complete(&periodic->task));
  EXPECT(ipc->cancel(ipc, &periodic->task) == CHI_OK);
  EXPECT(end(periodic, NULL) == CHI_CANCELLED);

  struct value_task *late = make(SLEEP, UINT64_MAX / 2);
  late->task.task_flags_.bits_ |= CHI_TASK_DEADLINE;
  late->task.period_ns_ = 5000000;
  EXPECT(run(late, NULL) == CHI_DEADLINE);

  const uint64_t before = ticks();
  for (int i = 0; i < 1000; ++i) {
    struct value_task *forgotten = make(TICK, 0);
    forgotten->task.task_flags_.bits_ |= CHI_TASK_FIRE_AND_FORGET;
    if (i % 2 != 0) forgotten->task.task_flags_.bits_ |= CHI_TASK_HIGH_LATENCY;
    EXPECT(chi_submit(&forgotten->task) == CHI_OK);
  }
  while (ticks() < before + 1000) EXPECT(ipc->sleep(ipc, 100000) == CHI_OK);

  struct value_task *asking = make(ASK, 0);
  EXPECT(chi_submit(&asking->task) == CHI_OK);
  EXPECT(ipc->cancel(ipc, &asking->task) == CHI_OK);
  EXPECT(end(asking, NULL) == CHI_CANCELLED);

  struct chi_task *batch[100];
  for (size_t i = 0; i < 100; ++i) batch[i] = &make(TICK, i % 2 * 1000)->task;
  uint64_t submitted = 0;
  EXPECT(ipc->enqueue_batch(ipc, batch, 100, &submitted) == CHI_OK && submitted == 100);
  EXPECT(ipc->wait_all(ipc, batch, 100, CHI_WAIT_FOREVER) == CHI_OK);
  for (size_t i = 0; i < 100; ++i) {
    EXPECT(batch[i]->status_ == CHI_OK);
    chi_task_delete(batch[i]);
  }
  EXPECT(ticks() == before + 1100);

  struct value_task *slow = make(SLEEP, UINT64_MAX / 2);
  struct chi_task *const patient[] = {&slow->task};
  EXPECT(ipc->enqueue_batch(ipc, patient, 1, &submitted) == CHI_OK);
  EXPECT(ipc->wait_all(ipc, patient, 1, 1000000) == CHI_TIMEOUT);
  EXPECT(ipc->cancel(ipc, &slow->task) == CHI_OK);
  EXPECT(end(slow, NULL) == CHI_CANCELLED);

  chi_task *const sleeps[] = {&make(SLEEP, UINT64_MAX / 2)->task, &make(SLEEP, 1000000)->task};
  EXPECT(ipc->enqueue_batch(ipc, sleeps, 2, &submitted) == CHI_OK);
  uint64_t first = 0;
  EXPECT(chi_wait_any(sleeps, 1, 1000000, &first) == CHI_TIMEOUT);
  EXPECT(chi_wait_any(sleeps, 2, CHI_WAIT_FOREVER, &first) == CHI_OK && first == 1);
  EXPECT(chi_wait_any(sleeps, 0, 0, &first) == CHI_INVALID);

  chi_completions *queue = NULL;
  EXPECT(chi_completions_new(0, &queue) == CHI_INVALID);
  EXPECT(chi_completions_new(100, &queue) == CHI_OK);
  EXPECT(chi_completions_add(queue, sleeps[0], &first) == CHI_OK);
  EXPECT(chi_completions_add(queue, sleeps[0], NULL) == CHI_BUSY);
  EXPECT(chi_completions_add(queue, sleeps[1], &submitted) == CHI_OK);
  chi_completed completed[4];
  uint32_t taken = 0;
  EXPECT(chi_completions_next(queue, completed, 4, &taken, 0) == CHI_OK && taken == 1);
  EXPECT(completed[0].task == sleeps[1] && completed[0].argument == &submitted);
  EXPECT(chi_completions_next(queue, completed, 4, &taken, 1000) == CHI_OK && taken == 0);
  EXPECT(chi_completions_remove(queue, sleeps[0]) == CHI_OK);
  EXPECT(chi_completions_remove(queue, sleeps[0]) == CHI_INVALID);
  EXPECT(ipc->cancel(ipc, sleeps[0]) == CHI_OK);
  EXPECT(end((struct value_task *)sleeps[0], NULL) == CHI_CANCELLED);
  chi_task_delete(sleeps[1]);
  struct value_task *idle = make(SLEEP, 0);
  EXPECT(chi_completions_add(queue, &idle->task, NULL) == CHI_INVALID);
  chi_task_delete(&idle->task);

  uint64_t sum = 0, called = 0, now = 0;
  chi_completion adds = {add_up, &sum};
  for (uint64_t i = 0; i < 100; ++i) {
    struct value_task *nap = make(SLEEP, i * 10000);
    EXPECT(chi_submit(&nap->task) == CHI_OK);
    EXPECT(chi_completions_add(queue, &nap->task, &adds) == CHI_OK);
  }
  struct pollfd polled = {chi_completions_descriptor(queue), POLLIN, 0};
  for (; called < 100; called += now) {
    EXPECT(poll(&polled, 1, 60000) == 1);
    EXPECT(chi_completions_run(queue, 0, &now) == CHI_OK);
  }
  EXPECT(sum == 99 * 100 / 2 * 10000);
  EXPECT(chi_completions_run(queue, 0, &now) == CHI_OK && now == 0);
  chi_completions_delete(queue);
  EXPECT(chi_pool_destroy(pool) == CHI_OK);
  return done(CHI_OK, "");
}
