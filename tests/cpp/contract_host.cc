#include "contract_host.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>

namespace contract {

std::vector<int> g_lanes;
chi_lane *g_chosen_lane = nullptr;
LoadedModule *g_module = nullptr;

namespace {

std::string g_host_error;
std::string g_ipc_error;

/* The state of each task, by its address. A method's private copy allocates for the original. */
struct Owned {
  std::vector<void *> blocks;
  std::string message;
};
std::map<const chi_task *, Owned> g_tasks;
chi_task *g_running_copy = nullptr;
chi_task *g_running_original = nullptr;

void *Allocate(std::size_t size) { return std::aligned_alloc(64, (size + 63) / 64 * 64); }

chi_status Fail(chi_status status, const char *why) {
  g_ipc_error = why;
  return status;
}

chi_status NewTask(const chi_ipc *, uint32_t size, chi_task **task) {
  static uint64_t next_root = 1;
  *task = static_cast<chi_task *>(Allocate(size));
  std::memset(static_cast<void *>(*task), 0, size);
  (*task)->task_node_.root_ = next_root++;
  g_tasks[*task];
  return CHI_OK;
}

void DelTask(const chi_ipc *, chi_task *task) {
  if (task == nullptr) return;
  for (void *block : g_tasks.at(task).blocks) std::free(block);
  g_tasks.erase(task);
  std::free(task);
}

/* Runs the method on a private copy, as a runtime does. */
chi_status Enqueue(const chi_ipc *, chi_task *task) {
  const chi_method *method = FindMethod(g_module->descriptor, task->method_);
  task->state_ = CHI_TASK_COMPLETE;
  if (method == nullptr || (method->flags_ & CHI_METHOD_SUPPORTED) == 0) {
    g_tasks.at(task).message = method == nullptr ? "the method does not exist" : method->name_;
    task->status_ = method == nullptr ? CHI_NO_METHOD : CHI_UNSUPPORTED;
    return CHI_OK;
  }
  auto *copy = static_cast<chi_task *>(Allocate(method->task_size_));
  std::memcpy(static_cast<void *>(copy), task, method->task_size_);
  g_running_copy = copy;
  g_running_original = task;
  g_host_error.clear();
  chi_run_context rctx{};
  rctx.size = sizeof(rctx);
  const chi_container_ops *ops = g_module->container->ops;
  g_chosen_lane = nullptr;
  chi_status status = CHI_OK;
  if ((method->flags_ & CHI_METHOD_MONITORED) != 0) {
    status =
        ops->monitor(g_module->container, CHI_MONITOR_LOCAL_SCHEDULE, task->method_, copy, &rctx);
    g_chosen_lane = rctx.lane_;
  }
  if (status == CHI_OK) status = ops->run(g_module->container, task->method_, copy, &rctx);
  copy->status_ = status;
  std::memcpy(static_cast<void *>(task), copy, method->task_size_);
  if (ops->del != nullptr) ops->del(g_module->container, task->method_, copy);
  g_tasks.at(task).message = status == CHI_OK ? "" : g_host_error;
  g_running_copy = g_running_original = nullptr;
  std::free(copy);
  return CHI_OK;
}

chi_status Wait(const chi_ipc *, chi_task *task, uint64_t) {
  return task->state_ == CHI_TASK_COMPLETE ? CHI_OK : Fail(CHI_INVALID, "never submitted");
}

const char *TaskMessage(const chi_ipc *, const chi_task *task, uint64_t *len) {
  const std::string &message = g_tasks.at(task).message;
  *len = message.size();
  return message.data();
}

chi_status Alloc(const chi_ipc *, chi_task *owner, uint64_t size, chi_buffer *buffer) {
  if (owner != nullptr && owner == g_running_copy) owner = g_running_original;
  if (owner != nullptr && g_tasks.count(owner) == 0) {
    return Fail(CHI_INVALID, "the owner is not a task");
  }
  if (size > (1u << 30)) return Fail(CHI_TOO_LARGE, "larger than any segment");
  *buffer = chi_buffer{};
  if (size == 0) return CHI_OK;
  buffer->data_ = Allocate(size);
  buffer->shm_ = reinterpret_cast<chi_shm_ptr>(buffer->data_);
  buffer->size_ = size;
  if (owner != nullptr) g_tasks.at(owner).blocks.push_back(buffer->data_);
  return CHI_OK;
}

void Free(const chi_ipc *, const chi_buffer *buffer) { std::free(buffer->data_); }
void *Resolve(const chi_ipc *, chi_shm_ptr shm) { return reinterpret_cast<void *>(shm); }
void MakeTaskNode(const chi_ipc *, chi_task_node *node) { *node = chi_task_node{7, 0, 0}; }

chi_status CreatePool(const chi_ipc *, const char *, const char *, const void *, uint64_t,
                      chi_pool_id *) {
  return Fail(CHI_UNSUPPORTED, "only one pool is supported");
}
chi_status FindPool(const chi_ipc *, const char *, chi_pool_id *) {
  return Fail(CHI_NO_POOL, "the pool does not exist");
}
chi_status DestroyPool(const chi_ipc *, const chi_pool_id *) {
  return Fail(CHI_DENIED, "the pool cannot be destroyed");
}
const char *LastError(const chi_ipc *) { return g_ipc_error.c_str(); }

const chi_ipc *Ipc() {
  static const chi_ipc ipc = [] {
    chi_ipc table{};
    /* The functions of ABI 1.0 only. */
    table.size = offsetof(chi_ipc, alloc_elements) + sizeof(table.alloc_elements);
    table.new_task = &NewTask;
    table.del_task = &DelTask;
    table.enqueue = &Enqueue;
    table.try_enqueue = &Enqueue;
    table.wait = &Wait;
    table.task_message = &TaskMessage;
    table.alloc = &Alloc;
    table.alloc_elements = &Alloc;
    table.free = &Free;
    table.resolve = &Resolve;
    table.make_task_node = &MakeTaskNode;
    table.create_pool = &CreatePool;
    table.find_pool = &FindPool;
    table.destroy_pool = &DestroyPool;
    table.last_error = &LastError;
    return table;
  }();
  return &ipc;
}

void SetError(const chi_host *, const char *text, uint64_t len) { g_host_error.assign(text, len); }
void Log(const chi_host *, uint32_t, const char *, uint64_t) {}
const chi_ipc *HostIpc(const chi_host *) { return Ipc(); }
chi_status CreateQueue(const chi_host *, const chi_pool_id *, uint32_t, uint32_t n_lanes, uint32_t,
                       chi_lane **lanes) {
  g_lanes.assign(n_lanes, 0);
  for (uint32_t i = 0; i < n_lanes; ++i) lanes[i] = reinterpret_cast<chi_lane *>(&g_lanes[i]);
  return CHI_OK;
}
chi_status YieldNow(const chi_host *) { return CHI_OK; }
chi_status ContainerId(const chi_host *, uint32_t *id, uint32_t *count) {
  *id = 2;
  *count = 7;
  return CHI_OK;
}
const void *Extension(const chi_host *, const char *) { return nullptr; }
/* With one thread and tasks that run to their end, there is no contention: a lock only counts how
 * often it was taken. */
chi_lock *LockNew(const chi_host *) { return reinterpret_cast<chi_lock *>(new int(0)); }
void LockFree(const chi_host *, chi_lock *lock) { delete reinterpret_cast<int *>(lock); }
chi_status Lock(const chi_host *, chi_lock *lock, uint32_t, uint64_t) {
  ++*reinterpret_cast<int *>(lock);
  return CHI_OK;
}
chi_status TryLock(const chi_host *host, chi_lock *lock, uint32_t mode) {
  return Lock(host, lock, mode, 0);
}
chi_status Unlock(const chi_host *, chi_lock *lock, uint32_t) {
  int *const times = reinterpret_cast<int *>(lock);
  if (*times == 0) return CHI_INVALID;
  --*times;
  return CHI_OK;
}
bool IsCancelled(const chi_host *) { return false; }

}  // namespace

const chi_host *Host() {
  static const chi_host host = {offsetof(chi_host, event_new), CHI_ABI_MAJOR, CHI_ABI_MINOR, 0,
                                &SetError, &Log, &HostIpc, &CreateQueue, &YieldNow, &Extension,
                                &ContainerId, &LockNew, &LockFree, &Lock, &TryLock, &Unlock,
                                &IsCancelled,
                                // The table ends before the events.
                                nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
  return &host;
}

const std::string &LastHostError() { return g_host_error; }

std::size_t LiveBlocks() {
  std::size_t n = g_tasks.size();
  for (const auto &task : g_tasks) n += task.second.blocks.size();
  return n;
}

const chi_method *FindMethod(const chi_module_descriptor *descriptor, uint32_t number) {
  for (uint32_t i = 0; i < descriptor->n_methods; ++i) {
    if (descriptor->methods[i].number_ == number) return &descriptor->methods[i];
  }
  return nullptr;
}

}  // namespace contract

extern "C" const chi_ipc *chi_ipc_manager(void) { return contract::Ipc(); }
