//! libchimaera_embedded: a runtime inside the calling process, for programs in C and C++. Its
//! header, `include/chimaera/embedded.h`, documents each function.

#![allow(non_camel_case_types)]

use std::cell::RefCell;
use std::ffi::{c_char, CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

use chimaera_abi::*;
use chimaera_runtime::log::Sink;
use chimaera_runtime::{Config, Error, Runtime};
use tracing_subscriber::filter::LevelFilter;

/// `chi_embedded_options` of the header.
#[repr(C)]
pub struct chi_embedded_options {
    size: u32,
    workers: u32,
    instance: *const c_char,
    module_path: *const c_char,
}

/// `chi_embedded` of the header.
pub struct chi_embedded {
    runtime: Runtime,
    instance: CString,
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

fn fail(status: chi_status, message: impl std::fmt::Display) -> chi_status {
    let text = CString::new(message.to_string().replace('\0', " ")).unwrap_or_default();
    // A thread that is ending has lost its thread-locals, and nothing on it can ask for the
    // message.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = text);
    status
}

/// Turns the options into a configuration.
///
/// # Safety
/// `options` is null or points to options whose strings are null or C strings.
unsafe fn config(options: *const chi_embedded_options) -> Result<Config, chi_status> {
    let mut config = Config::embedded();
    if options.is_null() {
        return Ok(config);
    }
    // SAFETY: by the caller's promise; the options begin with their size, and nothing beyond it is
    // read from a shorter struct.
    if unsafe { (*options).size as usize } < size_of::<chi_embedded_options>() {
        let what = "chi_embedded_options.size must be sizeof(chi_embedded_options)";
        return Err(fail(CHI_INVALID, what));
    }
    // SAFETY: by the caller's promise, and the size that was just checked covers the whole type.
    let options = unsafe { &*options };
    if options.workers != 0 {
        config.workers = options.workers as usize;
    }
    if !options.instance.is_null() {
        // SAFETY: by the caller's promise.
        let name = unsafe { CStr::from_ptr(options.instance) };
        config.instance = Some(name.to_string_lossy().into_owned());
        config.private = false;
    }
    if !options.module_path.is_null() {
        // SAFETY: by the caller's promise.
        let paths = unsafe { CStr::from_ptr(options.module_path) };
        let paths = std::env::split_paths(std::ffi::OsStr::from_bytes(paths.to_bytes()));
        config.module_paths =
            paths.filter(|path| !path.as_os_str().is_empty()).collect::<Vec<PathBuf>>();
    }
    Ok(config)
}

/// Logs to standard error: warnings and errors, unless `$CHI_LOG` says otherwise.
fn log_to_stderr() {
    let wanted = std::env::var_os("CHI_LOG").filter(|text| !text.is_empty());
    let level = match &wanted {
        None => Some(LevelFilter::WARN),
        Some(text) => text.to_str().and_then(|text| text.parse().ok()),
    };
    let own_line = |message: &str| format!("WARN chimaera::log: {message}\n");
    // Without a thread that writes it, there is no log.
    let Ok(sink) = Sink::standard_error(Box::new(own_line)) else { return };
    // It fails if a subscriber is already installed, for example by an earlier start.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(LevelFilter::WARN))
        .with_writer(Arc::new(sink))
        .with_ansi(false)
        .try_init();
    if let (Some(text), None) = (wanted, level) {
        tracing::warn!(
            "CHI_LOG: {text:?} is not a log level; use error, warn, info, debug or trace"
        );
    }
}

/// Starts a runtime. See the header.
///
/// # Safety
/// `options` is null or points to options whose strings are null or C strings; `embedded` points to
/// a pointer that may be written.
#[no_mangle]
pub unsafe extern "C" fn chi_embedded_start(
    options: *const chi_embedded_options,
    embedded: *mut *mut chi_embedded,
) -> chi_status {
    // SAFETY: by the caller's promise.
    let config = match unsafe {
        *embedded = ptr::null_mut();
        config(options)
    } {
        Ok(config) => config,
        Err(status) => return status,
    };
    log_to_stderr();
    let runtime = match Runtime::start(config) {
        Ok(runtime) => runtime,
        Err(error) => {
            let status = match error {
                Error::Instance(_) | Error::Config(_) | Error::Core { .. } => CHI_INVALID,
                Error::Running { .. } => CHI_EXISTS,
                Error::Io { .. } => CHI_IO,
                Error::Pool { .. } | Error::Durable { .. } | Error::Cluster { .. } => CHI_FAILED,
            };
            return fail(status, error);
        }
    };
    let instance = CString::new(runtime.instance().name()).expect("a name has no zero byte");
    // SAFETY: by the caller's promise.
    unsafe { *embedded = Box::into_raw(Box::new(chi_embedded { runtime, instance })) };
    CHI_OK
}

/// The instance's name. See the header.
///
/// # Safety
/// `embedded` comes from `chi_embedded_start` and was not stopped.
#[no_mangle]
pub unsafe extern "C" fn chi_embedded_instance(embedded: *const chi_embedded) -> *const c_char {
    // SAFETY: by the caller's promise.
    unsafe { (*embedded).instance.as_ptr() }
}

/// Stops a runtime. See the header.
///
/// # Safety
/// `embedded` is null or comes from `chi_embedded_start` and was not stopped.
#[no_mangle]
pub unsafe extern "C" fn chi_embedded_stop(embedded: *mut chi_embedded) {
    if embedded.is_null() {
        return;
    }
    // SAFETY: by the caller's promise.
    let embedded = unsafe { Box::from_raw(embedded) };
    embedded.runtime.stop();
    // What was abandoned is in the log.
    drop(embedded.runtime.wait());
}

/// The message of the last call that failed on this thread. See the header.
#[no_mangle]
pub extern "C" fn chi_embedded_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}
