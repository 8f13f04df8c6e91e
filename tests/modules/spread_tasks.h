/* The tasks of test:spread, of which pools have several containers. See
 * tests/modules/spread/client, which says what they are. */
#ifndef CHIMAERA_TESTS_SPREAD_TASKS_H_
#define CHIMAERA_TESTS_SPREAD_TASKS_H_

#include "chimaera/chimaera.h"

namespace test::spread {

/** The numbers of the methods. */
class Method {
 public:
  CLS_CONST int kCreate = 0;  /**< chi::CreateTask */
  CLS_CONST int kWhere = 10;  /**< WhereTask */
  CLS_CONST int kGather = 11; /**< GatherTask */
  CLS_CONST int kSteer = 12;  /**< SteerTask */
  CLS_CONST int kNap = 13;    /**< NapTask */
};

/** Says which container runs it. */
struct WhereTask : public chi::Task {
  OUT chi::u32 container_ = 0;
  OUT chi::u32 count_ = 0;
  OUT chi::u32 alive_ = 0;
  OUT chi::u32 depth_ = 0;
  INOUT hipc::string text_;

  explicit WhereTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), text_(alloc) {}
  WhereTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
            const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : WhereTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kWhere;
    dom_query_ = dom_query;
  }
};

/** Has an aggregation. */
struct GatherTask : public chi::Task {
  IN chi::u64 failing_ = 0;
  IN chi::u32 lenient_ = 0;
  IN chi::u32 stumble_ = 0;
  OUT chi::u64 sum_ = 0;
  OUT chi::u32 good_ = 0;
  chi::u32 reserved_ = 0;
  IN hipc::string text_;
  OUT hipc::vector<hipc::string> words_;
  OUT hipc::vector<chi::u32> numbers_;
  INOUT hipc::vector<hipc::string> notes_;
  INOUT hipc::vector<char> bytes_;

  explicit GatherTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc),
        text_(alloc),
        words_(alloc),
        numbers_(alloc),
        notes_(alloc),
        bytes_(alloc) {}
  GatherTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
             const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : GatherTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kGather;
    dom_query_ = dom_query;
  }
};

/** Has a monitor, which does as `how_` says. */
struct SteerTask : public chi::Task {
  IN chi::u32 how_ = 0;
  IN chi::u32 value_ = 0;
  OUT chi::u32 container_ = 0;
  OUT chi::u32 asked_ = 0;

  explicit SteerTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}
};

/** Yields. */
struct NapTask : public chi::Task {
  IN chi::u64 times_ = 0;
  IN hipc::string text_;

  explicit NapTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc), text_(alloc) {}
};

}  // namespace test::spread

#endif  // CHIMAERA_TESTS_SPREAD_TASKS_H_
