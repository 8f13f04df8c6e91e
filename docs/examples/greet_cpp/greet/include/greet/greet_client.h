#ifndef HELLO_GREET_CLIENT_H_
#define HELLO_GREET_CLIENT_H_

#include <string>

#include "greet/greet_tasks.h"

namespace hello::greet {

class Client : public chi::ContainerClient {
 public:
  void Create(const hipc::MemContext &mctx, const std::string &pool_name) {
    chi::OwnedTask<chi::CreateTask> task(AsyncCreatePool(mctx, "hello:greet", pool_name));
    task->Wait();
    task->ThrowIfFailed();
    pool_id_ = task->pool_id_;
  }

  std::string Greet(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                    const std::string &name) {
    chi::OwnedTask<GreetTask> task(
        CHI_IPC_MANAGER->SubmitTask<GreetTask>(mctx, pool_id_, dom_query, name));
    task->Wait();
    task->ThrowIfFailed();
    return task->text_.str();
  }
};

}  // namespace hello::greet

#endif  // HELLO_GREET_CLIENT_H_
