//! Events: they let something outside tasks, such as a thread or a device, end a task's wait.

use std::mem::{self, ManuallyDrop};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::coroutine::WaitsFor;
use crate::scheduler::{with_current, Shared, Worker};
use crate::sync::Waiter;
use crate::sys::lock;
use crate::task::Record;
use chimaera_abi::*;

/// An event, to which a module's `chi_event` pointer refers.
struct Event {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    set: bool,
    waiter: Option<Waiter>,
}

impl Event {
    fn set(&self) {
        let waiter = {
            let mut state = lock(&self.state);
            state.set = true;
            state.waiter.take()
        };
        let Some(waiter) = waiter else { return };
        with_current(|worker| {
            match worker.filter(|worker| Arc::ptr_eq(&worker.shared, &self.shared)) {
                Some(worker) => worker.wake(waiter),
                None => self.shared.wake(waiter),
            }
        });
    }
}

fn wait_for_event(
    worker: &Worker,
    record: &Record,
    event: &Event,
    flags: u32,
    timeout_ns: u64,
) -> chi_status {
    let until = (timeout_ns != CHI_WAIT_FOREVER)
        .then(|| Instant::now().checked_add(Duration::from_nanos(timeout_ns)))
        .flatten();
    loop {
        let waiter = worker.prepare_wait();
        let over = {
            let mut state = lock(&event.state);
            if state.waiter.is_some_and(|other| !waiter.is_same_coroutine(other)) {
                Some(CHI_BUSY)
            } else {
                let over = if mem::take(&mut state.set) {
                    Some(CHI_OK)
                } else if until.is_some_and(|until| Instant::now() >= until) {
                    Some(CHI_TIMEOUT)
                } else if flags & CHI_EVENT_UNINTERRUPTED == 0 && worker.must_give_up(record) {
                    Some(CHI_CANCELLED)
                } else {
                    None
                };
                state.waiter = if over.is_some() { None } else { Some(waiter) };
                over
            }
        };
        if let Some(status) = over {
            worker.forget_wait();
            return status;
        }
        if let Some(until) = until {
            worker.set_timer(until);
        }
        worker.suspend(WaitsFor::Anyone);
    }
}

// The functions of `chi_host` --------------------------------------------------------------------------

pub(super) unsafe extern "C" fn event_new(_: *const chi_host) -> *mut chi_event {
    with_current(|worker| {
        let Some(worker) = worker else { return std::ptr::null_mut() };
        let event = Event { shared: worker.shared.clone(), state: Mutex::default() };
        Arc::into_raw(Arc::new(event)).cast_mut().cast()
    })
}

pub(super) unsafe extern "C" fn event_free(_: *const chi_host, event: *mut chi_event) {
    if !event.is_null() {
        // SAFETY: the module passes what `event_new` returned, and frees it once.
        drop(unsafe { Arc::from_raw(event.cast::<Event>()) });
    }
}

/// Takes a reference to an event, because a task that waits for it may free it as soon as it is
/// set.
///
/// # Safety
/// `event` must be what `event_new` returned, and not yet freed.
unsafe fn event_of(event: *mut chi_event) -> Arc<Event> {
    // SAFETY: by the caller's promise the module's own reference exists; `ManuallyDrop` leaves it
    // in place.
    Arc::clone(&*unsafe { ManuallyDrop::new(Arc::from_raw(event.cast::<Event>())) })
}

pub(super) unsafe extern "C" fn event_wait(
    _: *const chi_host,
    event: *mut chi_event,
    flags: u32,
    timeout_ns: u64,
) -> chi_status {
    if event.is_null() || flags & !CHI_EVENT_UNINTERRUPTED != 0 {
        return CHI_INVALID;
    }
    with_current(|worker| {
        let worker = worker.filter(|worker| worker.may_wait());
        let Some((worker, record)) = worker.and_then(|worker| Some((worker, worker.running()?)))
        else {
            return CHI_INVALID;
        };
        // SAFETY: by the contract, the event was returned by `event_new` and is not freed yet.
        let event = unsafe { event_of(event) };
        wait_for_event(worker, record, &event, flags, timeout_ns)
    })
}

pub(super) unsafe extern "C" fn event_set(_: *const chi_host, event: *mut chi_event) {
    if !event.is_null() {
        // SAFETY: by the contract, the event was returned by `event_new` and is not freed yet.
        unsafe { event_of(event) }.set();
    }
}
