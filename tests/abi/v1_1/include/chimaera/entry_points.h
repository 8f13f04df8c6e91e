/* The types of the functions that a ChiMod exports, for code that looks them up by name. */
#ifndef CHIMAERA_ENTRY_POINTS_H_
#define CHIMAERA_ENTRY_POINTS_H_

#include "chimaera/abi.h"

extern "C" {

/** `alloc_state`: constructs a container without initialising it; `init` of its `ops` does that.
 * Returns a `chi_container *`, which the caller must free with `destroy` of its `ops`; or null,
 * after passing the reason to `set_error` of the `chi_host` that `chi_module` got. */
typedef void *(*alloc_state_t)(const chi_pool_id *pool_id, const char *pool_name);

/** `new_state`: like `alloc_state`, but the container is initialised. */
typedef void *(*new_state_t)(const chi_pool_id *pool_id, const char *pool_name);

/** `get_module_name`: the module's name, `"example:mod_name"`. Static storage. */
typedef const char *(*get_module_name_t)(void);

}  // extern "C"

#endif  // CHIMAERA_ENTRY_POINTS_H_
