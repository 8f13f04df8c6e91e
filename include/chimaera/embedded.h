/* A runtime inside the calling process, for tests and first steps: libchimaera_embedded.
 *
 *     chi_embedded *embedded;
 *     if (chi_embedded_start(NULL, &embedded) != CHI_OK) { ... chi_embedded_last_error() ... }
 *     chi_client_options options = {.size = sizeof(options)};
 *     options.instance = chi_embedded_instance(embedded);
 *     chi_init(&options);
 *     ...
 *     chi_shutdown();
 *     chi_embedded_stop(embedded);
 *
 * The client side is libchimaera_client, as with a daemon, and so is the way of a task: only the
 * process that keeps an application's tasks going after its crash is missing. */
#ifndef CHIMAERA_EMBEDDED_H_
#define CHIMAERA_EMBEDDED_H_

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A runtime in this process. Opaque. */
typedef struct chi_embedded chi_embedded;

/** What to start. Zero it, then set what matters. */
typedef struct chi_embedded_options {
  /** `sizeof(chi_embedded_options)`. */
  uint32_t size;
  /** Worker threads, up to 256. 0 takes one less than the cores that the process may use, at least
   * one. */
  uint32_t workers;
  /** The instance's name, by which other processes of this user may connect too. Null takes one
   * that nobody else has, and leaves no file behind. */
  const char *instance;
  /** Directories to scan for modules, separated by colons. Null takes `$CHI_REPO_PATH`, then
   * `$LD_LIBRARY_PATH`. */
  const char *module_path;
} chi_embedded_options;

/** Starts a runtime, and returns when it accepts clients. `options` may be null for the defaults;
 * what they point to is copied. On success `*embedded` is the caller's, to be ended with
 * `chi_embedded_stop`; otherwise it is null, and `chi_embedded_last_error` says why. The log goes
 * to standard error: warnings, or what `$CHI_LOG` says. The runtime handles SIGBUS, and passes on
 * what is not its own.
 * Errors: `CHI_EXISTS` (the instance runs already), `CHI_INVALID`, `CHI_IO`. `[any thread]` */
chi_status chi_embedded_start(const chi_embedded_options *options, chi_embedded **embedded);

/** The instance's name, for `chi_client_options.instance`. Never null, valid until
 * `chi_embedded_stop`. `[any thread]` */
const char *chi_embedded_instance(const chi_embedded *embedded);

/** Ends a runtime and frees it: tasks that run finish, those that have not started are cancelled,
 * and calls of connected clients end with `CHI_UNAVAILABLE`. Call `chi_shutdown` first in this
 * process. Waits at most 5 s for methods that do not return. Null is ignored. `[any thread]` */
void chi_embedded_stop(chi_embedded *embedded);

/** The message of the last call of this header that failed on this thread, never null. Valid until
 * the next one. `[any thread]` */
const char *chi_embedded_last_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_EMBEDDED_H_
