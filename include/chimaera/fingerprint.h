/* The layout of a task, as clients and modules compare it. */
#ifndef CHIMAERA_FINGERPRINT_H_
#define CHIMAERA_FINGERPRINT_H_

#include <atomic>
#include <new>
#include <type_traits>
#include <utility>

#include "chimaera/archive.h"
#include "chimaera/task.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

template <typename T, typename Ar, typename = void>
struct HasSerializeIn : std::false_type {};
template <typename T, typename Ar>
struct HasSerializeIn<T, Ar,
                      std::void_t<decltype(std::declval<T &>().SerializeIn(std::declval<Ar &>()))>>
    : std::true_type {};
template <typename T, typename Ar, typename = void>
struct HasSerializeOut : std::false_type {};
template <typename T, typename Ar>
struct HasSerializeOut<
    T, Ar, std::void_t<decltype(std::declval<T &>().SerializeOut(std::declval<Ar &>()))>>
    : std::true_type {};

/* True when a task carries a fingerprint that a generator has computed. */
template <typename T, typename = void>
inline constexpr bool kDescribed = false;
template <typename T>
inline constexpr bool kDescribed<T, std::void_t<decltype(T::kDescription)>> = true;

/* Whether a fingerprint can be made of what a task's serialisers visit. */
template <typename T>
inline constexpr bool kVisited = std::is_constructible_v<T, const hipc::CtxAllocator<CHI_ALLOC_T> &>
    &&HasSerializeIn<T, LoadArchive>::value &&HasSerializeOut<T, LoadArchive>::value;

/* The fingerprint of what a task's serialisers visit: where each value lies and of which kind it
 * is, in their order. 0 when they cannot visit a task in which nothing is set; then the module's
 * layout is compared by its size alone. */
template <typename T>
u32 VisitedFingerprint() {
  struct Visits {
    Visits() { hipc::detail::g_visits = true; }
    ~Visits() { hipc::detail::g_visits = false; }
  };
  try {
    const Visits visits;
    const Zeroed<T> memory;
    const chi_task header{};
    /* It is no task of a runtime or a session. */
    T *const task = memory.Construct([&header](void *where) {
      ::new (where) T(hipc::CtxAllocator<CHI_ALLOC_T>(nullptr, 0, header));
    });
    FieldNotes notes(task, sizeof(T), 1);
    LoadArchive ar(notes);
    task->SerializeIn(ar);
    notes.Add(nullptr, FieldNotes::kResults);
    task->SerializeOut(ar);
    /* 17 bits of the hash, above the two that tell fingerprints of C++ declarations from others. */
    const u32 hash = notes.hash();
    return ((hash ^ hash >> 17) << 2 | CHI_DECLARED_IN_CPP) &
           ((u32{1} << CHI_TASK_LAYOUT_SIZE_SHIFT) - 1);
  } catch (...) {
    return 0;
  }
}

/* The fingerprint of a task; 0 when it has none. */
template <typename T>
u32 FingerprintOf() {
  if constexpr (kDescribed<T>) {
    return T::kDescription;
  } else if constexpr (kVisited<T>) {
    return VisitedFingerprint<T>();
  } else {
    return 0;
  }
}

template <typename T>
chi_status LayoutWith(u32 fingerprint) {
  return static_cast<chi_status>(CHI_TASK_LAYOUT |
                                 u32{sizeof(T) / 8} << CHI_TASK_LAYOUT_SIZE_SHIFT | fingerprint);
}

/* The layout of a task whose fingerprint must be computed; 0 until then. Atomic and not a
 * function's static, because a crash in a constructor must not leave a lock behind. */
template <typename T>
CHI_HIDDEN inline std::atomic<chi_status> g_layout{0};

/* The layout of a task, for the status of one that has not been submitted. */
template <typename T>
chi_status LayoutOf() {
  if constexpr (kDescribed<T> || !kVisited<T>) {
    return LayoutWith<T>(FingerprintOf<T>());
  } else {
    chi_status layout = g_layout<T>.load(std::memory_order_relaxed);
    if (layout == 0) {
      layout = LayoutWith<T>(FingerprintOf<T>());
      g_layout<T>.store(layout, std::memory_order_relaxed);
    }
    return layout;
  }
}

}  // namespace detail
}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_FINGERPRINT_H_
