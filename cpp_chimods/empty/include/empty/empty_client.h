/* The client of example:empty. */
#ifndef EXAMPLE_EMPTY_CLIENT_H_
#define EXAMPLE_EMPTY_CLIENT_H_

#include <string>

#include "chimaera/chimaera.h"
#include "empty/empty_tasks.h"

namespace example::empty {

/** The module's name. Defined in the library example::empty_client. */
HSHM_DLL extern const char *const kModuleName;

/** Sends tasks that do nothing, so that only the cost of the round trip remains. Throws chi::Error;
 * any thread. */
class Client : public chi::ContainerClient {
 public:
  /** Create a pool of empty, or find the pool of this name. Stores its id. */
  void Create(const hipc::MemContext &mctx, const std::string &pool_name) {
    chi::OwnedTask<CreateTask> task(AsyncCreate(mctx, pool_name));
    task->Wait();
    task->ThrowIfFailed();
    pool_id_ = task->pool_id_;
  }
  hipc::FullPtr<CreateTask> AsyncCreate(const hipc::MemContext &mctx,
                                        const std::string &pool_name) {
    return AsyncCreatePool(mctx, kModuleName, pool_name);
  }

  /** Does nothing, in the runtime. */
  void Empty(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) {
    chi::OwnedTask<EmptyTask> task(AsyncEmpty(mctx, dom_query));
    task->Wait();
    task->ThrowIfFailed();
  }
  /** The caller owns the task. */
  hipc::FullPtr<EmptyTask> AsyncEmpty(const hipc::MemContext &mctx,
                                      const chi::DomainQuery &dom_query) {
    return CHI_IPC_MANAGER->SubmitTask<EmptyTask>(mctx, pool_id_, dom_query);
  }
};

}  // namespace example::empty

#endif  // EXAMPLE_EMPTY_CLIENT_H_
