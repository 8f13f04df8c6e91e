//! The private copies of what a client's task holds: their limits, and what becomes of a task for which there is no
//! memory.

use chimaera_abi::{CHI_NO_SPACE, CHI_TOO_LARGE};

use super::block::NoMemory;
use super::record::Record;
use crate::failure::Failure;
use crate::session::Session;
use crate::sys::Use;

/// The limit on the private copies of one task's inner descriptors, in bytes.
const MAX_COPIES: u64 = 64 << 20;

/// Why a task's body was not taken.
pub(crate) enum NotTaken {
    /// The task must end.
    Refused(Failure),
    /// Other tasks hold the memory. It takes at least `bytes` bytes.
    Lacks { bytes: u64, why: Failure },
}

impl From<Failure> for NotTaken {
    fn from(failure: Failure) -> NotTaken {
        NotTaken::Refused(failure)
    }
}

/// The overhead that a copy is charged besides its bytes; an upper bound.
pub(super) const BLOCK_COST: u64 = 192;

/// Allocates `bytes` with `take`, and counts them against the limit of the task's session.
pub(super) fn counted<R>(
    record: &mut Record,
    session: &Session,
    bytes: u64,
    take: impl FnOnce(&mut Record) -> Result<R, NoMemory>,
) -> Result<R, NotTaken> {
    if !session.count_copies(bytes, record.copied) {
        let most = session.most_copies() >> 20;
        let message = format!(
            "the copies of this client's tasks take more than {most} MiB; wait for some of its tasks to \
             complete"
        );
        return Err(lacks(record, bytes, Failure::new(CHI_NO_SPACE, message)));
    }
    let taken = take(record);
    match taken {
        Ok(_) => record.copied += bytes,
        Err(_) => session.uncount_copies(bytes),
    }
    taken.map_err(|why| no_memory(record, bytes, why))
}

/// Decides whether a task for whose copies there is no memory is refused or may wait.
fn no_memory(record: &Record, bytes: u64, why: NoMemory) -> NotTaken {
    let budget = record.budget();
    match why {
        NoMemory::Budget(_) if record.copied + bytes > budget.most() => {
            let most = budget.most() >> 20;
            let message = format!(
                "the task takes more than the {most} MiB of the runtime's memory budget that tasks can \
                 have: raise limits.memory"
            );
            NotTaken::Refused(Failure::new(CHI_TOO_LARGE, message))
        }
        // The memory that the task itself holds is counted there, too.
        NoMemory::Budget(_) if budget.used(Use::Tasks) > record.copied => {
            lacks(record, bytes, why.into())
        }
        _ => NotTaken::Refused(why.into()),
    }
}

/// A task that lacks memory needs at least what it already has and `bytes` more.
fn lacks(record: &Record, bytes: u64, why: Failure) -> NotTaken {
    NotTaken::Lacks { bytes: record.copied + bytes, why }
}

/// Fails if a task would have more copies than it may with `more` bytes.
pub(super) fn check(record: &Record, more: u64) -> Result<(), Failure> {
    match record.copied.saturating_add(more) > MAX_COPIES {
        true => {
            let why = "the strings and vectors inside the task's vectors, and those on lease, take more than 64 MiB";
            Err(Failure::new(CHI_TOO_LARGE, why))
        }
        false => Ok(()),
    }
}
