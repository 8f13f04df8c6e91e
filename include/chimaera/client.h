/* chi::ContainerClient, the base of every module's client. */
#ifndef CHIMAERA_CLIENT_H_
#define CHIMAERA_CLIENT_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "chimaera/ipc_manager.h"
#include "chimaera/params.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** A client of a module's pool. It stores only the pool's id, so it can be copied, and sent to
 * another process or module with serialize. Any thread.
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
  /** Submits the creation of a pool with `containers` containers on this node (1 to
   * CHI_MAX_CONTAINERS). The caller owns the task. */
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

/** A client that can create and destroy pools of its module. `Self` is the class that derives from
 * this one; its `kModule` is the module's name. `P` is the struct of the pool's parameters, or
 * std::string_view when the parameters are arbitrary bytes. All calls throw chi::Error; any thread.
 *
 *     class Client : public chi::PoolClient<Client, Params> {
 *      public:
 *       static constexpr const char *kModule = "example:mod_name";
 *     };
 */
template <typename Self, typename P = std::string_view>
class PoolClient : public ContainerClient {
 public:
  /** Creates a pool with `containers` containers on this node, or finds the pool of this name when
   * it exists with the same parameters and number of containers. Stores its id in this client. */
  void Create(const hipc::MemContext &mctx, const std::string &pool_name, const P &params = P(),
              u32 containers = 1) {
    OwnedTask<CreateTask> task(AsyncCreate(mctx, pool_name, params, containers));
    Finish(task);
    pool_id_ = task->pool_id_;
  }
  /** Like Create, without waiting. The caller owns the task. */
  hipc::FullPtr<CreateTask> AsyncCreate(const hipc::MemContext &mctx, const std::string &pool_name,
                                        const P &params = P(), u32 containers = 1) const {
    if constexpr (std::is_same_v<P, std::string_view>) {
      return AsyncCreatePool(mctx, Self::kModule, pool_name, params, containers);
    } else {
      return AsyncCreatePool(mctx, Self::kModule, pool_name, ParamsToBytes(params), containers);
    }
  }

  /** Finds an existing pool by its name, whatever its parameters, and stores its id in this client.
   * Errors: `CHI_NO_POOL`; `CHI_INVALID` when the pool is of another module. */
  void FindPool(const hipc::MemContext &, const std::string &pool_name) {
    pool_id_ = CHI_IPC_MANAGER->FindPoolOf(Self::kModule, pool_name);
  }

  /** Destroys the pool. */
  void Destroy(const hipc::MemContext &mctx) {
    OwnedTask<DestroyTask> task(AsyncDestroy(mctx));
    Finish(task);
    pool_id_ = PoolId();
  }
  /** Like Destroy, without waiting. The caller owns the task. */
  hipc::FullPtr<DestroyTask> AsyncDestroy(const hipc::MemContext &mctx) const {
    return AsyncDestroyPool(mctx, pool_id_);
  }

 protected:
  /** Waits for a task, and throws its status and message if it failed. */
  template <typename TaskT>
  static void Finish(OwnedTask<TaskT> &task) {
    task->Wait();
    task->ThrowIfFailed();
  }
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_CLIENT_H_
