/* A module in plain C that ends its process, or never comes back, where CHI_TEST_END says:
 * "constructor", "chi_module" or "name", a space, and "abort", "exit", "hang" or "talk". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chimaera/abi.h"

#define EXPORT __attribute__((visibility("default")))

static void Pass(const char *place) {
  const char *end = getenv("CHI_TEST_END");
  const size_t length = strlen(place);
  if (end == NULL || strncmp(end, place, length) != 0 || end[length] != ' ') return;
  const char *how = end + length + 1;
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "exit") == 0) exit(7);
  if (strcmp(how, "talk") == 0) puts("{\"refused\":\"by nobody\"}");
  while (strcmp(how, "hang") == 0) pause();
}

__attribute__((constructor)) static void AtLoad(void) { Pass("constructor"); }

EXPORT bool is_chimaera_task_ = true;

EXPORT const char *get_module_name(void) {
  Pass("name");
  return "test:ends";
}

EXPORT void *alloc_state(const chi_pool_id *pool_id, const char *pool_name) {
  (void)pool_id, (void)pool_name;
  return NULL;
}

EXPORT void *new_state(const chi_pool_id *pool_id, const char *pool_name) {
  return alloc_state(pool_id, pool_name);
}

EXPORT const chi_module_descriptor *chi_module(const chi_host *host) {
  (void)host;
  Pass("chi_module");
  static const chi_method methods[] = {{.number_ = CHI_METHOD_CUSTOM,
                                        .flags_ = CHI_METHOD_SUPPORTED,
                                        .name_ = "kNothing",
                                        .task_size_ = sizeof(chi_task)}};
  static const chi_module_descriptor descriptor = {.magic = CHI_MODULE_MAGIC,
                                                   .size = sizeof(chi_module_descriptor),
                                                   .abi_major = CHI_ABI_MAJOR,
                                                   .abi_minor = CHI_ABI_MINOR,
                                                   .language = CHI_LANG_C,
                                                   .sdk_version = "none",
                                                   .name = "test:ends",
                                                   .version = "1.0.0",
                                                   .n_methods = 1,
                                                   .method_stride = sizeof(chi_method),
                                                   .methods = methods,
                                                   .field_stride = sizeof(chi_field_layout)};
  return &descriptor;
}
