/* The client of chimaera:bdev, a block device, for C++. */
#ifndef CHIMAERA_BDEV_CLIENT_H_
#define CHIMAERA_BDEV_CLIENT_H_

#include <string>
#include <string_view>
#include <vector>

#include "bdev_tasks.h"
#include "chimaera/chimaera.h"

namespace chimaera::bdev {

using CreateTask = chi::CreateTask;
using DestroyTask = chi::DestroyTask;

/** How to access a file. */
enum class Io : chi::u8 {
  /** With io_uring if the operating system allows it, else like kPosix. */
  kAuto = 0,
  kUring = 1,
  /** With pread and pwrite, on a few threads. */
  kPosix = 2,
};

/** The parameters of a device. */
struct Params {
  /** The absolute path of an existing regular file, an empty one or one that is a device; empty for
   * memory. */
  std::string path_;
  /** Block size in bytes: a power of two, 512 to 16 MiB. */
  chi::u32 block_size_ = 4096;
  /** Number of blocks; 0 means as many as the file has, or 16384 in memory. A device in a file that
   * has fewer grows to this number. */
  chi::u64 blocks_ = 0;
  Io io_ = Io::kAuto;
  /** Bypass the page cache, if the file system supports it. */
  bool direct_ = false;
  /** A write completes only when its data is durable. */
  bool sync_ = false;
  /** Each block has a checksum; one that does not match it is never returned. */
  bool checksum_ = false;
  /** The number of blocks to which a new file can grow; 0 means four times as many as it has. */
  chi::u64 capacity_ = 0;
  /** The UUID that the file must have, or gets; empty means any. */
  std::string uuid_;
  /** A file that has contents but is not a device becomes one, and its contents are lost. */
  bool overwrite_ = false;
  /** If the map of allocated blocks is corrupt, take the blocks whose state is unknown for
   * allocated. */
  bool repair_ = false;
  /** Blocks with an owner are free again when the client that allocated them is gone. */
  bool reclaim_ = false;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(path_, block_size_, blocks_, io_, direct_, sync_, checksum_, capacity_, uuid_, overwrite_,
       repair_, reclaim_);
  }
};

/** A block device. All calls throw chi::Error; any thread. The caller owns the tasks of the async
 * forms.
 *
 *     chimaera::bdev::Client device;
 *     device.Create(HSHM_MCTX, "scratch");
 *     auto query = chi::DomainQuery::Dynamic();
 *     std::vector<chimaera::bdev::Extent> extents = device.Allocate(HSHM_MCTX, query, 1);
 *     device.Write(HSHM_MCTX, query, extents[0].block_, std::string(4096, 'x'));
 *     std::string again = device.Read(HSHM_MCTX, query, extents[0].block_, 1);
 */
class Client : public chi::PoolClient<Client, Params> {
 public:
  /** The module's name. */
  static constexpr const char *kModule = "chimaera:bdev";

  /** Allocates `count` blocks, in as few extents as possible. */
  std::vector<Extent> Allocate(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                               chi::u64 count) {
    chi::OwnedTask<AllocateTask> task(AsyncAllocate(mctx, dom_query, count));
    Finish(task);
    return std::vector<Extent>(task->extents_.begin(), task->extents_.end());
  }
  hipc::FullPtr<AllocateTask> AsyncAllocate(const hipc::MemContext &mctx,
                                            const chi::DomainQuery &dom_query, chi::u64 count) {
    return CHI_IPC_MANAGER->SubmitTask<AllocateTask>(
        mctx, pool_id_, dom_query, [&](AllocateTask &task) { task.count_ = count; });
  }

  /** Allocates blocks for an owner, any number except 0. They are free again when the owner is
   * released, and when the device is opened again. */
  std::vector<Extent> AllocateFor(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                  chi::u64 owner, chi::u64 count) {
    chi::OwnedTask<AllocateTask> task(AsyncAllocateFor(mctx, dom_query, owner, count));
    Finish(task);
    return std::vector<Extent>(task->extents_.begin(), task->extents_.end());
  }
  hipc::FullPtr<AllocateTask> AsyncAllocateFor(const hipc::MemContext &mctx,
                                               const chi::DomainQuery &dom_query, chi::u64 owner,
                                               chi::u64 count) {
    return CHI_IPC_MANAGER->SubmitTask<AllocateTask>(mctx, pool_id_, dom_query,
                                                     [&](AllocateTask &task) {
                                                       task.count_ = count;
                                                       task.owner_ = owner;
                                                     });
  }

  /** Frees the blocks of an owner, for example of a client that was killed, and returns their
   * number. No task on them may be in flight. */
  chi::u64 Release(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                   chi::u64 owner) {
    chi::OwnedTask<ReleaseTask> task(AsyncRelease(mctx, dom_query, owner));
    Finish(task);
    return task->blocks_;
  }
  hipc::FullPtr<ReleaseTask> AsyncRelease(const hipc::MemContext &mctx,
                                          const chi::DomainQuery &dom_query, chi::u64 owner) {
    return CHI_IPC_MANAGER->SubmitTask<ReleaseTask>(
        mctx, pool_id_, dom_query, [&](ReleaseTask &task) { task.owner_ = owner; });
  }

  /** Frees all of the blocks, or none. */
  void Free(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
            const std::vector<Extent> &extents) {
    chi::OwnedTask<FreeTask> task(AsyncFree(mctx, dom_query, extents));
    Finish(task);
  }
  hipc::FullPtr<FreeTask> AsyncFree(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                    const std::vector<Extent> &extents) {
    return CHI_IPC_MANAGER->SubmitTask<FreeTask>(mctx, pool_id_, dom_query, [&](FreeTask &task) {
      task.extents_.assign(extents.data(), extents.size());
    });
  }

  /** Reads `count` blocks, beginning at `block`. */
  std::string Read(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query, chi::u64 block,
                   chi::u64 count) {
    chi::OwnedTask<ReadTask> task(AsyncRead(mctx, dom_query, block, count));
    Finish(task);
    return std::string(task->data_.view());
  }
  hipc::FullPtr<ReadTask> AsyncRead(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                    chi::u64 block, chi::u64 count) {
    return CHI_IPC_MANAGER->SubmitTask<ReadTask>(mctx, pool_id_, dom_query, [&](ReadTask &task) {
      task.block_ = block;
      task.count_ = count;
    });
  }

  /** Writes whole blocks, beginning at `block`. */
  void Write(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query, chi::u64 block,
             std::string_view data) {
    chi::OwnedTask<WriteTask> task(AsyncWrite(mctx, dom_query, block, data));
    Finish(task);
  }
  hipc::FullPtr<WriteTask> AsyncWrite(const hipc::MemContext &mctx,
                                      const chi::DomainQuery &dom_query, chi::u64 block,
                                      std::string_view data) {
    return CHI_IPC_MANAGER->SubmitTask<WriteTask>(mctx, pool_id_, dom_query, [&](WriteTask &task) {
      task.block_ = block;
      task.data_.assign(data.data(), data.size());
    });
  }

  /** Makes completed writes, allocations and releases durable, so that they survive a crash. */
  void Flush(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) {
    chi::OwnedTask<FlushTask> task(AsyncFlush(mctx, dom_query));
    Finish(task);
  }
  hipc::FullPtr<FlushTask> AsyncFlush(const hipc::MemContext &mctx,
                                      const chi::DomainQuery &dom_query) {
    return CHI_IPC_MANAGER->SubmitTask<FlushTask>(mctx, pool_id_, dom_query);
  }

  /** Adds free blocks at the end of a device in a file, up to `blocks`, or as many as the file has
   * room for if it is 0. Returns the number of blocks that the device has now. */
  chi::u64 Grow(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query, chi::u64 blocks) {
    chi::OwnedTask<GrowTask> task(AsyncGrow(mctx, dom_query, blocks));
    Finish(task);
    return task->total_;
  }
  hipc::FullPtr<GrowTask> AsyncGrow(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query,
                                    chi::u64 blocks) {
    return CHI_IPC_MANAGER->SubmitTask<GrowTask>(mctx, pool_id_, dom_query,
                                                 [&](GrowTask &task) { task.blocks_ = blocks; });
  }

  /** The device's properties and counters. */
  Stats GetStats(const hipc::MemContext &mctx, const chi::DomainQuery &dom_query) {
    chi::OwnedTask<StatsTask> task(AsyncGetStats(mctx, dom_query));
    Finish(task);
    return task->stats_;
  }
  hipc::FullPtr<StatsTask> AsyncGetStats(const hipc::MemContext &mctx,
                                         const chi::DomainQuery &dom_query) {
    return CHI_IPC_MANAGER->SubmitTask<StatsTask>(mctx, pool_id_, dom_query);
  }
};

}  // namespace chimaera::bdev

#endif  // CHIMAERA_BDEV_CLIENT_H_
