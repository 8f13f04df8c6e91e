//! Locks that suspend the waiting task and never its worker.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

use chimaera_abi::{
    chi_host, chi_lock, chi_locks, chi_status, read_field, CHI_BUSY, CHI_CANCELLED, CHI_EXT_LOCKS,
    CHI_INVALID, CHI_LOCK_EXCLUSIVE, CHI_LOCK_SHARED, CHI_NOT_INITIALIZED, CHI_OK, CHI_TIMEOUT,
    CHI_UNSUPPORTED, CHI_WAIT_FOREVER,
};
use chimaera_task::archive::{LoadArchive, SaveArchive, StateValue};
use chimaera_task::{Result, Status};

use crate::host::{extension_table, host};

/// The runtime's table of lock functions, and the host to call it with.
struct Locks {
    host: *const chi_host,
    table: chi_locks,
}

// SAFETY: the host is immutable, lives as long as the process, and any thread may call it.
unsafe impl Send for Locks {}
// SAFETY: as above; the threads may call it at the same time.
unsafe impl Sync for Locks {}

/// The runtime's extension for locks, or the members of the host that ABI 1.1 has instead.
fn locks() -> Result<&'static Locks> {
    static LOCKS: OnceLock<Locks> = OnceLock::new();
    if let Some(locks) = LOCKS.get() {
        return Ok(locks);
    }
    let Some(host) = host() else {
        return Err(Status::new(CHI_NOT_INITIALIZED, "locks work only inside a runtime"));
    };
    // SAFETY: the extension with this id is a `chi_locks`; the host is as long as its size says.
    let table = unsafe { extension_table(CHI_EXT_LOCKS).or_else(|| locks_of(host)) };
    let Some(table) = table else {
        let what = "this runtime has no locks: they need ABI 1.1 or later";
        return Err(Status::new(CHI_UNSUPPORTED, what));
    };
    Ok(LOCKS.get_or_init(|| Locks { host, table }))
}

/// # Safety
///
/// The host is as long as its size says.
unsafe fn locks_of(host: *const chi_host) -> Option<chi_locks> {
    // SAFETY: by the caller's promise.
    unsafe {
        Some(chi_locks {
            size: size_of::<chi_locks>() as u32,
            reserved: 0,
            create: read_field!(host, chi_host, lock_new)?,
            free: read_field!(host, chi_host, lock_free)?,
            lock: read_field!(host, chi_host, lock)?,
            try_lock: read_field!(host, chi_host, try_lock)?,
            unlock: read_field!(host, chi_host, unlock)?,
        })
    }
}

/// Owns a `chi_lock`.
struct Raw {
    locks: &'static Locks,
    lock: *mut chi_lock,
}

// SAFETY: the runtime's functions may be called on the lock from any worker.
unsafe impl Send for Raw {}
// SAFETY: as above; the workers may call them at the same time.
unsafe impl Sync for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: `create` made it, and this is the last call.
        unsafe { (self.locks.table.free)(self.locks.host, self.lock) }
    }
}

/// A lock that is created on first use: at construction there may be no runtime to create it.
#[derive(Default)]
struct Lazy(OnceLock<Raw>);

impl Lazy {
    const fn new() -> Self {
        Lazy(OnceLock::new())
    }

    fn raw(&self) -> Result<&Raw> {
        if let Some(raw) = self.0.get() {
            return Ok(raw);
        }
        let locks = locks()?;
        // SAFETY: any thread may call the function.
        let create = || Raw { locks, lock: unsafe { (locks.table.create)(locks.host) } };
        Ok(self.0.get_or_init(create))
    }

    fn take(&self, mode: u32, timeout_ns: u64) -> Result<Held<'_>> {
        let raw = self.raw()?;
        // SAFETY: the lock lives as long as `self`; the function checks the thread.
        let status = unsafe { (raw.locks.table.lock)(raw.locks.host, raw.lock, mode, timeout_ns) };
        Held::of(raw, mode, status)
    }

    fn try_take(&self, mode: u32) -> Result<Option<Held<'_>>> {
        let raw = self.raw()?;
        // SAFETY: as above.
        match unsafe { (raw.locks.table.try_lock)(raw.locks.host, raw.lock, mode) } {
            CHI_BUSY => Ok(None),
            status => Held::of(raw, mode, status).map(Some),
        }
    }
}

/// A lock that the running task holds.
struct Held<'a> {
    raw: &'a Raw,
    mode: u32,
    /// Makes this neither `Send` nor `Sync`: it belongs to the task, which never changes its
    /// worker.
    task: PhantomData<*const ()>,
}

impl<'a> Held<'a> {
    fn of(raw: &'a Raw, mode: u32, status: chi_status) -> Result<Self> {
        let why = match status {
            CHI_OK => return Ok(Held { raw, mode, task: PhantomData }),
            CHI_TIMEOUT => "timed out waiting for the lock",
            CHI_CANCELLED => "the task was cancelled while it waited for a lock",
            CHI_INVALID => "only a running method can take a lock",
            _ => "cannot take the lock",
        };
        Err(Status::new(status, why))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // This fails only when the guard outlives its task; the runtime has then released the lock.
        // SAFETY: the lock lives longer than the guard; the function checks the thread.
        let _ = unsafe {
            let locks = self.raw.locks;
            (locks.table.unlock)(locks.host, self.raw.lock, self.mode)
        };
    }
}

fn nanoseconds(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos()).unwrap_or(CHI_WAIT_FOREVER)
}

/// A mutex around a value. It suspends the waiting task and not its worker.
///
/// ```
/// use chimaera::module::CoMutex;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// struct Runtime {
///     last: CoMutex<AtomicU64>,
/// }
///
/// impl Runtime {
///     fn number(&self) -> chimaera::Result<u64> {
///         let last = self.last.lock()?;
///         let number = last.load(Ordering::Relaxed) + 1;
///         // The method may wait for other tasks here: meanwhile no other root gets the lock.
///         last.store(number, Ordering::Relaxed);
///         Ok(number)
///     }
/// }
/// # let runtime = Runtime { last: CoMutex::new(AtomicU64::new(0)) };
/// # assert_eq!(runtime.number().unwrap_err().code(), chimaera::abi::CHI_NOT_INITIALIZED);
/// ```
///
/// The holder of the mutex is a root: a task from a client together with all tasks that descend
/// from it. So a method may hold the mutex and wait for a subtask whose method locks it too.
/// Several guards can therefore exist at once, and a guard gives only `&T`: the mutex keeps other
/// roots out, and `T` itself must allow what the tasks of one root do to it at the same time, for
/// example by being an atomic or a `std::sync::Mutex`. A task may lock the mutex repeatedly. Roots
/// get it in the order in which they asked for it.
///
/// Locks that a method still holds when it ends, for example in leaked guards, are released. When
/// the mutex is dropped, tasks that wait for it get `CHI_CANCELLED`.
#[derive(Default)]
pub struct CoMutex<T = ()> {
    lock: Lazy,
    value: T,
}

impl<T> CoMutex<T> {
    /// Makes an unlocked mutex.
    pub const fn new(value: T) -> Self {
        CoMutex { lock: Lazy::new(), value }
    }

    /// Locks the mutex, suspending the task until it is free. Errors: `CHI_CANCELLED` when, during
    /// the wait, the task is cancelled, its client goes, its pool is being destroyed or the runtime
    /// is stopping; `CHI_INVALID` outside a method; `CHI_UNSUPPORTED` in a runtime with ABI 1.0;
    /// `CHI_NOT_INITIALIZED` outside a runtime. `[worker]`
    pub fn lock(&self) -> Result<CoMutexGuard<'_, T>> {
        self.take(CHI_WAIT_FOREVER)
    }

    /// Like [`lock`](Self::lock), but fails with `CHI_TIMEOUT` when the mutex is not free within
    /// `timeout`. `[worker]`
    pub fn lock_for(&self, timeout: Duration) -> Result<CoMutexGuard<'_, T>> {
        self.take(nanoseconds(timeout))
    }

    /// Locks the mutex if that is possible without waiting, else returns `None`. Errors as for
    /// [`lock`](Self::lock). `[worker]`
    pub fn try_lock(&self) -> Result<Option<CoMutexGuard<'_, T>>> {
        let held = self.lock.try_take(CHI_LOCK_EXCLUSIVE)?;
        Ok(held.map(|held| CoMutexGuard { value: &self.value, _held: held }))
    }

    /// The value. The exclusive reference shows that no task holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    fn take(&self, timeout_ns: u64) -> Result<CoMutexGuard<'_, T>> {
        let held = self.lock.take(CHI_LOCK_EXCLUSIVE, timeout_ns)?;
        Ok(CoMutexGuard { value: &self.value, _held: held })
    }
}

/// Without the lock: while a container is saved, no task is in it.
impl<T: StateValue> StateValue for CoMutex<T> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        self.value.save_value(archive)
    }
    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        self.value.load_value(archive)
    }
}

impl<T> fmt::Debug for CoMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoMutex").finish_non_exhaustive()
    }
}

/// Holds a [`CoMutex`] and releases it when dropped.
#[must_use = "dropping the guard releases the lock at once"]
pub struct CoMutexGuard<'a, T> {
    value: &'a T,
    _held: Held<'a>,
}

impl<T> Deref for CoMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

/// A readers-writer lock around a value. It suspends the waiting task and not its worker. Like a
/// [`CoMutex`], it is held by roots, and even a writer gets only `&T`, because other tasks of its
/// root may hold the lock at the same time. Readers do not overtake a waiting writer, so writers do
/// not starve.
///
/// A root that reads may also write once no other root reads. Two reading roots that both wait to
/// write deadlock; the runtime detects this and ends one of the tasks.
///
/// ```
/// # use chimaera::module::CoRwLock;
/// # use std::sync::Mutex;
/// # fn example(names: &CoRwLock<Mutex<Vec<String>>>) -> chimaera::Result<()> {
/// names.write()?.lock().unwrap().push("one".into());
/// assert_eq!(names.read()?.lock().unwrap().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct CoRwLock<T = ()> {
    lock: Lazy,
    value: T,
}

impl<T> CoRwLock<T> {
    /// Makes an unlocked lock.
    pub const fn new(value: T) -> Self {
        CoRwLock { lock: Lazy::new(), value }
    }

    /// Locks for reading, together with other readers. Errors as for [`CoMutex::lock`]. `[worker]`
    pub fn read(&self) -> Result<CoRwGuard<'_, T>> {
        self.take(CHI_LOCK_SHARED, CHI_WAIT_FOREVER)
    }

    /// Like [`read`](Self::read), but fails with `CHI_TIMEOUT` when the lock is not free within
    /// `timeout`. `[worker]`
    pub fn read_for(&self, timeout: Duration) -> Result<CoRwGuard<'_, T>> {
        self.take(CHI_LOCK_SHARED, nanoseconds(timeout))
    }

    /// Locks for reading if that is possible without waiting, else returns `None`. `[worker]`
    pub fn try_read(&self) -> Result<Option<CoRwGuard<'_, T>>> {
        self.try_take(CHI_LOCK_SHARED)
    }

    /// Locks for writing: no other root holds the lock. Errors as for [`CoMutex::lock`]. `[worker]`
    pub fn write(&self) -> Result<CoRwGuard<'_, T>> {
        self.take(CHI_LOCK_EXCLUSIVE, CHI_WAIT_FOREVER)
    }

    /// Like [`write`](Self::write), but fails with `CHI_TIMEOUT` when the lock is not free within
    /// `timeout`. `[worker]`
    pub fn write_for(&self, timeout: Duration) -> Result<CoRwGuard<'_, T>> {
        self.take(CHI_LOCK_EXCLUSIVE, nanoseconds(timeout))
    }

    /// Locks for writing if that is possible without waiting, else returns `None`. `[worker]`
    pub fn try_write(&self) -> Result<Option<CoRwGuard<'_, T>>> {
        self.try_take(CHI_LOCK_EXCLUSIVE)
    }

    /// The value. The exclusive reference shows that no task holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    fn take(&self, mode: u32, timeout_ns: u64) -> Result<CoRwGuard<'_, T>> {
        Ok(CoRwGuard { value: &self.value, _held: self.lock.take(mode, timeout_ns)? })
    }

    fn try_take(&self, mode: u32) -> Result<Option<CoRwGuard<'_, T>>> {
        let held = self.lock.try_take(mode)?;
        Ok(held.map(|held| CoRwGuard { value: &self.value, _held: held }))
    }
}

/// Without the lock: while a container is saved, no task is in it.
impl<T: StateValue> StateValue for CoRwLock<T> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        self.value.save_value(archive)
    }
    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        self.value.load_value(archive)
    }
}

impl<T> fmt::Debug for CoRwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoRwLock").finish_non_exhaustive()
    }
}

/// Holds a [`CoRwLock`], as a reader or a writer, and releases it when dropped.
#[must_use = "dropping the guard releases the lock at once"]
pub struct CoRwGuard<'a, T> {
    value: &'a T,
    _held: Held<'a>,
}

impl<T> Deref for CoRwGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}
