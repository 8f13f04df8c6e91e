/* chi::ContainerRuntime, the base of every module's container. Only in modules. */
#ifndef CHIMAERA_CONTAINER_H_
#define CHIMAERA_CONTAINER_H_

#include <string>
#include <utility>
#include <vector>

#include "chimaera/task.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** The base of a module's container: the object that holds a share of a pool's state and runs its
 * methods.
 *
 * A module's `Runtime` derives from it. It has a member function for each method of
 * chimaera_mod.yaml, `void Compress(hipc::FullPtr<CompressTask> task, chi::RunContext &rctx)`. It
 * may have a `MonitorCompress` to influence scheduling, and an `AggregateCompress` to merge the
 * results of a broadcast. autogen/<module>_lib_exec.h and CHI_TASK_CC then supply `Run`, `Monitor`,
 * `Del` and `Aggregate`. A public `template <typename Ar> void State(Ar &ar)` makes it one that can
 * have a successor (SaveState); `void Release()` and `void Resume()` belong to it. Several methods
 * of one container may run at once, on different workers. A method that throws ends its task with a
 * status and a message. */
class ContainerRuntime {
 public:
  PoolId pool_id_;               /**< The unique name of a pool */
  std::string pool_name_;        /**< The unique semantic name of a pool */
  ContainerId container_id_ = 0; /**< The logical id of a container: from 0, known from the start */
  u32 container_count_ = 1;      /**< How many containers the pool has */

  ContainerRuntime() {
    const chi_host *host = detail::g_host;
    if (host == nullptr || !CHI_COVERS(host, chi_host, container_id)) return;
    u32 id = 0;
    u32 count = 1;
    /* Fails when the runtime is not building a container, for example in a unit test. */
    if (host->container_id(host, &id, &count) == CHI_OK) {
      container_id_ = id;
      container_count_ = count;
    }
  }
  ContainerRuntime(const ContainerRuntime &) = delete;
  ContainerRuntime &operator=(const ContainerRuntime &) = delete;

  /** Virtual destructor */
  virtual ~ContainerRuntime() = default;

  /** Completes the construction. An override must call it first. Loader. */
  virtual void Init(const PoolId &pool_id, const char *pool_name) {
    pool_id_ = pool_id;
    pool_name_ = pool_name;
  }

  /** Creates a queue with `num_lanes` lanes (1 to 65536). `flags` is 0, or `CHI_QUEUE_HIGH_LATENCY`
   * when the queue is for tasks whose latency does not matter. Call it only from `Init` and
   * `Create`. Errors: `CHI_INVALID`, `CHI_EXISTS`. */
  void CreateLocalQueue(QueueId queue_id, u32 num_lanes, IntFlag flags) {
    std::vector<Lane *> lanes(num_lanes);
    const chi_host *host = detail::g_host;
    const chi_status status =
        host->create_queue(host, &pool_id_, queue_id, num_lanes, flags.bits_, lanes.data());
    if (status != CHI_OK) {
      throw Error(status, "cannot create queue " + std::to_string(queue_id) + " with " +
                              std::to_string(num_lanes) + " lanes in pool " + pool_name_ + ": " +
                              Reason(status));
    }
    queues_.emplace_back(queue_id, std::move(lanes));
  }

  /** The lane `lane_id` of a queue. Error: `CHI_NOT_FOUND`. Worker. */
  Lane *GetLane(QueueId queue_id, LaneId lane_id) const {
    const std::vector<Lane *> &lanes = LanesOf(queue_id);
    if (lane_id >= lanes.size()) {
      throw Error(CHI_NOT_FOUND,
                  "queue " + std::to_string(queue_id) + " has no lane " + std::to_string(lane_id));
    }
    return lanes[lane_id];
  }

  /** The lane of a queue that `hash` selects. Error: `CHI_NOT_FOUND`. Worker. */
  Lane *GetLaneByHash(QueueId queue_id, u32 hash) const {
    const std::vector<Lane *> &lanes = LanesOf(queue_id);
    return lanes[hash % lanes.size()];
  }

  /** Runs a method on a task. Worker. */
  virtual void Run(u32 method, hipc::FullPtr<Task> task, RunContext &rctx) = 0;

  /** Runs a method's monitor on a task. Must not suspend. Worker. */
  virtual void Monitor(MonitorModeId mode, u32 method, hipc::FullPtr<Task> task,
                       RunContext &rctx) = 0;

  /** Releases what a method attached to a task; the runtime frees the task itself. Worker. */
  virtual void Del(const hipc::MemContext &ctx, u32 method, hipc::FullPtr<Task> task) = 0;

  /** Merges the result of one container into a broadcast: `task` is the broadcast, `replica` the
   * complete task, of the same type, that the container ran, successfully or not. Called on one
   * container, for each replica in the order of the containers; the replicas are freed afterwards.
   * The broadcast then fails with the first replica whose `status_` is not `CHI_OK`: to ignore a
   * failure, set that field to `CHI_OK`. Must not suspend. Without an override, a broadcast returns
   * the result of container 0. Worker. */
  virtual void Aggregate(u32 method, hipc::FullPtr<Task> task, hipc::FullPtr<Task> replica,
                         RunContext &rctx) {
    static_cast<void>(method), static_cast<void>(task);
    static_cast<void>(replica), static_cast<void>(rctx);
  }

  /** The default `Create`: does nothing. */
  void Create(hipc::FullPtr<CreateTask>, RunContext &) {}
  /** The default `Destroy`: does nothing. */
  void Destroy(hipc::FullPtr<DestroyTask>, RunContext &) {}
  /** The default `NodeFailure`: does nothing. */
  void NodeFailure(hipc::FullPtr<NodeFailureTask>, RunContext &) {}
  /** The default `Recover`: does nothing. */
  void Recover(hipc::FullPtr<RecoverTask>, RunContext &) {}
  /** The default `Migrate`: does nothing. */
  void Migrate(hipc::FullPtr<MigrateTask>, RunContext &) {}
  /** The default `Upgrade`: does nothing. */
  void Upgrade(hipc::FullPtr<UpgradeTask>, RunContext &) {}

 private:
  /* What the runtime says of the call that has just failed. */
  static std::string Reason(chi_status status) {
    const chi_ipc *ipc = detail::FindIpc();
    const std::string why = ipc == nullptr ? "" : ipc->last_error(ipc);
    return why.empty() ? StatusName(status) : why;
  }

  const std::vector<Lane *> &LanesOf(QueueId queue_id) const {
    for (const auto &queue : queues_) {
      if (queue.first == queue_id) return queue.second;
    }
    throw Error(CHI_NOT_FOUND, "the container has no queue " + std::to_string(queue_id));
  }

  /* Few, and fixed once `Create` is done: a linear search is fastest, and needs no lock. */
  std::vector<std::pair<QueueId, std::vector<Lane *>>> queues_;
};

/** An alias of ContainerRuntime. */
using Container = ContainerRuntime;

/** True when the running task has been cancelled and its method should return soon. For methods
 * that compute for a long time without waiting. Worker. */
inline bool IsCancelled() {
  const chi_host *host = detail::g_host;
  return host != nullptr && CHI_COVERS(host, chi_host, is_cancelled) && host->is_cancelled(host);
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_CONTAINER_H_
