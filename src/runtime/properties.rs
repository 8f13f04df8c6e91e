//! The properties of a task: its deadline, its period, and that nobody waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chimaera_abi::*;

use crate::about::{log_about, About};
use crate::alarms::Alarm;
use crate::cancel::Why;
use crate::record::Record;
use crate::session::{At, Place};
use crate::throttle::Kind;
use crate::worker::Worker;
use crate::Failure;

/// Flags that make a task more than a call.
const MATTER: u32 = CHI_TASK_PERIODIC | CHI_TASK_DEADLINE;

/// The longest period, 146 years: a few of them can still be added up.
const MAX_PERIOD_NS: u64 = u64::MAX / 4;

/// When a periodic task runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    period: Duration,
    /// When the current run was due.
    due: Instant,
}

impl Period {
    /// The next run's time: a whole number of periods from the first, and not before `now`.
    fn next(&mut self, now: Instant) -> Instant {
        let late = now.saturating_duration_since(self.due + self.period);
        // Runs that were missed are left out.
        let missed = late.as_nanos().div_ceil(self.period.as_nanos());
        let until = self.period.as_nanos() * (1 + missed);
        // At least one period, and no more than the process has lived and one: that is far from the end.
        self.due += Duration::from_nanos(u64::try_from(until).unwrap_or(u64::MAX / 4));
        self.due
    }
}

/// Notes the properties of a task that is taken in.
#[inline]
pub(crate) fn read(record: &mut Record) -> Result<(), Failure> {
    // SAFETY: the body is private, and has at least a header.
    let (flags, ns, until) = unsafe {
        let body = &*record.body();
        (body.task_flags_.bits_, body.period_ns_, body.message_)
    };
    if flags & MATTER == 0 {
        return Ok(());
    }
    note(record, flags, ns, until)
}

/// How long it is until `CLOCK_MONOTONIC` says `ns`.
fn time_until(ns: u64) -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    Duration::from_nanos(ns.saturating_sub(now))
}

#[cold]
fn note(record: &mut Record, flags: u32, ns: u64, until: u64) -> Result<(), Failure> {
    let now = Instant::now();
    if flags & MATTER == MATTER {
        return Err(Failure::new(CHI_INVALID, "a task has a period or a deadline, not both"));
    }
    if flags & CHI_TASK_DEADLINE != 0 {
        // A task from a client says when its time is over, for it may have waited in its ring.
        let rest = if until == 0 { Duration::from_nanos(ns) } else { time_until(until) };
        record.deadline.set(now.checked_add(rest));
        return Ok(());
    }
    let bound = match ns {
        ..CHI_MIN_PERIOD_NS => Some(("least", CHI_MIN_PERIOD_NS)),
        CHI_MIN_PERIOD_NS..=MAX_PERIOD_NS => None,
        _ => Some(("most", MAX_PERIOD_NS)),
    };
    if let Some((which, bound)) = bound {
        let message = format!("a period of {ns} ns; it has at {which} {bound}");
        return Err(Failure::new(CHI_INVALID, message));
    }
    record.period = Some(Period { period: Duration::from_nanos(ns), due: now });
    Ok(())
}

impl Worker {
    /// Why a task that is about to start must not; `None` when it may.
    #[inline]
    pub(crate) fn too_late(&self, record: &Record) -> Option<Why> {
        if let Some(why) = record.why_cancelled() {
            return Some(why);
        }
        let deadline = record.deadline.get()?;
        (Instant::now() >= deadline).then_some(Why::Deadline)
    }

    /// Keeps a periodic task, which has left its lane, until its next run.
    pub(crate) fn keep_until_due(&self, mut record: Box<Record>) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let period = record.period.as_mut().expect("only a periodic task runs again");
        let at = period.next(Instant::now());
        record.suspended.set(false);
        record.note_resting(self.own_period(number));
        let why = record.look_for_cancellation();
        self.periodic.borrow_mut().insert(number, record);
        match why {
            Some(why) => self.stop_run(number, why),
            None => self.alarms.set(at, Alarm::Run { number }),
        }
    }

    /// A task that nobody waits for has failed: only the log can say so.
    #[cold]
    pub(crate) fn report_forgotten(&self, record: &Record, status: chi_status, message: &str) {
        if let Some(left_out) = self.shared.throttle.pass(Kind::Forgotten, record) {
            let about = About::task(record);
            log_about!(
                warn,
                about,
                status,
                message,
                left_out,
                "a task that nobody waits for has failed"
            );
        }
    }

    fn own_period(&self, number: u64) -> Place {
        Place { worker: self.index, at: At::Period(number) }
    }

    /// Takes a periodic task out. `None` when it has stopped meanwhile.
    fn take_periodic(&self, number: u64) -> Option<Box<Record>> {
        let record = self.periodic.borrow_mut().remove(&number)?;
        record.forget_resting(self.own_period(number));
        Some(record)
    }

    /// A periodic task is due.
    pub(crate) fn run_again(&self, number: u64) {
        let Some(record) = self.take_periodic(number) else { return };
        let lane = record.lane;
        self.dispatch(record, lane, true);
    }

    /// Ends a periodic task between two runs.
    pub(crate) fn stop_run(&self, number: u64, why: Why) {
        let Some(mut record) = self.take_periodic(number) else { return };
        let failure = why.failure();
        // It is in no lane.
        record.lane = std::ptr::null();
        self.finish(record, failure.status, &failure.message);
    }

    /// Ends the periodic tasks, between two runs, for which there is a reason.
    pub(crate) fn stop_periodic(&self, why: impl Fn(&Record) -> Option<Why>) {
        let periodic = self.periodic.borrow();
        let stopped = periodic.iter().filter_map(|(number, record)| Some((*number, why(record)?)));
        let stopped: Vec<_> = stopped.collect();
        drop(periodic);
        for (number, why) in stopped {
            self.stop_run(number, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_do_not_drift_and_missed_ones_are_left_out() {
        let first = Instant::now();
        let ms = Duration::from_millis;
        let mut period = Period { period: ms(10), due: first };
        assert_eq!(period.next(first + ms(3)), first + ms(10));
        assert_eq!(period.next(first + ms(19)), first + ms(20));
        assert_eq!(period.next(first + ms(55)), first + ms(60));
        assert_eq!(period.next(first + ms(70)), first + ms(70));
        assert_eq!(period.next(first + ms(70)), first + ms(80));
    }
}
