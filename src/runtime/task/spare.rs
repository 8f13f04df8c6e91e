//! Records that a worker keeps for reuse.

use std::cell::{Cell, RefCell};

use super::record::{Origin, Record};

/// Records that are kept, less than a kilobyte each: as many as a few busy sessions have in flight. What
/// is beyond them goes back to the allocator.
const MOST: usize = 1024;

/// Records for reuse.
#[derive(Default)]
pub(crate) struct SpareRecords {
    #[expect(clippy::vec_box, reason = "a record's address must not change")]
    records: RefCell<Vec<Box<Record>>>,
    /// Records that went back to the allocator since somebody last asked.
    freed: Cell<u64>,
}

impl SpareRecords {
    /// A record, fresh or used before.
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

    /// Takes a record back.
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

    /// How many records went back to the allocator since this was last asked.
    pub(crate) fn take_freed(&self) -> u64 {
        self.freed.take()
    }
}
