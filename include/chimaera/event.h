/* Events and pollers: how what happens outside of tasks gets to the tasks that wait for it. Only in
 * modules. */
#ifndef CHIMAERA_EVENT_H_
#define CHIMAERA_EVENT_H_

#include <exception>

#include "chimaera/current.h"
#include "chimaera/log.h"
#include "chimaera/macros.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

/* The host, when it has events and pollers as ABI 1.1 had them. */
inline const chi_host *HostWithEvents() {
  if (g_host == nullptr || !CHI_COVERS(g_host, chi_host, poller_arm)) {
    throw Error(CHI_UNSUPPORTED,
                "this runtime has no events and pollers; it is older than the module");
  }
  return g_host;
}

inline chi_events FindEvents() {
  if (const auto *events = FindExtension<chi_events>(CHI_EXT_EVENTS)) return *events;
  const chi_host *host = HostWithEvents();
  return {sizeof(chi_events), 0, host->event_new, host->event_free, host->event_wait,
          host->event_set};
}

inline const chi_events &Events() {
  static const chi_events events = FindEvents();
  return events;
}

inline chi_pollers FindPollers() {
  if (const auto *pollers = FindExtension<chi_pollers>(CHI_EXT_POLLERS)) return *pollers;
  const chi_host *host = HostWithEvents();
  return {sizeof(chi_pollers), 0, host->poller_add, host->poller_remove, host->poller_arm};
}

inline const chi_pollers &Pollers() {
  static const chi_pollers pollers = FindPollers();
  return pollers;
}

}  // namespace detail

/** What a task waits for until some thread, a task's or another, sets it.
 *
 *     void Read(hipc::FullPtr<ReadTask> task, chi::RunContext &) {
 *       chi::CoEvent done;
 *       std::thread reader([&] { ReadSlowly(); done.Set(); });
 *       done.WaitUninterrupted();  // other tasks run meanwhile
 *       reader.join();
 *     }
 *
 * Setting it ends one wait, the next one if nobody waits yet; setting it twice before a wait is as
 * setting it once. One task at a time waits for it. */
class CoEvent {
 public:
  /** Not set. Throws where no worker is. Worker. */
  CoEvent() : events_(detail::Events()), event_(events_.create(detail::g_host)) {
    if (event_ == nullptr) throw Error(CHI_NOT_INITIALIZED, "only a worker can make an event");
  }
  ~CoEvent() { events_.free(detail::g_host, event_); }
  CoEvent(const CoEvent &) = delete;
  CoEvent &operator=(const CoEvent &) = delete;

  /** Suspends the running task until it is set. Throws `CHI_CANCELLED` when the task is cancelled,
   * `CHI_BUSY` when another task waits for it, `CHI_INVALID` outside a method. Worker. */
  void Wait() { Check(events_.wait(detail::g_host, event_, 0, CHI_WAIT_FOREVER)); }

  /** The same for this many nanoseconds at most. False when it was not set in time. Worker. */
  bool WaitFor(u64 timeout_ns) {
    const chi_status status = events_.wait(detail::g_host, event_, 0, timeout_ns);
    if (status == CHI_TIMEOUT) return false;
    Check(status);
    return true;
  }

  /** The same, but a cancellation does not end it: for what is sure to come soon, and must have
   * come before the method returns because it still uses the task's memory. Worker. */
  void WaitUninterrupted() {
    Check(events_.wait(detail::g_host, event_, CHI_EVENT_UNINTERRUPTED, CHI_WAIT_FOREVER));
  }

  /** Any thread. */
  void Set() noexcept { events_.set(detail::g_host, event_); }

 private:
  static void Check(chi_status status) {
    switch (status) {
      case CHI_OK:
        return;
      case CHI_CANCELLED:
        throw Error(status, "the task was cancelled while it waited for an event");
      case CHI_BUSY:
        throw Error(status, "another task waits for the event");
      default:
        throw Error(status, "only a running method can wait for an event");
    }
  }

  const chi_events &events_;
  chi_event *event_;
};

/** Has the worker that made it call `poll(context)` while it is armed: whenever it has nothing else
 * to do, and now and then when it has. Before it sleeps it watches `fd` (-1 for none), and wakes
 * when that becomes readable. `poll` is brief, waits for nothing, and returns true when it had
 * something to do; what it throws goes to the log, the first time, and counts as false. Destroyed
 * on any thread, but not in `poll` itself; `fd` stays open until then. */
class Poller {
 public:
  /** Not armed. Throws `CHI_INVALID` where no worker is, or for what cannot be watched. Worker. */
  Poller(int fd, chi_poll_fn poll, void *context)
      : pollers_(detail::Pollers()), poll_(poll), context_(context) {
    const chi_status status = pollers_.add(detail::g_host, fd, &Poller::Call, this, &poller_);
    if (status != CHI_OK) {
      throw Error(status, "only a worker can watch, and only what can be polled");
    }
  }
  ~Poller() { pollers_.remove(detail::g_host, poller_); }
  Poller(const Poller &) = delete;
  Poller &operator=(const Poller &) = delete;

  /** Throws `CHI_INVALID` on another worker. Worker. */
  void Arm(bool armed) {
    const chi_status status = pollers_.arm(detail::g_host, poller_, armed);
    if (status != CHI_OK) throw Error(status, "a poller is armed by its own worker");
  }

 private:
  /* The runtime's caller cannot take an exception. */
  static bool Call(void *context) noexcept {
    auto *self = static_cast<Poller *>(context);
    try {
      return self->poll_(self->context_);
    } catch (const std::exception &error) {
      self->Report(error.what());
    } catch (...) {
      self->Report("it threw what is no std::exception");
    }
    return false;
  }

  /* Once, for a poller may be called a million times in a second. */
  void Report(const char *why) {
    if (!failed_) CHI_LOG(kError, "a poller failed: %s", why);
    failed_ = true;
  }

  const chi_pollers &pollers_;
  chi_poll_fn poll_;
  void *context_;
  bool failed_ = false;
  chi_poller *poller_ = nullptr;
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_EVENT_H_
