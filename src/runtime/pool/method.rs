//! The methods of a pool: their descriptions, which belong to the module, and what is measured of their tasks,
//! which belongs to the pool.

use crate::metrics::MethodMetrics;
use crate::module::{Method, Methods};
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

/// The weight of a measurement in the estimate is one part in this many.
const WEIGHT: u32 = 8;
/// The number of tasks for which a monitor that gave no estimate is not asked again.
const ASK_AGAIN: u32 = 63;

/// A method of a pool. Each pool has its own measurements, because pools of one module have
/// different data.
pub(crate) struct PoolMethod {
    method: Method,
    /// The measured run time in nanoseconds, averaged; 0 before the first measurement.
    mean_ns: AtomicU32,
    /// The number of further tasks for which the monitor is not asked for an estimate.
    silent: AtomicU32,
    /// Those of the pool's former versions, too.
    pub(crate) metrics: MethodMetrics,
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
        PoolMethod {
            method,
            mean_ns: AtomicU32::new(0),
            silent: AtomicU32::new(0),
            metrics: MethodMetrics::default(),
        }
    }

    /// The measured run time in nanoseconds, averaged; 0 before the first measurement.
    #[inline]
    pub(crate) fn mean_ns(&self) -> u32 {
        self.mean_ns.load(Ordering::Relaxed)
    }

    /// Adds the measured time of a run to the estimate. An outlier, such as a run whose worker was
    /// preempted, counts as a few times the estimate at most.
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

    /// Whether to ask the monitor for an estimate of the next task.
    pub(crate) fn is_monitor_worth_asking(&self) -> bool {
        let silent = self.silent.load(Ordering::Relaxed);
        if silent > 0 {
            self.silent.store(silent - 1, Ordering::Relaxed);
        }
        silent == 0
    }

    /// Records that the monitor gave no estimate, so that it is asked again only after a while.
    pub(crate) fn note_silence(&self) {
        self.silent.store(ASK_AGAIN, Ordering::Relaxed);
    }
}

/// The methods of a pool, found by number.
pub(crate) struct PoolMethods {
    by_number: Box<[Option<Box<PoolMethod>>]>,
}

impl PoolMethods {
    pub(super) fn of(module: &Methods) -> PoolMethods {
        let count = module.iter().map(|method| method.number as usize + 1).max().unwrap_or(0);
        let one = |number| module.get(number).map(|found| Box::new(PoolMethod::new(found.clone())));
        PoolMethods { by_number: (0..count as u32).map(one).collect() }
    }

    /// The methods of a successor. Of those whose tasks have another shape now, tasks that do not say
    /// which they have are refused: they may have been made for the old one.
    pub(super) fn successor(&self, module: &Methods) -> PoolMethods {
        let mut methods = PoolMethods::of(module);
        for method in methods.by_number.iter_mut().flatten() {
            let Some(old) = self.get(method.number) else { continue };
            if old.is_strict() || !method.takes_all_of(old) {
                method.method.be_strict();
            }
            if old.name == method.name {
                method.metrics = old.metrics.clone();
            }
        }
        methods
    }

    /// All methods, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PoolMethod> {
        self.by_number.iter().flatten().map(|method| &**method)
    }

    /// The method with this number.
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
            idempotent: false,
            declared: false,
            task_size: 64,
            layout: 0,
            unstated: 0,
            fields: Vec::new(),
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// A measurement in one pool of a module does not change the estimate in another.
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
