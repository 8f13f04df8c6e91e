//! The memory budget of a runtime, and the limits derived from it.

use super::Config;
use crate::sys::{available, Budget, MemorySource, Use};

/// The smallest budget, in bytes.
const LEAST: u64 = 16 << 20;
/// The default budget, in percent of the available memory. The rest is for what modules allocate by
/// themselves, and for the process itself.
const SHARE: u64 = 50;
/// The most that a stack is charged, in bytes: the default size.
const MOST_OF_STACK: u64 = 256 << 10;
/// How many stacks without a task a worker keeps, if the budget allows.
const SPARE_STACKS: usize = 256;
/// How many stacks without a task a worker keeps in any case.
const FEW_STACKS: usize = 4;

/// How much memory a runtime may allocate for its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryLimit {
    /// Half of the available memory. That is the least of the machine's memory, the limits of the
    /// process's control groups, and half of its limit on address space.
    #[default]
    Auto,
    /// This percentage of the available memory.
    Percent(u64),
    /// This many bytes.
    Bytes(u64),
}

impl Config {
    /// The budget of a runtime with this configuration, in this process.
    pub(crate) fn budget(&self) -> &'static Budget {
        let (most, source) = available();
        let (limit, source) = match self.memory {
            MemoryLimit::Auto => (most / 100 * SHARE, source),
            MemoryLimit::Percent(share) => (most / 100 * share, source),
            MemoryLimit::Bytes(bytes) => (bytes, MemorySource::Configured),
        };
        Budget::new(limit.max(LEAST), source, most)
    }

    /// What a stack is charged, in bytes: its full size, because it is unknown how much of it a
    /// method touches, but only a part of a large one, which few methods need.
    pub(crate) fn stack_cost(&self) -> u64 {
        MOST_OF_STACK.min(self.stack_size as u64)
    }

    /// The limit on suspended tasks, given the existing `stacks` and the budget's room for more. It
    /// leaves room for a stack for each worker, and for the eighth by which the limit may be
    /// exceeded.
    pub(crate) fn max_suspended_in(&self, budget: &Budget, stacks: usize) -> usize {
        let more = budget.room(Use::Stacks) / self.stack_cost();
        let most = (stacks + more as usize).saturating_sub(self.all_workers()) / 9 * 8;
        self.max_suspended.min(most)
    }

    /// How many stacks without a task a worker keeps: the budget always has room for this many. As long as a worker
    /// has no more, it does not ask how many tasks are suspended, so all workers together keep at most half of
    /// those that may be.
    pub(crate) fn spare_stacks(&self, budget: &Budget) -> usize {
        let stacks = (budget.kept() / self.stack_cost()) as usize;
        let stacks = stacks.min(self.max_suspended_in(budget, 0) / 2);
        (stacks / self.all_workers()).clamp(FEW_STACKS, SPARE_STACKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(memory: MemoryLimit) -> &'static Budget {
        Config { memory, ..Config::default() }.budget()
    }

    #[test]
    fn a_budget_is_a_share_of_what_there_is_or_what_the_configuration_says() {
        let (there, source) = available();
        let auto = with(MemoryLimit::Auto);
        assert_eq!((auto.limit(), auto.source()), (there / 100 * 50, source));
        assert_eq!(with(MemoryLimit::Percent(10)).limit(), (there / 100 * 10).max(LEAST));
        let own = with(MemoryLimit::Bytes(1 << 30));
        assert_eq!((own.limit(), own.source()), (1 << 30, MemorySource::Configured));
        assert_eq!(own.available(), there);
    }

    #[test]
    fn no_more_tasks_are_suspended_than_the_budget_has_stacks_for() {
        let cut = |mib: u64| {
            let budget = Budget::new(mib << 20, MemorySource::Configured, 1 << 40);
            let config = Config { workers: 2, standby_workers: 2, ..Config::default() };
            (config.max_suspended_in(budget, 0), config.spare_stacks(budget))
        };
        assert_eq!(cut(1 << 20), (28_000, 256));
        assert_eq!(cut(1024), (312 * 8, 51));
        assert_eq!(cut(64), (19 * 8, 4));
        assert_eq!(cut(16), (4 * 8, 4));
        assert_eq!(cut(1), (0, 4));
    }
}
