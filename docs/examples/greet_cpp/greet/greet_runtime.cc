#include "greet_lib_exec.h"

namespace hello::greet {

class Runtime : public chi::ContainerRuntime {
 public:
  void Greet(hipc::FullPtr<GreetTask> task, chi::RunContext &) {
    if (task->name_.empty()) throw chi::Error(CHI_INVALID, "nobody to greet");
    task->text_ = "Hello, " + task->name_.str() + "!";
  }
};

}  // namespace hello::greet

CHI_TASK_CC(greet);
