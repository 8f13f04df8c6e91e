/* The container of example:mod_name: zstd on the caller's bytes. */
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mod_name/mod_name_tasks.h"
#include "mod_name_lib_exec.h"

namespace example::mod_name {
namespace {

constexpr chi::QueueId kQueue = 0;

/** The state of one zstd call. The buffers are private copies: zstd is not designed for input that
 * a client changes while it is being read. */
class Workspace {
 public:
  ZSTD_CCtx *Compressor() {
    if (!compressor_) compressor_.reset(Made(ZSTD_createCCtx()));
    ZSTD_CCtx_reset(compressor_.get(), ZSTD_reset_session_and_parameters);
    return compressor_.get();
  }
  ZSTD_DCtx *Decompressor() {
    if (!decompressor_) decompressor_.reset(Made(ZSTD_createDCtx()));
    ZSTD_DCtx_reset(decompressor_.get(), ZSTD_reset_session_and_parameters);
    return decompressor_.get();
  }

  /** Copies the caller's bytes into `in`. */
  void Load(const hipc::vector<char> &bytes) { in.assign(bytes.begin(), bytes.end()); }

  /** Frees large buffers, so that one large task does not hold memory forever. */
  void Trim() {
    constexpr std::size_t kKeep = 1 << 20;
    if (in.capacity() > kKeep) std::vector<char>().swap(in);
    if (out.capacity() > kKeep) std::vector<char>().swap(out);
  }

  std::vector<char> in;
  std::vector<char> out;

 private:
  template <typename Context>
  static Context *Made(Context *context) {
    if (context == nullptr) throw chi::Error(CHI_FAILED, "out of memory for a zstd context");
    return context;
  }
  struct Free {
    void operator()(ZSTD_CCtx *context) const { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx *context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> compressor_;
  std::unique_ptr<ZSTD_DCtx, Free> decompressor_;
};

/** Workspaces that are not in use. Any thread. */
class WorkspacePool {
 public:
  /** A workspace for the duration of a scope. Do not keep it across a suspension: the worker's
   * other tasks would each create another workspace. */
  class Lease {
   public:
    explicit Lease(WorkspacePool &pool) : pool_(pool), workspace_(pool.Take()) {}
    ~Lease() { pool_.Return(std::move(workspace_)); }
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;
    Workspace *operator->() { return workspace_.get(); }

   private:
    WorkspacePool &pool_;
    std::unique_ptr<Workspace> workspace_;
  };

  /** Reserves space for `n` idle workspaces, so that returning one does not allocate. */
  explicit WorkspacePool(std::size_t n) { idle_.reserve(n); }

 private:
  std::unique_ptr<Workspace> Take() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Workspace> workspace = std::move(idle_.back());
        idle_.pop_back();
        return workspace;
      }
    }
    return std::make_unique<Workspace>();
  }

  void Return(std::unique_ptr<Workspace> workspace) {
    workspace->Trim();
    std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.size() < idle_.capacity()) idle_.push_back(std::move(workspace));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

std::string Describe(const char *what, std::size_t code) {
  return std::string(what) + ": " + ZSTD_getErrorName(code);
}

bool IsLevel(chi::i32 level) { return level >= ZSTD_minCLevel() && level <= ZSTD_maxCLevel(); }

std::string WrongLevel(chi::i32 level) {
  return "the level " + std::to_string(level) + " is not between " +
         std::to_string(ZSTD_minCLevel()) + " and " + std::to_string(ZSTD_maxCLevel());
}

chi::u32 LaneCount() { return std::max(1u, std::thread::hardware_concurrency()); }

}  // namespace

class Runtime : public chi::ContainerRuntime {
 public:
  /** Takes the parameters, and creates the lanes. */
  void Create(hipc::FullPtr<CreateTask>, const Params &params, chi::RunContext &) {
    params_ = params;
    if (!IsLevel(params_.level_)) throw chi::Error(CHI_INVALID, WrongLevel(params_.level_));
    CreateLocalQueue(kQueue, LaneCount(), chi::IntFlag());
  }

  /** Compress data */
  void Compress(hipc::FullPtr<CompressTask> task, chi::RunContext &) {
    const chi::i32 level = task->level_ == 0 ? params_.level_ : task->level_;
    if (!IsLevel(level)) return task->Fail(CHI_INVALID, WrongLevel(level));
    WorkspacePool::Lease workspace(workspaces_);
    workspace->Load(task->data_);
    workspace->out.resize(ZSTD_compressBound(workspace->in.size()));
    const std::size_t size =
        ZSTD_compressCCtx(workspace->Compressor(), workspace->out.data(), workspace->out.size(),
                          workspace->in.data(), workspace->in.size(), level);
    if (ZSTD_isError(size)) {
      return task->Fail(CHI_FAILED, Describe("compression failed", size));
    }
    task->output_.assign(workspace->out.data(), size);
  }
  void MonitorCompress(chi::MonitorModeId mode, hipc::FullPtr<CompressTask> task,
                       chi::RunContext &rctx) {
    switch (mode) {
      case chi::MonitorModeId::kLocalSchedule:
        return Spread(rctx);
      case chi::MonitorModeId::kGlobalSchedule:
        return;
      case chi::MonitorModeId::kEstLoad:
        /* About 250 MB/s at the default level on current hardware, plus the call itself. */
        rctx.est_ns_ = 5'000 + task->data_.size() * 4;
        return;
    }
  }

  /** Decompress data */
  void Decompress(hipc::FullPtr<DecompressTask> task, chi::RunContext &) {
    WorkspacePool::Lease workspace(workspaces_);
    workspace->Load(task->data_);
    workspace->out.resize(ZSTD_DStreamOutSize());
    task->output_.clear();
    const unsigned long long claimed =
        ZSTD_getFrameContentSize(workspace->in.data(), workspace->in.size());
    if (claimed != ZSTD_CONTENTSIZE_UNKNOWN && claimed != ZSTD_CONTENTSIZE_ERROR) {
      if (claimed > task->max_size_) return TooLarge(task);
      task->output_.reserve(claimed);
    }

    // Chunk by chunk, so that the size that a frame claims does not determine how much memory is
    // allocated.
    ZSTD_DCtx *context = workspace->Decompressor();
    ZSTD_inBuffer in{workspace->in.data(), workspace->in.size(), 0};
    std::size_t left = 1;
    bool full = false;
    while (in.pos < in.size || full) {
      ZSTD_outBuffer out{workspace->out.data(), workspace->out.size(), 0};
      left = ZSTD_decompressStream(context, &out, &in);
      if (ZSTD_isError(left)) {
        return task->Fail(CHI_INVALID, Describe("the data is not a valid zstd frame", left));
      }
      full = left != 0 && out.pos == out.size;
      if (out.pos > task->max_size_ - task->output_.size()) {
        return TooLarge(task);
      }
      task->output_.append(workspace->out.data(), out.pos);
    }
    if (left != 0) {
      return task->Fail(CHI_INVALID, "the data is not a valid zstd frame: it ends too early");
    }
  }
  void MonitorDecompress(chi::MonitorModeId mode, hipc::FullPtr<DecompressTask> task,
                         chi::RunContext &rctx) {
    switch (mode) {
      case chi::MonitorModeId::kLocalSchedule:
        return Spread(rctx);
      case chi::MonitorModeId::kGlobalSchedule:
        return;
      case chi::MonitorModeId::kEstLoad:
        /* About 1 GB/s of output, which is a few times the input. */
        rctx.est_ns_ = 5'000 + task->data_.size() * 3;
        return;
    }
  }

 private:
  static void TooLarge(hipc::FullPtr<DecompressTask> task) {
    task->Fail(CHI_TOO_LARGE, "the data inflates beyond the " + std::to_string(task->max_size_) +
                                  " bytes of max_size");
  }

  /** Distributes tasks over the lanes in turn: they cost about the same and need no order. */
  void Spread(chi::RunContext &rctx) {
    rctx.lane_ = GetLaneByHash(kQueue, next_lane_.fetch_add(1, std::memory_order_relaxed));
  }

  Params params_; /* Constant after `Create`. */
  std::atomic<chi::u32> next_lane_{0};
  WorkspacePool workspaces_{LaneCount()};
};

}  // namespace example::mod_name

CHI_TASK_CC(mod_name);
