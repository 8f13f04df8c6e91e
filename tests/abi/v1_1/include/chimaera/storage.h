/* What a container stores on its node. Only in modules. */
#ifndef CHIMAERA_STORAGE_H_
#define CHIMAERA_STORAGE_H_

#include "chimaera/current.h"
#include "chimaera/macros.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** Says that what the container that is being created stores is on this node, in a file or on a
 * device, so that it is worth nothing on another one. In a cluster, no other node makes the
 * container when this one is lost, until a person gives it up (`chimaera pool recover`), and to
 * move it, a copy of its state is taken. Elsewhere it changes nothing.
 *
 *     void Create(hipc::FullPtr<chi::CreateTask>, const Params &params, chi::RunContext &) {
 *       if (!params.path_.empty()) {
 *         chi::SetStorageLocal();
 *         file_.open(params.path_, std::ios::app);
 *       }
 *     }
 *
 * Throws `CHI_INVALID` if no container is being created. Thread: a worker. */
inline void SetStorageLocal() {
  static const auto *table = detail::FindExtension<chi_storage>(CHI_EXT_STORAGE);
  /* A runtime without it has no cluster that could move the container. */
  if (table == nullptr) return;
  const auto status = table->set_local(detail::g_host);
  if (status != CHI_OK) {
    throw Error(status, "no container is being created that stores something");
  }
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_STORAGE_H_
