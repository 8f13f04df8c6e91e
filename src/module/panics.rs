//! Where panics stop: at the module's edge, as a status and a message.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use chimaera_abi::{chi_status, CHI_OK};
use chimaera_task::{Result, Status};

use crate::host::set_error;

thread_local! {
    /// How many calls into the module this thread is in; of suspended tasks too.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The message of the panic that is under way.
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets the panics of the module's calls be messages with a place instead of lines on stderr. Other
/// threads' panics go to the hook that was there.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                return previous(info);
            }
            let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
            let message = format!("panicked: {}{place}", text(info.payload()));
            MESSAGE.with(|slot| {
                if let Ok(mut slot) = slot.try_borrow_mut() {
                    *slot = Some(message);
                }
            });
        }));
    });
}

/// Runs `f`; a panic in it becomes `CHI_FAILED` and its message, or the status that it was made with.
pub(crate) fn catch<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    DEPTH.set(DEPTH.get() + 1);
    // What the panic left half done is the container's: it is for the author to keep it whole, as with
    // every panic that is caught.
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
        // A payload whose destructor panics as well is leaked.
        if let Err(again) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(again);
        }
        Err(Status::failed(message))
    })
}

/// Runs `f`; its failure, or its panic, becomes a status code for the host, which gets the message.
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
