// clang-format off
/* The dispatch of example:mod_name. Generated from chimaera_mod.yaml; do not edit. */
#ifndef EXAMPLE_MOD_NAME_LIB_EXEC_H_
#define EXAMPLE_MOD_NAME_LIB_EXEC_H_

#ifndef CHIMAERA_RUNTIME
#error "mod_name_lib_exec.h is for the module itself, which is compiled with -DCHIMAERA_RUNTIME"
#endif

#include "chimaera/chimaera.h"
#include "mod_name_methods.h"
#include "mod_name/mod_name_tasks.h"

namespace example::mod_name {

CHI_METHOD_HOOKS(Create, chi::CreateTask);
CHI_METHOD_HOOKS(Destroy, chi::DestroyTask);
CHI_METHOD_HOOKS(NodeFailure, chi::NodeFailureTask);
CHI_METHOD_HOOKS(Recover, chi::RecoverTask);
CHI_METHOD_HOOKS(Migrate, chi::MigrateTask);
CHI_METHOD_HOOKS(Upgrade, chi::UpgradeTask);
CHI_METHOD_HOOKS(First, FirstTask);
CHI_METHOD_HOOKS(Last, LastTask);

/** Runs a method of the container. */
template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return chi::RunCreate(runtime, hipc::FullPtr<chi::CreateTask>(task), rctx);
    case Method::kDestroy:
      return runtime.Destroy(hipc::FullPtr<chi::DestroyTask>(task), rctx);
    case Method::kNodeFailure:
      return runtime.NodeFailure(hipc::FullPtr<chi::NodeFailureTask>(task), rctx);
    case Method::kRecover:
      return runtime.Recover(hipc::FullPtr<chi::RecoverTask>(task), rctx);
    case Method::kMigrate:
      return runtime.Migrate(hipc::FullPtr<chi::MigrateTask>(task), rctx);
    case Method::kUpgrade:
      return runtime.Upgrade(hipc::FullPtr<chi::UpgradeTask>(task), rctx);
    case Method::kFirst:
      return runtime.First(hipc::FullPtr<FirstTask>(task), rctx);
    case Method::kLast:
      return runtime.Last(hipc::FullPtr<LastTask>(task), rctx);
    default:
      chi::ThrowNoMethod(method);
  }
}

/** Calls the monitor of a method, if it has one. */
template <typename RuntimeT>
void Monitor(RuntimeT &runtime, chi::MonitorModeId mode, chi::u32 method,
             hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return CreateHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<chi::CreateTask>(task), rctx);
    case Method::kDestroy:
      return DestroyHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<chi::DestroyTask>(task), rctx);
    case Method::kNodeFailure:
      return NodeFailureHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<chi::NodeFailureTask>(task), rctx);
    case Method::kRecover:
      return RecoverHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<chi::RecoverTask>(task), rctx);
    case Method::kMigrate:
      return MigrateHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<chi::MigrateTask>(task), rctx);
    case Method::kUpgrade:
      return UpgradeHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<chi::UpgradeTask>(task), rctx);
    case Method::kFirst:
      return FirstHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<FirstTask>(task), rctx);
    case Method::kLast:
      return LastHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<LastTask>(task), rctx);
    default:
      chi::ThrowNoMethod(method);
  }
}

/** Frees what a method attached to a task. */
template <typename RuntimeT>
void Del(RuntimeT &runtime, const hipc::MemContext &, chi::u32 method,
         hipc::FullPtr<chi::Task> task) {
  switch (method) {
    case Method::kCreate:
      return CreateHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<chi::CreateTask>(task));
    case Method::kDestroy:
      return DestroyHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<chi::DestroyTask>(task));
    case Method::kNodeFailure:
      return NodeFailureHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<chi::NodeFailureTask>(task));
    case Method::kRecover:
      return RecoverHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<chi::RecoverTask>(task));
    case Method::kMigrate:
      return MigrateHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<chi::MigrateTask>(task));
    case Method::kUpgrade:
      return UpgradeHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<chi::UpgradeTask>(task));
    case Method::kFirst:
      return FirstHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<FirstTask>(task));
    case Method::kLast:
      return LastHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<LastTask>(task));
    default:
      chi::ThrowNoMethod(method);
  }
}

/** Serializes or deserializes the inputs or the results of a task. */
template <typename RuntimeT>
void Serialize(RuntimeT &, chi::SerializeMode mode, chi::u32 method, hipc::FullPtr<chi::Task> task,
               chi_archive &archive) {
  switch (method) {
    case Method::kCreate:
      return chi::SerializeTask(mode, hipc::FullPtr<chi::CreateTask>(task), archive);
    case Method::kDestroy:
      return chi::SerializeTask(mode, hipc::FullPtr<chi::DestroyTask>(task), archive);
    case Method::kNodeFailure:
      return chi::SerializeTask(mode, hipc::FullPtr<chi::NodeFailureTask>(task), archive);
    case Method::kRecover:
      return chi::SerializeTask(mode, hipc::FullPtr<chi::RecoverTask>(task), archive);
    case Method::kMigrate:
      return chi::SerializeTask(mode, hipc::FullPtr<chi::MigrateTask>(task), archive);
    case Method::kUpgrade:
      return chi::SerializeTask(mode, hipc::FullPtr<chi::UpgradeTask>(task), archive);
    case Method::kFirst:
      return chi::SerializeTask(mode, hipc::FullPtr<FirstTask>(task), archive);
    case Method::kLast:
      return chi::SerializeTask(mode, hipc::FullPtr<LastTask>(task), archive);
    default:
      chi::ThrowNoMethod(method);
  }
}

/** Adds the results of a replica to those of its broadcast, if the module does that for the
 * method. */
template <typename RuntimeT>
void Aggregate(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task,
               hipc::FullPtr<chi::Task> replica, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return CreateHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<chi::CreateTask>(task),
          hipc::FullPtr<chi::CreateTask>(replica), rctx);
    case Method::kDestroy:
      return DestroyHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<chi::DestroyTask>(task),
          hipc::FullPtr<chi::DestroyTask>(replica), rctx);
    case Method::kNodeFailure:
      return NodeFailureHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<chi::NodeFailureTask>(task),
          hipc::FullPtr<chi::NodeFailureTask>(replica), rctx);
    case Method::kRecover:
      return RecoverHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<chi::RecoverTask>(task),
          hipc::FullPtr<chi::RecoverTask>(replica), rctx);
    case Method::kMigrate:
      return MigrateHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<chi::MigrateTask>(task),
          hipc::FullPtr<chi::MigrateTask>(replica), rctx);
    case Method::kUpgrade:
      return UpgradeHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<chi::UpgradeTask>(task),
          hipc::FullPtr<chi::UpgradeTask>(replica), rctx);
    case Method::kFirst:
      return FirstHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<FirstTask>(task),
          hipc::FullPtr<FirstTask>(replica), rctx);
    case Method::kLast:
      return LastHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<LastTask>(task),
          hipc::FullPtr<LastTask>(replica), rctx);
    default:
      chi::ThrowNoMethod(method);
  }
}

/** Registers the methods with the runtime. */
template <typename RuntimeT>
void DescribeMethods(chi::MethodTable &table, const RuntimeT *) {
  table.Add<chi::CreateTask>(
      Method::kCreate, "kCreate", CreateHooks<RuntimeT>::kMonitor,
      CreateHooks<RuntimeT>::kDel, CreateHooks<RuntimeT>::kAggregate);
  table.Add<chi::DestroyTask>(
      Method::kDestroy, "kDestroy", DestroyHooks<RuntimeT>::kMonitor,
      DestroyHooks<RuntimeT>::kDel, DestroyHooks<RuntimeT>::kAggregate);
  table.Add<chi::NodeFailureTask>(
      Method::kNodeFailure, "kNodeFailure", NodeFailureHooks<RuntimeT>::kMonitor,
      NodeFailureHooks<RuntimeT>::kDel, NodeFailureHooks<RuntimeT>::kAggregate);
  table.Add<chi::RecoverTask>(
      Method::kRecover, "kRecover", RecoverHooks<RuntimeT>::kMonitor,
      RecoverHooks<RuntimeT>::kDel, RecoverHooks<RuntimeT>::kAggregate);
  table.Add<chi::MigrateTask>(
      Method::kMigrate, "kMigrate", MigrateHooks<RuntimeT>::kMonitor,
      MigrateHooks<RuntimeT>::kDel, MigrateHooks<RuntimeT>::kAggregate);
  table.Add<chi::UpgradeTask>(
      Method::kUpgrade, "kUpgrade", UpgradeHooks<RuntimeT>::kMonitor,
      UpgradeHooks<RuntimeT>::kDel, UpgradeHooks<RuntimeT>::kAggregate);
  table.Add<FirstTask>(
      Method::kFirst, "kFirst", FirstHooks<RuntimeT>::kMonitor,
      FirstHooks<RuntimeT>::kDel, FirstHooks<RuntimeT>::kAggregate);
  table.SetIdempotent(Method::kFirst);
  table.AddUnsupported(11, "kOld");
  table.Add<LastTask>(
      Method::kLast, "kLast", LastHooks<RuntimeT>::kMonitor,
      LastHooks<RuntimeT>::kDel, LastHooks<RuntimeT>::kAggregate);
  // kOlder is not supported and has no number.
  table.Describe(
      "{\"format\":1"
      ",\"about\":\"Says all that there is to say\""
      ",\"structs\":["
      "]"
      ",\"tasks\":["
      "{\"method\":\"kLast\",\"doc\":\"Does the last thing\"}"
      "]"
      "}");
}

}  // namespace example::mod_name

#endif  // EXAMPLE_MOD_NAME_LIB_EXEC_H_
