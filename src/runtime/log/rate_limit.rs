//! A rate limit for log lines that clients and modules cause: a client can cause them as fast as it
//! can submit tasks.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sys::lock;
use chimaera_abi::chi_pool_id;

/// How many lines of one kind, about one method of one pool, pass in a [`SPAN`].
const LINES: u32 = 10;
/// The limit for the kinds of lines that are common in normal operation.
const USUAL_LINES: u32 = 1000;
const SPAN: Duration = Duration::from_secs(10);
/// How many pairs of kind and method are counted at a time. Lines of further pairs are left out.
const METHODS: usize = 1024;
/// How many pairs of kind and process are counted at a time. Those of further processes are counted together for
/// each user.
const PROCESSES: usize = 1024;

/// How many lines were left out before one that passes, if any.
pub(crate) type LeftOut = Option<NonZeroU64>;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LineKind {
    /// A fire-and-forget task has failed.
    Forgotten,
    /// A task has overflowed its stack, or crashed.
    Abandoned,
    /// A task has ended while it held a lock.
    LockLeft,
    /// There is no memory for a stack.
    Starved,
    /// There is no memory for a page of a session's segment.
    Faulted,
    /// A poller overflowed its stack or crashed.
    PollerLost,
    /// A module has called a function that changes the state of the process.
    StateCall,
    /// A task was deleted twice.
    Deleted,
    /// A lock was freed while tasks held it.
    LockFreed,
    /// Tasks wait for each other in a cycle.
    Circle,
    /// A stand-by worker was put into service, or rests.
    Standby,
    /// A client was refused.
    Refused,
    /// A session was opened or ended.
    Session,
    /// A pool could not be created, was abandoned, or is in quarantine.
    PoolFailed,
    /// A pool was created or destroyed, or containers reset or replaced.
    Pool,
    /// A module's own line, at this level of `chi_host.log`.
    Module(u32),
}

impl LineKind {
    /// How many lines of this kind pass in a [`SPAN`].
    fn limit(self) -> u32 {
        match self {
            LineKind::Pool | LineKind::Session | LineKind::Module(_) => USUAL_LINES,
            _ => LINES,
        }
    }
}

/// What a line is about, and so whose flood may hide it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// The runtime itself.
    #[default]
    Runtime,
    Pool(chi_pool_id),
    Method {
        pool: chi_pool_id,
        method: u32,
    },
    /// What a client has done.
    Process {
        pid: i32,
        uid: u32,
    },
    /// What too many processes of a user have done.
    User(u32),
}

/// The lines of one kind and subject that have passed in the current span.
struct Passed {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// Decides which lines are written.
#[derive(Default)]
pub(crate) struct RateLimit {
    passed: Mutex<HashMap<(LineKind, Subject), Passed>>,
    /// Those about processes, so that however many there are, they hide nothing else.
    of_processes: Mutex<HashMap<(LineKind, Subject), Passed>>,
}

impl RateLimit {
    /// Whether one more line of this kind may be written; if so, returns how many have been left
    /// out since the last. `[any thread]`
    #[cold]
    pub(crate) fn pass(&self, kind: LineKind, subject: Subject) -> Option<LeftOut> {
        self.pass_at(Instant::now(), (kind, subject))
    }

    fn pass_at(&self, now: Instant, key: (LineKind, Subject)) -> Option<LeftOut> {
        let (passed, most, or) = match key.1 {
            Subject::Process { uid, .. } => {
                (&self.of_processes, PROCESSES, Some((key.0, Subject::User(uid))))
            }
            _ => (&self.passed, METHODS, None),
        };
        let mut passed = lock(passed);
        if passed.len() >= most && !passed.contains_key(&key) {
            passed.retain(|_, passed| now.saturating_duration_since(passed.since) < SPAN);
            if passed.len() >= most {
                drop(passed);
                return self.pass_at(now, or?);
            }
        }
        let passed = passed.entry(key).or_insert(Passed { since: now, lines: 0, left_out: 0 });
        if now.saturating_duration_since(passed.since) >= SPAN {
            (passed.since, passed.lines) = (now, 0);
        }
        if passed.lines >= key.0.limit() {
            passed.left_out += 1;
            return None;
        }
        passed.lines += 1;
        Some(NonZeroU64::new(std::mem::take(&mut passed.left_out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(major_: u32, method: u32) -> Subject {
        Subject::Method { pool: chi_pool_id { major_, minor_: 0 }, method }
    }

    #[test]
    fn a_flood_of_one_kind_is_cut_and_counted_and_others_are_not() {
        let limit = RateLimit::default();
        let start = Instant::now();
        let flood = (LineKind::Forgotten, subject(1, 7));
        let passed = (0..1000).filter(|_| limit.pass_at(start, flood).is_some()).count();
        assert_eq!(passed, LINES as usize);
        let others = [(LineKind::LockLeft, subject(1, 7)), (LineKind::Forgotten, subject(2, 7))];
        for other in others {
            assert_eq!(limit.pass_at(start, other), Some(None));
        }
        assert_eq!(limit.pass_at(start + SPAN / 2, flood), None);
        assert_eq!(
            limit.pass_at(start + SPAN, flood),
            Some(NonZeroU64::new(1001 - u64::from(LINES)))
        );
        assert_eq!(limit.pass_at(start + SPAN, flood), Some(None));
    }

    #[test]
    fn a_module_may_say_more_and_at_each_level() {
        let limit = RateLimit::default();
        let start = Instant::now();
        for level in 0..2 {
            let key = (LineKind::Module(level), subject(1, 7));
            let passed = (0..5000).filter(|_| limit.pass_at(start, key).is_some()).count();
            assert_eq!(passed, USUAL_LINES as usize);
        }
    }

    /// One client hides no other's lines, nor does one that comes back in new processes hide another user's.
    #[test]
    fn a_flood_of_one_client_hides_no_other() {
        let limit = RateLimit::default();
        let start = Instant::now();
        let key = |pid, uid| (LineKind::Refused, Subject::Process { pid, uid });
        let passes = |pid, uid| limit.pass_at(start, key(pid, uid)).is_some();
        let passed = |count: i32| (0..count).filter(|_| passes(1, 1000)).count();
        assert_eq!(passed(1000), LINES as usize);
        assert!(passes(2, 1000));
        let more = (3..10_000).filter(|pid| passes(*pid, 1000)).count();
        assert_eq!(more, PROCESSES - 2 + LINES as usize);
        assert!(passes(10_001, 1001), "another user");
        assert_eq!(limit.pass_at(start, (LineKind::Refused, Subject::default())), Some(None));
        assert!(limit.pass_at(start, (LineKind::Forgotten, subject(1, 7))).is_some());
        assert_eq!(limit.pass_at(start + SPAN, key(20_000, 1000)), Some(None));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limit = RateLimit::default();
        let start = Instant::now();
        let key = |method| (LineKind::Forgotten, subject(1, method));
        let passed = (0..5000).filter(|method| limit.pass_at(start, key(*method)).is_some());
        assert_eq!(passed.count(), METHODS);
        assert_eq!(limit.pass_at(start + SPAN, key(5000)), Some(None));
        assert_eq!(lock(&limit.passed).len(), 1);
    }
}
