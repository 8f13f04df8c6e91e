/* A module whose methods wait, compute, call themselves and fail, to see what the runtime makes of
 * tasks that do. */
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "model_tasks.h"

namespace test::model {

using Clock = std::chrono::steady_clock;
using ValuePtr = hipc::FullPtr<ValueTask>;

/* Deeper than any stack; not to be made a loop by the compiler. */
__attribute__((noinline)) static int Recurse(volatile int *above) {
  volatile int here[64];
  here[0] = *above + 1;
  return here[0] < 1 << 30 ? Recurse(here) + here[0] : 0;
}

class Runtime : public chi::ContainerRuntime {
 public:
  void Run(chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) override {
    if (method == CHI_METHOD_CREATE) {
      CreateLocalQueue(0, 8, chi::IntFlag(0));
      return;
    }
    if (method == CHI_METHOD_DESTROY) return;
    const ValuePtr call(task);
    switch (method) {
      case Method::kSleep:
        chi::Sleep(call->value_);
        break;
      case Method::kCompute:
        for (const auto end = Clock::now() + std::chrono::nanoseconds(call->value_);
             Clock::now() < end;) {
        }
        call->result_ = rctx.worker_id_;
        break;
      case Method::kTick:
        if (call->value_ != 0) chi::Sleep(call->value_);
        call->result_ = ++ticks_;
        break;
      case Method::kTicks:
        call->result_ = ticks_;
        break;
      case Method::kTree:
        Tree(call);
        break;
      case Method::kAsk:
        while (!chi::IsCancelled()) {
        }
        throw chi::Error(CHI_CANCELLED, "it asked");
      case Method::kOverflow: {
        volatile int bottom = 0;
        call->result_ = static_cast<chi::u64>(Recurse(&bottom));
        break;
      }
      case Method::kOwnEnd:
        call->Wait();
        break;
      case Method::kCall: {
        auto *ipc_manager = CHI_IPC_MANAGER;
        chi::OwnedTask<ValueTask> sub(ipc_manager->SubmitTask<ValueTask>(
            HSHM_MCTX, call->other_,
            call->width_ != 0 ? static_cast<chi::u32>(call->width_) : Method::kSleep,
            call->value_));
        sub->Wait();
        sub->ThrowIfFailed();
        break;
      }
      case Method::kMonitored:
        break;
      case Method::kFail:
        if (++ticks_ >= call->value_) throw std::runtime_error("the last tick");
        break;
      case Method::kYield:
        for (chi::u64 i = 0; i < call->value_; ++i) chi::Yield();
        break;
      case Method::kLock: {
        const chi::ScopedCoMutex guard(lock_);
        call->result_ = ++ticks_;
        chi::Sleep(call->value_);
        break;
      }
      case Method::kLog:
        CHI_LOG(kInfo, "a %s", "line");
        break;
      case Method::kSpread:
        Spread(call);
        break;
      case Method::kShare:
        Share(call);
        break;
      case Method::kFailLate:
        call->Fail(CHI_FAILED, "the words of " + std::to_string(call->value_));
        chi::Sleep(call->width_);
        break;
      case Method::kLastError: {
        const chi_ipc *ipc = chi::detail::CurrentIpc();
        chi_pool_id none;
        const std::string name = "nobody " + std::to_string(call->value_);
        if (ipc->find_pool(ipc, name.c_str(), &none) == CHI_OK) break;
        chi::Sleep(call->width_);
        call->Fail(CHI_FAILED, ipc->last_error(ipc));
        break;
      }
      default:
        chi::ThrowNoMethod(method);
    }
  }

  /* 0: leave it to the runtime. 1: throw. 2: a lane that does not exist. 3: the task's lane. 4:
   * recurse. 5: sleep. 6: a lane of a number that there is not. */
  void Monitor(chi::MonitorModeId mode, chi::u32 method, hipc::FullPtr<chi::Task> task,
               chi::RunContext &rctx) override {
    const ValuePtr call(task);
    if (mode == chi::MonitorModeId::kEstLoad && method == Method::kMonitored) {
      rctx.est_ns_ = call->width_;
    }
    if (mode != chi::MonitorModeId::kLocalSchedule) return;
    if (method != Method::kMonitored) {
      if (call->width_ != 0) rctx.lane_ = GetLaneByHash(0, static_cast<chi::u32>(call->width_ - 1));
      return;
    }
    switch (call->value_) {
      case 1:
        throw std::runtime_error("the monitor throws");
      case 2:
        rctx.lane_ = reinterpret_cast<chi::Lane *>(reinterpret_cast<char *>(GetLane(0, 0)) + 8);
        break;
      case 3:
        rctx.lane_ = GetLaneByHash(0, static_cast<chi::u32>(call->width_));
        break;
      case 4: {
        volatile int bottom = 0;
        call->result_ = static_cast<chi::u64>(Recurse(&bottom));
        break;
      }
      case 5:
        chi::Sleep(1000);
        break;
      case 6:
        rctx.lane_ = GetLane(0, 99999);
        break;
      default:
        break;
    }
  }

 private:
  void Tree(ValuePtr call) {
    if (call->value_ == 0) {
      call->result_ = 1;
      return;
    }
    auto *ipc_manager = CHI_IPC_MANAGER;
    std::vector<ValuePtr> subtasks;
    for (chi::u64 i = 0; i < call->width_; ++i) {
      subtasks.push_back(ipc_manager->NewTask<ValueTask>(HSHM_MCTX, pool_id_, Method::kTree,
                                                         call->value_ - 1, call->width_));
    }
    RunAll(subtasks);
    for (const ValuePtr &subtask : subtasks) {
      call->result_ += subtask->GetStatus() == CHI_OK ? subtask->result_ : 0;
      ipc_manager->DelTask(subtask);
    }
  }

  void Spread(ValuePtr call) {
    auto *ipc_manager = CHI_IPC_MANAGER;
    std::vector<ValuePtr> subtasks;
    for (chi::u64 number = 1; number <= call->width_; ++number) {
      const chi::PoolId pool = ipc_manager->FindPool("model " + std::to_string(number));
      subtasks.push_back(
          ipc_manager->NewTask<ValueTask>(HSHM_MCTX, pool, Method::kYield, ~chi::u64{0}));
    }
    RunAll(subtasks);
    for (const ValuePtr &subtask : subtasks) {
      if (subtask->GetStatus() != CHI_OK) call->Fail(subtask->GetStatus(), subtask->GetMessage());
      ipc_manager->DelTask(subtask);
    }
  }

  void Share(ValuePtr call) {
    if (call->value_ == 0) {
      shared_.load()->Wait();
      return;
    }
    auto *ipc_manager = CHI_IPC_MANAGER;
    chi::OwnedTask<ValueTask> sub(
        ipc_manager->SubmitTask<ValueTask>(HSHM_MCTX, pool_id_, Method::kSleep, call->value_));
    shared_ = sub.get().ptr_;
    sub->Wait();
  }

  static void RunAll(const std::vector<ValuePtr> &subtasks) {
    auto *ipc_manager = CHI_IPC_MANAGER;
    ipc_manager->EnqueueBatch(subtasks);
    ipc_manager->Wait(subtasks);
  }

  std::atomic<chi::u64> ticks_{0};
  std::atomic<ValueTask *> shared_{nullptr};
  chi::CoMutex lock_;
};

inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
  table.Add<chi::DestroyTask>(CHI_METHOD_DESTROY, "kDestroy", false, false);
  table.Add<ValueTask>(Method::kSleep, "kSleep", true, false);
  table.Add<ValueTask>(Method::kCompute, "kCompute", true, false);
  table.Add<ValueTask>(Method::kTick, "kTick", true, false);
  table.Add<ValueTask>(Method::kTicks, "kTicks", true, false);
  table.Add<ValueTask>(Method::kTree, "kTree", false, false);
  table.Add<ValueTask>(Method::kAsk, "kAsk", false, false);
  table.Add<ValueTask>(Method::kOverflow, "kOverflow", false, false);
  table.Add<ValueTask>(Method::kOwnEnd, "kOwnEnd", false, false);
  table.Add<ValueTask>(Method::kCall, "kCall", false, false);
  table.Add<ValueTask>(Method::kMonitored, "kMonitored", true, false);
  table.Add<ValueTask>(Method::kFail, "kFail", false, false);
  table.Add<ValueTask>(Method::kYield, "kYield", false, false);
  table.Add<ValueTask>(Method::kLock, "kLock", false, false);
  table.Add<ValueTask>(Method::kLog, "kLog", false, false);
  table.Add<ValueTask>(Method::kSpread, "kSpread", false, false);
  table.Add<ValueTask>(Method::kShare, "kShare", false, false);
  table.Add<ValueTask>(Method::kFailLate, "kFailLate", false, false);
  table.Add<ValueTask>(Method::kLastError, "kLastError", false, false);
}

}  // namespace test::model

CHI_TASK_CC(test::model::Runtime, "test:model")
