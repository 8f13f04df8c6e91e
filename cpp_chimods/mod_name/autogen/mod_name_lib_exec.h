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
CHI_METHOD_HOOKS(Compress, CompressTask);
CHI_METHOD_HOOKS(Decompress, DecompressTask);

/** Runs a method of the container. */
template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return chi::RunCreate(runtime, hipc::FullPtr<chi::CreateTask>(task), rctx);
    case Method::kDestroy:
      return runtime.Destroy(hipc::FullPtr<chi::DestroyTask>(task), rctx);
    case Method::kCompress:
      return runtime.Compress(hipc::FullPtr<CompressTask>(task), rctx);
    case Method::kDecompress:
      return runtime.Decompress(hipc::FullPtr<DecompressTask>(task), rctx);
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
    case Method::kCompress:
      return CompressHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<CompressTask>(task), rctx);
    case Method::kDecompress:
      return DecompressHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<DecompressTask>(task), rctx);
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
    case Method::kCompress:
      return CompressHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<CompressTask>(task));
    case Method::kDecompress:
      return DecompressHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<DecompressTask>(task));
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
    case Method::kCompress:
      return chi::SerializeTask(mode, hipc::FullPtr<CompressTask>(task), archive);
    case Method::kDecompress:
      return chi::SerializeTask(mode, hipc::FullPtr<DecompressTask>(task), archive);
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
    case Method::kCompress:
      return CompressHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<CompressTask>(task),
          hipc::FullPtr<CompressTask>(replica), rctx);
    case Method::kDecompress:
      return DecompressHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<DecompressTask>(task),
          hipc::FullPtr<DecompressTask>(replica), rctx);
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
  table.Add<CompressTask>(
      Method::kCompress, "kCompress", CompressHooks<RuntimeT>::kMonitor,
      CompressHooks<RuntimeT>::kDel, CompressHooks<RuntimeT>::kAggregate);
  table.Add<DecompressTask>(
      Method::kDecompress, "kDecompress", DecompressHooks<RuntimeT>::kMonitor,
      DecompressHooks<RuntimeT>::kDel, DecompressHooks<RuntimeT>::kAggregate);
}

}  // namespace example::mod_name

#endif  // EXAMPLE_MOD_NAME_LIB_EXEC_H_
