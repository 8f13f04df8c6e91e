/* A chi_host and a chi_ipc on top of malloc, which run a module's methods on one thread without a
 * runtime: for the tests of the C++ layer itself. */
#ifndef CHIMAERA_TESTS_CONTRACT_HOST_H_
#define CHIMAERA_TESTS_CONTRACT_HOST_H_

#include <string>
#include <vector>

#include "chimaera/abi.h"

namespace contract {

/** A loaded module and its only container, in which enqueued tasks run immediately. */
struct LoadedModule {
  const chi_module_descriptor *descriptor = nullptr;
  void *(*alloc_state)(const chi_pool_id *, const char *) = nullptr;
  void *(*new_state)(const chi_pool_id *, const char *) = nullptr;
  chi_container *container = nullptr;
};

/** The host's table. */
const chi_host *Host();
/** The last error that the module reported. */
const std::string &LastHostError();
/** The lanes that containers created, and the one that the last monitor chose. */
extern std::vector<int> g_lanes;
extern chi_lane *g_chosen_lane;
/** The module in which enqueued tasks run. */
extern LoadedModule *g_module;
/** The number of tasks and blocks that have not been freed. */
std::size_t LiveBlocks();

/** The method of this number, or null. */
const chi_method *FindMethod(const chi_module_descriptor *descriptor, uint32_t number);

}  // namespace contract

#endif  // CHIMAERA_TESTS_CONTRACT_HOST_H_
