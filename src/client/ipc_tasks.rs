//! Submitting, waiting for and cancelling tasks in an application.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_front::{Failure, Result, Waited};
use chimaera_ipc::futex;
use chimaera_ipc::ring::Entry;
use chimaera_ipc::word::{is_complete, park, Parking};

use crate::owner::{check_alignment, with_task};
use crate::session::{hold_of, Session};
use crate::thread::{self, Thread};
use crate::{owner, process};

/// How long `enqueue` waits for space in the ring.
const ENQUEUE_BOUND: Duration = Duration::from_secs(10);
/// How long `wait` spins before it sleeps: longer than a short task takes, but too short to show up
/// in a profile.
const SPIN: Duration = Duration::from_micros(20);
/// After this time, it lets others have its core in between: the worker that it waits for may need it.
const YIELD_AFTER: Duration = Duration::from_micros(2);
/// How often it pauses between two looks.
const PAUSES: u32 = 4;
/// How long `wait` sleeps at a time. The completion wakes it earlier, and so does the end of the
/// runtime.
const SLICE: Duration = Duration::from_secs(1);

/// Looking again and again, before a thread sleeps.
pub(crate) struct Spin;

impl Spin {
    /// Pauses between two looks, after this time. False if it is time to sleep.
    #[inline]
    pub(crate) fn pause(waited: Duration) -> bool {
        if waited >= SPIN {
            return false;
        }
        if waited >= YIELD_AFTER {
            std::thread::yield_now();
        }
        for _ in 0..PAUSES {
            std::hint::spin_loop();
        }
        true
    }
}

/// # Safety
/// As `chi_ipc.try_enqueue`.
#[inline]
pub(crate) unsafe fn try_enqueue(task: NonNull<chi_task>) -> Result<()> {
    thread::with(|thread, session| {
        // SAFETY: by the caller's promise.
        unsafe { submit_quietly(thread, session, task)? };
        wake_runtime(thread, session);
        Ok(())
    })
}

/// Wakes the runtime for the submitted tasks. If it has stopped meanwhile, they end with it.
#[inline]
fn wake_runtime(thread: &mut Thread, session: &Session) {
    thread.wake_runtime(session);
    if session.is_dead() {
        session.end();
    }
}

/// Submits a task without waking the runtime.
///
/// # Safety
/// As `chi_ipc.enqueue`.
#[inline]
unsafe fn submit_quietly(
    thread: &mut Thread,
    session: &Session,
    task: NonNull<chi_task>,
) -> Result<()> {
    let Some(offset) = session.mapping().offset_of(task.as_ptr().cast()) else {
        return Err(match process::find(task.as_ptr().cast()) {
            Some((old, _)) => old.gone().clone(),
            None => owner::in_no_segment(),
        });
    };
    check_alignment(offset)?;
    let word = session.state(offset);
    let before = word.load(Ordering::Acquire);
    if before & CHI_TASK_IN_FLIGHT != 0 {
        return Err(Failure::in_flight());
    }
    if before & CHI_TASK_PUBLISHED != 0 {
        session.map_published();
    }
    if let Some(hold) = session.replace_kept(offset, hold_of(before)) {
        if thread.push_quietly(session, Entry::Release { hold })?.is_err() {
            session.release_later(hold);
        }
    }
    // SAFETY: the task is idle or complete, so it belongs to the caller.
    let flags = unsafe {
        let task = task.as_ptr();
        (*task).status_ = session.layout_in((*task).status_);
        (*task).message_ = CHI_SHM_NULL;
        let flags = (*task).task_flags_.bits_;
        if flags & CHI_TASK_DEADLINE != 0 {
            (*task).message_ = session.runtime_time_in((*task).period_ns_);
        }
        flags
    };
    word.store(CHI_TASK_IN_FLIGHT, Ordering::Relaxed);
    let pushed = thread.push_quietly(session, Entry::Submit { offset });
    if !matches!(pushed, Ok(Ok(()))) {
        word.store(CHI_TASK_IDLE, Ordering::Relaxed);
    }
    if pushed?.is_err() {
        return Err(Failure::new(
            CHI_RING_FULL,
            "the submission ring is full: wait for earlier tasks first",
        ));
    }
    if flags & CHI_TASK_FIRE_AND_FORGET != 0 {
        session.defer_free(offset);
    }
    Ok(())
}

/// # Safety
/// As `chi_ipc.enqueue`.
#[inline]
pub(crate) unsafe fn enqueue(task: NonNull<chi_task>) -> Result<()> {
    // SAFETY: by the caller's promise.
    unsafe { try_enqueue(task).or_else(|failure| enqueue_with_patience(task, failure)) }
}

/// Retries, up to a bound, when the failure was a full ring.
///
/// # Safety
/// As `chi_ipc.enqueue`.
#[cold]
unsafe fn enqueue_with_patience(task: NonNull<chi_task>, mut failure: Failure) -> Result<()> {
    let until = Instant::now() + ENQUEUE_BOUND;
    let mut pause = Duration::from_micros(1);
    while failure.status == CHI_RING_FULL && Instant::now() < until {
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
        with_task(task, |session, _| session.check())?;
        // SAFETY: by the caller's promise.
        match unsafe { try_enqueue(task) } {
            Ok(()) => return Ok(()),
            Err(again) => failure = again,
        }
    }
    Err(failure)
}

/// # Safety
/// As `chi_ipc.enqueue_batch`.
pub(crate) unsafe fn enqueue_batch(
    tasks: &[NonNull<chi_task>],
    submitted: &mut usize,
) -> Result<()> {
    while *submitted < tasks.len() {
        let pushed = thread::with(|thread, session| {
            let mut result = Ok(());
            while *submitted < tasks.len() && result.is_ok() {
                // SAFETY: by the caller's promise.
                result = unsafe { submit_quietly(thread, session, tasks[*submitted]) };
                *submitted += usize::from(result.is_ok());
            }
            wake_runtime(thread, session);
            result
        });
        if let Err(failure) = pushed {
            // SAFETY: by the caller's promise.
            unsafe { enqueue_with_patience(tasks[*submitted], failure)? };
            *submitted += 1;
        }
    }
    Ok(())
}

/// # Safety
/// As `chi_ipc.wait`.
#[inline]
pub(crate) unsafe fn wait(task: NonNull<chi_task>, timeout_ns: u64) -> Result<Waited> {
    with_task(task, |session, offset| {
        let word = session.state(offset);
        // A task that is complete, or completes within a few hundred cycles, needs no clock.
        for _ in 0..256 {
            if is_complete(word) {
                if session.is_dead() {
                    return end_with_the_runtime(session, offset);
                }
                return Ok(Waited::Complete);
            }
            std::hint::spin_loop();
        }
        wait_longer(session, offset, timeout_ns)
    })
}

/// Whether a task is complete, as `wait` without time says it.
pub(crate) fn look(task: NonNull<chi_task>) -> Result<Waited> {
    with_task(task, |session, offset| {
        let state = session.state(offset).load(Ordering::Acquire);
        if session.is_dead() {
            return end_with_the_runtime(session, offset);
        }
        match state & (CHI_TASK_COMPLETE | CHI_TASK_IN_FLIGHT) {
            0 => Err(Failure::never_submitted()),
            CHI_TASK_IN_FLIGHT => Ok(Waited::TimedOut),
            _ => Ok(Waited::Complete),
        }
    })
}

/// # Safety
/// As `chi_ipc.cancel`.
pub(crate) unsafe fn cancel(task: NonNull<chi_task>) -> Result<()> {
    with_task(task, ask_to_cancel)
}

/// Asks the runtime to cancel the task at `offset`, if it is in flight.
pub(crate) fn ask_to_cancel(session: &Session, offset: u64) -> Result<()> {
    let word = session.state(offset);
    let mut state = word.load(Ordering::Acquire);
    while state & CHI_TASK_IN_FLIGHT != 0 && !session.is_dead() {
        let asked = state | CHI_TASK_CANCEL;
        match word.compare_exchange(state, asked, Ordering::AcqRel, Ordering::Acquire) {
            // The bit stops a task that has not started; the ring entry finds one that is
            // suspended.
            Ok(_) => return tell_of_cancel(session, offset),
            Err(now) => state = now,
        }
    }
    Ok(())
}

fn tell_of_cancel(session: &Session, offset: u64) -> Result<()> {
    let until = Instant::now() + ENQUEUE_BOUND;
    loop {
        let sent = thread::with(|thread, current| {
            // The session of this task has ended, which ended the task too.
            if !std::ptr::eq(current, session) {
                return Ok(true);
            }
            Ok(thread.push(session, Entry::Cancel { offset })?.is_ok())
        })?;
        if sent {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Failure::new(
                CHI_RING_FULL,
                "the submission ring is full: try again later",
            ));
        }
        session.check()?;
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn wait_longer(session: &Session, offset: u64, timeout_ns: u64) -> Result<Waited> {
    let word = session.state(offset);
    let start = Instant::now();
    let timeout = Duration::from_nanos(timeout_ns);
    loop {
        let state = word.load(Ordering::Acquire);
        if session.is_dead() {
            return end_with_the_runtime(session, offset);
        }
        if state & CHI_TASK_COMPLETE != 0 {
            return Ok(Waited::Complete);
        }
        if state & CHI_TASK_IN_FLIGHT == 0 {
            return Err(Failure::never_submitted());
        }
        let waited = start.elapsed();
        if timeout_ns != CHI_WAIT_FOREVER && waited >= timeout {
            return Ok(Waited::TimedOut);
        }
        if Spin::pause(waited) {
            continue;
        }
        let Parking::Sleep(expected) = park(word) else { continue };
        let rest = timeout.saturating_sub(waited);
        futex::wait(
            word,
            expected,
            if timeout_ns == CHI_WAIT_FOREVER { SLICE } else { rest.min(SLICE) },
        );
    }
}

/// The runtime has hung up: ends the task, unless the watcher has done so already.
fn end_with_the_runtime(session: &Session, offset: u64) -> Result<Waited> {
    if session.end_task(offset) {
        futex::wake_all(session.state(offset));
    }
    match session.outcome(offset) {
        Some(CHI_UNAVAILABLE) => Err(session.gone().clone()),
        Some(_) => Ok(Waited::Complete),
        None => Err(Failure::never_submitted()),
    }
}
