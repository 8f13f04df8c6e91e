/* chi::Task, what every task begins with, and the task that every module's container is made with.
 */
#ifndef CHIMAERA_TASK_H_
#define CHIMAERA_TASK_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "chimaera/current.h"
#include "chimaera/hipc_string.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** What every task begins with: the C struct, and nothing more.
 *
 * Derive a task from it, with plain values, hipc::strings and hipc::vectors as members, and make it
 * with IpcManager::NewTask. From Enqueue to its completion it belongs to the runtime; until then
 * only Wait, WaitFor and IsComplete may be called, on any thread. */
struct Task : public chi_task {
  /** Keeps what `new_task` prepared. */
  template <typename AllocT>
  explicit Task(const hipc::CtxAllocator<AllocT> &alloc)
      : chi_task(alloc.header() != nullptr ? *alloc.header() : chi_task{}) {}
  Task(const Task &) = delete;
  Task &operator=(const Task &) = delete;

  /** Waits until the task is complete, whether it succeeded or not. In a method, it suspends the
   * task that waits and not the worker. Throws `CHI_UNAVAILABLE` when the runtime has ended, and
   * `CHI_INVALID` when the task was never submitted, or in a monitor, which cannot wait. Any number
   * of an application's threads may wait for a task, but only one method: the next gets `CHI_BUSY`.
   */
  void Wait() {
    const chi_ipc *ipc = detail::CurrentIpc();
    detail::Check(ipc, ipc->wait(ipc, this, CHI_WAIT_FOREVER));
  }

  /** Like Wait, but at most `timeout_ns` nanoseconds. False when the task goes on. */
  bool WaitFor(u64 timeout_ns) {
    const chi_ipc *ipc = detail::CurrentIpc();
    const chi_status status = ipc->wait(ipc, this, timeout_ns);
    if (status == CHI_TIMEOUT) return false;
    detail::Check(ipc, status);
    return true;
  }

  /** Asks for the task's cancellation, and returns at once. One that has not started never does;
   * one that waits goes on with the wait over; one that runs sees it when it next waits or asks
   * with IsCancelled. The task completes once, with `CHI_CANCELLED` or what its method makes of it:
   * Wait tells. A complete task is left as it is. */
  void Cancel() {
    const chi_ipc *ipc = detail::CurrentIpc();
    detail::Require(CHI_COVERS(ipc, chi_ipc, cancel), "cancelling tasks");
    detail::Check(ipc, ipc->cancel(ipc, this));
  }

  /** Before Enqueue: the method runs every `period_ns` nanoseconds (10,000 at least), until the
   * task is cancelled or deleted, a run fails, its pool is destroyed or its client ends. Each run
   * finds the task as the one before left it. */
  void SetPeriod(u64 period_ns) {
    task_flags_.SetBits(CHI_TASK_PERIODIC);
    period_ns_ = period_ns;
  }

  /** Before Enqueue: the task is of no use later than `deadline_ns` nanoseconds after Enqueue; it
   * then does not start any more, or is cancelled, and ends with `CHI_DEADLINE`. */
  void SetDeadline(u64 deadline_ns) {
    task_flags_.SetBits(CHI_TASK_DEADLINE);
    period_ns_ = deadline_ns;
  }

  /** Before Enqueue: nobody waits for the task, which belongs to the runtime from then on, and is
   * freed at its completion. When it fails, the runtime's log says so. */
  void SetFireAndForget() { task_flags_.SetBits(CHI_TASK_FIRE_AND_FORGET); }

  /** Before Enqueue: the task's latency does not matter; those that wait for an answer go before
   * it. */
  void SetHighLatency() { task_flags_.SetBits(CHI_TASK_HIGH_LATENCY); }

  /** True when the task is complete: then its results may be read. */
  bool IsComplete() const {
    return (__atomic_load_n(&state_, __ATOMIC_ACQUIRE) & CHI_TASK_COMPLETE) != 0;
  }

  /** The outcome of a complete task. */
  chi_status GetStatus() const { return status_; }

  /** Why a complete task failed; empty when it has nothing to say. */
  std::string GetMessage() const {
    const chi_ipc *ipc = detail::CurrentIpc();
    u64 len = 0;
    const char *text = ipc->task_message(ipc, this, &len);
    return text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(len));
  }

  /** Throws the outcome of a complete task unless it is `CHI_OK`. */
  void ThrowIfFailed() const {
    if (status_ != CHI_OK) throw Error(status_, GetMessage());
  }

#ifdef CHIMAERA_RUNTIME
  /** In a method, just before it returns: ends the task with `status` and `message`, as throwing
   * chi::Error does, at a fraction of the cost. For outcomes that are no surprise. */
  void Fail(chi_status status, std::string_view message) {
    status_ = status;
    detail::g_host->set_error(detail::g_host, message.data(), message.size());
  }
#endif
};
static_assert(sizeof(Task) == sizeof(chi_task) && alignof(Task) == alignof(chi_task),
              "a task's own fields begin where C places them");

namespace detail {

/* What holds for every task's struct. */
template <typename T>
struct TaskRules {
  static_assert(std::is_base_of_v<Task, T>, "a task derives from chi::Task");
  static_assert(!std::is_polymorphic_v<T>,
                "a task is read by other processes and languages, which know no virtual functions: "
                "write ordinary ones");
  static_assert(std::is_trivially_destructible_v<T>,
                "a task lies in shared memory, which nobody destroys: use hipc::string, "
                "hipc::vector and plain values in it, not std::string and the like");
  static_assert(alignof(T) <= CHI_TASK_ALIGN, "a task is aligned to 64 bytes, not to more");
  static_assert(sizeof(T) <= CHI_MAX_TASK_SIZE,
                "a task's body is at most CHI_MAX_TASK_SIZE bytes: put bulk into hipc::vectors");
  static constexpr bool kKept = true;
};

}  // namespace detail

/** The task that creates a pool, which the container's `Create` gets too. */
struct CreateTask : public Task {
  /** The module's name, `"repo:module"`. */
  IN hipc::string module_name_;
  /** The pool's name. */
  IN hipc::string pool_name_;
  /** The module's parameters, bytes that only the module understands. */
  IN hipc::vector<char> params_;
  /** The pool. */
  OUT PoolId pool_id_;
  /** 1 when the pool existed before. */
  OUT u32 existed_ = 0;
  /** How many containers the pool has on this node; 0 is 1. */
  IN u32 containers_ = 0;

  /** SHM default constructor */
  explicit CreateTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : Task(alloc), module_name_(alloc), pool_name_(alloc), params_(alloc) {}

  /** Emplace constructor */
  CreateTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const TaskNode &task_node,
             std::string_view module_name, std::string_view pool_name, std::string_view params,
             u32 containers = 1)
      : Task(alloc),
        module_name_(alloc, module_name),
        pool_name_(alloc, pool_name),
        params_(alloc, params.data(), params.size()),
        containers_(containers) {
    task_node_ = task_node;
    pool_ = PoolId::Admin();
    method_ = CHI_ADMIN_CREATE_POOL;
    dom_query_ = DomainQuery::LocalId(0);
  }

  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(module_name_, pool_name_, params_, containers_);
  }
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(pool_id_, existed_);
  }
};
static_assert(sizeof(CreateTask) == sizeof(chi_create_task), "CreateTask is chi_create_task");

/** The task that destroys a pool, which the container's `Destroy` gets too. */
struct DestroyTask : public Task {
  /** The pool. */
  IN PoolId pool_id_;

  /** SHM default constructor */
  explicit DestroyTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : Task(alloc) {}

  /** Emplace constructor */
  DestroyTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const TaskNode &task_node,
              const PoolId &pool_id)
      : Task(alloc), pool_id_(pool_id) {
    task_node_ = task_node;
    pool_ = PoolId::Admin();
    method_ = CHI_ADMIN_DESTROY_POOL;
    dom_query_ = DomainQuery::LocalId(0);
  }

  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(pool_id_);
  }
  template <typename Ar>
  void SerializeOut(Ar &) {}
};
/** The tasks of the other inherited methods have no fields of their own. */
using NodeFailureTask = Task;
using RecoverTask = Task;
using MigrateTask = Task;
using UpgradeTask = Task;

static_assert(sizeof(DestroyTask) == sizeof(chi_destroy_task), "DestroyTask is chi_destroy_task");

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_TASK_H_
