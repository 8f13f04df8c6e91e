/* Locks that suspend the task that waits for them, and never its worker. Only in modules. */
#ifndef CHIMAERA_LOCK_H_
#define CHIMAERA_LOCK_H_

#include <cstddef>

#include "chimaera/current.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

/* How this runtime makes locks: its extension, or what the host itself has for modules of ABI 1.1.
 */
inline chi_locks FindLocks() {
  if (const auto *locks = FindExtension<chi_locks>(CHI_EXT_LOCKS)) return *locks;
  if (g_host != nullptr && CHI_COVERS(g_host, chi_host, unlock)) {
    return {
        sizeof(chi_locks), 0, g_host->lock_new, g_host->lock_free, g_host->lock, g_host->try_lock,
        g_host->unlock};
  }
  throw Error(CHI_UNSUPPORTED, "this runtime has no locks; it is older than the module");
}

inline const chi_locks &Locks() {
  static const chi_locks locks = FindLocks();
  return locks;
}

/* A lock of the runtime's. */
class CoLock {
 public:
  CoLock() : locks_(Locks()), lock_(locks_.create(g_host)) {}
  ~CoLock() { locks_.free(g_host, lock_); }
  CoLock(const CoLock &) = delete;
  CoLock &operator=(const CoLock &) = delete;

  /* False when the time ran out. */
  bool Take(u32 mode, u64 timeout_ns) {
    const chi_status status = locks_.lock(g_host, lock_, mode, timeout_ns);
    return status != CHI_TIMEOUT && Check(status);
  }

  bool TryTake(u32 mode) {
    const chi_status status = locks_.try_lock(g_host, lock_, mode);
    return status != CHI_BUSY && Check(status);
  }

  void Give(u32 mode) {
    if (TryGive(mode)) return;
    throw Error(CHI_INVALID, "the task gives back a lock that it has not taken");
  }

  bool TryGive(u32 mode) noexcept { return locks_.unlock(g_host, lock_, mode) == CHI_OK; }

 private:
  static bool Check(chi_status status) {
    switch (status) {
      case CHI_OK:
        return true;
      case CHI_CANCELLED:
        throw Error(status, "the task was cancelled while it waited for a lock");
      case CHI_INVALID:
        throw Error(status, "only a running method can take a lock");
      default:
        throw Error(status, "the lock cannot be taken");
    }
  }

  const chi_locks &locks_;
  chi_lock *lock_;
};

}  // namespace detail

/** A lock that suspends the task that waits for it.
 *
 *     void Put(hipc::FullPtr<PutTask> task, chi::RunContext &) {
 *       chi::ScopedCoMutex guard(mutex_);
 *       index_.Wait(...);  // other tasks run meanwhile, but none that needs mutex_
 *     }
 *
 * It is held by a task and all tasks that came of the same root, the task of a client: a method may
 * hold it and wait for a task whose method takes it, too. Those that a method has in flight at once
 * therefore do not keep each other out. Roots get it in the order in which they asked. A task may
 * take it many times. What a method still holds when it ends is given back.
 *
 * As a member of a container or longer-lived; when it is destroyed, tasks that wait for it end
 * their wait with `CHI_CANCELLED`. The constructor throws `CHI_UNSUPPORTED` in a runtime older
 * than 1.1. Locks are for methods, not for monitors; on threads of the module's own they throw
 * `CHI_INVALID`. `std::unique_lock` and `std::scoped_lock` work, too. */
class CoMutex {
 public:
  /** Takes it. Throws `CHI_CANCELLED` when the task is cancelled while it waits, its client has
   * gone, its pool is being destroyed, or the runtime is stopping. Worker. */
  void Lock() { lock_.Take(CHI_LOCK_EXCLUSIVE, CHI_WAIT_FOREVER); }
  /** Takes it if that needs no waiting. Worker. */
  bool TryLock() { return lock_.TryTake(CHI_LOCK_EXCLUSIVE); }
  /** Takes it, waiting for at most so many nanoseconds: false when the time ran out. Throws as
   * `Lock` does. Worker. */
  bool TryLockFor(u64 timeout_ns) { return lock_.Take(CHI_LOCK_EXCLUSIVE, timeout_ns); }
  /** Gives it back, once. Throws `CHI_INVALID` when this very task has not taken it. Worker. */
  void Unlock() { lock_.Give(CHI_LOCK_EXCLUSIVE); }

  /** As the standard library has it. */
  void lock() { Lock(); }
  /** As the standard library has it. */
  bool try_lock() { return TryLock(); }
  /** As the standard library has it. */
  void unlock() { Unlock(); }

 private:
  friend class ScopedCoMutex;
  detail::CoLock lock_;
};

/** A lock of many readers or one writer that suspends the task that waits for it. What is said of
 * CoMutex goes for it, too. Readers do not overtake a writer that waits, so writers do not starve.
 *
 * A root that reads may write as soon as no other root reads; two of them that wait for this wait
 * for each other. `std::shared_lock` works, too. */
class CoRwLock {
 public:
  /** Lets the task in together with other readers. Throws as `CoMutex::Lock` does. Worker. */
  void ReadLock() { lock_.Take(CHI_LOCK_SHARED, CHI_WAIT_FOREVER); }
  /** Lets the task in together with other readers if that needs no waiting. Worker. */
  bool TryReadLock() { return lock_.TryTake(CHI_LOCK_SHARED); }
  /** Gives a `ReadLock` back. Throws `CHI_INVALID` when this very task has none. Worker. */
  void ReadUnlock() { lock_.Give(CHI_LOCK_SHARED); }
  /** Lets the task's root in alone. Throws as `CoMutex::Lock` does. Worker. */
  void WriteLock() { lock_.Take(CHI_LOCK_EXCLUSIVE, CHI_WAIT_FOREVER); }
  /** Lets the task's root in alone if that needs no waiting. Worker. */
  bool TryWriteLock() { return lock_.TryTake(CHI_LOCK_EXCLUSIVE); }
  /** Gives a `WriteLock` back. Throws `CHI_INVALID` when this very task has none. Worker. */
  void WriteUnlock() { lock_.Give(CHI_LOCK_EXCLUSIVE); }

  /** As the standard library has it. */
  void lock() { WriteLock(); }
  /** As the standard library has it. */
  bool try_lock() { return TryWriteLock(); }
  /** As the standard library has it. */
  void unlock() { WriteUnlock(); }
  /** As the standard library has it. */
  void lock_shared() { ReadLock(); }
  /** As the standard library has it. */
  bool try_lock_shared() { return TryReadLock(); }
  /** As the standard library has it. */
  void unlock_shared() { ReadUnlock(); }

 private:
  friend class ScopedCoRwReadLock;
  friend class ScopedCoRwWriteLock;
  detail::CoLock lock_;
};

/** Holds a CoMutex for a scope. */
class ScopedCoMutex {
 public:
  /** Takes it; throws as `CoMutex::Lock` does. Worker. */
  explicit ScopedCoMutex(CoMutex &mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~ScopedCoMutex() { mutex_.lock_.TryGive(CHI_LOCK_EXCLUSIVE); }
  ScopedCoMutex(const ScopedCoMutex &) = delete;
  ScopedCoMutex &operator=(const ScopedCoMutex &) = delete;

 private:
  CoMutex &mutex_;
};

/** Holds a CoRwLock as a reader for a scope. */
class ScopedCoRwReadLock {
 public:
  /** Takes it; throws as `CoRwLock::ReadLock` does. Worker. */
  explicit ScopedCoRwReadLock(CoRwLock &lock) : lock_(lock) { lock_.ReadLock(); }
  ~ScopedCoRwReadLock() { lock_.lock_.TryGive(CHI_LOCK_SHARED); }
  ScopedCoRwReadLock(const ScopedCoRwReadLock &) = delete;
  ScopedCoRwReadLock &operator=(const ScopedCoRwReadLock &) = delete;

 private:
  CoRwLock &lock_;
};

/** Holds a CoRwLock as a writer for a scope. */
class ScopedCoRwWriteLock {
 public:
  /** Takes it; throws as `CoRwLock::WriteLock` does. Worker. */
  explicit ScopedCoRwWriteLock(CoRwLock &lock) : lock_(lock) { lock_.WriteLock(); }
  ~ScopedCoRwWriteLock() { lock_.lock_.TryGive(CHI_LOCK_EXCLUSIVE); }
  ScopedCoRwWriteLock(const ScopedCoRwWriteLock &) = delete;
  ScopedCoRwWriteLock &operator=(const ScopedCoRwWriteLock &) = delete;

 private:
  CoRwLock &lock_;
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_LOCK_H_
