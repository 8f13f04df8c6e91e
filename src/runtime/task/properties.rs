//! The properties of a submitted task: its deadline and its period.

use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::clock;

use super::period::Period;
use super::record::Record;
use crate::failure::Failure;

/// The flags of a task that has such a property.
const MATTER: u32 = CHI_TASK_PERIODIC | CHI_TASK_DEADLINE;

/// The longest period, 146 years: short enough that a few of them can be added without overflow.
const MAX_PERIOD_NS: u64 = u64::MAX / 4;

/// Reads a submitted task's properties from its body into its record.
#[inline]
pub(crate) fn read(record: &mut Record) -> Result<(), Failure> {
    // SAFETY: the body is private and has at least a header.
    let (flags, ns, until) = unsafe {
        let body = &*record.body();
        (body.task_flags_.bits_, body.period_ns_, body.message_)
    };
    if flags & MATTER == 0 {
        return Ok(());
    }
    note(record, flags, ns, until)
}

/// The time left until `CLOCK_MONOTONIC` reaches `ns`.
fn time_until(ns: u64) -> Duration {
    Duration::from_nanos(ns.saturating_sub(clock::monotonic_ns()))
}

#[cold]
fn note(record: &mut Record, flags: u32, ns: u64, until: u64) -> Result<(), Failure> {
    if record.deadline.get().is_some() || record.period.as_ref().and_then(Period::begun).is_some() {
        // It was held, and they were read before.
        return Ok(());
    }
    let now = Instant::now();
    if flags & MATTER == MATTER {
        return Err(Failure::new(CHI_INVALID, "a task has a period or a deadline, not both"));
    }
    if flags & CHI_TASK_DEADLINE != 0 {
        // A client's task carries the point in time, because the task may have waited in its ring.
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
        let message = format!("a period of {ns} ns; it must be at {which} {bound} ns");
        return Err(Failure::new(CHI_INVALID, message));
    }
    record.period = Some(Period::new(Duration::from_nanos(ns), now));
    Ok(())
}
