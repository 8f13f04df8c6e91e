//! Segments that are lent: a module host maps the segments of clients whose tasks it gets, so that large
//! strings and vectors need not be copied.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::Weak;

/// Who borrows segments.
pub(crate) trait Borrower: Send + Sync {
    /// Whether the process is gone, and all its mappings with it.
    fn is_gone(&self) -> bool;

    /// Has it unmap a segment. Does not wait.
    fn take_back(&self, loan: &Loan);
}

/// What has become of a loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoanState {
    /// The borrower has not said that it has mapped the segment.
    Offered,
    /// It has: tasks may refer to the segment.
    Mapped,
    /// It has not, and will not.
    Refused,
}

/// A session's segment in the hands of another process. The session keeps the loan, and so does every task
/// that refers to the segment there; the segment is taken back when none is left.
pub(crate) struct Loan {
    to: Weak<dyn Borrower>,
    /// By which the borrower knows the segment.
    pub(crate) number: u16,
    /// The number of the question whether it has mapped it.
    pub(crate) question: u64,
    state: AtomicU8,
}

impl Loan {
    pub(crate) fn new(to: Weak<dyn Borrower>, number: u16, question: u64) -> Loan {
        let state = AtomicU8::new(LoanState::Offered as u8);
        Loan { to, number, question, state }
    }

    /// One to nobody, who has mapped the segment.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn to_nobody(number: u16) -> Loan {
        struct Nobody;
        impl Borrower for Nobody {
            fn is_gone(&self) -> bool {
                true
            }
            fn take_back(&self, _: &Loan) {}
        }
        let loan = Loan::new(Weak::<Nobody>::new(), number, 0);
        loan.set_state(LoanState::Mapped);
        loan
    }

    pub(crate) fn state(&self) -> LoanState {
        match self.state.load(Ordering::Acquire) {
            state if state == LoanState::Mapped as u8 => LoanState::Mapped,
            state if state == LoanState::Refused as u8 => LoanState::Refused,
            _ => LoanState::Offered,
        }
    }

    pub(crate) fn set_state(&self, state: LoanState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Whether it is a loan to this one.
    pub(super) fn is_to(&self, borrower: *const ()) -> bool {
        // The address is not used again as long as there is a weak reference to it.
        std::ptr::addr_eq(self.to.as_ptr(), borrower)
    }

    pub(super) fn is_over(&self) -> bool {
        self.to.upgrade().is_none_or(|to| to.is_gone())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(to) = self.to.upgrade() {
            to.take_back(self);
        }
    }
}
