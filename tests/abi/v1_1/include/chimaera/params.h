/* Pool parameters: structs, encoded as bytes or as text. */
#ifndef CHIMAERA_PARAMS_H_
#define CHIMAERA_PARAMS_H_

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "chimaera/archive.h"

namespace chi {
inline namespace v1 CHI_LAYER {

namespace detail {
/* The version of the parameter format: the first byte of encoded parameters. */
constexpr u8 kParamsVersion = 1;
}  // namespace detail

/** Encodes the parameters of a pool: no bytes when they are the defaults, else the byte 1 (the
 * format version) and the value. Any thread.
 *
 *     struct Params {
 *       chi::i32 level_ = 3;
 *       template <typename Ar>
 *       void serialize(Ar &ar) {
 *         ar(level_);
 *       }
 *     };
 */
template <typename P>
std::string ParamsToBytes(const P &params) {
  std::string value = ToBytes(params);
  if (value == ToBytes(P{})) return std::string();
  return static_cast<char>(detail::kParamsVersion) + std::move(value);
}

/** Decodes the parameters of a pool into a default-constructed `P`. Error: `CHI_INVALID`. Any
 * thread. */
template <typename P>
P ParamsFromBytes(std::string_view bytes) {
  P params{};
  if (bytes.empty()) return params;
  try {
    LoadArchive ar(bytes);
    u8 version = 0;
    ar(version);
    if (version != detail::kParamsVersion) {
      throw Error(CHI_INVALID, "the first byte is " + std::to_string(version) +
                                   ", but the format version is " +
                                   std::to_string(detail::kParamsVersion));
    }
    ar(params);
    ar.Finish();
  } catch (const Error &error) {
    throw Error(error.status(), std::string("malformed pool parameters: ") + error.what());
  }
  return params;
}

/** The name of a pool, as a parameter of another pool; empty for none. Where a `std::string` would
 * only be text, this makes the other pool depend on the one that it names, whether or not its
 * containers open that one in `Create`. The parameter struct names its fields (`named`), among them
 * this one. It is encoded as a `std::string`. */
struct PoolName {
  std::string name_;

  PoolName() = default;
  PoolName(std::string name) : name_(std::move(name)) {}
  PoolName(const char *name) : name_(name) {}

  bool empty() const { return name_.empty(); }
  const std::string &str() const { return name_; }
  operator const std::string &() const { return name_; }

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(name_);
  }
};

namespace detail {

/* Ignored around names and values, and at the end of the text. */
constexpr std::string_view kBlanks = " \t\r\n";

inline std::string_view WithoutBlanksBefore(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text;
}

inline std::string_view WithoutBlanks(std::string_view text) {
  text = WithoutBlanksBefore(text);
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

/* The start of a text, short enough for a message. */
inline std::string Excerpt(std::string_view text) {
  std::size_t end = std::min<std::size_t>(text.size(), 64);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  return std::string(text.substr(0, end));
}

/* Parses a value. */
template <typename T>
bool FromText(std::string_view text, T &value) {
  if constexpr (std::is_same_v<T, bool>) {
    value = text == "true";
    return value || text == "false";
  } else if constexpr (std::is_arithmetic_v<T>) {
    T read{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), read);
    if (error != std::errc() || end != text.data() + text.size()) return false;
    if constexpr (std::is_floating_point_v<T>) {
      /* Neither infinities nor NaN. */
      const bool number = text[0] == '-' || (text[0] >= '0' && text[0] <= '9');
      if (!number || !std::isfinite(read)) return false;
    }
    value = read;
    return true;
  } else {
    value = std::string(text);
    return true;
  }
}

/* Describes a valid text for a `T`, for a message. */
template <typename T>
std::string ExpectedText() {
  if constexpr (std::is_same_v<T, bool>) {
    return "true or false";
  } else if constexpr (std::is_floating_point_v<T>) {
    return "a number like 0.5 or 1e9";
  } else if constexpr (std::is_integral_v<T>) {
    return "a number from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
           std::to_string(std::numeric_limits<T>::max());
  } else {
    return "text";
  }
}

/* Sets the field with a given name, and collects the names of all fields for the message when there
 * is none. */
class NamedFields {
 public:
  NamedFields(std::string_view name, std::string_view text) : name_(name), text_(text) {}

  template <typename T>
  void operator()(const char *name, T &field) {
    static_assert(std::is_arithmetic_v<T> || std::is_same_v<T, std::string>,
                  "a field with a name must be a number, a bool, a std::string, a chi::PoolName, a "
                  "std::optional of those, or an enum that is given with the words for its values");
    if (Is(name) && !FromText(text_, field)) expected_ = ExpectedText<T>();
  }
  void operator()(const char *name, PoolName &field) { (*this)(name, field.name_); }
  template <typename T>
  void operator()(const char *name, std::optional<T> &field) {
    T value{};
    (*this)(name, value);
    if (found_ == name && expected_.empty()) field = std::move(value);
  }
  /* An enum, with a word for each value. */
  template <typename T>
  void operator()(const char *name, T &field,
                  std::initializer_list<std::pair<const char *, T>> words) {
    if (!Is(name)) return;
    for (const auto &[word, value] : words) {
      if (text_ == word) {
        field = value;
        expected_.clear();
        return;
      }
      expected_ += (expected_.empty() ? "one of " : ", ") + std::string(word);
    }
  }

  bool found() const { return found_ != nullptr; }
  /* Describes the valid values; empty when the value was valid. */
  const std::string &expected() const { return expected_; }
  /* The names of all fields. */
  std::string names() const { return names_.empty() ? "none" : names_; }

 private:
  bool Is(const char *name) {
    names_ += (names_.empty() ? "" : ", ") + std::string(name);
    if (name_ != name) return false;
    found_ = name;
    return true;
  }

  std::string_view name_;
  std::string_view text_;
  const char *found_ = nullptr;
  std::string expected_;
  std::string names_;
};

/* Collects the pools that parameters name: each name followed by a zero byte. */
class NamedPools {
 public:
  template <typename T>
  void operator()(const char *, T &) {}
  void operator()(const char *, PoolName &field) {
    if (!field.empty()) names_.append(field.name_.c_str(), field.name_.size() + 1);
  }
  void operator()(const char *name, std::optional<PoolName> &field) {
    if (field.has_value()) (*this)(name, *field);
  }
  template <typename T>
  void operator()(const char *, T &, std::initializer_list<std::pair<const char *, T>>) {}

  const std::string &names() const { return names_; }

 private:
  std::string names_;
};

template <typename P>
using NamesItsFields = decltype(std::declval<P &>().named(std::declval<NamedFields &>()));

/* Takes the value at the start of a text, and the comma that follows it. */
inline std::string TakeValue(const std::string &name, std::string_view &text) {
  const auto wrong = [&](const char *why) {
    return Error(CHI_INVALID, "the parameter " + Excerpt(name) + " " + why);
  };
  text = WithoutBlanksBefore(text);
  if (text.empty() || text[0] != '"') {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string value(WithoutBlanks(text.substr(0, comma)));
    text = WithoutBlanksBefore(text.substr(std::min(comma + 1, text.size())));
    return value;
  }
  std::string value;
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '"') {
      text = WithoutBlanksBefore(text.substr(at + 1));
      if (text.empty()) return value;
      if (text[0] != ',') throw wrong("has text after its closing quote");
      text = WithoutBlanksBefore(text.substr(1));
      return value;
    }
    if (text[at] == '\\') {
      ++at;
      if (at >= text.size() || (text[at] != '"' && text[at] != '\\')) {
        throw wrong("has a backslash that is not followed by a quote or a backslash");
      }
    }
    value += text[at];
  }
  throw wrong("has an unterminated quote");
}

}  // namespace detail

/** Parses the parameters of a pool from text: comma-separated `NAME=VALUE` pairs for the fields
 * that differ from their defaults. A value that contains commas or quotes, or that begins or ends
 * with a space, must be in double quotes, where `\"` stands for a quote and `\\` for a backslash.
 * The struct names its fields:
 *
 *     struct Params {
 *       chi::i32 level_ = 3;
 *       std::optional<chi::u64> limit_;
 *       template <typename Ar>
 *       void serialize(Ar &ar) {
 *         ar(level_, limit_);
 *       }
 *       template <typename Fields>
 *       void named(Fields &fields) {
 *         fields("level", level_);
 *         fields("limit", limit_);
 *       }
 *     };
 *
 * An enum needs a word for each value: `fields("mode", mode_, {{"fast", Mode::kFast}})`.
 * Error: `CHI_INVALID`; the message names the parameter. Any thread. */
template <typename P>
P ParamsFromText(std::string_view text) {
  P params{};
  std::vector<std::string> seen;
  text = detail::WithoutBlanks(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("=,"), text.size());
    const std::string name(detail::WithoutBlanks(text.substr(0, end)));
    if (end == text.size() || text[end] != '=') {
      throw Error(CHI_INVALID, "the parameter \"" + detail::Excerpt(name) +
                                   "\" has no value: write NAME=VALUE, and separate parameters "
                                   "with commas");
    }
    text.remove_prefix(end + 1);
    const std::string value = detail::TakeValue(name, text);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      throw Error(CHI_INVALID, "the parameter " + name + " is given twice");
    }
    detail::NamedFields fields(name, value);
    params.named(fields);
    if (!fields.found()) {
      throw Error(CHI_INVALID, "there is no parameter \"" + detail::Excerpt(name) +
                                   "\"; known parameters: " + fields.names());
    }
    if (!fields.expected().empty()) {
      throw Error(CHI_INVALID, "the parameter " + name + " is \"" + detail::Excerpt(value) +
                                   "\", but must be " + fields.expected());
    }
    seen.push_back(name);
  }
  return params;
}

/** Decodes the parameters of a pool from bytes or, when the struct names its fields, from text;
 * text never begins with the byte 1. Error: `CHI_INVALID`; the message says what is wrong. Any
 * thread. */
template <typename P>
P ParamsFromAny(std::string_view bytes) {
  if (bytes.empty() || static_cast<unsigned char>(bytes[0]) <= 8) return ParamsFromBytes<P>(bytes);
  if constexpr (detail::IsValid<detail::NamesItsFields, P>) {
    return ParamsFromText<P>(bytes);
  } else {
    return ParamsFromBytes<P>(bytes);
  }
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_PARAMS_H_
