//! The layout of a segment.

use chimaera_abi::chi_shm_ptr;

use crate::arena::CHUNK;
use crate::ring::ring_bytes;

/// The number of rings in the smallest segments. It limits how many of a client's threads can submit
/// at the same time.
pub const LEAST_RINGS: u64 = 64;
/// The number of rings in large segments.
pub const MOST_RINGS: u64 = 1024;
/// A segment has a ring for each of this many bytes, within these limits: 512 by default. Rings that
/// no thread uses have no memory.
const BYTES_PER_RING: u64 = 256 << 10;
/// The number of slots in a ring.
pub const RING_SLOTS: u64 = 1024;
/// The smallest segment, in bytes.
pub const MIN_SEGMENT: u64 = 4 << 20;
/// The size of a segment when the client does not ask for one, in bytes.
pub const DEFAULT_SEGMENT: u64 = 128 << 20;
/// The largest segment, in bytes.
pub const MAX_SEGMENT: u64 = 1 << 40;

/// The offset of the first ring. The page before it stays unused, so that offset 0 is never a
/// block.
const RINGS_AT: u64 = 4096;

/// The runtime's default share of a segment's arenas, in percent.
pub const DEFAULT_SHARE: u64 = 50;
/// The valid shares.
pub const SHARES: std::ops::RangeInclusive<u64> = 10..=90;

/// The parts of a segment: an unused page, the rings, the client's arena, the runtime's arena. Both
/// sides compute it from only the size and the runtime's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the whole segment.
    pub size: u64,
    /// The number of rings.
    pub rings: u64,
    /// Where the client's arena begins.
    pub client_arena: u64,
    /// Where the runtime's arena begins and the client's ends.
    pub runtime_arena: u64,
}

impl Layout {
    /// The layout of a segment of `size` bytes with the default share. The size is clamped to the
    /// limits and rounded up to whole chunks.
    pub fn of(size: u64) -> Layout {
        Layout::divided(size, DEFAULT_SHARE)
    }

    /// The layout of a segment of `size` bytes; the runtime gets `share` percent of its arenas. The
    /// size is clamped to the limits and rounded up to whole chunks, the share clamped to
    /// [`SHARES`].
    pub fn divided(size: u64, share: u64) -> Layout {
        let size = size.clamp(MIN_SEGMENT, MAX_SEGMENT).next_multiple_of(CHUNK);
        let rings = (size / BYTES_PER_RING).clamp(LEAST_RINGS, MOST_RINGS);
        let client_arena = (RINGS_AT + rings * ring_bytes(RING_SLOTS)).next_multiple_of(CHUNK);
        let chunks = (size - client_arena) / CHUNK;
        let clients = 100 - share.clamp(*SHARES.start(), *SHARES.end());
        let clients = (chunks * clients / 100).clamp(1, chunks - 1);
        Layout { size, rings, client_arena, runtime_arena: client_arena + clients * CHUNK }
    }

    /// The runtime's share of the arenas with which this layout was made, in percent, or another one that
    /// makes the same.
    pub fn share(&self) -> u64 {
        let mut shares = SHARES;
        let same = |share: &u64| Layout::divided(self.size, *share) == *self;
        shares.find(same).expect("a layout is made with a share")
    }

    /// The offset of a ring's header; its slots follow the header.
    pub fn ring(&self, index: u64) -> u64 {
        assert!(index < self.rings);
        RINGS_AT + index * ring_bytes(RING_SLOTS)
    }
}

/// The offset that a shared pointer refers to in the session's first segment; `None` for another
/// segment.
#[inline]
pub fn offset_of(shm: chi_shm_ptr) -> Option<u64> {
    (shm >> chimaera_abi::CHI_SHM_OFFSET_BITS == 0).then_some(shm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_has_its_share() {
        let part = |share| {
            let layout = Layout::divided(1 << 30, share);
            (layout.size - layout.runtime_arena) * 100 / (layout.size - layout.client_arena)
        };
        assert_eq!([10, 50, 75, 90].map(part), [10, 50, 75, 90]);
        assert_eq!(Layout::of(1 << 30), Layout::divided(1 << 30, 50));
        let rings = |size| Layout::of(size).rings;
        assert_eq!([0, DEFAULT_SEGMENT, 1 << 30].map(rings), [64, 512, 1024]);
    }

    #[test]
    fn parts_are_whole_chunks_in_order() {
        for size in [0, 1, MIN_SEGMENT, DEFAULT_SEGMENT, DEFAULT_SEGMENT + 1, u64::MAX] {
            for share in [0, 10, 50, 90, u64::MAX] {
                let layout = Layout::divided(size, share);
                assert!(
                    layout.ring(layout.rings - 1) + ring_bytes(RING_SLOTS) <= layout.client_arena
                );
                assert!(
                    layout.client_arena < layout.runtime_arena
                        && layout.runtime_arena < layout.size
                );
                assert_eq!(layout.client_arena % CHUNK + layout.runtime_arena % CHUNK, 0);
                assert_eq!(Layout::divided(layout.size, share), layout);
                assert_eq!(Layout::divided(layout.size, layout.share()), layout);
                // Rings take little of any segment.
                assert!(layout.client_arena <= (layout.size / 16).max(MIN_SEGMENT / 4));
            }
        }
    }
}
