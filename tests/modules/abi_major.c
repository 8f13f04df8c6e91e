/* A module in plain C that was built for the next major version of the contract. */
#include "chimaera/abi.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT bool is_chimaera_task_ = true;

EXPORT const char *get_module_name(void) { return "test:abi_major"; }

EXPORT void *alloc_state(const chi_pool_id *pool_id, const char *pool_name) {
  (void)pool_id, (void)pool_name;
  return NULL;
}

EXPORT void *new_state(const chi_pool_id *pool_id, const char *pool_name) {
  (void)pool_id, (void)pool_name;
  return NULL;
}

EXPORT const chi_module_descriptor *chi_module(const chi_host *host) {
  (void)host;
  static const chi_method methods[] = {{.number_ = CHI_METHOD_CUSTOM,
                                        .flags_ = CHI_METHOD_SUPPORTED,
                                        .name_ = "kNothing",
                                        .task_size_ = sizeof(chi_task)}};
  static const chi_module_descriptor descriptor = {.magic = CHI_MODULE_MAGIC,
                                                   .size = sizeof(chi_module_descriptor),
                                                   .abi_major = CHI_ABI_MAJOR + 1,
                                                   .abi_minor = 0,
                                                   .language = CHI_LANG_C,
                                                   .sdk_version = "none",
                                                   .name = "test:abi_major",
                                                   .version = "1.0.0",
                                                   .n_methods = 1,
                                                   .method_stride = sizeof(chi_method),
                                                   .methods = methods,
                                                   .field_stride = sizeof(chi_field_layout)};
  return &descriptor;
}
