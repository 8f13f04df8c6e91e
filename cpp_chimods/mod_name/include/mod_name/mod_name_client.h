/* The client of example:mod_name. */
#ifndef EXAMPLE_MOD_NAME_CLIENT_H_
#define EXAMPLE_MOD_NAME_CLIENT_H_

#include <string>
#include <string_view>

#include "chimaera/chimaera.h"
#include "mod_name/mod_name_tasks.h"

namespace example::mod_name {

/** The module's name. Defined in the library example::mod_name_client. */
HSHM_DLL extern const char *const kModuleName;

/** Compresses and decompresses bytes in the runtime. All calls throw chi::Error; any thread.
 *
 *     example::mod_name::Client client;
 *     client.Create(HSHM_MCTX, "my_compressor");
 *     auto query = chi::DomainQuery::Dynamic();
 *     std::string frame = client.Compress(HSHM_MCTX, query, "a text, a text, a text");
 *     std::string text = client.Decompress(HSHM_MCTX, query, frame, 1 << 20);
 */
class Client : public chi::ContainerClient {
 public:
  /** Create a pool of mod_name, or find the pool of this name. Stores its id. */
  void Create(const hipc::MemContext &mctx, const std::string &pool_name,
              const Params &params = Params()) {
    chi::OwnedTask<CreateTask> task(AsyncCreate(mctx, pool_name, params));
    task->Wait();
    task->ThrowIfFailed();
    pool_id_ = task->pool_id_;
  }
  hipc::FullPtr<CreateTask> AsyncCreate(const hipc::MemContext &mctx, const std::string &pool_name,
                                        const Params &params = Params()) {
    return AsyncCreatePool(mctx, kModuleName, pool_name, chi::ParamsToBytes(params));
  }

  /** Destroy the pool. */
  void Destroy(const hipc::MemContext &mctx) {
    chi::OwnedTask<DestroyTask> task(AsyncDestroy(mctx));
    task->Wait();
    task->ThrowIfFailed();
    pool_id_ = chi::PoolId();
  }
  hipc::FullPtr<DestroyTask> AsyncDestroy(const hipc::MemContext &mctx) {
    return AsyncDestroyPool(mctx, pool_id_);
  }

  /** Compresses `data` into one zstd frame at `level` (0: the pool's). Error: `CHI_INVALID`
   * (level). */
  std::string Compress(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                       std::string_view data, chi::i32 level = 0) {
    chi::OwnedTask<CompressTask> task(AsyncCompress(mctx, dom_query, data, level));
    task->Wait();
    task->ThrowIfFailed();
    return std::string(task->output_.view());
  }
  /** The caller owns the task. */
  hipc::FullPtr<CompressTask> AsyncCompress(const hipc::MemContext &mctx,
                                            const chi::DomainQuery &dom_query,
                                            std::string_view data, chi::i32 level = 0) {
    auto *ipc_manager = CHI_IPC_MANAGER;
    return ipc_manager->SubmitTask<CompressTask>(mctx, pool_id_, dom_query, data, level);
  }

  /** Decompresses the zstd frames in `data`. Errors: `CHI_INVALID` (not zstd, or damaged),
   * `CHI_TOO_LARGE` (more than `max_size` bytes). */
  std::string Decompress(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                         std::string_view data, chi::u64 max_size) {
    chi::OwnedTask<DecompressTask> task(AsyncDecompress(mctx, dom_query, data, max_size));
    task->Wait();
    task->ThrowIfFailed();
    return std::string(task->output_.view());
  }
  /** The caller owns the task. */
  hipc::FullPtr<DecompressTask> AsyncDecompress(const hipc::MemContext &mctx,
                                                const chi::DomainQuery &dom_query,
                                                std::string_view data, chi::u64 max_size) {
    auto *ipc_manager = CHI_IPC_MANAGER;
    return ipc_manager->SubmitTask<DecompressTask>(mctx, pool_id_, dom_query, data, max_size);
  }
};

}  // namespace example::mod_name

#endif  // EXAMPLE_MOD_NAME_CLIENT_H_
