/* chi::SaveState and chi::LoadState: a container's state, for its successor. Only in modules. */
#ifndef CHIMAERA_STATE_H_
#define CHIMAERA_STATE_H_

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include "chimaera/archive.h"
#include "chimaera/macros.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

/* The runtime's state, once checked to be long enough for the functions that are called here. */
inline chi_state *CheckedState(chi_state *state) {
  constexpr std::size_t kNeeded = offsetof(chi_state, next_field) + sizeof(state->next_field);
  if (state == nullptr || state->size < kNeeded) {
    throw Error(CHI_VERSION,
                "a state of only " + std::to_string(state == nullptr ? 0 : state->size) + " bytes");
  }
  CheckedArchive(state->archive);
  return state;
}

/* Runs `f`, which saves or loads a field, and adds the field's number to what it throws. */
template <typename F>
void InField(u32 number, F &&f) {
  try {
    f();
  } catch (const Error &error) {
    throw Error(error.status(), "field " + std::to_string(number) + ": " + error.what());
  }
}

/* The numbers of the fields in a State, which must ascend. */
class FieldNumbers {
 public:
  /* The number of a field without one of its own. */
  u32 Next() const { return last_ + 1; }
  void Take(u32 number) {
    if (number <= last_) {
      throw Error(CHI_INVALID, "State visits field " + std::to_string(number) + " after field " +
                                   std::to_string(last_) + ": the numbers must ascend, from 1");
    }
    last_ = number;
  }

 private:
  u32 last_ = 0;
};

}  // namespace detail

/** Saves the state of a container: the `ar` of a Runtime's `State`.
 *
 *     template <typename Ar>
 *     void State(Ar &ar) {
 *       ar(count_, entries_);    // The fields 1 and 2.
 *       ar.Field(7, limit_);     // Field 7; the next ones are 8, 9, ...
 *     }
 *
 * The values are those of SaveArchive, except `hipc::string` and `hipc::vector`, which exist only
 * in tasks. A field keeps its number, its type and its meaning in all versions of a module; a new
 * one gets a new number. Throws chi::Error. Used by one thread. */
class SaveState {
 public:
  /** Says in a `State` which way the values go. */
  static constexpr bool kSaving = true;

  /** Writes to the runtime's state, which is borrowed. Error: `CHI_VERSION`. */
  explicit SaveState(chi_state *state) : state_(detail::CheckedState(state)) {}
  SaveState(const SaveState &) = delete;
  SaveState &operator=(const SaveState &) = delete;

  /** Whether the state is a copy, such as `chimaera pool save` makes: one that may be loaded at any
   * time, on another machine too, and so has all that belongs to the container, also what is in
   * files of its own or in other pools. The container goes on, and `Release` is not called. */
  bool IsCopy() const { return state_->purpose == CHI_SAVED_AS_COPY; }

  /** Saves values as the next fields. */
  template <typename... Ts>
  void operator()(const Ts &...values) {
    (Field(numbers_.Next(), values), ...);
  }

  /** Saves a value as field `number`, which is greater than that of every field before. */
  template <typename T>
  void Field(u32 number, const T &value) {
    numbers_.Take(number);
    detail::InField(number, [&] {
      const chi_status status = state_->begin_field(state_, number);
      if (status != CHI_OK) throw Error(status, "cannot begin the field");
      SaveArchive ar(state_->archive);
      ar(value);
      ar.Flush();
    });
  }

 private:
  chi_state *state_;
  detail::FieldNumbers numbers_;
};

/** Loads the state of a container: the `ar` of a Runtime's `State`. A field that was not saved
 * leaves its member as it is. Fields that `State` does not visit are skipped. Malformed bytes, and
 * bytes left over in a field, throw `CHI_INVALID`, with a message that has the field's number. Used
 * by one thread. */
class LoadState {
 public:
  /** Says in a `State` which way the values go. */
  static constexpr bool kSaving = false;

  /** Reads the runtime's state, which is borrowed. Errors: `CHI_VERSION`, `CHI_INVALID`. */
  explicit LoadState(chi_state *state) : state_(detail::CheckedState(state)) { Advance(); }
  LoadState(const LoadState &) = delete;
  LoadState &operator=(const LoadState &) = delete;

  /** Loads the next fields. */
  template <typename... Ts>
  void operator()(Ts &...values) {
    (Field(numbers_.Next(), values), ...);
  }

  /** Loads field `number`, which is greater than that of every field before. */
  template <typename T>
  void Field(u32 number, T &value) {
    numbers_.Take(number);
    while (!at_end_ && found_ < number) Advance();
    if (at_end_ || found_ != number) return;
    detail::InField(number, [&] {
      LoadArchive ar(state_->archive, hipc::Owner(nullptr));
      ar(value);
      char more;
      if (state_->archive->read(state_->archive, &more, 1) == CHI_OK) {
        throw Error(CHI_INVALID,
                    "bytes follow after the value, at byte " + std::to_string(ar.Position()));
      }
    });
    Advance();
  }

  /** Skips the remaining fields. Error: `CHI_INVALID` when the state is malformed. */
  void Finish() {
    while (!at_end_) Advance();
  }

 private:
  void Advance() {
    const u32 last = found_;
    const chi_status status = state_->next_field(state_, &found_);
    if (status != CHI_OK) {
      throw Error(status, last == 0 ? std::string("cannot read the first field of the state")
                                    : "cannot read the state after field " + std::to_string(last));
    }
    at_end_ = found_ == 0;
  }

  chi_state *state_;
  detail::FieldNumbers numbers_;
  u32 found_ = 0;
  bool at_end_ = false;
};

namespace detail {

template <typename R>
using SavedState = decltype(std::declval<R &>().State(std::declval<SaveState &>()));
template <typename R>
using LoadedState = decltype(std::declval<R &>().State(std::declval<LoadState &>()));
template <typename R>
using NamedRelease = decltype(std::declval<R &>().Release());
template <typename R>
using NamedResume = decltype(std::declval<R &>().Resume());

/* True when the container `R` can be saved and loaded. */
template <typename R>
constexpr bool HasState() {
  static_assert(IsValid<SavedState, R> == IsValid<LoadedState, R>,
                "declare State as a public template <typename Ar> void State(Ar &ar): it both "
                "saves and loads");
  return IsValid<SavedState, R>;
}
template <typename R>
inline constexpr bool kHasState = HasState<R>();

}  // namespace detail
}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_STATE_H_
