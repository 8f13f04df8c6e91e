/* Which types can be serialised, and their encodings. Included by archive.h. */
#ifndef CHIMAERA_ARCHIVE_RULES_H_
#define CHIMAERA_ARCHIVE_RULES_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chimaera/hipc_string.h"
#include "chimaera/hipc_vector.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {

class SaveArchive;
class LoadArchive;

namespace detail {

/* True when `T` has `template <typename Ar> void serialize(Ar &ar)`. */
template <typename T, typename Ar, typename = void>
struct HasSerialize : std::false_type {};
template <typename T, typename Ar>
struct HasSerialize<T, Ar,
                    std::void_t<decltype(std::declval<T &>().serialize(std::declval<Ar &>()))>>
    : std::true_type {};

/* A number with the same size on every machine. bool has its own rule. */
template <typename T>
inline constexpr bool kIsNumber = (std::is_integral_v<T> ||
                                   std::is_floating_point_v<T>)&&!std::is_same_v<T, bool> &&
                                  sizeof(T) <= 8;

/* The rule for types without a more special one: structs with `serialize`, numbers, enums. All
 * functions take the archive as a template parameter, because its class is complete only where they
 * are used. */
template <typename T, typename = void>
struct Rule {
  static_assert(
      !std::is_pointer_v<T> && !std::is_null_pointer_v<T>,
      "a raw pointer cannot be serialised: it means nothing in another process. Send what "
      "it points to, as a value, a std::vector or a hipc::vector");
  static_assert(!std::is_member_pointer_v<T> && !std::is_function_v<T>,
                "a pointer to a member or a function cannot be serialised: it means nothing in "
                "another process");
  static_assert(
      !std::is_same_v<T, long double>,
      "a long double cannot be serialised: its encoding differs between machines. Use double");
  static_assert(std::is_pointer_v<T> || std::is_null_pointer_v<T> || std::is_member_pointer_v<T> ||
                    std::is_function_v<T> || std::is_same_v<T, long double> || kIsNumber<T> ||
                    std::is_enum_v<T> ||
                    (HasSerialize<T, SaveArchive>::value && HasSerialize<T, LoadArchive>::value),
                "this type cannot be serialised: give it a public template <typename Ar> void "
                "serialize(Ar &ar) { ar(a_, b_); }, or send values, strings and vectors instead");

  template <typename Ar>
  static void Save(Ar &ar, const T &value) {
    if constexpr (kIsNumber<T>) {
      ar.Put(&value, sizeof(value));
    } else if constexpr (std::is_enum_v<T>) {
      ar(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (HasSerialize<T, Ar>::value) {
      /* One function serves both directions; this archive only reads. */
      ar.Nested([&] { const_cast<T &>(value).serialize(ar); });
    }
  }

  template <typename Ar>
  static void Load(Ar &ar, T &value) {
    if constexpr (kIsNumber<T>) {
      ar.Get(&value, sizeof(value));
    } else if constexpr (std::is_enum_v<T>) {
      std::underlying_type_t<T> number{};
      ar(number);
      value = static_cast<T>(number);
    } else if constexpr (HasSerialize<T, Ar>::value) {
      ar.Nested([&] { value.serialize(ar); });
    }
  }
};

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the format is little-endian and numbers are copied as is: this processor is big-endian"
#endif

template <>
struct Rule<bool> {
  template <typename Ar>
  static void Save(Ar &ar, bool value) {
    ar(static_cast<u8>(value ? 1 : 0));
  }
  template <typename Ar>
  static void Load(Ar &ar, bool &value) {
    value = ar.GetBool();
  }
};

/* A struct of fixed fields, one after the other. */
#define CHI_ARCHIVE_RULE(TYPE, ...)               \
  template <>                                     \
  struct Rule<TYPE> {                             \
    template <typename Ar>                        \
    static void Save(Ar &ar, const TYPE &value) { \
      ar(__VA_ARGS__);                            \
    }                                             \
    template <typename Ar>                        \
    static void Load(Ar &ar, TYPE &value) {       \
      ar(__VA_ARGS__);                            \
    }                                             \
  }
CHI_ARCHIVE_RULE(chi_pool_id, value.major_, value.minor_);
CHI_ARCHIVE_RULE(PoolId, value.major_, value.minor_);
CHI_ARCHIVE_RULE(chi_domain_query, value.kind_, value.value_);
CHI_ARCHIVE_RULE(DomainQuery, value.kind_, value.value_);
CHI_ARCHIVE_RULE(chi_task_node, value.root_, value.depth_, value.node_);
CHI_ARCHIVE_RULE(chi_bitfield, value.bits_);
CHI_ARCHIVE_RULE(IntFlag, value.bits_);
#undef CHI_ARCHIVE_RULE

template <typename A, typename B>
struct Rule<std::pair<A, B>> {
  template <typename Ar>
  static void Save(Ar &ar, const std::pair<A, B> &value) {
    ar(value.first, value.second);
  }
  template <typename Ar>
  static void Load(Ar &ar, std::pair<A, B> &value) {
    ar(value.first, value.second);
  }
};

template <typename T>
struct Rule<std::optional<T>> {
  template <typename Ar>
  static void Save(Ar &ar, const std::optional<T> &value) {
    ar(value.has_value());
    if (value.has_value()) ar(*value);
  }
  template <typename Ar>
  static void Load(Ar &ar, std::optional<T> &value) {
    value.reset();
    if (ar.GetBool()) ar(value.emplace());
  }
};

/* The `n` elements at `data`; their number is part of the type. */
template <typename T>
struct Elements {
  template <typename Ar>
  static void Save(Ar &ar, const T *data, std::size_t n) {
    if constexpr (kIsNumber<T>) {
      if (n != 0) ar.Put(data, n * sizeof(T));
    } else {
      for (std::size_t i = 0; i < n; ++i) ar(data[i]);
    }
  }
  template <typename Ar>
  static void Load(Ar &ar, T *data, std::size_t n) {
    if constexpr (kIsNumber<T>) {
      ar.Get(data, n * sizeof(T));
    } else {
      for (std::size_t i = 0; i < n; ++i) ar(data[i]);
    }
  }
  /* The minimum encoded size of one element in bytes. */
  static constexpr std::size_t kLeast = kIsNumber<T> ? sizeof(T) : 1;
};

template <typename T, std::size_t N>
struct Rule<T[N]> {
  template <typename Ar>
  static void Save(Ar &ar, const T (&value)[N]) {
    Elements<T>::Save(ar, value, N);
  }
  template <typename Ar>
  static void Load(Ar &ar, T (&value)[N]) {
    Elements<T>::Load(ar, value, N);
  }
};

template <typename T, std::size_t N>
struct Rule<std::array<T, N>> {
  template <typename Ar>
  static void Save(Ar &ar, const std::array<T, N> &value) {
    Elements<T>::Save(ar, value.data(), N);
  }
  template <typename Ar>
  static void Load(Ar &ar, std::array<T, N> &value) {
    Elements<T>::Load(ar, value.data(), N);
  }
};

template <>
struct Rule<std::string> {
  template <typename Ar>
  static void Save(Ar &ar, const std::string &value) {
    ar.PutLength(value.size());
    ar.Put(value.data(), value.size());
  }
  template <typename Ar>
  static void Load(Ar &ar, std::string &value) {
    value.resize(ar.GetLength(1));
    ar.Get(value.data(), value.size());
  }
};

template <typename T>
struct Rule<std::vector<T>> {
  template <typename Ar>
  static void Save(Ar &ar, const std::vector<T> &value) {
    ar.PutLength(value.size());
    if constexpr (std::is_same_v<T, bool>) {
      for (const bool element : value) ar(element);
    } else {
      Elements<T>::Save(ar, value.data(), value.size());
    }
  }
  template <typename Ar>
  static void Load(Ar &ar, std::vector<T> &value) {
    static_assert(!std::is_empty_v<T>, "the elements of a vector must not be empty types");
    const std::size_t length = ar.GetLength(Elements<T>::kLeast);
    value.clear();
    if constexpr (kIsNumber<T>) {
      value.resize(length);
      Elements<T>::Load(ar, value.data(), length);
    } else {
      value.reserve(ar.Honest(length, sizeof(T)));
      for (std::size_t i = 0; i < length; ++i) {
        T element{};
        ar(element);
        value.push_back(std::move(element));
      }
    }
  }
};

template <typename K, typename V>
struct Rule<std::map<K, V>> {
  template <typename Ar>
  static void Save(Ar &ar, const std::map<K, V> &value) {
    ar.PutLength(value.size());
    for (const auto &entry : value) ar(entry.first, entry.second);
  }
  template <typename Ar>
  static void Load(Ar &ar, std::map<K, V> &value) {
    const std::size_t length = ar.GetLength(1);
    value.clear();
    for (std::size_t i = 0; i < length; ++i) {
      const u64 at = ar.Position();
      K key{};
      ar(key);
      if (!value.empty() && !(value.rbegin()->first < key)) {
        throw Error(CHI_INVALID, "the map key at byte " + std::to_string(at) +
                                     " is not greater than the one before it");
      }
      ar(value.emplace_hint(value.end(), std::move(key), V{})->second);
    }
  }
};

/* Like std::map: equal maps are equal bytes, in whatever order their entries are in memory. */
template <typename K, typename V, typename Hash, typename Equal>
struct Rule<std::unordered_map<K, V, Hash, Equal>> {
  using Map = std::unordered_map<K, V, Hash, Equal>;

  template <typename Ar>
  static void Save(Ar &ar, const Map &value) {
    std::vector<const typename Map::value_type *> entries;
    entries.reserve(value.size());
    for (const auto &entry : value) entries.push_back(&entry);
    std::sort(entries.begin(), entries.end(),
              [](const auto *a, const auto *b) { return a->first < b->first; });
    ar.PutLength(entries.size());
    for (const auto *entry : entries) ar(entry->first, entry->second);
  }
  template <typename Ar>
  static void Load(Ar &ar, Map &value) {
    const std::size_t length = ar.GetLength(1);
    value.clear();
    const K *last = nullptr;
    for (std::size_t i = 0; i < length; ++i) {
      const u64 at = ar.Position();
      K key{};
      ar(key);
      if (last != nullptr && !(*last < key)) {
        throw Error(CHI_INVALID, "the map key at byte " + std::to_string(at) +
                                     " is not greater than the one before it");
      }
      /* An entry stays where it is when the map grows. */
      const auto added = value.emplace(std::move(key), V{}).first;
      last = &added->first;
      ar(added->second);
    }
  }
};

/* Its value, as it is at that moment. */
template <typename T>
struct Rule<std::atomic<T>> {
  template <typename Ar>
  static void Save(Ar &ar, const std::atomic<T> &value) {
    ar(value.load());
  }
  template <typename Ar>
  static void Load(Ar &ar, std::atomic<T> &value) {
    T loaded{};
    ar(loaded);
    value.store(loaded);
  }
};

/* Replaces the contents of a shared vector with the next `size` bytes. */
template <typename Ar>
void Fill(Ar &ar, chi_shm_vector &vector, hipc::Owner owner, std::size_t size) {
  vector.size_ = 0;
  hipc::detail::Reserve(vector, owner, size, true);
  if (size != 0) ar.Get(hipc::detail::DataOf(vector), size);
  vector.size_ = size;
}

template <>
struct Rule<hipc::string> {
  template <typename Ar>
  static void Save(Ar &ar, const hipc::string &value) {
    ar.PutLength(value.size());
    if (!value.empty()) ar.Put(value.data(), value.size());
  }
  template <typename Ar>
  static void Load(Ar &ar, hipc::string &value) {
    const hipc::Owner owner = ar.owner();
    Fill(ar, value.bytes_, owner, ar.GetLength(1));
  }
};

template <typename T>
struct Rule<hipc::vector<T>> {
  template <typename Ar>
  static void Save(Ar &ar, const hipc::vector<T> &value) {
    ar.PutLength(value.size());
    Elements<T>::Save(ar, value.data(), value.size());
  }
  template <typename Ar>
  static void Load(Ar &ar, hipc::vector<T> &value) {
    static_assert(!std::is_empty_v<T>, "the elements of a vector must not be empty types");
    const hipc::Owner owner = ar.owner();
    const std::size_t length = ar.GetLength(Elements<T>::kLeast);
    value.clear();
    if constexpr (kIsNumber<T>) {
      Fill(ar, value, owner, length * sizeof(T));
    } else {
      value.reserve(owner, ar.Honest(length, sizeof(T)));
      for (std::size_t i = 0; i < length; ++i) ar(value.emplace_back(owner));
    }
  }
};

}  // namespace detail
}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_ARCHIVE_RULES_H_
