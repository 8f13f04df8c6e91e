/* The container of described:parts. */
#include <algorithm>
#include <stdexcept>
#include <vector>

#include "parts_lib_exec.h"
#include "shelf_described_client.h"

namespace described::parts {

class Runtime : public chi::ContainerRuntime {
 public:
  void Create(hipc::FullPtr<chi::CreateTask>, const Params &params, chi::RunContext &) {
    params_ = params;
  }

  void Sum(hipc::FullPtr<SumTask> task, chi::RunContext &) {
    const std::string_view data = task->data_.view();
    const std::size_t block = task->block_size_;
    if (block == 0) return task->Fail(CHI_INVALID, "the block size is 0");
    if (task->exact_ != 0 && data.size() % block != 0) {
      return task->Fail(CHI_INVALID, "the last block is not whole");
    }
    for (std::size_t start = 0; start < data.size(); start += block) {
      chi::u64 sum = 0;
      for (const char byte : data.substr(start, block)) sum += static_cast<unsigned char>(byte);
      task->sums_.push_back(sum);
    }
  }

  void Turn(hipc::FullPtr<TurnTask> task, chi::RunContext &) {
    const hipc::Owner owner(task);
    task->tiny_ = static_cast<chi::i8>(-task->tiny_);
    task->wide_ *= 2;
    task->flag_ = task->flag_ == 0;
    std::reverse(task->digest_.begin(), task->digest_.end());
    task->text_ = Turned(task->text_.str());
    const std::string data = Turned(std::string(task->data_.view()));
    task->data_.assign(data.data(), data.size());
    ++task->extent_.start_;
    EntryValue entry = task->entry_.Value();
    Change(entry);
    task->entry_.Assign(owner, entry);
    std::reverse(task->extents_.begin(), task->extents_.end());
    for (hipc::string &word : task->words_) word.assign(owner, Turned(word.str()));
    for (hipc::vector<char> &blob : task->blobs_) std::reverse(blob.begin(), blob.end());
    for (hipc::vector<chi::i16> &row : task->rows_) std::reverse(row.begin(), row.end());
    for (Entry &element : task->entries_) {
      EntryValue value = element.Value();
      Change(value);
      element.Assign(owner, value);
    }
    std::swap(task->pairs_[0], task->pairs_[1]);
  }

  void Pause(hipc::FullPtr<PauseTask> task, chi::RunContext &) {
    chi::Sleep(chi::u64{task->seconds_} * 1'000'000'000);
  }

  void Nothing(hipc::FullPtr<NothingTask>, chi::RunContext &) {}

  void Fail(hipc::FullPtr<FailTask> task, chi::RunContext &) {
    if (task->thrown_ != 0) throw std::runtime_error(task->why_.str());
    throw chi::Error(CHI_MODULE_STATUS, task->why_.str());
  }

  void Relay(hipc::FullPtr<RelayTask> task, chi::RunContext &) {
    const chi::DomainQuery query = chi::DomainQuery::Dynamic();
    const std::string data(task->data_.view());
    shelf::DescribedClient other;
    other.Create(HSHM_MCTX, task->store_.str());
    std::vector<chi::OwnedTask<shelf::SumTask>> sums;
    for (chi::u32 i = 0; i < task->width_; ++i) {
      sums.emplace_back(other.AsyncSum(HSHM_MCTX, query, data, 1 + i, false));
    }
    for (const chi::OwnedTask<shelf::SumTask> &sum : sums) {
      sum->Wait();
      sum->ThrowIfFailed();
      task->sums_.push_back(sum->sums_[0]);
    }
    if (!task->why_.empty()) other.Fail(HSHM_MCTX, query, false, task->why_.view());
  }

  void Settings(hipc::FullPtr<SettingsTask> task, chi::RunContext &) {
    task->factor_ = params_.factor_;
    task->share_ = params_.share_;
    task->exact_ = params_.exact_ ? 1 : 0;
    task->label_ = params_.label_;
    task->note_ = params_.note_;
    task->limit_ = params_.limit_;
  }

 private:
  static std::string Turned(std::string text) {
    std::reverse(text.begin(), text.end());
    return text;
  }

  static void Change(EntryValue &entry) {
    entry.name_ += "!";
    ++entry.extent_.blocks_;
    std::reverse(entry.data_.begin(), entry.data_.end());
    entry.weights_.push_back(1);
    ++entry.kind_;
  }

  Params params_; /* Constant after `Create`. */
};

}  // namespace described::parts

CHI_TASK_CC(parts);
