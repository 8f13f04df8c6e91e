//! How a thread finds its IPC manager.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use chimaera_abi::{chi_ipc, CHI_NOT_INITIALIZED};

use crate::{Ipc, Result, Status};

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
