//! The map of allocated blocks.

use std::sync::{Mutex, PoisonError};

use chimaera::abi::CHI_NO_SPACE;
use chimaera::{Result, Status};
use chimaera_bdev_client::{Extent, DEVICE_FULL, NOT_ALLOCATED};

/// A bitmap with one bit per block. The lock is never held longer than it takes to scan the bits.
pub(crate) struct Map {
    blocks: u64,
    state: Mutex<State>,
}

struct State {
    /// Bit `block % 64` of word `block / 64` is 1 if the block is allocated or beyond the last.
    words: Vec<u64>,
    free: u64,
    /// The word at which the next search begins.
    next: usize,
}

impl Map {
    /// Creates a map without allocated blocks. Errors: `CHI_NO_SPACE`.
    pub(crate) fn new(blocks: u64) -> Result<Map> {
        let n_words = blocks.div_ceil(64) as usize;
        let mut words = Vec::new();
        words.try_reserve_exact(n_words).map_err(|_| {
            Status::new(CHI_NO_SPACE, format!("out of memory for the map of {blocks} blocks"))
        })?;
        words.resize(n_words, 0);
        if !blocks.is_multiple_of(64) {
            words[n_words - 1] = u64::MAX << (blocks % 64);
        }
        Ok(Map { blocks, state: Mutex::new(State { words, free: blocks, next: 0 }) })
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(crate) fn free_blocks(&self) -> u64 {
        self.state().free
    }

    /// Allocates the next `count` free blocks, with adjacent ones in one extent.
    pub(crate) fn allocate(&self, count: u64) -> Result<Vec<Extent>> {
        let mut state = self.state();
        let free = state.free;
        if count > free {
            let blocks = self.blocks;
            let text =
                format!("cannot allocate {count} blocks: the device has {free} of {blocks} free");
            return Err(Status::new(DEVICE_FULL, text));
        }
        let mut extents: Vec<Extent> = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let index = state.next;
            let word = state.words[index];
            if word == u64::MAX {
                state.next = (index + 1) % state.words.len();
                continue;
            }
            let start = word.trailing_ones();
            let run = u64::from((word >> start).trailing_zeros().min(64 - start)).min(missing);
            state.words[index] |= bits(start.into(), run);
            missing -= run;
            let block = index as u64 * 64 + u64::from(start);
            match extents.last_mut() {
                Some(last) if last.block + last.count == block => last.count += run,
                _ => extents.push(Extent { block, count: run }),
            }
        }
        state.free -= count;
        // The search may have wrapped around the end of the device.
        extents.sort_unstable_by_key(|extent| extent.block);
        extents.dedup_by(|next, last| {
            let adjacent = last.block + last.count == next.block;
            last.count += if adjacent { next.count } else { 0 };
            adjacent
        });
        Ok(extents)
    }

    /// Frees all of the blocks, or none. Errors: `CHI_INVALID`, `NOT_ALLOCATED`.
    pub(crate) fn free(&self, extents: &[Extent]) -> Result<()> {
        let mut state = self.state();
        for (index, extent) in extents.iter().enumerate() {
            let freed = self.range(*extent).and_then(|()| state.clear(*extent));
            if let Err(status) = freed {
                for before in &extents[..index] {
                    state.each_word(*before, |word, bits| *word |= bits);
                    state.free -= before.count;
                }
                return Err(status);
            }
        }
        Ok(())
    }

    /// Checks that the blocks exist and are allocated. Errors: `CHI_INVALID`, `NOT_ALLOCATED`.
    pub(crate) fn check(&self, extent: Extent) -> Result<()> {
        self.range(extent)?;
        self.state().find_free(extent)
    }

    fn range(&self, Extent { block, count }: Extent) -> Result<()> {
        let blocks = self.blocks;
        match block.checked_add(count) {
            _ if count == 0 => Err(Status::invalid("the number of blocks is 0")),
            Some(end) if end <= blocks => Ok(()),
            _ => Err(Status::invalid(format!(
                "{count} blocks from block {block} on are out of range: the device has {blocks}"
            ))),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while holding the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mask of `count` bits from `start`, at least one.
fn bits(start: u64, count: u64) -> u64 {
    (u64::MAX >> (64 - count)) << start
}

impl State {
    /// Calls `f` for each word that covers these blocks, with a mask of their bits.
    fn each_word(&mut self, Extent { mut block, count }: Extent, mut f: impl FnMut(&mut u64, u64)) {
        let end = block + count;
        while block < end {
            let n = (64 - block % 64).min(end - block);
            f(&mut self.words[(block / 64) as usize], bits(block % 64, n));
            block += n;
        }
    }

    fn find_free(&mut self, extent: Extent) -> Result<()> {
        let mut all = true;
        self.each_word(extent, |word, bits| all &= *word & bits == bits);
        if all {
            return Ok(());
        }
        let block = (extent.block..extent.block + extent.count)
            .find(|block| self.words[(block / 64) as usize] >> (block % 64) & 1 == 0);
        let block = block.unwrap_or(extent.block);
        Err(Status::new(NOT_ALLOCATED, format!("block {block} is not allocated")))
    }

    fn clear(&mut self, extent: Extent) -> Result<()> {
        self.find_free(extent)?;
        self.each_word(extent, |word, bits| *word &= !bits);
        self.free += extent.count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_blocks_are_given_out_once() {
        let map = Map::new(200).unwrap();
        let first = map.allocate(100).unwrap();
        assert_eq!(first, [Extent { block: 0, count: 100 }]);
        assert_eq!(map.allocate(100).unwrap(), [Extent { block: 100, count: 100 }]);
        let status = map.allocate(1).unwrap_err();
        assert_eq!(status.code(), DEVICE_FULL);
        assert_eq!(status.message(), "cannot allocate 1 blocks: the device has 0 of 200 free");
        map.free(&[Extent { block: 10, count: 1 }, Extent { block: 190, count: 5 }]).unwrap();
        let again = map.allocate(6).unwrap();
        assert_eq!(again, [Extent { block: 10, count: 1 }, Extent { block: 190, count: 5 }]);
        assert_eq!(map.free_blocks(), 0);
        map.free(&[Extent { block: 0, count: 200 }]).unwrap();
        assert_eq!(map.free_blocks(), 200);
    }

    #[test]
    fn freeing_twice_frees_nothing() {
        let map = Map::new(128).unwrap();
        map.allocate(70).unwrap();
        let twice = [Extent { block: 60, count: 10 }, Extent { block: 69, count: 1 }];
        let status = map.free(&twice).unwrap_err();
        assert_eq!((status.code(), status.message()), (NOT_ALLOCATED, "block 69 is not allocated"));
        assert_eq!(map.free_blocks(), 58);
        map.check(Extent { block: 0, count: 70 }).unwrap();
        assert!(map.check(Extent { block: 69, count: 2 }).is_err());
        for wrong in [Extent { block: 120, count: 9 }, Extent { block: u64::MAX, count: 2 }] {
            let status = map.check(wrong).unwrap_err();
            assert!(status.message().ends_with("out of range: the device has 128"), "{status}");
        }
        assert_eq!(
            map.check(Extent { block: 1, count: 0 }).unwrap_err().message(),
            "the number of blocks is 0"
        );
    }
}
