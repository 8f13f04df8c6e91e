/* chi::SaveArchive and chi::LoadArchive: values as bytes, for pool parameters and for tasks that go
 * to another process. The format is that of docs/wire-format.md, and the same in Rust. */
#ifndef CHIMAERA_ARCHIVE_H_
#define CHIMAERA_ARCHIVE_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
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

/* How deep structs may be nested. */
constexpr u32 kMaxArchiveDepth = 64;

/* Counts the nesting depth of structs. */
class ArchiveDepth {
 public:
  ArchiveDepth(u32 &depth, u64 position) : depth_(depth) {
    if (depth_ == kMaxArchiveDepth) {
      throw Error(CHI_INVALID, "structs are nested more than " + std::to_string(kMaxArchiveDepth) +
                                   " levels deep at byte " + std::to_string(position));
    }
    ++depth_;
  }
  ~ArchiveDepth() { --depth_; }
  ArchiveDepth(const ArchiveDepth &) = delete;
  ArchiveDepth &operator=(const ArchiveDepth &) = delete;

 private:
  u32 &depth_;
};

/* What a `serialize` visits, hashed: FNV-1a over where each value lies in its object, and of which
 * kind it is. */
class FieldNotes {
 public:
  /* Kinds; numbers have their size in the low bits. */
  static constexpr u32 kBytes = 1u << 24;
  static constexpr u32 kUnsigned = 2u << 24;
  static constexpr u32 kSigned = 3u << 24;
  static constexpr u32 kFloat = 4u << 24;
  static constexpr u32 kBool = 5u << 24;
  static constexpr u32 kString = 6u << 24;
  static constexpr u32 kVector = 7u << 24;
  static constexpr u32 kResults = 8u << 24;

  /* `depth` counts the vectors that the object is in, and itself. */
  FieldNotes(const void *object, std::size_t size, u32 depth)
      : object_(object), size_(size), depth_(depth) {}

  u32 depth() const { return depth_; }

  /* Adds a value. */
  void Add(const void *value, u32 kind) {
    const std::size_t offset =
        reinterpret_cast<std::uintptr_t>(value) - reinterpret_cast<std::uintptr_t>(object_);
    /* A local variable of a `serialize` lies nowhere in the object. */
    Mix(offset < size_ ? static_cast<u32>(offset) : ~u32{0});
    Mix(kind);
  }

  /* Adds anything else that tells layouts apart. */
  void Mix(u32 word) {
    for (u32 shift = 0; shift < 32; shift += 8)
      hash_ = (hash_ ^ (word >> shift & 0xff)) * 0x01000193;
  }

  u32 hash() const { return hash_; }

 private:
  const void *object_;
  std::size_t size_;
  u32 depth_;
  u32 hash_ = 0x811c9dc5;
};

/* Zeroed memory for one object, which keeps its zeros where the constructor sets nothing: to the
 * compiler, what was in memory before an object began is nothing. */
template <typename T>
class Zeroed {
 public:
  Zeroed() : memory_(::operator new (sizeof(T), std::align_val_t{kAlign})) {
    std::memset(memory_, 0, sizeof(T));
    Forget();
  }
  ~Zeroed() { ::operator delete (memory_, std::align_val_t{kAlign}); }
  Zeroed(const Zeroed &) = delete;
  Zeroed &operator=(const Zeroed &) = delete;

  /* Has `construct` begin an object in it. */
  template <typename F>
  T *Construct(const F &construct) const {
    construct(memory_);
    Forget();
    return static_cast<T *>(memory_);
  }

 private:
  static constexpr std::size_t kAlign =
      alignof(T) < alignof(std::max_align_t) ? alignof(std::max_align_t) : alignof(T);

  void Forget() const { __asm__ volatile("" : : "r"(memory_) : "memory"); }

  void *memory_;
};

/* A number's kind and size. */
template <typename T>
constexpr u32 NumberKind() {
  /* Whether a plain char has a sign depends on the processor. */
  return (std::is_same_v<T, char>       ? FieldNotes::kBytes
          : std::is_floating_point_v<T> ? FieldNotes::kFloat
          : std::is_signed_v<T>         ? FieldNotes::kSigned
                                        : FieldNotes::kUnsigned) |
         u32{sizeof(T)};
}

template <typename T>
inline constexpr bool kIsSharedVector = false;
template <typename T>
inline constexpr bool kIsSharedVector<hipc::vector<T>> = true;

template <typename T>
void Note(LoadArchive &ar, FieldNotes &notes, T &value);

/* The runtime's archive, once checked to be long enough for the functions that are called here. */
inline chi_archive *CheckedArchive(chi_archive *archive) {
  constexpr std::size_t kNeeded = offsetof(chi_archive, remaining) + sizeof(archive->remaining);
  if (archive == nullptr || archive->size < kNeeded) {
    throw Error(CHI_VERSION, "an archive of only " +
                                 std::to_string(archive == nullptr ? 0 : archive->size) + " bytes");
  }
  return archive;
}

}  // namespace detail

/** Encodes values as bytes.
 *
 *     chi::SaveArchive ar;
 *     ar(level, names);
 *     std::string bytes = ar.TakeBytes();
 *
 * These types can be saved: integers, `bool`, floats, enums, arrays, `std::array`, `std::string`,
 * `std::vector`, `std::pair`, `std::map`, `std::unordered_map`, `std::optional`, `std::atomic`,
 * `hipc::string`, `hipc::vector`, Chimaera's own small types, and structs of those that have
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

  /** Writes to memory. */
  SaveArchive() = default;
  /** Writes to a C archive, which is borrowed. Call Flush at the end: it writes the buffered rest.
   * Error: `CHI_VERSION`. */
  explicit SaveArchive(chi_archive *out) : out_(detail::CheckedArchive(out)) {}
  SaveArchive(const SaveArchive &) = delete;
  SaveArchive &operator=(const SaveArchive &) = delete;

  /** Adds values. */
  template <typename... Ts>
  void operator()(const Ts &...values) {
    (detail::Rule<Ts>::Save(*this, values), ...);
  }

  /** Adds raw bytes, without a length. */
  void Put(const void *data, std::size_t size) {
    position_ += size;
    if (out_ != nullptr && size >= kGathered) {
      /* Much at once is not worth a copy. */
      Flush();
      return CheckWritten(out_->write(out_, data, size));
    }
    bytes_.append(static_cast<const char *>(data), size);
    if (out_ != nullptr && bytes_.size() >= kGathered) Flush();
  }

  /** Adds the length of the sequence that follows. */
  void PutLength(std::size_t length) { (*this)(static_cast<u64>(length)); }

  /** Adds a struct: `f` adds its fields. Error: `CHI_INVALID` when it is nested too deep. */
  template <typename F>
  void Nested(F &&f) {
    const detail::ArchiveDepth deeper(depth_, position_);
    f();
  }

  /** Writes the buffered bytes to the C archive. */
  void Flush() {
    if (out_ == nullptr || bytes_.empty()) return;
    const chi_status status = out_->write(out_, bytes_.data(), bytes_.size());
    bytes_.clear();
    CheckWritten(status);
  }

  /** Moves the bytes out of the archive. */
  std::string TakeBytes() { return std::exchange(bytes_, std::string()); }

 private:
  /* Buffer size: how many bytes are collected before they go to a C archive. */
  static constexpr std::size_t kGathered = 64 << 10;

  static void CheckWritten(chi_status status) {
    if (status != CHI_OK) throw Error(status, "cannot write to the archive");
  }

  std::string bytes_;
  chi_archive *out_ = nullptr;
  u64 position_ = 0;
  u32 depth_ = 0;
};

/** Decodes values from untrusted bytes. Malformed bytes throw `CHI_INVALID`, with a message that
 * says what is wrong and where. No length is trusted beyond what the remaining bytes could hold.
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

  /** Reads from memory, which is borrowed. It must be private: nobody may change it meanwhile. */
  explicit LoadArchive(std::string_view bytes) : bytes_(bytes) {}
  /** Reads from a C archive, which is borrowed, into the task `owner`: the blocks of its strings
   * and vectors are allocated for that task. Error: `CHI_VERSION`. */
  LoadArchive(chi_archive *from, hipc::Owner owner)
      : from_(detail::CheckedArchive(from)), owner_(owner) {}
  /* Reads nothing, and notes what would be read. */
  explicit LoadArchive(detail::FieldNotes &notes) : notes_(&notes) {}
  LoadArchive(const LoadArchive &) = delete;
  LoadArchive &operator=(const LoadArchive &) = delete;

  /** Reads values. */
  template <typename... Ts>
  void operator()(Ts &...values) {
    if (notes_ != nullptr) return (detail::Note(*this, *notes_, values), ...);
    (detail::Rule<Ts>::Load(*this, values), ...);
  }

  /** The number of bytes read so far. */
  u64 Position() const { return position_; }
  /** The number of bytes left. */
  u64 Remaining() const {
    return from_ != nullptr ? from_->remaining(from_) : bytes_.size() - position_;
  }

  /** Reads `size` bytes. Error: `CHI_INVALID` when fewer remain. */
  void Get(void *data, std::size_t size) {
    if (notes_ != nullptr) {
      if (size != 0) std::memset(data, 0, size);
      return notes_->Add(data, detail::FieldNotes::kBytes | static_cast<u32>(size));
    }
    if (size > Remaining()) {
      throw Error(CHI_INVALID, "the bytes end too early: " + std::to_string(size) +
                                   " were expected at byte " + std::to_string(position_) +
                                   ", and " + std::to_string(Remaining()) + " remain");
    }
    if (from_ != nullptr) {
      const chi_status status = from_->read(from_, data, size);
      if (status != CHI_OK) ThrowUnread(status, size);
    } else if (size != 0) {
      std::memcpy(data, bytes_.data() + position_, size);
    }
    position_ += size;
  }

  /** Reads the length of a sequence whose elements take at least `least` bytes each. Error:
   * `CHI_INVALID` when too few bytes remain for that many elements. */
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

  /** Reads a byte that must be 0 or 1. Error: `CHI_INVALID` for any other. */
  bool GetBool() {
    const u64 at = position_;
    u8 byte = 0;
    (*this)(byte);
    if (byte > 1) {
      throw Error(CHI_INVALID, "byte " + std::to_string(at) + " is " + std::to_string(byte) +
                                   ", but must be 0 or 1");
    }
    return byte == 1;
  }

  /** Reads a struct: `f` reads its fields. Error: `CHI_INVALID` when it is nested too deep. */
  template <typename F>
  void Nested(F &&f) {
    const detail::ArchiveDepth deeper(depth_, position_);
    f();
  }

  /** Checks that all bytes have been read. Error: `CHI_INVALID` when some remain. */
  void Finish() const {
    if (Remaining() == 0) return;
    throw Error(CHI_INVALID, std::to_string(Remaining()) + " bytes follow after the end, at byte " +
                                 std::to_string(position_));
  }

  /** The task that is being read into. Error: `CHI_INVALID` when there is none. */
  hipc::Owner owner() const {
    if (owner_.task_ == nullptr) {
      throw Error(CHI_INVALID, "a task's strings and vectors can be read only into a task");
    }
    return owner_;
  }

  /** How many elements to reserve memory for, when `length` elements of `size` bytes in memory are
   * claimed: a false length must not allocate more than the remaining bytes justify. */
  std::size_t Honest(std::size_t length, std::size_t size) const {
    return std::min<std::size_t>(length, Remaining() / size + 1);
  }

 private:
  /* The archive has fewer bytes than it says remain: they may be those of other fields, too. */
  [[noreturn]] void ThrowUnread(chi_status status, std::size_t size) const {
    if (status != CHI_INVALID) throw Error(status, "cannot read from the archive");
    throw Error(status, "the bytes end too early: " + std::to_string(size) +
                            " were expected at byte " + std::to_string(position_));
  }

  std::string_view bytes_;
  chi_archive *from_ = nullptr;
  hipc::Owner owner_{nullptr};
  detail::FieldNotes *notes_ = nullptr;
  u64 position_ = 0;
  u32 depth_ = 0;
};

namespace detail {

/* Notes a value, or what a struct's `serialize` visits. */
template <typename T>
void Note(LoadArchive &ar, FieldNotes &notes, T &value) {
  /* Numbers are read as 0: they may say how much else there is. */
  if constexpr (std::is_same_v<T, bool>) {
    notes.Add(&value, FieldNotes::kBool);
    value = false;
  } else if constexpr (std::is_enum_v<T>) {
    notes.Add(&value, NumberKind<std::underlying_type_t<T>>());
    value = T{};
  } else if constexpr (kIsNumber<T>) {
    notes.Add(&value, NumberKind<T>());
    value = 0;
  } else if constexpr (std::is_same_v<T, hipc::string>) {
    notes.Add(&value, FieldNotes::kString);
  } else if constexpr (kIsSharedVector<T>) {
    using E = typename T::value_type;
    notes.Add(&value, FieldNotes::kVector);
    notes.Mix(static_cast<u32>(sizeof(E)));
    /* The type of a vector's elements may lead back to the vector. */
    if (notes.depth() > CHI_MAX_FIELD_DEPTH) return;
    const Zeroed<E> memory;
    E *const element = memory.Construct([](void *where) {
      hipc::detail::NewElement<E>(where, hipc::CtxAllocator<CHI_ALLOC_T>(hipc::Owner(nullptr)));
    });
    FieldNotes inner(element, sizeof(E), notes.depth() + 1);
    LoadArchive reads(inner);
    reads(*element);
    notes.Mix(inner.hash());
  } else {
    Rule<T>::Load(ar, value);
  }
}

}  // namespace detail

/** Encodes a value. Error: `CHI_INVALID` when structs are nested too deep. Any thread. */
template <typename T>
std::string ToBytes(const T &value) {
  SaveArchive ar;
  ar(value);
  return ar.TakeBytes();
}

/** Decodes a value from all of the bytes, into a default-constructed `T`. Error: `CHI_INVALID`; the
 * message says what is wrong and where. Any thread. */
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
