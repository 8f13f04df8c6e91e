/* A module whose task has strings and vectors at every depth. */
#include "nested_tasks.h"

#include <string>

namespace test::nested {

class Runtime : public chi::ContainerRuntime {
 public:
  void Run(chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &) override {
    if (method == CHI_METHOD_CREATE || method == CHI_METHOD_DESTROY) return;
    switch (method) {
      case Method::kSwap:
        Swap(hipc::FullPtr<SwapTask>(task));
        break;
      case Method::kHold:
        chi::Sleep(3'600'000'000'000);
        break;
      default:
        chi::ThrowNoMethod(method);
    }
  }

 private:
  static void Swap(hipc::FullPtr<SwapTask> task) {
    const hipc::Owner owner(task);
    chi::u64 sum = 0;
    for (const auto &pair : task->pairs_.CopyOut()) sum += pair.first + pair.second;
    for (std::size_t i = task->in_.size(); i-- > 0;) {
      const Row &from = task->in_[i];
      Row &to = task->out_.emplace_back();
      to.name_.assign(owner, from.name_);
      to.numbers_ = {from.numbers_.second, from.numbers_.first};
      for (std::size_t word = from.words_.size(); word-- > 0;) {
        to.words_.emplace_back(owner, from.words_[word].view());
      }
    }
    task->part_.number_ += sum;
    task->part_.text_ = task->part_.text_.str() + "!";
    task->plain_[1].assign(owner, "second");
  }
};

inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
  table.Add<chi::DestroyTask>(CHI_METHOD_DESTROY, "kDestroy", false, false);
  table.Add<SwapTask>(Method::kSwap, "kSwap", false, false);
  table.Add<SwapTask>(Method::kHold, "kHold", false, false);
}

}  // namespace test::nested

CHI_TASK_CC(test::nested::Runtime, "test:nested")
