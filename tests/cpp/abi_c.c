/* abi.h alone, in C11. */
#include "chimaera/abi.h"

_Static_assert(sizeof(chi_task) == 64, "a task's header is one cache line");
_Static_assert(sizeof(chi_shm_vector) == 40, "the size of a vector is fixed");
_Static_assert(sizeof(chi_shm_string) == sizeof(chi_shm_vector), "a string is a vector");
_Static_assert(CHI_MODULE_MAGIC == 0x0000646f4d696843, "the magic spells ChiMod");

/* A translation unit is not empty in C. */
typedef chi_status (*chi_init_fn)(const chi_client_options *);
