//! Which tasks of a completion queue are complete: a bit for each place, in the client's segment. Workers set them, and
//! the client takes them.
//!
//! A word for each 64 places holds their bits; a bit of a sum says that such a word may not be 0, so that whoever looks
//! for few among many reads little. The first word says that the client rests: whoever sets a bit then rings once.
//!
//! A client can write whatever it wants there: it deceives only itself. It can neither keep a worker waiting nor make it
//! write elsewhere.

use chimaera_abi::CHI_COMPLETIONS_PLACE_BITS;

use crate::sync::{fence, AtomicU64, Ordering};

/// The words before the sums: a cache line.
const HEAD: usize = 8;

/// How many places a word has bits for.
const BITS: u64 = 64;

/// Splits a place as the word of a task has it into the number of the queue and the place in it.
pub fn split(place: u32) -> (u32, u32) {
    (place >> CHI_COMPLETIONS_PLACE_BITS, place & ((1 << CHI_COMPLETIONS_PLACE_BITS) - 1))
}

/// The place as the word of a task has it.
pub fn join(queue: u32, place: u32) -> u32 {
    queue << CHI_COMPLETIONS_PLACE_BITS | place
}

/// How many words the marks of this many places take.
pub const fn words(places: u32) -> usize {
    let words = (places as u64).div_ceil(BITS);
    HEAD + words.div_ceil(BITS) as usize + words as usize
}

/// The marks of a completion queue.
#[derive(Clone, Copy)]
pub struct Marks<'a> {
    resting: &'a AtomicU64,
    sums: &'a [AtomicU64],
    bits: &'a [AtomicU64],
}

impl<'a> Marks<'a> {
    /// Those in this memory, which has [`words`] words for some number of places.
    pub fn over(memory: &'a [AtomicU64], places: u32) -> Marks<'a> {
        let sums = u64::from(places).div_ceil(BITS).div_ceil(BITS) as usize;
        let (head, rest) = memory.split_at(HEAD);
        let (sums, bits) = rest.split_at(sums);
        Marks { resting: &head[0], sums, bits }
    }

    /// Marks a place. True if the client rests: the caller must ring.
    #[must_use]
    pub fn set(&self, place: u32) -> bool {
        let word = (u64::from(place) / BITS) as usize;
        self.bits[word].fetch_or(1 << (u64::from(place) % BITS), Ordering::AcqRel);
        self.sums[word / BITS as usize].fetch_or(1 << (word as u64 % BITS), Ordering::AcqRel);
        // The client either sees the mark after it has said that it rests, or this sees that it does.
        fence(Ordering::SeqCst);
        self.resting.load(Ordering::Relaxed) != 0 && self.resting.swap(0, Ordering::AcqRel) != 0
    }

    /// Takes all marks, and calls `f` with their places.
    pub fn take(&self, mut f: impl FnMut(u32)) {
        for (number, sum) in self.sums.iter().enumerate() {
            if sum.load(Ordering::Relaxed) == 0 {
                continue;
            }
            for word in ones(sum.swap(0, Ordering::AcqRel)) {
                let word = number * BITS as usize + word;
                // A bit of the last sum may be beyond the words.
                let Some(bits) = self.bits.get(word) else { continue };
                for bit in ones(bits.swap(0, Ordering::AcqRel)) {
                    f((word * BITS as usize + bit) as u32);
                }
            }
        }
    }

    /// Says that the client rests. False if there are marks: it must not.
    #[must_use]
    pub fn rest(&self) -> bool {
        self.resting.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.sums.iter().all(|sum| sum.load(Ordering::Relaxed) == 0)
    }
}

/// The numbers of the bits that are set.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn memory(places: u32) -> Vec<AtomicU64> {
        (0..words(places)).map(|_| AtomicU64::new(0)).collect()
    }

    fn taken(marks: &Marks<'_>) -> Vec<u32> {
        let mut taken = Vec::new();
        marks.take(|place| taken.push(place));
        taken
    }

    #[test]
    fn what_is_marked_is_taken_once() {
        for places in [1, 64, 65, 4096, 4097, 1 << 20] {
            let memory = memory(places);
            let marks = Marks::over(&memory, places);
            assert!(marks.rest() && taken(&marks).is_empty());
            let mut wanted = vec![0, places / 2, places - 1];
            wanted.dedup();
            let rings = wanted.iter().filter(|&&place| marks.set(place)).count();
            assert_eq!(rings, 1, "it rings once");
            assert!(!marks.rest());
            assert_eq!(taken(&marks), wanted);
            assert!(taken(&marks).is_empty() && marks.rest());
        }
    }

    /// Whatever a client writes, what is taken is a place of it.
    #[test]
    fn noise_is_taken_as_places() {
        let memory = memory(100);
        memory.iter().for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
        let marks = Marks::over(&memory, 100);
        assert_eq!(taken(&marks), (0..128).collect::<Vec<_>>());
        assert!(marks.set(99) && !marks.set(99));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;

    /// Two workers mark places while the client goes to rest: it finds both, or is rung for.
    #[test]
    fn loom_a_mark_is_found_or_rung_for() {
        loom::model(|| {
            let memory: Arc<Vec<AtomicU64>> =
                Arc::new((0..words(65)).map(|_| AtomicU64::new(0)).collect());
            let workers = [0, 64].map(|place| {
                let memory = memory.clone();
                loom::thread::spawn(move || Marks::over(&memory, 65).set(place))
            });
            let marks = Marks::over(&memory, 65);
            let mut found = 0;
            marks.take(|_| found += 1);
            let rests = marks.rest();
            let rings = workers.map(|worker| worker.join().unwrap());
            let rung = rings.iter().filter(|rings| **rings).count();
            assert!(rung <= 1);
            // Whoever sleeps has found everything, or is woken.
            assert!(!rests || found == 2 || rung == 1, "it sleeps for ever");
            marks.take(|_| found += 1);
            assert_eq!(found, 2);
        });
    }
}
