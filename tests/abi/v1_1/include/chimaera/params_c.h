/* Encoding of pool parameters in C, used by the generated <repo>_<module>_create. */
#ifndef CHIMAERA_PARAMS_C_H_
#define CHIMAERA_PARAMS_C_H_

#include <stdlib.h>
#include <string.h>

#include "chimaera/abi.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the format of parameters is little-endian: this processor is big-endian"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** A growing buffer of encoded parameters; docs/wire-format.md specifies the bytes. Freed by
 * chi_params_create. */
typedef struct chi_params {
  unsigned char *bytes;
  uint64_t size;
  uint64_t capacity;
  /** `CHI_NO_SPACE` after an allocation has failed. */
  chi_status status;
} chi_params;

/** Appends the bytes of a number or a bool. Any thread. */
static inline void chi_params_put(chi_params *params, const void *data, uint64_t size) {
  if (params->status != CHI_OK || size == 0) return;
  if (size > params->capacity - params->size) {
    const uint64_t capacity = 2 * params->capacity + size;
    unsigned char *bytes = (unsigned char *)realloc(params->bytes, capacity);
    if (bytes == NULL) {
      params->status = CHI_NO_SPACE;
      return;
    }
    params->bytes = bytes;
    params->capacity = capacity;
  }
  memcpy(params->bytes + params->size, data, size);
  params->size += size;
}

/** Appends a C string; null means an empty string. Any thread. */
static inline void chi_params_put_text(chi_params *params, const char *text) {
  const uint64_t size = text == NULL ? 0 : strlen(text);
  chi_params_put(params, &size, sizeof(size));
  chi_params_put(params, text, size);
}

/** Starts the encoding: the buffer contains only the format version. Any thread. */
static inline chi_params chi_params_begin(void) {
  const unsigned char version = 1;
  chi_params params = {NULL, 0, 0, CHI_OK};
  chi_params_put(&params, &version, 1);
  return params;
}

/** Creates a pool with the parameters, like chi_pool_create_with, and frees the buffer. Errors:
 * also `CHI_NO_SPACE`. Any thread. */
static inline chi_status chi_params_create(chi_params *params, const char *module,
                                           const char *pool_name, uint32_t containers,
                                           chi_pool_id *pool) {
  chi_status status = params->status;
  if (status == CHI_OK) {
    const chi_pool_options options = {sizeof(options), containers};
    status = chi_pool_create_with(module, pool_name, params->bytes, params->size, &options, pool);
  }
  free(params->bytes);
  params->bytes = NULL;
  return status;
}

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_PARAMS_C_H_
