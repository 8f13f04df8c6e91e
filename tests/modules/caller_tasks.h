/* The task of test:caller. */
#ifndef CHIMAERA_TESTS_CALLER_TASKS_H_
#define CHIMAERA_TESTS_CALLER_TASKS_H_

#include <string_view>

#include "chimaera/chimaera.h"

namespace test::caller {

/** The numbers of the methods. */
class Method {
 public:
  CLS_CONST int kCall = 10; /**< CallTask. */
};

/** Has another module compress and decompress bytes, several times at once. */
struct CallTask : public chi::Task {
  /** How many calls are in flight at once. */
  IN chi::u32 width_ = 1;
  /** How many of them gave the bytes back. */
  OUT chi::u32 equal_ = 0;
  /** The name of the pool of example:mod_name, which the method creates or finds. */
  IN hipc::string pool_name_;
  /** The bytes. */
  IN hipc::vector<char> data_;

  explicit CallTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), pool_name_(alloc), data_(alloc) {}
  CallTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
           const chi::PoolId &pool_id, const chi::DomainQuery &dom_query,
           std::string_view pool_name, std::string_view data, chi::u32 width)
      : chi::Task(alloc),
        width_(width),
        pool_name_(alloc, pool_name),
        data_(alloc, data.data(), data.size()) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kCall;
    dom_query_ = dom_query;
  }
};

}  // namespace test::caller

#endif  // CHIMAERA_TESTS_CALLER_TASKS_H_
