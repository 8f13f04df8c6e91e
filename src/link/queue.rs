//! Bytes that wait to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// So many shared bytes at least are kept as they are; fewer are copied.
const SHARE: usize = 16 << 10;
/// Copied bytes are put together up to about this.
const PIECE: usize = 64 << 10;
/// How many slices one write takes at most.
pub(crate) const SLICES: usize = 64;

/// Bytes that wait, in order. Few are copied, many are shared with whoever has sent them.
#[derive(Default)]
pub(crate) struct Queue {
    pieces: VecDeque<Piece>,
    /// How much of the first piece is gone.
    gone: usize,
    length: usize,
    /// Memory of a piece that is gone, for the next.
    spare: Vec<u8>,
}

enum Piece {
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a copy of the bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.length += bytes.len();
        match self.pieces.back_mut() {
            Some(Piece::Own(last)) if last.len() < PIECE => last.extend_from_slice(bytes),
            _ => {
                let mut own = std::mem::take(&mut self.spare);
                own.extend_from_slice(bytes);
                self.pieces.push_back(Piece::Own(own));
            }
        }
    }

    /// Adds bytes that may be kept as they are.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE {
            return self.push(&bytes);
        }
        self.length += bytes.len();
        self.pieces.push_back(Piece::Shared(bytes));
    }

    /// Adds all that waits in another queue.
    pub(crate) fn append(&mut self, mut other: Queue) {
        let gone = std::mem::take(&mut other.gone);
        for (index, piece) in other.pieces.drain(..).enumerate() {
            let skip = if index == 0 { gone } else { 0 };
            match piece {
                Piece::Own(bytes) => self.push(&bytes[skip..]),
                Piece::Shared(bytes) => self.push_shared(bytes.slice(skip..)),
            }
        }
    }

    /// The first bytes; none if none wait.
    pub(crate) fn front(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| &piece.bytes()[self.gone..])
    }

    /// The bytes, for one write.
    pub(crate) fn slices<'q>(&'q self, to: &mut [IoSlice<'q>; SLICES]) -> usize {
        let mut skip = self.gone;
        for (place, piece) in to.iter_mut().zip(&self.pieces) {
            *place = IoSlice::new(&piece.bytes()[skip..]);
            skip = 0;
        }
        self.pieces.len().min(SLICES)
    }

    /// Forgets the first `count` bytes, which are written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while let Some(piece) = self.pieces.front() {
            let left = piece.bytes().len() - self.gone;
            if count < left {
                self.gone += count;
                return;
            }
            count -= left;
            self.gone = 0;
            if let Some(Piece::Own(mut bytes)) = self.pieces.pop_front() {
                bytes.clear();
                if bytes.capacity() <= 2 * PIECE {
                    self.spare = bytes;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that waits, as it would be written.
    fn all(queue: &Queue) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = queue.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let large: Bytes = (0..5 * SHARE).map(|at| at as u8).collect::<Vec<_>>().into();
        let mut queue = Queue::default();
        let mut want = Vec::new();
        for round in 0..6 {
            let few = vec![round; 100 + usize::from(round)];
            queue.push(&few);
            queue.push(&[]);
            queue.push_shared(large.clone());
            queue.push_shared(Bytes::from_static(b"few"));
            want.extend_from_slice(&few);
            want.extend_from_slice(&large);
            want.extend_from_slice(b"few");
        }
        let mut at = 0;
        for step in [0, 1, 99, 5000, SHARE, 3 * SHARE].into_iter().cycle() {
            assert_eq!((queue.len(), queue.is_empty()), (want.len() - at, at == want.len()));
            assert_eq!(all(&queue), want[at..]);
            assert!(want[at..].starts_with(queue.front()));
            if queue.is_empty() {
                break;
            }
            let step = step.min(queue.len());
            queue.advance(step);
            at += step;
        }
    }

    #[test]
    fn what_waits_moves_to_another_queue() {
        let (mut one, mut other) = (Queue::default(), Queue::default());
        one.push(b"first");
        other.push(b"gone, left");
        other.push_shared(vec![3; SHARE].into());
        other.advance(6);
        one.append(other);
        let mut want = b"firstleft".to_vec();
        want.extend_from_slice(&[3; SHARE]);
        assert_eq!((all(&one), one.len()), (want.clone(), want.len()));
    }
}
