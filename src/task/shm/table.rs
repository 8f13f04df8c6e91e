//! The IPC manager: a handle to the C table `chi_ipc`, and how a thread finds its own.

use std::ffi::CStr;
use std::fmt;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use chimaera_abi::{
    chi_buffer, chi_ipc, chi_status, chi_task, since_1_0, CHI_NOT_INITIALIZED, CHI_OK, CHI_VERSION,
    CHI_WAIT_FOREVER,
};

use crate::status::{Result, Status};

/// The IPC manager: makes tasks, finds and makes pools, allocates buffers. A handle to a table that
/// lives as long as the process, from [`ipc`]. `[any thread]`
#[derive(Clone, Copy)]
// Invariant: the table covers all that ABI 1.0 names, is never written, and lives as long as the process.
// It may be shorter than `chi_ipc`, so there is no reference to it.
pub struct Ipc(*const chi_ipc);

// SAFETY: the table is immutable, and its functions may be called from any thread.
unsafe impl Send for Ipc {}
// SAFETY: as above, and at the same time.
unsafe impl Sync for Ipc {}

impl Ipc {
    /// The handle to a C table. Errors: `CHI_VERSION` when the table is shorter than this crate's.
    ///
    /// # Safety
    ///
    /// `table` points to a `chi_ipc` that is as long as its `size` says and lives as long as the
    /// process.
    pub unsafe fn from_raw(table: *const chi_ipc) -> Result<Self> {
        // SAFETY: every table begins with its size.
        let size = unsafe { (*table).size } as usize;
        if size < since_1_0::IPC {
            return Err(Status::new(
                CHI_VERSION,
                format!("the IPC manager has {size} bytes, at least {} are needed", since_1_0::IPC),
            ));
        }
        Ok(Ipc(table))
    }

    /// The C table: it covers what ABI 1.0 names, and lives as long as the process.
    pub fn as_raw(self) -> *const chi_ipc {
        self.0
    }

    /// A function of a later minor, or a failure when the table does not cover it.
    pub(crate) fn require<F>(self, function: Option<F>) -> Result<F> {
        function.ok_or_else(|| {
            Status::new(CHI_VERSION, "this runtime speaks an older version of the ABI")
        })
    }

    /// A block for a task, or for nobody when `owner` is null.
    pub(crate) fn alloc_for(self, owner: *mut chi_task, size: usize) -> Result<chi_buffer> {
        let mut buffer = MaybeUninit::uninit();
        // SAFETY: the function writes the buffer when it succeeds; an owner is a live task or null.
        unsafe {
            self.check(((*self.0).alloc)(self.0, owner, size as u64, buffer.as_mut_ptr()))?;
            Ok(buffer.assume_init())
        }
    }

    /// A block for a task, for elements that hold strings or vectors.
    pub(crate) fn alloc_elements(self, owner: *mut chi_task, size: usize) -> Result<chi_buffer> {
        let mut buffer = MaybeUninit::uninit();
        // SAFETY: as in `alloc_for`.
        unsafe {
            let made = ((*self.0).alloc_elements)(self.0, owner, size as u64, buffer.as_mut_ptr());
            self.check(made)?;
            Ok(buffer.assume_init())
        }
    }

    /// Turns a status of the table's into a result.
    pub(crate) fn check(self, status: chi_status) -> Result<()> {
        if status == CHI_OK {
            return Ok(());
        }
        // SAFETY: the message is never null, ends with a zero, and stays until the thread's next call.
        let message = unsafe { CStr::from_ptr(((*self.0).last_error)(self.0)) };
        Err(Status::new(status, message.to_string_lossy()))
    }
}

impl fmt::Debug for Ipc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ipc").field(&self.0).finish()
    }
}

/// A bound in the contract's nanoseconds; too long a one is none.
pub(crate) fn nanoseconds(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos()).unwrap_or(CHI_WAIT_FOREVER)
}

/// A `fn() -> *const chi_ipc`, or null.
static RESOLVER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Says how a thread finds its IPC manager. The Rust client and the module SDK do it; applications and
/// modules have no need to. A later call replaces an earlier one. `[any thread]`
///
/// # Safety
///
/// On every thread, `resolver` returns null or a table that lives as long as the process.
pub unsafe fn set_resolver(resolver: fn() -> *const chi_ipc) {
    RESOLVER.store(resolver as *mut (), Ordering::Release);
}

/// The IPC manager of this thread: the worker's while a method runs, else the process's session.
///
/// Errors: `CHI_NOT_INITIALIZED` when there is none. `[any thread]`
pub fn ipc() -> Result<Ipc> {
    let resolver = RESOLVER.load(Ordering::Acquire);
    if resolver.is_null() {
        return Err(none());
    }
    // SAFETY: only `set_resolver` stores here, and only such functions.
    let resolver = unsafe { mem::transmute::<*mut (), fn() -> *const chi_ipc>(resolver) };
    let table = resolver();
    if table.is_null() {
        return Err(none());
    }
    // SAFETY: such a table lives as long as the process, said the caller of `set_resolver`.
    unsafe { Ipc::from_raw(table) }
}

fn none() -> Status {
    Status::new(
        CHI_NOT_INITIALIZED,
        "this thread has no IPC manager: connect first, or call from a module's method",
    )
}
