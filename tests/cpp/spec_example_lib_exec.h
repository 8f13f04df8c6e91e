/* What the generator makes of the YAML file of spec_example.cc's module: its dispatch. */
#ifndef CHIMAERA_TESTS_SPEC_EXAMPLE_LIB_EXEC_H_
#define CHIMAERA_TESTS_SPEC_EXAMPLE_LIB_EXEC_H_

#include "chimaera/chimaera.h"
#include "spec_example_tasks.h"

namespace example::spec_name {

using CreateTask = chi::CreateTask;

CHI_METHOD_HOOKS(Create, CreateTask);
CHI_METHOD_HOOKS(Compress, CompressTask);

template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return runtime.Create(hipc::FullPtr<CreateTask>(task), rctx);
    case Method::kCompress:
      return runtime.Compress(hipc::FullPtr<CompressTask>(task), rctx);
    default:
      chi::ThrowNoMethod(method);
  }
}

template <typename RuntimeT>
void Monitor(RuntimeT &runtime, chi::MonitorModeId mode, chi::u32 method,
             hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return CreateHooks<RuntimeT>::Monitor(runtime, mode, hipc::FullPtr<CreateTask>(task), rctx);
    case Method::kCompress:
      return CompressHooks<RuntimeT>::Monitor(runtime, mode, hipc::FullPtr<CompressTask>(task),
                                              rctx);
    default:
      chi::ThrowNoMethod(method);
  }
}

template <typename RuntimeT>
void Del(RuntimeT &runtime, const hipc::MemContext &, chi::u32 method,
         hipc::FullPtr<chi::Task> task) {
  switch (method) {
    case Method::kCreate:
      return CreateHooks<RuntimeT>::Del(runtime, hipc::FullPtr<CreateTask>(task));
    case Method::kCompress:
      return CompressHooks<RuntimeT>::Del(runtime, hipc::FullPtr<CompressTask>(task));
    default:
      chi::ThrowNoMethod(method);
  }
}

template <typename RuntimeT>
void DescribeMethods(chi::MethodTable &table, const RuntimeT *) {
  table.Add<CreateTask>(Method::kCreate, "kCreate", CreateHooks<RuntimeT>::kMonitor,
                        CreateHooks<RuntimeT>::kDel);
  table.Add<CompressTask>(Method::kCompress, "kCompress", CompressHooks<RuntimeT>::kMonitor,
                          CompressHooks<RuntimeT>::kDel);
}

}  // namespace example::spec_name

#endif  // CHIMAERA_TESTS_SPEC_EXAMPLE_LIB_EXEC_H_
