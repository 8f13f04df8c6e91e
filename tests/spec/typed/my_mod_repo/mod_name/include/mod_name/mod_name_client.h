// added(includes) {
#pragma once
#include "mod_name/mod_name_tasks.h"
// } added
namespace example::mod_name {
class Client : public ContainerClient {
  public:
    // Create a pool of mod_name
    void Compress(const hipc::MemContext &mctx,
                const chi::DomainQuery &dom_query) {
        // allocate the Create
        auto *ipc_manager = CHI_IPC_MANAGER;
        hipc::FullPtr<CompressTask> task = AsyncCompress(mctx, dom_query); // slip(async)
        task->Wait();
        ipc_manager->DelTask<CompressTask>(task);
    }
    hipc::FullPtr<CompressTask> AsyncCompress(const hipc::MemContext &mctx, // slip(async)
                     const chi::DomainQuery &dom_query) {
        auto *ipc_manager = CHI_IPC_MANAGER;
        FullPtr<CompressTask> task = ipc_manager->NewTask<CompressTask>(mctx, pool_id_, dom_query); // slip(arguments)
        ipc_manager->Enqueue(task);
        // added(async) {
        return task;
        // } added
    }
    // added(create) {
    void Create(const hipc::MemContext &mctx, const std::string &pool_name) {
        hipc::FullPtr<CreateTask> task = AsyncCreatePool(mctx, "example:mod_name", pool_name);
        task->Wait();
        pool_id_ = task->pool_id_;
        CHI_IPC_MANAGER->DelTask(task);
    }
    // } added
}; // slip(semicolon)
}
