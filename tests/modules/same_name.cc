/* Another module of the name example:mod_name. */
#include "chimaera/chimaera.h"

namespace test::same_name {

class Runtime : public chi::ContainerRuntime {
 public:
  void Run(chi::u32, hipc::FullPtr<chi::Task> task, chi::RunContext &) override {
    task->Fail(CHI_FAILED, "this is the second example:mod_name");
  }
};

inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
  table.Add<chi::Task>(CHI_METHOD_CUSTOM, "kCompress", false, false);
}

}  // namespace test::same_name

CHI_TASK_CC(test::same_name::Runtime, "example:mod_name")
