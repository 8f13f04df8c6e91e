/* The error channel of the C++ layer: chi::Error. */
#ifndef CHIMAERA_ERROR_H_
#define CHIMAERA_ERROR_H_

#include <stdexcept>
#include <string>

#include "chimaera/abi.h"
#include "chimaera/macros.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** The name of a status as abi.h has it, `"CHI_NO_POOL"`; `"CHI_STATUS"` for a module's own.
 * Static storage. Any thread. */
inline const char *StatusName(chi_status status) noexcept {
  switch (status) {
    case CHI_OK:
      return "CHI_OK";
    case CHI_FAILED:
      return "CHI_FAILED";
    case CHI_INVALID:
      return "CHI_INVALID";
    case CHI_NO_POOL:
      return "CHI_NO_POOL";
    case CHI_NO_METHOD:
      return "CHI_NO_METHOD";
    case CHI_UNSUPPORTED:
      return "CHI_UNSUPPORTED";
    case CHI_NO_MODULE:
      return "CHI_NO_MODULE";
    case CHI_EXISTS:
      return "CHI_EXISTS";
    case CHI_NO_SPACE:
      return "CHI_NO_SPACE";
    case CHI_TOO_LARGE:
      return "CHI_TOO_LARGE";
    case CHI_RING_FULL:
      return "CHI_RING_FULL";
    case CHI_TIMEOUT:
      return "CHI_TIMEOUT";
    case CHI_UNAVAILABLE:
      return "CHI_UNAVAILABLE";
    case CHI_DENIED:
      return "CHI_DENIED";
    case CHI_VERSION:
      return "CHI_VERSION";
    case CHI_FORKED:
      return "CHI_FORKED";
    case CHI_NOT_INITIALIZED:
      return "CHI_NOT_INITIALIZED";
    case CHI_CANCELLED:
      return "CHI_CANCELLED";
    case CHI_NOT_FOUND:
      return "CHI_NOT_FOUND";
    case CHI_IO:
      return "CHI_IO";
    case CHI_BUSY:
      return "CHI_BUSY";
    case CHI_INTERNAL:
      return "CHI_INTERNAL";
    case CHI_DEADLINE:
      return "CHI_DEADLINE";
    case CHI_DEADLOCK:
      return "CHI_DEADLOCK";
    case CHI_FAULT:
      return "CHI_FAULT";
    default:
      return "CHI_STATUS";
  }
}

/** A call or a task that failed: a status, and a message that says why.
 *
 *     try {
 *       client.Get(HSHM_MCTX, query, "missing");
 *     } catch (const chi::Error &error) {
 *       if (error.status() != CHI_NOT_FOUND) throw;
 *     }
 *
 * A method of a module throws it to end its task with a status of its choice. It is the one class
 * of this layer that is visible across libraries, so that a client library's can be caught. */
class HSHM_DLL Error : public std::runtime_error {
 public:
  /** `status` is one of `CHI_*`, not `CHI_OK`, or a module's own. An empty `message` becomes the
   * status's name. */
  Error(chi_status status, const std::string &message)
      : std::runtime_error(message.empty() ? StatusName(status) : message), status_(status) {}

  /** The status. */
  chi_status status() const noexcept { return status_; }

 private:
  chi_status status_;
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_ERROR_H_
