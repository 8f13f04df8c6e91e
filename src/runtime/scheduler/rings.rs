//! The rings that a worker serves: adding and dropping rings, taking them over, and taking entries
//! from them.

use chimaera_ipc::ring::{Entry, Submitted};

use super::admission::no_room_in_time;
use super::cancel;
use super::doorbells::Doorbells;
use super::mailbox::WorkerMessage;
use super::path;
use super::role::Role;
use super::worker::Worker;
use crate::session::{MemoryWait, Ring, SessionRef, Submission, TaskRef};
use crate::task::CancelReason;

/// How many entries are taken from one ring before the next ring is served.
const RING_BATCH: usize = 32;
/// Once this many bytes have been copied for a batch, in large bodies and nested vectors of its
/// tasks, the next ring is served.
const MOST_COPIED: u64 = 1 << 20;

/// Adds a ring to those that are polled.
pub(super) fn add(worker: &Worker, ring: Ring) {
    // The session may have ended while the message was in flight.
    if ring.session.is_dead() {
        // A doorbell set adopted earlier may still watch the session's doorbell, even if nothing
        // else of the session is here.
        let dropped = worker.run_queue().entries().drop_ring(ring);
        return drop(dropped);
    }
    // The ring was in transit when this worker came to rest.
    if worker.run_queue().role() == Role::Resting {
        if let Some(other) = worker.shared.least_loaded(false, |_, _| ()) {
            return worker.shared.mailbox(other).send(WorkerMessage::AddRing(Box::new(ring)));
        }
    }
    let session = ring.session.number;
    if let Err(error) = worker.run_queue().add(ring) {
        say_unwatched(worker, &error, Some(session));
    }
}

/// Warns that rings are polled, and keep the worker awake, until their doorbells can be watched.
#[cold]
fn say_unwatched(worker: &Worker, error: &std::io::Error, session: Option<u64>) {
    tracing::warn!(
        worker = worker.index,
        session,
        %error,
        "cannot watch the doorbells of clients: their rings are polled until it can"
    );
}

/// Removes a session's rings.
pub(super) fn drop_session(worker: &Worker, session: u64) {
    // Dropping the last ring may free the session, which must not happen inside the run queue.
    let taken = worker.run_queue().entries().take_session(session);
    drop(taken);
}

/// Takes over a set of doorbells with its resting rings.
pub(super) fn adopt(worker: &Worker, mut set: Doorbells) {
    // The end of their sessions may have been announced before the set came here.
    set.drop_dead();
    if let Err(error) = worker.run_queue().adopt(set) {
        say_unwatched(worker, &error, None);
    }
}

/// Takes a batch from a ring. False if there is no ring with this index.
#[inline]
pub(super) fn poll(worker: &Worker, index: usize, most: usize, busy: &mut bool) -> bool {
    let pauses = worker.coroutines.pauses();
    let copied_before = worker.copied.get();
    'batch: for _ in 0..RING_BATCH {
        let mut waited = None;
        let taken = 'taken: {
            let mut entries = worker.run_queue().entries();
            let Some(ring) = entries.rings.get_mut(index) else { return false };
            // Most looks find an empty ring, behind which nothing waits.
            if ring.is_quiet() {
                entries.found_nothing(index);
                return true;
            }
            let full = ring.session.tasks_in_flight() >= most.min(ring.session.share())
                || worker.refuses(ring.session.number)
                || ring.waits_for_memory();
            if full {
                if let Some(overdue) = take_overdue(worker, ring) {
                    break 'taken overdue;
                }
                if !ring.postponed.has_room() {
                    return true;
                }
            }
            let postponed = if full { None } else { ring.resume() };
            let (entry, submitted) = match postponed {
                Some((Submission { offset, submitted }, wait)) => {
                    waited = wait;
                    (Some(Some(Entry::Submit { offset })), submitted)
                }
                None => take_entry(worker, ring),
            };
            if entry.is_some() {
                ring.polls.found_entry();
            }
            match entry {
                None => {
                    entries.found_nothing(index);
                    return true;
                }
                Some(Some(Entry::Submit { offset })) if full => {
                    ring.postpone(Submission { offset, submitted });
                    continue 'batch;
                }
                Some(Some(Entry::Submit { offset })) => {
                    entries.accept_from(index);
                    let ring = &entries.rings[index];
                    Taken::Task { session: ring.session.begin_task(), offset, submitted }
                }
                Some(Some(Entry::Release { hold })) => {
                    Taken::Release { session: ring.session.clone(), hold }
                }
                Some(Some(Entry::Cancel { offset })) if ring.withdraw(offset) => {
                    Taken::Withdrawn { session: ring.session.begin_task(), offset }
                }
                Some(Some(Entry::Cancel { offset })) => {
                    Taken::Cancellation { session: ring.session.clone(), offset }
                }
                Some(None) => Taken::Garbage { session: ring.session.clone() },
            }
        };
        *busy = true;
        match taken {
            Taken::Task { session, offset, submitted } => {
                let at_last = waited.is_some_and(|wait| wait.is_over());
                let lacks = path::accept(worker, session, offset, submitted, at_last);
                if lacks > 0 {
                    let submission = Submission { offset, submitted };
                    wait_for_memory(worker, index, submission, lacks, waited);
                    return true;
                }
            }
            Taken::Release { session, hold } => session.release(hold),
            Taken::Cancellation { session, offset } => {
                cancel::client_cancels(worker, &session, offset);
            }
            Taken::Withdrawn { session, offset } => {
                path::end_postponed(worker, session, offset, CancelReason::Asked.failure());
            }
            Taken::Overdue { session, offset } => {
                path::end_postponed(worker, session, offset, no_room_in_time(worker));
            }
            Taken::Garbage { session } => {
                let reason = "the client wrote an invalid entry into its ring";
                worker.shared.kill(&session, reason);
            }
        }
        if worker.coroutines.pauses() != pauses
            || worker.copied.get().wrapping_sub(copied_before) >= MOST_COPIED
        {
            return true;
        }
    }
    if let Some(ring) = worker.run_queue().entries().rings.get_mut(index) {
        ring.consumer.show_progress();
    }
    true
}

/// Takes the next entry from a ring, with the time when it was submitted if it is a task to be measured.
#[inline(always)]
fn take_entry(worker: &Worker, ring: &mut Ring) -> (Option<Option<Entry>>, Submitted) {
    let entry = ring.consumer.pop();
    let submitted = match entry {
        Some(Some(Entry::Submit { .. })) => match worker.must_measure_next() {
            false => ring.consumer.submitted(),
            true => submitted_now(worker, ring),
        },
        _ => Submitted::NOT_MEASURED,
    };
    (entry, submitted)
}

/// The time of a task that is to be measured, if its client has said it.
#[cold]
fn submitted_now(worker: &Worker, ring: &mut Ring) -> Submitted {
    ring.consumer.ask();
    match ring.consumer.submitted() {
        Submitted::NOT_MEASURED if worker.measures_all() => Submitted::UNKNOWN,
        submitted => submitted,
    }
}

/// Takes the first postponed task of a ring, from which none may start now, if only the number of
/// suspended tasks prevents that and it has waited long enough.
#[cold]
fn take_overdue(worker: &Worker, ring: &mut Ring) -> Option<Taken> {
    let session = &ring.session;
    if ring.postponed.is_empty() {
        return None;
    }
    if session.tasks_in_flight() >= session.share()
        || worker.refuses(session.number)
        || ring.waits_for_memory()
    {
        ring.forget_stall();
        return None;
    }
    let offset = ring.take_overdue()?;
    Some(Taken::Overdue { session: ring.session.begin_task(), offset })
}

/// Has the first task of a ring, which needs at least `least` bytes, wait, and with it those behind it.
/// `before` is its wait so far, if it was waiting already.
#[cold]
fn wait_for_memory(
    worker: &Worker,
    index: usize,
    submission: Submission,
    least: u64,
    before: Option<MemoryWait>,
) {
    let mut entries = worker.run_queue().entries();
    // No module code has run since the task was taken from the ring, so the ring cannot have been
    // stolen.
    let ring = &mut entries.rings[index];
    ring.wait_for_memory(submission, MemoryWait::new(least, before));
}

/// An entry that was taken from a ring.
enum Taken {
    Task {
        session: TaskRef,
        offset: u64,
        submitted: Submitted,
    },
    Release {
        session: SessionRef,
        hold: u32,
    },
    Cancellation {
        session: SessionRef,
        offset: u64,
    },
    /// A task that was postponed until its client cancelled it.
    Withdrawn {
        session: TaskRef,
        offset: u64,
    },
    /// A task that was postponed for too long.
    Overdue {
        session: TaskRef,
        offset: u64,
    },
    Garbage {
        session: SessionRef,
    },
}
