#include <stdio.h>
#include <string.h>

#include "kv/kv_c.h"

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, chi_last_error());
  return 1;
}

int main(void) {
  const chi_domain_query query = {CHI_DOMAIN_DYNAMIC, 0};
  chi_pool_id pool;
  if (chi_init(NULL) != CHI_OK) return fail("connect");
  if (chi_pool_create(CHIMAERA_KV_MODULE, "colours", NULL, 0, &pool) != CHI_OK) {
    return fail("create a pool");
  }

  chimaera_kv_put_task *put;
  chi_status status = chimaera_kv_put_new(pool, query, "sky", "blue", strlen("blue"), &put);
  if (status == CHI_OK) status = chi_submit(&put->task);
  if (status == CHI_OK) status = chi_wait(&put->task, CHI_WAIT_FOREVER);
  if (status != CHI_OK) return fail("put");
  chi_task_delete(&put->task);

  chimaera_kv_get_task *get;
  status = chimaera_kv_get_new(pool, query, "sky", &get);
  if (status == CHI_OK) status = chi_submit(&get->task);
  if (status == CHI_OK) status = chi_wait(&get->task, CHI_WAIT_FOREVER);
  if (status != CHI_OK) return fail("get");
  printf("The sky is %.*s.\n", (int)get->value_.size_, (const char *)get->value_.data_);
  chi_task_delete(&get->task);

  chi_shutdown();
  return 0;
}
