/* The client of chimaera:kv, a key-value store, for C++. */
#ifndef CHIMAERA_KV_CLIENT_H_
#define CHIMAERA_KV_CLIENT_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chimaera/chimaera.h"
#include "kv_tasks.h"

namespace chimaera::kv {

using CreateTask = chi::CreateTask;
using DestroyTask = chi::DestroyTask;

/** When a store with a path makes durable what was put and deleted. */
enum class Sync : chi::u8 {
  /** Before the put or delete ends. */
  kAlways = 0,
  /** Before a later flush ends. */
  kFlush = 1,
  /** When its pool is destroyed or the runtime stops, as far as the operating system does it. */
  kNone = 2,
};

/** The parameters of a store. */
struct Params {
  /** Limit for the bytes of all keys and values of the pool; none for no limit. With a device, the
   * values count as what memory holds of them. */
  std::optional<chi::u64> max_bytes_;
  /** The pool of chimaera:bdev that stores the values; empty for memory. */
  std::string device_;
  /** The pool of example:mod_name that compresses the values; empty for none. Requires a device. */
  std::string compressor_;
  /** The absolute path of the file that keeps keys and values, or of a directory to keep it in;
   * empty for none. The file is created if it does not exist. */
  std::string path_;
  /** When what was put and deleted is durable. Requires a path. */
  Sync sync_ = Sync::kAlways;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(max_bytes_, device_, compressor_, path_, sync_);
  }
};

/** A key-value store in the runtime. All calls throw chi::Error; any thread. The caller owns the
 * tasks of the async forms.
 *
 *     chimaera::kv::Client kv;
 *     kv.Create(HSHM_MCTX, "settings");
 *     auto query = chi::DomainQuery::Dynamic();
 *     kv.Put(HSHM_MCTX, query, "colour", "green");
 *     std::string colour = kv.Get(HSHM_MCTX, query, "colour");
 */
class Client : public chi::PoolClient<Client, Params> {
 public:
  /** The module's name. */
  static constexpr const char *kModule = "chimaera:kv";

  /** Stores `value` under `key`. Returns true if it replaced one. */
  bool Put(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query, std::string_view key,
           std::string_view value) {
    chi::OwnedTask<PutTask> task(AsyncPut(mctx, dom_query, key, value));
    Finish(task);
    return task->replaced_ != 0;
  }
  hipc::FullPtr<PutTask> AsyncPut(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                  std::string_view key, std::string_view value) {
    return CHI_IPC_MANAGER->SubmitTask<PutTask>(mctx, pool_id_, dom_query, [&](PutTask &task) {
      task.key_ = key;
      task.value_.assign(value.data(), value.size());
    });
  }

  /** Like Put, with the first `size` bytes of a buffer in shared memory
   * (`CHI_IPC_MANAGER->AllocBuffer`), which are not copied on the way to the store: it takes its
   * own copy, which is the only one. The buffer can be filled again afterwards. */
  bool PutBuffer(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                 std::string_view key, const chi_buffer &value, std::size_t size) {
    chi::OwnedTask<PutTask> task(
        CHI_IPC_MANAGER->SubmitTask<PutTask>(mctx, pool_id_, dom_query, [&](PutTask &put) {
          put.key_ = key;
          put.value_.attach(value, size);
        }));
    Finish(task);
    return task->replaced_ != 0;
  }

  /** Returns the value of `key`. Error: `CHI_NOT_FOUND`. */
  std::string Get(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                  std::string_view key) {
    /* The bytes are copied right away, so a lease is as good as a copy. */
    return std::string(GetLease(mctx, dom_query, key).view());
  }
  /** Like Get, without a copy where the store has published the value, as one in memory does from
   * 1024 bytes up: puts and deletes of the key do not change what is on lease. */
  chi::Lease<GetTask> GetLease(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                               std::string_view key) {
    const auto get = [&] {
      chi::OwnedTask<GetTask> task(
          CHI_IPC_MANAGER->SubmitTask<GetTask>(mctx, pool_id_, dom_query, [&](GetTask &made) {
            made.key_ = key;
            made.SetTakesLeases();
          }));
      task->Wait();
      return task;
    };
    auto task = get();
    /* It is too large for the segment; but the memory in which the store has it may be mapped by
     * now. */
    if (task->GetStatus() == CHI_NO_SPACE || task->GetStatus() == CHI_TOO_LARGE) {
      /* Deleting it has mapped the memory. */
      task = chi::OwnedTask<GetTask>(hipc::FullPtr<GetTask>());
      task = get();
    }
    Finish(task);
    return chi::Lease<GetTask>(std::move(task), &GetTask::value_);
  }
  hipc::FullPtr<GetTask> AsyncGet(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                  std::string_view key) {
    return CHI_IPC_MANAGER->SubmitTask<GetTask>(mctx, pool_id_, dom_query,
                                                [&](GetTask &task) { task.key_ = key; });
  }

  /** Removes `key`. Returns true if it existed. */
  bool Delete(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
              std::string_view key) {
    chi::OwnedTask<DeleteTask> task(AsyncDelete(mctx, dom_query, key));
    Finish(task);
    return task->existed_ != 0;
  }
  hipc::FullPtr<DeleteTask> AsyncDelete(const hipc::MemContext &mctx,
                                        const chi::DomainQuery &dom_query, std::string_view key) {
    return CHI_IPC_MANAGER->SubmitTask<DeleteTask>(mctx, pool_id_, dom_query,
                                                   [&](DeleteTask &task) { task.key_ = key; });
  }

  /** The keys that begin with `prefix`, in order, at most `limit` (0: all), as they were at one
   * moment, over all containers. With a query for one container, only its own. */
  std::vector<std::string> Scan(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                std::string_view prefix, chi::u64 limit = 0) {
    chi::OwnedTask<ScanTask> task(AsyncScan(mctx, dom_query, prefix, limit));
    Finish(task);
    std::vector<std::string> keys;
    keys.reserve(task->keys_.size());
    for (const hipc::string &key : task->keys_) keys.push_back(key.str());
    return keys;
  }
  hipc::FullPtr<ScanTask> AsyncScan(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                    std::string_view prefix, chi::u64 limit = 0) {
    return CHI_IPC_MANAGER->SubmitTask<ScanTask>(mctx, pool_id_, dom_query, [&](ScanTask &task) {
      task.prefix_ = prefix;
      task.limit_ = limit;
    });
  }

  /** The number of keys. Otherwise like Scan. */
  chi::u64 Count(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) {
    chi::OwnedTask<CountTask> task(AsyncCount(mctx, dom_query));
    Finish(task);
    return task->count_;
  }
  hipc::FullPtr<CountTask> AsyncCount(const hipc::MemContext &mctx,
                                      const chi::DomainQuery &dom_query) {
    return CHI_IPC_MANAGER->SubmitTask<CountTask>(mctx, pool_id_, dom_query);
  }

  /** Makes durable what was put and deleted before, so that it survives a crash and a power loss.
   * Errors: `CHI_UNSUPPORTED` for a store without a path or with `Sync::kNone`; `CHI_IO`,
   * `CHI_NO_SPACE`. */
  void Flush(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) {
    chi::OwnedTask<FlushTask> task(AsyncFlush(mctx, dom_query));
    Finish(task);
  }
  hipc::FullPtr<FlushTask> AsyncFlush(const hipc::MemContext &mctx,
                                      const chi::DomainQuery &dom_query) {
    return CHI_IPC_MANAGER->SubmitTask<FlushTask>(mctx, pool_id_, dom_query);
  }

  /** The size of the store and its counters. */
  Stats GetStats(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) {
    chi::OwnedTask<StatsTask> task(AsyncGetStats(mctx, dom_query));
    Finish(task);
    return task->stats_;
  }
  hipc::FullPtr<StatsTask> AsyncGetStats(const hipc::MemContext &mctx,
                                         const chi::DomainQuery &dom_query) {
    return CHI_IPC_MANAGER->SubmitTask<StatsTask>(mctx, pool_id_, dom_query);
  }

  /** Shortens the file as far as its contents allow, and returns by how many bytes. All else waits
   * meanwhile. Errors: `CHI_UNSUPPORTED` for a store without a path; `CHI_IO`, `CHI_NO_SPACE`. */
  chi::u64 Compact(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) {
    chi::OwnedTask<CompactTask> task(AsyncCompact(mctx, dom_query));
    Finish(task);
    return task->bytes_;
  }
  hipc::FullPtr<CompactTask> AsyncCompact(const hipc::MemContext &mctx,
                                          const chi::DomainQuery &dom_query) {
    return CHI_IPC_MANAGER->SubmitTask<CompactTask>(mctx, pool_id_, dom_query);
  }
};

}  // namespace chimaera::kv

#endif  // CHIMAERA_KV_CLIENT_H_
