// refused: a raw pointer cannot be serialised: it means nothing in another process.
#include "chimaera/task_serializers.h"

struct BadTask : public chi::Task {
  IN char *start_ = nullptr;

  explicit BadTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}

  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(start_);
  }
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

void Send(hipc::FullPtr<BadTask> task, chi_archive &archive) {
  chi::SerializeTask(chi::SerializeMode::kSaveIn, task, archive);
}
