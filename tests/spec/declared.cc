/* Checks the declarations of Chimaera itself in the specification's listings, with their namespaces
 * and types; README.md explains the differences. */
#include <string>
#include <type_traits>

#include "chimaera/chimaera.h"

namespace {

using chi::ContainerRuntime;

/* Container Server. */
static_assert(std::is_same_v<decltype(ContainerRuntime::pool_id_), chi::PoolId>);
static_assert(std::is_same_v<decltype(ContainerRuntime::pool_name_), std::string>);
static_assert(std::is_same_v<decltype(ContainerRuntime::container_id_), chi::ContainerId>);
static_assert(std::is_invocable_r_v<void, decltype(&ContainerRuntime::CreateLocalQueue),
                                    ContainerRuntime &, chi::QueueId, chi::u32, chi::IntFlag>);
static_assert(std::is_invocable_r_v<chi::Lane *, decltype(&ContainerRuntime::GetLane),
                                    ContainerRuntime &, chi::QueueId, chi::LaneId>);
static_assert(std::is_invocable_r_v<chi::Lane *, decltype(&ContainerRuntime::GetLaneByHash),
                                    ContainerRuntime &, chi::QueueId, chi::u32>);
static_assert(std::has_virtual_destructor_v<ContainerRuntime>);
static_assert(std::is_same_v<decltype(&ContainerRuntime::Run),
                             void (ContainerRuntime::*)(chi::u32, hipc::FullPtr<chi::Task>,
                                                        chi::RunContext &)>);
static_assert(
    std::is_same_v<decltype(&ContainerRuntime::Monitor),
                   void (ContainerRuntime::*)(chi::MonitorModeId, chi::u32,
                                              hipc::FullPtr<chi::Task>, chi::RunContext &)>);
static_assert(std::is_same_v<decltype(&ContainerRuntime::Del),
                             void (ContainerRuntime::*)(const hipc::MemContext &, chi::u32,
                                                        hipc::FullPtr<chi::Task>)>);
static_assert(std::is_abstract_v<ContainerRuntime>);
static_assert(std::is_same_v<chi::Container, ContainerRuntime>);
static_assert(std::is_same_v<alloc_state_t, void *(*)(const chi_pool_id *, const char *)>);
static_assert(std::is_same_v<new_state_t, alloc_state_t>);
static_assert(std::is_same_v<get_module_name_t, const char *(*)()>);
static_assert(std::is_invocable_v<new_state_t, const chi::PoolId *, const char *>);

/* Container Client. */
struct Archive {
  void operator()(const chi::PoolId &) {}
};
static_assert(std::is_same_v<decltype(chi::ContainerClient::pool_id_), chi::PoolId>);
static_assert(std::is_void_v<decltype(std::declval<chi::ContainerClient &>().serialize(
                  std::declval<Archive &>()))>);

/* A module's own names take precedence over those of chi::names, and so do its repo's. */
namespace repo {
struct Task {};
namespace module {
using namespace chi::names;
struct CreateTask {};
static_assert(std::is_same_v<FullPtr<int>, hipc::FullPtr<int>>);
static_assert(std::is_same_v<Task, repo::Task>);
static_assert(!std::is_same_v<CreateTask, chi::CreateTask>);
}  // namespace module
}  // namespace repo

}  // namespace
