#include "greet/greet_tasks.h"

namespace hello::greet {

class Runtime : public chi::ContainerRuntime {
 public:
  void Greet(hipc::FullPtr<GreetTask> task, chi::RunContext &) {
    if (task->name_.empty()) throw chi::Error(CHI_INVALID, "nobody to greet");
    task->text_ = "Hello, " + task->name_.str() + "!";
  }

  void Run(chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) override {
    switch (method) {
      case CHI_METHOD_CREATE:
      case CHI_METHOD_DESTROY:
        return;
      case Method::kGreet:
        return Greet(hipc::FullPtr<GreetTask>(task), rctx);
      default:
        chi::ThrowNoMethod(method);
    }
  }
};

/** Which methods there are, and which task each has. The runtime learns the layouts from it. */
inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
  table.Add<chi::DestroyTask>(CHI_METHOD_DESTROY, "kDestroy", false, false);
  table.Add<GreetTask>(Method::kGreet, "kGreet", false, false);
}

}  // namespace hello::greet

CHI_TASK_CC(greet);
