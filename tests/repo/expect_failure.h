/* Checks for failures in the C++ clients of the tests. */
#ifndef CHIMAERA_TESTS_REPO_EXPECT_FAILURE_H_
#define CHIMAERA_TESTS_REPO_EXPECT_FAILURE_H_

#include <string>

#include "chimaera/chimaera.h"
#include "expect.h"

/** Checks that the call fails with this status and a message that contains `text`. */
template <typename Call>
void ExpectFailure(chi_status status, const std::string &text, Call call) {
  try {
    call();
    EXPECT(!"it failed");
  } catch (const chi::Error &error) {
    EXPECT(error.status() == status);
    EXPECT(std::string(error.what()).find(text) != std::string::npos);
  }
}

/** A task without fields. */
struct PlainTask : public chi::Task {
  PlainTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &,
            const chi::PoolId &pool, chi::u32 method)
      : chi::Task(alloc) {
    pool_ = pool;
    dom_query_ = chi::DomainQuery::Dynamic();
    method_ = method;
  }
};

/** Runs a task without fields. */
inline void CallMethod(const chi::PoolId &pool, chi::u32 method) {
  chi::OwnedTask<PlainTask> task(CHI_IPC_MANAGER->SubmitTask<PlainTask>(HSHM_MCTX, pool, method));
  task->Wait();
  task->ThrowIfFailed();
}

#endif  // CHIMAERA_TESTS_REPO_EXPECT_FAILURE_H_
