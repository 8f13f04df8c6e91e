/* A client of hello:shout. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_SHOUT_DESCRIBED_CLIENT_H_
#define HELLO_SHOUT_DESCRIBED_CLIENT_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "chimaera/chimaera.h"
#include "shout_described_tasks.h"

namespace hello::shout {

/** Calls the described methods of a pool. All calls throw chi::Error; any thread. */
class DescribedClient : public chi::ContainerClient {
 public:
  /** Create a pool of the module, with so many containers on this node, or find the one of this
   * name; stores its id. */
  void Create(const hipc::MemContext &mctx, const std::string &pool_name,
              std::string_view params = {}, chi::u32 containers = 1) {
    chi::OwnedTask<chi::CreateTask> task(AsyncCreate(mctx, pool_name, params, containers));
    task->Wait();
    task->ThrowIfFailed();
    pool_id_ = task->pool_id_;
  }
  /** The caller owns the task. */
  hipc::FullPtr<chi::CreateTask> AsyncCreate(const hipc::MemContext &mctx,
                                             const std::string &pool_name,
                                             std::string_view params = {},
                                             chi::u32 containers = 1) const {
    return AsyncCreatePool(mctx, "hello:shout", pool_name, params, containers);
  }

  /** Destroy the pool. */
  void Destroy(const hipc::MemContext &mctx) {
    chi::OwnedTask<chi::DestroyTask> task(AsyncDestroy(mctx));
    task->Wait();
    task->ThrowIfFailed();
    pool_id_ = chi::PoolId();
  }
  /** The caller owns the task. */
  hipc::FullPtr<chi::DestroyTask> AsyncDestroy(const hipc::MemContext &mctx) const {
    return AsyncDestroyPool(mctx, pool_id_);
  }

  /** Makes a text loud. */
  std::string Shout(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                    std::string_view text) const {
    auto pending = AsyncShout(mctx, dom_query, text);
    chi::OwnedTask<ShoutTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    return task->loud_.str();
  }
  /** The caller owns the task. */
  hipc::FullPtr<ShoutTask> AsyncShout(const hipc::MemContext &mctx,
                                      const chi::DomainQuery &dom_query,
                                      std::string_view text) const {
    return CHI_IPC_MANAGER->SubmitTask<ShoutTask>(mctx, pool_id_, dom_query, text);
  }
};

}  // namespace hello::shout

#endif  // HELLO_SHOUT_DESCRIBED_CLIENT_H_
