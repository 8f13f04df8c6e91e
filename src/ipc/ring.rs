//! The submission ring: one producer (a client's thread), one consumer (a worker).
//!
//! A slot is one word, published by one store. The word contains the lap in which it was written,
//! so the consumer never writes to a slot, and a half-written slot cannot exist. The consumer's
//! position is private; the copy in the header only tells the producer how much space there is.

use crate::sleep::Sleeper;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::ticks;

/// A request in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Run the task at this offset of the session's segment.
    Submit {
        /// Bytes from the segment's start, a multiple of 64.
        offset: u64,
    },
    /// Free the blocks that the runtime holds under this number.
    Release {
        /// The number that the completion word carried.
        hold: u32,
    },
    /// Cancel the task at this offset of the session's segment.
    Cancel {
        /// Bytes from the segment's start, a multiple of 64.
        offset: u64,
    },
}

const LAP_SHIFT: u32 = 48;
const KIND_SHIFT: u32 = 44;
const PAYLOAD: u64 = (1 << 40) - 1;
const KIND_SUBMIT: u64 = 1;
const KIND_RELEASE: u64 = 2;
const KIND_CANCEL: u64 = 3;

impl Entry {
    fn pack(self) -> u64 {
        match self {
            Entry::Submit { offset } => KIND_SUBMIT << KIND_SHIFT | (offset / 64) & PAYLOAD,
            Entry::Release { hold } => KIND_RELEASE << KIND_SHIFT | u64::from(hold),
            Entry::Cancel { offset } => KIND_CANCEL << KIND_SHIFT | (offset / 64) & PAYLOAD,
        }
    }

    /// `None` for bits that no producer writes.
    fn unpack(bits: u64) -> Option<Entry> {
        let payload = bits & PAYLOAD;
        match (bits >> KIND_SHIFT) & 0xf {
            KIND_SUBMIT => Some(Entry::Submit { offset: payload * 64 }),
            KIND_RELEASE => u32::try_from(payload).ok().map(|hold| Entry::Release { hold }),
            KIND_CANCEL => Some(Entry::Cancel { offset: payload * 64 }),
            _ => None,
        }
    }
}

/// Of so many positions in a row, one is that of a task whose time is measured.
const MEASURED_ONE_IN: u64 = 128;
/// How many of a cache line's words are left for the stamps.
const STAMPS_PER_LINE: usize = 7;
/// The stamp that is for a task that wakes the consumer, or for which that has asked.
const ASKED_STAMP: usize = 2 * STAMPS_PER_LINE - 1;

/// The words that the two sides share besides the slots. Each has its own cache line: `sleeper` is
/// read at every submission and rarely written, `head` the other way round. The producer rarely writes
/// stamps, too, so they have the rest of both lines.
#[repr(C, align(64))]
pub struct Header {
    head: AtomicU64,
    first_stamps: [AtomicU64; STAMPS_PER_LINE],
    sleeper: Sleeper,
    /// Not 0 when the next task is to have a stamp.
    asked: AtomicU32,
    other_stamps: [AtomicU64; STAMPS_PER_LINE],
}

/// When an entry was pushed: the low bits of its position, and the time in ticks without the lowest bits. It is one
/// word, so that it is never a mixture of two. Zeroed memory is an old one.
#[derive(Clone, Copy)]
struct Stamp(u64);

impl Stamp {
    const POSITION: u64 = 0xffff;
    /// By how many bits ticks are coarser in a stamp. On x86-64, 16 ticks are a few nanoseconds, and without these
    /// bits there would be room for a day only; other processors count more slowly.
    const COARSER: u32 = if cfg!(target_arch = "x86_64") { 4 } else { 0 };

    fn new(position: u64, ticks: u64) -> Stamp {
        Stamp(ticks >> Stamp::COARSER << 16 | (position + 1) & Stamp::POSITION)
    }

    fn is_of(self, position: u64) -> bool {
        self.0 & Stamp::POSITION == (position + 1) & Stamp::POSITION
    }

    /// How many ticks before `now` it was made.
    fn age(self, now: u64) -> u64 {
        const TICKS: u64 = u64::MAX >> 16;
        ((now >> Stamp::COARSER).wrapping_sub(self.0 >> 16) & TICKS) << Stamp::COARSER
    }
}

/// The first position from this one on of a task that is measured. Both sides compute it. Which one it is of so many
/// differs from time to time, lest it be always the same of a pattern that repeats.
fn next_measured(from: u64) -> u64 {
    let of_block = |block: u64| {
        // Multiples of the golden ratio are spread evenly: Knuth, The Art of Computer Programming, section 6.4.
        // Not the first of all: those of new clients are no sample of what clients do.
        let which = (block + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        block * MEASURED_ONE_IN + (which >> (64 - MEASURED_ONE_IN.trailing_zeros()))
    };
    let block = from / MEASURED_ONE_IN;
    match of_block(block) {
        position if position >= from => position,
        _ => of_block(block + 1),
    }
}

/// Which of its stamps is that of a measured position. A ring has fewer positions than the stamps last for.
fn stamp_of(position: u64) -> usize {
    (position / MEASURED_ONE_IN) as usize % ASKED_STAMP
}

/// When a task was submitted, if it is measured. One word, for it goes a long way: a time in ticks, whose lowest bit says
/// instead whether the producer was asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted(u64);

impl Submitted {
    /// The task is not measured.
    pub const NOT_MEASURED: Submitted = Submitted(0);
    /// The task is measured, but its producer has not said when.
    pub const UNKNOWN: Submitted = Submitted(2);

    /// At this time, in ticks: no later than now, and otherwise whatever the producer says. `asked`: the task is
    /// measured because the producer was asked, and otherwise because of its position.
    pub fn at(ticks: u64, asked: bool) -> Submitted {
        Submitted(ticks.max(4) & !1 | u64::from(asked))
    }

    /// Whether the task is measured.
    #[inline]
    pub fn is_measured(self) -> bool {
        self != Submitted::NOT_MEASURED
    }

    /// The time in ticks, if it is known.
    #[inline]
    pub fn ticks(self) -> Option<u64> {
        (self.0 > 2).then_some(self.0 & !1)
    }

    /// Whether the task is measured because the producer was asked: it was chosen by the moment, and does not stand
    /// for others.
    #[inline]
    pub fn was_asked(self) -> bool {
        self.0 & 1 != 0
    }
}

/// The ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The memory of a ring.
#[derive(Clone, Copy)]
pub struct RingMemory {
    header: *const Header,
    slots: *const AtomicU64,
    mask: u64,
}

// SAFETY: it consists of addresses; the words at them are atomic.
unsafe impl Send for RingMemory {}

impl RingMemory {
    /// The ring with its header at `header` and `slots` slots, a power of two, from `first` on.
    ///
    /// # Safety
    /// Both must be aligned, and zero at first, and must stay mapped as long as a producer or
    /// consumer made from this lives.
    pub unsafe fn new(header: *const Header, first: *const AtomicU64, slots: u64) -> RingMemory {
        assert!(slots.is_power_of_two() && slots >= 4);
        RingMemory { header, slots: first, mask: slots - 1 }
    }

    /// Where it begins, by which rings can be told apart.
    pub fn address(&self) -> usize {
        self.header.addr()
    }

    fn slots(&self) -> u64 {
        self.mask + 1
    }

    fn header(&self) -> &Header {
        // SAFETY: the caller of `new` guarantees that the header is mapped.
        unsafe { &*self.header }
    }

    fn stamp(&self, index: usize) -> &AtomicU64 {
        let header = self.header();
        match index.checked_sub(STAMPS_PER_LINE) {
            None => &header.first_stamps[index],
            Some(index) => &header.other_stamps[index],
        }
    }

    fn slot(&self, position: u64) -> &AtomicU64 {
        // SAFETY: the index is below the number of slots, which the caller of `new` guarantees to
        // be mapped.
        unsafe { &*self.slots.add((position & self.mask) as usize) }
    }

    /// The lap's tag. The first is 1, so that zeroed memory is not an entry.
    fn lap(&self, position: u64) -> u64 {
        (position / self.slots() + 1) << LAP_SHIFT
    }
}

/// The client's end.
pub struct Producer {
    memory: RingMemory,
    tail: u64,
    head_seen: u64,
    /// How many entries there were when the doorbell was last rung.
    rung_at: u64,
    /// The next position of a task that is measured.
    measured_at: u64,
    /// How many entries there were, with the one that has the stamp that was asked for, when that was made.
    stamped_at: u64,
}

impl Producer {
    /// The producer of a new ring. There must be only one.
    pub fn new(memory: RingMemory) -> Producer {
        // The first is stamped, too: a client that sends few tasks may be asked too late.
        Producer { memory, tail: 0, head_seen: 0, rung_at: 0, measured_at: 0, stamped_at: 0 }
    }

    /// Publishes an entry. Submissions leave a quarter of the ring to other entries, so that memory
    /// can be released and tasks cancelled even when no further task fits.
    #[inline]
    pub fn push(&mut self, entry: Entry) -> Result<(), Full> {
        let slots = self.memory.slots();
        let limit = match entry {
            Entry::Submit { .. } => slots - slots / 4,
            Entry::Release { .. } | Entry::Cancel { .. } => slots,
        };
        if self.tail.wrapping_sub(self.head_seen) >= limit {
            self.head_seen = self.memory.header().head.load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.head_seen) >= limit {
                return Err(Full);
            }
        }
        if self.tail >= self.measured_at || self.memory.header().asked.load(Ordering::Relaxed) != 0
        {
            self.stamp_next(matches!(entry, Entry::Submit { .. }));
        }
        let bits = entry.pack() | self.memory.lap(self.tail);
        self.memory.slot(self.tail).store(bits, Ordering::Release);
        self.tail += 1;
        Ok(())
    }

    /// Says when the next entry is pushed, if it is that of a task.
    #[cold]
    fn stamp_next(&mut self, is_task: bool) {
        let is_measured = self.tail == next_measured(self.tail);
        self.measured_at = next_measured(self.tail + 1);
        match (is_task, is_measured) {
            (false, _) => {}
            (true, true) => self.stamp(self.tail, stamp_of(self.tail)),
            (true, false) => self.stamp_asked(self.tail),
        }
    }

    /// Says when an entry was pushed, unless the stamp is that of another one, which has not been taken.
    #[cold]
    fn stamp_asked(&mut self, position: u64) {
        let header = self.memory.header();
        if header.head.load(Ordering::Relaxed) >= self.stamped_at {
            self.stamped_at = position + 1;
            self.stamp(position, ASKED_STAMP);
        }
        header.asked.store(0, Ordering::Relaxed);
    }

    /// Says when the last entry was pushed, if it is that of a task: the consumer will want to know how long it took to
    /// wake it.
    fn stamp_waking(&mut self) {
        let Some(last) = self.tail.checked_sub(1) else { return };
        let bits = self.memory.slot(last).load(Ordering::Relaxed);
        let is_task = matches!(Entry::unpack(bits), Some(Entry::Submit { .. }));
        if is_task && last != next_measured(last) {
            self.stamp_asked(last);
        }
    }

    fn stamp(&self, position: u64, index: usize) {
        if ticks::are_cheap() {
            let stamp = Stamp::new(position, ticks::now());
            self.memory.stamp(index).store(stamp.0, Ordering::Relaxed);
        }
    }

    /// True when the consumer is asleep, or about to be: the caller must ring the doorbell. Call it
    /// after `push`.
    #[inline]
    pub fn consumer_parked(&self) -> bool {
        self.memory.header().sleeper.must_wake()
    }

    /// The same for a producer that rings the doorbell whenever this is true. It is not while the consumer is
    /// on its way because of an earlier entry: a burst of entries rings once.
    #[inline]
    pub fn must_ring(&mut self) -> bool {
        self.consumer_parked() && self.is_untold()
    }

    /// The consumer shows what it has taken before it sleeps, and it takes all. So until the entry for which
    /// it was rung has been taken, it has not slept again, whether or not it has said that it is awake.
    #[cold]
    fn is_untold(&mut self) -> bool {
        self.head_seen = self.memory.header().head.load(Ordering::Acquire);
        let is_untold = self.head_seen >= self.rung_at;
        if is_untold {
            self.rung_at = self.tail;
            self.stamp_waking();
        }
        is_untold
    }

    /// True when the consumer has taken every entry.
    pub fn is_drained(&mut self) -> bool {
        self.head_seen = self.memory.header().head.load(Ordering::Acquire);
        self.head_seen == self.tail
    }
}

/// The runtime's end. Whatever the client writes into the segment, at any time, `pop` returns valid
/// entries or nothing, at most one per slot and lap.
pub struct Consumer {
    memory: RingMemory,
    head: u64,
    shown: u64,
    /// The next position of a task that is measured; 0 while `asks`.
    measured_at: u64,
    /// The producer has been asked to say when it pushes a task, and none that it did say so of has been taken.
    asks: bool,
    /// How many entries had been taken when it was asked.
    asked_at: u64,
}

impl Consumer {
    /// The consumer of a new ring. There must be only one.
    pub fn new(memory: RingMemory) -> Consumer {
        Consumer::resume(memory, 0)
    }

    /// The consumer of a ring from which another one has taken the entries before `position`, and takes no
    /// more.
    pub fn resume(memory: RingMemory, position: u64) -> Consumer {
        // The producer stamps the first of all without being asked.
        let asks = position == 0;
        let measured_at = if asks { 0 } else { next_measured(position) };
        Consumer { memory, head: position, shown: position, measured_at, asks, asked_at: 0 }
    }

    /// The ring's memory.
    pub fn memory(&self) -> RingMemory {
        self.memory
    }

    /// How many entries have been taken so far.
    pub fn position(&self) -> u64 {
        self.head
    }

    /// The next slot, if it is published.
    #[inline]
    fn next(&self) -> Option<u64> {
        let bits = self.memory.slot(self.head).load(Ordering::Acquire);
        ((bits ^ self.memory.lap(self.head)) >> LAP_SHIFT == 0).then_some(bits)
    }

    /// True if there is no entry to take.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.next().is_none()
    }

    /// Takes the next entry. `Some(None)` means a published slot with invalid bits; it is taken,
    /// too.
    #[inline]
    pub fn pop(&mut self) -> Option<Option<Entry>> {
        let bits = self.next()?;
        self.head += 1;
        Some(Entry::unpack(bits))
    }

    /// Asks the producer to say when it pushes the next task: that one is measured, besides those that are anyway.
    /// If the producer has just woken this consumer, it has said so already.
    #[cold]
    pub fn ask(&mut self) {
        if ticks::are_cheap() {
            (self.asks, self.measured_at, self.asked_at) = (true, 0, self.head);
            self.memory.header().asked.store(1, Ordering::Relaxed);
        }
    }

    /// When the entry that was taken last was pushed, if that is the submission of a task to be measured.
    #[inline]
    pub fn submitted(&mut self) -> Submitted {
        // The position of that entry is one less.
        match self.head > self.measured_at {
            false => Submitted::NOT_MEASURED,
            true => self.read_stamp(),
        }
    }

    #[cold]
    fn read_stamp(&mut self) -> Submitted {
        let position = self.head - 1;
        let always = position == next_measured(position);
        let index = if always { stamp_of(position) } else { ASKED_STAMP };
        // The producer wrote it before the entry, or before it woke this consumer.
        let stamp = Stamp(self.memory.stamp(index).load(Ordering::Relaxed));
        let is_known = stamp.is_of(position) && ticks::are_cheap();
        let at = is_known.then(ticks::now).and_then(|now| now.checked_sub(stamp.age(now)));
        // A producer of another version never answers.
        let is_hopeless = position >= self.asked_at + self.memory.slots();
        self.asks &= at.is_none() && !is_hopeless;
        self.measured_at = if self.asks { 0 } else { next_measured(self.head) };
        match at {
            Some(at) => Submitted::at(at, !always),
            None if always => Submitted::UNKNOWN,
            // It was pushed before the producer was asked.
            None => Submitted::NOT_MEASURED,
        }
    }

    /// Tells the producer how much has been consumed. Call it after a batch.
    #[inline]
    pub fn show_progress(&mut self) {
        if self.shown != self.head {
            self.shown = self.head;
            self.memory.header().head.store(self.head, Ordering::Release);
        }
    }

    /// Announces that the consumer is about to sleep. False when there is an entry after all.
    #[must_use]
    pub fn park(&mut self) -> bool {
        self.show_progress();
        self.memory.header().sleeper.park();
        self.is_empty()
    }

    /// Leaves an empty ring to its doorbell, until `unpark`. False when there is an entry after all; then the
    /// consumer is awake.
    #[must_use]
    pub fn rest(&mut self) -> bool {
        let rests = self.park();
        if !rests {
            self.unpark();
        }
        rests
    }

    /// Announces that the consumer is awake.
    pub fn unpark(&mut self) {
        self.memory.header().sleeper.unpark();
    }
}

// One cache line each for what the producer and what the consumer writes often.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() == 128 && std::mem::offset_of!(Header, sleeper) == 64);

/// Bytes of a ring of `slots` slots: its header and the slots.
pub const fn ring_bytes(slots: u64) -> u64 {
    std::mem::size_of::<Header>() as u64 + slots * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) struct Memory {
        header: Box<Header>,
        slots: Vec<AtomicU64>,
    }

    impl Memory {
        pub(super) fn new(slots: usize) -> Memory {
            let header = Header {
                head: AtomicU64::new(0),
                first_stamps: Default::default(),
                sleeper: Sleeper::default(),
                asked: AtomicU32::new(0),
                other_stamps: Default::default(),
            };
            Memory {
                header: Box::new(header),
                slots: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            }
        }

        pub(super) fn memory(&self) -> RingMemory {
            // SAFETY: the tests keep the memory longer than what they make from it.
            unsafe { RingMemory::new(&*self.header, self.slots.as_ptr(), self.slots.len() as u64) }
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn entries_come_out_as_they_went_in_over_many_laps() {
        let memory = Memory::new(8);
        let (mut producer, mut consumer) =
            (Producer::new(memory.memory()), Consumer::new(memory.memory()));
        for i in 0..600_000_u64 {
            let entry = if i % 3 == 0 {
                Entry::Release { hold: i as u32 }
            } else {
                Entry::Submit { offset: i * 64 }
            };
            producer.push(entry).unwrap();
            assert_eq!(consumer.pop(), Some(Some(entry)));
            assert_eq!(consumer.pop(), None);
            consumer.show_progress();
        }
        assert!(producer.is_drained());
    }

    #[cfg(not(loom))]
    #[test]
    fn a_consumer_goes_on_where_another_ended() {
        let memory = Memory::new(8);
        let (mut producer, mut consumer) =
            (Producer::new(memory.memory()), Consumer::new(memory.memory()));
        for i in 0..1000 {
            if i % 7 == 0 {
                consumer.show_progress();
                let successor = Consumer::resume(memory.memory(), consumer.position());
                consumer = successor;
            }
            producer.push(Entry::Release { hold: i }).unwrap();
            if i % 3 != 0 {
                continue;
            }
            while consumer.pop().is_some() {}
            consumer.show_progress();
        }
        assert!(producer.is_drained());
        assert_eq!(consumer.position(), 1000);
    }

    #[cfg(not(loom))]
    #[test]
    fn of_so_many_tasks_one_is_measured_and_has_a_time() {
        let memory = Memory::new(1024);
        let (mut producer, mut consumer) =
            (Producer::new(memory.memory()), Consumer::new(memory.memory()));
        let mut gaps = std::collections::HashSet::new();
        for lap in 0..100 {
            let begin = ticks::now();
            // As many as a ring may have.
            (0..768).for_each(|_| producer.push(Entry::Submit { offset: 64 }).unwrap());
            let pushed = ticks::now();
            let mut measured = Vec::new();
            while consumer.pop().is_some() {
                let submitted = consumer.submitted();
                if submitted.is_measured() && !submitted.was_asked() {
                    let at = submitted.ticks().expect("the producer has said when");
                    // The lowest bits are cut off, of both times.
                    assert!(at + 32 >= begin && at <= pushed + 32, "{begin} {at} {pushed}");
                    measured.push(consumer.position());
                }
            }
            consumer.show_progress();
            assert_eq!(measured.len() as u64, 768 / MEASURED_ONE_IN, "in lap {lap}");
            gaps.extend(measured.windows(2).map(|two| two[1] - two[0]));
        }
        assert!(gaps.len() > 2, "{gaps:?}");
    }

    #[cfg(not(loom))]
    #[test]
    fn a_task_that_wakes_the_consumer_has_a_time() {
        let memory = Memory::new(1024);
        let (mut producer, mut consumer) =
            (Producer::new(memory.memory()), Consumer::new(memory.memory()));
        for _ in 0..300 {
            assert!(consumer.park());
            producer.push(Entry::Submit { offset: 64 }).unwrap();
            assert!(producer.must_ring());
            (0..2).for_each(|_| producer.push(Entry::Submit { offset: 64 }).unwrap());
            consumer.unpark();
            consumer.ask();
            assert!(consumer.pop().is_some());
            assert!(consumer.submitted().ticks().is_some());
            assert!(consumer.pop().is_some() && consumer.pop().is_some());
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn a_task_that_was_asked_for_has_a_time() {
        let memory = Memory::new(1024);
        let (mut producer, mut consumer) =
            (Producer::new(memory.memory()), Consumer::new(memory.memory()));
        let mut push = |count| {
            (0..count).for_each(|_| producer.push(Entry::Submit { offset: 64 }).unwrap());
        };
        push(1);
        assert!(consumer.pop().is_some() && consumer.submitted().was_asked(), "the first has one");
        consumer.show_progress();
        for _ in 0..300 {
            push(3);
            consumer.ask();
            push(3);
            let mut measured = Vec::new();
            while consumer.pop().is_some() {
                let position = consumer.position() - 1;
                let is_measured = position == next_measured(position);
                let submitted = consumer.submitted();
                if !is_measured {
                    measured.push(submitted.ticks().is_some());
                }
            }
            consumer.show_progress();
            // If one of them was measured anyway, that answered the question.
            assert!(measured.len() < 6 || measured == [false, false, false, true, false, false]);
        }
    }

    /// Whatever the client writes there, the time is not later than now.
    #[cfg(not(loom))]
    #[test]
    fn rubbish_in_stamps_is_no_time_to_come() {
        let memory = Memory::new(8);
        let (mut producer, mut consumer) =
            (Producer::new(memory.memory()), Consumer::new(memory.memory()));
        let mut found = 0;
        for round in 0..100_000_u64 {
            producer.push(Entry::Submit { offset: 64 }).unwrap();
            let rubbish = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let header = &memory.header;
            // However short the machine has been running, some of these times are past, and some to come.
            let around_now = (rubbish >> 16) % (2 * (ticks::now() >> Stamp::COARSER));
            for stamp in header.first_stamps.iter().chain(&header.other_stamps) {
                let tagged = around_now << 16 | (round + 1) & Stamp::POSITION;
                stamp.store(if round % 2 == 0 { tagged } else { rubbish }, Ordering::Relaxed);
            }
            consumer.pop();
            consumer.show_progress();
            consumer.ask();
            if let Some(at) = consumer.submitted().ticks() {
                assert!(at <= ticks::now());
                found += 1;
            }
        }
        assert!(found > 1000);
    }

    #[cfg(not(loom))]
    #[test]
    fn a_burst_rings_once() {
        let memory = Memory::new(8);
        let (mut producer, mut consumer) =
            (Producer::new(memory.memory()), Consumer::new(memory.memory()));
        for burst in 0..100 {
            let must_ring = |producer: &mut Producer| {
                producer.push(Entry::Release { hold: burst }).unwrap();
                producer.must_ring()
            };
            assert!(consumer.park());
            assert_eq!([0; 3].map(|_| must_ring(&mut producer)), [true, false, false]);
            // It is on its way, has taken one, and has not shown that.
            assert!(consumer.pop().is_some() && !must_ring(&mut producer));
            consumer.unpark();
            assert!(!must_ring(&mut producer), "it is awake");
            while consumer.pop().is_some() {}
        }
    }

    #[cfg(not(loom))]
    #[test]
    fn a_full_ring_still_takes_releases() {
        let memory = Memory::new(8);
        let (mut producer, mut consumer) =
            (Producer::new(memory.memory()), Consumer::new(memory.memory()));
        let submit = Entry::Submit { offset: 64 };
        for _ in 0..6 {
            producer.push(submit).unwrap();
        }
        assert_eq!(producer.push(submit), Err(Full));
        producer.push(Entry::Release { hold: 1 }).unwrap();
        producer.push(Entry::Release { hold: 2 }).unwrap();
        assert_eq!(producer.push(Entry::Release { hold: 3 }), Err(Full));
        assert_eq!(consumer.pop(), Some(Some(submit)));
        assert_eq!(producer.push(Entry::Release { hold: 3 }), Err(Full), "progress is not shown");
        consumer.show_progress();
        producer.push(Entry::Release { hold: 3 }).unwrap();
    }

    #[cfg(not(loom))]
    #[test]
    fn rubbish_in_slots_gives_each_slot_once_a_lap() {
        let memory = Memory::new(8);
        let mut consumer = Consumer::new(memory.memory());
        for slot in &memory.slots {
            slot.store(1 << LAP_SHIFT | 0xf << KIND_SHIFT | 7, Ordering::Relaxed);
        }
        assert_eq!((0..100).filter(|_| consumer.pop() == Some(None)).count(), 8);
    }

    #[cfg(loom)]
    #[test]
    fn loom_nothing_is_lost_or_torn() {
        loom::model(|| {
            let memory = std::sync::Arc::new(Memory::new(4));
            let theirs = memory.clone();
            let client = loom::thread::spawn(move || {
                let mut producer = Producer::new(theirs.memory());
                for i in 1..=4_u32 {
                    while producer.push(Entry::Release { hold: i }).is_err() {
                        loom::thread::yield_now();
                    }
                }
            });
            let mut consumer = Consumer::new(memory.memory());
            let mut next = 1;
            while next <= 4 {
                match consumer.pop() {
                    Some(entry) => {
                        assert_eq!(entry, Some(Entry::Release { hold: next }));
                        next += 1;
                        consumer.show_progress();
                    }
                    None => loom::thread::yield_now(),
                }
            }
            client.join().unwrap();
        });
    }

    /// A session's doorbell: whoever waits for it is told once of all times that it rang.
    #[cfg(loom)]
    #[derive(Default)]
    struct Doorbell {
        rung: loom::sync::Mutex<bool>,
        rings: loom::sync::Condvar,
    }

    #[cfg(loom)]
    impl Doorbell {
        fn ring(&self) {
            *self.rung.lock().unwrap() = true;
            self.rings.notify_one();
        }

        fn wait(&self) {
            let mut rung = self.rung.lock().unwrap();
            while !*rung {
                rung = self.rings.wait(rung).unwrap();
            }
            *rung = false;
        }
    }

    /// A client that sends `count` entries, and rings when it must.
    #[cfg(loom)]
    fn client(
        memory: &std::sync::Arc<Memory>,
        bell: &std::sync::Arc<Doorbell>,
        count: u32,
    ) -> loom::thread::JoinHandle<()> {
        let (memory, bell) = (memory.clone(), bell.clone());
        loom::thread::spawn(move || {
            let mut producer = Producer::new(memory.memory());
            for hold in 1..=count {
                producer.push(Entry::Release { hold }).unwrap();
                if producer.must_ring() {
                    bell.ring();
                }
            }
        })
    }

    /// Takes what there is, until the ring rests or has given `count` entries.
    #[cfg(loom)]
    fn take_until_rest(consumer: &mut Consumer, taken: &mut u32, count: u32) {
        while *taken < count {
            match consumer.pop() {
                Some(entry) => {
                    *taken += 1;
                    assert_eq!(entry, Some(Entry::Release { hold: *taken }));
                }
                None if consumer.rest() => return,
                None => {}
            }
        }
    }

    /// A ring rests whenever it is empty, and nothing but its doorbell brings it back.
    #[cfg(loom)]
    #[test]
    fn loom_the_doorbell_brings_a_ring_at_rest_back() {
        let mut model = loom::model::Builder::new();
        // Otherwise it takes minutes.
        model.preemption_bound = Some(3);
        model.check(|| {
            let (memory, bell) = (std::sync::Arc::new(Memory::new(4)), Default::default());
            let client = client(&memory, &bell, 2);
            let mut consumer = Consumer::new(memory.memory());
            let mut taken = 0;
            loop {
                take_until_rest(&mut consumer, &mut taken, 2);
                if taken == 2 {
                    break;
                }
                bell.wait();
                consumer.unpark();
            }
            client.join().unwrap();
        });
    }

    /// A ring at rest changes its worker, and its doorbell with it, whenever that rings.
    #[cfg(loom)]
    #[test]
    fn loom_a_ring_at_rest_may_change_its_worker() {
        loom::model(|| {
            let (memory, bell) = (std::sync::Arc::new(Memory::new(4)), Default::default());
            let client = client(&memory, &bell, 1);
            let memory = memory.memory();
            let first = loom::thread::spawn(move || {
                let (mut consumer, mut taken) = (Consumer::new(memory), 0);
                take_until_rest(&mut consumer, &mut taken, 1);
                (consumer, taken)
            });
            let (mut consumer, mut taken) = first.join().unwrap();
            while taken == 0 {
                bell.wait();
                consumer.unpark();
                take_until_rest(&mut consumer, &mut taken, 1);
            }
            client.join().unwrap();
        });
    }

    #[cfg(loom)]
    #[test]
    fn loom_a_parked_consumer_is_rung_or_sees_the_entry() {
        loom::model(|| {
            let memory = std::sync::Arc::new(Memory::new(4));
            let theirs = memory.clone();
            let client = loom::thread::spawn(move || {
                let mut producer = Producer::new(theirs.memory());
                producer.push(Entry::Release { hold: 1 }).unwrap();
                producer.consumer_parked()
            });
            let mut consumer = Consumer::new(memory.memory());
            let sleeps = consumer.park();
            let rung = client.join().unwrap();
            assert!(!sleeps || rung, "the consumer sleeps and nobody rings");
        });
    }
}
