/* Compiles abi.h alone as C11. */
#include "chimaera/abi.h"

_Static_assert(sizeof(chi_task) == 64, "a task's header is one cache line");
_Static_assert(sizeof(chi_shm_vector) == 40, "the size of a vector is fixed");
_Static_assert(sizeof(chi_shm_string) == sizeof(chi_shm_vector), "a string is a vector");
_Static_assert(CHI_MODULE_MAGIC == 0x0000646f4d696843, "the magic spells ChiMod");

/* In C, a translation unit must not be empty. */
typedef chi_status (*chi_init_fn)(const chi_client_options *);
