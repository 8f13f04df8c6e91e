/* The values of the golden files, for all tests that use them. */
#ifndef CHIMAERA_TESTS_SERIAL_VALUES_H_
#define CHIMAERA_TESTS_SERIAL_VALUES_H_

#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chimaera/state.h"
#include "chimaera/task_serializers.h"

namespace serial {

enum class Color : chi::u16 { kRed = 1, kBlue = 258 };

struct Scalars {
  chi::u8 a_ = 0;
  chi::u16 b_ = 0;
  chi::u32 c_ = 0;
  chi::u64 d_ = 0;
  chi::i8 e_ = 0;
  chi::i16 f_ = 0;
  chi::i32 g_ = 0;
  chi::i64 h_ = 0;
  chi::f32 i_ = 0;
  chi::f64 j_ = 0;
  bool k_ = false;
  bool l_ = false;
  Color color_ = Color::kRed;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(a_, b_, c_, d_, e_, f_, g_, h_, i_, j_, k_, l_, color_);
  }
};

struct Point {
  chi::i32 x_ = 0;
  chi::i32 y_ = 0;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(x_, y_);
  }
};

struct Containers {
  std::string text_;
  std::vector<chi::u8> bytes_;
  std::vector<chi::u32> numbers_;
  std::array<chi::i16, 3> array_{};
  std::pair<chi::u8, std::string> pair_;
  std::map<std::string, chi::u64> map_;
  std::optional<chi::u32> some_;
  std::optional<chi::u32> none_;
  std::vector<Point> points_;
  std::vector<std::vector<chi::u16>> rows_;
  std::vector<bool> flags_;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(text_, bytes_, numbers_, array_, pair_, map_, some_, none_, points_, rows_, flags_);
  }
};

struct Addresses {
  chi::PoolId pool_;
  chi::DomainQuery query_;
  chi::TaskNode node_{};

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(pool_, query_, node_);
  }
};

struct Params {
  chi::i32 level_ = 0;
  std::string name_;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(level_, name_);
  }
};

enum class Mode : chi::u8 { kFast, kVerySmall };

struct Settings {
  chi::i32 level_ = 3;
  std::optional<chi::u64> limit_;
  double share_ = 0.5;
  bool exact_ = false;
  Mode mode_ = Mode::kFast;
  std::string name_;
  chi::u8 tiny_ = 0;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(level_, limit_, share_, exact_, mode_, name_, tiny_);
  }

  template <typename Fields>
  void named(Fields &fields) {
    fields("level", level_);
    fields("limit", limit_);
    fields("share", share_);
    fields("exact", exact_);
    fields("mode", mode_, {{"fast", Mode::kFast}, {"very_small", Mode::kVerySmall}});
    fields("name", name_);
    fields("tiny", tiny_);
  }
};

struct Tree {
  std::vector<Tree> trees_;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(trees_);
  }
};

struct Entry {
  hipc::string name_;
  chi::u64 size_ = 0;
  hipc::vector<chi::u8> data_;
  hipc::vector<hipc::string> tags_;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(name_, size_, data_, tags_);
  }
};

struct SendTask : public chi::Task {
  IN hipc::string key_;
  IN hipc::vector<chi::u32> numbers_;
  IN hipc::vector<hipc::string> words_;
  IN hipc::vector<Entry> entries_;
  INOUT chi::u32 turns_ = 0;
  OUT hipc::vector<chi::f64> sums_;
  OUT chi::PoolId found_pool_;
  OUT hipc::string found_;

  explicit SendTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc),
        key_(alloc),
        numbers_(alloc),
        words_(alloc),
        entries_(alloc),
        sums_(alloc),
        found_(alloc) {}

  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(key_, numbers_, words_, entries_, turns_);
  }
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(turns_, sums_, found_pool_, found_);
  }
};

/** A C archive in memory. */
struct MemoryArchive : public chi_archive {
  std::string bytes_;
  std::size_t taken_ = 0;

  explicit MemoryArchive(std::string bytes = {})
      : chi_archive{sizeof(chi_archive), 0, &Write, &Read, &Remaining}, bytes_(std::move(bytes)) {}

 private:
  static chi_status Write(chi_archive *self, const void *data, chi::u64 size) {
    static_cast<MemoryArchive *>(self)->bytes_.append(static_cast<const char *>(data), size);
    return CHI_OK;
  }
  static chi_status Read(chi_archive *self, void *data, chi::u64 size) {
    auto *archive = static_cast<MemoryArchive *>(self);
    if (size > Remaining(self)) return CHI_INVALID;
    archive->bytes_.copy(static_cast<char *>(data), size, archive->taken_);
    archive->taken_ += size;
    return CHI_OK;
  }
  static chi::u64 Remaining(const chi_archive *self) {
    const auto *archive = static_cast<const MemoryArchive *>(self);
    return archive->bytes_.size() - archive->taken_;
  }
};

/** The state of a container in memory: numbers and bytes of its fields. */
struct MemoryState : public chi_state {
  using Fields = std::vector<std::pair<chi::u32, std::string>>;
  Fields fields_;

  explicit MemoryState(Fields fields = {})
      : chi_state{sizeof(chi_state), 0, &archive_, &Begin, &Next},
        fields_(std::move(fields)),
        archive_{{sizeof(chi_archive), 0, &Write, &Read, &Remaining}, this} {}
  MemoryState(const MemoryState &) = delete;
  MemoryState &operator=(const MemoryState &) = delete;

  /** Goes back to the beginning, to read what was written. */
  MemoryState &Rewind() {
    next_ = taken_ = 0;
    return *this;
  }

 private:
  struct Archive : public chi_archive {
    MemoryState *state_;
  };
  Archive archive_;
  std::size_t next_ = 0; /* The field after the current one. */
  std::size_t taken_ = 0;

  static MemoryState *Of(const chi_archive *archive) {
    return static_cast<const Archive *>(archive)->state_;
  }
  static chi_status Begin(chi_state *self, chi::u32 number) {
    auto *state = static_cast<MemoryState *>(self);
    if (number <= (state->fields_.empty() ? 0 : state->fields_.back().first)) return CHI_INVALID;
    state->fields_.emplace_back(number, std::string());
    return CHI_OK;
  }
  static chi_status Next(chi_state *self, chi::u32 *number) {
    auto *state = static_cast<MemoryState *>(self);
    const bool more = state->next_ < state->fields_.size();
    *number = more ? state->fields_[state->next_++].first : 0;
    state->taken_ = 0;
    return CHI_OK;
  }
  static chi_status Write(chi_archive *self, const void *data, chi::u64 size) {
    if (Of(self)->fields_.empty()) return CHI_INVALID;
    Of(self)->fields_.back().second.append(static_cast<const char *>(data), size);
    return CHI_OK;
  }
  static chi_status Read(chi_archive *self, void *data, chi::u64 size) {
    MemoryState *state = Of(self);
    if (state->next_ == 0) return CHI_INVALID;
    const std::string &field = state->fields_[state->next_ - 1].second;
    if (size > field.size() - state->taken_) return CHI_INVALID;
    field.copy(static_cast<char *>(data), size, state->taken_);
    state->taken_ += size;
    return CHI_OK;
  }
  /* The most that it may say: all bytes of the state. */
  static chi::u64 Remaining(const chi_archive *self) {
    chi::u64 all = 0;
    for (const auto &field : Of(self)->fields_) all += field.second.size() + 16;
    return all;
  }
};

/** The members of a container with the state of state.txt. */
struct Known {
  std::atomic<chi::u64> count_{0};
  std::unordered_map<std::string, chi::u64> entries_;
  std::vector<chi::u8> blob_;
  std::optional<chi::u32> limit_;
  std::string name_;
  bool flag_ = false;

  template <typename Ar>
  void State(Ar &ar) {
    ar(count_, entries_, blob_, limit_);
    ar.Field(7, name_);
    ar(flag_);
  }
};

}  // namespace serial

#endif  // CHIMAERA_TESTS_SERIAL_VALUES_H_
