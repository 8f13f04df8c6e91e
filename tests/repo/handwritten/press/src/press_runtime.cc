/* The container of written:press. */
#include <algorithm>
#include <stdexcept>

#include "loom/loom_client.h"
#include "press/press_client.h"
#include "press_lib_exec.h"

namespace written::press {

class Runtime : public chi::ContainerRuntime {
 public:
  void Turn(hipc::FullPtr<TurnTask> task, chi::RunContext &) {
    written::Turn<Extent> turn = written::Turn<Extent>::Read(*task);
    turn.text += "!";
    std::reverse(turn.words.begin(), turn.words.end());
    for (Extent &extent : turn.extents) ++extent.blocks_;
    Change(turn.entry);
    for (EntryValue<Extent> &entry : turn.entries) Change(entry);
    turn.total += turn.words.size();
    task->words_.clear();
    task->entries_.clear();
    turn.Write(*task);
  }

  void Fail(hipc::FullPtr<FailTask> task, chi::RunContext &) {
    if (task->thrown_ != 0) throw std::runtime_error(task->why_.str());
    task->Fail(CHI_MODULE_STATUS, task->why_.view());
  }

  void Relay(hipc::FullPtr<RelayTask> task, chi::RunContext &) {
    const chi::DomainQuery query = chi::DomainQuery::Dynamic();
    loom::Client other;
    other.Create(loom::kModule, task->store_.str());
    std::vector<loom::Client::PendingTurn> turns;
    for (chi::u32 i = 0; i < task->width_; ++i) {
      loom::Client::Turn turn;
      turn.text = task->text_.str() + std::to_string(i);
      turns.push_back(other.AsyncTurn(query, turn));
    }
    for (const loom::Client::PendingTurn &turn : turns) {
      task->answers_.emplace_back(loom::Client::Finish(turn).text);
    }
    if (!task->why_.empty()) other.Fail(query, false, task->why_.view());
  }

 private:
  static void Change(EntryValue<Extent> &entry) {
    entry.name += "?";
    ++entry.extent.start_;
    entry.weights.push_back(1);
  }
};

}  // namespace written::press

CHI_TASK_CC(press);
