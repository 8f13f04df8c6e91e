//! Where the parts of a device's file are.

/// The size of the pages that the superblock and the map consist of.
pub const PAGE: u64 = 4096;
/// Blocks whose bits are in one page of the map.
pub const BLOCKS_PER_PAGE: u64 = (PAGE - 16) * 8;
/// Bytes of a block's entry in the table of checksums.
pub const CHECKSUM_BYTES: u64 = 8;

/// How much larger a device can become, unless its parameters set it.
const GROWTH: u64 = 4;
/// The largest alignment of the first block.
const MAX_ALIGN: u64 = 1 << 20;

/// Where the parts of a device's file are: two superblocks, two slots for each page of the map, the
/// checksums if there are any, and the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Block size in bytes.
    pub block_size: u64,
    /// Number of blocks for which the map has room.
    pub capacity: u64,
    /// Whether there are checksums.
    pub checksum: bool,
}

impl Geometry {
    /// The geometry of a new file for this many blocks, with room for `capacity`, or for four times
    /// as many if it is 0.
    pub fn of(block_size: u64, blocks: u64, capacity: u64, checksum: bool) -> Geometry {
        let least =
            if capacity == 0 { blocks.saturating_mul(GROWTH) } else { capacity.max(blocks) };
        let capacity = least.checked_next_multiple_of(BLOCKS_PER_PAGE).unwrap_or(least);
        Geometry { block_size, capacity, checksum }
    }

    /// The number of pages of the map of this many blocks.
    pub fn pages(blocks: u64) -> u64 {
        blocks.div_ceil(BLOCKS_PER_PAGE)
    }

    /// Where a slot (0 or 1) of a page of the map is.
    pub fn slot(page: u64, slot: u64) -> u64 {
        PAGE * (2 + 2 * page + slot)
    }

    /// Where the checksum of a block is.
    pub fn checksum_of(&self, block: u64) -> u64 {
        Self::slot(Self::pages(self.capacity), 0) + block * CHECKSUM_BYTES
    }

    /// Where the first block is. `None` if that is beyond what a file can have.
    pub fn data(&self) -> Option<u64> {
        let map = Self::pages(self.capacity).checked_mul(2 * PAGE)?.checked_add(2 * PAGE)?;
        let sums = if self.checksum { self.capacity.checked_mul(CHECKSUM_BYTES)? } else { 0 };
        let align = self.block_size.clamp(PAGE, MAX_ALIGN);
        map.checked_add(sums)?.checked_next_multiple_of(align)
    }

    /// The size of a file with this many blocks. `None` if no file can have it.
    pub fn size(&self, blocks: u64) -> Option<u64> {
        let size = blocks.checked_mul(self.block_size)?.checked_add(self.data()?)?;
        i64::try_from(size).ok().map(|_| size)
    }

    /// The most blocks that a new file of this size has.
    pub fn blocks_in(size: u64, block_size: u64, capacity: u64, checksum: bool) -> u64 {
        let fits = |blocks: &u64| {
            let geometry = Geometry::of(block_size, *blocks, capacity, checksum);
            geometry.size(*blocks).is_some_and(|needed| needed <= size)
        };
        let (mut fit, mut not) = (0, size / block_size + 1);
        while fit + 1 < not {
            let middle = fit + (not - fit) / 2;
            if fits(&middle) {
                fit = middle;
            } else {
                not = middle;
            }
        }
        fit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_exactly_the_blocks_that_it_was_made_for() {
        for block_size in [512, 4096, 1 << 16, 1 << 24] {
            for (capacity, checksum) in [(0, false), (0, true), (1 << 20, true)] {
                for blocks in [1, 2, 64, 400, BLOCKS_PER_PAGE, 1_000_003] {
                    let geometry = Geometry::of(block_size, blocks, capacity, checksum);
                    let size = geometry.size(blocks).unwrap();
                    let found = |size| Geometry::blocks_in(size, block_size, capacity, checksum);
                    assert_eq!((found(size), found(size - 1)), (blocks, blocks - 1));
                    assert!(geometry.data().unwrap().is_multiple_of(PAGE));
                    let first = geometry.data().unwrap();
                    assert!(geometry.checksum_of(geometry.capacity) <= first || !checksum);
                }
            }
        }
        assert_eq!(Geometry::of(4096, u64::MAX, 0, true).size(1), None);
    }
}
