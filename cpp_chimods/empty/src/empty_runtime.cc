/* The container of example:empty. */
#include "empty_lib_exec.h"

namespace example::empty {

class Runtime : public chi::ContainerRuntime {
 public:
  void Empty(hipc::FullPtr<EmptyTask>, chi::RunContext &) {}
};

}  // namespace example::empty

CHI_TASK_CC(empty);
