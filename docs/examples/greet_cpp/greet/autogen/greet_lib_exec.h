// clang-format off
/* The dispatch of hello:greet. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_GREET_LIB_EXEC_H_
#define HELLO_GREET_LIB_EXEC_H_

#ifndef CHIMAERA_RUNTIME
#error "greet_lib_exec.h is for the module itself, which is compiled with -DCHIMAERA_RUNTIME"
#endif

#include "chimaera/chimaera.h"
#include "greet_methods.h"
#include "greet_described_tasks.h"

namespace hello::greet {

CHI_METHOD_HOOKS(Create, chi::CreateTask);
CHI_METHOD_HOOKS(Destroy, chi::DestroyTask);
CHI_METHOD_HOOKS(Greet, GreetTask);

/** Runs a method of the container. */
template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return chi::RunCreate(runtime, hipc::FullPtr<chi::CreateTask>(task), rctx);
    case Method::kDestroy:
      return runtime.Destroy(hipc::FullPtr<chi::DestroyTask>(task), rctx);
    case Method::kGreet:
      return runtime.Greet(hipc::FullPtr<GreetTask>(task), rctx);
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
    case Method::kGreet:
      return GreetHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<GreetTask>(task), rctx);
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
    case Method::kGreet:
      return GreetHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<GreetTask>(task));
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
    case Method::kGreet:
      return chi::SerializeTask(mode, hipc::FullPtr<GreetTask>(task), archive);
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
    case Method::kGreet:
      return GreetHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<GreetTask>(task),
          hipc::FullPtr<GreetTask>(replica), rctx);
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
  table.Add<GreetTask>(
      Method::kGreet, "kGreet", GreetHooks<RuntimeT>::kMonitor,
      GreetHooks<RuntimeT>::kDel, GreetHooks<RuntimeT>::kAggregate);
  table.Describe(
      "{\"format\":1"
      ",\"structs\":["
      "]"
      ",\"tasks\":["
      "{\"method\":\"kGreet\",\"doc\":\"Makes a greeting of a name.\",\"fields\":[{\"name\":\"name\",\"type\":\"string\",\"dir\":\"in\",\"doc\":\"Whom to greet\"},{\"name\":\"text\",\"type\":\"string\",\"dir\":\"out\",\"doc\":\"The greeting\"}]}"
      "]"
      "}");
}

}  // namespace hello::greet

#endif  // HELLO_GREET_LIB_EXEC_H_
