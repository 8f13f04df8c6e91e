/* Where a container of a durable pool keeps its files. Only in modules. */
#ifndef CHIMAERA_DIRECTORY_H_
#define CHIMAERA_DIRECTORY_H_

#include <cstdint>
#include <string>

#include "chimaera/current.h"
#include "chimaera/macros.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** The directory for the files of the container that is being created, or else that runs the
 * current task; empty if its pool is not durable. It exists from before `kCreate` until the pool is
 * destroyed, over all restarts of the runtime, which then removes it with what is in it. Empty,
 * too, in a runtime that has no durable pools. Throws `CHI_INVALID` if no container is being
 * created or runs a task. Thread: a worker.
 *
 *     void Create(hipc::FullPtr<CreateTask> task, chi::RunContext &) {
 *       const std::string directory = chi::Directory();
 *       if (!directory.empty()) log_.open(directory + "/log", std::ios::app);
 *     }
 */
inline std::string Directory() {
  static const auto *table = detail::FindExtension<chi_directory>(CHI_EXT_DIRECTORY);
  if (table == nullptr) return std::string();
  std::string path(255, '\0');
  std::uint64_t length = 0;
  /* A string has room for a zero behind its last character. */
  chi_status status = table->path(detail::g_host, path.data(), path.size() + 1, &length);
  if (status == CHI_NO_SPACE) {
    path.resize(length);
    status = table->path(detail::g_host, path.data(), path.size() + 1, &length);
  }
  if (status != CHI_OK) throw Error(status, "no container asks for its directory");
  path.resize(length);
  return path;
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_DIRECTORY_H_
