//! Waiters: what the code that ends a wait needs to know about it.

/// How many bits of a wait's number a waiter carries.
const TAG_BITS: u32 = 29;

/// The number of a wait, unique among all waits of its worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaitNumber(u64);

impl WaitNumber {
    /// The number after this one.
    #[inline]
    pub(crate) fn next(self) -> WaitNumber {
        let next = self.0 + 1;
        // A tag of 0 would look like no waiter at all.
        WaitNumber(if next & ((1 << TAG_BITS) - 1) == 0 { next + 1 } else { next })
    }

    /// The lowest bits of the number, never 0. Two waits of a worker with the same tag are half a
    /// billion waits apart, whereas a wake-up is read within one round of its worker.
    #[inline]
    pub(crate) fn tag(self) -> u32 {
        self.0 as u32 & ((1 << TAG_BITS) - 1)
    }
}

/// A waiting coroutine, and the tag of its wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    /// Below 256.
    pub(crate) worker: u32,
    /// Below 2^24.
    pub(crate) coroutine: u32,
    /// The wait's [`WaitNumber::tag`]: a wake-up for an earlier wait must not end a later one.
    pub(crate) tag: u32,
}

impl Waiter {
    /// How many bits below a packed waiter are free for other uses of the word.
    pub(super) const FREE_BITS: u32 = 3;

    /// Packs the waiter into a word, which is not 0 and has its lowest `FREE_BITS` bits clear.
    #[inline]
    pub(super) fn pack(self) -> u64 {
        u64::from(self.worker) << 56
            | u64::from(self.coroutine) << 32
            | u64::from(self.tag) << Waiter::FREE_BITS
    }

    /// Unpacks the waiter in a word; `None` if there is none.
    #[inline]
    pub(super) fn unpack(bits: u64) -> Option<Waiter> {
        let tag = bits as u32 >> Waiter::FREE_BITS;
        (tag != 0).then_some(Waiter {
            worker: (bits >> 56) as u32,
            coroutine: (bits >> 32) as u32 & 0xff_ffff,
            tag,
        })
    }

    /// True if both are waits of the same coroutine.
    #[inline]
    pub(crate) fn is_same_coroutine(self, other: Waiter) -> bool {
        (self.worker, self.coroutine) == (other.worker, other.coroutine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_fits_a_word_and_leaves_room_below() {
        let largest = Waiter { worker: 255, coroutine: 0xff_ffff, tag: (1 << TAG_BITS) - 1 };
        let smallest = Waiter { worker: 0, coroutine: 0, tag: 1 };
        for waiter in [largest, smallest, Waiter { worker: 1, coroutine: 2, tag: 3 }] {
            let bits = waiter.pack();
            assert_eq!(bits & ((1 << Waiter::FREE_BITS) - 1), 0);
            assert_eq!(Waiter::unpack(bits | 7), Some(waiter));
        }
        assert_eq!(Waiter::unpack(7), None);
    }

    #[test]
    fn waits_have_different_numbers_and_no_tag_is_zero() {
        let mut number = WaitNumber((1 << TAG_BITS) - 2);
        for _ in 0..3 {
            let next = number.next();
            assert!(next > number && next.tag() != 0);
            number = next;
        }
    }
}
