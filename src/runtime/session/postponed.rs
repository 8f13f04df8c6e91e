//! Postponed submissions, which wait outside their ring.

use std::collections::VecDeque;

use crate::sys::{Budget, Charge, Use};

/// The limit on the postponed submissions of one ring; beyond it, the ring fills up.
const MOST: usize = 1 << 16;
/// How many submissions the charge grows by each time it is used up.
const STEP: usize = 1024;

/// Submissions of a ring, in order.
pub(crate) struct Postponed {
    offsets: VecDeque<u64>,
    charge: Charge,
}

impl Postponed {
    pub(super) fn new(budget: &'static Budget) -> Postponed {
        Postponed { offsets: VecDeque::new(), charge: budget.nothing(Use::Records) }
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The submissions, in their order.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        self.offsets.iter().copied().collect()
    }

    /// The first submission.
    pub(super) fn first(&self) -> Option<u64> {
        self.offsets.front().copied()
    }

    /// True if there is room for another submission; charges memory for it if necessary.
    pub(crate) fn has_room(&mut self) -> bool {
        let count = self.offsets.len();
        if count < self.charged() {
            return true;
        }
        count < MOST && self.charge.grow((STEP * size_of::<u64>()) as u64).is_ok()
    }

    /// How many submissions the charge covers.
    fn charged(&self) -> usize {
        self.charge.bytes() as usize / size_of::<u64>()
    }

    /// Appends a submission.
    pub(super) fn push(&mut self, offset: u64) {
        self.offsets.push_back(offset);
    }

    /// Puts back the submission that was first until now.
    pub(super) fn put_back(&mut self, offset: u64) {
        self.offsets.push_front(offset);
    }

    /// Removes a submission. Returns whether it was the first, or `None` if it is not here.
    pub(super) fn remove(&mut self, offset: u64) -> Option<bool> {
        let position = self.offsets.iter().position(|other| *other == offset)?;
        self.offsets.remove(position);
        if self.offsets.is_empty() {
            self.release();
        }
        Some(position == 0)
    }

    /// Removes the submissions for which `leaves` is true, in one pass. Returns them, and whether the first of
    /// all was among them.
    pub(super) fn remove_all(&mut self, leaves: impl Fn(u64) -> bool) -> (Vec<u64>, bool) {
        let first = self.first();
        let mut removed = Vec::new();
        self.offsets.retain(|offset| {
            let stays = !leaves(*offset);
            if !stays {
                removed.push(*offset);
            }
            stays
        });
        if self.offsets.is_empty() && !removed.is_empty() {
            self.release();
        }
        let was_first = first.is_some() && removed.first().copied() == first;
        (removed, was_first)
    }

    /// Takes the first submission.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<u64> {
        let offset = self.offsets.pop_front()?;
        if self.offsets.is_empty() && self.charge.bytes() > 0 {
            self.release();
        }
        Some(offset)
    }

    #[cold]
    fn release(&mut self) {
        self.offsets = VecDeque::new();
        self.charge.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::MemorySource;

    #[test]
    fn as_many_are_postponed_as_the_budget_has_room_for() {
        let budget = Budget::new(256 << 10, MemorySource::Configured, 1 << 30);
        let mut postponed = Postponed::new(budget);
        let mut count = 0;
        while postponed.has_room() {
            postponed.push(count);
            count += 1;
        }
        assert_eq!(count, budget.most() / 8 / STEP as u64 * STEP as u64);
        assert!(!postponed.has_room());
        assert_eq!(postponed.pop(), Some(0));
        assert!(postponed.has_room(), "one is gone");
        postponed.put_back(0);
        assert_eq!(postponed.first(), Some(0));
        assert!((0..count).all(|number| postponed.pop() == Some(number)));
        assert!(postponed.is_empty() && budget.all_used() == 0);
    }

    #[test]
    fn those_that_leave_are_removed_at_once() {
        let mut postponed = Postponed::new(Budget::endless());
        (0..10).for_each(|offset| postponed.push(offset));
        assert_eq!(postponed.remove_all(|offset| offset > 20), (Vec::new(), false));
        assert_eq!(postponed.remove_all(|offset| offset % 2 == 1), (vec![1, 3, 5, 7, 9], false));
        assert_eq!(postponed.remove_all(|offset| offset < 5), (vec![0, 2, 4], true));
        assert_eq!(postponed.offsets(), [6, 8]);
        assert_eq!(postponed.remove_all(|_| true), (vec![6, 8], true));
        assert!(postponed.is_empty() && postponed.charged() == 0);
    }

    #[test]
    fn no_more_are_postponed_than_are_useful() {
        let mut postponed = Postponed::new(Budget::endless());
        let mut count = 0;
        while postponed.has_room() {
            postponed.push(0);
            count += 1;
        }
        assert_eq!(count, MOST);
    }
}
