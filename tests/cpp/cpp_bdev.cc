/* A C++ application with a block device: cpp_bdev NAME [PATH ENGINE] creates a device of 64 blocks
 * of 4096 bytes, uses it in every way, and passes invalid arguments. Prints a JSON line with the
 * status and the reason of a failure. */
#include <stdexcept>
#include <string>
#include <vector>

#include "bdev/bdev_client.h"
#include "report.h"

namespace {

namespace bdev = chimaera::bdev;
using chi::u64;

constexpr u64 kBlock = 4096;
constexpr u64 kBlocks = 64;
/* Statuses of the module: not enough free blocks, and a block that is not allocated. */
constexpr chi_status kDeviceFull = CHI_MODULE_STATUS;
constexpr chi_status kNotAllocated = CHI_MODULE_STATUS + 1;

void Expect(bool met, const std::string &what) {
  if (!met) throw std::runtime_error(what);
}

template <typename F>
void Refused(chi_status status, const std::string &what, F f) {
  try {
    f();
  } catch (const chi::Error &error) {
    Expect(error.status() == status, what + ": " + error.what());
    return;
  }
  throw std::runtime_error(what + " was not refused");
}

std::string Bytes(u64 size) {
  std::string bytes(size, '\0');
  for (u64 i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * i >> 9);
  return bytes;
}

class Device {
 public:
  Device(const std::string &name, const bdev::Params &params) : name_(name), params_(params) {
    device_.Create(HSHM_MCTX, name, params);
  }

  void Use() {
    const std::vector<bdev::Extent> extents = device_.Allocate(HSHM_MCTX, kAnywhere, kBlocks);
    Expect(extents.size() == 1 && extents[0].block_ == 0 && extents[0].count_ == kBlocks, "all");
    const std::string data = Bytes(3 * kBlock);
    device_.Write(HSHM_MCTX, kAnywhere, 5, data);
    Expect(Read(5, 3) == data, "reads return what was written");
    Expect(Read(6, 1) == data.substr(kBlock, kBlock), "so do reads of a part");
    Many();
    device_.Flush(HSHM_MCTX, kAnywhere);

    const bdev::Stats stats = device_.GetStats(HSHM_MCTX, kAnywhere);
    Expect(stats.block_size_ == kBlock && stats.blocks_ == kBlocks, "the size");
    Expect(stats.free_blocks_ == 0 && stats.errors_ == 0 && stats.flushes_ == 1,
           "the other statistics");
    Expect(stats.writes_ == 21 && stats.written_bytes_ == 23 * kBlock, "writes");
    Expect(stats.reads_ == 22 && stats.read_bytes_ == 24 * kBlock, "reads");

    bdev::Client again;
    again.Create(HSHM_MCTX, name_, params_);
    Expect(again.pool_id_ == device_.pool_id_, "the same name finds the same device");
    params_.block_size_ = 8192;
    Refused(CHI_EXISTS, "the same name with other blocks",
            [&] { again.Create(HSHM_MCTX, name_, params_); });
  }

  void Misuse() {
    const std::string data = Bytes(kBlock);
    Refused(kDeviceFull, "one more", [&] { device_.Allocate(HSHM_MCTX, kAnywhere, 1); });
    RefuseWrite(0, data.substr(0, 100));
    RefuseWrite(0, "");
    RefuseWrite(kBlocks, data);
    RefuseWrite(~u64{0}, data);
    RefuseRead(kBlocks - 1, 2);
    RefuseRead(~u64{0}, 1);
    RefuseRead(0, 0);
    RefuseRead(0, ~u64{0});
    Refused(kNotAllocated, "a block twice", [&] { Free({{1, 2}, {2, 1}}); });
    Refused(CHI_INVALID, "a block beyond the device", [&] { Free({{kBlocks, 1}}); });
    Refused(CHI_INVALID, "an empty extent", [&] { Free({{0, 0}}); });
    Free({{10, 1}, {12, 3}});
    Refused(kNotAllocated, "a free block", [&] { Read(10, 1); });
    Expect(device_.Allocate(HSHM_MCTX, kAnywhere, 4).size() == 2, "two extents");
    Free({{0, kBlocks}});
    Refused(kNotAllocated, "all twice", [&] { Free({{0, kBlocks}}); });
    device_.AllocateFor(HSHM_MCTX, kAnywhere, 7, 5);
    Expect(device_.Release(HSHM_MCTX, kAnywhere, 8) == 0, "another owner has no blocks");
    Expect(device_.Release(HSHM_MCTX, kAnywhere, 7) == 5, "an owner's blocks");
    Refused(CHI_INVALID, "nobody", [&] { device_.Release(HSHM_MCTX, kAnywhere, 0); });
    Expect(device_.GetStats(HSHM_MCTX, kAnywhere).free_blocks_ == kBlocks, "all are free");
    if (params_.path_.empty()) {
      Refused(CHI_UNSUPPORTED, "growing", [&] { device_.Grow(HSHM_MCTX, kAnywhere, 0); });
    } else {
      Expect(device_.Grow(HSHM_MCTX, kAnywhere, kBlocks + 9) == kBlocks + 9, "growing");
    }
    device_.Destroy(HSHM_MCTX);
    Refused(CHI_NO_POOL, "no device", [&] { device_.Flush(HSHM_MCTX, kAnywhere); });

    bdev::Params wrong;
    wrong.block_size_ = 1000;
    bdev::Client none;
    Refused(CHI_INVALID, "odd blocks", [&] { none.Create(HSHM_MCTX, "wrong", wrong); });
    wrong = bdev::Params();
    wrong.path_ = "/nowhere/at/all";
    Refused(CHI_NOT_FOUND, "no file", [&] { none.Create(HSHM_MCTX, "wrong", wrong); });
  }

 private:
  const chi::DomainQuery kAnywhere = chi::DomainQuery::Dynamic();

  std::string Read(u64 block, u64 count) {
    return device_.Read(HSHM_MCTX, kAnywhere, block, count);
  }

  void Free(const std::vector<bdev::Extent> &extents) {
    device_.Free(HSHM_MCTX, kAnywhere, extents);
  }

  void RefuseWrite(u64 block, const std::string &data) {
    Refused(CHI_INVALID, "a write of " + std::to_string(data.size()) + " bytes",
            [&] { device_.Write(HSHM_MCTX, kAnywhere, block, data); });
  }

  void RefuseRead(u64 block, u64 count) {
    Refused(CHI_INVALID, "a read of " + std::to_string(count) + " blocks",
            [&] { Read(block, count); });
  }

  /* Twenty writes at once, and then as many reads. */
  void Many() {
    std::vector<hipc::FullPtr<bdev::WriteTask>> writes;
    std::vector<hipc::FullPtr<bdev::ReadTask>> reads;
    for (u64 block = 20; block < 40; ++block) {
      writes.push_back(
          device_.AsyncWrite(HSHM_MCTX, kAnywhere, block, std::string(kBlock, char(block))));
    }
    for (const auto &write : writes) {
      write->Wait();
      write->ThrowIfFailed();
      CHI_IPC_MANAGER->DelTask(write);
    }
    for (u64 block = 20; block < 40; ++block) {
      reads.push_back(device_.AsyncRead(HSHM_MCTX, kAnywhere, block, 1));
    }
    for (const auto &read : reads) {
      const chi::OwnedTask<bdev::ReadTask> owned(read);
      read->Wait();
      read->ThrowIfFailed();
      Expect(read->data_.view() == std::string(kBlock, char(read->block_)),
             "each reads its own block");
    }
  }

  std::string name_;
  bdev::Params params_;
  bdev::Client device_;
};

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2 && argc != 4) return 2;
  return Report([&] {
    bdev::Params params;
    params.blocks_ = kBlocks;
    if (argc == 4) {
      params.path_ = argv[2];
      params.io_ = std::string(argv[3]) == "posix" ? bdev::Io::kPosix : bdev::Io::kUring;
    }
    const chi::Session session;
    Device device(argv[1], params);
    device.Use();
    device.Misuse();
  });
}
