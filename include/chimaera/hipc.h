/* Pointers to tasks, and the allocator with which tasks and their fields are constructed. */
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

/** A pointer into shared memory: the address in this process, and the shared pointer, which is
 * valid in every process of the session. Does not own the object. `shm_` is `CHI_SHM_NULL` for
 * tasks, to which there are no shared pointers. */
template <typename T>
struct FullPtr {
  /** The address in this process. */
  T *ptr_ = nullptr;
  /** The shared pointer. */
  chi_shm_ptr shm_ = CHI_SHM_NULL;

  /** A null pointer. */
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
  /** True when it is null. */
  bool IsNull() const { return ptr_ == nullptr; }
  explicit operator bool() const { return ptr_ != nullptr; }
  friend bool operator==(const FullPtr &a, const FullPtr &b) { return a.ptr_ == b.ptr_; }
  friend bool operator!=(const FullPtr &a, const FullPtr &b) { return a.ptr_ != b.ptr_; }
};

/** A caller's preferences for memory allocation. It has no fields yet. Pass `HSHM_MCTX`. */
struct MemContext {};

/** The only allocator: it allocates blocks from the session's segment. */
struct Allocator {};

/** The task that new blocks belong to. Needed for a string or a vector inside another vector, which
 * does not know its task. The task is borrowed.
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

/* Records a string or a vector that was constructed while a recorder was active. */
struct SeenField {
  const void *address;
  uint32_t kind;
  uint32_t elem_size;
  uint32_t elem_align;
  ConstructElement construct_elem; /* Null when elements hold no strings or vectors. */
};

/* Records where an object has strings and vectors: their constructors report to it while the module
 * constructs one task of each type at load. */
class LayoutRecorder {
 public:
  void Add(const SeenField &field) { seen_.push_back(field); }
  const std::vector<SeenField> &seen() const { return seen_; }

 private:
  std::vector<SeenField> seen_;
};

/* For the constructors that have no allocator argument. Set only while a module loads. Every
 * translation unit must check it: the linker may keep any copy of an inline constructor. */
CHI_HIDDEN inline LayoutRecorder *g_recorder = nullptr;

/* Set on a thread while it has the serialisers of a task visit one that was made only for this: see
 * fingerprint.h. */
CHI_HIDDEN inline thread_local bool g_visits = false;

}  // namespace detail

/** The allocator argument of a task's constructor, which passes it on to the task's strings and
 * vectors. It identifies the task under construction. Valid only during that constructor. */
template <typename AllocT>
class CtxAllocator {
 public:
  /** For a task of `size` bytes at `task`; `header` is the header that `new_task` prepared. */
  CtxAllocator(chi_task *task, uint32_t size, const chi_task &header,
               detail::LayoutRecorder *recorder = nullptr)
      : task_(task), size_(size), header_(&header), recorder_(recorder) {}

  /** For an object outside the body of `owner`, in a block that belongs to `owner`. */
  explicit CtxAllocator(Owner owner, detail::LayoutRecorder *recorder = nullptr)
      : task_(owner.task_), recorder_(recorder) {}

  /** The task that new blocks belong to. */
  Owner owner() const { return Owner(task_); }
  /** The header that `new_task` prepared; null when no task is under construction. */
  const chi_task *header() const { return header_; }
  /** Used internally. */
  detail::LayoutRecorder *recorder() const { return recorder_; }

  /** The offset of `field` from the start of the task under construction; 0 when it is not in the
   * task's body. */
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
