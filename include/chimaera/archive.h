/* chi::SaveArchive and chi::LoadArchive: values as bytes, for pool parameters and for tasks on
 * their way to another process. The format is that of docs/wire-format.md, the same in Rust. */
#ifndef CHIMAERA_ARCHIVE_H_
#define CHIMAERA_ARCHIVE_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "chimaera/archive_rules.h"
#include "chimaera/error.h"
#include "chimaera/hipc.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

/* How deep structs may lie in structs. */
constexpr u32 kMaxArchiveDepth = 64;

/* Counts structs in structs. */
class ArchiveDepth {
 public:
  ArchiveDepth(u32 &depth, u64 position) : depth_(depth) {
    if (depth_ == kMaxArchiveDepth) {
      throw Error(CHI_INVALID, "structs lie more than " + std::to_string(kMaxArchiveDepth) +
                                   " deep in structs at byte " + std::to_string(position));
    }
    ++depth_;
  }
  ~ArchiveDepth() { --depth_; }
  ArchiveDepth(const ArchiveDepth &) = delete;
  ArchiveDepth &operator=(const ArchiveDepth &) = delete;

 private:
  u32 &depth_;
};

/* An archive of the runtime's that has the functions which are called here. */
inline chi_archive *CheckedArchive(chi_archive *archive) {
  constexpr std::size_t kNeeded = offsetof(chi_archive, remaining) + sizeof(archive->remaining);
  if (archive == nullptr || archive->size < kNeeded) {
    throw Error(CHI_VERSION, "an archive of only " +
                                 std::to_string(archive == nullptr ? 0 : archive->size) + " bytes");
  }
  return archive;
}

}  // namespace detail

/** Gathers the bytes of values.
 *
 *     chi::SaveArchive ar;
 *     ar(level, names);
 *     std::string bytes = ar.TakeBytes();
 *
 * What may be saved: integers, `bool`, floats, enums, arrays, `std::array`, `std::string`,
 * `std::vector`, `std::pair`, `std::map`, `std::optional`, `hipc::string`, `hipc::vector`,
 * Chimaera's own small types, and structs of those with
 *
 *     template <typename Ar>
 *     void serialize(Ar &ar) {
 *       ar(level_, names_);
 *     }
 *
 * Throws chi::Error. Used by one thread. */
class SaveArchive {
 public:
  /** Says in a `serialize` which way the values go. */
  static constexpr bool kLoads = false;

  /** Bytes in memory. */
  SaveArchive() = default;
  /** Bytes for a C archive, which is borrowed; Flush hands over the last. Error: `CHI_VERSION`. */
  explicit SaveArchive(chi_archive *out) : out_(detail::CheckedArchive(out)) {}
  SaveArchive(const SaveArchive &) = delete;
  SaveArchive &operator=(const SaveArchive &) = delete;

  /** Adds values. */
  template <typename... Ts>
  void operator()(const Ts &...values) {
    (detail::Rule<Ts>::Save(*this, values), ...);
  }

  /** Adds bytes as they are, without their number. */
  void Put(const void *data, std::size_t size) {
    bytes_.append(static_cast<const char *>(data), size);
    position_ += size;
    if (out_ != nullptr && bytes_.size() >= kGathered) Flush();
  }

  /** Adds the number of what follows. */
  void PutLength(std::size_t length) { (*this)(static_cast<u64>(length)); }

  /** Adds a struct: `f` adds its fields. Error: `CHI_INVALID` when it lies too deep in others. */
  template <typename F>
  void Nested(F &&f) {
    const detail::ArchiveDepth deeper(depth_, position_);
    f();
  }

  /** Hands the bytes over to the C archive. */
  void Flush() {
    if (out_ == nullptr || bytes_.empty()) return;
    const chi_status status = out_->write(out_, bytes_.data(), bytes_.size());
    bytes_.clear();
    if (status != CHI_OK) throw Error(status, "the archive takes no more bytes");
  }

  /** The bytes, which the archive no longer has. */
  std::string TakeBytes() { return std::exchange(bytes_, std::string()); }

 private:
  /* So many bytes are gathered before a C archive gets them. */
  static constexpr std::size_t kGathered = 64 << 10;

  std::string bytes_;
  chi_archive *out_ = nullptr;
  u64 position_ = 0;
  u32 depth_ = 0;
};

/** Takes values from bytes that nobody vouches for: what is malformed throws `CHI_INVALID` with
 * what is wrong and where, and no length is believed that the bytes do not bear out.
 *
 *     chi::LoadArchive ar(bytes);
 *     ar(level, names);
 *     ar.Finish();
 *
 * The values are those of SaveArchive. Used by one thread. */
class LoadArchive {
 public:
  /** Says in a `serialize` which way the values go. */
  static constexpr bool kLoads = true;

  /** From bytes in memory, borrowed; private ones, which nobody changes meanwhile. */
  explicit LoadArchive(std::string_view bytes) : bytes_(bytes) {}
  /** From a C archive, borrowed, into a task, for whose strings and vectors blocks are allocated.
   * Error: `CHI_VERSION`. */
  LoadArchive(chi_archive *from, hipc::Owner owner)
      : from_(detail::CheckedArchive(from)), owner_(owner) {}
  LoadArchive(const LoadArchive &) = delete;
  LoadArchive &operator=(const LoadArchive &) = delete;

  /** Takes values. */
  template <typename... Ts>
  void operator()(Ts &...values) {
    (detail::Rule<Ts>::Load(*this, values), ...);
  }

  /** How many bytes were taken. */
  u64 Position() const { return position_; }
  /** How many bytes remain. */
  u64 Remaining() const {
    return from_ != nullptr ? from_->remaining(from_) : bytes_.size() - position_;
  }

  /** Takes `size` bytes. Error: `CHI_INVALID` when fewer remain. */
  void Get(void *data, std::size_t size) {
    if (size > Remaining()) {
      throw Error(CHI_INVALID, "the bytes end too early: " + std::to_string(size) +
                                   " were expected at byte " + std::to_string(position_) +
                                   ", and " + std::to_string(Remaining()) + " remain");
    }
    if (from_ != nullptr) {
      const chi_status status = from_->read(from_, data, size);
      if (status != CHI_OK) throw Error(status, "the archive gives no more bytes");
    } else if (size != 0) {
      std::memcpy(data, bytes_.data() + position_, size);
    }
    position_ += size;
  }

  /** Takes the number of what follows, each of `least` bytes or more. Error: `CHI_INVALID` when so
   * many do not remain. */
  std::size_t GetLength(std::size_t least) {
    const u64 at = position_;
    u64 length = 0;
    (*this)(length);
    const u64 remaining = Remaining();
    if (length > remaining / least) {
      throw Error(CHI_INVALID, "a length of " + std::to_string(length) + " at byte " +
                                   std::to_string(at) + " is more than the " +
                                   std::to_string(remaining) + " bytes that remain");
    }
    return static_cast<std::size_t>(length);
  }

  /** Takes a byte that is 0 or 1. Error: `CHI_INVALID` for others. */
  bool GetBool() {
    const u64 at = position_;
    u8 byte = 0;
    (*this)(byte);
    if (byte > 1) {
      throw Error(CHI_INVALID, "the byte " + std::to_string(at) + " is " + std::to_string(byte) +
                                   ", where only 0 and 1 can be");
    }
    return byte == 1;
  }

  /** Takes a struct: `f` takes its fields. Error: `CHI_INVALID` when it lies too deep in others. */
  template <typename F>
  void Nested(F &&f) {
    const detail::ArchiveDepth deeper(depth_, position_);
    f();
  }

  /** Says that nothing else follows. Error: `CHI_INVALID` when bytes remain. */
  void Finish() const {
    if (Remaining() == 0) return;
    throw Error(CHI_INVALID, std::to_string(Remaining()) + " bytes follow after the end, at byte " +
                                 std::to_string(position_));
  }

  /** The task that is read into. Error: `CHI_INVALID` when there is none. */
  hipc::Owner owner() const {
    if (owner_.task_ == nullptr) {
      throw Error(CHI_INVALID, "strings and vectors in tasks are read into a task only");
    }
    return owner_;
  }

  /** How many elements of `size` bytes in memory to make room for at first, of `length` that are
   * claimed: no more than the bytes could be. */
  std::size_t Honest(std::size_t length, std::size_t size) const {
    return std::min<std::size_t>(length, Remaining() / size + 1);
  }

 private:
  std::string_view bytes_;
  chi_archive *from_ = nullptr;
  hipc::Owner owner_{nullptr};
  u64 position_ = 0;
  u32 depth_ = 0;
};

/** A value as bytes. Error: `CHI_INVALID` when structs lie too deep in structs. Any thread. */
template <typename T>
std::string ToBytes(const T &value) {
  SaveArchive ar;
  ar(value);
  return ar.TakeBytes();
}

/** The value that all of the bytes are, in a `T` that begins as its default. Error: `CHI_INVALID`
 * with what is wrong and where. Any thread. */
template <typename T>
T FromBytes(std::string_view bytes) {
  LoadArchive ar(bytes);
  T value{};
  ar(value);
  ar.Finish();
  return value;
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_ARCHIVE_H_
