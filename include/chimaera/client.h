/* chi::ContainerClient, the base of every module's client. */
#ifndef CHIMAERA_CLIENT_H_
#define CHIMAERA_CLIENT_H_

#include <string>
#include <string_view>

#include "chimaera/ipc_manager.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** Represents the module on the client's side: it knows its pool, and nothing more, so it can be
 * copied, and sent to another process or module with serialize. Any thread.
 *
 *     example::mod_name::Client client;
 *     client.Create(HSHM_MCTX, "my_compressor");
 *     std::string small = client.Compress(HSHM_MCTX, chi::DomainQuery::Dynamic(), large);
 */
class ContainerClient {
 public:
  PoolId pool_id_; /**< The unique name of a pool */

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(pool_id_);
  }

 protected:
  /** Submits the creation of a pool of so many containers on this node (1 to CHI_MAX_CONTAINERS).
   * The caller owns the task. */
  static hipc::FullPtr<CreateTask> AsyncCreatePool(const hipc::MemContext &mctx,
                                                   std::string_view module,
                                                   std::string_view pool_name,
                                                   std::string_view params = {},
                                                   u32 containers = 1) {
    return CHI_IPC_MANAGER->SubmitTask<CreateTask>(mctx, module, pool_name, params, containers);
  }

  /** Submits the destruction of a pool. The caller owns the task. */
  static hipc::FullPtr<DestroyTask> AsyncDestroyPool(const hipc::MemContext &mctx,
                                                     const PoolId &pool_id) {
    return CHI_IPC_MANAGER->SubmitTask<DestroyTask>(mctx, pool_id);
  }
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_CLIENT_H_
