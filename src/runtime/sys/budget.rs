//! The memory budget: how much memory a runtime allocates for its clients, and for which uses. Cold
//! paths that allocate take a charge first, which returns the bytes to the budget when dropped.
//!
//! A sixteenth of the budget is reserved for each kind of use but published memory, which modules can do without, so that
//! no use starves another; the rest is available to all.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::memory::MemorySource;

/// What memory is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Use {
    /// Private copies of the contents of clients' tasks.
    Tasks,
    /// Records of tasks, beyond those that workers keep for reuse.
    Records,
    /// Stacks of tasks.
    Stacks,
    /// Sessions: their metadata, and the results in their segments.
    Sessions,
    /// Containers and their lanes.
    Pools,
    /// Tasks and buffers that modules allocate.
    Modules,
    /// Published memory.
    Published,
}

impl Use {
    pub(crate) const ALL: [Use; 7] = [
        Use::Tasks,
        Use::Records,
        Use::Stacks,
        Use::Sessions,
        Use::Pools,
        Use::Modules,
        Use::Published,
    ];

    /// Its name in JSON and in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Use::Tasks => "tasks",
            Use::Records => "records",
            Use::Stacks => "stacks",
            Use::Sessions => "sessions",
            Use::Pools => "pools",
            Use::Modules => "modules",
            Use::Published => "published",
        }
    }
}

/// One part in this many is reserved for each use that has a reserve.
const KEPT: u64 = 16;
/// How many have one: all but published memory.
const WITH_RESERVE: u64 = Use::ALL.len() as u64 - 1;

impl std::error::Error for Exhausted {}

/// A memory budget.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    source: MemorySource,
    /// The smallest limit on the process's memory, whatever sets the budget.
    available: u64,
    used: [AtomicU64; Use::ALL.len()],
    /// What all uses together have taken beyond their reserves. Briefly below 0 when another thread
    /// gives back bytes before the thread that took them has counted them here.
    common: AtomicI64,
}

/// The budget has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    limit: u64,
    all: u64,
    of: Use,
    used: u64,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (limit, all, used) = (mib(self.limit), mib(self.all), mib(self.used));
        let of = self.of.name();
        write!(
            f,
            "memory budget ({limit:.1} MiB) reached: {all:.1} MiB are in use, {used:.1} MiB of them for \
             {of}; raise limits.memory"
        )
    }
}

impl Budget {
    /// A budget that lives as long as the process: buffers that modules keep may outlive their
    /// runtime.
    pub(crate) fn new(limit: u64, source: MemorySource, available: u64) -> &'static Budget {
        let (used, common) = (Default::default(), AtomicI64::new(0));
        Box::leak(Box::new(Budget { limit, source, available, used, common }))
    }

    /// A budget that is never reached.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn endless() -> &'static Budget {
        Budget::new(1 << 60, MemorySource::Configured, 1 << 60)
    }

    /// Its size in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// What determines its size.
    pub(crate) fn source(&self) -> MemorySource {
        self.source
    }

    /// How much memory is available to the process.
    pub(crate) fn available(&self) -> u64 {
        self.available
    }

    /// The bytes that this use has taken.
    pub(crate) fn used(&self, of: Use) -> u64 {
        self.used[of as usize].load(Ordering::Relaxed)
    }

    /// The bytes that all uses have taken.
    pub(crate) fn all_used(&self) -> u64 {
        Use::ALL.into_iter().map(|of| self.used(of)).sum()
    }

    /// The bytes reserved for each use that has a reserve.
    pub(crate) fn kept(&self) -> u64 {
        self.limit / KEPT
    }

    /// The bytes reserved for this use.
    fn kept_for(&self, of: Use) -> u64 {
        match of {
            Use::Published => 0,
            _ => self.kept(),
        }
    }

    /// The most that a use with a reserve can take while the others take no more than theirs.
    pub(crate) fn most(&self) -> u64 {
        self.limit - self.kept() * (WITH_RESERVE - 1)
    }

    /// Takes bytes for a use.
    pub(crate) fn charge(&'static self, of: Use, bytes: u64) -> Result<Charge, Exhausted> {
        let mut charge = self.nothing(of);
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// Takes bytes for a use, even beyond the budget.
    pub(crate) fn charge_anyway(&'static self, of: Use, bytes: u64) -> Charge {
        self.take(of, bytes);
        Charge { budget: self, of, bytes }
    }

    /// A charge of no bytes, which can grow.
    pub(crate) fn nothing(&'static self, of: Use) -> Charge {
        Charge { budget: self, of, bytes: 0 }
    }

    /// How many more bytes this use could take now.
    pub(crate) fn room(&self, of: Use) -> u64 {
        let own = self.kept_for(of).saturating_sub(self.used(of));
        own + (self.for_all() - self.common.load(Ordering::Relaxed)).max(0) as u64
    }

    /// True if this use can take less than an eighth of its maximum.
    #[inline]
    pub(crate) fn is_tight(&self, of: Use) -> bool {
        // Far from the limit, the usual case, this takes one comparison.
        let used = self.used(of);
        used >= self.kept_for(of) && self.room(of) < self.most() / 8
    }

    /// The part of the budget that is not reserved.
    fn for_all(&self) -> i64 {
        (self.limit - self.kept() * WITH_RESERVE) as i64
    }

    fn beyond(&self, of: Use, used: u64) -> i64 {
        used.saturating_sub(self.kept_for(of)) as i64
    }

    /// Counts bytes. Returns how many of them are beyond the use's reserve, and the total that all
    /// uses then have beyond theirs.
    fn take(&self, of: Use, bytes: u64) -> (i64, i64) {
        let before = self.used[of as usize].fetch_add(bytes, Ordering::Relaxed);
        let more = self.beyond(of, before + bytes) - self.beyond(of, before);
        (more, self.common.fetch_add(more, Ordering::Relaxed) + more)
    }

    fn give_back(&self, of: Use, bytes: u64) {
        let before = self.used[of as usize].fetch_sub(bytes, Ordering::Relaxed);
        let less = self.beyond(of, before) - self.beyond(of, before - bytes);
        self.common.fetch_sub(less, Ordering::Relaxed);
    }

    /// The error of a use for which there is no room.
    pub(crate) fn exhausted(&self, of: Use) -> Exhausted {
        Exhausted { limit: self.limit, all: self.all_used(), of, used: self.used(of) }
    }
}

/// Bytes taken from a budget, which are returned to it when this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: &'static Budget,
    of: Use,
    bytes: u64,
}

impl Charge {
    pub(crate) fn budget(&self) -> &'static Budget {
        self.budget
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more bytes for the same use.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let Charge { budget, of, .. } = *self;
        // More than the whole budget never fits, and could overflow the sums below.
        if bytes > budget.limit {
            return Err(budget.exhausted(of));
        }
        let (more, all) = budget.take(of, bytes);
        if more > 0 && all > budget.for_all() {
            budget.give_back(of, bytes);
            return Err(budget.exhausted(of));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.budget.give_back(self.of, less);
            self.bytes = bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.of, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: u64) -> &'static Budget {
        Budget::new(limit, MemorySource::Configured, 1 << 40)
    }

    #[test]
    fn each_use_has_what_is_kept_for_it_and_the_first_has_the_rest() {
        let budget = budget(1600);
        let greedy = budget.charge(Use::Tasks, 1100).unwrap();
        assert_eq!(budget.most(), 1100);
        assert!(budget.charge(Use::Tasks, 1).is_err());
        let others: Vec<_> = Use::ALL[1..6]
            .iter()
            .map(|of| {
                let own = budget.charge(*of, 100).unwrap();
                assert!(budget.charge(*of, 1).is_err(), "{of:?}");
                assert!(budget.room(*of) == 0 && budget.is_tight(*of), "{of:?}");
                own
            })
            .collect();
        assert_eq!(budget.all_used(), 1600);
        drop(greedy);
        assert_eq!((budget.room(Use::Pools), budget.room(Use::Tasks)), (1000, 1100));
        assert_eq!(budget.room(Use::Published), 1000, "nothing is kept for it");
        drop(others);
        assert_eq!((budget.all_used(), budget.common.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_charge_grows_and_shrinks() {
        let budget = budget(1600);
        let mut charge = budget.nothing(Use::Sessions);
        charge.grow(1000).unwrap();
        let refused = charge.grow(101).unwrap_err();
        assert_eq!(refused.used, 1000, "a refusal takes nothing");
        charge.shrink_to(50);
        charge.shrink_to(60);
        assert_eq!((charge.bytes(), budget.all_used()), (50, 50));
        assert!(charge.grow(u64::MAX).is_err());
        // A charge that cannot be refused is counted all the same.
        let forced = budget.charge_anyway(Use::Records, 5000);
        assert!(budget.charge(Use::Tasks, 101).is_err());
        assert!(budget.charge(Use::Tasks, 100).is_ok(), "that much is kept for them");
        drop((charge, forced));
        assert_eq!((budget.all_used(), budget.common.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_refusal_names_the_budget_the_use_and_the_key() {
        let budget = budget(64 << 20);
        let _charge = budget.charge(Use::Pools, 43 << 20).unwrap();
        let _other = budget.charge(Use::Tasks, 3 << 20).unwrap();
        assert_eq!(
            budget.charge(Use::Pools, 9 << 20).err().unwrap().to_string(),
            "memory budget (64.0 MiB) reached: 46.0 MiB are in use, 43.0 MiB of them for pools; \
             raise limits.memory"
        );
    }

    #[test]
    fn threads_that_come_and_go_leave_nothing() {
        let budget = budget(16_000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..20_000_usize {
                        let of = Use::ALL[(round + thread) % Use::ALL.len()];
                        let kept = budget.charge(of, 500 + round as u64 % 3000);
                        let forced = budget.charge_anyway(of, round as u64 % 700);
                        drop((kept, forced));
                    }
                });
            }
        });
        assert_eq!((budget.all_used(), budget.common.load(Ordering::Relaxed)), (0, 0));
    }
}
