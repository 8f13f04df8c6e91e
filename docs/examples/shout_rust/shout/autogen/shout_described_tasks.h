// clang-format off
/* The tasks of hello:shout that its YAML describes. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_SHOUT_DESCRIBED_TASKS_H_
#define HELLO_SHOUT_DESCRIBED_TASKS_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "chimaera/chimaera.h"
#include "shout_methods.h"

namespace hello::shout {

/** Makes a text loud. */
struct ShoutTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x400;

  /** What to say. */
  IN hipc::string text_;
  /** The same in capitals. */
  OUT hipc::string loud_;

  /** SHM default constructor */
  explicit ShoutTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), text_(alloc), loud_(alloc) {}

  /** Emplace constructor */
  explicit ShoutTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query,
      std::string_view text)
      : ShoutTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kShout;
    dom_query_ = dom_query;
    text_ = text;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(text_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(loud_);
  }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(ShoutTask) == 144, "size differs from the other languages");
static_assert(offsetof(ShoutTask, text_) == 64, "offset differs from the other languages");
static_assert(offsetof(ShoutTask, loud_) == 104, "offset differs from the other languages");
#pragma GCC diagnostic pop

}  // namespace hello::shout

#endif  // HELLO_SHOUT_DESCRIBED_TASKS_H_
