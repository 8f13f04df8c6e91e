// clang-format off
/* A client of hello:greet. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_GREET_DESCRIBED_CLIENT_H_
#define HELLO_GREET_DESCRIBED_CLIENT_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "chimaera/chimaera.h"
#include "greet_described_tasks.h"

namespace hello::greet {

/** Calls the described methods of a pool. All calls throw chi::Error; any thread. */
class DescribedClient : public chi::PoolClient<DescribedClient> {
 public:
  /** The module's name. */
  static constexpr const char *kModule = "hello:greet";

  /** Makes a greeting of a name. */
  std::string Greet(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      std::string_view name) const {
    auto pending = AsyncGreet(mctx, dom_query, name);
    chi::OwnedTask<GreetTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    std::string result{};
    result = task->text_.str();
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<GreetTask> AsyncGreet(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      std::string_view name) const {
    return CHI_IPC_MANAGER->SubmitTask<GreetTask>(mctx, pool_id_, dom_query, name);
  }
};

}  // namespace hello::greet

#endif  // HELLO_GREET_DESCRIBED_CLIENT_H_
