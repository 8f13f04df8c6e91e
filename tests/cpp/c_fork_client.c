/* A C client that forks. Prints a line for every call of its child, and afterwards one for its own:
 * the name of the call, and the name of its status. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kv/kv_c.h"

static const chi_domain_query kQuery = {CHI_DOMAIN_DYNAMIC, 0};

static void Print(const char *call, chi_status status) {
  printf("%s %s\n", call, chi_status_name(status));
  fflush(stdout);
}

/* Puts a value and gets it. */
static chi_status PutAndGet(chi_pool_id pool) {
  chimaera_kv_put_task *put = NULL;
  chimaera_kv_get_task *get = NULL;
  chi_status status = chimaera_kv_put_new(pool, kQuery, "colour", "green", 5, &put);
  if (status == CHI_OK) status = chi_submit(&put->task);
  if (status == CHI_OK) status = chi_wait(&put->task, CHI_WAIT_FOREVER);
  if (status == CHI_OK) status = chimaera_kv_get_new(pool, kQuery, "colour", &get);
  if (status == CHI_OK) status = chi_submit(&get->task);
  if (status == CHI_OK) status = chi_wait(&get->task, CHI_WAIT_FOREVER);
  if (status == CHI_OK && get->value_.size_ != 5) status = CHI_INTERNAL;
  chi_task_delete(put == NULL ? NULL : &put->task);
  chi_task_delete(get == NULL ? NULL : &get->task);
  return status;
}

/* Makes every call that a child could make; `task` and `buffer` are the parent's. */
static void CallAll(chi_pool_id pool, chi_task *task, const chi_buffer *buffer) {
  const chi_ipc *ipc = chi_ipc_manager();
  chi_buffer fresh;
  chi_task *made = NULL;
  uint64_t length = 1;
  Print("init", chi_init(NULL));
  Print("pool_create", chi_pool_create(CHIMAERA_KV_MODULE, "child", NULL, 0, &pool));
  Print("pool_find", chi_pool_find("fork", &pool));
  Print("pool_destroy", chi_pool_destroy(pool));
  Print("task_new", chi_task_new(sizeof(chi_task), pool, kQuery, CHIMAERA_KV_COUNT, &made));
  Print("submit", chi_submit(task));
  Print("try_submit", chi_try_submit(task));
  Print("wait", chi_wait(task, CHI_WAIT_FOREVER));
  Print("alloc", chi_alloc(64, &fresh));
  Print("resolve", ipc->resolve(ipc, buffer->shm_) == NULL ? CHI_FORKED : CHI_OK);
  ipc->task_message(ipc, task, &length);
  Print("task_message", length == 0 ? CHI_FORKED : CHI_OK);
  /* These return nothing, and must have no effect. */
  chi_task_delete(task);
  chi_free(buffer);
  chi_shutdown();
}

int main(void) {
  chi_pool_id pool;
  chi_buffer buffer;
  chimaera_kv_count_task *count = NULL;
  chi_status status = chi_init(NULL);
  if (status == CHI_OK) status = chi_pool_create(CHIMAERA_KV_MODULE, "fork", NULL, 0, &pool);
  if (status == CHI_OK) status = PutAndGet(pool);
  if (status == CHI_OK) status = chi_alloc(4096, &buffer);
  if (status == CHI_OK) status = chimaera_kv_count_new(pool, kQuery, &count);
  if (status == CHI_OK) status = chi_submit(&count->task);
  if (status != CHI_OK) {
    fprintf(stderr, "%s\n", chi_last_error());
    return 1;
  }
  const pid_t child = fork();
  if (child == 0) {
    CallAll(pool, &count->task, &buffer);
    exit(0);
  }
  int ended = 0;
  if (child < 0 || waitpid(child, &ended, 0) != child) return 1;
  printf("child %d\n", WIFSIGNALED(ended) ? -WTERMSIG(ended) : WEXITSTATUS(ended));
  Print("parent_wait", chi_wait(&count->task, CHI_WAIT_FOREVER));
  printf("parent_count %llu\n", (unsigned long long)count->count_);
  chi_task_delete(&count->task);
  chi_free(&buffer);
  for (int i = 0; i < 100 && status == CHI_OK; ++i) status = PutAndGet(pool);
  Print("parent_calls", status);
  chi_shutdown();
  return 0;
}
