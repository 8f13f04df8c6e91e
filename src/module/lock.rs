//! Locks that suspend the task that waits for them, and never its worker.

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
use chimaera_task::{Result, Status};

use crate::host::{extension_table, host};

/// How this runtime makes locks.
struct Locks {
    host: *const chi_host,
    table: chi_locks,
}

// SAFETY: the host is immutable, lives as long as the process, and any thread may call it.
unsafe impl Send for Locks {}
// SAFETY: as above, and at the same time.
unsafe impl Sync for Locks {}

/// The runtime's extension, or what the host itself has for modules of ABI 1.1.
fn locks() -> Result<&'static Locks> {
    static LOCKS: OnceLock<Locks> = OnceLock::new();
    if let Some(locks) = LOCKS.get() {
        return Ok(locks);
    }
    let Some(host) = host() else {
        return Err(Status::new(CHI_NOT_INITIALIZED, "locks work inside a runtime only"));
    };
    // SAFETY: the id's extension is such a table; the host is as long as it says.
    let table = unsafe { extension_table(CHI_EXT_LOCKS).or_else(|| locks_of(host)) };
    let Some(table) = table else {
        let what = "this runtime has no locks; it is older than the module";
        return Err(Status::new(CHI_UNSUPPORTED, what));
    };
    Ok(LOCKS.get_or_init(|| Locks { host, table }))
}

/// # Safety
///
/// The host is as long as it says.
unsafe fn locks_of(host: *const chi_host) -> Option<chi_locks> {
    // SAFETY: says the caller.
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

/// A lock of the runtime's.
struct Raw {
    locks: &'static Locks,
    lock: *mut chi_lock,
}

// SAFETY: the runtime's functions may be called on the lock from any worker.
unsafe impl Send for Raw {}
// SAFETY: as above, and at the same time.
unsafe impl Sync for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: `create` made it, and this is the last call.
        unsafe { (self.locks.table.free)(self.locks.host, self.lock) }
    }
}

/// A lock that is made when it is first used: before, there may be no runtime to make it.
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

/// A lock that the running task has.
struct Held<'a> {
    raw: &'a Raw,
    mode: u32,
    /// It stays with the task, and so on its worker.
    task: PhantomData<*const ()>,
}

impl<'a> Held<'a> {
    fn of(raw: &'a Raw, mode: u32, status: chi_status) -> Result<Self> {
        let why = match status {
            CHI_OK => return Ok(Held { raw, mode, task: PhantomData }),
            CHI_TIMEOUT => "others held the lock for too long",
            CHI_CANCELLED => "the task was cancelled while it waited for a lock",
            CHI_INVALID => "only a running method can take a lock",
            _ => "the lock cannot be taken",
        };
        Err(Status::new(status, why))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It fails only when the guard has outlived its task, and then the runtime has released the lock.
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

/// A lock that suspends the task that waits for it, and a value that goes with it.
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
///         // Here it may wait for tasks: others run meanwhile, but none that needs the lock.
///         last.store(number, Ordering::Relaxed);
///         Ok(number)
///     }
/// }
/// # let runtime = Runtime { last: CoMutex::new(AtomicU64::new(0)) };
/// # assert_eq!(runtime.number().unwrap_err().code(), chimaera::abi::CHI_NOT_INITIALIZED);
/// ```
///
/// It is held by a task and all tasks that came of the same root, the task of a client: a method may
/// hold it and wait for a task whose method takes it, too. So its guard is not the only one, and gives
/// no more than `&T`: the lock keeps other roots out, and what tasks of one root do to the value at the
/// same time is for `T` to allow, an atomic or a `std::sync::Mutex` for example. A task may take it
/// many times. Roots get it in the order in which they asked.
///
/// What a method still holds when it ends, guards that it leaked say, is given back. When the mutex is
/// dropped, tasks that wait for it get `CHI_CANCELLED`.
#[derive(Default)]
pub struct CoMutex<T = ()> {
    lock: Lazy,
    value: T,
}

impl<T> CoMutex<T> {
    /// A mutex that nobody holds.
    pub const fn new(value: T) -> Self {
        CoMutex { lock: Lazy::new(), value }
    }

    /// Takes it. Errors: `CHI_CANCELLED` when the task is cancelled while it waits, its client has gone,
    /// its pool is being destroyed, or the runtime is stopping; `CHI_INVALID` outside a method;
    /// `CHI_UNSUPPORTED` in a runtime older than 1.1; `CHI_NOT_INITIALIZED` outside a runtime.
    /// `[worker]`
    pub fn lock(&self) -> Result<CoMutexGuard<'_, T>> {
        self.take(CHI_WAIT_FOREVER)
    }

    /// Takes it, or fails with `CHI_TIMEOUT` when that needs a longer wait. Other errors as for
    /// [`lock`](Self::lock). `[worker]`
    pub fn lock_for(&self, timeout: Duration) -> Result<CoMutexGuard<'_, T>> {
        self.take(nanoseconds(timeout))
    }

    /// Takes it if that needs no waiting. Errors as for [`lock`](Self::lock). `[worker]`
    pub fn try_lock(&self) -> Result<Option<CoMutexGuard<'_, T>>> {
        let held = self.lock.try_take(CHI_LOCK_EXCLUSIVE)?;
        Ok(held.map(|held| CoMutexGuard { value: &self.value, _held: held }))
    }

    /// The value, which nobody else can have meanwhile.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    fn take(&self, timeout_ns: u64) -> Result<CoMutexGuard<'_, T>> {
        let held = self.lock.take(CHI_LOCK_EXCLUSIVE, timeout_ns)?;
        Ok(CoMutexGuard { value: &self.value, _held: held })
    }
}

impl<T> fmt::Debug for CoMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoMutex").finish_non_exhaustive()
    }
}

/// Possession of a [`CoMutex`], given back when it is dropped.
#[must_use = "the lock is given back at once when the guard is dropped"]
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

/// A lock of many readers or one writer that suspends the task that waits for it, and a value that goes
/// with it. What is said of [`CoMutex`] goes for it, too: also a writer gets `&T`, for other tasks of
/// its root may be inside. Readers do not overtake a writer that waits, so writers do not starve.
///
/// A root that reads may write as soon as no other root reads; two of them that wait for this wait for
/// each other.
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
    /// A lock that nobody holds.
    pub const fn new(value: T) -> Self {
        CoRwLock { lock: Lazy::new(), value }
    }

    /// Lets the task in together with other readers. Errors as for [`CoMutex::lock`]. `[worker]`
    pub fn read(&self) -> Result<CoRwGuard<'_, T>> {
        self.take(CHI_LOCK_SHARED, CHI_WAIT_FOREVER)
    }

    /// Lets the task in together with other readers, or fails with `CHI_TIMEOUT` when that needs a longer
    /// wait. `[worker]`
    pub fn read_for(&self, timeout: Duration) -> Result<CoRwGuard<'_, T>> {
        self.take(CHI_LOCK_SHARED, nanoseconds(timeout))
    }

    /// Lets the task in together with other readers if that needs no waiting. `[worker]`
    pub fn try_read(&self) -> Result<Option<CoRwGuard<'_, T>>> {
        self.try_take(CHI_LOCK_SHARED)
    }

    /// Lets the task's root in alone. Errors as for [`CoMutex::lock`]. `[worker]`
    pub fn write(&self) -> Result<CoRwGuard<'_, T>> {
        self.take(CHI_LOCK_EXCLUSIVE, CHI_WAIT_FOREVER)
    }

    /// Lets the task's root in alone, or fails with `CHI_TIMEOUT` when that needs a longer wait.
    /// `[worker]`
    pub fn write_for(&self, timeout: Duration) -> Result<CoRwGuard<'_, T>> {
        self.take(CHI_LOCK_EXCLUSIVE, nanoseconds(timeout))
    }

    /// Lets the task's root in alone if that needs no waiting. `[worker]`
    pub fn try_write(&self) -> Result<Option<CoRwGuard<'_, T>>> {
        self.try_take(CHI_LOCK_EXCLUSIVE)
    }

    /// The value, which nobody else can have meanwhile.
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

impl<T> fmt::Debug for CoRwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoRwLock").finish_non_exhaustive()
    }
}

/// Possession of a [`CoRwLock`], as a reader or as a writer, given back when it is dropped.
#[must_use = "the lock is given back at once when the guard is dropped"]
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
