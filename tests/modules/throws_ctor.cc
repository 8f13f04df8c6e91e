/* A module whose container cannot be constructed. */
#include <stdexcept>

#include "chimaera/chimaera.h"

namespace test::throws_ctor {

class Runtime : public chi::ContainerRuntime {
 public:
  Runtime() { throw std::runtime_error("the constructor of test:throws_ctor throws"); }
  void Run(chi::u32, hipc::FullPtr<chi::Task>, chi::RunContext &) override {}
};

inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
}

}  // namespace test::throws_ctor

CHI_TASK_CC(test::throws_ctor::Runtime, "test:throws_ctor")
