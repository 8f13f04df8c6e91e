/* Events and pollers: how a task waits for something that happens outside the runtime's tasks. Only
 * in modules. */
#ifndef CHIMAERA_EVENT_H_
#define CHIMAERA_EVENT_H_

#include <exception>
#include <string>

#include "chimaera/current.h"
#include "chimaera/log.h"
#include "chimaera/macros.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

/* The host, if it has the members for events and pollers that came with ABI 1.1. */
inline const chi_host *HostWithEvents() {
  if (g_host == nullptr) {
    throw Error(CHI_NOT_INITIALIZED, "events and pollers work only inside a runtime");
  }
  if (!CHI_COVERS(g_host, chi_host, poller_arm)) {
    throw Error(CHI_UNSUPPORTED,
                "this runtime has no events and pollers: they need ABI 1.1 or later");
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

/** An auto-reset event: a task waits until any thread, a worker or another, sets it.
 *
 *     void Read(hipc::FullPtr<ReadTask> task, chi::RunContext &) {
 *       chi::CoEvent done;
 *       std::thread reader([&] { ReadSlowly(); done.Set(); });
 *       done.WaitUninterrupted();  // meanwhile the worker runs other tasks
 *       reader.join();
 *     }
 *
 * Setting the event ends one wait: the current one, or else the next. Setting it twice before a
 * wait has the same effect as setting it once. Only one task at a time may wait for it. */
class CoEvent {
 public:
  /** Creates an event that is not set. Throws `CHI_NOT_INITIALIZED` on a thread that is not a
   * worker. Worker. */
  CoEvent() : events_(detail::Events()), event_(events_.create(detail::g_host)) {
    if (event_ == nullptr)
      throw Error(CHI_NOT_INITIALIZED, "an event can be created only on a worker thread");
  }
  ~CoEvent() { events_.free(detail::g_host, event_); }
  CoEvent(const CoEvent &) = delete;
  CoEvent &operator=(const CoEvent &) = delete;

  /** Suspends the running task until the event is set. Throws `CHI_CANCELLED` when the task is
   * cancelled, `CHI_BUSY` when another task is already waiting, `CHI_INVALID` outside a method.
   * Worker. */
  void Wait() { Check(events_.wait(detail::g_host, event_, 0, CHI_WAIT_FOREVER)); }

  /** Like `Wait`, but returns false when the event is not set within `timeout_ns` nanoseconds.
   * Worker. */
  bool WaitFor(u64 timeout_ns) {
    const chi_status status = events_.wait(detail::g_host, event_, 0, timeout_ns);
    if (status == CHI_TIMEOUT) return false;
    Check(status);
    return true;
  }

  /** Like `Wait`, but cancelling the task does not end it. For an operation that is certain to
   * finish soon, and that must finish before the method returns because it uses the task's memory.
   * Worker. */
  void WaitUninterrupted() {
    Check(events_.wait(detail::g_host, event_, CHI_EVENT_UNINTERRUPTED, CHI_WAIT_FOREVER));
  }

  /** Sets the event. Any thread. */
  void Set() noexcept { events_.set(detail::g_host, event_); }

 private:
  static void Check(chi_status status) {
    switch (status) {
      case CHI_OK:
        return;
      case CHI_CANCELLED:
        throw Error(status, "the task was cancelled while it waited for an event");
      case CHI_BUSY:
        throw Error(status, "another task is already waiting for the event");
      default:
        throw Error(status, "only a running method can wait for an event");
    }
  }

  const chi_events &events_;
  chi_event *event_;
};

/** Has the worker that created it call `poll(context)` between tasks: while the poller is armed,
 * whenever the worker is idle, and from time to time while it is busy. A sleeping worker watches
 * `fd` (-1 for none), and wakes up when it becomes readable. `poll` must be brief and must not
 * wait; it returns true when it found something to do. An exception counts as false; the first one
 * is logged. Destroy the poller on any thread, but not inside `poll`; `fd` must stay open until
 * then.
 */
class Poller {
 public:
  /** Adds a poller to the calling worker, not armed. Throws `CHI_INVALID` on a thread that is not a
   * worker, or when `fd` cannot be watched. Worker. */
  Poller(int fd, chi_poll_fn poll, void *context)
      : pollers_(detail::Pollers()), poll_(poll), context_(context) {
    const chi_status status = pollers_.add(detail::g_host, fd, &Poller::Call, this, &poller_);
    if (status != CHI_OK) {
      throw Error(status,
                  "a poller needs a worker thread and a file descriptor that epoll can watch");
    }
  }
  ~Poller() { pollers_.remove(detail::g_host, poller_); }
  Poller(const Poller &) = delete;
  Poller &operator=(const Poller &) = delete;

  /** Arms or disarms the poller: its worker calls it only while it is armed. Throws `CHI_INVALID`
   * on another worker. Worker. */
  void Arm(bool armed) {
    const chi_status status = pollers_.arm(detail::g_host, poller_, armed);
    if (status != CHI_OK)
      throw Error(status, "a poller can be armed only on the worker that created it");
  }

 private:
  /* noexcept: no exception may cross the C boundary to the runtime. */
  static bool Call(void *context) noexcept {
    auto *self = static_cast<Poller *>(context);
    try {
      return self->poll_(self->context_);
    } catch (const std::exception &error) {
      const char *const text = error.what();
      self->Report(text == nullptr ? "it threw an exception without a text" : text);
    } catch (const std::string &text) {
      self->Report(text.c_str());
    } catch (const char *text) {
      self->Report(text == nullptr ? "it threw a null pointer" : text);
    } catch (...) {
      self->Report("it threw something that is not a std::exception");
    }
    return false;
  }

  /* Logged once, because a poller may be called a million times a second. */
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
