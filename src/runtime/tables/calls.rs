//! What every function of the tables needs: the worker that it runs on, and where to leave its message.

use std::cell::RefCell;
use std::ffi::{c_char, CString};

use chimaera_abi::{chi_status, CHI_INVALID, CHI_OK};

use crate::coroutine::current_task;
use crate::failure::Failure;
use crate::scheduler::{with_current, Worker};

thread_local! {
    /// The last message for code that runs for no task.
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// Runs a function of the tables on the worker that this thread is, and turns its result into a status
/// and a message. The message belongs to the task that runs, and goes with it when it is suspended.
pub(super) fn call(f: impl FnOnce(&Worker) -> Result<(), Failure>) -> chi_status {
    let result = with_current(|worker| match worker {
        Some(worker) => f(worker),
        None => {
            let why = "only a thread that runs a method may use the runtime's table";
            Err(Failure::new(CHI_INVALID, why))
        }
    });
    match result {
        Ok(()) => CHI_OK,
        Err(failure) => {
            keep(failure.message);
            failure.status
        }
    }
}

#[cold]
fn keep(message: String) {
    let text = CString::new(message.replace('\0', " ")).unwrap_or_default();
    with_current(|worker| match worker.and_then(|worker| current_task(worker.context())) {
        Some(task) => task.texts.set_last_error(text),
        None => LAST.set(text),
    });
}

/// The message of the last call that failed, until the next one fails.
pub(super) fn last() -> *const c_char {
    with_current(|worker| match worker.and_then(|worker| current_task(worker.context())) {
        Some(task) => task.texts.last_error(),
        None => LAST.with_borrow(|last| last.as_ptr()),
    })
}
