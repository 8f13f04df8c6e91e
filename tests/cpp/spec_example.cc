/* The listings of the specification as one module, with their obvious slips mended: runtime and
 * CHI_TASK_CC. The task is in spec_example_tasks.h, the client in spec_example_client.h, what the
 * YAML file generates in spec_example_methods.h and spec_example_lib_exec.h. */
#include "spec_example_client.h"
#include "spec_example_lib_exec.h"

// clang-format off
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
