// refused: a task must have both SerializeIn and SerializeOut, or neither
#include "chimaera/task_serializers.h"

struct BadTask : public chi::Task {
  IN int start_ = 0;

  explicit BadTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}

  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(start_);
  }
};

void Send(hipc::FullPtr<BadTask> task, chi_archive &archive) {
  chi::SerializeTask(chi::SerializeMode::kSaveIn, task, archive);
}
