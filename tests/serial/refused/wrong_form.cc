// refused: declare SerializeIn as a public template <typename Ar> void SerializeIn(Ar &ar)
#include "chimaera/task_serializers.h"

struct BadTask : public chi::Task {
  IN int start_ = 0;

  explicit BadTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc) : chi::Task(alloc) {}

  void SerializeIn(int) {}
  template <typename Ar>
  void SerializeOut(Ar &) {}
};

void Send(hipc::FullPtr<BadTask> task, chi_archive &archive) {
  chi::SerializeTask(chi::SerializeMode::kSaveIn, task, archive);
}
