/* The task of test:nested: strings and vectors at every depth. */
#ifndef CHIMAERA_TESTS_NESTED_TASKS_H_
#define CHIMAERA_TESTS_NESTED_TASKS_H_

#include <array>
#include <string_view>
#include <utility>

#include "chimaera/chimaera.h"

namespace test::nested {

/** The numbers of the methods. */
class Method {
 public:
  CLS_CONST int kSwap = 10; /**< SwapTask; turns each row of `in_` round and puts it in `out_`. */
  CLS_CONST int kHold = 11; /**< SwapTask; suspends itself for an hour. */
};

/** A row: a name, numbers, and words. */
struct Row {
  hipc::string name_;
  std::pair<chi::u32, chi::u32> numbers_{0, 0};
  hipc::vector<hipc::string> words_;

  Row() = default;
};

/** A part of a task, embedded in its body. */
struct Part {
  chi::u64 number_ = 0;
  hipc::string text_;

  explicit Part(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : text_(alloc) {}
};

/** Rows in, rows out. */
struct SwapTask : public chi::Task {
  IN chi::u32 flag_ = 0;
  INOUT Part part_;
  IN hipc::vector<Row> in_;
  OUT hipc::vector<Row> out_;
  OUT std::array<hipc::string, 2> plain_;
  IN hipc::vector<std::pair<chi::u32, chi::u64>> pairs_;

  explicit SwapTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), part_(alloc), in_(alloc), out_(alloc), pairs_(alloc) {}
  SwapTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
           const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : SwapTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kSwap;
    dom_query_ = dom_query;
  }
};

}  // namespace test::nested

#endif  // CHIMAERA_TESTS_NESTED_TASKS_H_
