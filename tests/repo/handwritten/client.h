/* A C++ client for both modules, whose tasks have the same fields. */
#ifndef CHIMAERA_TESTS_REPO_WRITTEN_CLIENT_H_
#define CHIMAERA_TESTS_REPO_WRITTEN_CLIENT_H_

#include <string>
#include <string_view>
#include <vector>

#include "chimaera/chimaera.h"

namespace written {

/** A private copy of an Entry. */
template <typename Extent>
struct EntryValue {
  std::string name;
  Extent extent{};
  std::vector<chi::f32> weights;

  /** Copies it to shared memory of the task `owner`. */
  template <typename Entry>
  void Write(hipc::Owner owner, Entry &to) const {
    to.name_.assign(owner, name);
    to.extent_ = extent;
    to.weights_.assign(owner, weights.data(), weights.size());
  }

  /** Copies from shared memory. */
  template <typename Entry>
  static EntryValue Read(const Entry &from) {
    return {from.name_.str(), from.extent_, from.weights_.CopyOut()};
  }
};

/** The inputs and results of kTurn. */
template <typename Extent>
struct Turn {
  std::string text;
  std::vector<std::string> words;
  std::vector<Extent> extents;
  EntryValue<Extent> entry;
  std::vector<EntryValue<Extent>> entries;
  chi::u64 total = 0;

  /** Copies it to a task. */
  template <typename Task>
  void Write(Task &to) const {
    const hipc::Owner owner(&to);
    to.text_ = text;
    for (const std::string &word : words) to.words_.emplace_back(word);
    to.extents_.assign(extents.data(), extents.size());
    entry.Write(owner, to.entry_);
    to.entries_.reserve(entries.size());
    for (const EntryValue<Extent> &one : entries) one.Write(owner, to.entries_.emplace_back());
    to.total_ = total;
  }

  /** Copies from a task. */
  template <typename Task>
  static Turn Read(const Task &from) {
    Turn turn;
    turn.text = from.text_.str();
    for (const hipc::string &word : from.words_) turn.words.push_back(word.str());
    turn.extents = from.extents_.CopyOut();
    turn.entry = EntryValue<Extent>::Read(from.entry_);
    for (const auto &one : from.entries_) {
      turn.entries.push_back(EntryValue<Extent>::Read(one));
    }
    turn.total = from.total_;
    return turn;
  }
};

/** Calls a pool of the module that these tasks belong to. All calls throw chi::Error; any
 * thread. */
template <typename ExtentT, typename TurnTask, typename FailTask, typename RelayTask>
class BasicClient : public chi::ContainerClient {
 public:
  using Extent = ExtentT;
  using Turn = written::Turn<Extent>;
  using PendingTurn = chi::OwnedTask<TurnTask>;

  /** Creates a pool of `module`, or finds the pool of this name. Stores its id. */
  void Create(const std::string &module, const std::string &pool_name) {
    pool_id_ = CHI_IPC_MANAGER->CreatePool(module, pool_name);
  }

  /** Changes every field. */
  Turn CallTurn(const chi::DomainQuery &query, const Turn &turn) {
    return Finish(AsyncTurn(query, turn));
  }
  PendingTurn AsyncTurn(const chi::DomainQuery &query, const Turn &turn) {
    return PendingTurn(CHI_IPC_MANAGER->SubmitTask<TurnTask>(
        HSHM_MCTX, pool_id_, query, [&](TurnTask &task) { turn.Write(task); }));
  }
  static Turn Finish(const PendingTurn &pending) {
    pending->Wait();
    pending->ThrowIfFailed();
    return Turn::Read(*pending);
  }

  /** Fails, with an unexpected exception if `thrown` is set. */
  void Fail(const chi::DomainQuery &query, bool thrown, std::string_view why) {
    chi::OwnedTask<FailTask> task(
        CHI_IPC_MANAGER->SubmitTask<FailTask>(HSHM_MCTX, pool_id_, query, [&](FailTask &task) {
          task.thrown_ = thrown ? 1 : 0;
          task.why_ = why;
        }));
    task->Wait();
    task->ThrowIfFailed();
  }

  /** Has the module in the other language turn `text` in `width` concurrent calls, and then fail
   * with `why` unless it is empty. */
  std::vector<std::string> Relay(const chi::DomainQuery &query, std::string_view store,
                                 std::string_view text, chi::u32 width, std::string_view why) {
    chi::OwnedTask<RelayTask> task(
        CHI_IPC_MANAGER->SubmitTask<RelayTask>(HSHM_MCTX, pool_id_, query, [&](RelayTask &task) {
          task.store_ = store;
          task.text_ = text;
          task.width_ = width;
          task.why_ = why;
        }));
    task->Wait();
    task->ThrowIfFailed();
    std::vector<std::string> answers;
    for (const hipc::string &answer : task->answers_) answers.push_back(answer.str());
    return answers;
  }
};

}  // namespace written

#endif  // CHIMAERA_TESTS_REPO_WRITTEN_CLIENT_H_
