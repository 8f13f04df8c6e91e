/* The task of test:locks; tests/modules/rust_locks/client says what it all means. */
#ifndef CHIMAERA_TESTS_LOCKS_TASKS_H_
#define CHIMAERA_TESTS_LOCKS_TASKS_H_

#include "chimaera/chimaera.h"

namespace test::locks {

/** The numbers of the methods. */
class Method {
 public:
  CLS_CONST int kCount = 10;
  CLS_CONST int kNest = 11;
  CLS_CONST int kHold = 12;
  CLS_CONST int kLetGo = 13;
  CLS_CONST int kNotes = 14;
  CLS_CONST int kTimed = 15;
  CLS_CONST int kTry = 16;
  CLS_CONST int kFree = 17;
  CLS_CONST int kCross = 18; /**< C++ only: `lock_`, and while it is held `how_`. */
  /** C++ only: `lock_`, and while it is held `how_` in all containers. */
  CLS_CONST int kEverywhere = 19;
};

/** Which lock, and how. */
enum LockKind : chi::u32 { kNone, kMutex, kRead, kWrite, kCommon, kOwn };
/** How a holder ends. */
enum End : chi::u32 { kGuard, kThrow, kLeak, kTwice };

/** How many lanes a container has. */
constexpr chi::u32 kLanes = 8;

/** The task of all methods. */
struct LockTask : public chi::Task {
  IN chi::u32 lock_ = 0;
  IN chi::u32 lane_ = 0;
  IN chi::u64 number_ = 0;
  IN chi::u32 how_ = 0;
  chi::u32 reserved_ = 0;
  OUT chi::u64 result_ = 0;
  OUT hipc::string text_;

  explicit LockTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), text_(alloc) {}
  LockTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
           const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, chi::u32 method,
           chi::u32 lock, chi::u32 lane, chi::u64 number)
      : chi::Task(alloc), lock_(lock), lane_(lane), number_(number), text_(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = method;
    dom_query_ = dom_query;
  }
};

}  // namespace test::locks

#endif  // CHIMAERA_TESTS_LOCKS_TASKS_H_
