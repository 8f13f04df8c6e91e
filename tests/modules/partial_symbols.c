/* A shared library that exports some of the contract: is_chimaera_task_ and get_module_name. */
#include <stdbool.h>

bool is_chimaera_task_ = true;

const char *get_module_name(void) { return "test:partial_symbols"; }
