/* The version of the contract.
 * Generated from src/abi/version.rs by `make headers`; do not edit. */
#ifndef CHIMAERA_ABI_VERSION_H_
#define CHIMAERA_ABI_VERSION_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Major version of the contract. A module loads only into a runtime of the same major version.
#define CHI_ABI_MAJOR 1

// Minor version of the contract. It increases when a table, or a struct that begins with its size,
// grows; a module and a runtime with different minor versions use what both have.
#define CHI_ABI_MINOR 1

#endif  // CHIMAERA_ABI_VERSION_H_
