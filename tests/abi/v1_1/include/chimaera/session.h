/* chi::Session: an application's connection to the runtime. */
#ifndef CHIMAERA_SESSION_H_
#define CHIMAERA_SESSION_H_

#include <string>

#include "chimaera/error.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** Connects this process to a runtime: `options.instance`, else `$CHI_INSTANCE`, else `default`.
 * Does nothing when the process is already connected. Any thread. Errors: `CHI_UNAVAILABLE`,
 * `CHI_DENIED`, `CHI_VERSION`, `CHI_FORKED`, `CHI_INVALID`, `CHI_IO`. */
inline void Init(const chi_client_options &options = chi_client_options{sizeof(chi_client_options),
                                                                        0, nullptr, 0, 0}) {
  const chi_status status = chi_init(&options);
  if (status != CHI_OK) throw Error(status, chi_last_error());
}

/** Ends the process's session. None of its tasks and buffers may be used afterwards. */
inline void Shutdown() noexcept { chi_shutdown(); }

/** Connects the process for the lifetime of this object. Make a single one, in `main`.
 *
 *     int main() {
 *       chi::Session session;
 *       example::mod_name::Client client;
 *       client.Create(HSHM_MCTX, "my_compressor");
 *     }
 */
class Session {
 public:
  /** Connects to `instance`; empty means `$CHI_INSTANCE`, else `default`. See Init. */
  explicit Session(const std::string &instance = std::string()) {
    chi_client_options options{};
    options.size = sizeof(options);
    options.instance = instance.empty() ? nullptr : detail::Name(instance);
    Init(options);
  }
  /** Connects with `options`. */
  explicit Session(const chi_client_options &options) { Init(options); }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;
  /** Ends the session. */
  ~Session() { Shutdown(); }
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_SESSION_H_
