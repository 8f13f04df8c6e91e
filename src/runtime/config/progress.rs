//! What a runtime that is starting is doing.

use std::sync::Mutex;
use std::time::Instant;

use chimaera_ipc::status_page::Page;

use crate::sys::{ends, lock};

/// What a runtime that is starting is doing. A start cannot be interrupted, because it runs code of
/// modules, which may never return; but another thread can end the process.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What is done now, if that runs code of modules.
    step: Option<String>,
    /// Whether there may be pools by now.
    creates_pools: bool,
    /// Since when the runtime is to stop.
    stopping_since: Option<Instant>,
}

impl Progress {
    /// Tells the start that the runtime is to stop. If it is creating pools, it creates no more of them, and the
    /// pools that there are have to be destroyed: then what it is just doing is returned, and has to be waited for.
    pub fn stop(&self) -> Option<String> {
        let mut state = lock(&self.0);
        state.stopping_since.get_or_insert_with(Instant::now);
        let step = state.step.clone().unwrap_or_default();
        state.creates_pools.then_some(step)
    }

    /// Since when the runtime is to stop, if it was told so before it had started.
    pub fn stopping_since(&self) -> Option<Instant> {
        lock(&self.0).stopping_since
    }

    /// Ends the process at once, with this exit code, after passing `say` what the start was doing. It
    /// is for a daemon that is told to stop before it has started.
    ///
    /// While a constructor of a module runs, whatever needs the dynamic linker waits for it, such as
    /// the first use of a thread-local with a destructor. So `say` must not use the subscriber of
    /// `tracing`.
    pub fn end_process(&self, code: i32, say: impl FnOnce(&str)) -> ! {
        let step = lock(&self.0).step.clone();
        let step = step.map_or_else(String::new, |step| format!(" while {step}"));
        say(&format!("told to stop before the start was complete{step}: the process ends now"));
        ends::leave(code)
    }

    /// `step` says what is done from now on: it runs code of modules, and may take forever.
    pub(crate) fn begin(&self, page: &Page, step: String) {
        page.set_step(&step);
        lock(&self.0).step = Some(step);
    }

    /// From now on, there may be pools.
    pub(crate) fn create_pools(&self) {
        lock(&self.0).creates_pools = true;
    }

    pub(crate) fn end(&self, page: &Page) {
        page.set_step("");
        lock(&self.0).step = None;
    }
}
