/* The specification's listing of a task, with its obvious slips mended. */
#ifndef CHIMAERA_TESTS_SPEC_EXAMPLE_TASKS_H_
#define CHIMAERA_TESTS_SPEC_EXAMPLE_TASKS_H_

#include "chimaera/chimaera.h"
#include "spec_example_methods.h"

// clang-format off
namespace example::spec_name {
/** The CompressTask task */
struct CompressTask : public chi::Task {
  /** SHM default constructor */
  explicit CompressTask(
      const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc) {}

  /** Emplace constructor */
  explicit CompressTask(
      const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : chi::Task(alloc) {
    // Initialize task
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kCompress;
    task_flags_.SetBits(0);
    dom_query_ = dom_query;

    // Custom
  }
};
}
// clang-format on

#endif  // CHIMAERA_TESTS_SPEC_EXAMPLE_TASKS_H_
