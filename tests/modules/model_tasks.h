/* The tasks of test:model. */
#ifndef CHIMAERA_TESTS_MODEL_TASKS_H_
#define CHIMAERA_TESTS_MODEL_TASKS_H_

#include "chimaera/chimaera.h"

namespace test::model {

/** The numbers of the methods; each takes a ValueTask. */
class Method {
 public:
  CLS_CONST int kSleep = 10;     /**< Suspends itself for `value_` nanoseconds. */
  CLS_CONST int kCompute = 11;   /**< Computes for `value_` nanoseconds and never yields. */
  CLS_CONST int kTick = 12;      /**< Counts a tick, after `value_` nanoseconds of sleep. */
  CLS_CONST int kTicks = 13;     /**< Gives the number of ticks. */
  CLS_CONST int kTree = 14;      /**< Calls itself `width_` times at once, `value_` levels deep. */
  CLS_CONST int kAsk = 15;       /**< Computes until it is cancelled. */
  CLS_CONST int kOverflow = 16;  /**< Recurses for ever. */
  CLS_CONST int kOwnEnd = 17;    /**< Waits for its own end. */
  CLS_CONST int kCall = 18;      /**< Calls kSleep, or the method `width_`, in the pool `other_`. */
  CLS_CONST int kMonitored = 19; /**< Has a monitor, which does what `value_` says. */
  CLS_CONST int kFail = 20;      /**< Fails, after `value_` ticks have been counted. */
  CLS_CONST int kYield = 21;     /**< Yields `value_` times. */
  CLS_CONST int kLock = 22;     /**< Ticks and sleeps for `value_` ns, with the container's lock. */
  CLS_CONST int kLog = 23;      /**< Writes "a line" to the log. */
  CLS_CONST int kSpread = 24;   /**< Yields for ever in the pools "model 1" to "model `width_`". */
  CLS_CONST int kShare = 25;    /**< Waits for a sleep of `value_` ns, or with 0 for another's. */
  CLS_CONST int kFailLate = 26; /**< Says why it fails, and sleeps `width_` ns before it does. */
  CLS_CONST int kLastError = 27; /**< Looks for a pool, sleeps `width_` ns, says why it failed. */
};

/** A number in, a number out. */
struct ValueTask : public chi::Task {
  IN chi::u64 value_ = 0;
  IN chi::u64 width_ = 0;
  OUT chi::u64 result_ = 0;
  IN chi::PoolId other_;

  explicit ValueTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}
  ValueTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
            const chi::PoolId &pool_id, chi::u32 method, chi::u64 value, chi::u64 width = 0)
      : chi::Task(alloc), value_(value), width_(width) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = method;
    dom_query_ = chi::DomainQuery::LocalId(0);
  }
};

}  // namespace test::model

#endif  // CHIMAERA_TESTS_MODEL_TASKS_H_
