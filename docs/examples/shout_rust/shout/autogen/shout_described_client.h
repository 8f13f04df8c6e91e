// clang-format off
/* A client of hello:shout. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_SHOUT_DESCRIBED_CLIENT_H_
#define HELLO_SHOUT_DESCRIBED_CLIENT_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "chimaera/chimaera.h"
#include "shout_described_tasks.h"

namespace hello::shout {

/** Calls the described methods of a pool. All calls throw chi::Error; any thread. */
class DescribedClient : public chi::PoolClient<DescribedClient> {
 public:
  /** The module's name. */
  static constexpr const char *kModule = "hello:shout";

  /** Makes a text loud. */
  std::string Shout(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      std::string_view text) const {
    auto pending = AsyncShout(mctx, dom_query, text);
    chi::OwnedTask<ShoutTask> task(pending);
    task->Wait();
    task->ThrowIfFailed();
    std::string result{};
    result = task->loud_.str();
    return result;
  }
  /** The caller owns the task. */
  hipc::FullPtr<ShoutTask> AsyncShout(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
      std::string_view text) const {
    return CHI_IPC_MANAGER->SubmitTask<ShoutTask>(mctx, pool_id_, dom_query, text);
  }
};

}  // namespace hello::shout

#endif  // HELLO_SHOUT_DESCRIBED_CLIENT_H_
