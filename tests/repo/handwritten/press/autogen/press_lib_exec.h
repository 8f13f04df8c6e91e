// clang-format off
/* The dispatch of written:press. Generated from chimaera_mod.yaml; do not edit. */
#ifndef WRITTEN_PRESS_LIB_EXEC_H_
#define WRITTEN_PRESS_LIB_EXEC_H_

#ifndef CHIMAERA_RUNTIME
#error "press_lib_exec.h is for the module itself, which is compiled with -DCHIMAERA_RUNTIME"
#endif

#include "chimaera/chimaera.h"
#include "press_methods.h"
#include "press/press_tasks.h"

namespace written::press {

CHI_METHOD_HOOKS(Create, chi::CreateTask);
CHI_METHOD_HOOKS(Destroy, chi::DestroyTask);
CHI_METHOD_HOOKS(Turn, TurnTask);
CHI_METHOD_HOOKS(Fail, FailTask);
CHI_METHOD_HOOKS(Relay, RelayTask);

/** Runs a method of the container. */
template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return chi::RunCreate(runtime, hipc::FullPtr<chi::CreateTask>(task), rctx);
    case Method::kDestroy:
      return runtime.Destroy(hipc::FullPtr<chi::DestroyTask>(task), rctx);
    case Method::kTurn:
      return runtime.Turn(hipc::FullPtr<TurnTask>(task), rctx);
    case Method::kFail:
      return runtime.Fail(hipc::FullPtr<FailTask>(task), rctx);
    case Method::kRelay:
      return runtime.Relay(hipc::FullPtr<RelayTask>(task), rctx);
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
    case Method::kTurn:
      return TurnHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<TurnTask>(task), rctx);
    case Method::kFail:
      return FailHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<FailTask>(task), rctx);
    case Method::kRelay:
      return RelayHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<RelayTask>(task), rctx);
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
    case Method::kTurn:
      return TurnHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<TurnTask>(task));
    case Method::kFail:
      return FailHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<FailTask>(task));
    case Method::kRelay:
      return RelayHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<RelayTask>(task));
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
    case Method::kTurn:
      return chi::SerializeTask(mode, hipc::FullPtr<TurnTask>(task), archive);
    case Method::kFail:
      return chi::SerializeTask(mode, hipc::FullPtr<FailTask>(task), archive);
    case Method::kRelay:
      return chi::SerializeTask(mode, hipc::FullPtr<RelayTask>(task), archive);
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
    case Method::kTurn:
      return TurnHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<TurnTask>(task),
          hipc::FullPtr<TurnTask>(replica), rctx);
    case Method::kFail:
      return FailHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<FailTask>(task),
          hipc::FullPtr<FailTask>(replica), rctx);
    case Method::kRelay:
      return RelayHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<RelayTask>(task),
          hipc::FullPtr<RelayTask>(replica), rctx);
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
  table.AddUnsupported(2, "kNodeFailure");
  table.AddUnsupported(3, "kRecover");
  table.AddUnsupported(4, "kMigrate");
  table.AddUnsupported(5, "kUpgrade");
  table.Add<TurnTask>(
      Method::kTurn, "kTurn", TurnHooks<RuntimeT>::kMonitor,
      TurnHooks<RuntimeT>::kDel, TurnHooks<RuntimeT>::kAggregate);
  table.Add<FailTask>(
      Method::kFail, "kFail", FailHooks<RuntimeT>::kMonitor,
      FailHooks<RuntimeT>::kDel, FailHooks<RuntimeT>::kAggregate);
  table.Add<RelayTask>(
      Method::kRelay, "kRelay", RelayHooks<RuntimeT>::kMonitor,
      RelayHooks<RuntimeT>::kDel, RelayHooks<RuntimeT>::kAggregate);
  table.AddUnsupported(13, "kOld");
}

}  // namespace written::press

#endif  // WRITTEN_PRESS_LIB_EXEC_H_
