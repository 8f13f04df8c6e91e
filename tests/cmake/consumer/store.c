/* The client of the built-in store, from C. */
#include <stdio.h>

#include "kv/kv_c.h"

int main(void) {
  chi_pool_id pool;
  chi_status status = chi_init(NULL);
  if (status == CHI_OK) {
    status = chi_pool_create(CHIMAERA_KV_MODULE, "consumer_store", NULL, 0, &pool);
  }
  printf("%s\n", status == CHI_OK ? "created" : chi_last_error());
  chi_shutdown();
  return status == CHI_OK ? 0 : 1;
}
