//! What the file of a device contains besides its blocks.
//!
//! All numbers are little-endian; pages have 4096 bytes.
//!
//! | page | content |
//! |---|---|
//! | 0, 1 | two copies of the superblock |
//! | 2 + 2p, 3 + 2p | the two slots of page p of the map |
//! | after the map | with checksums: 8 bytes for each block |
//! | after that | the blocks, aligned to the size of one, from 4 KiB to 1 MiB |
//!
//! The room for the map and the checksums is that of `capacity` blocks, and is a hole in the file
//! until it is needed.
//!
//! A **superblock** has 512 bytes, which a disk writes whole; its last four are the CRC-32C of the
//! others. It says what the device is, the *generation* of the map, and the *root*: the CRC-32C of
//! the generations and checksums of all pages of the map, in order.
//!
//! A **page of the map** has the generation in which it was written, a CRC-32C, and one bit for
//! each of 32640 blocks, which is 1 if the block is allocated. The checksum also covers the UUID of
//! the device and the number of the page, so a page in the wrong place is no page. A page that is
//! all zeros was never written: its blocks are free, and its generation and checksum are 0.
//!
//! # The order of writes
//!
//! A commit writes each page that changed into the slot that is not in use, with the next
//! generation, and syncs the file. Then it writes the superblock with the new generation and root
//! over the older of the two copies, and syncs the file: that is the moment from which the new map
//! counts. Last, it writes the other copy, which the next sync makes durable, so that normally
//! either copy alone is enough.
//!
//! Opening reads the copies from the newer to the older one. Of each page it takes the slot with
//! the highest generation that is not above the superblock's; the root must match. Whatever a crash
//! leaves, one superblock and the slots that it means were durable before anything was written over
//! the other superblock or the other slots, so they match: the map is that of the last commit that
//! ended, or of one whose superblock was already written. Torn pages and superblocks fail their
//! checksums. If no copy matches, a disk has changed what it stored; the pages with wrong checksums
//! are named.
//!
//! # Checksums
//!
//! The entry of a block is two CRC-32C, each with that of a block of zeros subtracted (by
//! exclusive or), so that an entry that was never written fits a block that was never written. A
//! block is intact if it matches either. A write first writes the entry, with the checksum of the
//! present content and that of the new one, then the block, so a process that is killed leaves an
//! entry that matches. After a power cut a block that was written since the last flush may match
//! neither, since the disk orders writes as it likes; then it is corrupt, as a torn block is.

use chimaera_bdev_client::geometry::{Geometry, BLOCKS_PER_PAGE, PAGE};

const MAGIC: [u8; 8] = *b"CHI-BDEV";
const VERSION: u32 = 1;
/// The device has checksums.
const FLAG_CHECKSUM: u32 = 1;
/// The bytes of a superblock.
const SUPERBLOCK: usize = 512;

/// The words of a page of the map.
pub(crate) const WORDS_PER_PAGE: usize = BLOCKS_PER_PAGE as usize / 64;

/// A page of the file.
pub(crate) type Page = [u8; PAGE as usize];

/// What identifies a device.
pub(crate) type Uuid = [u8; 16];

/// A superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) uuid: Uuid,
    pub(crate) geometry: Geometry,
    pub(crate) blocks: u64,
    pub(crate) generation: u64,
    pub(crate) root: u32,
}

/// What a page that should have a superblock contains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Superblock(Superblock),
    /// A superblock with errors.
    Corrupt,
    /// A superblock of another version, or with unknown flags.
    Other(String),
    /// Only zeros.
    Nothing,
    /// Something that is not a superblock.
    Foreign,
}

impl Superblock {
    pub(crate) fn to_page(self) -> Page {
        let mut page = [0; PAGE as usize];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            page[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC);
        put(&VERSION.to_le_bytes());
        put(&(self.geometry.block_size as u32).to_le_bytes());
        put(&self.uuid);
        put(&self.blocks.to_le_bytes());
        put(&self.geometry.capacity.to_le_bytes());
        put(&self.generation.to_le_bytes());
        put(&self.root.to_le_bytes());
        put(&(if self.geometry.checksum { FLAG_CHECKSUM } else { 0 }).to_le_bytes());
        let sum = crc32c::crc32c(&page[..SUPERBLOCK - 4]);
        page[SUPERBLOCK - 4..SUPERBLOCK].copy_from_slice(&sum.to_le_bytes());
        page
    }

    pub(crate) fn find(page: &Page) -> Found {
        if page[..8] != MAGIC {
            let zeros = page.iter().all(|byte| *byte == 0);
            return if zeros { Found::Nothing } else { Found::Foreign };
        }
        if crc32c::crc32c(&page[..SUPERBLOCK - 4]) != u32_at(page, SUPERBLOCK - 4) {
            return Found::Corrupt;
        }
        let (version, flags) = (u32_at(page, 8), u32_at(page, 60));
        if version != VERSION {
            return Found::Other(format!("has format version {version}, not {VERSION}"));
        }
        if flags & !FLAG_CHECKSUM != 0 {
            return Found::Other(format!("uses features that are unknown here (flags {flags:#x})"));
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&page[16..32]);
        let superblock = Superblock {
            uuid,
            geometry: Geometry {
                block_size: u32_at(page, 12).into(),
                capacity: u64_at(page, 40),
                checksum: flags & FLAG_CHECKSUM != 0,
            },
            blocks: u64_at(page, 32),
            generation: u64_at(page, 48),
            root: u32_at(page, 56),
        };
        // The checksum is right, so this is what some program meant to write.
        let Superblock { geometry, blocks, .. } = superblock;
        let sensible = geometry.block_size.is_power_of_two()
            && (1..=geometry.capacity).contains(&blocks)
            && geometry.size(geometry.capacity.min(blocks)).is_some();
        if sensible {
            Found::Superblock(superblock)
        } else {
            Found::Corrupt
        }
    }
}

/// A slot of a page of the map that is in use: what the root covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) generation: u64,
    pub(crate) sum: u32,
    /// 0 or 1.
    pub(crate) number: u64,
}

/// What a slot contains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SlotFound {
    /// Its generation and checksum.
    Page(u64, u32),
    Nothing,
    Corrupt,
}

/// The content of a slot of page `number`, and its checksum.
pub(crate) fn to_slot(uuid: &Uuid, number: u64, generation: u64, words: &[u64]) -> (Page, u32) {
    let mut page = [0; PAGE as usize];
    page[..8].copy_from_slice(&generation.to_le_bytes());
    for (bytes, word) in page[16..].chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let sum = slot_sum(uuid, number, &page);
    page[8..12].copy_from_slice(&sum.to_le_bytes());
    (page, sum)
}

/// Looks at a slot of page `number`.
pub(crate) fn find_slot(uuid: &Uuid, number: u64, page: &Page) -> SlotFound {
    if page.iter().all(|byte| *byte == 0) {
        return SlotFound::Nothing;
    }
    let sum = u32_at(page, 8);
    match slot_sum(uuid, number, page) == sum {
        true => SlotFound::Page(u64_at(page, 0), sum),
        false => SlotFound::Corrupt,
    }
}

/// The words of a page of the map.
pub(crate) fn words_of(page: &Page) -> impl Iterator<Item = u64> + '_ {
    page[16..].chunks_exact(8).map(|bytes| u64_at(bytes, 0))
}

/// The checksum of a page, without its own bytes.
fn slot_sum(uuid: &Uuid, number: u64, page: &Page) -> u32 {
    let mut sum = crc32c::crc32c(uuid);
    for part in [&number.to_le_bytes()[..], &page[..8], &page[12..]] {
        sum = crc32c::crc32c_append(sum, part);
    }
    sum
}

/// The root over all pages.
pub(crate) fn root_of(slots: &[Slot]) -> u32 {
    slots.iter().fold(0, |root, slot| {
        let root = crc32c::crc32c_append(root, &slot.generation.to_le_bytes());
        crc32c::crc32c_append(root, &slot.sum.to_le_bytes())
    })
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock() -> Superblock {
        let geometry = Geometry::of(4096, 1000, 0, true);
        Superblock { uuid: [7; 16], geometry, blocks: 1000, generation: 9, root: 77 }
    }

    #[test]
    fn every_flipped_bit_of_a_superblock_is_found() {
        let page = superblock().to_page();
        assert_eq!(Superblock::find(&page), Found::Superblock(superblock()));
        for bit in 0..SUPERBLOCK * 8 {
            let mut flipped = page;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit < 64 { Found::Foreign } else { Found::Corrupt };
            assert_eq!(Superblock::find(&flipped), expected, "bit {bit}");
        }
        assert_eq!(Superblock::find(&[0; PAGE as usize]), Found::Nothing);
    }

    #[test]
    fn superblocks_of_the_future_are_no_ruins() {
        for (at, value, why) in [(8, 2, "has format version 2, not 1"), (60, 3, "(flags 0x3)")] {
            let mut page = superblock().to_page();
            page[at] = value;
            let sum = crc32c::crc32c(&page[..SUPERBLOCK - 4]);
            page[SUPERBLOCK - 4..SUPERBLOCK].copy_from_slice(&sum.to_le_bytes());
            let Found::Other(text) = Superblock::find(&page) else { panic!("{at}") };
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_page_of_the_map_is_found() {
        let words: Vec<u64> = (0..WORDS_PER_PAGE as u64).map(|i| i.wrapping_mul(i << 40)).collect();
        let (page, sum) = to_slot(&[7; 16], 3, 5, &words);
        assert_eq!(find_slot(&[7; 16], 3, &page), SlotFound::Page(5, sum));
        assert!(words_of(&page).eq(words));
        for bit in 0..page.len() * 8 {
            let mut flipped = page;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(find_slot(&[7; 16], 3, &flipped), SlotFound::Corrupt, "bit {bit}");
        }
        assert_eq!(find_slot(&[8; 16], 3, &page), SlotFound::Corrupt);
        assert_eq!(find_slot(&[7; 16], 4, &page), SlotFound::Corrupt);
    }
}
