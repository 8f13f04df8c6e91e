/* The tasks of example:mod_name, a compressor. */
#ifndef EXAMPLE_MOD_NAME_TASKS_H_
#define EXAMPLE_MOD_NAME_TASKS_H_

#include <string_view>

#include "chimaera/chimaera.h"
#include "mod_name_methods.h"

namespace example::mod_name {

using CreateTask = chi::CreateTask;
using DestroyTask = chi::DestroyTask;

/** The parameters of a pool. */
struct Params {
  /** The zstd level of tasks that do not set one, from the lowest to the highest (-131072 to
   * 22). */
  chi::i32 level_ = 3;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(level_);
  }

  /** Their names on a command line. */
  template <typename Fields>
  void named(Fields &fields) {
    fields("level", level_);
  }
};

/** The CompressTask task: compresses bytes into one zstd frame. */
struct CompressTask : public chi::Task {
  /** The zstd level, from the lowest to the highest (-131072 to 22); 0 means the pool's. */
  IN chi::i32 level_ = 0;
  /** Padding; zero. */
  chi::u32 reserved_ = 0;
  /** The bytes. */
  IN hipc::vector<char> data_;
  /** The frame. */
  OUT hipc::vector<char> output_;

  /** SHM default constructor */
  explicit CompressTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), data_(alloc), output_(alloc) {}

  /** Emplace constructor */
  explicit CompressTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc,
                        const chi::TaskNode &task_node, const chi::PoolId &pool_id,
                        const chi::DomainQuery &dom_query, std::string_view data,
                        chi::i32 level = 0)
      : chi::Task(alloc), level_(level), data_(alloc, data.data(), data.size()), output_(alloc) {
    // Initialize task
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kCompress;
    task_flags_.SetBits(0);
    dom_query_ = dom_query;
  }

  /** The fields that the method reads. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(level_, data_);
  }
  /** The fields that the method writes. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(output_);
  }
};

/** The DecompressTask task: decompresses zstd frames. */
struct DecompressTask : public chi::Task {
  /** The limit for the decompressed bytes; more are refused. */
  IN chi::u64 max_size_ = 0;
  /** The frames. */
  IN hipc::vector<char> data_;
  /** The bytes. */
  OUT hipc::vector<char> output_;

  /** SHM default constructor */
  explicit DecompressTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), data_(alloc), output_(alloc) {}

  /** Emplace constructor */
  explicit DecompressTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc,
                          const chi::TaskNode &task_node, const chi::PoolId &pool_id,
                          const chi::DomainQuery &dom_query, std::string_view data,
                          chi::u64 max_size)
      : chi::Task(alloc),
        max_size_(max_size),
        data_(alloc, data.data(), data.size()),
        output_(alloc) {
    // Initialize task
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kDecompress;
    task_flags_.SetBits(0);
    dom_query_ = dom_query;
  }

  /** The fields that the method reads. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(max_size_, data_);
  }
  /** The fields that the method writes. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(output_);
  }
};

}  // namespace example::mod_name

#endif  // EXAMPLE_MOD_NAME_TASKS_H_
