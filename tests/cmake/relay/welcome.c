/* Has relay:polite greet the name stored under a key of chimaera:kv, from C. */
#include <stdio.h>
#include <stdlib.h>

#include "kv/kv_c.h"
#include "polite_c.h"

static void check(chi_status status) {
  if (status == CHI_OK) return;
  fprintf(stderr, "%s: %s\n", chi_status_name(status), chi_last_error());
  exit(1);
}

static void call(chi_task *task) {
  check(chi_submit(task));
  check(chi_wait(task, CHI_WAIT_FOREVER));
}

int main(void) {
  const chi_domain_query query = {CHI_DOMAIN_DYNAMIC, 0};
  chi_pool_id guests;
  chi_pool_id host;
  check(chi_init(NULL));
  check(chi_pool_create(CHIMAERA_KV_MODULE, "guests", NULL, 0, &guests));
  check(chi_pool_create(RELAY_POLITE_MODULE, "host", NULL, 0, &host));

  chimaera_kv_put_task *put;
  check(chimaera_kv_put_new(guests, query, "second", "Bob", 3, &put));
  call(&put->task);
  chi_task_delete(&put->task);

  chimaera_kv_get_task *get;
  check(chimaera_kv_get_new(guests, query, "second", &get));
  call(&get->task);
  char guest[16] = "";
  memcpy(guest, get->value_.data_, get->value_.size_ < 15 ? get->value_.size_ : 15);
  chi_task_delete(&get->task);

  relay_polite_welcome_task *welcome;
  check(relay_polite_welcome_new(host, query, guest, 2, &welcome));
  call(&welcome->task);
  const uint64_t *lengths = welcome->lengths_.data_;
  printf("%.*s%d\n", (int)welcome->text_.bytes_.size_, (const char *)welcome->text_.bytes_.data_,
         (int)lengths[1]);
  chi_task_delete(&welcome->task);
  chi_shutdown();
  return 0;
}
