//! Postponed submissions, which wait outside their ring.

use std::collections::VecDeque;

use chimaera_ipc::ring::Submitted;

use crate::sys::{Budget, Charge, Use};

/// The limit on the postponed submissions of one ring; beyond it, the ring fills up.
const MOST: usize = 1 << 16;
/// How many submissions the charge grows by each time it is used up.
const STEP: usize = 1024;

/// A submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Submission {
    /// Where its task is.
    pub(crate) offset: u64,
    pub(crate) submitted: Submitted,
}

impl Submission {
    /// One whose time is not measured.
    pub(crate) fn unmeasured(offset: u64) -> Submission {
        Submission { offset, submitted: Submitted::NOT_MEASURED }
    }
}

/// Submissions of a ring, in order.
pub(crate) struct Postponed {
    submissions: VecDeque<Submission>,
    charge: Charge,
}

impl Postponed {
    pub(super) fn new(budget: &'static Budget) -> Postponed {
        Postponed { submissions: VecDeque::new(), charge: budget.nothing(Use::Records) }
    }

    pub(super) fn len(&self) -> usize {
        self.submissions.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.submissions.is_empty()
    }

    /// The submissions, in their order.
    pub(crate) fn offsets(&self) -> Vec<u64> {
        self.submissions.iter().map(|submission| submission.offset).collect()
    }

    /// The first submission.
    pub(super) fn first(&self) -> Option<u64> {
        self.submissions.front().map(|submission| submission.offset)
    }

    /// True if there is room for another submission; charges memory for it if necessary.
    pub(crate) fn has_room(&mut self) -> bool {
        let count = self.submissions.len();
        if count < self.charged() {
            return true;
        }
        count < MOST && self.charge.grow((STEP * size_of::<Submission>()) as u64).is_ok()
    }

    /// How many submissions the charge covers.
    fn charged(&self) -> usize {
        self.charge.bytes() as usize / size_of::<Submission>()
    }

    /// Appends a submission.
    pub(super) fn push(&mut self, submission: Submission) {
        self.submissions.push_back(submission);
    }

    /// Puts back the submission that was first until now.
    pub(super) fn put_back(&mut self, submission: Submission) {
        self.submissions.push_front(submission);
    }

    /// Removes a submission. Returns whether it was the first, or `None` if it is not here.
    pub(super) fn remove(&mut self, offset: u64) -> Option<bool> {
        let position = self.submissions.iter().position(|other| other.offset == offset)?;
        self.submissions.remove(position);
        if self.submissions.is_empty() {
            self.release();
        }
        Some(position == 0)
    }

    /// Removes the submissions for which `leaves` is true, in one pass. Returns them, and whether the first of
    /// all was among them.
    pub(super) fn remove_all(&mut self, leaves: impl Fn(u64) -> bool) -> (Vec<u64>, bool) {
        let first = self.first();
        let mut removed = Vec::new();
        self.submissions.retain(|submission| {
            let stays = !leaves(submission.offset);
            if !stays {
                removed.push(submission.offset);
            }
            stays
        });
        if self.submissions.is_empty() && !removed.is_empty() {
            self.release();
        }
        let was_first = first.is_some() && removed.first().copied() == first;
        (removed, was_first)
    }

    /// Takes the first submission.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Submission> {
        let submission = self.submissions.pop_front()?;
        if self.submissions.is_empty() && self.charge.bytes() > 0 {
            self.release();
        }
        Some(submission)
    }

    #[cold]
    fn release(&mut self) {
        self.submissions = VecDeque::new();
        self.charge.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::MemorySource;

    fn at(offset: u64) -> Submission {
        Submission::unmeasured(offset)
    }

    #[test]
    fn as_many_are_postponed_as_the_budget_has_room_for() {
        let budget = Budget::new(256 << 10, MemorySource::Configured, 1 << 30);
        let mut postponed = Postponed::new(budget);
        let mut count = 0;
        while postponed.has_room() {
            postponed.push(at(count));
            count += 1;
        }
        assert_eq!(count, budget.most() / 16 / STEP as u64 * STEP as u64);
        assert!(!postponed.has_room());
        assert_eq!(postponed.pop(), Some(at(0)));
        assert!(postponed.has_room(), "one is gone");
        postponed.put_back(at(0));
        assert_eq!(postponed.first(), Some(0));
        assert!((0..count).all(|number| postponed.pop() == Some(at(number))));
        assert!(postponed.is_empty() && budget.all_used() == 0);
    }

    #[test]
    fn those_that_leave_are_removed_at_once() {
        let mut postponed = Postponed::new(Budget::endless());
        (0..10).for_each(|offset| postponed.push(at(offset)));
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
            postponed.push(at(0));
            count += 1;
        }
        assert_eq!(count, MOST);
    }
}
