//! A client's session as the runtime sees it: its segment, its arena, the blocks held for it, its
//! charges, and the number of its tasks in flight. It imports `sys` and `access`.

mod borrowed;
mod completions;
mod leases;
mod loan;
pub(crate) mod parked;
mod postponed;
mod presence;
mod queues;
mod refs;
mod ring;
mod roll;
mod session;

pub(crate) use self::borrowed::{Borrowed, BorrowedSegment};
pub(crate) use self::completions::Completions;
pub(crate) use self::leases::{Lease, Place};
pub(crate) use self::loan::{Borrower, Loan, LoanState};
pub(crate) use self::postponed::Submission;
pub(crate) use self::presence::Clients;
pub(crate) use self::queues::QueueRecord;
pub(crate) use self::refs::{SessionRef, TaskRef};
pub(crate) use self::ring::{MemoryWait, Ring};
pub(crate) use self::session::{Allocated, NoRoom, Parts, Session, SuspendedAs, SuspendedAt};
