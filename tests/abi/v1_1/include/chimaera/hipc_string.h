/* hipc::string: a string in a task. */
#ifndef CHIMAERA_HIPC_STRING_H_
#define CHIMAERA_HIPC_STRING_H_

#include <string>
#include <string_view>

#include "chimaera/hipc_vector.h"

namespace hipc {
inline namespace v1 CHI_LAYER {

/** A string in a task, or in an element of a vector in a task: UTF-8, not zero-terminated. What the
 * documentation of hipc::vector says about ownership, growth and changing bytes holds for strings
 * too.
 *
 *     task->key_ = "colour";             // directly in the task
 *     task->keys_.emplace_back("shape"); // an element of a vector
 *     std::string key = task->key_.str();
 */
class string : public chi_shm_string {
 public:
  /** Empty, as an element of a vector. */
  string() : chi_shm_string{} { Made(detail::g_recorder); }
  /** Empty, in the task under construction. */
  template <typename AllocT>
  explicit string(const CtxAllocator<AllocT> &alloc) : chi_shm_string{} {
    bytes_.offset_in_task_ = alloc.OffsetOf(this);
    Made(alloc.recorder());
  }
  /** A copy of `text`, in the task under construction. */
  template <typename AllocT>
  string(const CtxAllocator<AllocT> &alloc, std::string_view text) : string(alloc) {
    assign(alloc.owner(), text);
  }
  /** Not copyable, because a string is bound to its task: assign the text instead. */
  string(const string &) = delete;

  /** Copies the text. */
  string &operator=(const string &other) {
    if (this != &other) assign(other.view());
    return *this;
  }
  /** Copies the text. */
  string &operator=(std::string_view text) {
    assign(text);
    return *this;
  }

  /** Replaces the text with a copy of `text`, which must not point into this string. */
  void assign(std::string_view text) {
    if (text.empty()) return clear();
    assign(detail::OwnerOf(bytes_), text);
  }
  void assign(const char *text, std::size_t n) { assign(std::string_view(text, n)); }
  void assign(Owner owner, std::string_view text) {
    detail::Assign(bytes_, owner, text.data(), text.size());
  }

  /** Makes the string refer to the first `n` bytes of a buffer, without a copy. The buffer stays
   * with its owner and must outlive the task's run. */
  void attach(const chi_buffer &buffer, std::size_t n) { detail::Attach(bytes_, buffer, n); }

  /** Makes it empty; keeps the block. */
  void clear() { bytes_.size_ = 0; }
  /** The number of bytes. */
  std::size_t size() const { return static_cast<std::size_t>(bytes_.size_); }
  /** True when there are no bytes. */
  bool empty() const { return bytes_.size_ == 0; }
  /** The address of the first byte in this process. Valid until the task is deleted or the string
   * is assigned. */
  const char *data() const { return static_cast<const char *>(detail::DataOf(bytes_)); }
  const char *begin() const { return data(); }
  const char *end() const { return data() + size(); }
  /** Byte `i`, below `size()`. */
  char operator[](std::size_t i) const { return data()[i]; }
  /** The text. Valid as long as `data()`. */
  std::string_view view() const { return {data(), size()}; }
  operator std::string_view() const { return view(); }
  /** A private copy of the text. */
  std::string str() const { return std::string(view()); }

  friend bool operator==(const string &a, const string &b) { return a.view() == b.view(); }
  friend bool operator!=(const string &a, const string &b) { return a.view() != b.view(); }
  friend bool operator==(const string &a, std::string_view b) { return a.view() == b; }
  friend bool operator!=(const string &a, std::string_view b) { return a.view() != b; }

 private:
  void Made(detail::LayoutRecorder *recorder) {
    if (recorder != nullptr) recorder->Add({this, CHI_FIELD_STRING, 1, 1, nullptr});
  }
};
static_assert(sizeof(string) == sizeof(chi_shm_string), "a hipc string is the C struct");

}  // namespace v1
}  // namespace hipc

#endif  // CHIMAERA_HIPC_STRING_H_
