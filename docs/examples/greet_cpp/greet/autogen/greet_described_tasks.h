// clang-format off
/* The tasks of hello:greet that its YAML describes. Generated from chimaera_mod.yaml; do not edit. */
#ifndef HELLO_GREET_DESCRIBED_TASKS_H_
#define HELLO_GREET_DESCRIBED_TASKS_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "chimaera/chimaera.h"
#include "greet_methods.h"

namespace hello::greet {

/** Makes a greeting of a name. */
struct GreetTask : public chi::Task {
  /** The fingerprint of the description: a module refuses tasks of another one. */
  CLS_CONST chi::u32 kDescription = 0x6448;

  /** Whom to greet. */
  IN hipc::string name_;
  /** The greeting. */
  OUT hipc::string text_;

  /** SHM default constructor */
  explicit GreetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), name_(alloc), text_(alloc) {}

  /** Emplace constructor */
  explicit GreetTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::TaskNode &task_node,
      const chi::PoolId &pool_id, const chi::DomainQuery &dom_query,
      std::string_view name)
      : GreetTask(alloc) {
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::kGreet;
    dom_query_ = dom_query;
    name_ = name;
  }

  /** Sends what the caller sets. */
  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(name_);
  }

  /** Sends what the method returns. */
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(text_);
  }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(sizeof(GreetTask) == 144, "size differs from the other languages");
static_assert(offsetof(GreetTask, name_) == 64, "offset differs from the other languages");
static_assert(offsetof(GreetTask, text_) == 104, "offset differs from the other languages");
#pragma GCC diagnostic pop

}  // namespace hello::greet

#endif  // HELLO_GREET_DESCRIBED_TASKS_H_
