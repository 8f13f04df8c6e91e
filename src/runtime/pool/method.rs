//! What a pool knows of its methods: what its module says, and how long they take here.

use crate::module::{Method, Methods};
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

/// One measurement counts for so much of the estimate.
const WEIGHT: u32 = 8;
/// Tasks about which a monitor is not asked that had no answer.
const ASK_AGAIN: u32 = 63;

/// A method of a pool. Two pools of one module have different data, so each measures for itself.
pub(crate) struct PoolMethod {
    method: Method,
    /// How long it runs, in nanoseconds, as measured so far; 0 before.
    mean_ns: AtomicU32,
    /// So many tasks more about which the monitor is not asked for an estimate.
    silent: AtomicU32,
}

impl Deref for PoolMethod {
    type Target = Method;

    #[inline]
    fn deref(&self) -> &Method {
        &self.method
    }
}

impl PoolMethod {
    pub(crate) fn new(method: Method) -> PoolMethod {
        PoolMethod { method, mean_ns: AtomicU32::new(0), silent: AtomicU32::new(0) }
    }

    /// How long it runs, in nanoseconds, as measured so far; 0 before.
    #[inline]
    pub(crate) fn mean_ns(&self) -> u32 {
        self.mean_ns.load(Ordering::Relaxed)
    }

    /// Takes a measurement of a run into account. One that is far off, because the worker was
    /// interrupted, counts as a few times the estimate.
    pub(crate) fn learn(&self, ns: u64) {
        let ns = u32::try_from(ns).unwrap_or(u32::MAX).max(1);
        let mean = match self.mean_ns() {
            0 => ns,
            mean => {
                let ns = ns.min(mean.saturating_mul(4));
                (mean - mean / WEIGHT).saturating_add(ns / WEIGHT).max(1)
            }
        };
        self.mean_ns.store(mean, Ordering::Relaxed);
    }

    /// Whether the monitor is to be asked for an estimate of the next task.
    pub(crate) fn is_monitor_worth_asking(&self) -> bool {
        let silent = self.silent.load(Ordering::Relaxed);
        if silent > 0 {
            self.silent.store(silent - 1, Ordering::Relaxed);
        }
        silent == 0
    }

    /// The monitor had no answer: it is asked about another task only after a while.
    pub(crate) fn note_silence(&self) {
        self.silent.store(ASK_AGAIN, Ordering::Relaxed);
    }
}

/// The methods of a pool, found by number.
pub(crate) struct PoolMethods {
    by_number: Box<[Option<Box<PoolMethod>>]>,
}

impl PoolMethods {
    pub(crate) fn of(module: &Methods) -> PoolMethods {
        let count = module.iter().map(|method| method.number as usize + 1).max().unwrap_or(0);
        let one = |number| module.get(number).map(|found| Box::new(PoolMethod::new(found.clone())));
        PoolMethods { by_number: (0..count as u32).map(one).collect() }
    }

    /// The method of this number.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&PoolMethod> {
        self.by_number.get(number as usize)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method() -> Method {
        Method {
            number: 10,
            name: "kWork".into(),
            supported: true,
            monitored: true,
            aggregated: false,
            task_size: 64,
            fields: Vec::new(),
        }
    }

    /// Two pools of one module: what the one learns, the other does not believe.
    #[test]
    fn each_pool_has_its_own_estimate() {
        let (slow, fast) = (PoolMethod::new(method()), PoolMethod::new(method()));
        (0..100).for_each(|_| slow.learn(1_000_000));
        assert_eq!(fast.mean_ns(), 0);
        fast.learn(100);
        assert_eq!(fast.mean_ns(), 100);
        assert!(slow.mean_ns() > 900_000);
    }

    #[test]
    fn one_measurement_that_is_far_off_changes_little() {
        let method = PoolMethod::new(method());
        (0..100).for_each(|_| method.learn(1000));
        method.learn(1_000_000_000);
        assert!(method.mean_ns() < 1500);
    }

    #[test]
    fn a_silent_monitor_is_left_alone_for_a_while() {
        let method = PoolMethod::new(method());
        assert!(method.is_monitor_worth_asking());
        method.note_silence();
        let asked = (0..ASK_AGAIN).filter(|_| method.is_monitor_worth_asking()).count();
        assert_eq!(asked, 0);
        assert!(method.is_monitor_worth_asking());
    }
}
