// clang-format off
/* The tasks of described:parts that its YAML describes. Generated from chimaera_mod.yaml; do not edit. */
#ifndef DESCRIBED_PARTS_DESCRIBED_TASKS_H_
#define DESCRIBED_PARTS_DESCRIBED_TASKS_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "chimaera/chimaera.h"
#include "parts_methods.h"

namespace described::parts {

/** What a pool is created with. */
struct Params {
  /** A number. */
  chi::i64 factor_ = -9223372036854775807 - 1;
  /** `share`. */
  chi::f32 share_ = 0.25f;
  /** `exact`. */
  bool exact_ = true;
  /** A text. */
  std::string label_ = "the \"label\"";
  /** `note`. */
  std::string note_;
  /** `limit`. */
  chi::u64 limit_ = 18446744073709551615u;
  /** A pool on which it depends. */
  chi::PoolName beside_;

  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(factor_, share_, exact_, label_, note_, limit_, beside_);
  }

  /** Passes the name and value of each field to `fields`, for parameters given as text. */
  template <typename Fields>
  void named(Fields &fields) {
    fields("factor", factor_);
    fields("share", share_);
    fields("exact", exact_);
    fields("label", label_);
    fields("note", note_);
    fields("limit", limit_);
    fields("beside", beside_);
  }
};

/** A part of a file. */
struct Extent {
  /** Where it begins. */
  chi::u64 start_ = 0;
  /** `blocks`. */
  chi::u32 blocks_ = 0;
  /** `sparse`. 0 or 1. */
  chi::u8 sparse_ = 0;
  /** Padding; zero. */
  std::array<chi::u8, 3> reserved0_{};

  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(start_, blocks_, sparse_);
  }
};

/** A private copy of Entry. */
struct EntryValue {
  /** Its name. */
  std::string name_;
  /** `extent`. */
  Extent extent_{};
  /** `data`. */
  std::string data_;
  /** `weights`. */
  std::vector<chi::f32> weights_;
  /** `kind`. */
  chi::u8 kind_ = 0;
};

/** A named part. */
struct Entry {
  /** Its name. */
  hipc::string name_;
  /** `extent`. */
  Extent extent_{};
  /** `data`. */
  hipc::vector<char> data_;
  /** `weights`. */
  hipc::vector<chi::f32> weights_;
  /** `kind`. */
  chi::u8 kind_ = 0;
  /** Padding; zero. */
  std::array<chi::u8, 7> reserved0_{};

  Entry() = default;
  explicit Entry(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : name_(alloc), data_(alloc), weights_(alloc) {}

  /** Copies a value into shared memory that belongs to the task that contains the struct. */
  void Assign(hipc::Owner owner, const EntryValue &value) {
    name_.assign(owner, value.name_);
    extent_ = value.extent_;
    data_.assign(owner, value.data_.data(), value.data_.size());
    weights_.assign(owner, value.weights_.data(), value.weights_.size());
    kind_ = value.kind_;
  }

  /** A private copy. */
  EntryValue Value() const {
    EntryValue value;
    value.name_ = name_.str();
    value.extent_ = extent_;
    value.data_ = data_.view();
    value.weights_ = weights_.CopyOut();
    value.kind_ = kind_;
    return value;
  }

  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(name_, extent_, data_, weights_, kind_);
  }
};

/** Sums up the bytes of every block. */
struct SumTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0xa4e2;

  /** What to sum up. */
  IN hipc::vector<char> data_;
  /** Bytes of a block, not 0. */
  IN chi::u32 block_size_ = 0;
  /** Whether the last block must be whole. 0 or 1. */
  IN chi::u8 exact_ = 0;
  /** Padding; zero. */
  std::array<chi::u8, 3> reserved0_{};
  /** A sum for every block. */
  OUT hipc::vector<chi::u64> sums_;

  /** SHM default constructor */
  explicit SumTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), data_(alloc), sums_(alloc) {}

  /** Emplace constructor */
  explicit SumTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query,
      std::string_view data,
      chi::u32 block_size,
      bool exact)
      : SumTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kSum;
    dom_query_ = dom_query;
    data_.assign(data.data(), data.size());
    block_size_ = block_size;
    exact_ = exact ? 1 : 0;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(data_, block_size_, exact_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(sums_);
  }
};

/** Gives everything back, some of it turned round. */
struct TurnTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x65495;

  /** `tiny`. */
  INOUT chi::i8 tiny_ = 0;
  /** Padding; zero. */
  std::array<chi::u8, 7> reserved0_{};
  /** `wide`. */
  INOUT chi::f64 wide_ = 0;
  /** `flag`. 0 or 1. */
  INOUT chi::u8 flag_ = 0;
  /** `digest`. */
  INOUT std::array<chi::u8, 20> digest_{};
  /** Padding; zero. */
  std::array<chi::u8, 3> reserved1_{};
  /** `text`. */
  INOUT hipc::string text_;
  /** `data`. */
  INOUT hipc::vector<char> data_;
  /** `extent`. */
  INOUT Extent extent_{};
  /** `entry`. */
  INOUT Entry entry_;
  /** `extents`. */
  INOUT hipc::vector<Extent> extents_;
  /** `words`. */
  INOUT hipc::vector<hipc::string> words_;
  /** `blobs`. */
  INOUT hipc::vector<hipc::vector<char>> blobs_;
  /** `rows`. */
  INOUT hipc::vector<hipc::vector<chi::i16>> rows_;
  /** `entries`. */
  INOUT hipc::vector<Entry> entries_;
  /** `pairs`. */
  INOUT std::array<Extent, 2> pairs_{};

  /** SHM default constructor */
  explicit TurnTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), text_(alloc), data_(alloc), entry_(alloc), extents_(alloc), words_(alloc), blobs_(alloc), rows_(alloc), entries_(alloc) {}

  /** Emplace constructor */
  explicit TurnTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query,
      chi::i8 tiny,
      chi::f64 wide,
      bool flag,
      const std::array<chi::u8, 20> &digest,
      std::string_view text,
      std::string_view data,
      const Extent &extent,
      const EntryValue &entry,
      const std::vector<Extent> &extents,
      const std::vector<std::string> &words,
      const std::vector<std::string> &blobs,
      const std::vector<std::vector<chi::i16>> &rows,
      const std::vector<EntryValue> &entries,
      const std::array<Extent, 2> &pairs)
      : TurnTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kTurn;
    dom_query_ = dom_query;
    tiny_ = tiny;
    wide_ = wide;
    flag_ = flag ? 1 : 0;
    digest_ = digest;
    text_ = text;
    data_.assign(data.data(), data.size());
    extent_ = extent;
    entry_.Assign(alloc.owner(), entry);
    extents_.assign(extents.data(), extents.size());
    words_.reserve(words.size());
    for (const std::string &item : words) {
      words_.emplace_back(item);
    }
    blobs_.reserve(blobs.size());
    for (const std::string &item : blobs) {
      blobs_.emplace_back().assign(alloc.owner(), item.data(), item.size());
    }
    rows_.reserve(rows.size());
    for (const std::vector<chi::i16> &item : rows) {
      rows_.emplace_back().assign(alloc.owner(), item.data(), item.size());
    }
    entries_.reserve(entries.size());
    for (const EntryValue &item : entries) {
      entries_.emplace_back().Assign(alloc.owner(), item);
    }
    pairs_ = pairs;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(tiny_, wide_, flag_, digest_, text_, data_, extent_, entry_, extents_, words_, blobs_, rows_, entries_, pairs_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(tiny_, wide_, flag_, digest_, text_, data_, extent_, entry_, extents_, words_, blobs_, rows_, entries_, pairs_);
  }
};

/** Does nothing. */
struct NothingTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x48de6;

  /** SHM default constructor */
  explicit NothingTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc) {}

  /** Emplace constructor */
  explicit NothingTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : NothingTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kNothing;
    dom_query_ = dom_query;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

/** Fails. */
struct FailTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x6afe0;

  /** Whether by what nobody expects. 0 or 1. */
  IN chi::u8 thrown_ = 0;
  /** Padding; zero. */
  std::array<chi::u8, 7> reserved0_{};
  /** `why`. */
  IN hipc::string why_;

  /** SHM default constructor */
  explicit FailTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), why_(alloc) {}

  /** Emplace constructor */
  explicit FailTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query,
      bool thrown,
      std::string_view why)
      : FailTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kFail;
    dom_query_ = dom_query;
    thrown_ = thrown ? 1 : 0;
    why_ = why;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(thrown_, why_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

/** Has the module in the other language sum up bytes, several times at once. */
struct RelayTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x2e398;

  /** The name of the other module's pool. */
  IN hipc::string store_;
  /** `data`. */
  IN hipc::vector<char> data_;
  /** How many sums are under way at once. */
  IN chi::u32 width_ = 0;
  /** Padding; zero. */
  std::array<chi::u8, 4> reserved0_{};
  /** Makes the other module fail with this message, if not empty. */
  IN hipc::string why_;
  /** `sums`. */
  OUT hipc::vector<chi::u64> sums_;

  /** SHM default constructor */
  explicit RelayTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), store_(alloc), data_(alloc), why_(alloc), sums_(alloc) {}

  /** Emplace constructor */
  explicit RelayTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query,
      std::string_view store,
      std::string_view data,
      chi::u32 width,
      std::string_view why)
      : RelayTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kRelay;
    dom_query_ = dom_query;
    store_ = store;
    data_.assign(data.data(), data.size());
    width_ = width;
    why_ = why;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(store_, data_, width_, why_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(sums_);
  }
};

/** Says what the pool was created with. */
struct SettingsTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x6eb99;

  /** `factor`. */
  OUT chi::i64 factor_ = 0;
  /** `share`. */
  OUT chi::f32 share_ = 0;
  /** `exact`. 0 or 1. */
  OUT chi::u8 exact_ = 0;
  /** Padding; zero. */
  std::array<chi::u8, 3> reserved0_{};
  /** `label`. */
  OUT hipc::string label_;
  /** `note`. */
  OUT hipc::string note_;
  /** `limit`. */
  OUT chi::u64 limit_ = 0;

  /** SHM default constructor */
  explicit SettingsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), label_(alloc), note_(alloc) {}

  /** Emplace constructor */
  explicit SettingsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : SettingsTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kSettings;
    dom_query_ = dom_query;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(factor_, share_, exact_, label_, note_, limit_);
  }
};

/** Sleeps. */
struct PauseTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x7719e;

  /** How long. */
  IN chi::u32 seconds_ = 0;
  /** Padding; zero. */
  std::array<chi::u8, 4> reserved0_{};

  /** SHM default constructor */
  explicit PauseTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc) {}

  /** Emplace constructor */
  explicit PauseTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query,
      chi::u32 seconds)
      : PauseTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kPause;
    dom_query_ = dom_query;
    seconds_ = seconds;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(seconds_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(Extent) == 16, "size differs from the other languages");
static_assert(offsetof(Extent, start_) == 0, "offset differs from the other languages");
static_assert(offsetof(Extent, blocks_) == 8, "offset differs from the other languages");
static_assert(offsetof(Extent, sparse_) == 12, "offset differs from the other languages");
static_assert(sizeof(Entry) == 144, "size differs from the other languages");
static_assert(offsetof(Entry, name_) == 0, "offset differs from the other languages");
static_assert(offsetof(Entry, extent_) == 40, "offset differs from the other languages");
static_assert(offsetof(Entry, data_) == 56, "offset differs from the other languages");
static_assert(offsetof(Entry, weights_) == 96, "offset differs from the other languages");
static_assert(offsetof(Entry, kind_) == 136, "offset differs from the other languages");
static_assert(sizeof(SumTask) == 152, "size differs from the other languages");
static_assert(offsetof(SumTask, data_) == 64, "offset differs from the other languages");
static_assert(offsetof(SumTask, block_size_) == 104, "offset differs from the other languages");
static_assert(offsetof(SumTask, exact_) == 108, "offset differs from the other languages");
static_assert(offsetof(SumTask, sums_) == 112, "offset differs from the other languages");
static_assert(sizeof(TurnTask) == 576, "size differs from the other languages");
static_assert(offsetof(TurnTask, tiny_) == 64, "offset differs from the other languages");
static_assert(offsetof(TurnTask, wide_) == 72, "offset differs from the other languages");
static_assert(offsetof(TurnTask, flag_) == 80, "offset differs from the other languages");
static_assert(offsetof(TurnTask, digest_) == 81, "offset differs from the other languages");
static_assert(offsetof(TurnTask, text_) == 104, "offset differs from the other languages");
static_assert(offsetof(TurnTask, data_) == 144, "offset differs from the other languages");
static_assert(offsetof(TurnTask, extent_) == 184, "offset differs from the other languages");
static_assert(offsetof(TurnTask, entry_) == 200, "offset differs from the other languages");
static_assert(offsetof(TurnTask, extents_) == 344, "offset differs from the other languages");
static_assert(offsetof(TurnTask, words_) == 384, "offset differs from the other languages");
static_assert(offsetof(TurnTask, blobs_) == 424, "offset differs from the other languages");
static_assert(offsetof(TurnTask, rows_) == 464, "offset differs from the other languages");
static_assert(offsetof(TurnTask, entries_) == 504, "offset differs from the other languages");
static_assert(offsetof(TurnTask, pairs_) == 544, "offset differs from the other languages");
static_assert(sizeof(NothingTask) == 64, "size differs from the other languages");
static_assert(sizeof(FailTask) == 112, "size differs from the other languages");
static_assert(offsetof(FailTask, thrown_) == 64, "offset differs from the other languages");
static_assert(offsetof(FailTask, why_) == 72, "offset differs from the other languages");
static_assert(sizeof(RelayTask) == 232, "size differs from the other languages");
static_assert(offsetof(RelayTask, store_) == 64, "offset differs from the other languages");
static_assert(offsetof(RelayTask, data_) == 104, "offset differs from the other languages");
static_assert(offsetof(RelayTask, width_) == 144, "offset differs from the other languages");
static_assert(offsetof(RelayTask, why_) == 152, "offset differs from the other languages");
static_assert(offsetof(RelayTask, sums_) == 192, "offset differs from the other languages");
static_assert(sizeof(SettingsTask) == 168, "size differs from the other languages");
static_assert(offsetof(SettingsTask, factor_) == 64, "offset differs from the other languages");
static_assert(offsetof(SettingsTask, share_) == 72, "offset differs from the other languages");
static_assert(offsetof(SettingsTask, exact_) == 76, "offset differs from the other languages");
static_assert(offsetof(SettingsTask, label_) == 80, "offset differs from the other languages");
static_assert(offsetof(SettingsTask, note_) == 120, "offset differs from the other languages");
static_assert(offsetof(SettingsTask, limit_) == 160, "offset differs from the other languages");
static_assert(sizeof(PauseTask) == 72, "size differs from the other languages");
static_assert(offsetof(PauseTask, seconds_) == 64, "offset differs from the other languages");
#pragma GCC diagnostic pop

}  // namespace described::parts

#endif  // DESCRIBED_PARTS_DESCRIBED_TASKS_H_
