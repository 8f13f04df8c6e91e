#pragma once
#include "own_methods.h"

namespace hand::own {
/** The task of both methods: no task is named after a method. */
struct CountTask : public chi::Task {
  OUT chi::u32 method_that_ran_ = 0;

  explicit CountTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}

  explicit CountTask(
      const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, chi::u32 method)
      : chi::Task(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = method;
    dom_query_ = dom_query;
  }
};
}
