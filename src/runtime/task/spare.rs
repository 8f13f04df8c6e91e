//! A worker's pool of records for reuse.

use std::cell::{Cell, RefCell};

use chimaera_abi::CHI_NO_SPACE;

use super::record::{Origin, Record};
use crate::failure::Failure;
use crate::sys::{Budget, Use};

/// How many records are kept, each of less than a kilobyte: as many as a few busy sessions have in
/// flight. Further ones are freed.
const MOST: usize = 1024;

/// A worker's records for reuse.
pub(crate) struct SpareRecords {
    budget: &'static Budget,
    #[expect(clippy::vec_box, reason = "a record's address must not change")]
    records: RefCell<Vec<Box<Record>>>,
    /// Records freed since [`SpareRecords::take_freed`] was last called.
    freed: Cell<u64>,
}

impl SpareRecords {
    /// Starts without records. New ones are charged to this budget.
    pub(crate) fn new(budget: &'static Budget) -> SpareRecords {
        SpareRecords { budget, records: RefCell::default(), freed: Cell::new(0) }
    }

    /// Takes a kept record, or allocates one.
    #[inline(always)]
    pub(crate) fn take(&self, origin: Origin) -> Box<Record> {
        match self.records.borrow_mut().pop() {
            Some(mut record) => {
                record.renew(origin);
                record
            }
            None => Record::new(origin, self.budget),
        }
    }

    /// Takes a kept record for a module's task, or allocates one if the budget has room for many
    /// more.
    #[inline(always)]
    pub(crate) fn take_for_module(&self) -> Result<Box<Record>, Failure> {
        match self.records.borrow_mut().pop() {
            Some(mut record) => {
                record.renew(Origin::Internal);
                Ok(record)
            }
            None if self.budget.is_tight(Use::Records) => {
                Err(Failure::new(CHI_NO_SPACE, self.budget.exhausted(Use::Records).to_string()))
            }
            None => Ok(Record::new(Origin::Internal, self.budget)),
        }
    }

    /// Keeps a record for reuse, or frees it.
    #[inline(always)]
    pub(crate) fn put(&self, mut record: Box<Record>) {
        record.clear();
        let mut records = self.records.borrow_mut();
        if records.len() < MOST {
            records.push(record);
        } else {
            self.freed.set(self.freed.get() + 1);
        }
    }

    /// How many records have been freed since this was last called.
    pub(crate) fn take_freed(&self) -> u64 {
        self.freed.take()
    }
}
