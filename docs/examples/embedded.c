#include <stdio.h>

#include "chimaera/embedded.h"
#include "kv/kv_c.h"

static chi_status run(chi_task *task) {
  const chi_status status = chi_submit(task);
  return status == CHI_OK ? chi_wait(task, CHI_WAIT_FOREVER) : status;
}

static chi_status use_the_runtime(void) {
  const chi_domain_query query = {CHI_DOMAIN_DYNAMIC, 0};
  chi_pool_id pool;
  chi_status status = chi_pool_create(CHIMAERA_KV_MODULE, "colours", NULL, 0, &pool);
  chimaera_kv_put_task *put = NULL;
  if (status == CHI_OK) status = chimaera_kv_put_new(pool, query, "snow", "white", 5, &put);
  if (status == CHI_OK) status = run(&put->task);
  chimaera_kv_get_task *get = NULL;
  if (status == CHI_OK) status = chimaera_kv_get_new(pool, query, "snow", &get);
  if (status == CHI_OK) status = run(&get->task);
  if (status == CHI_OK) {
    printf("The snow is %.*s.\n", (int)get->value_.size_, (const char *)get->value_.data_);
  }
  if (get != NULL) chi_task_delete(&get->task);
  if (put != NULL) chi_task_delete(&put->task);
  return status;
}

int main(void) {
  /* Modules come from CHI_REPO_PATH, and the instance is this program's own. */
  chi_embedded *embedded;
  if (chi_embedded_start(NULL, &embedded) != CHI_OK) {
    fprintf(stderr, "%s\n", chi_embedded_last_error());
    return 1;
  }
  chi_client_options options = {.size = sizeof(options)};
  options.instance = chi_embedded_instance(embedded);
  chi_status status = chi_init(&options);
  if (status == CHI_OK) status = use_the_runtime();
  if (status != CHI_OK) fprintf(stderr, "%s: %s\n", chi_status_name(status), chi_last_error());

  chi_shutdown();
  chi_embedded_stop(embedded);
  return status == CHI_OK ? 0 : 1;
}
