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

/// The IPC manager: makes tasks, finds and creates pools, allocates buffers. A handle, from
/// [`ipc`], to a table that lives as long as the process. `[any thread]`
#[derive(Clone, Copy)]
// Invariant: the table has at least the fields of ABI 1.0, is immutable, and lives as long as the
// process. It may be shorter than `chi_ipc`, so there must be no reference to it.
pub struct Ipc(*const chi_ipc);

// SAFETY: the table is immutable, and its functions may be called from any thread.
unsafe impl Send for Ipc {}
// SAFETY: as above; threads may call them at the same time.
unsafe impl Sync for Ipc {}

impl Ipc {
    /// Makes a handle to a C table. Errors: `CHI_VERSION` when the table is shorter than that of
    /// ABI 1.0.
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
                format!("the IPC manager has {size} bytes, but needs at least {}", since_1_0::IPC),
            ));
        }
        Ok(Ipc(table))
    }

    /// The C table. It has at least the fields of ABI 1.0, and lives as long as the process.
    pub fn as_raw(self) -> *const chi_ipc {
        self.0
    }

    /// A function of a later minor version, or an error when the table does not have it.
    pub(crate) fn require<F>(self, minor: u32, function: Option<F>) -> Result<F> {
        function.ok_or_else(|| {
            let why = format!("this call needs a runtime with ABI 1.{minor} or later");
            Status::new(CHI_VERSION, why)
        })
    }

    /// Allocates a block for the task `owner`, or one without an owner when that is null.
    pub(crate) fn alloc_for(self, owner: *mut chi_task, size: usize) -> Result<chi_buffer> {
        let mut buffer = MaybeUninit::uninit();
        // SAFETY: the function writes the buffer when it succeeds; an owner is a live task or null.
        unsafe {
            self.check(((*self.0).alloc)(self.0, owner, size as u64, buffer.as_mut_ptr()))?;
            Ok(buffer.assume_init())
        }
    }

    /// Allocates a block for a task, for elements that contain strings or vectors.
    pub(crate) fn alloc_elements(self, owner: *mut chi_task, size: usize) -> Result<chi_buffer> {
        let mut buffer = MaybeUninit::uninit();
        // SAFETY: as in `alloc_for`.
        unsafe {
            let made = ((*self.0).alloc_elements)(self.0, owner, size as u64, buffer.as_mut_ptr());
            self.check(made)?;
            Ok(buffer.assume_init())
        }
    }

    /// Turns a status of the table into a result, with the table's last error as the message.
    pub(crate) fn check(self, status: chi_status) -> Result<()> {
        if status == CHI_OK {
            return Ok(());
        }
        // SAFETY: the message is never null, ends with a zero, and stays until the thread's next
        // call.
        let message = unsafe { CStr::from_ptr(((*self.0).last_error)(self.0)) };
        Err(Status::new(status, message.to_string_lossy()))
    }
}

impl fmt::Debug for Ipc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ipc").field(&self.0).finish()
    }
}

/// A timeout in nanoseconds for the contract; one that is too long becomes `CHI_WAIT_FOREVER`.
pub(crate) fn nanoseconds(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos()).unwrap_or(CHI_WAIT_FOREVER)
}

/// A `fn() -> *const chi_ipc`, or null.
static RESOLVER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Sets the function with which a thread finds its IPC manager. The Rust client and the module SDK
/// call this; applications and modules need not. A later call replaces an earlier one. `[any
/// thread]`
///
/// # Safety
///
/// On every thread, `resolver` returns null or a table that lives as long as the process.
pub unsafe fn set_resolver(resolver: fn() -> *const chi_ipc) {
    RESOLVER.store(resolver as *mut (), Ordering::Release);
}

/// The IPC manager of this thread: the worker's while a method runs, else that of the process's
/// session.
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
    // SAFETY: the table lives as long as the process, as the caller of `set_resolver` guarantees.
    unsafe { Ipc::from_raw(table) }
}

fn none() -> Status {
    Status::new(
        CHI_NOT_INITIALIZED,
        "this thread has no IPC manager: connect first, or call from a module's method",
    )
}
