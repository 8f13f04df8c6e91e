/* Finds the function tables that the running code must use. */
#ifndef CHIMAERA_CURRENT_H_
#define CHIMAERA_CURRENT_H_

#include <string>

#include "chimaera/abi.h"
#include "chimaera/error.h"
#include "chimaera/macros.h"

/* A program that does not get the table from libchimaera_client, for example a bridge to another
 * language, defines this as the name of its own function in the global namespace, which returns the
 * calling thread's table, or null. */
#ifdef CHIMAERA_IPC_FUNCTION
const chi_ipc *CHIMAERA_IPC_FUNCTION();
#else
#define CHIMAERA_IPC_FUNCTION chi_ipc_manager
#endif

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

/* The runtime that loaded this library as a module; null in an application. Set once, by
 * chi_module, before any other code of the module runs. */
CHI_HIDDEN inline const chi_host *g_host = nullptr;

/* The table for this thread, or null when it has none. */
inline const chi_ipc *FindIpc() noexcept {
  if (g_host != nullptr) return g_host->ipc(g_host);
#ifdef CHIMAERA_RUNTIME
  return nullptr;
#else
  return CHIMAERA_IPC_FUNCTION();
#endif
}

/* The table for this thread. */
inline const chi_ipc *CurrentIpc() {
  const chi_ipc *ipc = FindIpc();
  if (ipc == nullptr) {
    throw Error(CHI_UNAVAILABLE,
                "this thread has no IPC manager: it is not running a method of a module");
  }
  return ipc;
}

/* The runtime's extension with this id, or null when it does not have it. */
template <class Table>
const Table *FindExtension(const char *id) {
  if (g_host == nullptr) return nullptr;
  const auto *table = static_cast<const Table *>(g_host->extension(g_host, id));
  return table != nullptr && table->size >= sizeof(Table) ? table : nullptr;
}

/* Throws the error that a function of `ipc` reported, if any. */
inline void Check(const chi_ipc *ipc, chi_status status) {
  if (status != CHI_OK) throw Error(status, ipc->last_error(ipc));
}

/* Throws unless the runtime or client library that made a table is recent enough to have a
 * function.
 */
inline void Require(bool covered, const char *function) {
  if (!covered) {
    throw Error(CHI_VERSION, std::string("the runtime is too old for ") + function);
  }
}

}  // namespace detail
}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_CURRENT_H_
