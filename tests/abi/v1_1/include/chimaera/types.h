/* The small types of Chimaera in C++: the C structs, with constructors and helpers. */
#ifndef CHIMAERA_TYPES_H_
#define CHIMAERA_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>

#include "chimaera/abi.h"
#include "chimaera/macros.h"

namespace chi {
inline namespace v1 CHI_LAYER {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using f32 = float;
using f64 = double;

namespace detail {

template <template <typename> class Expr, typename R, typename = void>
struct IsValidT : std::false_type {};
template <template <typename> class Expr, typename R>
struct IsValidT<Expr, R, std::void_t<Expr<R>>> : std::true_type {};
/* True when the expression compiles for `R`. */
template <template <typename> class Expr, typename R>
inline constexpr bool IsValid = IsValidT<Expr, R>::value;

}  // namespace detail

/** A pool's number. All zeros is no pool. */
struct PoolId : public chi_pool_id {
  PoolId() : chi_pool_id{0, 0} {}
  PoolId(u32 major, u32 minor) : chi_pool_id{major, minor} {}
  PoolId(const chi_pool_id &id) : chi_pool_id(id) {}

  /** The admin pool, which exists in every runtime. */
  static PoolId Admin() { return PoolId(CHI_ADMIN_POOL_MAJOR, 0); }
  /** True when this is no pool. */
  bool IsNull() const { return major_ == 0 && minor_ == 0; }
  /** Both halves in one number, `major_` in the upper 32 bits. */
  u64 ToU64() const { return (static_cast<u64>(major_) << 32) | minor_; }

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(major_, minor_);
  }

  friend bool operator==(const PoolId &a, const PoolId &b) { return a.ToU64() == b.ToU64(); }
  friend bool operator!=(const PoolId &a, const PoolId &b) { return a.ToU64() != b.ToU64(); }
  friend bool operator<(const PoolId &a, const PoolId &b) { return a.ToU64() < b.ToU64(); }
};

/** A task's position in the tree of tasks that descend from one task of an application. Make one
 * with chi::MakeTaskNode(). */
using TaskNode = chi_task_node;

/** The index of a container in its pool, from 0. */
using ContainerId = u32;
/** A number that a container chooses for one of its queues. */
using QueueId = u32;
/** The index of a lane in its queue, from 0. */
using LaneId = u32;
/** A lane of a container's queue. Opaque; lives as long as its container. */
using Lane = chi_lane;

/** A set of flags. */
struct IntFlag : public chi_bitfield {
  IntFlag(u32 bits = 0) : chi_bitfield{bits} {}
};

/** Selects the containers of a pool that a task goes to. On a single node, the global and the local
 * kinds are the same. */
struct DomainQuery : public chi_domain_query {
  /** The runtime chooses. */
  DomainQuery() : chi_domain_query{CHI_DOMAIN_DYNAMIC, 0} {}
  DomainQuery(const chi_domain_query &query) : chi_domain_query(query) {}

  /** The container `id` on this node. */
  static DomainQuery LocalId(ContainerId id) { return Make(CHI_DOMAIN_LOCAL_ID, id); }
  /** The container on this node that `hash` selects. */
  static DomainQuery LocalHash(u32 hash) { return Make(CHI_DOMAIN_LOCAL_HASH, hash); }
  /** The container `id`, on any node. */
  static DomainQuery GlobalId(ContainerId id) { return Make(CHI_DOMAIN_GLOBAL_ID, id); }
  /** The container that `hash` selects, on any node. */
  static DomainQuery GlobalHash(u32 hash) { return Make(CHI_DOMAIN_GLOBAL_HASH, hash); }
  /** Every container of the pool. */
  static DomainQuery GlobalBcast() { return Make(CHI_DOMAIN_GLOBAL_BCAST, 0); }
  /** The runtime chooses: it asks the module's monitor in the mode kGlobalSchedule. */
  static DomainQuery Dynamic() { return DomainQuery(); }

  friend bool operator==(const DomainQuery &a, const DomainQuery &b) {
    return a.kind_ == b.kind_ && a.value_ == b.value_;
  }
  friend bool operator!=(const DomainQuery &a, const DomainQuery &b) { return !(a == b); }

 private:
  static DomainQuery Make(u32 kind, u32 value) {
    DomainQuery query;
    query.kind_ = kind;
    query.value_ = value;
    return query;
  }
};

/** What a monitor is asked to do. Newer runtimes may have more modes: ignore unknown ones. */
enum class MonitorModeId : u32 {
  /** Choose a lane: set `rctx.lane_`. */
  kLocalSchedule = CHI_MONITOR_LOCAL_SCHEDULE,
  /** Choose containers: rewrite the task's `dom_query_`. */
  kGlobalSchedule = CHI_MONITOR_GLOBAL_SCHEDULE,
  /** Estimate the task's run time: set `rctx.est_ns_`, in nanoseconds. If the monitor leaves it
   * unchanged, the runtime uses the run times that it has measured, and asks again only after some
   * more tasks. */
  kEstLoad = CHI_MONITOR_EST_LOAD,
};

/** The context of one run of a method or a monitor: `worker_id_`, and `lane_` and `est_ns_`, which
 * a monitor sets. Valid until that run returns. */
using RunContext = chi_run_context;

static_assert(sizeof(PoolId) == sizeof(chi_pool_id) && sizeof(IntFlag) == sizeof(chi_bitfield) &&
                  sizeof(DomainQuery) == sizeof(chi_domain_query),
              "the C++ types add nothing to the C structs");

}  // namespace v1
}  // namespace chi

/** A pool's id as a key of unordered containers. */
template <>
struct std::hash<chi::PoolId> {
  std::size_t operator()(const chi::PoolId &id) const noexcept {
    return std::hash<std::uint64_t>{}(id.ToU64());
  }
};

#endif  // CHIMAERA_TYPES_H_
