/* The tasks of example:mod_name, a compressor. */
#ifndef EXAMPLE_MOD_NAME_TASKS_H_
#define EXAMPLE_MOD_NAME_TASKS_H_

#include <string_view>

#include "chimaera/chimaera.h"
#include "mod_name_methods.h"

namespace example::mod_name {

using CreateTask = chi::CreateTask;
using DestroyTask = chi::DestroyTask;

/** What a pool is created with. */
struct Params {
  /** zstd's level for tasks that name none, from its lowest to its highest (-131072 to 22). */
  chi::i32 level_ = 3;

  template <typename Ar>
  void serialize(Ar &ar) {
    ar(level_);
  }

  /** The names that a command line has for them. */
  template <typename Fields>
  void named(Fields &fields) {
    fields("level", level_);
  }
};

/** The CompressTask task: makes one zstd frame of bytes. */
struct CompressTask : public chi::Task {
  /** zstd's level, from its lowest to its highest (-131072 to 22); 0 means the pool's. */
  IN chi::i32 level_ = 0;
  /** Zero. */
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

  /** What the method reads. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(level_, data_);
  }
  /** What the method writes. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(output_);
  }
};

/** The DecompressTask task: the bytes of zstd frames. */
struct DecompressTask : public chi::Task {
  /** Refuse to inflate beyond so many bytes. */
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

  /** What the method reads. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(max_size_, data_);
  }
  /** What the method writes. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(output_);
  }
};

}  // namespace example::mod_name

#endif  // EXAMPLE_MOD_NAME_TASKS_H_
