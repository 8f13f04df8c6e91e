//! Workers that look for messages of other nodes themselves: while a task waits for another node, or right after one of
//! another node, the next message is likely to come before they would sleep, and no other thread need wake up for it.

use std::cell::{Cell, OnceCell};
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::Cluster;
use crate::coroutine::{Poller, Target};
use crate::scheduler::{with_current, Worker};

/// What a worker's looking needs.
struct Attention {
    cluster: Arc<Cluster>,
    poller: OnceCell<Arc<Poller>>,
    /// How long a worker looks after it has found something.
    spin: Duration,
    until: Cell<Instant>,
    looks: Cell<bool>,
}

thread_local! {
    static ATTENTION: OnceCell<Rc<Attention>> = const { OnceCell::new() };
}

/// Has this worker look for messages, as long as it would look for other work.
pub(super) fn attend(worker: &Worker, cluster: &Arc<Cluster>) {
    let spin = worker.shared.config.spin;
    if spin.is_zero() {
        return;
    }
    ATTENTION.with(|own| {
        let attention = own.get_or_init(|| {
            Rc::new(Attention {
                cluster: cluster.clone(),
                poller: OnceCell::new(),
                spin,
                until: Cell::new(Instant::now()),
                looks: Cell::new(false),
            })
        });
        if attention.poller.get().is_none() {
            let target =
                Target { poll, context: Rc::as_ptr(attention).cast_mut().cast(), rest: Some(rest) };
            let epoll = worker.run_queue().shared_epoll();
            // It has no descriptor: this cannot fail. Without it, the thread of the link looks.
            let Ok(poller) = worker.pollers.add(epoll, -1, target, None) else { return };
            let _ = attention.poller.set(poller);
        }
        attention.until.set(Instant::now() + spin);
        attention.set_looks(worker, true);
    });
}

impl Attention {
    fn set_looks(&self, worker: &Worker, looks: bool) {
        if self.looks.replace(looks) == looks {
            return;
        }
        match looks {
            true => self.cluster.endpoint().attend(),
            false => self.cluster.endpoint().leave(),
        }
        if let Some(poller) = self.poller.get() {
            worker.pollers.arm(worker.run_queue().shared_epoll(), poller, looks);
        }
    }

    fn stop(&self) {
        with_current(|worker| self.set_looks(worker.expect("workers look"), false));
    }
}

unsafe extern "C" fn poll(context: *mut c_void) -> bool {
    // SAFETY: the context is this thread's `ATTENTION`, which lives as long as the worker.
    let attention = unsafe { &*context.cast::<Attention>() };
    let any = attention.cluster.endpoint().look();
    if !any {
        // What it waits for comes from another process, which may need this core.
        std::thread::yield_now();
    }
    let now = Instant::now();
    if any {
        attention.until.set(now + attention.spin);
    } else if now >= attention.until.get() {
        attention.stop();
    }
    any
}

/// The worker is about to sleep: the thread of the link looks from now on.
fn rest(context: *mut c_void) -> bool {
    // SAFETY: as for `poll`.
    unsafe { &*context.cast::<Attention>() }.stop();
    true
}
