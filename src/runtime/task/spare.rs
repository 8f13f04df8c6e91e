//! A worker's pool of records for reuse.

use std::cell::{Cell, RefCell};

use super::record::{Origin, Record};

/// How many records are kept, of less than a kilobyte each: as many as a few busy sessions have in
/// flight. Further ones are freed.
const MOST: usize = 1024;

/// A worker's records for reuse.
#[derive(Default)]
pub(crate) struct SpareRecords {
    #[expect(clippy::vec_box, reason = "a record's address must not change")]
    records: RefCell<Vec<Box<Record>>>,
    /// Records freed since [`SpareRecords::take_freed`] was last called.
    freed: Cell<u64>,
}

impl SpareRecords {
    /// Takes a kept record, or allocates one.
    #[inline(always)]
    pub(crate) fn take(&self, origin: Origin) -> Box<Record> {
        match self.records.borrow_mut().pop() {
            Some(mut record) => {
                record.renew(origin);
                record
            }
            None => Record::new(origin, 64).expect("a small body needs no memory of its own"),
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
