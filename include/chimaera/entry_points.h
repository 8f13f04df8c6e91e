/* The types of the functions that a ChiMod exports, for those who look them up by name. */
#ifndef CHIMAERA_ENTRY_POINTS_H_
#define CHIMAERA_ENTRY_POINTS_H_

#include "chimaera/abi.h"

extern "C" {

/** `alloc_state`: makes a container and stops there; `init` of its functions completes it. A
 * `chi_container *`, to be ended with `destroy` of its functions, or null: then the reason went to
 * the `set_error` of the `chi_host` that `chi_module` got before. */
typedef void *(*alloc_state_t)(const chi_pool_id *pool_id, const char *pool_name);

/** `new_state`: the same, completed. */
typedef void *(*new_state_t)(const chi_pool_id *pool_id, const char *pool_name);

/** `get_module_name`: the module's name, `"example:mod_name"`. Static storage. */
typedef const char *(*get_module_name_t)(void);

}  // extern "C"

#endif  // CHIMAERA_ENTRY_POINTS_H_
