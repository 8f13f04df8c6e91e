/* Serialising a task for another process: its SerializeIn and SerializeOut. Only in modules. */
#ifndef CHIMAERA_TASK_SERIALIZERS_H_
#define CHIMAERA_TASK_SERIALIZERS_H_

#include <string>
#include <type_traits>
#include <utility>

#include "chimaera/archive.h"
#include "chimaera/fingerprint.h"
#include "chimaera/params.h"
#include "chimaera/task.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** What a serialiser is asked to do. Newer runtimes may have more modes. */
enum class SerializeMode : u32 {
  /** Write the task's inputs. */
  kSaveIn = CHI_SERIALIZE_SAVE_IN,
  /** Read the task's inputs. */
  kLoadIn = CHI_SERIALIZE_LOAD_IN,
  /** Write the task's results. */
  kSaveOut = CHI_SERIALIZE_SAVE_OUT,
  /** Read the task's results. */
  kLoadOut = CHI_SERIALIZE_LOAD_OUT,
};

namespace detail {

/* Detects members with these names, of any kind and access: if T has one, the name is ambiguous in
 * a class that derives from both T and this struct. */
struct SerializerNames {
  void SerializeIn();
  void SerializeOut();
};
template <typename T>
struct SerializerProbe : public T, public SerializerNames {};
template <typename T, typename = void>
struct NamesSerializeIn : std::true_type {};
template <typename T>
struct NamesSerializeIn<T, std::void_t<decltype(&SerializerProbe<T>::SerializeIn)>>
    : std::false_type {};
template <typename T, typename = void>
struct NamesSerializeOut : std::true_type {};
template <typename T>
struct NamesSerializeOut<T, std::void_t<decltype(&SerializerProbe<T>::SerializeOut)>>
    : std::false_type {};

/* Which serialisers a task's class has. */
template <typename TaskT>
struct Serializers {
  static constexpr bool kIn = HasSerializeIn<TaskT, SaveArchive>::value;
  static constexpr bool kOut = HasSerializeOut<TaskT, SaveArchive>::value;
  static_assert(!std::is_final_v<TaskT>, "a task's class must not be final");
  static_assert(kIn == NamesSerializeIn<TaskT>::value &&
                    kIn == HasSerializeIn<TaskT, LoadArchive>::value,
                "declare SerializeIn as a public template <typename Ar> void SerializeIn(Ar &ar)");
  static_assert(
      kOut == NamesSerializeOut<TaskT>::value && kOut == HasSerializeOut<TaskT, LoadArchive>::value,
      "declare SerializeOut as a public template <typename Ar> void SerializeOut(Ar &ar)");
  static_assert(
      kIn == kOut,
      "a task must have both SerializeIn and SerializeOut, or neither: add the missing one, and "
      "leave it empty if there is nothing to send");
  /* A task without fields of its own has nothing to send. */
  static constexpr bool kComplete = kIn || std::is_same_v<TaskT, Task>;
};

}  // namespace detail

/** True when a task can be serialised for another process. */
template <typename TaskT>
inline constexpr bool kSerialized = detail::Serializers<TaskT>::kComplete;

/** Runs one serialiser of a task on an archive. Errors: `CHI_UNSUPPORTED` (no serialisers, or a
 * mode of a newer runtime), `CHI_INVALID` (malformed bytes), those of the archive and of
 * allocation. Worker. */
template <typename TaskT>
void SerializeTask(SerializeMode mode, hipc::FullPtr<TaskT> task, chi_archive &archive) {
  if constexpr (std::is_same_v<TaskT, Task>) {
    static_cast<void>(mode), static_cast<void>(task), static_cast<void>(archive);
  } else if constexpr (kSerialized<TaskT>) {
    switch (mode) {
      case SerializeMode::kSaveIn: {
        SaveArchive ar(&archive);
        task->SerializeIn(ar);
        return ar.Flush();
      }
      case SerializeMode::kLoadIn: {
        LoadArchive ar(&archive, hipc::Owner(task));
        return task->SerializeIn(ar);
      }
      case SerializeMode::kSaveOut: {
        SaveArchive ar(&archive);
        task->SerializeOut(ar);
        return ar.Flush();
      }
      case SerializeMode::kLoadOut: {
        LoadArchive ar(&archive, hipc::Owner(task));
        return task->SerializeOut(ar);
      }
    }
    throw Error(CHI_UNSUPPORTED, "serialisation mode " + std::to_string(static_cast<u32>(mode)) +
                                     " is not supported: build the module with a newer SDK");
  } else {
    throw Error(CHI_UNSUPPORTED, "the task of method " + std::to_string(task->method_) +
                                     " has no SerializeIn and SerializeOut");
  }
}

/** For `Create`: the pool's parameters as the module's struct; `P{}` when the pool was created
 * without any. Error: `CHI_INVALID`; the message says what is wrong, and where. */
template <typename P>
P LoadParams(const hipc::FullPtr<CreateTask> &task) {
  /* A private copy: a client may change its bytes at any time. */
  const std::vector<char> bytes = task->params_.CopyOut();
  return ParamsFromBytes<P>(std::string_view(bytes.data(), bytes.size()));
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_TASK_SERIALIZERS_H_
