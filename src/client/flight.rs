//! A task's flight: submitting it, waiting for it, cancelling it.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::futex;
use chimaera_ipc::ring::Entry;
use chimaera_ipc::word::{is_complete, park, Parking};

use crate::error::{Failure, Result};
use crate::process;
use crate::session::{hold_of, Session};
use crate::table::{answer, place, with_task};
use crate::thread::{self, Thread};

/// How long `enqueue` waits for room in the ring.
const ENQUEUE_BOUND: Duration = Duration::from_secs(10);
/// How long `wait` spins before it sleeps. Longer than a short task takes, shorter than anyone would
/// notice in a profile.
const SPIN: Duration = Duration::from_micros(20);
/// How long `wait` sleeps before it looks whether the runtime is still there.
const SLICE: Duration = Duration::from_millis(200);

pub(crate) unsafe extern "C" fn try_enqueue(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    answer(submit(task))
}

fn submit(task: *mut chi_task) -> Result<()> {
    thread::with(|thread, session| {
        submit_quietly(thread, session, task)?;
        thread.wake_runtime(session);
        Ok(())
    })
}

/// What `CLOCK_MONOTONIC` says, in nanoseconds.
fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Submits a task; a runtime that sleeps sleeps on.
#[inline]
fn submit_quietly(thread: &mut Thread, session: &Session, task: *mut chi_task) -> Result<()> {
    let Some(offset) = session.mapping().offset_of(task.cast()) else {
        return Err(match process::find(task.cast()) {
            Some(old) => old.gone(),
            None => Failure::new(CHI_INVALID, "enqueue of something that is no task"),
        });
    };
    if offset % u64::from(CHI_TASK_ALIGN) != 0 {
        return Err(Failure::new(CHI_INVALID, "enqueue of something that is no task"));
    }
    let word = session.state(offset);
    let before = word.load(Ordering::Acquire);
    if before & CHI_TASK_IN_FLIGHT != 0 {
        return Err(Failure::new(CHI_BUSY, "the task is in flight; wait for it first"));
    }
    if let Some(hold) = session.replace_kept(offset, hold_of(before)) {
        if thread.push_quietly(session, Entry::Release { hold })?.is_err() {
            session.release_later(hold);
        }
    }
    // SAFETY: the task is idle or complete, and so the caller's.
    let flags = unsafe {
        (*task).status_ = CHI_OK;
        (*task).message_ = CHI_SHM_NULL;
        let flags = (*task).task_flags_.bits_;
        if flags & CHI_TASK_DEADLINE != 0 {
            (*task).message_ = monotonic_ns().saturating_add((*task).period_ns_);
        }
        flags
    };
    word.store(CHI_TASK_IN_FLIGHT, Ordering::Relaxed);
    if thread.push_quietly(session, Entry::Submit { offset })?.is_err() {
        word.store(CHI_TASK_IDLE, Ordering::Relaxed);
        return Err(Failure::new(
            CHI_RING_FULL,
            "the submission ring is full: wait for tasks that were submitted before",
        ));
    }
    if flags & CHI_TASK_FIRE_AND_FORGET != 0 {
        session.bury(offset);
    }
    Ok(())
}

pub(crate) unsafe extern "C" fn enqueue(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    answer(submit(task).or_else(|failure| submit_with_patience(task, failure)))
}

/// Goes on trying, up to a bound, when it was the ring that had no room.
fn submit_with_patience(task: *mut chi_task, mut failure: Failure) -> Result<()> {
    let until = Instant::now() + ENQUEUE_BOUND;
    let mut pause = Duration::from_micros(1);
    while failure.status == CHI_RING_FULL && Instant::now() < until {
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
        with_task(task, |session, _| if session.look() { Ok(()) } else { Err(session.gone()) })?;
        match submit(task) {
            Ok(()) => return Ok(()),
            Err(again) => failure = again,
        }
    }
    Err(failure)
}

/// The tasks that a caller passes as an array.
///
/// # Safety
/// `tasks` must point to `count` pointers, for as long as the slice is used.
unsafe fn slice<'a>(tasks: *const *mut chi_task, count: u64) -> Result<&'a [*mut chi_task]> {
    if count == 0 {
        return Ok(&[]);
    }
    place(tasks, "the address of the tasks")?;
    // SAFETY: by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(tasks, count as usize) })
}

pub(crate) unsafe extern "C" fn enqueue_batch(
    _: *const chi_ipc,
    tasks: *const *mut chi_task,
    count: u64,
    submitted: *mut u64,
) -> chi_status {
    let mut done = 0;
    // SAFETY: the caller's array.
    let result = unsafe { slice(tasks, count) }.and_then(|tasks| {
        while done < tasks.len() {
            let pushed = thread::with(|thread, session| {
                let mut result = Ok(());
                while done < tasks.len() && result.is_ok() {
                    result = submit_quietly(thread, session, tasks[done]);
                    done += usize::from(result.is_ok());
                }
                thread.wake_runtime(session);
                result
            });
            if let Err(failure) = pushed {
                submit_with_patience(tasks[done], failure)?;
                done += 1;
            }
        }
        Ok(())
    });
    if !submitted.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { *submitted = done as u64 };
    }
    answer(result)
}

pub(crate) unsafe extern "C" fn wait(
    _: *const chi_ipc,
    task: *mut chi_task,
    timeout_ns: u64,
) -> chi_status {
    answer(wait_for(task, timeout_ns))
}

fn wait_for(task: *mut chi_task, timeout_ns: u64) -> Result<()> {
    with_task(task, |session, offset| {
        let word = session.state(offset);
        // A completion that is there, or comes within a few hundred cycles, needs no clock.
        for _ in 0..256 {
            if is_complete(word) {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        wait_longer(session, task, word, timeout_ns)
    })
}

pub(crate) unsafe extern "C" fn wait_all(
    _: *const chi_ipc,
    tasks: *const *mut chi_task,
    count: u64,
    timeout_ns: u64,
) -> chi_status {
    let begin = Instant::now();
    // SAFETY: the caller's array.
    let result = unsafe { slice(tasks, count) }.and_then(|tasks| {
        tasks.iter().try_for_each(|&task| {
            let rest = match timeout_ns {
                CHI_WAIT_FOREVER => CHI_WAIT_FOREVER,
                bound => bound.saturating_sub(begin.elapsed().as_nanos() as u64),
            };
            wait_for(task, rest)
        })
    });
    answer(result)
}

pub(crate) unsafe extern "C" fn cancel(_: *const chi_ipc, task: *mut chi_task) -> chi_status {
    answer(with_task(task, ask_to_cancel))
}

/// Asks the runtime to cancel the task at `offset`, when it is in flight.
pub(crate) fn ask_to_cancel(session: &Session, offset: u64) -> Result<()> {
    let word = session.state(offset);
    let mut state = word.load(Ordering::Acquire);
    while state & CHI_TASK_IN_FLIGHT != 0 && !session.is_dead() {
        let asked = state | CHI_TASK_CANCEL;
        match word.compare_exchange(state, asked, Ordering::AcqRel, Ordering::Acquire) {
            // A task that has not started is found by the bit; one that is suspended, by the entry.
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
            // A task of a session before this one has ended with it.
            if !std::ptr::eq(current, session) {
                return Ok(true);
            }
            Ok(thread.push(session, Entry::Cancel { offset })?.is_ok())
        })?;
        if sent {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Failure::new(CHI_RING_FULL, "the submission ring is full"));
        }
        if !session.look() {
            return Err(session.gone());
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

pub(crate) unsafe extern "C" fn sleep(_: *const chi_ipc, duration_ns: u64) -> chi_status {
    std::thread::sleep(Duration::from_nanos(duration_ns));
    CHI_OK
}

pub(crate) unsafe extern "C" fn yield_now(_: *const chi_ipc) -> chi_status {
    std::thread::yield_now();
    CHI_OK
}

fn wait_longer(
    session: &Session,
    task: *mut chi_task,
    word: &AtomicU32,
    timeout_ns: u64,
) -> Result<()> {
    let start = Instant::now();
    let timeout = Duration::from_nanos(timeout_ns);
    let mut parked_since: Option<Instant> = None;
    loop {
        let state = word.load(Ordering::Acquire);
        if state & CHI_TASK_COMPLETE != 0 {
            return Ok(());
        }
        if state & CHI_TASK_IN_FLIGHT == 0 {
            return Err(Failure::new(CHI_INVALID, "wait for a task that was never submitted"));
        }
        let waited = start.elapsed();
        if timeout_ns != CHI_WAIT_FOREVER && waited >= timeout {
            // Whoever only asks, asks often.
            let message: Cow<str> = match timeout_ns {
                0 => "the task is not complete; it goes on".into(),
                _ => format!("the task is not complete after {timeout:?}; it goes on").into(),
            };
            return Err(Failure::new(CHI_TIMEOUT, message));
        }
        if waited < SPIN {
            for _ in 0..32 {
                std::hint::spin_loop();
            }
            continue;
        }
        if parked_since.is_none_or(|at| at.elapsed() >= SLICE) {
            parked_since = Some(Instant::now());
            if !session.look() {
                return end_with_the_runtime(session, task, word);
            }
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

/// The runtime has hung up: the task is over, unless it completed just before.
fn end_with_the_runtime(session: &Session, task: *mut chi_task, word: &AtomicU32) -> Result<()> {
    if is_complete(word) {
        return Ok(());
    }
    // SAFETY: nobody else writes to the task any more but threads that wait for it as this one does.
    unsafe { (*task).status_ = CHI_UNAVAILABLE };
    word.store(CHI_TASK_COMPLETE, Ordering::Release);
    futex::wake_all(word);
    Err(session.gone())
}
