/* Pointers to tasks, and the context in which tasks and what lies in them are made. */
#ifndef CHIMAERA_HIPC_H_
#define CHIMAERA_HIPC_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "chimaera/abi.h"
#include "chimaera/macros.h"

namespace hipc {
inline namespace v1 CHI_LAYER {

/** A pointer to something in shared memory: where it lies here, and where for every process of the
 * session. Owns nothing. `shm_` is `CHI_SHM_NULL` for tasks, which only their session names. */
template <typename T>
struct FullPtr {
  /** The address in this process. */
  T *ptr_ = nullptr;
  /** The shared pointer. */
  chi_shm_ptr shm_ = CHI_SHM_NULL;

  /** Points nowhere. */
  FullPtr() = default;
  /** Points to `ptr`. */
  explicit FullPtr(T *ptr, chi_shm_ptr shm = CHI_SHM_NULL) : ptr_(ptr), shm_(shm) {}
  /** From a pointer to a derived class. */
  template <typename U, std::enable_if_t<std::is_convertible_v<U *, T *>, int> = 0>
  FullPtr(const FullPtr<U> &other) : ptr_(other.ptr_), shm_(other.shm_) {}
  /** From a pointer to a base, unchecked: `hipc::FullPtr<CompressTask>(task)`. */
  template <typename U,
            std::enable_if_t<!std::is_convertible_v<U *, T *> && std::is_base_of_v<U, T>, int> = 0>
  explicit FullPtr(const FullPtr<U> &other)
      : ptr_(static_cast<T *>(other.ptr_)), shm_(other.shm_) {}

  T *operator->() const { return ptr_; }
  T &operator*() const { return *ptr_; }
  /** The address in this process. */
  T *get() const { return ptr_; }
  /** True when it points nowhere. */
  bool IsNull() const { return ptr_ == nullptr; }
  explicit operator bool() const { return ptr_ != nullptr; }
  friend bool operator==(const FullPtr &a, const FullPtr &b) { return a.ptr_ == b.ptr_; }
  friend bool operator!=(const FullPtr &a, const FullPtr &b) { return a.ptr_ != b.ptr_; }
};

/** How a caller wants memory: today it has nothing to say. Pass `HSHM_MCTX`. */
struct MemContext {};

/** The one allocator: blocks of the session's segment. */
struct Allocator {};

/** The task that new blocks belong to, where a string or a vector cannot know it by itself: one
 * that lies inside another vector. Borrowed.
 *
 *     task->rows_[0].assign(hipc::Owner(task), bytes, n);
 */
struct Owner {
  /** The task. */
  chi_task *task_;

  explicit Owner(chi_task *task) : task_(task) {}
  template <typename T>
  explicit Owner(const FullPtr<T> &task) : task_(task.ptr_) {}
};

namespace detail {

class LayoutRecorder;

/* Constructs one element of a vector at `where`, with `recorder` active. */
using ConstructElement = void (*)(void *where, LayoutRecorder *recorder);

/* A string or a vector that was constructed while a recorder was active. */
struct SeenField {
  const void *address;
  uint32_t kind;
  uint32_t elem_size;
  uint32_t elem_align;
  ConstructElement construct_elem; /* Null when elements hold no strings or vectors. */
};

/* Learns where strings and vectors lie in an object: their constructors report to it while a
 * module constructs one task of each kind at load. */
class LayoutRecorder {
 public:
  void Add(const SeenField &field) { seen_.push_back(field); }
  const std::vector<SeenField> &seen() const { return seen_; }

 private:
  std::vector<SeenField> seen_;
};

/* Reached by the constructors that get no allocator. Only set while a module loads. It is looked at
 * in every translation unit alike: the linker may keep either copy of an inline constructor. */
CHI_HIDDEN inline LayoutRecorder *g_recorder = nullptr;

}  // namespace detail

/** What the constructor of a task gets, and passes on to the task's strings and vectors: the task
 * that is being made. Valid during that constructor only. */
template <typename AllocT>
class CtxAllocator {
 public:
  /** For a task of `size` bytes at `task`; `header` is what `new_task` prepared there. */
  CtxAllocator(chi_task *task, uint32_t size, const chi_task &header,
               detail::LayoutRecorder *recorder = nullptr)
      : task_(task), size_(size), header_(&header), recorder_(recorder) {}

  /** For something outside the body of `owner`, in a block that belongs to it. */
  explicit CtxAllocator(Owner owner, detail::LayoutRecorder *recorder = nullptr)
      : task_(owner.task_), recorder_(recorder) {}

  /** The task that new blocks belong to. */
  Owner owner() const { return Owner(task_); }
  /** What `new_task` prepared, or null when no task is being made. */
  const chi_task *header() const { return header_; }
  /** Used internally. */
  detail::LayoutRecorder *recorder() const { return recorder_; }

  /** The distance of `field` from the start of the task that is being made, or 0 when it does not
   * lie in its body. */
  uint32_t OffsetOf(const void *field) const {
    const auto distance =
        reinterpret_cast<std::uintptr_t>(field) - reinterpret_cast<std::uintptr_t>(task_);
    return distance < size_ ? static_cast<uint32_t>(distance) : 0;
  }

 private:
  chi_task *task_;
  uint32_t size_ = 0;
  const chi_task *header_ = nullptr;
  detail::LayoutRecorder *recorder_;
};

}  // namespace v1
}  // namespace hipc

#endif  // CHIMAERA_HIPC_H_
