/* Which table of functions the code that runs now shall use. */
#ifndef CHIMAERA_CURRENT_H_
#define CHIMAERA_CURRENT_H_

#include <string>

#include "chimaera/abi.h"
#include "chimaera/error.h"
#include "chimaera/macros.h"

/* A program that takes the table from elsewhere than libchimaera_client, a bridge to another
 * language say, defines this as the name of a function of its own, in the global namespace, that
 * gives the table of the thread that calls it, or null. */
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
                "this thread has no IPC manager: it does not run a method of a module");
  }
  return ipc;
}

/* The runtime's extension of this id, or null when it does not have it. */
template <class Table>
const Table *FindExtension(const char *id) {
  if (g_host == nullptr) return nullptr;
  const auto *table = static_cast<const Table *>(g_host->extension(g_host, id));
  return table != nullptr && table->size >= sizeof(Table) ? table : nullptr;
}

/* Throws what a function of `ipc` reported. */
inline void Check(const chi_ipc *ipc, chi_status status) {
  if (status != CHI_OK) throw Error(status, ipc->last_error(ipc));
}

/* Throws unless the runtime or client library that made a table is new enough for a function. */
inline void Require(bool covered, const char *function) {
  if (!covered) {
    throw Error(CHI_VERSION, std::string("the runtime is too old for ") + function);
  }
}

}  // namespace detail
}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_CURRENT_H_
