//! A submission ring, on the side of the worker that polls it.

use std::time::{Duration, Instant};

use chimaera_ipc::layout::RING_SLOTS;
use chimaera_ipc::ring::{Consumer, Entry};

use super::postponed::{Postponed, Submission};
use super::refs::SessionRef;
use crate::sys::Use;

/// A ring that a worker polls.
pub(crate) struct Ring {
    pub(crate) session: SessionRef,
    pub(crate) consumer: Consumer,
    /// Submissions, in order, that are postponed until fewer of the session's tasks are in flight.
    /// Other messages behind them in the ring, such as cancellations, have already been handled.
    pub(crate) postponed: Postponed,
    /// Set while the first postponed submission waits for memory. All behind it wait, too.
    pub(super) memory_wait: Option<MemoryWait>,
    /// Set while too many tasks are suspended for the postponed submissions.
    stall: Option<Stall>,
    pub(crate) polls: EmptyPolls,
}

/// Half of the time after which a task that waits for memory is first tried again although it may not
/// fit.
const FIRST_PAUSE: Duration = Duration::from_micros(500);

/// How long a task may wait for memory.
const MEMORY_WAIT_BOUND: Duration = Duration::from_secs(10);

/// How long submissions may be postponed because too many tasks are suspended, if none of the
/// session's tasks ends meanwhile: those may be waiting for the very ones that are postponed.
const STALL_BOUND: Duration = Duration::from_secs(10);

/// Submissions that are postponed because too many tasks are suspended.
#[derive(Debug)]
struct Stall {
    /// Since when none of the session's tasks has ended.
    since: Instant,
    in_flight: usize,
    /// How many of the submissions are to end, because they have waited long enough.
    overdue: usize,
}

/// A task that waits for memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryWait {
    /// The bytes that it needs at least: so many were not enough the last time.
    least: u64,
    /// How often it has been tried.
    tries: u32,
    /// When it began to wait.
    since: Instant,
    /// When it was tried last.
    tried: Instant,
}

impl MemoryWait {
    /// The wait of a task that needs at least `least` bytes, after its wait so far.
    pub(crate) fn new(least: u64, before: Option<MemoryWait>) -> MemoryWait {
        let now = Instant::now();
        let (tries, since) = before.map_or((0, now), |wait| (wait.tries, wait.since));
        MemoryWait { least, tries: tries + 1, since, tried: now }
    }

    /// True if the task has waited long enough.
    pub(crate) fn is_over(&self) -> bool {
        self.since.elapsed() >= MEMORY_WAIT_BOUND
    }

    /// How much free memory the task waits for. Up to twice what it needs at least, lest it be copied
    /// again and again, each time only a little further; but less may be enough, so that it is
    /// tried with that, too, after 1 ms, 2 ms, 4 ms and so on.
    fn wanted(&self, most: u64) -> u64 {
        let is_time = self.tried.elapsed() >= FIRST_PAUSE * (1 << self.tries.min(20));
        match is_time {
            true => self.least,
            false => (self.least * 2).min(most / 2).max(self.least),
        }
    }
}

/// A ring is left to its doorbell after this many empty polls in a row: enough for a client that
/// computes for a few hundred microseconds between its tasks to return.
const MANY_EMPTY_POLLS: u32 = 1 << 14;

/// The number of consecutive empty polls of a ring.
#[derive(Default)]
pub(crate) struct EmptyPolls(u32);

impl EmptyPolls {
    /// Records that there was an entry.
    #[inline]
    pub(crate) fn found_entry(&mut self) {
        self.0 = 0;
    }

    /// Records that there was none. True if the ring has been empty for long enough.
    #[inline]
    pub(crate) fn found_nothing(&mut self) -> bool {
        self.0 += 1;
        self.0 >= MANY_EMPTY_POLLS
    }
}

impl Ring {
    pub(crate) fn new(session: SessionRef, consumer: Consumer) -> Ring {
        let postponed = Postponed::new(session.budget());
        Ring {
            session,
            consumer,
            postponed,
            memory_wait: None,
            stall: None,
            polls: EmptyPolls::default(),
        }
    }

    /// Postpones a submission, behind those that are postponed already.
    pub(crate) fn postpone(&mut self, submission: Submission) {
        if self.postponed.is_empty() {
            self.stall = None;
        }
        self.postponed.push(submission);
        self.session.count_postponed();
    }

    /// True if there is nothing in it, and nothing that was postponed.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.postponed.is_empty() && self.consumer.is_empty()
    }

    /// Takes the first postponed submission, if there is one, and its wait for memory, if it was
    /// waiting for any.
    #[inline]
    pub(crate) fn resume(&mut self) -> Option<(Submission, Option<MemoryWait>)> {
        let submission = self.postponed.pop()?;
        self.session.uncount_postponed();
        self.stall = None;
        Some((submission, self.memory_wait.take()))
    }

    /// Takes the first postponed submission if it has waited long enough. Called while nothing but
    /// the number of suspended tasks prevents it from starting.
    pub(crate) fn take_overdue(&mut self) -> Option<u64> {
        let (now, in_flight) = (Instant::now(), self.session.tasks_in_flight());
        let stalled = self.stall.take().filter(|stall| stall.in_flight == in_flight);
        let mut stall = stalled.unwrap_or(Stall { since: now, in_flight, overdue: 0 });
        if now.saturating_duration_since(stall.since) >= STALL_BOUND {
            (stall.since, stall.overdue) = (now, self.postponed.len());
        }
        let is_overdue = stall.overdue > 0;
        stall.overdue = stall.overdue.saturating_sub(1);
        let offset =
            if is_overdue { self.resume().map(|(submission, _)| submission.offset) } else { None };
        self.stall = Some(stall);
        offset
    }

    /// Lets postponed submissions wait, because something else than the number of suspended tasks
    /// prevents them from starting.
    pub(crate) fn forget_stall(&mut self) {
        self.stall = None;
    }

    /// Puts back the submission just taken with `resume` or from the ring, because it lacks memory.
    pub(crate) fn wait_for_memory(&mut self, submission: Submission, wait: MemoryWait) {
        self.postponed.put_back(submission);
        self.session.count_postponed();
        self.memory_wait = Some(wait);
    }

    /// Removes a postponed submission that its client has cancelled. False if it is not postponed,
    /// or if its client has not asked to cancel it.
    pub(crate) fn withdraw(&mut self, offset: u64) -> bool {
        let session = &self.session;
        let is_cancelled = || session.has_place_for_task(offset) && session.asks_to_cancel(offset);
        if self.postponed.is_empty() || !is_cancelled() {
            return false;
        }
        let Some(was_first) = self.postponed.remove(offset) else { return false };
        self.session.uncount_postponed();
        if was_first {
            self.memory_wait = None;
        }
        true
    }

    /// Removes all postponed submissions that their client has cancelled.
    pub(crate) fn withdraw_all(&mut self) -> Vec<u64> {
        let session = &self.session;
        let is_cancelled =
            |offset| session.has_place_for_task(offset) && session.asks_to_cancel(offset);
        let (cancelled, was_first) = self.postponed.remove_all(is_cancelled);
        cancelled.iter().for_each(|_| self.session.uncount_postponed());
        if was_first {
            self.memory_wait = None;
        }
        cancelled
    }

    /// True while the first postponed submission must go on waiting for memory.
    #[inline]
    pub(crate) fn waits_for_memory(&self) -> bool {
        self.memory_wait.is_some_and(|wait| !self.may_go_on(wait))
    }

    #[cold]
    fn may_go_on(&self, wait: MemoryWait) -> bool {
        let (session, budget) = (&self.session, self.session.budget());
        let is_alone = session.copies() == 0;
        let wanted = wait.wanted(budget.most());
        let has_share = is_alone || session.copies() + wanted <= session.most_copies();
        let has_room = wanted <= budget.room(Use::Tasks) || budget.used(Use::Tasks) == 0;
        has_share && has_room
            || wait.is_over()
            // A task that is to be cancelled needs no memory.
            || self.postponed.first().is_some_and(|offset| session.asks_to_cancel(offset))
    }
}

/// What the client has released before its session ended is not kept until its process ends.
impl Drop for Ring {
    fn drop(&mut self) {
        if !self.session.has_leases_to_release() {
            return;
        }
        for _ in 0..RING_SLOTS {
            match self.consumer.pop() {
                Some(Some(Entry::Release { hold })) => self.session.release(hold),
                Some(_) => {}
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_in_use_never_counts_as_empty() {
        let mut polls = EmptyPolls::default();
        for _ in 0..4 * MANY_EMPTY_POLLS {
            assert!(!polls.found_nothing());
            assert!(!polls.found_nothing());
            polls.found_entry();
        }
        let in_a_row = (1..).find(|_| polls.found_nothing());
        assert_eq!(in_a_row, Some(MANY_EMPTY_POLLS));
    }
}
