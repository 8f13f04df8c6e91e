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

/** What kTurn returns. */
struct TurnResult {
  /** `tiny`. */
  chi::i8 tiny = 0;
  /** `wide`. */
  chi::f64 wide = 0;
  /** `flag`. */
  bool flag = false;
  /** `digest`. */
  std::array<chi::u8, 20> digest{};
  /** `text`. */
  std::string text;
  /** `data`. */
  std::string data;
  /** `extent`. */
  Extent extent{};
  /** `entry`. */
  EntryValue entry{};
  /** `extents`. */
  std::vector<Extent> extents;
  /** `words`. */
  std::vector<std::string> words;
  /** `blobs`. */
  std::vector<std::string> blobs;
  /** `rows`. */
  std::vector<std::vector<chi::i16>> rows;
  /** `entries`. */
  std::vector<EntryValue> entries;
  /** `pairs`. */
  std::array<Extent, 2> pairs{};
};

/** What kSettings returns. */
struct SettingsResult {
  /** `factor`. */
  chi::i64 factor = 0;
  /** `share`. */
  chi::f32 share = 0;
  /** `exact`. */
  bool exact = false;
  /** `label`. */
  std::string label;
  /** `note`. */
  std::string note;
  /** `limit`. */
  chi::u64 limit = 0;
};

/** Calls the described methods of a pool. All calls throw chi::Error; any thread. */
class DescribedClient : public chi::PoolClient<DescribedClient, Params> {
 public:
  /** The module's name. */
  static constexpr const char *kModule = "described:parts";

  /** Sums up the bytes of every block. */
  std::vector<chi::u64> Sum(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                            std::string_view data, chi::u32 block_size, bool exact) const {
    auto pending = AsyncSum(mctx, dom_query, data, block_size, exact);
    chi::OwnedTask<SumTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    std::vector<chi::u64> result;
    result = task->sums_.CopyOut();
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<SumTask> AsyncSum(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                  std::string_view data, chi::u32 block_size, bool exact) const {
    return CHI_IPC_MANAGER->SubmitTask<SumTask>(mctx, pool_id_, dom_query, data, block_size, exact);
  }

  /** Gives everything back, some of it turned round. */
  TurnResult Turn(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query, chi::i8 tiny,
                  chi::f64 wide, bool flag, const std::array<chi::u8, 20> &digest,
                  std::string_view text, std::string_view data, const Extent &extent,
                  const EntryValue &entry, const std::vector<Extent> &extents,
                  const std::vector<std::string> &words, const std::vector<std::string> &blobs,
                  const std::vector<std::vector<chi::i16>> &rows,
                  const std::vector<EntryValue> &entries,
                  const std::array<Extent, 2> &pairs) const {
    auto pending = AsyncTurn(mctx, dom_query, tiny, wide, flag, digest, text, data, extent, entry,
                             extents, words, blobs, rows, entries, pairs);
    chi::OwnedTask<TurnTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    TurnResult result;
    result.tiny = task->tiny_;
    result.wide = task->wide_;
    result.flag = task->flag_ != 0;
    result.digest = task->digest_;
    result.text = task->text_.str();
    result.data = task->data_.view();
    result.extent = task->extent_;
    result.entry = task->entry_.Value();
    result.extents = task->extents_.CopyOut();
    result.words.reserve(task->words_.size());
    for (const hipc::string &item : task->words_) {
      result.words.push_back(item.str());
    }
    result.blobs.reserve(task->blobs_.size());
    for (const hipc::vector<char> &item : task->blobs_) {
      result.blobs.push_back(std::string(item.view()));
    }
    result.rows.reserve(task->rows_.size());
    for (const hipc::vector<chi::i16> &item : task->rows_) {
      result.rows.push_back(item.CopyOut());
    }
    result.entries.reserve(task->entries_.size());
    for (const Entry &item : task->entries_) {
      result.entries.push_back(item.Value());
    }
    result.pairs = task->pairs_;
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<TurnTask> AsyncTurn(
      const hipc::MemContext &mctx, const chi::DomainQuery &dom_query, chi::i8 tiny, chi::f64 wide,
      bool flag, const std::array<chi::u8, 20> &digest, std::string_view text,
      std::string_view data, const Extent &extent, const EntryValue &entry,
      const std::vector<Extent> &extents, const std::vector<std::string> &words,
      const std::vector<std::string> &blobs, const std::vector<std::vector<chi::i16>> &rows,
      const std::vector<EntryValue> &entries, const std::array<Extent, 2> &pairs) const {
    return CHI_IPC_MANAGER->SubmitTask<TurnTask>(mctx, pool_id_, dom_query, tiny, wide, flag,
                                                 digest, text, data, extent, entry, extents, words,
                                                 blobs, rows, entries, pairs);
  }

  /** Does nothing. */
  void Nothing(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) const {
    auto pending = AsyncNothing(mctx, dom_query);
    chi::OwnedTask<NothingTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
  }
  /** The caller owns the task. */
  hipc::FullPtr<NothingTask> AsyncNothing(const hipc::MemContext &mctx,
                                          const chi::DomainQuery &dom_query) const {
    return CHI_IPC_MANAGER->SubmitTask<NothingTask>(mctx, pool_id_, dom_query);
  }

  /** Fails. */
  void Fail(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query, bool thrown,
            std::string_view why) const {
    auto pending = AsyncFail(mctx, dom_query, thrown, why);
    chi::OwnedTask<FailTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
  }
  /** The caller owns the task. */
  hipc::FullPtr<FailTask> AsyncFail(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                    bool thrown, std::string_view why) const {
    return CHI_IPC_MANAGER->SubmitTask<FailTask>(mctx, pool_id_, dom_query, thrown, why);
  }

  /** Has the module in the other language sum up bytes, several times at once. */
  std::vector<chi::u64> Relay(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                              std::string_view store, std::string_view data, chi::u32 width,
                              std::string_view why) const {
    auto pending = AsyncRelay(mctx, dom_query, store, data, width, why);
    chi::OwnedTask<RelayTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    std::vector<chi::u64> result;
    result = task->sums_.CopyOut();
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<RelayTask> AsyncRelay(const hipc::MemContext &mctx,
                                      const chi::DomainQuery &dom_query, std::string_view store,
                                      std::string_view data, chi::u32 width,
                                      std::string_view why) const {
    return CHI_IPC_MANAGER->SubmitTask<RelayTask>(mctx, pool_id_, dom_query, store, data, width,
                                                  why);
  }

  /** Says what the pool was created with. */
  SettingsResult Settings(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) const {
    auto pending = AsyncSettings(mctx, dom_query);
    chi::OwnedTask<SettingsTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    SettingsResult result;
    result.factor = task->factor_;
    result.share = task->share_;
    result.exact = task->exact_ != 0;
    result.label = task->label_.str();
    result.note = task->note_.str();
    result.limit = task->limit_;
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<SettingsTask> AsyncSettings(const hipc::MemContext &mctx,
                                            const chi::DomainQuery &dom_query) const {
    return CHI_IPC_MANAGER->SubmitTask<SettingsTask>(mctx, pool_id_, dom_query);
  }
};

}  // namespace described::parts

#endif  // DESCRIBED_PARTS_DESCRIBED_CLIENT_H_
