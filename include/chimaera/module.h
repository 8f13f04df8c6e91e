/* CHI_TASK_CC: implements the C contract of a ChiMod for a module in C++. Only in modules. */
#ifndef CHIMAERA_MODULE_H_
#define CHIMAERA_MODULE_H_

#include <cxxabi.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <type_traits>

#include "chimaera/dispatch.h"
#include "chimaera/entry_points.h"
#include "chimaera/state.h"

/* The module's own version, from chimaera_mod.yaml when CMake builds it. */
#ifndef CHI_MODULE_VERSION
#define CHI_MODULE_VERSION "0.0.0"
#endif

/** Makes a ChiMod of the shared library that it is compiled into. Use it once, after the Runtime,
 * outside all namespaces. `CHI_TASK_CC(mod_name)` exports `<namespace>::mod_name::Runtime` under
 * the name `<namespace>:mod_name`, where the namespace comes from chimaera_repo.yaml by way of
 * CMake; `CHI_TASK_CC(example::mod_name::Runtime, "example:mod_name")` states both explicitly. */
#define CHI_TASK_CC(...) CHI_TASK_CC_PICK(__VA_ARGS__, CHI_TASK_CC_2, CHI_TASK_CC_1, )(__VA_ARGS__)
#define CHI_TASK_CC_PICK(FIRST, SECOND, PICKED, ...) PICKED
#define CHI_TASK_CC_1(MOD_NAME) CHI_TASK_CC_IN(CHI_MODULE_NAMESPACE, MOD_NAME)
#define CHI_TASK_CC_IN(NAMESPACE, MOD_NAME) \
  CHI_TASK_CC_2(NAMESPACE::MOD_NAME::Runtime, CHI_STRINGIZE(NAMESPACE) ":" CHI_STRINGIZE(MOD_NAME))
#define CHI_TASK_CC_2(TRAIT_CLASS, MOD_NAME)                                                   \
  extern "C" {                                                                                 \
  HSHM_DLL bool is_chimaera_task_ = true;                                                      \
  HSHM_DLL const char *get_module_name(void) { return MOD_NAME; }                              \
  HSHM_DLL void *alloc_state(const chi_pool_id *, const char *) {                              \
    return ::chi::detail::Module<TYPE_UNWRAP(TRAIT_CLASS)>::AllocState();                      \
  }                                                                                            \
  HSHM_DLL void *new_state(const chi_pool_id *pool_id, const char *pool_name) {                \
    return ::chi::detail::Module<TYPE_UNWRAP(TRAIT_CLASS)>::NewState(pool_id, pool_name);      \
  }                                                                                            \
  HSHM_DLL const chi_module_descriptor *chi_module(const chi_host *host) {                     \
    return ::chi::detail::Module<TYPE_UNWRAP(TRAIT_CLASS)>::Describe(host, get_module_name()); \
  }                                                                                            \
  static_assert(::std::is_same_v<decltype(&alloc_state), alloc_state_t> &&                     \
                ::std::is_same_v<decltype(&new_state), new_state_t> &&                         \
                ::std::is_same_v<decltype(&get_module_name), get_module_name_t>);              \
  }

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

inline void SetError(const chi_host *host, const std::string &text) noexcept {
  host->set_error(host, text.data(), text.size());
}

inline std::string Version(u32 major, u32 minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

/* Describes a thrown object that is not a std::exception and has no text. Call it inside a catch
 * block. */
inline std::string DescribeThrown() {
  const std::type_info *type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "a foreign exception was thrown";
  int status = 0;
  const std::unique_ptr<char, void (*)(void *)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free);
  return std::string("an object of type ") + (status == 0 ? name.get() : type->name()) +
         " was thrown";
}

/* The text of an exception, whose own code may return a null pointer. */
inline const char *TextOf(const std::exception &error) {
  const char *const text = error.what();
  return text == nullptr ? "an exception without a text was thrown" : text;
}

/* Calls `f`, which returns a status. An exception becomes a status, and its message goes to the
 * host.
 */
template <typename F>
chi_status Guard(F &&f) noexcept {
  try {
    return f();
  } catch (const Error &error) {
    SetError(g_host, error.what());
    return error.status() == CHI_OK ? CHI_FAILED : error.status();
  } catch (const std::bad_alloc &) {
    SetError(g_host, "std::bad_alloc: the module asked for more memory than there is");
  } catch (const std::exception &error) {
    SetError(g_host, TextOf(error));
  } catch (const std::string &text) {
    SetError(g_host, text.empty() ? DescribeThrown() : text);
  } catch (const char *text) {
    SetError(g_host, text == nullptr || *text == '\0' ? DescribeThrown() : text);
  } catch (...) {
    SetError(g_host, DescribeThrown());
  }
  return CHI_FAILED;
}

/* The C functions of a module whose container is `R`. */
template <typename R>
class Module {
  static_assert(std::is_base_of_v<ContainerRuntime, R>,
                "a module's Runtime must derive from chi::ContainerRuntime");
  static_assert(std::is_default_constructible_v<Bound<R>>,
                "a module's Runtime must have a constructor without parameters: it gets its "
                "parameters in Create");
  static_assert(!std::is_final_v<R>, "a module's Runtime must not be final");
  static_assert(
      kHasRun<R> || IsValid<GeneratedRun, R>,
      "the generated dispatch is missing: include <module>_lib_exec.h, which `chimaera repo "
      "refresh` writes into autogen, or override Run");
  static_assert(
      !kHasRun<R> || IsValid<GeneratedDescription, R>,
      "a Runtime that overrides Run needs a DescribeMethods: chimaera_add_module includes "
      "<module>_lib_exec.h, which defines one; elsewhere include that header, or write "
      "a DescribeMethods");

 public:
  static void *AllocState() noexcept { return Construct(nullptr, nullptr); }

  static void *NewState(const chi_pool_id *pool_id, const char *pool_name) noexcept {
    return Construct(pool_id, pool_name);
  }

  static const chi_module_descriptor *Describe(const chi_host *host, const char *name) noexcept {
    /* ABI 1.0 has the functions up to `extension`. */
    constexpr std::size_t kHostSize = offsetof(chi_host, extension) + sizeof(host->extension);
    if (host->abi_major != CHI_ABI_MAJOR) {
      SetError(host, std::string(name) + " was built for ABI " +
                         Version(CHI_ABI_MAJOR, CHI_ABI_MINOR) + ", this runtime speaks " +
                         Version(host->abi_major, host->abi_minor));
      return nullptr;
    }
    if (host->size < kHostSize) {
      SetError(host, std::string(name) + ": the runtime's chi_host has " +
                         std::to_string(host->size) + " bytes, ABI " + Version(CHI_ABI_MAJOR, 0) +
                         " has " + std::to_string(kHostSize));
      return nullptr;
    }
    g_host = host;
    const chi_module_descriptor *descriptor = nullptr;
    Guard([&] {
      /* Never freed: the runtime may read it until the process ends. */
      static const Description *const description = new Description(name);
      descriptor = &description->descriptor;
      return CHI_OK;
    });
    return descriptor;
  }

 private:
  /* A container: the C struct, then the C++ object, which is private to the module. */
  struct Box : public chi_container {
    Bound<R> runtime;
  };

  struct Description {
    MethodTable table;
    chi_module_descriptor descriptor{};

    explicit Description(const char *name) {
      if constexpr (IsValid<GeneratedDescription, R>) {
        DescribeMethods(table, static_cast<const R *>(nullptr));
      }
      if (kHasMonitor<R>) table.MonitorAll();
      if constexpr (IsValid<GeneratedSerialize, R>) {
        s_ops.serialize = &Serialize;
      } else {
        table.SerializeNone();
      }
      if (kHasAggregate<R>) table.AggregateAll();
      descriptor.magic = CHI_MODULE_MAGIC;
      descriptor.size = sizeof(descriptor);
      descriptor.abi_major = CHI_ABI_MAJOR;
      descriptor.abi_minor = CHI_ABI_MINOR;
      descriptor.language = CHI_LANG_CPP;
      descriptor.sdk_version = CHI_SDK_VERSION;
      descriptor.name = name;
      descriptor.version = CHI_MODULE_VERSION;
      descriptor.n_methods = static_cast<u32>(table.methods().size());
      descriptor.method_stride = sizeof(chi_method);
      descriptor.methods = table.methods().data();
      descriptor.field_stride = sizeof(chi_field_layout);
      descriptor.description = table.description();
      if constexpr (!std::is_void_v<ParamsOf<R>>) {
        descriptor.params = &Canonicalize;
        if constexpr (IsValid<NamesItsFields, ParamsOf<R>>) descriptor.pools = &Pools;
      }
      s_ops.size = sizeof(s_ops);
      s_ops.init = &Init;
      s_ops.run = &Run;
      s_ops.monitor = &Monitor;
      s_ops.del = kHasDel<R> || table.has_del() ? &Del : nullptr;
      s_ops.destroy = &Destroy;
      s_ops.aggregate = &Aggregate;
      if constexpr (kHasState<R>) {
        s_ops.save = &Save;
        s_ops.load = &Load;
        if constexpr (IsValid<NamedResume, R>) s_ops.resume = &Resume;
      }
    }
  };

  static void *Construct(const chi_pool_id *pool_id, const char *pool_name) noexcept {
    if (g_host == nullptr) return nullptr; /* chi_module comes first, and has not succeeded. */
    chi_container *container = nullptr;
    Guard([&] {
      auto box = std::make_unique<Box>();
      box->ops = &s_ops;
      if (pool_id != nullptr) box->runtime.Init(PoolId(*pool_id), pool_name);
      container = box.release();
      return CHI_OK;
    });
    return container;
  }

  static Bound<R> &RuntimeOf(chi_container *container) {
    return static_cast<Box *>(container)->runtime;
  }
  /* The task was received as bytes from a client in any language: no constructor of this process
   * ran on it. It is valid as a Task because the contract fixes the layout of every task. */
  static hipc::FullPtr<Task> TaskOf(chi_task *task) {
    return hipc::FullPtr<Task>(static_cast<Task *>(task));
  }

  /* A runtime of an older minor passes a context that is shorter than RunContext. The module then
   * gets a whole one, and the runtime the part that it knows. */
  class WholeContext {
   public:
    explicit WholeContext(chi_run_context *given) : given_(given) {
      if (IsShort()) std::memcpy(static_cast<void *>(&own_), given, given->size);
    }
    ~WholeContext() {
      if (IsShort()) std::memcpy(static_cast<void *>(given_), &own_, own_.size);
    }
    WholeContext(const WholeContext &) = delete;
    WholeContext &operator=(const WholeContext &) = delete;
    RunContext &operator*() { return IsShort() ? own_ : *given_; }

   private:
    bool IsShort() const { return given_->size < sizeof(RunContext); }

    chi_run_context *given_;
    RunContext own_{};
  };

  /* Used when `Create` takes a parameter struct. */
  static chi_status Canonicalize(const void *params, u64 len, chi_archive *archive) {
    return Guard([&] {
      using P = ParamsOf<R>;
      const std::string_view bytes(static_cast<const char *>(params), len);
      const std::string form = ParamsToBytes(ParamsFromAny<P>(len == 0 ? "" : bytes));
      return CheckedArchive(archive)->write(archive, form.data(), form.size());
    });
  }

  /* Used when that struct names its fields. */
  static chi_status Pools(const void *params, u64 len, chi_archive *archive) {
    return Guard([&] {
      const std::string_view bytes(static_cast<const char *>(params), len);
      ParamsOf<R> given = ParamsFromAny<ParamsOf<R>>(len == 0 ? "" : bytes);
      NamedPools pools;
      given.named(pools);
      return CheckedArchive(archive)->write(archive, pools.names().data(), pools.names().size());
    });
  }

  static chi_status Init(chi_container *container, const chi_pool_id *pool_id,
                         const char *pool_name) {
    return Guard([&] {
      RuntimeOf(container).Init(PoolId(*pool_id), pool_name);
      return CHI_OK;
    });
  }

  static chi_status Run(chi_container *container, u32 method, chi_task *task,
                        chi_run_context *rctx) {
    return Guard([&] {
      /* The client may have left any value here. Task::Fail sets it. */
      task->status_ = CHI_OK;
      WholeContext context(rctx);
      RuntimeOf(container).Run(method, TaskOf(task), *context);
      return task->status_;
    });
  }

  static chi_status Monitor(chi_container *container, u32 mode, u32 method, chi_task *task,
                            chi_run_context *rctx) {
    return Guard([&] {
      WholeContext context(rctx);
      RuntimeOf(container).Monitor(static_cast<MonitorModeId>(mode), method, TaskOf(task),
                                   *context);
      return CHI_OK;
    });
  }

  static void Del(chi_container *container, u32 method, chi_task *task) {
    Guard([&] {
      RuntimeOf(container).Del(hipc::MemContext{}, method, TaskOf(task));
      return CHI_OK;
    });
  }

  /* Used when lib_exec.h defines a dispatch of the serialisers. */
  static chi_status Serialize(chi_container *container, u32 method, chi_task *task, u32 mode,
                              chi_archive *archive) {
    return Guard([&] {
      DispatchSerialize<R>(RuntimeOf(container), static_cast<SerializeMode>(mode), method,
                           TaskOf(task), *CheckedArchive(archive));
      return CHI_OK;
    });
  }

  static chi_status Aggregate(chi_container *container, u32 method, chi_task *task,
                              chi_task *replica, chi_run_context *rctx) {
    return Guard([&] {
      WholeContext context(rctx);
      RuntimeOf(container).Aggregate(method, TaskOf(task), TaskOf(replica), *context);
      return CHI_OK;
    });
  }

  static chi_status Save(chi_container *container, chi_state *state) {
    return Guard([&] {
      R &runtime = RuntimeOf(container);
      SaveState ar(state);
      runtime.State(ar);
      if constexpr (IsValid<NamedRelease, R>) {
        if (!ar.IsCopy()) runtime.Release();
      }
      return CHI_OK;
    });
  }

  static chi_status Load(chi_container *container, chi_state *state) {
    return Guard([&] {
      R &runtime = RuntimeOf(container);
      LoadState ar(state);
      runtime.State(ar);
      ar.Finish();
      return CHI_OK;
    });
  }

  static chi_status Resume(chi_container *container) {
    return Guard([&] {
      R &runtime = RuntimeOf(container);
      runtime.Resume();
      return CHI_OK;
    });
  }

  static void Destroy(chi_container *container) { delete static_cast<Box *>(container); }

  CHI_HIDDEN static inline chi_container_ops s_ops{};
};

}  // namespace detail
}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_MODULE_H_
