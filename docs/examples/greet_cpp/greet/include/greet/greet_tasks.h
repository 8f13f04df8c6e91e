#ifndef HELLO_GREET_TASKS_H_
#define HELLO_GREET_TASKS_H_

#include <string_view>

#include "chimaera/chimaera.h"

namespace hello::greet {

class Method {
 public:
  CLS_CONST int kGreet = 10;
};

/** Makes a greeting of a name. */
struct GreetTask : public chi::Task {
  IN hipc::string name_;
  OUT hipc::string text_;

  explicit GreetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), name_(alloc), text_(alloc) {}

  GreetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
            const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, std::string_view name)
      : chi::Task(alloc), name_(alloc, name), text_(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    dom_query_ = dom_query;
    method_ = Method::kGreet;
  }
};

}  // namespace hello::greet

#endif  // HELLO_GREET_TASKS_H_
