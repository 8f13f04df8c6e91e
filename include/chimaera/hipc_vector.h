/* hipc::vector: a vector in a task. */
#ifndef CHIMAERA_HIPC_VECTOR_H_
#define CHIMAERA_HIPC_VECTOR_H_

#include <cstring>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "chimaera/current.h"
#include "chimaera/hipc.h"

namespace hipc {
inline namespace v1 CHI_LAYER {
namespace detail {

/* The task whose body contains `vector`. */
inline Owner OwnerOf(const chi_shm_vector &vector) {
  if (vector.offset_in_task_ == 0) {
    throw chi::Error(CHI_INVALID,
                     "this hipc string or vector does not know its task: construct it with the "
                     "task's allocator, or, inside another vector, pass hipc::Owner(task)");
  }
  auto *bytes = reinterpret_cast<char *>(const_cast<chi_shm_vector *>(&vector));
  return Owner(reinterpret_cast<chi_task *>(bytes - vector.offset_in_task_));
}

/* The address of the first byte in this process. Uses the IPC manager only when the vector has no
 * address yet. */
inline void *DataOf(const chi_shm_vector &vector) {
  if (vector.data_ != nullptr || vector.shm_ == CHI_SHM_NULL) return vector.data_;
  const chi_ipc *ipc = chi::detail::CurrentIpc();
  return ipc->resolve(ipc, vector.shm_);
}

/* True for elements that contain no strings and vectors, which are not trivially copyable. */
template <typename T>
inline constexpr bool kPlain = std::is_trivially_copy_constructible_v<T>;

/* Copies bytes to or from a block. memmove, because a client controls the addresses of its blocks:
 * in a method, any two of them may overlap. */
inline void CopyBytes(void *to, const void *from, uint64_t size) { std::memmove(to, from, size); }

/* Moves the vector into a block of at least `bytes` bytes, unless its block is that large. Elements
 * are moved as bytes, which is safe because no element stores its own address. The old block stays
 * with the task. */
inline void Reserve(chi_shm_vector &vector, Owner owner, uint64_t bytes, bool plain) {
  if (bytes <= vector.capacity_) return;
  /* What is visited is no task. */
  if (g_visits)
    throw chi::Error(CHI_INVALID, "nothing can be allocated for a task that is visited");
  const chi_ipc *ipc = chi::detail::CurrentIpc();
  chi_buffer block{};
  chi::detail::Check(ipc, plain ? ipc->alloc(ipc, owner.task_, bytes, &block)
                                : ipc->alloc_elements(ipc, owner.task_, bytes, &block));
  if (vector.size_ != 0) CopyBytes(block.data_, DataOf(vector), vector.size_);
  vector.shm_ = block.shm_;
  vector.data_ = block.data_;
  vector.capacity_ = block.size_;
}

/* Makes room for `extra` more bytes, and at least doubles the block, so that appending stays cheap.
 * */
inline void Grow(chi_shm_vector &vector, Owner owner, uint64_t extra, bool plain) {
  const uint64_t needed = vector.size_ + extra;
  if (needed < extra) throw chi::Error(CHI_TOO_LARGE, "a hipc vector cannot be this large");
  if (needed <= vector.capacity_) return;
  Reserve(vector, owner, needed > 2 * vector.size_ ? needed : 2 * vector.size_, plain);
}

/* Replaces the contents with a copy of `size` bytes. */
inline void Assign(chi_shm_vector &vector, Owner owner, const void *bytes, uint64_t size) {
  vector.size_ = 0;
  Reserve(vector, owner, size, true);
  if (size != 0) CopyBytes(DataOf(vector), bytes, size);
  vector.size_ = size;
}

/* Makes the vector refer to the first `size` bytes of a buffer. */
inline void Attach(chi_shm_vector &vector, const chi_buffer &buffer, uint64_t size) {
  if (size > buffer.size_) {
    throw chi::Error(CHI_INVALID, "the buffer is smaller than the range to attach");
  }
  vector.shm_ = buffer.shm_;
  vector.data_ = buffer.data_;
  vector.size_ = size;
  vector.capacity_ = buffer.size_;
}

/* Constructs one element: with an allocator for the owner if its constructor takes one, else
 * without.
 */
template <typename T, typename... Args>
T *NewElement(void *where, const CtxAllocator<Allocator> &alloc, Args &&...args) {
  if constexpr (std::is_constructible_v<T, const CtxAllocator<Allocator> &, Args...>) {
    return ::new (where) T(alloc, std::forward<Args>(args)...);
  } else if constexpr (std::is_constructible_v<T, Args...>) {
    return ::new (where) T(std::forward<Args>(args)...);
  } else {
    return ::new (where) T{std::forward<Args>(args)...};
  }
}

template <typename T>
void ConstructElementOf(void *where, LayoutRecorder *recorder) {
  NewElement<T>(where, CtxAllocator<Allocator>(Owner(nullptr), recorder));
}

}  // namespace detail

/** A vector in a task, or in an element of a vector in a task.
 *
 * It does not own its block: the block belongs to the task and is freed with it. So a vector needs
 * no destructor, and when it grows, its old blocks stay with the task. Construct it with the task's
 * allocator: it then knows its task, and can be assigned to in applications and in methods. A
 * vector inside another vector does not know its task: pass `hipc::Owner(task)` as the first
 * argument. Functions that allocate throw chi::Error (`CHI_NO_SPACE`, `CHI_TOO_LARGE`, ...).
 *
 * In a method, pointer and length have been checked and cannot change, but the client may write to
 * the elements at any time. Pass `CopyOut()` to code that must not see its input change.
 *
 *     struct SumTask : public chi::Task {
 *       IN hipc::vector<int> data_;
 *       explicit SumTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
 *           : chi::Task(alloc), data_(alloc) {}
 *     };
 */
template <typename T>
class vector : public chi_shm_vector {
 public:
  using value_type = T;
  using iterator = T *;
  using const_iterator = const T *;

  /** Empty, as an element of a vector. */
  vector() : chi_shm_vector{} { Made(detail::g_recorder); }
  /** Empty, in the task under construction. */
  template <typename AllocT>
  explicit vector(const CtxAllocator<AllocT> &alloc) : chi_shm_vector{} {
    offset_in_task_ = alloc.OffsetOf(this);
    Made(alloc.recorder());
  }
  /** A copy of `n` elements, in the task under construction. */
  template <typename AllocT>
  vector(const CtxAllocator<AllocT> &alloc, const T *data, std::size_t n) : vector(alloc) {
    assign(alloc.owner(), data, n);
  }
  /** Not copyable, because a vector is bound to its task: assign the elements instead. */
  vector(const vector &) = delete;

  /** Copies the elements. */
  vector &operator=(const vector &other) {
    if (this != &other) assign(other.data(), other.size());
    return *this;
  }
  /** Copies the elements. */
  vector &operator=(const std::vector<T> &other) {
    assign(other.data(), other.size());
    return *this;
  }

  /** The number of elements. */
  std::size_t size() const { return static_cast<std::size_t>(size_ / sizeof(T)); }
  /** The number of elements that fit without a new block. */
  std::size_t capacity() const { return static_cast<std::size_t>(capacity_ / sizeof(T)); }
  /** True when there are no elements. */
  bool empty() const { return size_ < sizeof(T); }

  /** The address of the first element in this process. Valid until the task is deleted or the
   * vector grows. */
  T *data() { return static_cast<T *>(detail::DataOf(*this)); }
  const T *data() const { return static_cast<const T *>(detail::DataOf(*this)); }
  T *begin() { return data(); }
  T *end() { return data() + size(); }
  const T *begin() const { return data(); }
  const T *end() const { return data() + size(); }
  /** Element `i`, below `size()`. */
  T &operator[](std::size_t i) { return data()[i]; }
  const T &operator[](std::size_t i) const { return data()[i]; }

  /** Makes room for `n` elements. */
  void reserve(std::size_t n) { reserve(detail::OwnerOf(*this), n); }
  void reserve(Owner owner, std::size_t n) { detail::Reserve(*this, owner, Bytes(n), kPlain); }

  /** Changes the size to `n` elements; new ones are value-initialised. */
  void resize(std::size_t n) {
    if (n > size()) return resize(detail::OwnerOf(*this), n);
    size_ = n * sizeof(T);
  }
  void resize(Owner owner, std::size_t n) {
    detail::Reserve(*this, owner, Bytes(n), kPlain);
    T *first = data();
    for (std::size_t i = size(); i < n; ++i) {
      detail::NewElement<T>(first + i, CtxAllocator<Allocator>(owner));
    }
    size_ = n * sizeof(T);
  }

  /** Makes it empty; keeps the block. */
  void clear() { size_ = 0; }

  /** Replaces the contents with copies of the `n` elements at `data`, which must not be in this
   * vector.
   */
  void assign(const T *data, std::size_t n) {
    if (n == 0) return clear();
    assign(detail::OwnerOf(*this), data, n);
  }
  void assign(Owner owner, const T *data, std::size_t n) {
    static_assert(kPlain, "add elements that contain strings or vectors with emplace_back");
    detail::Assign(*this, owner, data, Bytes(n));
  }

  /** Appends copies of the `n` elements at `data`, which must not be in this vector. */
  void append(const T *data, std::size_t n) {
    if (n != 0) append(detail::OwnerOf(*this), data, n);
  }
  void append(Owner owner, const T *data, std::size_t n) {
    static_assert(kPlain, "add elements that contain strings or vectors with emplace_back");
    if (n == 0) return;
    detail::Grow(*this, owner, Bytes(n), kPlain);
    detail::CopyBytes(static_cast<void *>(end()), data, n * sizeof(T));
    size_ += n * sizeof(T);
  }

  /** Appends an element constructed from `args`. If its constructor takes an allocator first, it
   * gets one for the vector's task. */
  template <typename... Args>
  T &emplace_back(Args &&...args) {
    return emplace_back(detail::OwnerOf(*this), std::forward<Args>(args)...);
  }
  template <typename... Args>
  T &emplace_back(Owner owner, Args &&...args) {
    detail::Grow(*this, owner, sizeof(T), kPlain);
    T *element =
        detail::NewElement<T>(end(), CtxAllocator<Allocator>(owner), std::forward<Args>(args)...);
    size_ += sizeof(T);
    return *element;
  }
  /** Adds a copy of `value`. */
  void push_back(const T &value) { emplace_back(T(value)); }

  /** Makes the vector refer to the first `n` elements in a buffer, without a copy. The buffer stays
   * with its owner and must outlive the task's run. */
  void attach(const chi_buffer &buffer, std::size_t n) { detail::Attach(*this, buffer, Bytes(n)); }

  /** A private copy of the elements. */
  std::vector<T> CopyOut() const {
    static_assert(kPlain, "copy elements that contain strings or vectors one by one");
    std::vector<T> copy(size());
    if (!copy.empty()) {
      std::memcpy(static_cast<void *>(copy.data()), data(), copy.size() * sizeof(T));
    }
    return copy;
  }

  /** The bytes, for a vector of one-byte elements. Valid as long as `data()`. */
  std::string_view view() const {
    static_assert(sizeof(T) == 1, "only a vector of one-byte elements has a view");
    return {reinterpret_cast<const char *>(data()), size()};
  }

 private:
  static constexpr bool kPlain = detail::kPlain<T>;

  static uint64_t Bytes(std::size_t n) {
    if (n > UINT64_MAX / 2 / sizeof(T)) {
      throw chi::Error(CHI_TOO_LARGE, "a hipc vector cannot be this large");
    }
    return static_cast<uint64_t>(n) * sizeof(T);
  }

  /* Checked here and not in the class, because T may be incomplete until a vector is constructed.
   * */
  void Made(detail::LayoutRecorder *recorder) {
    static_assert(sizeof(vector) == sizeof(chi_shm_vector), "a hipc vector is the C struct");
    static_assert(std::is_trivially_destructible_v<T>,
                  "elements are in shared memory, where no destructor runs: use hipc::string, "
                  "hipc::vector and plain values, not std::string and the like");
    static_assert(alignof(T) <= 64, "elements may be aligned to at most 64 bytes");
    if (recorder != nullptr) {
      recorder->Add({this, CHI_FIELD_VECTOR, sizeof(T), alignof(T),
                     kPlain ? nullptr : &detail::ConstructElementOf<T>});
    }
  }
};

}  // namespace v1
}  // namespace hipc

#endif  // CHIMAERA_HIPC_VECTOR_H_
