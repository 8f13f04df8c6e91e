/* A module of which pools have several containers; tests/modules/spread is the same in Rust. */
#include <atomic>
#include <string>

#include "spread_tasks.h"

namespace test::spread {

constexpr chi_status kFault = 1077;
/* In place of a container in `stumble_`: the aggregation overflows its stack. */
constexpr chi::u32 kOverflow = 0xffffffff;

/* Deeper than any stack; not to be made a loop by the compiler. */
__attribute__((noinline)) static int Recurse(volatile int *above) {
  volatile int here[64];
  here[0] = *above + 1;
  return here[0] < 1 << 30 ? Recurse(here) + here[0] : 0;
}

static void Overflow() {
  volatile int bottom = 0;
  if (Recurse(&bottom) == 1) throw chi::Error(kFault, "not reached");
}

class Runtime : public chi::ContainerRuntime {
 public:
  ~Runtime() override {
    if (alive_) --s_alive;
  }

  void Create(hipc::FullPtr<chi::CreateTask> task, chi::RunContext &) {
    if (task->params_.view() == "fail " + std::to_string(container_id_)) {
      throw chi::Error(kFault, "told to fail");
    }
    if (task->params_.view() == "overflow") Overflow();
    CreateLocalQueue(container_id_, 1, chi::IntFlag());
    ++s_alive;
    alive_ = true;
  }

  void Where(hipc::FullPtr<WhereTask> task, chi::RunContext &) {
    task->container_ = container_id_;
    task->count_ = container_count_;
    task->alive_ = s_alive;
    task->depth_ = task->task_node_.depth_;
    task->text_ = task->text_.str() + std::to_string(container_id_);
  }

  void Gather(hipc::FullPtr<GatherTask> task, chi::RunContext &) {
    if (container_id_ < 64 && (task->failing_ >> container_id_ & 1) != 0) {
      throw chi::Error(kFault, "told to fail");
    }
    if (task->notes_.size() != 1 || task->notes_[0].view() != "in" || task->bytes_.view() != "in") {
      throw chi::Error(CHI_FAILED, "another replica has written here");
    }
    const hipc::Owner owner(task);
    task->notes_[0].assign(owner, "?");
    task->notes_.emplace_back(owner, "?");
    task->bytes_.assign("??", 2);
    task->sum_ = container_id_;
    task->good_ = 1;
    task->numbers_.clear();
    task->numbers_.push_back(container_id_);
    task->words_.clear();
    task->words_.emplace_back(owner, task->text_.str() + std::to_string(container_id_));
  }

  void AggregateGather(hipc::FullPtr<GatherTask> task, hipc::FullPtr<GatherTask> replica,
                       chi::RunContext &) {
    const chi::ContainerId from = replica->dom_query_.value_;
    if (from == 0) {
      task->sum_ = task->good_ = 0;
      task->numbers_.clear();
      task->words_.clear();
    }
    if (task->stumble_ == from + 1) throw chi::Error(kFault, "stumbled");
    if (task->stumble_ == kOverflow) Overflow();
    if (replica->GetStatus() != CHI_OK) {
      if (replica->GetStatus() != kFault || replica->GetMessage() != "told to fail") {
        throw chi::Error(CHI_FAILED, replica->GetMessage());
      }
      if (task->lenient_ != 0) replica->status_ = CHI_OK;
      return;
    }
    task->sum_ += replica->sum_;
    ++task->good_;
    for (const chi::u32 number : replica->numbers_) task->numbers_.push_back(number);
    for (const hipc::string &word : replica->words_) {
      task->words_.emplace_back(hipc::Owner(task), word.view());
    }
  }

  void Steer(hipc::FullPtr<SteerTask> task, chi::RunContext &) { task->container_ = container_id_; }

  void MonitorSteer(chi::MonitorModeId mode, hipc::FullPtr<SteerTask> task, chi::RunContext &) {
    if (mode != chi::MonitorModeId::kGlobalSchedule) return;
    task->asked_ = container_id_ + 1;
    switch (task->how_) {
      case 0:
        return;
      case 1:
        task->dom_query_ = chi::DomainQuery::LocalId(task->value_);
        return;
      case 2:
        task->dom_query_ = chi::DomainQuery::GlobalHash(task->value_);
        return;
      case 3:
        task->dom_query_ = chi::DomainQuery::GlobalBcast();
        return;
      case 4:
        task->dom_query_.kind_ = 77;
        return;
      default:
        throw std::runtime_error("lost");
    }
  }

  void Nap(hipc::FullPtr<NapTask> task, chi::RunContext &) {
    const std::string text = task->text_.str();
    for (chi::u64 i = 0; i < task->times_; ++i) {
      chi::Yield();
      if (task->text_.str() != text) throw chi::Error(CHI_FAILED, "the text has changed");
    }
  }

 private:
  CHI_HIDDEN static inline std::atomic<chi::u32> s_alive{0};
  bool alive_ = false;
};

CHI_METHOD_HOOKS(Where, WhereTask);
CHI_METHOD_HOOKS(Gather, GatherTask);
CHI_METHOD_HOOKS(Steer, SteerTask);
CHI_METHOD_HOOKS(Nap, NapTask);

template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  switch (method) {
    case Method::kCreate:
      return runtime.Create(hipc::FullPtr<chi::CreateTask>(task), rctx);
    case Method::kWhere:
      return runtime.Where(hipc::FullPtr<WhereTask>(task), rctx);
    case Method::kGather:
      return runtime.Gather(hipc::FullPtr<GatherTask>(task), rctx);
    case Method::kSteer:
      return runtime.Steer(hipc::FullPtr<SteerTask>(task), rctx);
    case Method::kNap:
      return runtime.Nap(hipc::FullPtr<NapTask>(task), rctx);
    default:
      chi::ThrowNoMethod(method);
  }
}

template <typename RuntimeT>
void Monitor(RuntimeT &runtime, chi::MonitorModeId mode, chi::u32 method,
             hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
  if (method != Method::kSteer) chi::ThrowNoMethod(method);
  SteerHooks<RuntimeT>::Monitor(runtime, mode, hipc::FullPtr<SteerTask>(task), rctx);
}

template <typename RuntimeT>
void Aggregate(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task,
               hipc::FullPtr<chi::Task> replica, chi::RunContext &rctx) {
  if (method != Method::kGather) chi::ThrowNoMethod(method);
  GatherHooks<RuntimeT>::Aggregate(runtime, hipc::FullPtr<GatherTask>(task),
                                   hipc::FullPtr<GatherTask>(replica), rctx);
}

template <typename TaskT, typename Hooks>
void Add(chi::MethodTable &table, chi::u32 number, const char *name) {
  table.Add<TaskT>(number, name, Hooks::kMonitor, Hooks::kDel, Hooks::kAggregate);
}

template <typename RuntimeT>
void DescribeMethods(chi::MethodTable &table, const RuntimeT *) {
  table.Add<chi::CreateTask>(Method::kCreate, "kCreate", false, false);
  Add<WhereTask, WhereHooks<RuntimeT>>(table, Method::kWhere, "kWhere");
  Add<GatherTask, GatherHooks<RuntimeT>>(table, Method::kGather, "kGather");
  Add<SteerTask, SteerHooks<RuntimeT>>(table, Method::kSteer, "kSteer");
  Add<NapTask, NapHooks<RuntimeT>>(table, Method::kNap, "kNap");
}

}  // namespace test::spread

CHI_TASK_CC(test::spread::Runtime, "test:spread")
