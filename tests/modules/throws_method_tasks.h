/* The tasks of test:throws_method. */
#ifndef CHIMAERA_TESTS_THROWS_METHOD_TASKS_H_
#define CHIMAERA_TESTS_THROWS_METHOD_TASKS_H_

#include <string_view>

#include "chimaera/chimaera.h"

namespace test::throws_method {

/** The numbers of the methods; the container supports all but kUnsupported. */
class Method {
 public:
  CLS_CONST int kThrow = 10;       /**< chi::Task; throws std::runtime_error. */
  CLS_CONST int kThrowInt = 11;    /**< chi::Task; throws 42. */
  CLS_CONST int kSleep = 12;       /**< NumberTask; blocks its worker for so many nanoseconds. */
  CLS_CONST int kEcho = 13;        /**< EchoTask; returns its bytes. */
  CLS_CONST int kYield = 14;       /**< NumberTask; yields so many times. */
  CLS_CONST int kUnsupported = 15; /**< chi::Task. */
};

/** A task of a method that takes nothing. */
struct PlainTask : public chi::Task {
  explicit PlainTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}
  PlainTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
            const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, chi::u32 method)
      : chi::Task(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = method;
    dom_query_ = dom_query;
  }
};

/** A task of a method that takes a number. */
struct NumberTask : public chi::Task {
  /** The number. */
  IN chi::u64 value_ = 0;

  explicit NumberTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}
  NumberTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
             const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, chi::u32 method,
             chi::u64 value)
      : chi::Task(alloc), value_(value) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = method;
    dom_query_ = dom_query;
  }
};

/** A task that gets its bytes back. */
struct EchoTask : public chi::Task {
  /** The bytes. */
  IN hipc::vector<char> data_;
  /** The same bytes. */
  OUT hipc::vector<char> output_;

  explicit EchoTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), data_(alloc), output_(alloc) {}
  EchoTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
           const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, std::string_view data)
      : chi::Task(alloc), data_(alloc, data.data(), data.size()), output_(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kEcho;
    dom_query_ = dom_query;
  }
};

}  // namespace test::throws_method

#endif  // CHIMAERA_TESTS_THROWS_METHOD_TASKS_H_
