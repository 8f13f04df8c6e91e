//! Panics are caught at the boundary of the module, and become a status and a message.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use chimaera_abi::{chi_status, CHI_OK};
use chimaera_task::{Result, Status};

use crate::host::set_error;

thread_local! {
    /// How many calls into the module are active on this thread, including those of suspended
    /// tasks.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The message of the panic in progress.
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs a panic hook: a panic in a call into the module is recorded as a message with its
/// location, instead of being printed to stderr. Other panics go to the previous hook.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                return previous(info);
            }
            let location =
                info.location().map(|location| format!(" at {location}")).unwrap_or_default();
            let message = format!("panicked: {}{location}", text(info.payload()));
            MESSAGE.with(|slot| {
                if let Ok(mut slot) = slot.try_borrow_mut() {
                    *slot = Some(message);
                }
            });
        }));
    });
}

/// Runs `f`. A panic becomes `CHI_FAILED` with its message, or the [`Status`] that is its payload.
pub(crate) fn catch<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    DEPTH.set(DEPTH.get() + 1);
    // The panic may leave the container's state half changed. As with every caught panic, it is up
    // to the author to keep it consistent.
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    DEPTH.set(DEPTH.get() - 1);
    result.unwrap_or_else(|payload| {
        let payload = match payload.downcast::<Status>() {
            Ok(status) => return Err(*status),
            Err(payload) => payload,
        };
        let message = MESSAGE
            .with(|slot| slot.try_borrow_mut().ok().and_then(|mut slot| slot.take()))
            .unwrap_or_else(|| format!("panicked: {}", text(&*payload)));
        // If the destructor of the payload panics too, the second payload is leaked.
        if let Err(again) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(again);
        }
        Err(Status::failed(message))
    })
}

/// Runs `f`. An error or a panic becomes a status code, and its message goes to the host.
pub(crate) fn to_status(f: impl FnOnce() -> Result<()>) -> chi_status {
    match catch(f) {
        Ok(()) => CHI_OK,
        Err(status) => {
            set_error(status.message());
            status.code()
        }
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "something that is not text"
    }
}
