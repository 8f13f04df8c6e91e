/* A module that calls another one through its client, from inside a method. */
#include "caller_tasks.h"

#include <string>
#include <vector>

#include "mod_name/mod_name_client.h"

namespace test::caller {

class Runtime : public chi::ContainerRuntime {
 public:
  void Run(chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &) override {
    if (method == CHI_METHOD_CREATE || method == CHI_METHOD_DESTROY) return;
    if (method != Method::kCall) chi::ThrowNoMethod(method);
    Call(hipc::FullPtr<CallTask>(task));
  }

 private:
  static void Call(hipc::FullPtr<CallTask> task) {
    using example::mod_name::CompressTask;
    const chi::DomainQuery query = chi::DomainQuery::Dynamic();
    const std::string bytes(task->data_.view());
    example::mod_name::Client client;
    client.Create(HSHM_MCTX, task->pool_name_.str());
    std::vector<chi::OwnedTask<CompressTask>> calls;
    for (chi::u32 i = 0; i < task->width_; ++i) {
      calls.emplace_back(client.AsyncCompress(HSHM_MCTX, query, bytes));
    }
    for (const chi::OwnedTask<CompressTask> &call : calls) {
      call->Wait();
      call->ThrowIfFailed();
      const std::string frame(call->output_.view());
      if (client.Decompress(HSHM_MCTX, query, frame, bytes.size()) == bytes) ++task->equal_;
    }
  }
};

inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
  table.Add<chi::DestroyTask>(CHI_METHOD_DESTROY, "kDestroy", false, false);
  table.Add<CallTask>(Method::kCall, "kCall", false, false);
}

}  // namespace test::caller

CHI_TASK_CC(test::caller::Runtime, "test:caller")
