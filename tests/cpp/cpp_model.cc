/* A C++ application with tasks other than simple calls: cpp_model MODULE. Prints a JSON line with
 * the status and the reason of a failure. */
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "model_tasks.h"
#include "report.h"

namespace {

using chi::u64;
using test::model::Method;
using test::model::ValueTask;
using Value = hipc::FullPtr<ValueTask>;

constexpr u64 kMs = 1000 * 1000;
constexpr u64 kHour = 3600 * 1000 * kMs;

void Expect(bool met, const std::string &what) {
  if (!met) throw std::runtime_error(what);
}

class Model {
 public:
  explicit Model(const std::string &module)
      : pool_(CHI_IPC_MANAGER->CreatePool(module, "cpp " + module)) {}

  Value Make(chi::u32 method, u64 value = 0, u64 width = 0) const {
    return CHI_IPC_MANAGER->NewTask<ValueTask>(HSHM_MCTX, pool_, method, value, width);
  }

  /* Waits for a submitted task. Returns its status. */
  static chi_status End(const Value &task) {
    const chi::OwnedTask<ValueTask> owned(task);
    task->Wait();
    return task->GetStatus();
  }

  chi_status Run(const Value &task) const {
    CHI_IPC_MANAGER->Enqueue(task);
    return End(task);
  }

  u64 Ticks() const {
    const chi::OwnedTask<ValueTask> task(Make(Method::kTicks));
    CHI_IPC_MANAGER->Enqueue(task.get());
    task.get()->Wait();
    task.get()->ThrowIfFailed();
    return task.get()->result_;
  }

  /* The test's own time limit ends a wait that never succeeds. */
  void AwaitTicks(u64 ticks) const {
    while (Ticks() < ticks) chi::Yield();
  }

  void Destroy() const { CHI_IPC_MANAGER->DestroyPool(pool_); }

 private:
  chi::PoolId pool_;
};

void Periodic(const Model &model) {
  const Value tick = model.Make(Method::kTick);
  tick->SetPeriod(100 * 1000);
  CHI_IPC_MANAGER->Enqueue(tick);
  model.AwaitTicks(20);
  Expect(!tick->IsComplete(), "a periodic task keeps running");
  tick->Cancel();
  Expect(Model::End(tick) == CHI_CANCELLED, "a periodic task ends when it is cancelled");

  const Value short_one = model.Make(Method::kTick);
  short_one->SetPeriod(CHI_MIN_PERIOD_NS - 1);
  Expect(model.Run(short_one) == CHI_INVALID, "too short a period");
}

void Deadline(const Model &model) {
  const Value late = model.Make(Method::kSleep, kHour);
  late->SetDeadline(5 * kMs);
  Expect(model.Run(late) == CHI_DEADLINE, "a deadline that passes");
  const Value in_time = model.Make(Method::kSleep, 1);
  in_time->SetDeadline(kHour);
  Expect(model.Run(in_time) == CHI_OK, "a deadline that does not pass");
}

void Forgotten(const Model &model) {
  const u64 before = model.Ticks();
  for (int i = 0; i < 10000; ++i) {
    const Value tick = model.Make(Method::kTick);
    tick->SetFireAndForget();
    CHI_IPC_MANAGER->Enqueue(tick);
  }
  model.AwaitTicks(before + 10000);
}

void HighLatency(const Model &model) {
  const Value tick = model.Make(Method::kTick);
  tick->SetHighLatency();
  Expect(model.Run(tick) == CHI_OK, "a high-latency task");
}

void Cancelled(const Model &model) {
  for (const chi::u32 method : {Method::kSleep, Method::kYield, Method::kAsk}) {
    const Value task = model.Make(method, ~u64{0} >> 1);
    CHI_IPC_MANAGER->Enqueue(task);
    Expect(!task->WaitFor(kMs), "it keeps running");
    CHI_IPC_MANAGER->Cancel(task);
    Expect(Model::End(task) == CHI_CANCELLED, "cancelled method " + std::to_string(method));
  }
  const Value done = model.Make(Method::kTicks);
  CHI_IPC_MANAGER->Enqueue(done);
  done->Wait();
  done->Cancel();
  Expect(Model::End(done) == CHI_OK, "a complete task is left as it is");
}

void Batch(const Model &model) {
  const auto *ipc = CHI_IPC_MANAGER;
  const u64 before = model.Ticks();
  std::vector<Value> tasks;
  for (u64 i = 0; i < 500; ++i) tasks.push_back(model.Make(Method::kTick, i % 2 * 1000, i % 9));
  u64 submitted = 0;
  ipc->EnqueueBatch(tasks, &submitted);
  Expect(submitted == tasks.size(), "all are submitted");
  ipc->Wait(tasks);
  for (const Value &task : tasks) {
    Expect(task->IsComplete() && task->GetStatus() == CHI_OK, "all have run");
    ipc->DelTask(task);
  }
  Expect(model.Ticks() == before + 500, "each has run once");
  const std::vector<Value> none;
  ipc->EnqueueBatch(none);
  ipc->Wait(none);
}

void FirstOfMany(const Model &model) {
  const auto *ipc = CHI_IPC_MANAGER;
  std::vector<Value> sleeps;
  for (const u64 time : {kHour, kMs}) {
    sleeps.push_back(model.Make(Method::kSleep, time));
    ipc->Enqueue(sleeps.back());
  }
  Expect(!ipc->WaitAny(std::vector<Value>{sleeps[0]}, kMs).has_value(), "a wait that times out");
  Expect(ipc->WaitAny(sleeps) == u64{1}, "the first of two");

  chi::Completions queue(1000);
  u64 first = 0;
  queue.Add(sleeps[1], [&](const Value &) { ++first; });
  queue.Add(sleeps[0], [](const Value &) { throw std::runtime_error("it is taken out"); });
  try {
    queue.Add(sleeps[0], [](const Value &) {});
    Expect(false, "a task is in a queue twice");
  } catch (const chi::Error &error) {
    Expect(error.status() == CHI_BUSY, "a task is in a queue once");
  }
  Expect(queue.Run() == 1 && first == 1, "a task that was complete before");
  Expect(queue.Remove(sleeps[0]) && !queue.Remove(sleeps[0]), "a task is taken out once");
  sleeps[0]->Cancel();
  for (const Value &sleep : sleeps) Model::End(sleep);

  u64 sum = 0;
  for (u64 i = 0; i < 1000; ++i) {
    const Value nap = model.Make(Method::kSleep, i % 10 * kMs, 0);
    ipc->Enqueue(nap);
    queue.Add(nap, [&sum, ipc](const Value &done) {
      sum += done->value_;
      ipc->DelTask(done);
    });
  }
  for (u64 ended = 0; ended < 1000;) ended += queue.Run();
  Expect(sum == 4500 * kMs, "each is called with its task");
  Expect(queue.Run(0) == 0, "each is called once");
}

void Sleeping() {
  const auto begin = std::chrono::steady_clock::now();
  chi::Sleep(2 * kMs);
  Expect(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(2),
         "it slept long enough");
  chi::Yield();
}

void Run(const std::string &module) {
  const chi::Session session;
  const Model model(module);
  Periodic(model);
  Deadline(model);
  Forgotten(model);
  HighLatency(model);
  Cancelled(model);
  Batch(model);
  FirstOfMany(model);
  Sleeping();
  Expect(model.Run(model.Make(Method::kTree, 3, 4)) == CHI_OK, "subtasks of subtasks");
  Expect(model.Run(model.Make(Method::kMonitored, 3, 5)) == CHI_OK, "a monitor's lane");
  Expect(model.Run(model.Make(Method::kOverflow)) == CHI_FAULT, "a stack overflow");
  Expect(model.Run(model.Make(Method::kTicks)) == CHI_FAULT, "a task of a pool in quarantine");
  model.Destroy();
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  return Report([&] { Run(argv[1]); });
}
