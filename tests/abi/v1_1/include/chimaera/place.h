/* Where the containers of a pool are. Only in modules. */
#ifndef CHIMAERA_PLACE_H_
#define CHIMAERA_PLACE_H_

#include <cstdint>
#include <string>

#include "chimaera/current.h"
#include "chimaera/macros.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** Where a container of the pool is whose code is running, and what this node knows of it. A
 * monitor in the mode `kGlobalSchedule` chooses by it:
 *
 *     chi::u32 chosen = 0;
 *     auto fewest = std::numeric_limits<std::uint64_t>::max();
 *     for (chi::u32 number = 0; number < container_count_; ++number) {
 *       const auto place = chi::Place::Of(number);
 *       if (place.IsReachable() && place.tasks() < fewest) {
 *         fewest = place.tasks();
 *         chosen = number;
 *       }
 *     }
 *     task->dom_query_ = chi::DomainQuery::GlobalId(chosen);
 *
 * Copies are as the original was when it was made. */
class Place {
 public:
  /** Where the container of this number is. Throws `CHI_NOT_FOUND` if the pool has no such
   * container, `CHI_UNSUPPORTED` in a runtime that does not tell. Thread: a worker. */
  static Place Of(std::uint32_t container) {
    static const auto *places = FindTable();
    if (places == nullptr) {
      throw Error(CHI_UNSUPPORTED, "this runtime does not tell where containers are");
    }
    Place place;
    const auto status = places->find(detail::g_host, container, &place.place_);
    if (status != CHI_OK)
      throw Error(status, "where container " + std::to_string(container) + " is");
    return place;
  }

  /** The id of the node that has the container; 0 if none has it now, or if the runtime is no node
   * of a cluster. */
  std::uint64_t node() const { return place_.node_; }

  /** How many tasks are in the container. For one of another node: as that said with its last
   * answer in the last second, if any, but at least those that this node has sent there. */
  std::uint64_t tasks() const { return place_.tasks_; }

  /** The round trip to its node in nanoseconds, 0 if it is this one. Only if it is reachable. */
  std::uint64_t round_trip_ns() const { return place_.round_trip_ns_; }

  /** Whether its node can be reached, and how far it is is known. */
  bool IsReachable() const { return place_.round_trip_ns_ != CHI_ROUND_TRIP_UNKNOWN; }

  /** Whether the container is on this node. */
  bool IsHere() const { return place_.round_trip_ns_ == 0; }

 private:
  Place() = default;

  static const chi_places *FindTable() { return detail::FindExtension<chi_places>(CHI_EXT_PLACES); }

  chi_place place_{};
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_PLACE_H_
