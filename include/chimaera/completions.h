/* Completion queues: one thread waits for the first of many tasks. */
#ifndef CHIMAERA_COMPLETIONS_H_
#define CHIMAERA_COMPLETIONS_H_

#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "chimaera/ipc_manager.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** A completion queue: calls what was given with a task when it is complete. So one thread can
 * serve thousands of tasks, beside sockets: its descriptor is for `poll`, `select` and `epoll`.
 *
 *     chi::Completions queue(1024);
 *     ipc_manager->Enqueue(task);
 *     queue.Add(task, [&](hipc::FullPtr<GetTask> done) {
 *       Use(done->value_);
 *       ipc_manager->DelTask(done);
 *     });
 *     queue.Run();
 *
 * Only in applications: a method waits for its tasks. Any thread, several at a time. */
class Completions {
 public:
  /** For up to `capacity` tasks at a time, from 1 to 2^20. Errors: `CHI_INVALID` for another
   * capacity, or in a method; `CHI_NO_SPACE` when there is no room, or 16 queues in the session;
   * `CHI_VERSION` with a runtime of an older version; `CHI_UNAVAILABLE`, `CHI_FORKED`,
   * `CHI_NOT_INITIALIZED`. */
  explicit Completions(u32 capacity) : table_(CHI_IPC_MANAGER->table()) {
    detail::Require(CHI_COVERS(table_, chi_ipc, completions_next), "completion queues");
    detail::Check(table_, table_->completions_new(table_, capacity, &queue_));
  }
  /** Tasks that are in it stay their owner's; what was given with them is not called. */
  ~Completions() { table_->completions_del(table_, queue_); }
  Completions(const Completions &) = delete;
  Completions &operator=(const Completions &) = delete;

  /** Has Run call `then` with the task when it is complete, whatever its status. The task must have
   * been submitted; it must not be deleted, nor submitted again, before that, or before Remove.
   * Errors: `CHI_INVALID` when it was never submitted, `CHI_BUSY` when it is in a queue already,
   * `CHI_NO_SPACE` when the queue is full. */
  template <typename T, typename F>
  void Add(const hipc::FullPtr<T> &task, F &&then) {
    chi_task *raw = task.ptr_;
    /* Destroyed without the lock: what it owns may use the queue. */
    Then call = [task, then = std::forward<F>(then)]() mutable { then(task); };
    chi_status status = CHI_BUSY;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (then_.find(raw) == then_.end()) {
        const auto place = then_.emplace(raw, Then()).first;
        status = table_->completions_add(table_, queue_, raw, raw);
        if (status == CHI_OK) {
          place->second.swap(call);
        } else {
          then_.erase(place);
        }
      } else {
        throw Error(CHI_BUSY, "the task is in a completion queue already");
      }
    }
    detail::Check(table_, status);
  }

  /** Takes a task out, whether it is complete or not. False if it is not in the queue, or if Run
   * has taken it out already, and calls what was given with it. */
  template <typename T>
  bool Remove(const hipc::FullPtr<T> &task) {
    Then call;
    const std::lock_guard<std::mutex> guard(mutex_);
    if (table_->completions_remove(table_, queue_, task.ptr_) != CHI_OK) return false;
    return Take(task.ptr_, call);
  }

  /** Waits until a task is complete, at most `timeout_ns` nanoseconds, and calls what was given
   * with all that are, on this thread. Returns how many there were. If that are not very many, the
   * descriptor is not readable any more then, until there is another one; if calls submit tasks
   * that end at once, it returns nevertheless, and the descriptor stays readable. Errors: `CHI_IO`,
   * `CHI_FORKED`, and what a call throws. */
  u64 Run(u64 timeout_ns = CHI_WAIT_FOREVER) {
    u64 most = kMore;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      most += then_.size();
    }
    u64 all = 0;
    for (; all < most; timeout_ns = 0) {
      /* One at a time: a call may take others out. */
      chi_completed done;
      u32 count = 0;
      detail::Check(table_, table_->completions_next(table_, queue_, &done, 1, &count, timeout_ns));
      if (count == 0) break;
      ++all;
      Then call;
      {
        const std::lock_guard<std::mutex> guard(mutex_);
        Take(done.task, call);
      }
      if (call) call();
    }
    return all;
  }

  /** Readable when Run has something to do, until there is nothing: for `poll`, `select` and
   * `epoll`. It stays the same when the client connects to another runtime. Do not read, write or
   * close it. */
  int descriptor() const { return table_->completions_descriptor(table_, queue_); }

 private:
  using Then = std::function<void()>;
  /* How many more than there are one Run takes. */
  static constexpr u64 kMore = 64;

  bool Take(chi_task *task, Then &call) {
    const auto found = then_.find(task);
    if (found == then_.end()) return false;
    call.swap(found->second);
    then_.erase(found);
    return true;
  }

  const chi_ipc *table_;
  chi_completions *queue_ = nullptr;
  std::mutex mutex_;
  /* By task: each is in the queue once. */
  std::unordered_map<chi_task *, Then> then_;
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_COMPLETIONS_H_
