/* A module for the tests of locks. */
#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "locks_tasks.h"

namespace test::locks {

/** The status of what must not happen under a lock. */
constexpr chi_status kBroken = 1050;

chi::CoMutex &Common() {
  static chi::CoMutex mutex;
  return mutex;
}

class Runtime : public chi::ContainerRuntime {
 public:
  void Run(chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) override {
    const hipc::FullPtr<LockTask> own(task);
    switch (method) {
      case CHI_METHOD_CREATE:
        return CreateLocalQueue(0, kLanes, chi::IntFlag());
      case CHI_METHOD_DESTROY:
        return With(kMutex, [] {});
      case Method::kCount:
        return Count(own);
      case Method::kNest:
        return Nest(own, rctx);
      case Method::kHold:
        return Hold(own);
      case Method::kLetGo:
        let_go_ = own->number_;
        return;
      case Method::kNotes: {
        const std::lock_guard<std::mutex> guard(notes_mutex_);
        own->text_ = notes_;
        return;
      }
      case Method::kTimed:
        return Timed(own);
      case Method::kTry:
        return Try(own);
      case Method::kFree:
        own_.reset();
        return;
      case Method::kCross:
        return With(own->lock_, [&] {
          chi::Sleep(own->number_);
          With(own->how_, [] {});
        });
      case Method::kEverywhere:
        return With(own->lock_, [&] {
          chi::Sleep(own->number_);
          chi::OwnedTask<LockTask> all(CHI_IPC_MANAGER->SubmitTask<LockTask>(
              HSHM_MCTX, pool_id_, chi::DomainQuery::GlobalBcast(), Method::kCross, own->how_, 1,
              0));
          all->Wait();
          all->ThrowIfFailed();
        });
      default:
        chi::ThrowNoMethod(method);
    }
  }

  void Monitor(chi::MonitorModeId, chi::u32, hipc::FullPtr<chi::Task> task,
               chi::RunContext &rctx) override {
    rctx.lane_ = GetLaneByHash(0, hipc::FullPtr<LockTask>(task)->lane_);
  }

 private:
  /* Calls `f` with the lock. */
  template <typename F>
  void With(chi::u32 lock, F f) {
    switch (lock) {
      case kMutex: {
        const chi::ScopedCoMutex guard(mutex_);
        return f();
      }
      case kRead: {
        const chi::ScopedCoRwReadLock guard(lock_);
        return f();
      }
      case kWrite: {
        const chi::ScopedCoRwWriteLock guard(lock_);
        return f();
      }
      case kCommon: {
        const std::unique_lock<chi::CoMutex> guard(Common());
        return f();
      }
      default:
        return f();
    }
  }

  /* The same without a guard. */
  template <typename F>
  void WithBare(chi::u32 lock, F f) {
    if (lock == kMutex) mutex_.Lock();
    if (lock == kRead) lock_.ReadLock();
    if (lock == kWrite) lock_.WriteLock();
    if (lock == kCommon) Common().Lock();
    if (lock == kOwn) own_->Lock();
    f();
  }

  void Add() {
    const int number = first_;
    chi::Yield();
    first_ = number + 1;
    chi::Yield();
    second_ = number + 1;
  }

  void Look() const {
    const int number = first_;
    chi::Yield();
    if (second_ != number) {
      throw chi::Error(kBroken, "a writer was there together with a reader");
    }
  }

  void Count(hipc::FullPtr<LockTask> task) {
    for (chi::u64 i = 0; i < task->number_; ++i) {
      With(task->lock_, [&] {
        if (task->lock_ == kRead) {
          Look();
        } else {
          Add();
        }
        task->result_ = static_cast<chi::u64>(second_);
      });
    }
  }

  void Nest(hipc::FullPtr<LockTask> task, chi::RunContext &rctx) {
    With(task->lock_, [&] {
      std::string text = std::to_string(rctx.worker_id_);
      if (task->number_ > 0) {
        chi::OwnedTask<LockTask> child(CHI_IPC_MANAGER->SubmitTask<LockTask>(
            HSHM_MCTX, pool_id_, chi::DomainQuery::Dynamic(), Method::kNest, task->lock_,
            task->lane_ + 1, task->number_ - 1));
        child->Wait();
        child->ThrowIfFailed();
        text += "," + child->text_.str();
      }
      Add();
      task->text_ = text;
    });
  }

  void Stay(hipc::FullPtr<LockTask> task) {
    {
      const std::lock_guard<std::mutex> guard(notes_mutex_);
      notes_ += (notes_.empty() ? "" : ",") + std::to_string(task->number_);
    }
    while (let_go_ < task->number_) chi::Yield();
  }

  void Hold(hipc::FullPtr<LockTask> task) {
    if (task->how_ == kGuard) return With(task->lock_, [&] { Stay(task); });
    WithBare(task->lock_, [&] { Stay(task); });
    if (task->how_ == kThrow) throw std::runtime_error("told to throw");
    if (task->how_ == kTwice) {
      mutex_.Unlock();
      mutex_.Unlock();
    }
  }

  void Timed(hipc::FullPtr<LockTask> task) {
    if (!mutex_.TryLockFor(task->number_)) throw chi::Error(CHI_TIMEOUT, "");
    mutex_.Unlock();
  }

  void Try(hipc::FullPtr<LockTask> task) {
    if (task->lock_ == kMutex) {
      task->result_ = std::unique_lock<chi::CoMutex>(mutex_, std::try_to_lock).owns_lock();
    } else if (task->lock_ == kRead) {
      task->result_ = std::shared_lock<chi::CoRwLock>(lock_, std::try_to_lock).owns_lock();
    } else if (task->lock_ == kWrite) {
      task->result_ = std::unique_lock<chi::CoRwLock>(lock_, std::try_to_lock).owns_lock();
    } else {
      task->result_ = std::unique_lock<chi::CoMutex>(Common(), std::try_to_lock).owns_lock();
    }
  }

  /* Plain: only the locks keep the accesses apart. */
  int first_ = 0;
  int second_ = 0;
  chi::CoMutex mutex_;
  chi::CoRwLock lock_;
  std::unique_ptr<chi::CoMutex> own_ = std::make_unique<chi::CoMutex>();
  std::atomic<chi::u64> let_go_{0};
  std::mutex notes_mutex_;
  std::string notes_;
};

inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
  table.Add<chi::DestroyTask>(CHI_METHOD_DESTROY, "kDestroy", false, false);
  table.Add<LockTask>(Method::kCount, "kCount", true, false);
  table.Add<LockTask>(Method::kNest, "kNest", true, false);
  table.Add<LockTask>(Method::kHold, "kHold", true, false);
  table.Add<LockTask>(Method::kLetGo, "kLetGo", false, false);
  table.Add<LockTask>(Method::kNotes, "kNotes", false, false);
  table.Add<LockTask>(Method::kTimed, "kTimed", false, false);
  table.Add<LockTask>(Method::kTry, "kTry", false, false);
  table.Add<LockTask>(Method::kFree, "kFree", false, false);
  table.Add<LockTask>(Method::kCross, "kCross", true, false);
  table.Add<LockTask>(Method::kEverywhere, "kEverywhere", true, false);
}

}  // namespace test::locks

CHI_TASK_CC(test::locks::Runtime, "test:locks")
