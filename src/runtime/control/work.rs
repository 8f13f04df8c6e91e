//! Work that the control thread has others do, because it may take long: a worker, where module code runs,
//! or a thread of its own, for files and for answers that others have parts of.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};

use chimaera_abi::{CHI_ADMIN_RESET_POOL, CHI_INTERNAL, CHI_NO_SPACE};

use crate::failure::Failure;
use crate::scheduler::{with_current, Shared, Worker, WorkerMessage};
use crate::sys::lock;

/// Where a thread or a worker puts its result.
pub(super) type Slot<T> = Arc<Mutex<Option<Result<T, Failure>>>>;

/// Has a thread of its own do this.
pub(super) fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<Slot<T>, Failure> {
    let result = Slot::<T>::default();
    let theirs = result.clone();
    let thread = std::thread::Builder::new().name("chi-work".into());
    let started = thread.spawn(move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        let panicked = |_| Err(Failure::new(CHI_INTERNAL, "the thread that did this has panicked"));
        *lock(&theirs) = Some(done.unwrap_or_else(panicked));
    });
    started.map(|_| result).map_err(|error| {
        Failure::new(CHI_NO_SPACE, format!("cannot start a thread for this: {error}"))
    })
}

/// Has a worker do this, on a coroutine.
pub(super) fn on_worker(shared: &Shared, work: impl FnOnce(&Worker) + Send + 'static) {
    let run = move || with_current(|worker| work(worker.expect("messages are read by workers")));
    let worker = shared.least_loaded(false, |_, _| ()).unwrap_or(0);
    shared.mailbox(worker).send(WorkerMessage::Run(CHI_ADMIN_RESET_POOL, Box::new(run)));
}
