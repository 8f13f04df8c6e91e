//! An allocator for part of a segment, with its metadata in private memory.
//!
//! The part is divided into chunks of 64 KiB. A chunk either holds blocks of one size class (a
//! power of two from 64 bytes to 32 KiB), or is part of a run of chunks that forms one larger
//! block. A block may be linked to another one, its owner, and is freed with it: this is how a
//! task's strings and vectors are freed with the task.

use std::collections::BTreeMap;

/// Bytes in a chunk.
pub const CHUNK: u64 = 64 * 1024;
/// The unit of allocation and the alignment of every block, in bytes.
pub const UNIT: u64 = 64;

const CLASSES: usize = 10;
const NONE: u32 = u32::MAX;

/// Why an allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The arena is full now.
    Full,
    /// Larger than the arena: it could never succeed.
    TooLarge,
}

/// The metadata of a block.
#[derive(Clone, Copy)]
struct Block {
    /// For a free block, the chunk's next free block; for one in use, the next block of the owner's
    /// chain, in units.
    next: u32,
    state: State,
}

/// What a chunk is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Data,
    Task,
}

enum Chunk {
    Free,
    /// Blocks of one class.
    Small {
        class: u8,
        used: u32,
        first_free: u32,
        blocks: Box<[Block]>,
    },
    /// The first chunk of a block of `chunks` chunks.
    Large {
        chunks: u32,
        next: u32,
        state: State,
    },
    /// A later chunk of a large block.
    Inner,
}

impl Block {
    fn in_use(self) -> bool {
        self.state != State::Free
    }
}

/// The allocator. Offsets are relative to the segment.
pub struct Arena {
    start: u64,
    chunks: Vec<Chunk>,
    /// Runs of free chunks: first chunk and length.
    runs: BTreeMap<u32, u32>,
    /// By class, chunks that have a free block.
    partial: [Vec<u32>; CLASSES],
    /// Blocks in use.
    live: u64,
    used_bytes: u64,
    /// Chunks before this one have been used.
    touched: u32,
}

fn class_of(size: u64) -> usize {
    let units = size.div_ceil(UNIT).max(1);
    (64 - (units - 1).leading_zeros()) as usize
}

fn class_bytes(class: usize) -> u64 {
    UNIT << class
}

impl Arena {
    /// Makes an allocator for `len` bytes from `start`, which must be a multiple of `CHUNK`. Only
    /// whole chunks are used.
    pub fn new(start: u64, len: u64) -> Arena {
        assert_eq!(start % CHUNK, 0, "an arena starts at a chunk");
        let count = u32::try_from(len / CHUNK).expect("an arena is below 256 TiB");
        let mut runs = BTreeMap::new();
        if count > 0 {
            runs.insert(0, count);
        }
        Arena {
            start,
            chunks: (0..count).map(|_| Chunk::Free).collect(),
            runs,
            partial: Default::default(),
            live: 0,
            used_bytes: 0,
            touched: 0,
        }
    }

    /// Makes the allocator of an arena whose blocks in use are known: offsets, and the bytes that they
    /// hold. `None` if no allocator can have allocated them.
    ///
    /// ```
    /// use chimaera_ipc::arena::{Arena, CHUNK};
    /// let mut arena = Arena::new(0, 16 * CHUNK);
    /// let (block, _) = arena.alloc(1000).unwrap();
    /// let mut again = Arena::with_blocks(0, 16 * CHUNK, arena.blocks()).unwrap();
    /// assert!(again.free(block) && again.live() == 0);
    /// ```
    pub fn with_blocks(
        start: u64,
        len: u64,
        blocks: impl IntoIterator<Item = (u64, u64)>,
    ) -> Option<Arena> {
        let mut arena = Arena::new(start, len);
        // By chunk, the class and the numbers of the blocks in it.
        let mut small: BTreeMap<u32, (usize, Vec<u32>)> = BTreeMap::new();
        for (offset, bytes) in blocks {
            let (chunk, inside) = arena.locate(offset)?;
            if bytes >= CHUNK {
                let chunks = u32::try_from(bytes / CHUNK).ok()?;
                if inside != 0 || bytes % CHUNK != 0 {
                    return None;
                }
                arena.claim_run(chunk as u32, chunks)?;
                arena.chunks[chunk] = Chunk::Large { chunks, next: NONE, state: State::Data };
                for inner in &mut arena.chunks[chunk + 1..chunk + chunks as usize] {
                    *inner = Chunk::Inner;
                }
            } else {
                let class = class_of(bytes);
                if class >= CLASSES || class_bytes(class) != bytes || inside % bytes != 0 {
                    return None;
                }
                let (of, numbers) = small.entry(chunk as u32).or_insert((class, Vec::new()));
                if *of != class {
                    return None;
                }
                numbers.push((inside / bytes) as u32);
            }
            arena.live += 1;
            arena.used_bytes += bytes;
        }
        for (chunk, (class, numbers)) in small {
            arena.claim_run(chunk, 1)?;
            let count = CHUNK / class_bytes(class);
            let free = Block { next: NONE, state: State::Free };
            let mut blocks: Box<[Block]> = (0..count).map(|_| free).collect();
            for &number in &numbers {
                let block = &mut blocks[number as usize];
                if block.in_use() {
                    return None;
                }
                block.state = State::Data;
            }
            let mut first_free = NONE;
            let numbered = blocks.iter_mut().zip(0..count as u32).rev();
            for (block, number) in numbered.filter(|(block, _)| !block.in_use()) {
                block.next = std::mem::replace(&mut first_free, number);
            }
            if first_free != NONE {
                arena.partial[class].push(chunk);
            }
            let used = numbers.len() as u32;
            arena.chunks[chunk as usize] =
                Chunk::Small { class: class as u8, used, first_free, blocks };
        }
        Some(arena)
    }

    /// The blocks in use: their offsets, and the bytes that they hold.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.chunks.iter().zip(0..).flat_map(|(chunk, number)| {
            let start = self.start + number * CHUNK;
            let (bytes, blocks, large) = match chunk {
                Chunk::Small { class, blocks, .. } => {
                    (class_bytes(usize::from(*class)), &**blocks, None)
                }
                Chunk::Large { chunks, .. } => {
                    (CHUNK, &[][..], Some((start, u64::from(*chunks) * CHUNK)))
                }
                Chunk::Free | Chunk::Inner => (CHUNK, &[][..], None),
            };
            let small = blocks.iter().zip(0..).filter(|(block, _)| block.in_use());
            small.map(move |(_, index)| (start + index * bytes, bytes)).chain(large)
        })
    }

    /// Takes this run out of the free ones. `None` if it is not free.
    fn claim_run(&mut self, first: u32, len: u32) -> Option<()> {
        let (&start, &free) = self.runs.range(..=first).next_back()?;
        let (end, free_end) = (first.checked_add(len)?, start + free);
        if end > free_end {
            return None;
        }
        self.runs.remove(&start);
        if start < first {
            self.runs.insert(start, first - start);
        }
        if end < free_end {
            self.runs.insert(end, free_end - end);
        }
        self.touched = self.touched.max(end);
        Some(())
    }

    /// The private memory that an arena of `len` bytes takes before anything is allocated.
    pub fn metadata_bytes(len: u64) -> u64 {
        len / CHUNK * size_of::<Chunk>() as u64
    }

    /// How many bytes from the start have ever been part of a block, and so may have memory.
    pub fn touched(&self) -> u64 {
        u64::from(self.touched) * CHUNK
    }

    /// Records that the arena beyond its first `bytes`, which has no block in use, has no memory any
    /// more.
    pub fn forget_beyond(&mut self, bytes: u64) {
        // Blocks of an empty chunk there would be used again without being counted.
        self.drop_empty_chunks();
        self.touched = self.touched.min(bytes.div_ceil(CHUNK) as u32);
    }

    /// The runs of chunks without a block in use: their offsets and lengths in bytes.
    pub fn free_runs(&mut self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.drop_empty_chunks();
        let runs = self.runs.iter();
        runs.map(|(&first, &len)| (self.start + u64::from(first) * CHUNK, u64::from(len) * CHUNK))
    }

    /// The number of blocks in use.
    pub fn live(&self) -> u64 {
        self.live
    }

    /// The number of bytes in use, rounded up to the sizes of the blocks.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Allocates `size` bytes, at least one, aligned to `UNIT`, or to 4096 from a size of 4096
    /// bytes up, which suits direct I/O. Returns the block's offset in the segment and the bytes
    /// that it holds.
    #[inline]
    pub fn alloc(&mut self, size: u64) -> Result<(u64, u64), Failed> {
        self.take(size, State::Data)
    }

    /// Like `alloc`, for a task: see [`Arena::tasks`].
    #[inline]
    pub fn alloc_task(&mut self, size: u64) -> Result<(u64, u64), Failed> {
        self.take(size, State::Task)
    }

    fn take(&mut self, size: u64, state: State) -> Result<(u64, u64), Failed> {
        let class = class_of(size);
        if class < CLASSES {
            return self.take_small(class, state);
        }
        let wanted = size.div_ceil(CHUNK);
        if wanted > self.chunks.len() as u64 {
            return Err(Failed::TooLarge);
        }
        let wanted = wanted as u32;
        let first = self.take_run(wanted).ok_or(Failed::Full)?;
        self.chunks[first as usize] = Chunk::Large { chunks: wanted, next: NONE, state };
        for chunk in &mut self.chunks[first as usize + 1..(first + wanted) as usize] {
            *chunk = Chunk::Inner;
        }
        let bytes = u64::from(wanted) * CHUNK;
        self.live += 1;
        self.used_bytes += bytes;
        Ok((self.start + u64::from(first) * CHUNK, bytes))
    }

    fn take_small(&mut self, class: usize, state: State) -> Result<(u64, u64), Failed> {
        let chunk = match self.partial[class].last() {
            Some(&chunk) => chunk,
            None => {
                let chunk = self.take_run(1).ok_or(Failed::Full)?;
                let count = (CHUNK / class_bytes(class)) as u32;
                let blocks = (0..count)
                    .map(|i| if i + 1 < count { i + 1 } else { NONE })
                    .map(|next| Block { next, state: State::Free })
                    .collect();
                self.chunks[chunk as usize] =
                    Chunk::Small { class: class as u8, used: 0, first_free: 0, blocks };
                self.partial[class].push(chunk);
                chunk
            }
        };
        let Chunk::Small { used, first_free, blocks, .. } = &mut self.chunks[chunk as usize] else {
            unreachable!("a partial chunk is a small one");
        };
        let index = *first_free;
        let block = &mut blocks[index as usize];
        *first_free = block.next;
        *block = Block { next: NONE, state };
        *used += 1;
        if *first_free == NONE {
            self.partial[class].pop();
        }
        self.live += 1;
        self.used_bytes += class_bytes(class);
        let offset = self.start + u64::from(chunk) * CHUNK + u64::from(index) * class_bytes(class);
        Ok((offset, class_bytes(class)))
    }

    /// Links `block` to `owner`, so that it is freed with it. False when one of them is not a block
    /// in use.
    #[must_use]
    pub fn link(&mut self, owner: u64, block: u64) -> bool {
        let Some(first) = self.next_mut(owner).map(|next| *next) else { return false };
        let Some(unit) = self.unit(block) else { return false };
        let Some(next) = self.next_mut(block) else { return false };
        *next = first;
        *self.next_mut(owner).expect("the owner was found above") = unit;
        true
    }

    /// Frees a block and everything that is linked to it. False when it is not a block in use.
    #[inline]
    #[must_use]
    pub fn free(&mut self, offset: u64) -> bool {
        let Some(mut next) = self.free_one(offset) else { return false };
        while next != NONE {
            next = self.free_one(self.start + u64::from(next) * UNIT).unwrap_or(NONE);
        }
        true
    }

    /// The offsets of all blocks that were allocated as tasks and are in use.
    pub fn tasks(&self) -> impl Iterator<Item = u64> + '_ {
        self.chunks.iter().zip(0..).flat_map(|(chunk, number)| {
            let start = self.start + number * CHUNK;
            let (bytes, blocks) = match chunk {
                Chunk::Small { class, blocks, .. } => (class_bytes(usize::from(*class)), &**blocks),
                _ => (CHUNK, &[][..]),
            };
            let small = blocks.iter().zip(0..);
            let small = small.filter(|(block, _)| block.state == State::Task);
            let large = matches!(chunk, Chunk::Large { state: State::Task, .. }).then_some(start);
            small.map(move |(_, index)| start + index * bytes).chain(large)
        })
    }

    /// The bytes that a block in use holds.
    pub fn size_of(&self, offset: u64) -> Option<u64> {
        let (chunk, inside) = self.locate(offset)?;
        match &self.chunks[chunk] {
            Chunk::Small { class, blocks, .. } => {
                let bytes = class_bytes(usize::from(*class));
                (inside % bytes == 0 && blocks[(inside / bytes) as usize].in_use()).then_some(bytes)
            }
            Chunk::Large { chunks, .. } => (inside == 0).then_some(u64::from(*chunks) * CHUNK),
            Chunk::Free | Chunk::Inner => None,
        }
    }

    fn locate(&self, offset: u64) -> Option<(usize, u64)> {
        let relative = offset.checked_sub(self.start)?;
        let chunk = usize::try_from(relative / CHUNK).ok()?;
        (chunk < self.chunks.len()).then_some((chunk, relative % CHUNK))
    }

    fn unit(&self, offset: u64) -> Option<u32> {
        u32::try_from(offset.checked_sub(self.start)? / UNIT).ok()
    }

    fn next_mut(&mut self, offset: u64) -> Option<&mut u32> {
        let (chunk, inside) = self.locate(offset)?;
        match &mut self.chunks[chunk] {
            Chunk::Small { class, blocks, .. } => {
                let bytes = class_bytes(usize::from(*class));
                let block = &mut blocks[(inside / bytes) as usize];
                (inside % bytes == 0 && block.in_use()).then_some(&mut block.next)
            }
            Chunk::Large { next, .. } => (inside == 0).then_some(next),
            Chunk::Free | Chunk::Inner => None,
        }
    }

    /// Frees one block and returns the next of its chain.
    fn free_one(&mut self, offset: u64) -> Option<u32> {
        let (chunk, inside) = self.locate(offset)?;
        let (next, bytes) = match &mut self.chunks[chunk] {
            Chunk::Small { class, used, first_free, blocks } => {
                let class = usize::from(*class);
                let bytes = class_bytes(class);
                let index = (inside / bytes) as u32;
                let block = &mut blocks[index as usize];
                if inside % bytes != 0 || !block.in_use() {
                    return None;
                }
                let next = block.next;
                *block = Block { next: *first_free, state: State::Free };
                if *first_free == NONE {
                    self.partial[class].push(chunk as u32);
                }
                *first_free = index;
                *used -= 1;
                // One empty chunk per class is kept, so that allocating and freeing a single block
                // does not set up a chunk each time.
                if *used == 0 && self.partial[class].len() > 1 {
                    self.partial[class].retain(|&other| other != chunk as u32);
                    self.give_run(chunk as u32, 1);
                }
                (next, bytes)
            }
            Chunk::Large { chunks, next, .. } if inside == 0 => {
                let (chunks, next) = (*chunks, *next);
                self.give_run(chunk as u32, chunks);
                (next, u64::from(chunks) * CHUNK)
            }
            _ => return None,
        };
        self.live -= 1;
        self.used_bytes -= bytes;
        Some(next)
    }

    fn take_run(&mut self, wanted: u32) -> Option<u32> {
        if let Some((&first, &len)) = self.runs.iter().find(|(_, &len)| len >= wanted) {
            self.runs.remove(&first);
            self.touched = self.touched.max(first + wanted);
            if len > wanted {
                self.runs.insert(first + wanted, len - wanted);
            }
            return Some(first);
        }
        if !self.drop_empty_chunks() {
            return None;
        }
        self.take_run(wanted)
    }

    /// Frees the empty chunks that the classes keep. True when there were any.
    fn drop_empty_chunks(&mut self) -> bool {
        let mut found = Vec::new();
        for partial in &mut self.partial {
            let chunks = &self.chunks;
            partial.retain(|&chunk| {
                let empty = matches!(chunks[chunk as usize], Chunk::Small { used: 0, .. });
                if empty {
                    found.push(chunk);
                }
                !empty
            });
        }
        for &chunk in &found {
            self.give_run(chunk, 1);
        }
        !found.is_empty()
    }

    fn give_run(&mut self, first: u32, len: u32) {
        for chunk in &mut self.chunks[first as usize..(first + len) as usize] {
            *chunk = Chunk::Free;
        }
        let (mut first, mut len) = (first, len);
        if let Some((&before, &before_len)) = self.runs.range(..first).next_back() {
            if before + before_len == first {
                self.runs.remove(&before);
                first = before;
                len += before_len;
            }
        }
        if let Some(after_len) = self.runs.remove(&(first + len)) {
            len += after_len;
        }
        self.runs.insert(first, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_powers_of_two() {
        assert_eq!([1, 64, 65, 128, 129, 32768].map(class_of), [0, 0, 1, 1, 2, 9]);
        assert_eq!(class_of(32769), CLASSES);
    }

    #[test]
    fn an_arena_goes_on_with_the_blocks_of_another() {
        let (start, len) = (CHUNK, 64 * CHUNK);
        let mut arena = Arena::new(start, len);
        let sizes = [1, 64, 100, 4000, 5000, 32 << 10, (32 << 10) + 1, 200_000, 64, 64];
        let mut blocks: Vec<_> = sizes.iter().map(|size| arena.alloc(*size).unwrap()).collect();
        assert!(arena.free(blocks.remove(3).0) && arena.free(blocks.remove(6).0));
        let mut again = Arena::with_blocks(start, len, arena.blocks()).unwrap();
        assert_eq!((again.live(), again.used_bytes()), (arena.live(), arena.used_bytes()));
        assert!(again.blocks().eq(arena.blocks()));
        // What is allocated now overlaps nothing that is in use.
        let mut all = blocks.clone();
        while let Ok(block) = again.alloc(3000) {
            all.push(block);
        }
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        assert!(all.iter().all(|(block, _)| again.free(*block)));
        assert_eq!((again.live(), again.used_bytes()), (0, 0));
        assert_eq!(again.alloc(len).unwrap(), (start, len));
    }

    #[test]
    fn blocks_that_no_arena_has_make_none() {
        let with = |blocks: &[(u64, u64)]| {
            Arena::with_blocks(CHUNK, 8 * CHUNK, blocks.iter().copied()).is_some()
        };
        assert!(with(&[(CHUNK, 64), (CHUNK + 64, 64), (2 * CHUNK, 3 * CHUNK)]));
        assert!(!with(&[(0, 64)]), "before the arena");
        assert!(!with(&[(9 * CHUNK, 64)]), "behind it");
        assert!(!with(&[(8 * CHUNK, 2 * CHUNK)]), "it ends behind it");
        assert!(!with(&[(CHUNK, 64), (CHUNK, 64)]), "twice");
        assert!(!with(&[(CHUNK, 64), (CHUNK + 128, 128)]), "two classes in a chunk");
        assert!(!with(&[(CHUNK + 32, 64)]), "not aligned");
        assert!(!with(&[(CHUNK, 100)]), "no size of a class");
        assert!(!with(&[(CHUNK, 2 * CHUNK), (2 * CHUNK, 64)]), "one in the other");
        assert!(!with(&[(CHUNK, CHUNK + 1)]), "no whole chunks");
        assert!(!with(&[(CHUNK, u64::MAX / CHUNK * CHUNK)]), "too large");
        assert!(!with(&[(CHUNK, 0)]), "empty");
    }

    #[test]
    fn a_linked_block_goes_with_its_owner() {
        let mut arena = Arena::new(CHUNK, 16 * CHUNK);
        let (owner, _) = arena.alloc(100).unwrap();
        for size in [10, 1000, 200_000, 64] {
            let (block, held) = arena.alloc(size).unwrap();
            assert!(held >= size);
            assert!(arena.link(owner, block));
        }
        assert_eq!(arena.live(), 5);
        assert!(arena.free(owner));
        assert_eq!((arena.live(), arena.used_bytes()), (0, 0));
        assert!(!arena.free(owner), "a block is freed once");
    }

    #[test]
    fn tasks_are_told_from_other_blocks() {
        let mut arena = Arena::new(CHUNK, 16 * CHUNK);
        let sizes = [64, 200, 64, 100_000];
        let mut tasks = Vec::new();
        for size in sizes {
            arena.alloc(size).unwrap();
            tasks.push(arena.alloc_task(size).unwrap().0);
        }
        assert!(arena.free(tasks.remove(1)));
        let mut found: Vec<u64> = arena.tasks().collect();
        tasks.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, tasks);
    }

    #[test]
    fn what_has_been_touched_is_known() {
        let mut arena = Arena::new(CHUNK, 16 * CHUNK);
        assert_eq!(arena.touched(), 0);
        let small = arena.alloc(64).unwrap().0;
        let large = arena.alloc(3 * CHUNK).unwrap().0;
        assert_eq!(arena.touched(), 4 * CHUNK);
        assert!(arena.free(large) && arena.free(small));
        assert_eq!(arena.touched(), 4 * CHUNK, "it has memory still");
        arena.forget_beyond(0);
        assert_eq!(arena.touched(), 0);
        arena.alloc(64).unwrap();
        assert_eq!(arena.touched(), CHUNK);
    }

    #[test]
    fn a_full_arena_says_so_and_recovers() {
        let mut arena = Arena::new(0, 4 * CHUNK);
        assert_eq!(arena.alloc(5 * CHUNK), Err(Failed::TooLarge));
        let (whole, _) = arena.alloc(4 * CHUNK).unwrap();
        assert_eq!(arena.alloc(1), Err(Failed::Full));
        assert!(arena.free(whole));
        let small: Vec<u64> = (0..4096).map(|_| arena.alloc(64).unwrap().0).collect();
        assert_eq!(arena.alloc(1), Err(Failed::Full));
        for offset in small {
            assert!(arena.free(offset));
        }
        assert!(arena.alloc(4 * CHUNK).is_ok(), "empty chunks are released when space is short");
    }

    #[test]
    fn blocks_never_overlap_and_all_room_comes_back() {
        let mut arena = Arena::new(2 * CHUNK, 64 * CHUNK);
        let mut blocks: Vec<(u64, u64)> = Vec::new();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            // xorshift64, Marsaglia 2003.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..20_000 {
            if random() % 3 == 0 && !blocks.is_empty() {
                let (offset, _) = blocks.swap_remove((random() % blocks.len() as u64) as usize);
                assert!(arena.free(offset));
                continue;
            }
            let size = 1 + random() % (3 * CHUNK);
            if let Ok(block) = arena.alloc(size) {
                let align = if size < 4096 { UNIT } else { 4096 };
                assert!(block.0 % align == 0 && arena.size_of(block.0) == Some(block.1));
                blocks.push(block);
            }
        }
        blocks.sort_unstable();
        assert!(blocks.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
        for (offset, _) in blocks {
            assert!(arena.free(offset));
        }
        assert!(arena.alloc(64 * CHUNK).is_ok());
    }

    #[test]
    fn offsets_that_are_no_blocks_are_refused() {
        let mut arena = Arena::new(CHUNK, 4 * CHUNK);
        let (block, _) = arena.alloc(128).unwrap();
        for wrong in [0, 1, block + 64, block + 128, CHUNK + 4 * CHUNK, u64::MAX] {
            assert!(!arena.free(wrong), "{wrong}");
            assert_eq!(arena.size_of(wrong), None);
        }
        assert!(!arena.link(block, block + 1) && arena.free(block));
    }
}
