/* chi::ContainerRuntime, the base of every module's container. Only in modules. */
#ifndef CHIMAERA_CONTAINER_H_
#define CHIMAERA_CONTAINER_H_

#include <string>
#include <utility>
#include <vector>

#include "chimaera/task.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** A pool's part on one node: the object that runs methods.
 *
 * A module's `Runtime` derives from it and has a member function for each method of
 * chimaera_mod.yaml, `void Compress(hipc::FullPtr<CompressTask> task, chi::RunContext &rctx)`, and
 * where it wants a say in scheduling a `MonitorCompress`, and where it puts the results of a
 * broadcast together an `AggregateCompress`; `Run`, `Monitor`, `Del` and `Aggregate` are then
 * supplied by autogen/<module>_lib_exec.h and CHI_TASK_CC. Methods of one container run at once on
 * the lanes of different workers. A method that throws ends its task with a status and a message.
 */
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
    /* Fails where nobody builds a container, in a test of the module's own say. */
    if (host->container_id(host, &id, &count) == CHI_OK) {
      container_id_ = id;
      container_count_ = count;
    }
  }
  ContainerRuntime(const ContainerRuntime &) = delete;
  ContainerRuntime &operator=(const ContainerRuntime &) = delete;

  /** Virtual destructor */
  virtual ~ContainerRuntime() = default;

  /** Completes the construction; one that overrides it calls it first. Loader. */
  virtual void Init(const PoolId &pool_id, const char *pool_name) {
    pool_id_ = pool_id;
    pool_name_ = pool_name;
  }

  /** Makes a queue of `num_lanes` lanes (1 to 65536). `flags` is 0, or `CHI_QUEUE_HIGH_LATENCY` for
   * lanes of tasks whose latency does not matter. Only from `Init` and `Create`. Errors:
   * `CHI_INVALID`, `CHI_EXISTS`. */
  void CreateLocalQueue(QueueId queue_id, u32 num_lanes, IntFlag flags) {
    std::vector<Lane *> lanes(num_lanes);
    const chi_host *host = detail::g_host;
    const chi_status status =
        host->create_queue(host, &pool_id_, queue_id, num_lanes, flags.bits_, lanes.data());
    if (status != CHI_OK) {
      throw Error(status, "queue " + std::to_string(queue_id) + " of " + std::to_string(num_lanes) +
                              " lanes cannot be made in pool " + pool_name_ + ": " +
                              StatusName(status));
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

  /** The lane of a queue that `hash` falls to. Error: `CHI_NOT_FOUND`. Worker. */
  Lane *GetLaneByHash(QueueId queue_id, u32 hash) const {
    const std::vector<Lane *> &lanes = LanesOf(queue_id);
    return lanes[hash % lanes.size()];
  }

  /** Run a method of the task. Worker. */
  virtual void Run(u32 method, hipc::FullPtr<Task> task, RunContext &rctx) = 0;

  /** Monitor a method of the task. Must not suspend. Worker. */
  virtual void Monitor(MonitorModeId mode, u32 method, hipc::FullPtr<Task> task,
                       RunContext &rctx) = 0;

  /** Lets go of what a method attached to a task; the task itself is the runtime's. Worker. */
  virtual void Del(const hipc::MemContext &ctx, u32 method, hipc::FullPtr<Task> task) = 0;

  /** Adds to `task`, a broadcast, what one container made of it: `replica`, of the same type and
   * complete, successful or not. Called on one container for each replica in the order of the
   * containers; the replicas are freed afterwards. The first replica whose `status_` is then not
   * `CHI_OK` makes the broadcast fail: to let a failure pass, set it to `CHI_OK`. Without it a
   * broadcast returns what container 0 returned. Worker. */
  virtual void Aggregate(u32 method, hipc::FullPtr<Task> task, hipc::FullPtr<Task> replica,
                         RunContext &rctx) {
    static_cast<void>(method), static_cast<void>(task);
    static_cast<void>(replica), static_cast<void>(rctx);
  }

  /** What a container does at its creation when its module has nothing to say. */
  void Create(hipc::FullPtr<CreateTask>, RunContext &) {}
  /** What a container does before its end when its module has nothing to say. */
  void Destroy(hipc::FullPtr<DestroyTask>, RunContext &) {}
  /** What a container does after a node failed when its module has nothing to say. */
  void NodeFailure(hipc::FullPtr<NodeFailureTask>, RunContext &) {}
  /** What a container does to recover when its module has nothing to say. */
  void Recover(hipc::FullPtr<RecoverTask>, RunContext &) {}
  /** What a container does before it moves when its module has nothing to say. */
  void Migrate(hipc::FullPtr<MigrateTask>, RunContext &) {}
  /** What a container does before an upgrade when its module has nothing to say. */
  void Upgrade(hipc::FullPtr<UpgradeTask>, RunContext &) {}

 private:
  const std::vector<Lane *> &LanesOf(QueueId queue_id) const {
    for (const auto &queue : queues_) {
      if (queue.first == queue_id) return queue.second;
    }
    throw Error(CHI_NOT_FOUND, "the container has no queue " + std::to_string(queue_id));
  }

  /* Few, and fixed once `Create` is done: a scan is fastest, and needs no lock. */
  std::vector<std::pair<QueueId, std::vector<Lane *>>> queues_;
};

/** The other name of a container. */
using Container = ContainerRuntime;

/** True when the running task is cancelled: it should come to its end. For methods that compute for
 * long without waiting. Worker. */
inline bool IsCancelled() {
  const chi_host *host = detail::g_host;
  return CHI_COVERS(host, chi_host, is_cancelled) && host->is_cancelled(host);
}

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_CONTAINER_H_
