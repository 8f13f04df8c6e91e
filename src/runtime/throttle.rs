//! A bound on what the log says of failing tasks: a client can make them as fast as tasks come.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chimaera_abi::chi_pool_id;

use crate::lock;
use crate::record::Record;

/// Lines of one kind, about one method of one pool, that are let through in a `SPAN`.
const LINES: u32 = 10;
const SPAN: Duration = Duration::from_secs(10);
/// Methods that are told apart at a time.
const METHODS: usize = 1024;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A task that nobody waits for has failed.
    Forgotten,
    /// A task has overflowed its stack.
    Overflowed,
    /// A task has ended with a lock.
    LockLeft,
    /// There is no memory for a stack.
    Starved,
}

/// What was let through of one kind.
struct Said {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// Decides what the log says.
#[derive(Default)]
pub(crate) struct Throttle {
    said: Mutex<HashMap<(Kind, chi_pool_id, u32), Said>>,
}

impl Throttle {
    /// Whether the log may have one more line of this kind about a task; if so, how many were left out
    /// since the last. `[any thread]`
    #[cold]
    pub(crate) fn pass(&self, kind: Kind, record: &Record) -> Option<u64> {
        // SAFETY: null, or the container in which the task is counted; a method lives with its module.
        let (container, method) = unsafe { (record.container.as_ref(), record.method.as_ref()) };
        let pool = container.map_or(chi_pool_id { major_: 0, minor_: 0 }, |container| container.id);
        let method = method.map_or(u32::MAX, |method| method.number);
        self.pass_at(Instant::now(), (kind, pool, method))
    }

    /// The same for a line that is about no task. `[any thread]`
    #[cold]
    pub(crate) fn pass_about(&self, kind: Kind) -> Option<u64> {
        self.pass_at(Instant::now(), (kind, chi_pool_id { major_: 0, minor_: 0 }, u32::MAX))
    }

    fn pass_at(&self, now: Instant, key: (Kind, chi_pool_id, u32)) -> Option<u64> {
        let mut said = lock(&self.said);
        if said.len() >= METHODS && !said.contains_key(&key) {
            said.retain(|_, said| now.saturating_duration_since(said.since) < SPAN);
            if said.len() >= METHODS {
                return None;
            }
        }
        let said = said.entry(key).or_insert(Said { since: now, lines: 0, left_out: 0 });
        if now.saturating_duration_since(said.since) >= SPAN {
            (said.since, said.lines) = (now, 0);
        }
        if said.lines >= LINES {
            said.left_out += 1;
            return None;
        }
        said.lines += 1;
        Some(std::mem::take(&mut said.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_cut_and_counted_and_others_are_not() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let pool = |major_| chi_pool_id { major_, minor_: 0 };
        let flood = (Kind::Forgotten, pool(1), 7);
        let passed = (0..1000).filter(|_| throttle.pass_at(start, flood).is_some()).count();
        assert_eq!(passed, LINES as usize);
        for other in [(Kind::LockLeft, pool(1), 7), (Kind::Forgotten, pool(2), 7)] {
            assert_eq!(throttle.pass_at(start, other), Some(0));
        }
        assert_eq!(throttle.pass_at(start + SPAN / 2, flood), None);
        assert_eq!(throttle.pass_at(start + SPAN, flood), Some(1001 - u64::from(LINES)));
        assert_eq!(throttle.pass_at(start + SPAN, flood), Some(0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let key = |method| (Kind::Forgotten, chi_pool_id { major_: 1, minor_: 0 }, method);
        let passed = (0..5000).filter(|method| throttle.pass_at(start, key(*method)).is_some());
        assert_eq!(passed.count(), METHODS);
        assert_eq!(throttle.pass_at(start + SPAN, key(5000)), Some(0));
        assert_eq!(lock(&throttle.said).len(), 1);
    }
}
