/* The error channel of the C++ layer: chi::Error. */
#ifndef CHIMAERA_ERROR_H_
#define CHIMAERA_ERROR_H_

#include <stdexcept>
#include <string>

#include "chimaera/abi.h"
#include "chimaera/macros.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** The name of a status as in abi.h, for example `"CHI_NO_POOL"`; `"CHI_STATUS"` for a status
 * defined by a module. Static storage. Any thread. */
inline const char *StatusName(chi_status status) noexcept {
  switch (status) {
#define CHI_STATUS_CASE(NAME, TEXT) \
  case NAME:                        \
    return #NAME;
    CHI_STATUSES(CHI_STATUS_CASE)
#undef CHI_STATUS_CASE
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
 * A method of a module throws it to end its task with a status of its choice. It is the only class
 * of this layer that is visible across libraries, so that an error from a client library can be
 * caught.
 */
class HSHM_DLL Error : public std::runtime_error {
 public:
  /** `status` is one of `CHI_*` other than `CHI_OK`, or a status defined by a module. An empty
   * `message` is replaced with the name of the status. */
  Error(chi_status status, const std::string &message)
      : std::runtime_error(message.empty() ? StatusName(status) : message), status_(status) {}

  /** The status. */
  chi_status status() const noexcept { return status_; }

 private:
  chi_status status_;
};

namespace detail {

/* A name for C, which would end at a zero byte. */
inline const char *Name(const std::string &name) {
  if (name.find('\0') != std::string::npos) {
    throw Error(CHI_INVALID, "a name contains a zero byte");
  }
  return name.c_str();
}

}  // namespace detail
}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_ERROR_H_
