#pragma once
#include "run_methods.h"

namespace hand::run {
struct CompressTask : public chi::Task {
  IN hipc::string text_;
  OUT hipc::string output_;
  OUT chi::u32 monitored_ = 0;

  explicit CompressTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), text_(alloc), output_(alloc) {}

  explicit CompressTask(
      const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, const std::string &text,
      chi::u32 method = Method::kCompress)
      : chi::Task(alloc), text_(alloc, text), output_(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = method;
    dom_query_ = dom_query;
  }
};
}
