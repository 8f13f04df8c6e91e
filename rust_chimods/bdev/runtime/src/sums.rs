//! The checksums of a device's blocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use chimaera::abi::CHI_NO_SPACE;
use chimaera::{Result, Status};
use chimaera_bdev_client::geometry::CHECKSUM_BYTES;

use crate::format::u64_at;

/// The entries of all blocks, as they are in the file. Who reads or writes a block has a claim on
/// it, and so on its entry.
pub(crate) struct Sums {
    entries: RwLock<Vec<AtomicU64>>,
    /// The checksum of a block of zeros.
    zeros: u32,
}

/// The entry of a block: the checksums that its content may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// That of the content before the last write.
    pub(crate) before: u32,
    /// That of the last write.
    pub(crate) written: u32,
}

impl Entry {
    pub(crate) fn of(sum: u32) -> Entry {
        Entry { before: sum, written: sum }
    }

    pub(crate) fn matches(self, sum: u32) -> bool {
        sum == self.before || sum == self.written
    }

    /// Whether there is only one possibility.
    pub(crate) fn is_settled(self) -> bool {
        self.before == self.written
    }

    pub(crate) fn to_bytes(self) -> [u8; CHECKSUM_BYTES as usize] {
        self.to_word().to_le_bytes()
    }

    fn to_word(self) -> u64 {
        u64::from(self.before) | u64::from(self.written) << 32
    }

    fn from_word(word: u64) -> Entry {
        Entry { before: word as u32, written: (word >> 32) as u32 }
    }
}

impl Sums {
    pub(crate) fn new(block_size: u64) -> Sums {
        Sums { entries: RwLock::default(), zeros: crc32c::crc32c(&vec![0; block_size as usize]) }
    }

    /// The checksum of a block, as entries have it.
    pub(crate) fn of(&self, block: &[u8]) -> u32 {
        crc32c::crc32c(block) ^ self.zeros
    }

    /// Takes the entries of block `from` and those after it from the file. Errors: `CHI_NO_SPACE`.
    pub(crate) fn load(&self, from: u64, bytes: &[u8]) -> Result<()> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.truncate(from as usize);
        let new = bytes.chunks_exact(CHECKSUM_BYTES as usize);
        entries.try_reserve(new.len()).map_err(|_| {
            Status::new(CHI_NO_SPACE, format!("out of memory for {} checksums", new.len()))
        })?;
        entries.extend(new.map(|bytes| AtomicU64::new(u64_at(bytes, 0))));
        Ok(())
    }

    /// The entry of a block, which the device must have.
    pub(crate) fn get(&self, block: u64) -> Entry {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        Entry::from_word(entries[block as usize].load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, block: u64, entry: Entry) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries[block as usize].store(entry.to_word(), Ordering::Relaxed);
    }
}
