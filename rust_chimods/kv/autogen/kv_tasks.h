// clang-format off
/* The tasks of client/src/tasks.rs of chimaera:kv. Generated from chimaera_mod.yaml; do not edit. */
#ifndef CHIMAERA_KV_TASKS_H_
#define CHIMAERA_KV_TASKS_H_

#include <cstddef>

#include "chimaera/chimaera.h"
#include "kv_methods.h"

namespace chimaera::kv {

// The size of a store, and its counters: with a path, since its file was opened, else since its
// pool was created. The numbers are those of the whole pool.
struct Stats {
  // Number of keys.
  uint64_t keys_;
  // Bytes of all keys and values. With a device, the values count as what memory holds of them.
  uint64_t bytes_;
  // The limit on `bytes`; `UINT64_MAX` for no limit.
  uint64_t max_bytes_;
  // Length of the file; 0 without a path. Replaced and deleted values leave free space in it, which
  // is used again.
  uint64_t file_bytes_;
  // By how much the file was shortened since it was opened, and then already.
  uint64_t compacted_bytes_;
  // Transactions. Puts and deletes that arrive together share one.
  uint64_t commits_;
  // Those that were made durable.
  uint64_t syncs_;
  // How often the file was compacted.
  uint64_t compactions_;
  // How often a container lost its keys because one of its methods crashed, and began without any.
  // Always 0 with a path.
  uint64_t lost_;
  /** Sends the fields. */
  template <typename Ar>
  void serialize(Ar &ar) {
    ar(keys_, bytes_, max_bytes_, file_bytes_, compacted_bytes_, commits_, syncs_, compactions_, lost_);
  }
};

// `kPut`: stores a value under a key.
struct PutTask : public chi::Task {
  // In.
  hipc::string key_;
  // In.
  hipc::vector<char> value_;
  // Out: 1 if it replaced a value.
  uint32_t replaced_;
  uint32_t reserved_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x12b5a;

  /** SHM default constructor */
  explicit PutTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), key_(alloc), value_(alloc), replaced_(), reserved_() {}

  /** Emplace constructor */
  PutTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : PutTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kPut;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  PutTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : PutTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(key_, value_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(replaced_);
  }
};

// `kGet`: gets the value of a key.
struct GetTask : public chi::Task {
  // In.
  hipc::string key_;
  // Out.
  hipc::vector<char> value_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0xae86;

  /** SHM default constructor */
  explicit GetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), key_(alloc), value_(alloc) {}

  /** Emplace constructor */
  GetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : GetTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kGet;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  GetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : GetTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(key_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(value_);
  }
};

// `kDelete`: deletes a key.
struct DeleteTask : public chi::Task {
  // In.
  hipc::string key_;
  // Out: 1 if the key existed.
  uint32_t existed_;
  uint32_t reserved_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x60e82;

  /** SHM default constructor */
  explicit DeleteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), key_(alloc), existed_(), reserved_() {}

  /** Emplace constructor */
  DeleteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : DeleteTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kDelete;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  DeleteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : DeleteTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(key_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(existed_);
  }
};

// `kScan`: lists keys in order.
struct ScanTask : public chi::Task {
  // In: the prefix of the keys; empty for all keys.
  hipc::string prefix_;
  // In: maximum number of keys; 0 for all.
  uint64_t limit_;
  // Out: the keys, in bytewise order.
  hipc::vector<hipc::string> keys_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0xd8ee;

  /** SHM default constructor */
  explicit ScanTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), prefix_(alloc), limit_(), keys_(alloc) {}

  /** Emplace constructor */
  ScanTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : ScanTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kScan;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  ScanTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : ScanTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(prefix_, limit_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(keys_);
  }
};

// `kCount`: counts keys.
struct CountTask : public chi::Task {
  // Out.
  uint64_t count_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x332ae;

  /** SHM default constructor */
  explicit CountTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), count_() {}

  /** Emplace constructor */
  CountTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : CountTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kCount;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  CountTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : CountTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(count_);
  }
};

// `kFlush`: makes durable what was put and deleted before.
struct FlushTask : public chi::Task {

  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x3752e;

  /** SHM default constructor */
  explicit FlushTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc) {}

  /** Emplace constructor */
  FlushTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : FlushTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kFlush;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  FlushTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : FlushTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

// `kStats`: gets the size of the store and its counters.
struct StatsTask : public chi::Task {
  // Out.
  Stats stats_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0xae2e;

  /** SHM default constructor */
  explicit StatsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), stats_() {}

  /** Emplace constructor */
  StatsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : StatsTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kStats;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  StatsTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : StatsTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(stats_);
  }
};

// `kCompact`: shortens the file as far as its contents allow.
struct CompactTask : public chi::Task {
  // Out: by how much it was shortened.
  uint64_t bytes_;
  /** The fingerprint of the declaration: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x5d5ee;

  /** SHM default constructor */
  explicit CompactTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), bytes_() {}

  /** Emplace constructor */
  CompactTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : CompactTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kCompact;
    dom_query_ = dom_query;
  }

  /** Emplace constructor: `fill` gets the task and sets its fields. */
  template <typename Fill>
  CompactTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, Fill &&fill)
      : CompactTask(alloc, task_node, pool_id, dom_query) {
    fill(*this);
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &) {}

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(bytes_);
  }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(Stats) == 72, "size differs from the other languages");
static_assert(offsetof(Stats, keys_) == 0, "offset differs from the other languages");
static_assert(offsetof(Stats, bytes_) == 8, "offset differs from the other languages");
static_assert(offsetof(Stats, max_bytes_) == 16, "offset differs from the other languages");
static_assert(offsetof(Stats, file_bytes_) == 24, "offset differs from the other languages");
static_assert(offsetof(Stats, compacted_bytes_) == 32, "offset differs from the other languages");
static_assert(offsetof(Stats, commits_) == 40, "offset differs from the other languages");
static_assert(offsetof(Stats, syncs_) == 48, "offset differs from the other languages");
static_assert(offsetof(Stats, compactions_) == 56, "offset differs from the other languages");
static_assert(offsetof(Stats, lost_) == 64, "offset differs from the other languages");
static_assert(sizeof(PutTask) == 152, "size differs from the other languages");
static_assert(offsetof(PutTask, key_) == 64, "offset differs from the other languages");
static_assert(offsetof(PutTask, value_) == 104, "offset differs from the other languages");
static_assert(offsetof(PutTask, replaced_) == 144, "offset differs from the other languages");
static_assert(offsetof(PutTask, reserved_) == 148, "offset differs from the other languages");
static_assert(sizeof(GetTask) == 144, "size differs from the other languages");
static_assert(offsetof(GetTask, key_) == 64, "offset differs from the other languages");
static_assert(offsetof(GetTask, value_) == 104, "offset differs from the other languages");
static_assert(sizeof(DeleteTask) == 112, "size differs from the other languages");
static_assert(offsetof(DeleteTask, key_) == 64, "offset differs from the other languages");
static_assert(offsetof(DeleteTask, existed_) == 104, "offset differs from the other languages");
static_assert(offsetof(DeleteTask, reserved_) == 108, "offset differs from the other languages");
static_assert(sizeof(ScanTask) == 152, "size differs from the other languages");
static_assert(offsetof(ScanTask, prefix_) == 64, "offset differs from the other languages");
static_assert(offsetof(ScanTask, limit_) == 104, "offset differs from the other languages");
static_assert(offsetof(ScanTask, keys_) == 112, "offset differs from the other languages");
static_assert(sizeof(CountTask) == 72, "size differs from the other languages");
static_assert(offsetof(CountTask, count_) == 64, "offset differs from the other languages");
static_assert(sizeof(FlushTask) == 64, "size differs from the other languages");
static_assert(sizeof(StatsTask) == 136, "size differs from the other languages");
static_assert(offsetof(StatsTask, stats_) == 64, "offset differs from the other languages");
static_assert(sizeof(CompactTask) == 72, "size differs from the other languages");
static_assert(offsetof(CompactTask, bytes_) == 64, "offset differs from the other languages");
#pragma GCC diagnostic pop

}  // namespace chimaera::kv

#endif  // CHIMAERA_KV_TASKS_H_
