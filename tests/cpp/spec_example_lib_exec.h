/* What the generator makes of the YAML file of spec_example.cc's module: its dispatch. */
#ifndef CHIMAERA_TESTS_SPEC_EXAMPLE_LIB_EXEC_H_
#define CHIMAERA_TESTS_SPEC_EXAMPLE_LIB_EXEC_H_

#include "chimaera/chimaera.h"
#include "spec_example_tasks.h"

namespace example::spec_name {

CHI_METHOD_HOOKS(Create, chi::CreateTask);
CHI_METHOD_HOOKS(NodeFailure, chi::NodeFailureTask);
CHI_METHOD_HOOKS(Recover, chi::RecoverTask);
CHI_METHOD_HOOKS(Migrate, chi::MigrateTask);
CHI_METHOD_HOOKS(Upgrade, chi::UpgradeTask);
CHI_METHOD_HOOKS(Compress, CompressTask);

template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return runtime.Create(hipc::FullPtr<chi::CreateTask>(task), rctx);
    case Method::kNodeFailure:
      return runtime.NodeFailure(hipc::FullPtr<chi::NodeFailureTask>(task), rctx);
    case Method::kRecover:
      return runtime.Recover(hipc::FullPtr<chi::RecoverTask>(task), rctx);
    case Method::kMigrate:
      return runtime.Migrate(hipc::FullPtr<chi::MigrateTask>(task), rctx);
    case Method::kUpgrade:
      return runtime.Upgrade(hipc::FullPtr<chi::UpgradeTask>(task), rctx);
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
      return CreateHooks<RuntimeT>::Monitor(runtime, mode, hipc::FullPtr<chi::CreateTask>(task),
                                            rctx);
    case Method::kNodeFailure:
      return NodeFailureHooks<RuntimeT>::Monitor(runtime, mode,
                                                 hipc::FullPtr<chi::NodeFailureTask>(task), rctx);
    case Method::kRecover:
      return RecoverHooks<RuntimeT>::Monitor(runtime, mode, hipc::FullPtr<chi::RecoverTask>(task),
                                             rctx);
    case Method::kMigrate:
      return MigrateHooks<RuntimeT>::Monitor(runtime, mode, hipc::FullPtr<chi::MigrateTask>(task),
                                             rctx);
    case Method::kUpgrade:
      return UpgradeHooks<RuntimeT>::Monitor(runtime, mode, hipc::FullPtr<chi::UpgradeTask>(task),
                                             rctx);
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
      return CreateHooks<RuntimeT>::Del(runtime, hipc::FullPtr<chi::CreateTask>(task));
    case Method::kNodeFailure:
      return NodeFailureHooks<RuntimeT>::Del(runtime, hipc::FullPtr<chi::NodeFailureTask>(task));
    case Method::kRecover:
      return RecoverHooks<RuntimeT>::Del(runtime, hipc::FullPtr<chi::RecoverTask>(task));
    case Method::kMigrate:
      return MigrateHooks<RuntimeT>::Del(runtime, hipc::FullPtr<chi::MigrateTask>(task));
    case Method::kUpgrade:
      return UpgradeHooks<RuntimeT>::Del(runtime, hipc::FullPtr<chi::UpgradeTask>(task));
    case Method::kCompress:
      return CompressHooks<RuntimeT>::Del(runtime, hipc::FullPtr<CompressTask>(task));
    default:
      chi::ThrowNoMethod(method);
  }
}

template <typename RuntimeT>
void DescribeMethods(chi::MethodTable &table, const RuntimeT *) {
  table.Add<chi::CreateTask>(Method::kCreate, "kCreate", CreateHooks<RuntimeT>::kMonitor,
                             CreateHooks<RuntimeT>::kDel);
  table.Add<chi::NodeFailureTask>(Method::kNodeFailure, "kNodeFailure",
                                  NodeFailureHooks<RuntimeT>::kMonitor,
                                  NodeFailureHooks<RuntimeT>::kDel);
  table.Add<chi::RecoverTask>(Method::kRecover, "kRecover", RecoverHooks<RuntimeT>::kMonitor,
                              RecoverHooks<RuntimeT>::kDel);
  table.Add<chi::MigrateTask>(Method::kMigrate, "kMigrate", MigrateHooks<RuntimeT>::kMonitor,
                              MigrateHooks<RuntimeT>::kDel);
  table.Add<chi::UpgradeTask>(Method::kUpgrade, "kUpgrade", UpgradeHooks<RuntimeT>::kMonitor,
                              UpgradeHooks<RuntimeT>::kDel);
  table.Add<CompressTask>(Method::kCompress, "kCompress", CompressHooks<RuntimeT>::kMonitor,
                          CompressHooks<RuntimeT>::kDel);
}

}  // namespace example::spec_name

#endif  // CHIMAERA_TESTS_SPEC_EXAMPLE_LIB_EXEC_H_
