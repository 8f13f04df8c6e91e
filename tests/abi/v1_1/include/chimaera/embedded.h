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
 * The client side is libchimaera_client, and tasks take the same path as with a daemon. The only
 * difference: the runtime does not survive a crash of the application. */
#ifndef CHIMAERA_EMBEDDED_H_
#define CHIMAERA_EMBEDDED_H_

#include "chimaera/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A runtime in this process. Opaque. */
typedef struct chi_embedded chi_embedded;

/** Options for starting a runtime. Zero the struct, set `size`, then set the options that you need.
 * */
typedef struct chi_embedded_options {
  /** `sizeof(chi_embedded_options)`. */
  uint32_t size;
  /** Number of worker threads, at most 256. 0 means one less than the number of cores that the
   * process may use, but at least one. */
  uint32_t workers;
  /** Name of the instance, with which other processes of this user can connect too. Null means a
   * unique name; such an instance leaves no file behind. */
  const char *instance;
  /** Directories to scan for modules, separated by colons. Null means `$CHI_REPO_PATH`, then
   * `$LD_LIBRARY_PATH`. */
  const char *module_path;
} chi_embedded_options;

/** Starts a runtime, and returns once it accepts clients. `options` may be null for the defaults;
 * strings in it are copied. On success the caller owns `*embedded` and must pass it to
 * `chi_embedded_stop`; otherwise it is null, and `chi_embedded_last_error` says why. The log goes
 * to standard error, with warnings and errors unless `$CHI_LOG` sets another level (`error`,
 * `warn`, `info`, `debug` or `trace`; others are warned of). The runtime installs a handler for
 * SIGBUS, which passes signals that are not its own to the previous handler. Errors: `CHI_EXISTS`
 * (the instance is already running), `CHI_INVALID`, `CHI_IO`. `[any thread]`
 * */
chi_status chi_embedded_start(const chi_embedded_options *options, chi_embedded **embedded);

/** The instance's name, for `chi_client_options.instance`. Never null; valid until
 * `chi_embedded_stop`. `[any thread]` */
const char *chi_embedded_instance(const chi_embedded *embedded);

/** Stops a runtime and frees it. Tasks of clients are cancelled: those that have not started end at
 * once, running ones learn of it at their next wait. Then the pools are destroyed, and calls of
 * connected clients end with `CHI_UNAVAILABLE`. Call `chi_shutdown` in this process first. Waits at
 * most 10 s for tasks and pools to end; the log says what did not. Null is ignored. `[any thread]`
 */
void chi_embedded_stop(chi_embedded *embedded);

/** The message of the last function of this header that failed on this thread. Never null; valid
 * until the next failure. `[any thread]` */
const char *chi_embedded_last_error(void);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // CHIMAERA_EMBEDDED_H_
