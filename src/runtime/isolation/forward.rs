//! Passing a task on to another process, and waiting until it has run there.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::arena::Failed;
use chimaera_ipc::clock;

use super::in_turn::in_turn;
use crate::coroutine::{Poller, Target, WaitsFor};
use crate::failure::Failure;
use crate::host::{Lender, Link, LinkOf, Parcel, Peer, Results};
use crate::module::Method;
use crate::scheduler::{with_current, Worker};
use crate::session::Session;
use crate::sync::{Far, Passage};
use crate::tables::worker_ipc;
use crate::task::{Record, IT_SHOULD_END};

/// How long a task waits for room in a link's segment.
const BOUND: Duration = Duration::from_secs(10);
/// The pause between two looks for room.
const PAUSE: Duration = Duration::from_micros(200);

/// A link that this worker polls.
struct Polled {
    link: Arc<Link>,
    poller: Arc<Poller>,
}

thread_local! {
    static POLLED: RefCell<Vec<Polled>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with the poller of a link, if there is one.
fn with_poller(link: *const Link, f: impl FnOnce(&Poller)) {
    let found = POLLED.with_borrow(|polled| {
        let found = polled.iter().find(|polled| std::ptr::eq(&*polled.link, link));
        found.map(|polled| polled.poller.clone())
    });
    if let Some(poller) = found {
        f(&poller);
    }
}

fn arm(worker: &Worker, link: &Link, armed: bool) {
    with_poller(link, |poller| {
        worker.pollers.arm(worker.run_queue().shared_epoll(), poller, armed);
    });
}

/// Looks for completions of a link's tasks.
unsafe extern "C" fn poll(context: *mut c_void) -> bool {
    // SAFETY: the context is a link that `POLLED` keeps until its poller has been removed.
    let link = unsafe { &*context.cast::<Link>() };
    let found = link.look();
    let any = found.is_some();
    with_current(|worker| {
        let Some(worker) = worker else { return };
        worker.wake_all(found.unwrap_or_default());
        if link.in_flight() == 0 {
            arm(worker, link, false);
        }
    });
    any
}

/// Has the other side ring for the next completion.
fn rest(context: *mut c_void) -> bool {
    // SAFETY: as for `poll`.
    unsafe { &*context.cast::<Link>() }.rest()
}

/// Has this worker poll a link from now on, and no more those that are lost.
fn watch(worker: &Worker, link: &Arc<Link>) -> Result<(), Failure> {
    if POLLED.with_borrow(|polled| polled.iter().any(|polled| Arc::ptr_eq(&polled.link, link))) {
        return Ok(());
    }
    let (lost, kept) = POLLED.take().into_iter().partition(|polled| polled.link.is_lost());
    POLLED.set(kept);
    let lost: Vec<Polled> = lost;
    for Polled { link, poller } in lost {
        worker.pollers.arm(worker.run_queue().shared_epoll(), &poller, false);
        poller.remove();
        drop(link);
    }
    let context = Arc::as_ptr(link).cast_mut().cast();
    let epoll = worker.run_queue().shared_epoll();
    let fd = std::os::fd::AsRawFd::as_raw_fd(link.bell());
    let added = worker.pollers.add(epoll, fd, Target { poll, context, rest: Some(rest) }, None);
    let poller = added.map_err(|error| {
        Failure::new(CHI_IO, format!("cannot watch a module host's bell: {error}"))
    })?;
    POLLED.with_borrow_mut(|polled| polled.push(Polled { link: link.clone(), poller }));
    Ok(())
}

/// Suspends the running task until the prepared wait is ended, `until` passes or the task is cancelled.
pub(super) fn suspend(worker: &Worker, until: Option<Instant>) {
    if let Some(until) = until {
        worker.set_timer(until);
    }
    // No task is waited for, so this is no part of a deadlock.
    worker.context().bounded.set(true);
    worker.suspend(WaitsFor::Anyone);
}

/// Fails if the running task is cancelled.
pub(super) fn go_on(worker: &Worker) -> Result<(), Failure> {
    match worker.is_cancelled() {
        true => Err(Failure::new(CHI_CANCELLED, IT_SHOULD_END)),
        false => Ok(()),
    }
}

/// The link of this worker to a peer. Waits for a peer that does not answer, as its tasks do. Fails with the
/// reason if the peer is gone.
pub(super) fn link_to(worker: &Worker, peer: &Peer) -> Result<Arc<Link>, Failure> {
    let link =
        in_turn(worker, peer, || peer.open_link(worker.index), || wait_for_link(worker, peer))?;
    watch(worker, &link)?;
    Ok(link)
}

fn wait_for_link(worker: &Worker, peer: &Peer) -> Result<Arc<Link>, Failure> {
    loop {
        let mut waits = false;
        let waiter = || {
            waits = true;
            worker.prepare_wait()
        };
        match peer.link_of(worker.index, waiter) {
            LinkOf::Open(link) => return Ok(link),
            LinkOf::Lost(why) => return Err(Failure::new(CHI_FAULT, why)),
            LinkOf::Wait => {}
        }
        debug_assert!(waits, "whoever has to wait was asked for its waiter");
        suspend(worker, None);
        go_on(worker)?;
    }
}

/// Results of a task of this runtime: they belong to the task, as if a method here had allocated them.
pub(crate) struct OwnResults(pub(crate) *mut chi_task);

impl Results for OwnResults {
    fn alloc(&mut self, size: u64, elements: bool) -> Result<chi_buffer, Failure> {
        let ipc = worker_ipc();
        let mut buffer = chi_buffer { shm_: 0, data_: std::ptr::null_mut(), size_: 0 };
        // SAFETY: the table is the worker's, and the task one of its own.
        let status = unsafe {
            let alloc = if elements { (*ipc).alloc_elements } else { (*ipc).alloc };
            alloc(ipc, self.0, size, &mut buffer)
        };
        if status == CHI_OK {
            return Ok(buffer);
        }
        // SAFETY: `last_error` returns a C string.
        let why = unsafe { std::ffi::CStr::from_ptr(((*ipc).last_error)(ipc)) };
        Err(Failure::new(status, why.to_string_lossy()))
    }
}

fn no_room(failed: Failed) -> Failure {
    match failed {
        Failed::Full => Failure::new(
            CHI_NO_SPACE,
            "the segment between the runtime and the module host had no room for the task in 10 s",
        ),
        Failed::TooLarge => Failure::new(
            CHI_TOO_LARGE,
            "the task's strings and vectors are more than the segment between the runtime and the module \
             host can hold",
        ),
    }
}

/// Runs the task `body`, which belongs to the running one and is of this method, in another process, `peer`,
/// to which `link` is this worker's link, and to which the segment of a session may be lent.
///
/// # Safety
/// As a method may assume of its task, and `record` must be the running task's.
pub(super) unsafe fn run_there(
    worker: &Worker,
    (peer, lends): (&Arc<Peer>, Option<&Session>),
    link: &Link,
    record: &Record,
    body: *mut chi_task,
    method: &Method,
) -> Result<(), Failure> {
    let until = Instant::now() + BOUND;
    let parcel = loop {
        let client = record.client(&worker.shared.clients);
        let alter = |task: &mut chi_task| alter(record, client, method, task);
        let lender = lends.map(|session| Lender::new(peer, session));
        // SAFETY: by the caller's promise.
        match unsafe { Parcel::pack(link, body, method, lender.as_ref(), alter) } {
            Ok(parcel) => break parcel,
            Err(failed) => {
                // What has to be copied now may be referred to soon.
                let may_fit = failed == Failed::Full || lender.is_some_and(|lender| lender.waits());
                if !may_fit || Instant::now() >= until {
                    return Err(no_room(failed));
                }
                worker.sleep(PAUSE);
                go_on(worker)?;
                if link.is_lost() {
                    return Ok(());
                }
            }
        }
    };
    let task = parcel.task;
    while link.submit(task).is_err() {
        worker.sleep(PAUSE);
        if let Err(failure) = go_on(worker) {
            parcel.discard(link);
            return Err(failure);
        }
        if link.is_lost() {
            return Ok(());
        }
    }
    arm(worker, link, true);
    let far = Far::Process(Passage { process: peer.pid, worker: worker.index, task });
    let mut cancelled = false;
    while !link.has_ended(task) {
        if !cancelled && worker.is_cancelled() {
            cancelled = link.cancel(task);
            if !cancelled {
                worker.sleep(PAUSE);
            }
            continue;
        }
        let waiter = worker.prepare_wait();
        match link.wait_for(task, waiter) {
            true => worker.suspend(WaitsFor::Far(far)),
            false => worker.forget_wait(),
        }
    }
    link.forget(task);
    if link.in_flight() == 0 {
        arm(worker, link, false);
    }
    if link.is_lost() {
        return Ok(());
    }
    // SAFETY: by the caller's promise, and the parcel was packed from this task.
    let (outcome, taken) = unsafe { parcel.unpack(link, body, method, &mut OwnResults(body)) };
    if let Some(hold) = outcome.hold {
        while !link.release(hold) && !link.is_lost() {
            worker.sleep(PAUSE);
        }
    }
    match outcome.status {
        CHI_OK => taken,
        status => Err(Failure::new(status, outcome.message)),
    }
}

/// Changes the header of a task for the other process: here it is suspended, periodic or forgotten.
/// It says by which layout it was packed: the module may have another version there. In the place of the period
/// is the number of the client, which the other process cannot know.
fn alter(record: &Record, client: u64, method: &Method, task: &mut chi_task) {
    task.task_flags_.bits_ &= CHI_TASK_HIGH_LATENCY;
    (task.period_ns_, task.message_, task.status_) = (client, CHI_SHM_NULL, method.layout);
    if let Some(at) = record.deadline.get() {
        let rest = at.saturating_duration_since(Instant::now()).as_nanos() as u64;
        task.task_flags_.bits_ |= CHI_TASK_DEADLINE;
        task.message_ = clock::monotonic_ns().saturating_add(rest).max(1);
    }
    // Whoever completes it takes this for a thread that sleeps, and so tells us.
    task.state_ = CHI_TASK_IN_FLIGHT | CHI_TASK_PARKED;
}
