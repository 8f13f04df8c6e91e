//! The leases of a session on published memory: results that its client reads where a container has written them.
//!
//! A segment is offered to the client when one of its tasks has a result there for the first time; that result, and those
//! until the client has mapped the segment, are copied. Each lease belongs to a hold, and ends with it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use chimaera_abi::{
    chi_shm_ptr, CHI_INVALID, CHI_IO, CHI_SHM_OFFSET_BITS, CHI_SHM_PUBLISHED,
    CHI_SHM_PUBLISHED_SHIFT,
};

use super::parked;
use crate::failure::Failure;
use crate::published::{Block, Segment};
use crate::sys::lock;

/// How many segments a client maps.
const MOST_SEGMENTS: usize = 1024;
/// The numbers that there are.
const NUMBERS: u64 = 1 << (CHI_SHM_PUBLISHED_SHIFT - CHI_SHM_OFFSET_BITS);
/// Results smaller than this are copied: a lease costs as much.
const LEAST_LEASED: u64 = 1024;

/// A segment that the client was sent.
struct Sent {
    segment: Weak<Segment>,
    /// Where it has mapped it; `None` if it could not, or has not yet.
    base: Option<u64>,
}

#[derive(Default)]
struct Books {
    /// The number of the first: those before it are of the processes before this one.
    first: u64,
    /// By number.
    sent: Vec<Sent>,
    /// Those that the client is to map.
    offered: VecDeque<Weak<Segment>>,
    /// The number of the one that it was sent last, and about which it has said nothing yet.
    awaited: Option<usize>,
    /// It gets no more, because it could not map one, or because one could not be sent.
    refuses: bool,
}

/// The leases of a session.
pub(crate) struct Leases {
    /// The client's process.
    pid: i32,
    books: Mutex<Books>,
    /// The bytes of the blocks on lease.
    bytes: AtomicU64,
}

/// A lease: the block stays as it is until this is dropped.
pub(crate) struct Lease {
    block: Arc<Block>,
}

/// Where a client finds bytes of published memory.
pub(crate) enum Place {
    Mapped {
        shm: chi_shm_ptr,
        /// The address in the client's process.
        address: u64,
    },
    /// The bytes have to be copied. With `is_offered`, the client could map their segment.
    NotMapped { is_offered: bool },
}

impl Lease {
    pub(super) fn bytes(&self) -> u64 {
        self.block.size()
    }
}

impl Books {
    fn number_of(&self, segment: &Arc<Segment>) -> Option<usize> {
        // The address is that segment's as long as there is a weak reference to it.
        self.sent.iter().position(|sent| sent.segment.as_ptr() == Arc::as_ptr(segment))
    }

    /// Whether the client is to map the segment.
    #[cold]
    fn offer(&mut self, segment: &Arc<Segment>) -> bool {
        if self.refuses {
            return false;
        }
        if self.offered.iter().any(|offered| offered.as_ptr() == Arc::as_ptr(segment)) {
            return true;
        }
        self.offered.retain(|offered| offered.strong_count() > 0);
        let in_use = self.sent.iter().filter(|sent| sent.segment.strong_count() > 0).count();
        let has_room = in_use + self.offered.len() < MOST_SEGMENTS;
        if has_room {
            self.offered.push_back(Arc::downgrade(segment));
        }
        has_room
    }

    /// Has the client map a segment. Returns its number.
    fn send(&mut self, segment: Weak<Segment>) -> usize {
        let sent = Sent { segment, base: None };
        // The number of one that is gone, with everything that was on lease in it, is free.
        match self.sent.iter().position(|sent| sent.segment.strong_count() == 0) {
            Some(number) => {
                self.sent[number] = sent;
                number
            }
            None => {
                self.sent.push(sent);
                self.sent.len() - 1
            }
        }
    }
}

impl Leases {
    /// For the client in this process; 0 if it cannot be seen: then it gets none, because nothing would tell that it is
    /// gone.
    pub(crate) fn new(pid: i32) -> Leases {
        let books = Books { refuses: pid == 0, ..Books::default() };
        Leases { pid, books: Mutex::new(books), bytes: AtomicU64::new(0) }
    }

    /// How many numbers of segments the client knows.
    pub(crate) fn numbers(&self) -> u64 {
        let books = lock(&self.books);
        books.first + books.sent.len() as u64
    }

    /// The client knows so many numbers from processes before this one, and may have something on lease there.
    pub(crate) fn begin_after(&self, numbers: u64) {
        let books = &mut *lock(&self.books);
        books.first = numbers.min(NUMBERS);
        // After thousands of them there are none left.
        books.refuses |= numbers + MOST_SEGMENTS as u64 > NUMBERS;
    }

    /// Whether there are any leases.
    pub(crate) fn any(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > 0
    }

    /// Where the client finds `len` bytes at `offset` of a segment, if it has mapped that.
    pub(crate) fn place(&self, segment: &Arc<Segment>, offset: u64, len: u64) -> Place {
        let not = |is_offered| Place::NotMapped { is_offered };
        if len < LEAST_LEASED {
            return not(false);
        }
        let mut books = lock(&self.books);
        let Some(number) = books.number_of(segment) else { return not(books.offer(segment)) };
        match books.sent[number].base {
            None => not(books.awaited == Some(number)),
            Some(base) => Place::Mapped {
                shm: CHI_SHM_PUBLISHED << CHI_SHM_PUBLISHED_SHIFT
                    | (books.first + number as u64) << CHI_SHM_OFFSET_BITS
                    | offset,
                address: base.wrapping_add(offset),
            },
        }
    }

    /// Begins a lease on a block, if the client then has leases on at most `most` bytes, or on this block alone.
    pub(crate) fn begin(&self, block: &Arc<Block>, most: u64) -> Option<Lease> {
        let lease = Lease { block: block.clone() };
        let before = self.bytes.fetch_add(lease.bytes(), Ordering::Relaxed);
        let before = before + parked::bytes_of(self.pid);
        if before > 0 && before + lease.bytes() > most {
            self.bytes.fetch_sub(lease.bytes(), Ordering::Relaxed);
            return None;
        }
        Some(lease)
    }

    /// Ends leases.
    pub(crate) fn end(&self, leases: Vec<Lease>) {
        let bytes: u64 = leases.iter().map(Lease::bytes).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Where the bytes are to which a pointer of the client into published memory refers, with their segment, which has to
    /// be kept as long as they are read. `address` is where the client has them. They need not be on lease: it can read all
    /// of a segment that it has mapped.
    pub(crate) fn find(
        &self,
        shm: chi_shm_ptr,
        address: u64,
        len: u64,
    ) -> Option<(*const u8, Arc<Segment>)> {
        if shm >> CHI_SHM_PUBLISHED_SHIFT != CHI_SHM_PUBLISHED {
            return None;
        }
        let number = (shm >> CHI_SHM_OFFSET_BITS) % NUMBERS;
        let offset = shm & ((1 << CHI_SHM_OFFSET_BITS) - 1);
        let books = lock(&self.books);
        let sent = books.sent.get(number.checked_sub(books.first)? as usize)?;
        if address != sent.base?.wrapping_add(offset) {
            return None;
        }
        let segment = sent.segment.upgrade()?;
        let at = segment.find(offset, len)?;
        Some((at, segment))
    }

    /// What the client is to map next: the number of a segment, its bytes, and a descriptor. `mapped` is where it has mapped
    /// the one that it was sent last, 0 if it could not; without it, that one is sent again.
    ///
    /// # Errors
    /// `CHI_INVALID` for an address that cannot be; `CHI_IO`.
    pub(crate) fn next(&self, mapped: Option<u64>) -> Result<Option<(u64, u64, OwnedFd)>, Failure> {
        let books = &mut *lock(&self.books);
        if let Some(base) = mapped {
            let none = || Failure::new(CHI_INVALID, "no published memory was to be mapped");
            let sent = &mut books.sent[books.awaited.ok_or_else(none)?];
            let size = sent.segment.upgrade().map_or(0, |segment| segment.size());
            if !base.is_multiple_of(4096) || base.checked_add(size).is_none() {
                return Err(Failure::new(CHI_INVALID, "published memory cannot be mapped there"));
            }
            books.awaited = None;
            sent.base = (base != 0).then_some(base);
            books.refuses |= base == 0;
        }
        if books.refuses {
            books.awaited = None;
            books.offered.clear();
        }
        loop {
            let number = match (books.awaited, books.offered.pop_front()) {
                (Some(number), Some(offered)) => {
                    books.offered.push_front(offered);
                    number
                }
                (Some(number), None) => number,
                (None, Some(offered)) => books.send(offered),
                (None, None) => return Ok(None),
            };
            books.awaited = None;
            // It may be gone by now.
            let Some(segment) = books.sent[number].segment.upgrade() else { continue };
            let reader = segment.reader().map_err(|error| {
                books.refuses = true;
                Failure::new(CHI_IO, format!("cannot open published memory for reading: {error}"))
            })?;
            books.awaited = Some(number);
            return Ok(Some((books.first + number as u64, segment.size(), reader)));
        }
    }
}

/// A client may have read all that it has mapped, which takes memory where nothing is.
impl Drop for Leases {
    fn drop(&mut self) {
        let books = self.books.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let segments = books.sent.iter().filter_map(|sent| sent.segment.upgrade());
        segments.for_each(|segment| segment.trim_foreign());
    }
}
