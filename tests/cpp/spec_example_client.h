/* The specification's listing of a client, with its obvious slips mended. */
#ifndef CHIMAERA_TESTS_SPEC_EXAMPLE_CLIENT_H_
#define CHIMAERA_TESTS_SPEC_EXAMPLE_CLIENT_H_

#include "spec_example_tasks.h"

// clang-format off
namespace example::spec_name {
class Client : public chi::ContainerClient {
  public:
    // Compress in a pool of spec_name
    void Compress(const hipc::MemContext &mctx,
                const chi::DomainQuery &dom_query) {
        // allocate the Compress
        auto *ipc_manager = CHI_IPC_MANAGER;
        hipc::FullPtr<CompressTask> task = AsyncCompress(mctx, dom_query);
        task->Wait();
        ipc_manager->DelTask<CompressTask>(task);
    }
    hipc::FullPtr<CompressTask> AsyncCompress(const hipc::MemContext &mctx,
                     const chi::DomainQuery &dom_query) {
        auto *ipc_manager = CHI_IPC_MANAGER;
        hipc::FullPtr<CompressTask> task = ipc_manager->NewTask<CompressTask>(
            mctx, chi::MakeTaskNode(), pool_id_, dom_query);
        ipc_manager->Enqueue(task);
        return task;
    }
};
}
// clang-format on

#endif  // CHIMAERA_TESTS_SPEC_EXAMPLE_CLIENT_H_
