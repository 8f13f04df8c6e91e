//! What a runtime that is starting is doing.

use std::sync::Mutex;

use crate::sys::{last_words, lock};

/// What a runtime that is starting is doing. A start cannot be interrupted, because it runs code of
/// modules, which may never return; but another thread can end the process.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<String>>);

impl Progress {
    /// Ends the process at once, with exit code 1, after passing `say` what the start was doing. It
    /// is for a daemon that is told to stop before it has started.
    ///
    /// While a constructor of a module runs, whatever needs the dynamic linker waits for it, such as
    /// the first use of a thread-local with a destructor. So `say` must not use the subscriber of
    /// `tracing`.
    pub fn end_process(&self, say: impl FnOnce(&str)) -> ! {
        let step = lock(&self.0).as_ref().map_or_else(String::new, |step| format!(" while {step}"));
        say(&format!("told to stop before the start was complete{step}: the process ends now"));
        last_words::give_up();
        // SAFETY: the function ends the process, whatever other threads do.
        unsafe { libc::_exit(1) }
    }

    /// `step` says what is done from now on: it runs code of modules, and may take forever.
    pub(crate) fn begin(&self, step: String) {
        *lock(&self.0) = Some(step);
    }

    pub(crate) fn end(&self) {
        *lock(&self.0) = None;
    }
}
