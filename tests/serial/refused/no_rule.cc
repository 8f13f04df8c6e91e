// refused: this type cannot be serialised: give it a public template <typename Ar> void
// serialize(Ar &ar)
#include "chimaera/task_serializers.h"

struct BadTask : public chi::Task {
  struct Start {
    int at_ = 0;
  } start_;

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
