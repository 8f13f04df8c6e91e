// clang-format off
/* A client of described:parts. Generated from chimaera_mod.yaml; do not edit. */
#ifndef DESCRIBED_PARTS_DESCRIBED_CLIENT_H_
#define DESCRIBED_PARTS_DESCRIBED_CLIENT_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "chimaera/chimaera.h"
#include "parts_described_tasks.h"

namespace described::parts {

/** The results of kTurn. */
struct TurnResult {
  /** `tiny`. */
  chi::i8 tiny_ = 0;
  /** `wide`. */
  chi::f64 wide_ = 0;
  /** `flag`. */
  bool flag_ = false;
  /** `digest`. */
  std::array<chi::u8, 20> digest_{};
  /** `text`. */
  std::string text_;
  /** `data`. */
  std::string data_;
  /** `extent`. */
  Extent extent_{};
  /** `entry`. */
  EntryValue entry_{};
  /** `extents`. */
  std::vector<Extent> extents_;
  /** `words`. */
  std::vector<std::string> words_;
  /** `blobs`. */
  std::vector<std::string> blobs_;
  /** `rows`. */
  std::vector<std::vector<chi::i16>> rows_;
  /** `entries`. */
  std::vector<EntryValue> entries_;
  /** `pairs`. */
  std::array<Extent, 2> pairs_{};
};

/** The results of kSettings. */
struct SettingsResult {
  /** `factor`. */
  chi::i64 factor_ = 0;
  /** `share`. */
  chi::f32 share_ = 0;
  /** `exact`. */
  bool exact_ = false;
  /** `label`. */
  std::string label_;
  /** `note`. */
  std::string note_;
  /** `limit`. */
  chi::u64 limit_ = 0;
};

/** Calls the described methods of a pool. All calls throw chi::Error; any thread. */
class DescribedClient : public chi::PoolClient<DescribedClient, Params> {
 public:
  /** The module's name. */
  static constexpr const char *kModule = "described:parts";

  /** Sums up the bytes of every block. */
  std::vector<chi::u64> Sum(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      std::string_view data,
      chi::u32 block_size,
      bool exact) const {
    auto pending = AsyncSum(mctx, dom_query, data, block_size, exact);
    chi::OwnedTask<SumTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    std::vector<chi::u64> result{};
    result = task->sums_.CopyOut();
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<SumTask> AsyncSum(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      std::string_view data,
      chi::u32 block_size,
      bool exact) const {
    return CHI_IPC_MANAGER->SubmitTask<SumTask>(mctx, pool_id_, dom_query, data, block_size, exact);
  }

  /** Gives everything back, some of it turned round. */
  TurnResult Turn(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
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
      const std::array<Extent, 2> &pairs) const {
    auto pending = AsyncTurn(mctx, dom_query, tiny, wide, flag, digest, text, data, extent, entry, extents, words, blobs, rows, entries, pairs);
    chi::OwnedTask<TurnTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    TurnResult result{};
    result.tiny_ = task->tiny_;
    result.wide_ = task->wide_;
    result.flag_ = task->flag_ != 0;
    result.digest_ = task->digest_;
    result.text_ = task->text_.str();
    result.data_ = task->data_.view();
    result.extent_ = task->extent_;
    result.entry_ = task->entry_.Value();
    result.extents_ = task->extents_.CopyOut();
    result.words_.reserve(task->words_.size());
    for (const hipc::string &item : task->words_) {
      result.words_.push_back(item.str());
    }
    result.blobs_.reserve(task->blobs_.size());
    for (const hipc::vector<char> &item : task->blobs_) {
      result.blobs_.push_back(std::string(item.view()));
    }
    result.rows_.reserve(task->rows_.size());
    for (const hipc::vector<chi::i16> &item : task->rows_) {
      result.rows_.push_back(item.CopyOut());
    }
    result.entries_.reserve(task->entries_.size());
    for (const Entry &item : task->entries_) {
      result.entries_.push_back(item.Value());
    }
    result.pairs_ = task->pairs_;
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<TurnTask> AsyncTurn(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
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
      const std::array<Extent, 2> &pairs) const {
    return CHI_IPC_MANAGER->SubmitTask<TurnTask>(mctx, pool_id_, dom_query, tiny, wide, flag, digest, text, data, extent, entry, extents, words, blobs, rows, entries, pairs);
  }

  /** Does nothing. */
  void Nothing(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) const {
    auto pending = AsyncNothing(mctx, dom_query);
    chi::OwnedTask<NothingTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
  }
  /** The caller owns the task. */
  hipc::FullPtr<NothingTask> AsyncNothing(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) const {
    return CHI_IPC_MANAGER->SubmitTask<NothingTask>(mctx, pool_id_, dom_query);
  }

  /** Fails. */
  void Fail(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      bool thrown,
      std::string_view why) const {
    auto pending = AsyncFail(mctx, dom_query, thrown, why);
    chi::OwnedTask<FailTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
  }
  /** The caller owns the task. */
  hipc::FullPtr<FailTask> AsyncFail(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      bool thrown,
      std::string_view why) const {
    return CHI_IPC_MANAGER->SubmitTask<FailTask>(mctx, pool_id_, dom_query, thrown, why);
  }

  /** Has the module in the other language sum up bytes, several times at once. */
  std::vector<chi::u64> Relay(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      std::string_view store,
      std::string_view data,
      chi::u32 width,
      std::string_view why) const {
    auto pending = AsyncRelay(mctx, dom_query, store, data, width, why);
    chi::OwnedTask<RelayTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    std::vector<chi::u64> result{};
    result = task->sums_.CopyOut();
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<RelayTask> AsyncRelay(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      std::string_view store,
      std::string_view data,
      chi::u32 width,
      std::string_view why) const {
    return CHI_IPC_MANAGER->SubmitTask<RelayTask>(mctx, pool_id_, dom_query, store, data, width, why);
  }

  /** Says what the pool was created with. */
  SettingsResult Settings(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) const {
    auto pending = AsyncSettings(mctx, dom_query);
    chi::OwnedTask<SettingsTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    SettingsResult result{};
    result.factor_ = task->factor_;
    result.share_ = task->share_;
    result.exact_ = task->exact_ != 0;
    result.label_ = task->label_.str();
    result.note_ = task->note_.str();
    result.limit_ = task->limit_;
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<SettingsTask> AsyncSettings(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) const {
    return CHI_IPC_MANAGER->SubmitTask<SettingsTask>(mctx, pool_id_, dom_query);
  }

  /** Sleeps. */
  void Pause(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      chi::u32 seconds) const {
    auto pending = AsyncPause(mctx, dom_query, seconds);
    chi::OwnedTask<PauseTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
  }
  /** The caller owns the task. */
  hipc::FullPtr<PauseTask> AsyncPause(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      chi::u32 seconds) const {
    return CHI_IPC_MANAGER->SubmitTask<PauseTask>(mctx, pool_id_, dom_query, seconds);
  }
};

}  // namespace described::parts

#endif  // DESCRIBED_PARTS_DESCRIBED_CLIENT_H_
