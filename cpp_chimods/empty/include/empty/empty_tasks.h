/* The task of example:empty, which has only the header that all tasks have. */
#ifndef EXAMPLE_EMPTY_TASKS_H_
#define EXAMPLE_EMPTY_TASKS_H_

#include "chimaera/chimaera.h"
#include "empty_methods.h"

namespace example::empty {

using CreateTask = chi::CreateTask;
using DestroyTask = chi::DestroyTask;

/** A task that does nothing. */
struct EmptyTask : public chi::Task {
  using chi::Task::Task;

  /** Emplace constructor */
  EmptyTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
            const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : chi::Task(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kEmpty;
    dom_query_ = dom_query;
  }
};

}  // namespace example::empty

#endif  // EXAMPLE_EMPTY_TASKS_H_
