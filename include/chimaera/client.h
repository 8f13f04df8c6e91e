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

/** A client that creates and destroys pools of its module: `Self`, which derives from this, says
 * which as `kModule`. `P` is the struct that they are created with, or std::string_view when they
 * take any bytes. All calls throw chi::Error; any thread.
 *
 *     class Client : public chi::PoolClient<Client, Params> {
 *      public:
 *       static constexpr const char *kModule = "example:mod_name";
 *     };
 */
template <typename Self, typename P = std::string_view>
class PoolClient : public ContainerClient {
 public:
  /** Create a pool of the module, with so many containers on this node, or find the one of this
   * name that was created the same way; stores its id. */
  void Create(const hipc::MemContext &mctx, const std::string &pool_name, const P &params = P(),
              u32 containers = 1) {
    OwnedTask<CreateTask> task(AsyncCreate(mctx, pool_name, params, containers));
    Finish(task);
    pool_id_ = task->pool_id_;
  }
  /** The caller owns the task. */
  hipc::FullPtr<CreateTask> AsyncCreate(const hipc::MemContext &mctx, const std::string &pool_name,
                                        const P &params = P(), u32 containers = 1) const {
    if constexpr (std::is_same_v<P, std::string_view>) {
      return AsyncCreatePool(mctx, Self::kModule, pool_name, params, containers);
    } else {
      return AsyncCreatePool(mctx, Self::kModule, pool_name, ParamsToBytes(params), containers);
    }
  }

  /** Destroy the pool. */
  void Destroy(const hipc::MemContext &mctx) {
    OwnedTask<DestroyTask> task(AsyncDestroy(mctx));
    Finish(task);
    pool_id_ = PoolId();
  }
  /** The caller owns the task. */
  hipc::FullPtr<DestroyTask> AsyncDestroy(const hipc::MemContext &mctx) const {
    return AsyncDestroyPool(mctx, pool_id_);
  }

 protected:
  /** Waits for a task, and throws what it failed of. */
  template <typename TaskT>
  static void Finish(OwnedTask<TaskT> &task) {
    task->Wait();
    task->ThrowIfFailed();
  }
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_CLIENT_H_
