/* Locks that suspend the waiting task and never its worker. Only in modules. */
#ifndef CHIMAERA_LOCK_H_
#define CHIMAERA_LOCK_H_

#include <atomic>
#include <cstddef>

#include "chimaera/current.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

/* The runtime's extension for locks, or the members of the host that ABI 1.1 has instead. */
inline chi_locks FindLocks() {
  if (const auto *locks = FindExtension<chi_locks>(CHI_EXT_LOCKS)) return *locks;
  if (g_host != nullptr && CHI_COVERS(g_host, chi_host, unlock)) {
    return {
        sizeof(chi_locks), 0, g_host->lock_new, g_host->lock_free, g_host->lock, g_host->try_lock,
        g_host->unlock};
  }
  if (g_host == nullptr) throw Error(CHI_NOT_INITIALIZED, "locks work only inside a runtime");
  throw Error(CHI_UNSUPPORTED, "this runtime has no locks: they need ABI 1.1 or later");
}

inline const chi_locks &Locks() {
  static const chi_locks locks = FindLocks();
  return locks;
}

/* Owns a `chi_lock`, which is created on first use: a static object is constructed before there is
 * a runtime to create it. */
class CoLock {
 public:
  constexpr CoLock() noexcept = default;
  ~CoLock() {
    if (chi_lock *lock = lock_.load(std::memory_order_acquire)) Locks().free(g_host, lock);
  }
  CoLock(const CoLock &) = delete;
  CoLock &operator=(const CoLock &) = delete;

  /* False when the timeout passed. */
  bool Take(u32 mode, u64 timeout_ns) {
    const chi_status status = Locks().lock(g_host, Get(), mode, timeout_ns);
    return status != CHI_TIMEOUT && Check(status);
  }

  bool TryTake(u32 mode) {
    const chi_status status = Locks().try_lock(g_host, Get(), mode);
    return status != CHI_BUSY && Check(status);
  }

  void Give(u32 mode) {
    if (TryGive(mode)) return;
    throw Error(CHI_INVALID, "this task does not hold the lock");
  }

  /* Null is a lock that nobody has taken. */
  bool TryGive(u32 mode) noexcept {
    chi_lock *lock = lock_.load(std::memory_order_acquire);
    return lock != nullptr && Locks().unlock(g_host, lock, mode) == CHI_OK;
  }

 private:
  chi_lock *Get() {
    chi_lock *lock = lock_.load(std::memory_order_acquire);
    return lock != nullptr ? lock : Create();
  }

  chi_lock *Create() {
    const chi_locks &locks = Locks();
    chi_lock *made = locks.create(g_host);
    chi_lock *other = nullptr;
    if (lock_.compare_exchange_strong(other, made, std::memory_order_acq_rel)) return made;
    locks.free(g_host, made);
    return other;
  }

  static bool Check(chi_status status) {
    switch (status) {
      case CHI_OK:
        return true;
      case CHI_CANCELLED:
        throw Error(status, "the task was cancelled while it waited for a lock");
      case CHI_INVALID:
        throw Error(status, "only a running method can take a lock");
      default:
        throw Error(status, "cannot take the lock");
    }
  }

  std::atomic<chi_lock *> lock_{nullptr};
};

}  // namespace detail

/** A mutex that suspends the waiting task and not its worker.
 *
 *     void Put(hipc::FullPtr<PutTask> task, chi::RunContext &) {
 *       chi::ScopedCoMutex guard(mutex_);
 *       index_.Wait(...);  // meanwhile no other root gets mutex_
 *     }
 *
 * The holder of the mutex is a root: a task from a client together with all tasks that descend from
 * it. So a method may hold the mutex and wait for a subtask whose method locks it too. It follows
 * that the mutex does not exclude subtasks of one method from each other. A task may lock the mutex
 * repeatedly. Roots get it in the order in which they asked for it. Locks that a method still holds
 * when it ends are released.
 *
 * Make it a member of a container, or let it live longer, as a static object does. When it is
 * destroyed, tasks that wait for it get `CHI_CANCELLED`. Locking throws `CHI_UNSUPPORTED` in a
 * runtime with ABI 1.0. Locks are for methods, not for monitors; on the module's own threads they
 * throw `CHI_INVALID`, and before the module is loaded `CHI_NOT_INITIALIZED`.
 * `std::unique_lock` and `std::scoped_lock` work too. */
class CoMutex {
 public:
  /** Locks the mutex, suspending the task until it is free. Throws `CHI_CANCELLED` when, during the
   * wait, the task is cancelled, its client goes, its pool is being destroyed or the runtime is
   * stopping. Worker. */
  void Lock() { lock_.Take(CHI_LOCK_EXCLUSIVE, CHI_WAIT_FOREVER); }
  /** Locks the mutex if that is possible without waiting, else returns false. Worker. */
  bool TryLock() { return lock_.TryTake(CHI_LOCK_EXCLUSIVE); }
  /** Like `Lock`, but returns false when the mutex is not free within `timeout_ns` nanoseconds.
   * Worker. */
  bool TryLockFor(u64 timeout_ns) { return lock_.Take(CHI_LOCK_EXCLUSIVE, timeout_ns); }
  /** Undoes one `Lock`. Throws `CHI_INVALID` when this task has not locked it. Worker. */
  void Unlock() { lock_.Give(CHI_LOCK_EXCLUSIVE); }

  /** As in the standard library. */
  void lock() { Lock(); }
  /** As in the standard library. */
  bool try_lock() { return TryLock(); }
  /** As in the standard library. */
  void unlock() { Unlock(); }

 private:
  friend class ScopedCoMutex;
  detail::CoLock lock_;
};

/** A readers-writer lock that suspends the waiting task and not its worker. Like a CoMutex, it is
 * held by roots. Readers do not overtake a waiting writer, so writers do not starve.
 *
 * A root that reads may also write once no other root reads. Two reading roots that both wait to
 * write deadlock; the runtime detects this and ends one of the tasks. `std::shared_lock` works too.
 * */
class CoRwLock {
 public:
  /** Locks for reading, together with other readers. Throws as `CoMutex::Lock` does. Worker. */
  void ReadLock() { lock_.Take(CHI_LOCK_SHARED, CHI_WAIT_FOREVER); }
  /** Locks for reading if that is possible without waiting, else returns false. Worker. */
  bool TryReadLock() { return lock_.TryTake(CHI_LOCK_SHARED); }
  /** Undoes one `ReadLock`. Throws `CHI_INVALID` when this task has none. Worker. */
  void ReadUnlock() { lock_.Give(CHI_LOCK_SHARED); }
  /** Locks for writing: no other root holds the lock. Throws as `CoMutex::Lock` does. Worker. */
  void WriteLock() { lock_.Take(CHI_LOCK_EXCLUSIVE, CHI_WAIT_FOREVER); }
  /** Locks for writing if that is possible without waiting, else returns false. Worker. */
  bool TryWriteLock() { return lock_.TryTake(CHI_LOCK_EXCLUSIVE); }
  /** Undoes one `WriteLock`. Throws `CHI_INVALID` when this task has none. Worker. */
  void WriteUnlock() { lock_.Give(CHI_LOCK_EXCLUSIVE); }

  /** As in the standard library. */
  void lock() { WriteLock(); }
  /** As in the standard library. */
  bool try_lock() { return TryWriteLock(); }
  /** As in the standard library. */
  void unlock() { WriteUnlock(); }
  /** As in the standard library. */
  void lock_shared() { ReadLock(); }
  /** As in the standard library. */
  bool try_lock_shared() { return TryReadLock(); }
  /** As in the standard library. */
  void unlock_shared() { ReadUnlock(); }

 private:
  friend class ScopedCoRwReadLock;
  friend class ScopedCoRwWriteLock;
  detail::CoLock lock_;
};

/** Holds a CoMutex for a scope. */
class ScopedCoMutex {
 public:
  /** Locks the mutex. Throws as `CoMutex::Lock` does. Worker. */
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
  /** Locks for reading. Throws as `CoRwLock::ReadLock` does. Worker. */
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
  /** Locks for writing. Throws as `CoRwLock::WriteLock` does. Worker. */
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
