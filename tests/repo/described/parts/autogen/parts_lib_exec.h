// clang-format off
/* The dispatch of described:parts. Generated from chimaera_mod.yaml; do not edit. */
#ifndef DESCRIBED_PARTS_LIB_EXEC_H_
#define DESCRIBED_PARTS_LIB_EXEC_H_

#ifndef CHIMAERA_RUNTIME
#error "parts_lib_exec.h is for the module itself, which is compiled with -DCHIMAERA_RUNTIME"
#endif

#include <type_traits>

#include "chimaera/chimaera.h"
#include "parts_methods.h"
#include "parts_described_tasks.h"

namespace described::parts {

CHI_METHOD_HOOKS(Create, chi::CreateTask);
CHI_METHOD_HOOKS(Destroy, chi::DestroyTask);
CHI_METHOD_HOOKS(Sum, SumTask);
CHI_METHOD_HOOKS(Turn, TurnTask);
CHI_METHOD_HOOKS(Nothing, NothingTask);
CHI_METHOD_HOOKS(Fail, FailTask);
CHI_METHOD_HOOKS(Relay, RelayTask);
CHI_METHOD_HOOKS(Settings, SettingsTask);
CHI_METHOD_HOOKS(Pause, PauseTask);

/** Runs a method of the container. */
template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return chi::RunCreate(runtime, hipc::FullPtr<chi::CreateTask>(task), rctx);
    case Method::kDestroy:
      return runtime.Destroy(hipc::FullPtr<chi::DestroyTask>(task), rctx);
    case Method::kSum:
      return runtime.Sum(hipc::FullPtr<SumTask>(task), rctx);
    case Method::kTurn:
      return runtime.Turn(hipc::FullPtr<TurnTask>(task), rctx);
    case Method::kNothing:
      return runtime.Nothing(hipc::FullPtr<NothingTask>(task), rctx);
    case Method::kFail:
      return runtime.Fail(hipc::FullPtr<FailTask>(task), rctx);
    case Method::kRelay:
      return runtime.Relay(hipc::FullPtr<RelayTask>(task), rctx);
    case Method::kSettings:
      return runtime.Settings(hipc::FullPtr<SettingsTask>(task), rctx);
    case Method::kPause:
      return runtime.Pause(hipc::FullPtr<PauseTask>(task), rctx);
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
    case Method::kSum:
      return SumHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<SumTask>(task), rctx);
    case Method::kTurn:
      return TurnHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<TurnTask>(task), rctx);
    case Method::kNothing:
      return NothingHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<NothingTask>(task), rctx);
    case Method::kFail:
      return FailHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<FailTask>(task), rctx);
    case Method::kRelay:
      return RelayHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<RelayTask>(task), rctx);
    case Method::kSettings:
      return SettingsHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<SettingsTask>(task), rctx);
    case Method::kPause:
      return PauseHooks<RuntimeT>::Monitor(
          runtime, mode, hipc::FullPtr<PauseTask>(task), rctx);
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
    case Method::kSum:
      return SumHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<SumTask>(task));
    case Method::kTurn:
      return TurnHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<TurnTask>(task));
    case Method::kNothing:
      return NothingHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<NothingTask>(task));
    case Method::kFail:
      return FailHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<FailTask>(task));
    case Method::kRelay:
      return RelayHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<RelayTask>(task));
    case Method::kSettings:
      return SettingsHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<SettingsTask>(task));
    case Method::kPause:
      return PauseHooks<RuntimeT>::Del(
          runtime, hipc::FullPtr<PauseTask>(task));
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
    case Method::kSum:
      return chi::SerializeTask(mode, hipc::FullPtr<SumTask>(task), archive);
    case Method::kTurn:
      return chi::SerializeTask(mode, hipc::FullPtr<TurnTask>(task), archive);
    case Method::kNothing:
      return chi::SerializeTask(mode, hipc::FullPtr<NothingTask>(task), archive);
    case Method::kFail:
      return chi::SerializeTask(mode, hipc::FullPtr<FailTask>(task), archive);
    case Method::kRelay:
      return chi::SerializeTask(mode, hipc::FullPtr<RelayTask>(task), archive);
    case Method::kSettings:
      return chi::SerializeTask(mode, hipc::FullPtr<SettingsTask>(task), archive);
    case Method::kPause:
      return chi::SerializeTask(mode, hipc::FullPtr<PauseTask>(task), archive);
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
    case Method::kSum:
      return SumHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<SumTask>(task),
          hipc::FullPtr<SumTask>(replica), rctx);
    case Method::kTurn:
      return TurnHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<TurnTask>(task),
          hipc::FullPtr<TurnTask>(replica), rctx);
    case Method::kNothing:
      return NothingHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<NothingTask>(task),
          hipc::FullPtr<NothingTask>(replica), rctx);
    case Method::kFail:
      return FailHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<FailTask>(task),
          hipc::FullPtr<FailTask>(replica), rctx);
    case Method::kRelay:
      return RelayHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<RelayTask>(task),
          hipc::FullPtr<RelayTask>(replica), rctx);
    case Method::kSettings:
      return SettingsHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<SettingsTask>(task),
          hipc::FullPtr<SettingsTask>(replica), rctx);
    case Method::kPause:
      return PauseHooks<RuntimeT>::Aggregate(
          runtime, hipc::FullPtr<PauseTask>(task),
          hipc::FullPtr<PauseTask>(replica), rctx);
    default:
      chi::ThrowNoMethod(method);
  }
}

/** Registers the methods with the runtime. */
template <typename RuntimeT>
void DescribeMethods(chi::MethodTable &table, const RuntimeT *) {
  static_assert(std::is_same_v<chi::ParamsOf<RuntimeT>, Params>,
                "chimaera_mod.yaml describes pool parameters, so the Runtime must have one "
                "public Create(hipc::FullPtr<chi::CreateTask>, const Params &, chi::RunContext &)");
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
  table.Add<SumTask>(
      Method::kSum, "kSum", SumHooks<RuntimeT>::kMonitor,
      SumHooks<RuntimeT>::kDel, SumHooks<RuntimeT>::kAggregate);
  table.Add<TurnTask>(
      Method::kTurn, "kTurn", TurnHooks<RuntimeT>::kMonitor,
      TurnHooks<RuntimeT>::kDel, TurnHooks<RuntimeT>::kAggregate);
  table.Add<NothingTask>(
      Method::kNothing, "kNothing", NothingHooks<RuntimeT>::kMonitor,
      NothingHooks<RuntimeT>::kDel, NothingHooks<RuntimeT>::kAggregate);
  table.Add<FailTask>(
      Method::kFail, "kFail", FailHooks<RuntimeT>::kMonitor,
      FailHooks<RuntimeT>::kDel, FailHooks<RuntimeT>::kAggregate);
  table.Add<RelayTask>(
      Method::kRelay, "kRelay", RelayHooks<RuntimeT>::kMonitor,
      RelayHooks<RuntimeT>::kDel, RelayHooks<RuntimeT>::kAggregate);
  table.AddUnsupported(15, "kOld");
  table.Add<SettingsTask>(
      Method::kSettings, "kSettings", SettingsHooks<RuntimeT>::kMonitor,
      SettingsHooks<RuntimeT>::kDel, SettingsHooks<RuntimeT>::kAggregate);
  table.Add<PauseTask>(
      Method::kPause, "kPause", PauseHooks<RuntimeT>::kMonitor,
      PauseHooks<RuntimeT>::kDel, PauseHooks<RuntimeT>::kAggregate);
  table.Describe(
      "{\"format\":1"
      ",\"params\":{\"doc\":\"What a pool is created with.\",\"fields\":[{\"name\":\"factor\",\"type\":\"i64\",\"default\":-9223372036854775808,\"doc\":\"A number\"},{\"name\":\"share\",\"type\":\"f32\",\"default\":0.25},{\"name\":\"exact\",\"type\":\"bool\",\"default\":true},{\"name\":\"label\",\"type\":\"string\",\"default\":\"the \\\"label\\\"\",\"doc\":\"A text\"},{\"name\":\"note\",\"type\":\"string\",\"default\":\"\"},{\"name\":\"limit\",\"type\":\"u64\",\"default\":18446744073709551615},{\"name\":\"beside\",\"type\":\"pool\",\"default\":\"\",\"doc\":\"A pool on which it depends\"}]}"
      ",\"structs\":["
      "{\"name\":\"Extent\",\"doc\":\"A part of a file.\",\"fields\":[{\"name\":\"start\",\"type\":\"u64\",\"doc\":\"Where it begins\"},{\"name\":\"blocks\",\"type\":\"u32\"},{\"name\":\"sparse\",\"type\":\"bool\"}]}"
      ",{\"name\":\"Entry\",\"doc\":\"A named part.\",\"fields\":[{\"name\":\"name\",\"type\":\"string\",\"doc\":\"Its name\"},{\"name\":\"extent\",\"type\":\"Extent\"},{\"name\":\"data\",\"type\":\"bytes\"},{\"name\":\"weights\",\"type\":\"vector<f32>\"},{\"name\":\"kind\",\"type\":\"u8\"}]}"
      "]"
      ",\"tasks\":["
      "{\"method\":\"kSum\",\"doc\":\"Sums up the bytes of every block.\",\"fields\":[{\"name\":\"data\",\"type\":\"bytes\",\"dir\":\"in\",\"doc\":\"What to sum up\"},{\"name\":\"block_size\",\"type\":\"u32\",\"dir\":\"in\",\"doc\":\"Bytes of a block, not 0\"},{\"name\":\"exact\",\"type\":\"bool\",\"dir\":\"in\",\"doc\":\"Whether the last block must be whole\"},{\"name\":\"sums\",\"type\":\"vector<u64>\",\"dir\":\"out\",\"doc\":\"A sum for every block\"}]}"
      ",{\"method\":\"kTurn\",\"doc\":\"Gives everything back, some of it turned round.\",\"fields\":[{\"name\":\"tiny\",\"type\":\"i8\"},{\"name\":\"wide\",\"type\":\"f64\"},{\"name\":\"flag\",\"type\":\"bool\"},{\"name\":\"digest\",\"type\":\"u8[20]\"},{\"name\":\"text\",\"type\":\"string\"},{\"name\":\"data\",\"type\":\"bytes\"},{\"name\":\"extent\",\"type\":\"Extent\"},{\"name\":\"entry\",\"type\":\"Entry\"},{\"name\":\"extents\",\"type\":\"vector<Extent>\"},{\"name\":\"words\",\"type\":\"vector<string>\"},{\"name\":\"blobs\",\"type\":\"vector<bytes>\"},{\"name\":\"rows\",\"type\":\"vector<vector<i16>>\"},{\"name\":\"entries\",\"type\":\"vector<Entry>\"},{\"name\":\"pairs\",\"type\":\"Extent[2]\"}]}"
      ",{\"method\":\"kNothing\",\"doc\":\"Does nothing.\",\"fields\":[]}"
      ",{\"method\":\"kFail\",\"doc\":\"Fails.\",\"fields\":[{\"name\":\"thrown\",\"type\":\"bool\",\"dir\":\"in\",\"doc\":\"Whether by what nobody expects\"},{\"name\":\"why\",\"type\":\"string\",\"dir\":\"in\"}]}"
      ",{\"method\":\"kRelay\",\"doc\":\"Has the module in the other language sum up bytes, several times at once.\",\"fields\":[{\"name\":\"store\",\"type\":\"string\",\"dir\":\"in\",\"doc\":\"The name of the other module's pool\"},{\"name\":\"data\",\"type\":\"bytes\",\"dir\":\"in\"},{\"name\":\"width\",\"type\":\"u32\",\"dir\":\"in\",\"doc\":\"How many sums are under way at once\"},{\"name\":\"why\",\"type\":\"string\",\"dir\":\"in\",\"doc\":\"Makes the other module fail with this message, if not empty\"},{\"name\":\"sums\",\"type\":\"vector<u64>\",\"dir\":\"out\"}]}"
      ",{\"method\":\"kSettings\",\"doc\":\"Says what the pool was created with.\",\"fields\":[{\"name\":\"factor\",\"type\":\"i64\",\"dir\":\"out\"},{\"name\":\"share\",\"type\":\"f32\",\"dir\":\"out\"},{\"name\":\"exact\",\"type\":\"bool\",\"dir\":\"out\"},{\"name\":\"label\",\"type\":\"string\",\"dir\":\"out\"},{\"name\":\"note\",\"type\":\"string\",\"dir\":\"out\"},{\"name\":\"limit\",\"type\":\"u64\",\"dir\":\"out\"}]}"
      ",{\"method\":\"kPause\",\"doc\":\"Sleeps.\",\"fields\":[{\"name\":\"seconds\",\"type\":\"u32\",\"dir\":\"in\",\"doc\":\"How long\"}]}"
      "]"
      "}");
}

}  // namespace described::parts

#endif  // DESCRIBED_PARTS_LIB_EXEC_H_
