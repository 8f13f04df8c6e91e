/* The container of relay:polite. */
#include "greet/greet_client.h"
#include "polite_lib_exec.h"

namespace relay::polite {

class Runtime : public chi::ContainerRuntime {
 public:
  void Welcome(hipc::FullPtr<WelcomeTask> task, chi::RunContext &) {
    hello::greet::Client greeter;
    greeter.Create(HSHM_MCTX, pool_name_ + "_greeter");
    std::string text;
    for (chi::u32 i = 0; i < task->times_; ++i) {
      const std::string greeting =
          greeter.Greet(HSHM_MCTX, chi::DomainQuery::Dynamic(), task->guest_.str());
      task->lengths_.push_back(greeting.size());
      text += greeting;
    }
    task->text_ = text;
  }
};

}  // namespace relay::polite

CHI_TASK_CC(polite);
