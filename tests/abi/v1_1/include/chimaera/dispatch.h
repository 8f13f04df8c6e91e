/* Building blocks of the generated autogen/<module>_lib_exec.h, and the class that makes its free
 * functions the Run, Monitor, Del, Serialize and Aggregate of a container. Only in modules. */
#ifndef CHIMAERA_DISPATCH_H_
#define CHIMAERA_DISPATCH_H_

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "chimaera/container.h"
#include "chimaera/method_table.h"
#include "chimaera/params.h"

/** Declares the optional functions of one method for generated code: `CHI_METHOD_HOOKS(Compress,
 * CompressTask)` defines the template `CompressHooks<RuntimeT>`, which detects and calls
 * `MonitorCompress(chi::MonitorModeId, hipc::FullPtr<CompressTask>, chi::RunContext &)`,
 * `DelCompress(hipc::FullPtr<CompressTask>)` and `AggregateCompress(hipc::FullPtr<CompressTask>
 * task, hipc::FullPtr<CompressTask> replica, chi::RunContext &)`. A function of such a name with
 * other parameters does not compile, instead of silently never being called. */
#define CHI_METHOD_HOOKS(METHOD, TASK)                                                           \
  template <typename RuntimeT>                                                                   \
  struct METHOD##Hooks {                                                                         \
    using Task_ = hipc::FullPtr<TASK>;                                                           \
    template <typename R>                                                                        \
    using NamedMonitor_ = decltype(&R::Monitor##METHOD);                                         \
    template <typename R>                                                                        \
    using CalledMonitor_ = decltype(std::declval<R &>().Monitor##METHOD(                         \
        chi::MonitorModeId{}, std::declval<Task_>(), std::declval<chi::RunContext &>()));        \
    template <typename R>                                                                        \
    using NamedDel_ = decltype(&R::Del##METHOD);                                                 \
    template <typename R>                                                                        \
    using CalledDel_ = decltype(std::declval<R &>().Del##METHOD(std::declval<Task_>()));         \
    template <typename R>                                                                        \
    using NamedAggregate_ = decltype(&R::Aggregate##METHOD);                                     \
    template <typename R>                                                                        \
    using CalledAggregate_ = decltype(std::declval<R &>().Aggregate##METHOD(                     \
        std::declval<Task_>(), std::declval<Task_>(), std::declval<chi::RunContext &>()));       \
    static constexpr bool kAggregate = chi::detail::IsValid<CalledAggregate_, RuntimeT>;         \
    static_assert(kAggregate || !chi::detail::IsValid<NamedAggregate_, RuntimeT>,                \
                  "Aggregate" #METHOD " takes (hipc::FullPtr<" #TASK                             \
                  "> task, "                                                                     \
                  "hipc::FullPtr<" #TASK "> replica, chi::RunContext &) and is public");         \
    static void Aggregate(RuntimeT &runtime, Task_ task, Task_ replica, chi::RunContext &rctx) { \
      if constexpr (kAggregate) {                                                                \
        runtime.Aggregate##METHOD(task, replica, rctx);                                          \
      } else {                                                                                   \
        static_cast<void>(runtime), static_cast<void>(task);                                     \
        static_cast<void>(replica), static_cast<void>(rctx);                                     \
      }                                                                                          \
    }                                                                                            \
    static constexpr bool kMonitor = chi::detail::IsValid<CalledMonitor_, RuntimeT>;             \
    static constexpr bool kDel = chi::detail::IsValid<CalledDel_, RuntimeT>;                     \
    static_assert(kMonitor || !chi::detail::IsValid<NamedMonitor_, RuntimeT>,                    \
                  "Monitor" #METHOD " takes (chi::MonitorModeId, hipc::FullPtr<" #TASK           \
                  ">, chi::RunContext &) and is public");                                        \
    static_assert(kDel || !chi::detail::IsValid<NamedDel_, RuntimeT>,                            \
                  "Del" #METHOD " takes (hipc::FullPtr<" #TASK ">) and is public");              \
    static void Monitor(RuntimeT &runtime, chi::MonitorModeId mode, Task_ task,                  \
                        chi::RunContext &rctx) {                                                 \
      if constexpr (kMonitor) {                                                                  \
        runtime.Monitor##METHOD(mode, task, rctx);                                               \
      } else {                                                                                   \
        static_cast<void>(runtime), static_cast<void>(mode);                                     \
        static_cast<void>(task), static_cast<void>(rctx);                                        \
      }                                                                                          \
    }                                                                                            \
    static void Del(RuntimeT &runtime, Task_ task) {                                             \
      if constexpr (kDel) {                                                                      \
        runtime.Del##METHOD(task);                                                               \
      } else {                                                                                   \
        static_cast<void>(runtime), static_cast<void>(task);                                     \
      }                                                                                          \
    }                                                                                            \
  }

namespace chi {
inline namespace v1 CHI_LAYER {

/** Throws `CHI_NO_METHOD`: the default of a switch over methods. */
[[noreturn]] inline void ThrowNoMethod(u32 method) {
  throw Error(CHI_NO_METHOD, "the container has no method " + std::to_string(method));
}

namespace detail {

/* The type of the parameters that a `Create` takes besides the task; `void` when it takes none. */
template <typename F>
struct CreateParams {
  using Type = void;
};
template <typename Ret, typename R, typename P>
struct CreateParams<Ret (R::*)(hipc::FullPtr<CreateTask>, P, RunContext &)> {
  using Type = std::decay_t<P>;
};
template <typename Ret, typename R, typename P>
struct CreateParams<Ret (R::*)(hipc::FullPtr<CreateTask>, P, RunContext &) const> {
  using Type = std::decay_t<P>;
};
template <typename R>
using NamedCreate = decltype(&R::Create);
template <typename R>
constexpr auto ParamsOfCreate() {
  if constexpr (IsValid<NamedCreate, R>) {
    return CreateParams<NamedCreate<R>>{};
  } else {
    return CreateParams<void>{};
  }
}
}  // namespace detail

/** The struct of a module's pool parameters, deduced from the `Create` of its Runtime; `void` when
 * the parameters are arbitrary bytes. */
template <typename R>
using ParamsOf = typename decltype(detail::ParamsOfCreate<R>())::Type;

namespace detail {

/* The functions below are free functions, so that argument-dependent lookup finds the generated
 * ones: inside a class with members of these names it would be disabled. */
template <typename R>
void DispatchRun(R &runtime, u32 method, hipc::FullPtr<Task> task, RunContext &rctx) {
  Run(runtime, method, task, rctx);
}
template <typename R>
void DispatchMonitor(R &runtime, MonitorModeId mode, u32 method, hipc::FullPtr<Task> task,
                     RunContext &rctx) {
  Monitor(runtime, mode, method, task, rctx);
}
template <typename R>
void DispatchDel(R &runtime, const hipc::MemContext &ctx, u32 method, hipc::FullPtr<Task> task) {
  Del(runtime, ctx, method, task);
}
template <typename R>
void DispatchSerialize(R &runtime, SerializeMode mode, u32 method, hipc::FullPtr<Task> task,
                       chi_archive &archive) {
  Serialize(runtime, mode, method, task, archive);
}

template <typename R>
void DispatchAggregate(R &runtime, u32 method, hipc::FullPtr<Task> task,
                       hipc::FullPtr<Task> replica, RunContext &rctx) {
  Aggregate(runtime, method, task, replica, rctx);
}

template <typename R>
using GeneratedRun =
    decltype(Run(std::declval<R &>(), u32{}, hipc::FullPtr<Task>(), std::declval<RunContext &>()));
template <typename R>
using GeneratedDescription =
    decltype(DescribeMethods(std::declval<MethodTable &>(), std::declval<const R *>()));
template <typename R>
using GeneratedMonitor = decltype(Monitor(std::declval<R &>(), MonitorModeId{}, u32{},
                                          hipc::FullPtr<Task>(), std::declval<RunContext &>()));
template <typename R>
using GeneratedDel = decltype(Del(std::declval<R &>(), std::declval<const hipc::MemContext &>(),
                                  u32{}, hipc::FullPtr<Task>()));
template <typename R>
using GeneratedSerialize =
    decltype(Serialize(std::declval<R &>(), SerializeMode{}, u32{}, hipc::FullPtr<Task>(),
                       std::declval<chi_archive &>()));
template <typename R>
using GeneratedAggregate = decltype(Aggregate(std::declval<R &>(), u32{}, hipc::FullPtr<Task>(),
                                              hipc::FullPtr<Task>(), std::declval<RunContext &>()));

/* True when `R`, or a base of it that derives from ContainerRuntime, overrides the function. */
template <typename R>
inline constexpr bool kHasRun =
    !std::is_same_v<decltype(&R::Run), decltype(&ContainerRuntime::Run)>;
template <typename R>
inline constexpr bool kHasMonitor =
    !std::is_same_v<decltype(&R::Monitor), decltype(&ContainerRuntime::Monitor)>;
template <typename R>
inline constexpr bool kHasDel =
    !std::is_same_v<decltype(&R::Del), decltype(&ContainerRuntime::Del)>;
/* The function of a method named kAggregate is an overload, not an override. */
template <typename R>
using NamedAggregate = decltype(&R::Aggregate);
template <typename R>
using OverridingAggregate =
    decltype(static_cast<void (R::*)(u32, hipc::FullPtr<Task>, hipc::FullPtr<Task>, RunContext &)>(
        &R::Aggregate));
template <typename R>
constexpr bool HasAggregate() {
  if constexpr (IsValid<NamedAggregate, R>) {
    if (std::is_same_v<NamedAggregate<R>, decltype(&ContainerRuntime::Aggregate)>) return false;
  }
  return IsValid<OverridingAggregate, R>;
}
template <typename R>
inline constexpr bool kHasAggregate = HasAggregate<R>();

/* The author's Runtime, completed with the generated functions that it does not override. A Runtime
 * without generated code must override Run; the other overrides are optional. */
template <typename R>
class Bound final : public R {
 public:
  void Run([[maybe_unused]] u32 method, [[maybe_unused]] hipc::FullPtr<Task> task,
           [[maybe_unused]] RunContext &rctx) override {
    if constexpr (kHasRun<R>) {
      R::Run(method, task, rctx);
    } else if constexpr (IsValid<GeneratedRun, R>) {
      DispatchRun<R>(*this, method, task, rctx);
    }
  }
  void Monitor([[maybe_unused]] MonitorModeId mode, [[maybe_unused]] u32 method,
               [[maybe_unused]] hipc::FullPtr<Task> task,
               [[maybe_unused]] RunContext &rctx) override {
    if constexpr (kHasMonitor<R>) {
      R::Monitor(mode, method, task, rctx);
    } else if constexpr (IsValid<GeneratedMonitor, R>) {
      DispatchMonitor<R>(*this, mode, method, task, rctx);
    }
  }
  void Del([[maybe_unused]] const hipc::MemContext &ctx, [[maybe_unused]] u32 method,
           [[maybe_unused]] hipc::FullPtr<Task> task) override {
    if constexpr (kHasDel<R>) {
      R::Del(ctx, method, task);
    } else if constexpr (IsValid<GeneratedDel, R>) {
      DispatchDel<R>(*this, ctx, method, task);
    }
  }
  void Aggregate([[maybe_unused]] u32 method, [[maybe_unused]] hipc::FullPtr<Task> task,
                 [[maybe_unused]] hipc::FullPtr<Task> replica,
                 [[maybe_unused]] RunContext &rctx) override {
    if constexpr (kHasAggregate<R>) {
      R::Aggregate(method, task, replica, rctx);
    } else if constexpr (IsValid<GeneratedAggregate, R>) {
      DispatchAggregate<R>(*this, method, task, replica, rctx);
    }
  }
};

}  // namespace detail

/** Runs the `Create` of a container: `Create(task, rctx)`, or `Create(task, params, rctx)` if it
 * declares a struct for the pool's parameters; the runtime then rejects any other parameters. */
template <typename R>
void RunCreate(R &runtime, hipc::FullPtr<CreateTask> task, RunContext &rctx) {
  using P = ParamsOf<R>;
  if constexpr (std::is_void_v<P>) {
    runtime.Create(task, rctx);
  } else {
    /* A private copy: a client may change its bytes at any time. */
    const std::vector<char> bytes = task->params_.CopyOut();
    runtime.Create(task, ParamsFromAny<P>(std::string_view(bytes.data(), bytes.size())), rctx);
  }
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_DISPATCH_H_
