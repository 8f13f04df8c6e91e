// A hand-written Run. The source does not include the generated dispatch, but the method table, the
// size and layout of the tasks, and the monitor still come from chimaera_mod.yaml.
#include <atomic>

#include "run/run_tasks.h"

namespace hand::run {
class Runtime : public ContainerRuntime {
 public:
  void Run(chi::u32 method, hipc::FullPtr<Task> task, chi::RunContext &rctx) override {
    switch (method) {
      case Method::kCreate:
      case Method::kDestroy: {
        break;
      }
      case Method::kCompress: {
        Compress(hipc::FullPtr<CompressTask>(task), rctx);
        break;
      }
      default: {
        chi::ThrowNoMethod(method);
      }
    }
  }
  void MonitorCompress(chi::MonitorModeId mode, hipc::FullPtr<CompressTask>, chi::RunContext &) {
    if (mode == chi::MonitorModeId::kLocalSchedule) ++monitored_;
  }

 private:
  void Compress(hipc::FullPtr<CompressTask> task, chi::RunContext &) {
    task->output_ = task->text_.str() + ", compressed";
    task->monitored_ = monitored_;
  }

  std::atomic<chi::u32> monitored_{0};
};
}

CHI_TASK_CC(hand::run::Runtime, "hand:run");
