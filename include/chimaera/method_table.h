/* chi::MethodTable: a module's description of its methods. Only in modules. */
#ifndef CHIMAERA_METHOD_TABLE_H_
#define CHIMAERA_METHOD_TABLE_H_

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

#include "chimaera/fingerprint.h"
#include "chimaera/task.h"
#include "chimaera/task_serializers.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

using FieldLayouts = std::vector<chi_field_layout>;

/* Constructs one object with a recorder, and makes layouts from the recorded fields, at every
 * depth. The tables go to `store`, whose elements never move. */
inline FieldLayouts RecordLayout(std::deque<FieldLayouts> &store, std::size_t size,
                                 hipc::detail::ConstructElement construct, u32 depth) {
  if (depth > CHI_MAX_FIELD_DEPTH) {
    throw Error(CHI_UNSUPPORTED, "vectors are nested more than " +
                                     std::to_string(CHI_MAX_FIELD_DEPTH) + " levels deep");
  }
  hipc::detail::LayoutRecorder recorder;
  struct Free {
    void operator()(char *p) const { ::operator delete (p, std::align_val_t{CHI_TASK_ALIGN}); }
  };
  std::unique_ptr<char, Free> object(
      static_cast<char *>(::operator new (size, std::align_val_t{CHI_TASK_ALIGN})));
  std::memset(object.get(), 0, size);
  {
    struct Active {
      explicit Active(hipc::detail::LayoutRecorder *r) { hipc::detail::g_recorder = r; }
      ~Active() { hipc::detail::g_recorder = nullptr; }
    } active(&recorder);
    construct(object.get(), &recorder);
  }
  FieldLayouts fields;
  for (const hipc::detail::SeenField &seen : recorder.seen()) {
    const std::size_t offset = reinterpret_cast<std::uintptr_t>(seen.address) -
                               reinterpret_cast<std::uintptr_t>(object.get());
    if (offset >= size) continue; /* A temporary of the constructor's. */
    chi_field_layout field{};
    field.offset_ = static_cast<u32>(offset);
    field.kind_ = seen.kind;
    field.elem_size_ = seen.elem_size;
    field.elem_align_ = seen.elem_align;
    if (seen.construct_elem != nullptr) {
      FieldLayouts inner = RecordLayout(store, seen.elem_size, seen.construct_elem, depth + 1);
      if (inner.empty()) {
        throw Error(CHI_UNSUPPORTED,
                    "the elements of a hipc vector have their own copy constructor, but contain no "
                    "hipc strings or vectors: only plain values can be shared");
      }
      store.push_back(std::move(inner));
      field.elem_fields_ = store.back().data();
      field.n_elem_fields_ = static_cast<u32>(store.back().size());
    }
    fields.push_back(field);
  }
  std::sort(fields.begin(), fields.end(), [](const chi_field_layout &a, const chi_field_layout &b) {
    return a.offset_ < b.offset_;
  });
  return fields;
}

}  // namespace detail

/** A module's description of its methods for the runtime: number, name, and the layout of each
 * task, which is found by constructing one. Filled by `DescribeMethods`, which
 * autogen/<module>_lib_exec.h defines. Used by one thread, while the module loads. */
class MethodTable {
 public:
  /** Adds a method that runs tasks of type `TaskT`. `monitored`, `has_del` and `aggregated` say
   * whether the module defines a monitor, a Del and an Aggregate for it. */
  template <typename TaskT>
  void Add(u32 number, const char *name, bool monitored, bool has_del, bool aggregated = false) {
    using Alloc = hipc::CtxAllocator<CHI_ALLOC_T>;
    static_assert(detail::TaskRules<TaskT>::kKept);
    static_assert(std::is_constructible_v<TaskT, const Alloc &>,
                  "a task needs the constructor TaskT(const hipc::CtxAllocator<CHI_ALLOC_T> &)");
    const auto construct = [](void *where, hipc::detail::LayoutRecorder *recorder) {
      const chi_task header{};
      ::new (where) TaskT(Alloc(static_cast<chi_task *>(where), sizeof(TaskT), header, recorder));
    };
    fields_.push_back(detail::RecordLayout(fields_, sizeof(TaskT), construct, 1));
    const u32 fingerprint = detail::FingerprintOf<TaskT>();
    chi_method method{};
    method.number_ = number;
    method.flags_ = CHI_METHOD_SUPPORTED | (monitored ? CHI_METHOD_MONITORED : 0) |
                    (kSerialized<TaskT> ? CHI_METHOD_SERIALIZED : 0) |
                    (aggregated ? CHI_METHOD_AGGREGATED : 0) |
                    (fingerprint == 0 || detail::kDescribed<TaskT> ? 0 : CHI_METHOD_DECLARED) |
                    fingerprint << CHI_METHOD_DESCRIPTION_SHIFT;
    method.name_ = name;
    method.task_size_ = sizeof(TaskT);
    method.n_fields_ = static_cast<u32>(fields_.back().size());
    method.fields_ = fields_.back().empty() ? nullptr : fields_.back().data();
    methods_.push_back(method);
    has_del_ = has_del_ || has_del;
  }

  /** Adds a method that chimaera_mod.yaml declares as unsupported. */
  void AddUnsupported(u32 number, const char *name) {
    chi_method method{};
    method.number_ = number;
    method.name_ = name;
    methods_.push_back(method);
  }

  /** Marks a method that has been added as idempotent, as chimaera_mod.yaml says: its tasks may run
   * twice, also after later ones, and that changes nothing. */
  void SetIdempotent(u32 number) {
    for (chi_method &method : methods_) {
      if (method.number_ == number) method.flags_ |= CHI_METHOD_IDEMPOTENT;
    }
  }

  /** What the module says of its tasks: JSON that lives as long as the process. Generated from
   * chimaera_mod.yaml. */
  void Describe(const char *json) { description_ = json; }

  /** What the module says of its tasks, or null. */
  const char *description() const { return description_; }

  /** Marks every method as monitored, because the container overrides Monitor. */
  void MonitorAll() { FlagAll(CHI_METHOD_MONITORED); }

  /** Marks every method as aggregated, because the container overrides Aggregate. */
  void AggregateAll() { FlagAll(CHI_METHOD_AGGREGATED); }

  /** Marks no method as serialised, because there is no function that dispatches the serialisers.
   * */
  void SerializeNone() {
    for (chi_method &method : methods_) method.flags_ &= ~chi::u32{CHI_METHOD_SERIALIZED};
  }

  /** The methods. */
  const std::vector<chi_method> &methods() const { return methods_; }
  /** True when the module defines a Del for any method. */
  bool has_del() const { return has_del_; }

 private:
  void FlagAll(u32 flag) {
    for (chi_method &method : methods_) {
      if ((method.flags_ & CHI_METHOD_SUPPORTED) != 0) method.flags_ |= flag;
    }
  }

  std::vector<chi_method> methods_;
  std::deque<detail::FieldLayouts> fields_;
  bool has_del_ = false;
  const char *description_ = nullptr;
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_METHOD_TABLE_H_
