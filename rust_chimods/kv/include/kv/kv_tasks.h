/* The tasks of chimaera:kv, a key-value store, for C++. Their layouts are those of kv_c.h. */
#ifndef CHIMAERA_KV_TASKS_H_
#define CHIMAERA_KV_TASKS_H_

#include <string_view>

#include "chimaera/chimaera.h"

namespace chimaera::kv {

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  CLS_CONST int kPut = 10;
  CLS_CONST int kGet = 11;
  CLS_CONST int kDelete = 12;
  CLS_CONST int kScan = 13;
  CLS_CONST int kCount = 14;
};

using CreateTask = chi::CreateTask;
using DestroyTask = chi::DestroyTask;

/** Stores a value under a key. */
struct PutTask : public chi::Task {
  /** The key. */
  IN hipc::string key_;
  /** The value. */
  IN hipc::vector<char> value_;
  /** 1 when there was a value before. */
  OUT chi::u32 replaced_ = 0;
  /** Zero. */
  chi::u32 reserved_ = 0;

  /** SHM default constructor */
  explicit PutTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), key_(alloc), value_(alloc) {}

  /** Emplace constructor */
  PutTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
          const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, std::string_view key,
          std::string_view value)
      : chi::Task(alloc), key_(alloc, key), value_(alloc, value.data(), value.size()) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kPut;
    dom_query_ = dom_query;
  }
};

/** Reads the value of a key. Status: `CHI_NOT_FOUND` when there is none. */
struct GetTask : public chi::Task {
  /** The key. */
  IN hipc::string key_;
  /** The value. */
  OUT hipc::vector<char> value_;

  /** SHM default constructor */
  explicit GetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), key_(alloc), value_(alloc) {}

  /** Emplace constructor */
  GetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
          const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, std::string_view key)
      : chi::Task(alloc), key_(alloc, key), value_(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kGet;
    dom_query_ = dom_query;
  }
};

/** Removes a key. */
struct DeleteTask : public chi::Task {
  /** The key. */
  IN hipc::string key_;
  /** 1 when it was there. */
  OUT chi::u32 existed_ = 0;
  /** Zero. */
  chi::u32 reserved_ = 0;

  /** SHM default constructor */
  explicit DeleteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), key_(alloc) {}

  /** Emplace constructor */
  DeleteTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
             const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, std::string_view key)
      : chi::Task(alloc), key_(alloc, key) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kDelete;
    dom_query_ = dom_query;
  }
};

/** Lists the keys that begin with a prefix, in order. */
struct ScanTask : public chi::Task {
  /** The prefix; empty for all keys. */
  IN hipc::string prefix_;
  /** The most keys to list; 0 for all. */
  IN chi::u64 limit_ = 0;
  /** The keys. */
  OUT hipc::vector<hipc::string> keys_;

  /** SHM default constructor */
  explicit ScanTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), prefix_(alloc), keys_(alloc) {}

  /** Emplace constructor */
  ScanTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
           const chi::PoolId &pool_id, const chi::DomainQuery &dom_query, std::string_view prefix,
           chi::u64 limit)
      : chi::Task(alloc), prefix_(alloc, prefix), limit_(limit), keys_(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kScan;
    dom_query_ = dom_query;
  }
};

/** Counts the keys. */
struct CountTask : public chi::Task {
  /** How many there are. */
  OUT chi::u64 count_ = 0;

  /** SHM default constructor */
  explicit CountTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}

  /** Emplace constructor */
  CountTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
            const chi::PoolId &pool_id, const chi::DomainQuery &dom_query)
      : chi::Task(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kCount;
    dom_query_ = dom_query;
  }
};

}  // namespace chimaera::kv

#endif  // CHIMAERA_KV_TASKS_H_
