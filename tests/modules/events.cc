/* A module whose tasks wait for what threads set and devices tell. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include "events_methods.h"

namespace test::events {

using ValuePtr = hipc::FullPtr<ValueTask>;

constexpr chi::u64 kHour = 3600ull * 1000 * 1000 * 1000;

/* A thread that is over before what it uses. */
class Thread {
 public:
  template <typename F>
  explicit Thread(F f) : thread_(std::move(f)) {}
  ~Thread() { thread_.join(); }
  Thread(const Thread &) = delete;
  Thread &operator=(const Thread &) = delete;

 private:
  std::thread thread_;
};

void Rest(chi::u64 ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

/* What a worker looks at: a descriptor that somebody writes to. */
struct Bell {
  explicit Bell(chi::u64 failures) : failures_(failures) {}
  ~Bell() { close(fd_); }
  Bell(const Bell &) = delete;
  Bell &operator=(const Bell &) = delete;

  void Ring() const { eventfd_write(fd_, 1); }

  static bool Look(void *context) {
    auto *bell = static_cast<Bell *>(context);
    if (++bell->looks_ <= bell->failures_) throw std::runtime_error("told to throw");
    eventfd_t value = 0;
    if (eventfd_read(bell->fd_, &value) != 0) return false;
    bell->event_.Set();
    return true;
  }

  const int fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  const chi::u64 failures_;
  chi::u64 looks_ = 0;
  chi::CoEvent event_;
};

class Runtime : public chi::ContainerRuntime {
 public:
  void Run(chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &) override {
    const ValuePtr call(task);
    switch (method) {
      case CHI_METHOD_CREATE:
        event_ = std::make_unique<chi::CoEvent>();
        break;
      case CHI_METHOD_DESTROY:
        break;
      case Method::kSignalled:
        Signalled(call);
        break;
      case Method::kTimed: {
        chi::CoEvent event;
        const Thread thread([&event, ns = call->value_] {
          if (ns == 0) return;
          Rest(ns);
          event.Set();
        });
        call->result_ = event.WaitFor(call->width_);
        break;
      }
      case Method::kEarly: {
        chi::CoEvent event;
        event.Set();
        event.Set();
        event.Wait();
        call->result_ = event.WaitFor(call->value_);
        break;
      }
      case Method::kWait:
        Wait(call->width_ == 1);
        break;
      case Method::kWaiting:
        call->result_ = waiting_;
        break;
      case Method::kSet:
        if (call->width_ == 1) {
          const Thread thread([this] { event_->Set(); });
        } else {
          event_->Set();
        }
        break;
      case Method::kPoll: {
        Bell bell(call->width_);
        chi::Poller poller(bell.fd_, &Bell::Look, &bell);
        poller.Arm(true);
        const Thread thread([&bell, ns = call->value_] {
          Rest(ns);
          bell.Ring();
        });
        bell.event_.Wait();
        call->result_ = bell.looks_;
        break;
      }
      case Method::kArm: {
        Bell bell(0);
        chi::Poller poller(-1, &Bell::Look, &bell);
        poller.Arm(true);
        chi::Sleep(call->value_);
        const chi::u64 looks = bell.looks_;
        poller.Arm(false);
        chi::Sleep(call->value_);
        call->result_ = looks > 0 && bell.looks_ == looks;
        break;
      }
      case Method::kElsewhere:
        call->result_ = Elsewhere();
        break;
      default:
        chi::ThrowNoMethod(method);
    }
  }

 private:
  /* The event is freed as soon as the wait is over, while the thread may still be setting it. */
  static void Signalled(const ValuePtr &call) {
    auto event = std::make_unique<chi::CoEvent>();
    const Thread thread([set = event.get(), ns = call->value_] {
      Rest(ns);
      set->Set();
    });
    if (call->width_ == 0) event->Wait();
    if (call->width_ == 1) event->WaitUninterrupted();
    if (call->width_ == 2 && !event->WaitFor(kHour)) throw std::runtime_error("after an hour");
    event.reset();
    call->result_ = 1;
  }

  void Wait(bool uninterrupted) {
    struct Inside {
      explicit Inside(std::atomic<chi::u64> &count) : count_(count) { ++count_; }
      ~Inside() { --count_; }
      std::atomic<chi::u64> &count_;
    } const inside(waiting_);
    if (uninterrupted) {
      event_->WaitUninterrupted();
    } else {
      event_->Wait();
    }
  }

  /* True when `f` is refused with this status. */
  template <typename F>
  static bool Refused(chi_status status, F f) {
    try {
      f();
    } catch (const chi::Error &error) {
      return error.status() == status;
    }
    return false;
  }

  chi::u64 Elsewhere() {
    chi::u64 bits = 0;
    Bell bell(0);
    chi::Poller own(bell.fd_, &Bell::Look, &bell);
    {
      const Thread thread([&] {
        bits |= Refused(CHI_NOT_INITIALIZED, [] { chi::CoEvent(); });
        bits |= Refused(CHI_INVALID, [&] { event_->Wait(); }) << 1;
        bits |= Refused(CHI_INVALID, [&] { chi::Poller(bell.fd_, &Bell::Look, &bell); }) << 2;
        bits |= Refused(CHI_INVALID, [&] { own.Arm(true); }) << 3;
      });
    }
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bits |= Refused(CHI_INVALID, [&] { chi::Poller(file, &Bell::Look, &bell); }) << 4;
    close(file);
    return bits;
  }

  std::unique_ptr<chi::CoEvent> event_;
  std::atomic<chi::u64> waiting_{0};
};

inline void DescribeMethods(chi::MethodTable &table, const Runtime *) {
  table.Add<chi::CreateTask>(CHI_METHOD_CREATE, "kCreate", false, false);
  table.Add<chi::DestroyTask>(CHI_METHOD_DESTROY, "kDestroy", false, false);
  table.Add<ValueTask>(Method::kSignalled, "kSignalled", false, false);
  table.Add<ValueTask>(Method::kTimed, "kTimed", false, false);
  table.Add<ValueTask>(Method::kEarly, "kEarly", false, false);
  table.Add<ValueTask>(Method::kWait, "kWait", false, false);
  table.Add<ValueTask>(Method::kWaiting, "kWaiting", false, false);
  table.Add<ValueTask>(Method::kSet, "kSet", false, false);
  table.Add<ValueTask>(Method::kPoll, "kPoll", false, false);
  table.Add<ValueTask>(Method::kArm, "kArm", false, false);
  table.Add<ValueTask>(Method::kElsewhere, "kElsewhere", false, false);
}

}  // namespace test::events

CHI_TASK_CC(test::events::Runtime, "test:events")
