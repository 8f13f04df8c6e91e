//! A segment of published memory, and the blocks in it.

use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use chimaera_abi::CHI_NO_SPACE;
use chimaera_ipc::arena::{Arena, CHUNK};
use chimaera_ipc::published::PublishedSegment;

use crate::failure::Failure;
use crate::sys::{limit_of, lock, Budget, Charge, Exhausted, Use};

/// How many descriptors are left for others.
const KEPT_DESCRIPTORS: u64 = 128;
/// Up to this much memory that no block uses is kept for later blocks, or as much as blocks use if that is more:
/// memory that is given back costs time when it is needed again.
const KEPT_IDLE: u64 = 16 << 20;

/// Why a segment has no room for a block.
#[derive(Debug)]
pub(super) enum NoRoom {
    /// The segment is full, or too small.
    Segment,
    /// There is no memory.
    Memory(String),
}

impl From<Exhausted> for NoRoom {
    fn from(why: Exhausted) -> NoRoom {
        NoRoom::Memory(why.to_string())
    }
}

/// What is in a segment.
struct Books {
    arena: Arena,
    /// Which chunks have memory.
    resident: Box<[bool]>,
    /// For the chunks that have memory, and for the books.
    charge: Charge,
    fixed: u64,
    /// The memory that no block used when some was given back last, and that could not be: it is between blocks.
    fragmented: u64,
    /// What blocks used then. Once it is half as much, chunks may have become free.
    used_then: u64,
    /// No further blocks are expected, so no memory is kept for them.
    is_retired: bool,
}

/// A segment of published memory.
pub(crate) struct Segment {
    memory: PublishedSegment,
    books: Mutex<Books>,
}

/// A block of published memory, which is freed when the last reference to it is dropped.
pub(crate) struct Block {
    segment: Arc<Segment>,
    offset: u64,
    size: u64,
}

impl Books {
    fn chunks(offset: u64, size: u64) -> Range<usize> {
        (offset / CHUNK) as usize..(offset + size).div_ceil(CHUNK) as usize
    }

    /// The memory that no block uses.
    fn idle(&self) -> u64 {
        (self.charge.bytes() - self.fixed).saturating_sub(self.arena.used_bytes())
    }

    /// Whether there is so much of it that some should be given back.
    fn has_much_idle(&self) -> bool {
        let used = self.arena.used_bytes();
        let floor = if used <= self.used_then / 2 { 0 } else { self.fragmented };
        let more = self.idle().saturating_sub(floor);
        match self.is_retired {
            true => more >= CHUNK,
            false => more > used.max(KEPT_IDLE),
        }
    }

    /// Gives a block's chunks memory, as far as they have none.
    #[inline]
    fn commit(&mut self, memory: &PublishedSegment, offset: u64, size: u64) -> Result<(), NoRoom> {
        let chunks = Books::chunks(offset, size);
        match self.resident[chunks.clone()].contains(&false) {
            true => self.commit_missing(memory, chunks),
            false => Ok(()),
        }
    }

    #[cold]
    fn commit_missing(
        &mut self,
        memory: &PublishedSegment,
        chunks: Range<usize>,
    ) -> Result<(), NoRoom> {
        let missing = self.resident[chunks.clone()].iter().filter(|has| !**has).count() as u64;
        let (bytes, budget) = (missing * CHUNK, self.charge.budget());
        // Others must have room, too.
        if budget.used(Use::Published) + bytes > budget.most() / 2 {
            return Err(budget.exhausted(Use::Published).into());
        }
        self.charge.grow(bytes)?;
        let mut rest = chunks.clone();
        let runs = std::iter::from_fn(|| without_memory(&self.resident, &mut rest));
        let runs: Vec<_> = runs.collect();
        for run in &runs {
            let (start, len) = bytes_of(run);
            if let Err(error) = memory.commit(start, len) {
                for (start, len) in runs.iter().map(bytes_of) {
                    // If it cannot be given back, it is there for the next block.
                    let _ = memory.give_back(start, len);
                }
                self.charge.shrink_to(self.charge.bytes() - bytes);
                return Err(NoRoom::Memory(format!("no memory to publish: {error}")));
            }
        }
        self.resident[chunks].fill(true);
        Ok(())
    }

    /// Gives the memory of chunks without blocks back, whoever has made it.
    #[cold]
    fn trim(&mut self, memory: &PublishedSegment) {
        let Books { arena, resident, charge, .. } = self;
        for (start, len) in arena.free_runs() {
            // This fails where memory cannot be given back; then it stays charged.
            if memory.give_back(start, len).is_ok() {
                let chunks = &mut resident[Books::chunks(start, len)];
                let had = chunks.iter().filter(|has| **has).count() as u64;
                chunks.fill(false);
                charge.shrink_to(charge.bytes() - had * CHUNK);
            }
        }
        (self.fragmented, self.used_then) = (self.idle(), self.arena.used_bytes());
    }
}

/// The next chunks of a range, one after the other, that have no memory; the range goes on behind them.
fn without_memory(resident: &[bool], chunks: &mut Range<usize>) -> Option<Range<usize>> {
    let start = chunks.clone().find(|&chunk| !resident[chunk])?;
    let end = (start..chunks.end).find(|&chunk| resident[chunk]).unwrap_or(chunks.end);
    chunks.start = end;
    Some(start..end)
}

fn bytes_of(chunks: &Range<usize>) -> (u64, u64) {
    (chunks.start as u64 * CHUNK, chunks.len() as u64 * CHUNK)
}

impl Segment {
    /// Makes a segment of `size` bytes, a multiple of a chunk, without memory.
    pub(super) fn new(budget: &'static Budget, size: u64) -> Result<Arc<Segment>, NoRoom> {
        let chunks = (size / CHUNK) as usize;
        let fixed = Arena::metadata_bytes(size) + chunks as u64;
        let charge = budget.charge(Use::Published, fixed)?;
        let failed = |error| NoRoom::Memory(format!("cannot publish memory: {error}"));
        let memory = PublishedSegment::create(size).map_err(failed)?;
        let newest = memory.descriptor().as_raw_fd() as u64;
        if limit_of(libc::RLIMIT_NOFILE).is_some_and(|most| newest + KEPT_DESCRIPTORS >= most) {
            return Err(NoRoom::Memory(
                "too few descriptors are left to publish memory".to_owned(),
            ));
        }
        let books = Books {
            arena: Arena::new(0, size),
            resident: vec![false; chunks].into(),
            charge,
            fixed,
            fragmented: 0,
            used_then: 0,
            is_retired: false,
        };
        Ok(Arc::new(Segment { memory, books: Mutex::new(books) }))
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.memory.size()
    }

    /// A descriptor for a client, which can only read from it.
    pub(crate) fn reader(&self) -> std::io::Result<OwnedFd> {
        self.memory.reader()
    }

    /// The address of `len` bytes at an untrusted offset; `None` unless all of them are inside and have memory.
    pub(crate) fn find(&self, offset: u64, len: u64) -> Option<*const u8> {
        let room = self.size().checked_sub(offset)?;
        if len > room || lock(&self.books).resident[Books::chunks(offset, len)].contains(&false) {
            return None;
        }
        Some(self.memory.base().as_ptr().cast_const().wrapping_add(offset as usize))
    }

    /// Whether there is no block in it.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.books).arena.live() == 0
    }

    /// The memory that no block uses, in bytes.
    pub(super) fn idle(&self) -> u64 {
        lock(&self.books).idle()
    }

    /// Allocates a block of at least `size` bytes.
    pub(super) fn alloc(self: &Arc<Self>, size: u64) -> Result<Block, NoRoom> {
        let books = &mut *lock(&self.books);
        let (offset, size) = books.arena.alloc(size).map_err(|_| NoRoom::Segment)?;
        if let Err(why) = books.commit(&self.memory, offset, size) {
            let freed = books.arena.free(offset);
            debug_assert!(freed, "it was allocated just now");
            return Err(why);
        }
        books.is_retired = false;
        Ok(Block { segment: self.clone(), offset, size })
    }

    fn free(&self, offset: u64) {
        let books = &mut *lock(&self.books);
        let freed = books.arena.free(offset);
        debug_assert!(freed, "a block is freed once");
        if books.has_much_idle() {
            books.trim(&self.memory);
        }
    }

    /// Gives memory that no block uses back to the operating system.
    pub(super) fn trim(&self) {
        lock(&self.books).trim(&self.memory);
    }

    /// Gives memory back that clients have made by reading where nothing is.
    pub(crate) fn trim_foreign(&self) {
        let books = &mut *lock(&self.books);
        let own = books.charge.bytes() - books.fixed;
        if self.memory.resident().is_ok_and(|all| all > own) {
            books.trim(&self.memory);
        }
    }

    /// As `trim`; from now on it is given back as soon as a block is freed, until one is allocated.
    pub(super) fn retire(&self) {
        let books = &mut *lock(&self.books);
        books.is_retired = true;
        books.trim(&self.memory);
    }
}

impl Block {
    /// Its segment.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Where it is in the segment, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Its bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Its address in this process.
    pub(crate) fn data(&self) -> NonNull<u8> {
        // SAFETY: a block is inside its segment.
        unsafe { self.segment.memory.base().add(self.offset as usize) }
    }

    /// Where in the block an address is, if it and `len` bytes from there are in it.
    pub(crate) fn find(&self, address: *const u8, len: u64) -> Option<u64> {
        let at = (address as u64).wrapping_sub(self.data().as_ptr() as u64);
        (at < self.size && len <= self.size - at).then_some(at)
    }
}

/// Clients may have mapped it for longer, but there is nothing left that they could read.
impl Drop for Segment {
    fn drop(&mut self) {
        let _ = self.memory.give_back(0, self.size());
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.segment.free(self.offset);
    }
}

impl From<NoRoom> for Failure {
    fn from(why: NoRoom) -> Failure {
        let message = match why {
            NoRoom::Segment => "the segment of published memory is full".to_owned(),
            NoRoom::Memory(why) => why,
        };
        Failure::new(CHI_NO_SPACE, message)
    }
}
