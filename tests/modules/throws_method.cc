/* A module whose methods throw, block, yield, and echo. */
#include "throws_method_tasks.h"

#include <time.h>

#include <stdexcept>

namespace test::throws_method {

class Runtime : public chi::ContainerRuntime {
 public:
  void Run(chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &) override {
    switch (method) {
      case CHI_METHOD_CREATE:
      case CHI_METHOD_DESTROY:
        return;
      case Method::kThrow:
        throw std::runtime_error("kThrow always throws");
      case Method::kThrowInt:
        throw 42;
      case Method::kSleep:
        return Sleep(hipc::FullPtr<NumberTask>(task)->value_);
      case Method::kEcho:
        return Echo(hipc::FullPtr<EchoTask>(task));
      case Method::kYield:
        return YieldOften(hipc::FullPtr<NumberTask>(task)->value_);
      default:
        chi::ThrowNoMethod(method);
    }
  }

 private:
  static void Sleep(chi::u64 ns) {
    timespec left{static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
    while (nanosleep(&left, &left) != 0) {
    }
  }
  static void Echo(hipc::FullPtr<EchoTask> task) { task->output_ = task->data_; }
  static void YieldOften(chi::u64 n) {
    for (chi::u64 i = 0; i < n; ++i) chi::Yield();
  }
};

inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
  table.Add<chi::DestroyTask>(CHI_METHOD_DESTROY, "kDestroy", false, false);
  table.Add<PlainTask>(Method::kThrow, "kThrow", false, false);
  table.Add<PlainTask>(Method::kThrowInt, "kThrowInt", false, false);
  table.Add<NumberTask>(Method::kSleep, "kSleep", false, false);
  table.Add<EchoTask>(Method::kEcho, "kEcho", false, false);
  table.Add<NumberTask>(Method::kYield, "kYield", false, false);
  table.AddUnsupported(Method::kUnsupported, "kUnsupported");
}

}  // namespace test::throws_method

CHI_TASK_CC(test::throws_method::Runtime, "test:throws_method")
