/* chi::IpcManager: makes and sends tasks, in applications and in modules. */
#ifndef CHIMAERA_IPC_MANAGER_H_
#define CHIMAERA_IPC_MANAGER_H_

#include <atomic>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "chimaera/current.h"
#include "chimaera/fingerprint.h"
#include "chimaera/hipc.h"
#include "chimaera/task.h"
#include "chimaera/types.h"

/** The IPC manager of this thread: `auto *ipc_manager = CHI_IPC_MANAGER;`. In an application, all
 * threads have the same one; in a module, do not pass it to another thread. Throws chi::Error on a
 * thread of the runtime that is not running a method. */
#define CHI_IPC_MANAGER (::chi::IpcManager::Get())

namespace chi {
inline namespace v1 CHI_LAYER {

/** The functions of chi_ipc, for C++: those that fail throw chi::Error. Any thread.
 *
 *     auto *ipc_manager = CHI_IPC_MANAGER;
 *     auto task = ipc_manager->NewTask<CompressTask>(HSHM_MCTX, pool_id_, dom_query, bytes);
 *     ipc_manager->Enqueue(task);
 *     task->Wait();
 *     ipc_manager->DelTask(task);
 */
class IpcManager {
 public:
  /** See CHI_IPC_MANAGER. */
  static const IpcManager *Get() {
    const chi_ipc *table = detail::CurrentIpc();
    const IpcManager *manager = s_all.load(std::memory_order_acquire);
    while (manager != nullptr && manager->table_ != table) manager = manager->next_;
    return manager != nullptr ? manager : Add(table);
  }
  IpcManager(const IpcManager &) = delete;
  IpcManager &operator=(const IpcManager &) = delete;

  /** The C table. */
  const chi_ipc *table() const { return table_; }

  /** Makes a task. `args` are the arguments of a constructor of `T` after the allocator. The task
   * node may be omitted: the task then gets a new one. The caller owns the task until DelTask.
   * Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`, `CHI_FORKED`,
   * `CHI_NOT_INITIALIZED`. */
  template <typename T, typename... Args>
  hipc::FullPtr<T> NewTask(const hipc::MemContext &, Args &&...args) const {
    static_assert(detail::TaskRules<T>::kKept);
    using Alloc = hipc::CtxAllocator<CHI_ALLOC_T>;
    chi_task *raw = nullptr;
    detail::Check(table_, table_->new_task(table_, sizeof(T), &raw));
    /* Copied, because the compiler may drop earlier stores to memory in which an object is
     * constructed. */
    const chi_task header = *raw;
    const Alloc allocator(raw, sizeof(T), header);
    T *task = nullptr;
    try {
      if constexpr (std::is_constructible_v<T, const Alloc &, Args...>) {
        task = ::new (raw) T(allocator, std::forward<Args>(args)...);
      } else {
        static_assert(std::is_constructible_v<T, const Alloc &, const TaskNode &, Args...>,
                      "no constructor of this task takes (allocator, arguments...) or (allocator, "
                      "task node, arguments...)");
        const TaskNode node = header.task_node_;
        task = ::new (raw) T(allocator, node, std::forward<Args>(args)...);
      }
    } catch (...) {
      table_->del_task(table_, raw);
      throw;
    }
    task->status_ = detail::LayoutOf<T>();
    return hipc::FullPtr<T>(task);
  }

  /** Deletes a task and every block allocated for it. A task in flight is deleted when it
   * completes.
   */
  template <typename T>
  void DelTask(const hipc::FullPtr<T> &task) const {
    table_->del_task(table_, task.ptr_);
  }
  template <typename T>
  void DelTask(const hipc::MemContext &, const hipc::FullPtr<T> &task) const {
    table_->del_task(table_, task.ptr_);
  }

  /** Submits a task. When the ring is full, waits for space. After an error the task has not been
   * submitted. Errors: `CHI_RING_FULL` (after 10 s), `CHI_BUSY`, `CHI_UNAVAILABLE`, `CHI_FORKED`.
   * */
  template <typename T>
  void Enqueue(const hipc::FullPtr<T> &task) const {
    detail::Check(table_, table_->enqueue(table_, task.ptr_));
  }

  /** Like Enqueue, but returns false at once when the ring is full. */
  template <typename T>
  bool TryEnqueue(const hipc::FullPtr<T> &task) const {
    const chi_status status = table_->try_enqueue(table_, task.ptr_);
    if (status == CHI_RING_FULL) return false;
    detail::Check(table_, status);
    return true;
  }

  /** Makes a task and submits it; deletes it if submitting fails. */
  template <typename T, typename... Args>
  hipc::FullPtr<T> SubmitTask(const hipc::MemContext &mctx, Args &&...args) const {
    hipc::FullPtr<T> task = NewTask<T>(mctx, std::forward<Args>(args)...);
    const chi_status status = table_->enqueue(table_, task.ptr_);
    if (status != CHI_OK) {
      const Error error(status, table_->last_error(table_));
      table_->del_task(table_, task.ptr_);
      throw error;
    }
    return task;
  }

  /** Waits until the task is complete. See Task::Wait. */
  template <typename T>
  void Wait(const hipc::FullPtr<T> &task) const {
    detail::Check(table_, table_->wait(table_, task.ptr_, CHI_WAIT_FOREVER));
  }

  /** Submits tasks in order, and wakes the runtime only once. Throws as Enqueue does; the tasks
   * that were not submitted are then still the caller's. `*submitted`, when not null, is set to the
   * number of tasks that were submitted. */
  template <typename T>
  void EnqueueBatch(const std::vector<hipc::FullPtr<T>> &tasks, u64 *submitted = nullptr) const {
    detail::Require(CHI_COVERS(table_, chi_ipc, enqueue_batch), "batches of tasks");
    const std::vector<chi_task *> raw = Raw(tasks);
    detail::Check(table_, table_->enqueue_batch(table_, raw.data(), raw.size(), submitted));
  }

  /** Waits until all of these tasks are complete. See Task::Wait. */
  template <typename T>
  void Wait(const std::vector<hipc::FullPtr<T>> &tasks) const {
    detail::Require(CHI_COVERS(table_, chi_ipc, wait_all), "waiting for several tasks");
    const std::vector<chi_task *> raw = Raw(tasks);
    detail::Check(table_, table_->wait_all(table_, raw.data(), raw.size(), CHI_WAIT_FOREVER));
  }

  /** Waits until one of these tasks is complete, at most `timeout_ns` nanoseconds, and returns its
   * index; nothing if none is. It looks at all of them each time: for many tasks, chi::Completions
   * is cheaper. In a method, it looks at least once a millisecond. Errors: those of Task::Wait;
   * `CHI_INVALID` without tasks. */
  template <typename T>
  std::optional<u64> WaitAny(const std::vector<hipc::FullPtr<T>> &tasks,
                             u64 timeout_ns = CHI_WAIT_FOREVER) const {
    detail::Require(CHI_COVERS(table_, chi_ipc, wait_any), "waiting for one of several tasks");
    const std::vector<chi_task *> raw = Raw(tasks);
    u64 index = 0;
    const chi_status status = table_->wait_any(table_, raw.data(), raw.size(), timeout_ns, &index);
    if (status == CHI_TIMEOUT) return std::nullopt;
    detail::Check(table_, status);
    return index;
  }

  /** Requests a task's cancellation. See Task::Cancel. */
  template <typename T>
  void Cancel(const hipc::FullPtr<T> &task) const {
    task->Cancel();
  }

  /** A new task node: a root in an application, a child of the running task in a method. */
  TaskNode MakeTaskNode() const {
    TaskNode node{};
    table_->make_task_node(table_, &node);
    return node;
  }

  /** Allocates a buffer of `bytes` bytes that can be attached to tasks without a copy. The caller
   * owns it until FreeBuffer. Errors: `CHI_NO_SPACE`, `CHI_TOO_LARGE`, `CHI_UNAVAILABLE`,
   * `CHI_FORKED`. */
  chi_buffer AllocBuffer(u64 bytes) const {
    chi_buffer buffer{};
    detail::Check(table_, table_->alloc(table_, nullptr, bytes, &buffer));
    return buffer;
  }

  /** Frees a buffer from AllocBuffer. No task in flight may refer to it. */
  void FreeBuffer(const chi_buffer &buffer) const { table_->free(table_, &buffer); }

  /** Creates the pool `name` of `module` (`"repo:module"`) with `containers` containers on this
   * node (1 to CHI_MAX_CONTAINERS), or finds it when it exists with the same module, `params` and
   * number of containers. Waits until it is ready. Errors: `CHI_NO_MODULE`, `CHI_EXISTS`,
   * `CHI_INVALID`, the status with which the construction of a container failed, and `CHI_VERSION`
   * for several containers with a runtime of ABI 1.0. */
  PoolId CreatePool(const std::string &module, const std::string &name,
                    std::string_view params = {}, u32 containers = 1) const {
    PoolId id;
    if (containers == 1) {
      detail::Check(table_, table_->create_pool(table_, detail::Name(module), detail::Name(name),
                                                params.data(), params.size(), &id));
      return id;
    }
    if (!CHI_COVERS(table_, chi_ipc, create_pool_with)) {
      throw Error(CHI_VERSION,
                  "pools with several containers need a runtime with ABI 1.1 or later");
    }
    const chi_pool_options options{sizeof(chi_pool_options), containers};
    detail::Check(table_, table_->create_pool_with(table_, detail::Name(module), detail::Name(name),
                                                   params.data(), params.size(), &options, &id));
    return id;
  }

  /** Finds a pool by its name. Error: `CHI_NO_POOL`. */
  PoolId FindPool(const std::string &name) const {
    PoolId id;
    detail::Check(table_, table_->find_pool(table_, detail::Name(name), &id));
    return id;
  }

  /** Finds a pool by its name, if it is of `module`: a pool of another module would misread the
   * tasks of a client. Errors: `CHI_NO_POOL`, `CHI_INVALID` for a pool of another module,
   * `CHI_NO_METHOD` from a runtime of ABI 1.0, and those of NewTask and Wait. */
  PoolId FindPoolOf(const std::string &module, const std::string &name) const;

  /** Destroys a pool. Errors: `CHI_NO_POOL`, `CHI_DENIED`. */
  void DestroyPool(const PoolId &id) const {
    detail::Check(table_, table_->destroy_pool(table_, &id));
  }

 private:
  template <typename T>
  static std::vector<chi_task *> Raw(const std::vector<hipc::FullPtr<T>> &tasks) {
    std::vector<chi_task *> raw;
    raw.reserve(tasks.size());
    for (const hipc::FullPtr<T> &task : tasks) raw.push_back(task.ptr_);
    return raw;
  }

  IpcManager(const chi_ipc *table, const IpcManager *next) : table_(table), next_(next) {}

  /* Two threads that see a table for the first time may both add it; either entry works. */
  static const IpcManager *Add(const chi_ipc *table) {
    auto *made = new IpcManager(table, s_all.load(std::memory_order_relaxed));
    while (!s_all.compare_exchange_weak(made->next_, made, std::memory_order_release,
                                        std::memory_order_relaxed)) {
    }
    return made;
  }

  /* A list with one manager per table; in practice there is a single one. Like the tables, the
   * managers live as long as the process, because a thread may keep the pointer. */
  CHI_HIDDEN static inline std::atomic<const IpcManager *> s_all{nullptr};

  const chi_ipc *const table_;
  const IpcManager *next_;
};

/** Sleeps for `duration_ns` nanoseconds. In a method it suspends the task and not the worker, and
 * throws `CHI_CANCELLED` as soon as the task is cancelled. Any thread; not in a monitor. */
inline void Sleep(u64 duration_ns) {
  const chi_ipc *ipc = detail::CurrentIpc();
  detail::Require(CHI_COVERS(ipc, chi_ipc, sleep), "sleeping");
  detail::Check(ipc, ipc->sleep(ipc, duration_ns));
}

/** Yields: in a method, to other tasks of its worker; elsewhere, to other threads. In a method it
 * throws `CHI_CANCELLED` when the task is cancelled, its client has gone, its pool is being
 * destroyed or the runtime is stopping: the method should then return soon. Any thread; not in a
 * monitor. */
inline void Yield() {
  const chi_ipc *ipc = detail::CurrentIpc();
  if (CHI_COVERS(ipc, chi_ipc, yield_now)) {
    detail::Check(ipc, ipc->yield_now(ipc));
  } else if (detail::g_host != nullptr && detail::g_host->yield_now(detail::g_host) != CHI_OK) {
    throw Error(CHI_CANCELLED, "the runtime is stopping, or the client has gone");
  }
}

/** A new task node. See IpcManager::MakeTaskNode. */
inline TaskNode MakeTaskNode() { return CHI_IPC_MANAGER->MakeTaskNode(); }

/** Owns a task and deletes it at the end of the scope. Movable, not copyable.
 *
 *     chi::OwnedTask<GetTask> task(AsyncGet(mctx, dom_query, key));
 *     task->Wait();
 *     task->ThrowIfFailed();
 *     return task->value_.CopyOut();
 */
template <typename T>
class OwnedTask {
 public:
  /** Takes ownership of `task`. */
  explicit OwnedTask(const hipc::FullPtr<T> &task) : task_(task) {}
  OwnedTask(OwnedTask &&other) noexcept : task_(other.release()) {}
  OwnedTask &operator=(OwnedTask &&other) noexcept {
    std::swap(task_, other.task_);
    return *this;
  }
  ~OwnedTask() {
    if (task_.IsNull()) return;
    const chi_ipc *ipc = detail::FindIpc();
    if (ipc != nullptr) ipc->del_task(ipc, task_.ptr_);
  }

  T *operator->() const { return task_.ptr_; }
  T &operator*() const { return *task_.ptr_; }
  /** The task; ownership stays here. */
  const hipc::FullPtr<T> &get() const { return task_; }
  /** Gives up ownership: the caller must delete the task. */
  hipc::FullPtr<T> release() noexcept { return std::exchange(task_, hipc::FullPtr<T>()); }

 private:
  hipc::FullPtr<T> task_;
};

inline PoolId IpcManager::FindPoolOf(const std::string &module, const std::string &name) const {
  for (const auto *text : {&module, &name}) detail::Name(*text);
  OwnedTask<CreateTask> task(NewTask<CreateTask>(HSHM_MCTX, module, name, std::string_view()));
  task->method_ = CHI_ADMIN_FIND_POOL_OF;
  Enqueue(task.get());
  Wait(task.get());
  task->ThrowIfFailed();
  return task->pool_id_;
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_IPC_MANAGER_H_
