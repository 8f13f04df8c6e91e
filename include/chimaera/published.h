/* Published memory: bytes that a container keeps where clients can read them. Only in modules. */
#ifndef CHIMAERA_PUBLISHED_H_
#define CHIMAERA_PUBLISHED_H_

#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "chimaera/current.h"
#include "chimaera/hipc_string.h"
#include "chimaera/hipc_vector.h"
#include "chimaera/macros.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

inline const chi_publishing *Publishing() {
  static const auto *table = FindExtension<chi_publishing>(CHI_EXT_PUBLISHING);
  return table;
}

}  // namespace detail

/** Bytes that a container keeps, and that it can lend as results of tasks instead of copying them:
 * a client whose task takes leases (Task::SetTakesLeases) reads them where they are. They are
 * written once, when they are published, and never change; copies of this object are the same
 * bytes. To change a value, publish a new one and drop this one: it is freed when nobody has it on
 * lease any more.
 *
 *     void Put(hipc::FullPtr<PutTask> task, chi::RunContext &) {
 *       values_[task->key_.str()] = chi::Published(task->value_.view());
 *     }
 *     void Get(hipc::FullPtr<GetTask> task, chi::RunContext &) {
 *       values_.at(task->key_.str()).Lend(task->value_);
 *     }
 *
 * Where bytes cannot be published, they are in the container's own memory, and Lend copies them:
 * fewer than kLeast bytes, in a module host, outside of methods, when the memory budget
 * (`limits.memory`) has no room for published memory, and in older runtimes. Any thread; the same
 * object only one at a time, as with a std::shared_ptr. */
class Published {
 public:
  /** Fewer bytes are kept in the container's own memory: copying them costs no more than a lease.
   */
  static constexpr std::size_t kLeast = 1024;

  /** No bytes. */
  Published() = default;
  /** Publishes a copy of `bytes`. Throws std::bad_alloc when this process is out of memory. */
  explicit Published(std::string_view bytes)
      : Published(bytes.size(),
                  [&](char *to) { hipc::detail::CopyBytes(to, bytes.data(), bytes.size()); }) {}
  /** Publishes `size` bytes, which `fill` writes to the address that it gets; what is there before
   * is unspecified. Throws std::bad_alloc, and what `fill` throws. */
  template <typename F>
  Published(std::size_t size, F &&fill) : size_(size) {
    if (size == 0) return;
    chi_published_block block = {};
    const chi_publishing *table = size < kLeast ? nullptr : detail::Publishing();
    if (table != nullptr && table->alloc(detail::g_host, size, &block) == CHI_OK) {
      reference_ = block.reference_;
      const Release release(&reference_);
      char *data = static_cast<char *>(block.data_);
      std::forward<F>(fill)(data);
      data_ = data;
      release.Keep();
    } else {
      std::shared_ptr<char> own(new char[size], std::default_delete<char[]>());
      std::forward<F>(fill)(own.get());
      data_ = own.get();
      own_ = std::move(own);
    }
  }

  Published(const Published &other)
      : reference_(other.reference_), own_(other.own_), data_(other.data_), size_(other.size_) {
    if (reference_ != nullptr) detail::Publishing()->retain(detail::g_host, reference_);
  }
  Published(Published &&other) noexcept { Swap(other); }
  Published &operator=(Published other) noexcept {
    Swap(other);
    return *this;
  }
  ~Published() { Free(&reference_); }

  /** The bytes. They stay as they are as long as this object, or another one with the same bytes.
   */
  std::string_view view() const { return {data_, size_}; }
  /** The address of the first byte; null without bytes. */
  const char *data() const { return data_; }
  /** The number of bytes. */
  std::size_t size() const { return size_; }
  /** Whether there are none. */
  bool empty() const { return size_ == 0; }
  /** Whether clients can have them on lease. */
  bool IsPublished() const { return reference_ != nullptr; }

  /** Makes a vector of the task that the method runs these bytes. A client, or a method, whose task
   * takes leases gets them without a copy; for others they are copied. Afterwards the vector can be
   * assigned to, but its elements must not be written to. Throws `CHI_INVALID` for a vector in
   * another vector without `hipc::Owner(task)`; `CHI_NO_SPACE`, `CHI_TOO_LARGE`. In a method. */
  template <typename T>
  void Lend(hipc::vector<T> &to) const {
    if (empty()) return to.clear();
    Lend(hipc::detail::OwnerOf(to), to);
  }
  template <typename T>
  void Lend(hipc::Owner owner, hipc::vector<T> &to) const {
    static_assert(sizeof(T) == 1, "only a vector of one-byte elements can be lent bytes");
    if (reference_ == nullptr) {
      return to.assign(owner, reinterpret_cast<const T *>(data_), size_);
    }
    const chi_status status =
        detail::Publishing()->lend(detail::g_host, reference_, 0, size_, owner.task_, &to);
    if (status == CHI_UNSUPPORTED) {
      return to.assign(owner, reinterpret_cast<const T *>(data_), size_);
    }
    if (status != CHI_OK) throw Error(status, "published bytes could not be lent");
  }

 private:
  /* Frees a reference unless it is kept. */
  class Release {
   public:
    explicit Release(chi_published **reference) : reference_(reference) {}
    Release(const Release &) = delete;
    Release &operator=(const Release &) = delete;
    ~Release() {
      if (!kept_) Free(reference_);
    }
    void Keep() const { kept_ = true; }

   private:
    chi_published **reference_;
    mutable bool kept_ = false;
  };

  static void Free(chi_published **reference) {
    if (*reference != nullptr) detail::Publishing()->release(detail::g_host, *reference);
    *reference = nullptr;
  }

  void Swap(Published &other) noexcept {
    std::swap(reference_, other.reference_);
    std::swap(own_, other.own_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  chi_published *reference_ = nullptr;
  std::shared_ptr<char> own_;
  const char *data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_PUBLISHED_H_
