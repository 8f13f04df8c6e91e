// A hand-written Run and method table.
#include "own/own_tasks.h"

namespace hand::own {
class Runtime : public ContainerRuntime {
 public:
  void Run(chi::u32 method, FullPtr<Task> task, chi::RunContext &) override {
    if (method < CHI_METHOD_CUSTOM) return;
    FullPtr<CountTask>(task)->method_that_ran_ = method;
  }
};

void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(Method::kCreate, "kCreate", false, false);
  table.Add<chi::DestroyTask>(Method::kDestroy, "kDestroy", false, false);
  table.Add<CountTask>(Method::kFirst, "kFirst", false, false);
  table.Add<CountTask>(Method::kSecond, "kSecond", false, false);
}
}

CHI_TASK_CC(own)
