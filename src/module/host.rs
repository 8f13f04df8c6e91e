//! The host: the runtime's functions for modules.

use std::ffi::{c_void, CStr};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use chimaera_abi::{
    chi_host, chi_ipc, since_1_0, CHI_ABI_MAJOR, CHI_LOG_DEBUG, CHI_LOG_ERROR, CHI_LOG_INFO,
    CHI_LOG_WARN,
};

/// The table that was passed to `chi_module`; null before that call.
///
/// Invariant: when not null, it is a table of this major version that covers `chi_host` and lives
/// as long as the process.
static HOST: AtomicPtr<chi_host> = AtomicPtr::new(ptr::null_mut());

/// The host. It may be shorter than `chi_host`, so there must be no reference to it: fields of ABI
/// 1.0 may be read through the pointer, later ones only with `read_field!`.
pub(crate) fn host() -> Option<*const chi_host> {
    let host = HOST.load(Ordering::Acquire);
    (!host.is_null()).then_some(host.cast_const())
}

/// Whether a module can work with a host.
pub(crate) enum Acceptance {
    /// It can. The host is registered.
    Accepted,
    /// The host has another major version: only the start of its table has a known layout.
    OtherMajor,
    /// The table is null, or shorter than its version requires.
    Malformed,
}

/// Checks and registers the host.
///
/// # Safety
///
/// `table` is null, or points to a `chi_host` that is as long as its size says and lives as long as
/// the process.
pub(crate) unsafe fn accept(table: *const chi_host) -> Acceptance {
    if table.is_null() {
        return Acceptance::Malformed;
    }
    // SAFETY: every version's table begins with these two fields.
    let (size, major) = unsafe { ((*table).size as usize, (*table).abi_major) };
    if major != CHI_ABI_MAJOR {
        return Acceptance::OtherMajor;
    }
    if size < since_1_0::HOST {
        return Acceptance::Malformed;
    }
    HOST.store(table.cast_mut(), Ordering::Release);
    // SAFETY: `resolve` returns tables of the host, which guarantees that they live as long as the
    // process.
    unsafe { chimaera_task::set_resolver(resolve) };
    Acceptance::Accepted
}

/// The IPC manager of this thread.
fn resolve() -> *const chi_ipc {
    match host() {
        // SAFETY: the table is valid, and the function may be called from any thread.
        Some(host) => unsafe { ((*host).ipc)(host) },
        None => ptr::null(),
    }
}

/// Sets the message for the error status, or the null, that the module is about to return.
pub(crate) fn set_error(message: &str) {
    if let Some(host) = host() {
        // SAFETY: the text is `len` bytes of UTF-8, and the host copies it.
        unsafe { ((*host).set_error)(host, message.as_ptr().cast(), message.len() as u64) }
    }
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// An operation failed.
    Error = CHI_LOG_ERROR as isize,
    /// Something unexpected that did not make an operation fail.
    Warn = CHI_LOG_WARN as isize,
    /// A normal event worth knowing.
    Info = CHI_LOG_INFO as isize,
    /// Details for the module's author.
    Debug = CHI_LOG_DEBUG as isize,
}

/// Writes a line to the runtime's log; see the macros [`log_error!`](crate::log_error) and so on.
/// Outside a runtime it does nothing. `[any thread]`
pub fn log(level: LogLevel, line: fmt::Arguments<'_>) {
    let Some(host) = host() else { return };
    let owned;
    let text = match line.as_str() {
        Some(text) => text,
        None => {
            owned = line.to_string();
            &owned
        }
    };
    // SAFETY: the text is `len` bytes of UTF-8, and the host copies it.
    unsafe { ((*host).log)(host, level as u32, text.as_ptr().cast(), text.len() as u64) }
}

/// Looks up an optional feature of the runtime by its id; `None` when the runtime does not have it.
/// The documentation of the id says what the pointer refers to. `[any thread]`
pub fn extension(id: &CStr) -> Option<NonNull<c_void>> {
    let host = host()?;
    // SAFETY: the id ends with a zero, and the function may be called from any thread.
    NonNull::new(unsafe { ((*host).extension)(host, id.as_ptr()) }.cast_mut())
}

/// Copies an extension that is a table of functions; `None` when the runtime does not have it, or
/// has a shorter one.
///
/// # Safety
///
/// The extension with this id is a struct that begins with its size, a `u32`, and has the layout of
/// `T` as far as that size reaches.
pub(crate) unsafe fn extension_table<T>(id: &CStr) -> Option<T> {
    let table = extension(id)?.cast::<T>();
    // SAFETY: the struct begins with its size, as the caller guarantees.
    let size = unsafe { table.cast::<u32>().read() } as usize;
    // SAFETY: it is long enough to be a whole `T`.
    (size >= size_of::<T>()).then(|| unsafe { table.read() })
}

macro_rules! log_macros {
    ($($(#[$doc:meta])* $name:ident: $level:ident;)*) => {log_macros! { @with ($) $($(#[$doc])* $name: $level;)* }};
    (@with ($d:tt) $($(#[$doc:meta])* $name:ident: $level:ident;)*) => {$(
        $(#[$doc])*
        #[macro_export]
        macro_rules! $name {
            ($d($d arg:tt)*) => {
                $crate::log($crate::LogLevel::$level, ::core::format_args!($d($d arg)*))
            };
        }
    )*};
}

log_macros! {
    /// Logs that an operation failed. Arguments as for `format!`.
    log_error: Error;
    /// Logs something unexpected that did not make an operation fail. Arguments as for `format!`.
    log_warn: Warn;
    /// Logs a normal event worth knowing. Arguments as for `format!`.
    log_info: Info;
    /// Logs details for the module's author. Arguments as for `format!`.
    log_debug: Debug;
}
