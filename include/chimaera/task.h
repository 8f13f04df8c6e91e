/* chi::Task, the header of every task, and the tasks that create and destroy pools. */
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

/** The header of every task: the C struct, and nothing more.
 *
 * Derive a task from it, with plain values, hipc::strings and hipc::vectors as members, and make it
 * with IpcManager::NewTask. From Enqueue to its completion the task belongs to the runtime:
 * meanwhile only Wait, WaitFor, Cancel and IsComplete may be called, on any thread. */
struct Task : public chi_task {
  /** Keeps the header that `new_task` prepared. */
  template <typename AllocT>
  explicit Task(const hipc::CtxAllocator<AllocT> &alloc)
      : chi_task(alloc.header() != nullptr ? *alloc.header() : chi_task{}) {}
  Task(const Task &) = delete;
  Task &operator=(const Task &) = delete;

  /** Waits until the task is complete, whether it succeeded or not. In a method, this suspends the
   * waiting task and not the worker. Throws `CHI_UNAVAILABLE` when the runtime has stopped, and
   * `CHI_INVALID` when the task was never submitted, or in a monitor, which cannot wait. Any number
   * of an application's threads may wait for a task, but only one method: others get `CHI_BUSY`. */
  void Wait() {
    const chi_ipc *ipc = detail::CurrentIpc();
    detail::Check(ipc, ipc->wait(ipc, this, CHI_WAIT_FOREVER));
  }

  /** Like Wait, but for at most `timeout_ns` nanoseconds. False when the task is not complete yet.
   * */
  bool WaitFor(u64 timeout_ns) {
    const chi_ipc *ipc = detail::CurrentIpc();
    const chi_status status = ipc->wait(ipc, this, timeout_ns);
    if (status == CHI_TIMEOUT) return false;
    detail::Check(ipc, status);
    return true;
  }

  /** Requests the task's cancellation, and returns at once. A task that has not started never runs.
   * If the task is waiting, its wait ends; if it is running, it notices at its next wait or when it
   * calls IsCancelled. The task completes exactly once, with `CHI_CANCELLED` or the status that its
   * method ends with; Wait reports when. A complete task does not change. */
  void Cancel() {
    const chi_ipc *ipc = detail::CurrentIpc();
    detail::Require(CHI_COVERS(ipc, chi_ipc, cancel), "cancelling tasks");
    detail::Check(ipc, ipc->cancel(ipc, this));
  }

  /** Call before Enqueue. The method runs every `period_ns` nanoseconds (at least 10,000), until
   * the task is cancelled or deleted, a run fails, its pool is destroyed or its client exits. Each
   * run sees the task as the previous one left it. */
  void SetPeriod(u64 period_ns) {
    task_flags_.SetBits(CHI_TASK_PERIODIC);
    period_ns_ = period_ns;
  }

  /** Call before Enqueue. Sets a deadline, `deadline_ns` nanoseconds after Enqueue. When it passes,
   * the task is not started, or is cancelled if it has started, and ends with `CHI_DEADLINE`. */
  void SetDeadline(u64 deadline_ns) {
    task_flags_.SetBits(CHI_TASK_DEADLINE);
    period_ns_ = deadline_ns;
  }

  /** Call before Enqueue. The caller will not wait for the task: from Enqueue on it belongs to the
   * runtime, which frees it at completion and logs a failure. */
  void SetFireAndForget() { task_flags_.SetBits(CHI_TASK_FIRE_AND_FORGET); }

  /** Call before Enqueue. The task's latency does not matter: latency-sensitive tasks run first. */
  void SetHighLatency() { task_flags_.SetBits(CHI_TASK_HIGH_LATENCY); }

  /** Call before Enqueue. The results are only read, so that the runtime may leave them in memory
   * that a module has published, instead of copying them, until the task is deleted: see
   * chi::Lease. Writing to such a result is a fault. It is copied all the same when it is small, by
   * older runtimes, and until the segment that it is in has been mapped, which happens after the
   * first such result. */
  void SetTakesLeases() { task_flags_.SetBits(CHI_TASK_TAKES_LEASES); }

  /** True when the task is complete and its results may be read. */
  bool IsComplete() const {
    return (__atomic_load_n(&state_, __ATOMIC_ACQUIRE) & CHI_TASK_COMPLETE) != 0;
  }

  /** The outcome of a complete task. */
  chi_status GetStatus() const { return status_; }

  /** The error message of a complete task; empty when there is none. */
  std::string GetMessage() const {
    const chi_ipc *ipc = detail::CurrentIpc();
    u64 len = 0;
    const char *text = ipc->task_message(ipc, this, &len);
    return text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(len));
  }

  /** Throws the status and message of a complete task, unless it succeeded. */
  void ThrowIfFailed() const {
    if (status_ != CHI_OK) throw Error(status_, GetMessage());
  }

#ifdef CHIMAERA_RUNTIME
  /** In a method, directly before it returns: ends the task with `status` and `message`. Does the
   * same as throwing chi::Error, at a fraction of the cost; for failures that are expected. */
  void Fail(chi_status status, std::string_view message) {
    status_ = status;
    detail::g_host->set_error(detail::g_host, message.data(), message.size());
  }
#endif
};
static_assert(sizeof(Task) == sizeof(chi_task) && alignof(Task) == alignof(chi_task),
              "a task's own fields must begin at the same offset as in C");

namespace detail {

/* Checks the rules for a task's struct. */
template <typename T>
struct TaskRules {
  static_assert(std::is_base_of_v<Task, T>, "a task must derive from chi::Task");
  static_assert(
      !std::is_polymorphic_v<T>,
      "a task is read by other processes and languages, which cannot call virtual functions: "
      "write ordinary ones");
  static_assert(std::is_trivially_destructible_v<T>,
                "a task is in shared memory, where no destructor runs: use hipc::string, "
                "hipc::vector and plain values in it, not std::string and the like");
  static_assert(alignof(T) <= CHI_TASK_ALIGN, "a task may be aligned to at most 64 bytes");
  static_assert(sizeof(T) <= CHI_MAX_TASK_SIZE,
                "a task's body is at most CHI_MAX_TASK_SIZE bytes: put bulk into hipc::vectors");
  static constexpr bool kKept = true;
};

}  // namespace detail

/** The task that creates a pool. It is also passed to the `Create` of each container. */
struct CreateTask : public Task {
  /** The module's name, `"repo:module"`. */
  IN hipc::string module_name_;
  /** The pool's name. */
  IN hipc::string pool_name_;
  /** The module's parameters, opaque to the runtime. */
  IN hipc::vector<char> params_;
  /** The pool. */
  OUT PoolId pool_id_;
  /** 1 when the pool already existed, else 0. */
  OUT u32 existed_ = 0;
  /** The number of containers on this node; 0 means 1. */
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

/** The task that destroys a pool. It is also passed to the `Destroy` of each container. */
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
static_assert(sizeof(DestroyTask) == sizeof(chi_destroy_task), "DestroyTask is chi_destroy_task");

/** Why a method of a container's life is called. Newer runtimes may have more reasons. */
enum class LifeReason : u32 {
  /** The container's pool is migrated. */
  kMigrated = CHI_REASON_MIGRATED,
  /** The module has a new version. */
  kUpgraded = CHI_REASON_UPGRADED,
  /** A method of the container crashed, and the pool is reset. */
  kCrashed = CHI_REASON_CRASHED,
  /** The runtime was restarted, and another process has made the container. */
  kRestarted = CHI_REASON_RESTARTED,
  /** The runtime ended without saving the container. */
  kKilled = CHI_REASON_KILLED,
  /** A pool that the container's pool depends on was lost. */
  kLost = CHI_REASON_LOST,
  /** A pool that was lost takes tasks again. */
  kRecovered = CHI_REASON_RECOVERED,
};

/** The task of `NodeFailure`, `Recover`, `Migrate` and `Upgrade`, which only the runtime itself
 * sends. Before `Recover`, `Migrate` and `Upgrade`, the container has been created by `Create`, and
 * if its predecessor saved its state, `State` has loaded it. */
struct LifeTask : public Task {
  /** SHM default constructor */
  explicit LifeTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : Task(alloc) {}

  /** Why the method is called. */
  LifeReason reason() const { return static_cast<LifeReason>(reason_); }
  /** The reason in words. Valid during the call. */
  std::string_view message() const { return TextOf(message_text_); }
  /** The version of the module that saved the state; empty if no state was loaded. Valid during the
   * call. */
  std::string_view old_version() const { return TextOf(old_version_); }
  /** The directory for the container's own files, which exists; empty if the pool has none. Valid
   * during the call. */
  std::string_view directory() const { return TextOf(directory_); }
  /** In `NodeFailure`, the pool that was lost or recovered. */
  PoolId lost_pool() const { return PoolId(lost_pool_); }
  /** The name of that pool; empty in other methods. Valid during the call. */
  std::string_view lost_name() const { return TextOf(lost_name_); }
  /** In `NodeFailure`, the number of the node that was lost, or is back, with containers of that
   * pool. 0 if it was lost on this one, as a whole. */
  u64 lost_node() const { return lost_node_; }
  /** The numbers of those containers, in order; none if it was lost as a whole. */
  std::vector<u32> lost_containers() const {
    return {lost_containers_, lost_containers_ + lost_count_};
  }

 private:
  static std::string_view TextOf(const char *text) {
    return text == nullptr ? std::string_view() : std::string_view(text);
  }

  u32 reason_ = 0;
  [[maybe_unused]] u32 reserved_ = 0;
  const char *message_text_ = nullptr;
  const char *old_version_ = nullptr;
  const char *directory_ = nullptr;
  chi_pool_id lost_pool_{};
  const char *lost_name_ = nullptr;
  u64 lost_node_ = 0;
  const u32 *lost_containers_ = nullptr;
  u32 lost_count_ = 0;
  [[maybe_unused]] u32 reserved2_ = 0;
};
static_assert(sizeof(LifeTask) == sizeof(chi_life_task), "LifeTask is chi_life_task");

/** The task of `NodeFailure`. */
using NodeFailureTask = LifeTask;
/** The task of `Recover`. */
using RecoverTask = LifeTask;
/** The task of `Migrate`. */
using MigrateTask = LifeTask;
/** The task of `Upgrade`. */
using UpgradeTask = LifeTask;

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_TASK_H_
