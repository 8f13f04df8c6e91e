/* The listings of the specification as one module, with their obvious slips mended: client,
 * runtime, CHI_TASK_CC. The task is in spec_example_tasks.h, what the YAML file generates in
 * spec_example_methods.h and spec_example_lib_exec.h. */
#include "spec_example_lib_exec.h"

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

namespace example::spec_name {
class Runtime : public chi::ContainerRuntime {
 public:
   void Compress(hipc::FullPtr<CompressTask> task, chi::RunContext &rctx) {
     // Compress data
     last_ = task->pool_;
     last_worker_ = rctx.worker_id_;
   }
   void MonitorCompress(chi::MonitorModeId mode, hipc::FullPtr<CompressTask> task, chi::RunContext &rctx) {
     switch (mode) {
       case chi::MonitorModeId::kLocalSchedule:
         last_ = task->pool_;
         last_worker_ = rctx.worker_id_;
         return;
       default:
         return;
     }
   }

 private:
   chi::PoolId last_;
   chi::u32 last_worker_ = 0;
};
}

CHI_TASK_CC(spec_name);
