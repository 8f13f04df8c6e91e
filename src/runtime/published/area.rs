//! The published memory of a container.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::{CHI_INVALID, CHI_TOO_LARGE};
use chimaera_ipc::arena::CHUNK;

use super::segment::{Block, NoRoom, Segment};
use crate::failure::Failure;
use crate::sys::{lock, Budget, Use};

/// The size of the first segment. Each further one is as large as those before it together.
const FIRST_SEGMENT: u64 = 64 << 20;
/// The largest, unless one block needs more.
const LARGEST_SEGMENT: u64 = 16 << 30;
/// How long nothing is tried after there was no memory.
const STARVED_PAUSE: Duration = Duration::from_millis(10);
/// The largest block.
const LARGEST_BLOCK: u64 = 1 << 40;

/// The published memory of a container: segments, which are made when they are needed and freed when nothing is in
/// them.
pub(crate) struct Area {
    budget: &'static Budget,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last one is tried first.
    segments: Vec<Arc<Segment>>,
    /// There was no memory a moment ago: until when, and for how many bytes.
    starved: Option<(Instant, u64)>,
}

impl State {
    /// The memory that no block uses, in bytes.
    fn idle(&self) -> u64 {
        self.segments.iter().map(|segment| segment.idle()).sum()
    }

    fn alloc(&mut self, budget: &'static Budget, size: u64) -> Result<Block, NoRoom> {
        let segments = &mut self.segments;
        for at in (0..segments.len()).rev() {
            match segments[at].alloc(size) {
                Ok(block) => {
                    let last = segments.len() - 1;
                    segments.swap(at, last);
                    return Ok(block);
                }
                Err(NoRoom::Segment) => {}
                Err(why @ NoRoom::Memory(_)) => return Err(why),
            }
        }
        if budget.used(Use::Published) + size > budget.most() / 2 {
            return Err(budget.exhausted(Use::Published).into());
        }
        segments.retain(|segment| !segment.is_empty());
        let all: u64 = segments.iter().map(|segment| segment.size()).sum();
        let least = size.next_multiple_of(CHUNK);
        let wanted = all.clamp(FIRST_SEGMENT, LARGEST_SEGMENT).max(least);
        let segment = Segment::new(budget, wanted)?;
        let block = segment.alloc(size)?;
        segments.push(segment);
        Ok(block)
    }
}

impl Area {
    pub(crate) fn new(budget: &'static Budget) -> Area {
        Area { budget, state: Mutex::default() }
    }

    /// Allocates a block. Errors: `CHI_INVALID` for a size of 0, `CHI_TOO_LARGE`, `CHI_NO_SPACE`.
    pub(crate) fn alloc(&self, size: u64) -> Result<Block, Failure> {
        match size {
            0 => return Err(Failure::new(CHI_INVALID, "a published block has at least a byte")),
            1..=LARGEST_BLOCK => {}
            _ => {
                let most = LARGEST_BLOCK >> 30;
                let message = format!("a published block has at most {most} GiB");
                return Err(Failure::new(CHI_TOO_LARGE, message));
            }
        }
        let state = &mut *lock(&self.state);
        if state.starved.is_some_and(|(until, least)| size >= least && Instant::now() < until) {
            return Err(NoRoom::from(self.budget.exhausted(Use::Published)).into());
        }
        let allocated = match state.alloc(self.budget, size) {
            Err(NoRoom::Memory(_)) if state.idle() >= size => {
                state.segments.iter().for_each(|segment| segment.trim());
                state.alloc(self.budget, size)
            }
            other => other,
        };
        if let Err(NoRoom::Memory(_)) = &allocated {
            state.starved = Some((Instant::now() + STARVED_PAUSE, size));
        }
        allocated.map_err(Failure::from)
    }

    /// Gives memory that no block uses back to the operating system, now and as soon as a block is freed, until another
    /// one is allocated.
    pub(crate) fn retire(&self) {
        lock(&self.state).segments.iter().for_each(|segment| segment.retire());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::MemorySource;

    fn used(budget: &'static Budget) -> u64 {
        budget.used(Use::Published)
    }

    #[test]
    fn blocks_are_apart_and_stay_as_they_are_while_others_come_and_go() {
        let area = Area::new(Budget::endless());
        let fill = |block: &Block, byte: u8| {
            // SAFETY: the block is ours alone.
            unsafe { block.data().as_ptr().write_bytes(byte, block.size() as usize) };
        };
        let is_full_of = |block: &Block, byte: u8| {
            // SAFETY: nobody writes to it now.
            let bytes =
                unsafe { std::slice::from_raw_parts(block.data().as_ptr(), block.size() as usize) };
            bytes.iter().all(|found| *found == byte)
        };
        let mut blocks: Vec<(Block, u8)> = Vec::new();
        for round in 0..2000_u64 {
            let byte = round as u8;
            let block = area.alloc(1 + round * 7919 % 200_000).unwrap();
            assert_eq!(block.data().as_ptr() as usize % 64, 0);
            fill(&block, byte);
            blocks.push((block, byte));
            if round % 3 == 2 {
                let (block, byte) = blocks.swap_remove((round * 31) as usize % blocks.len());
                assert!(is_full_of(&block, byte));
            }
        }
        assert!(blocks.iter().all(|(block, byte)| is_full_of(block, *byte)));
        let (first, _) = &blocks[0];
        let (start, size) = (first.data().as_ptr(), first.size());
        assert_eq!(first.find(start.wrapping_add(3), size - 3), Some(3));
        assert_eq!(first.find(start.wrapping_add(3), size - 2), None);
        assert_eq!(first.find(start.wrapping_sub(1), 1), None);
        assert_eq!(first.find(start, u64::MAX), None);
    }

    #[test]
    fn memory_is_charged_while_it_is_there_and_given_back_when_much_is_idle() {
        let budget = Budget::endless();
        let area = Area::new(budget);
        let blocks: Vec<Block> = (0..100).map(|_| area.alloc(1 << 20).unwrap()).collect();
        assert!(used(budget) >= 100 << 20);
        drop(blocks);
        assert!(used(budget) < 40 << 20, "{} bytes are kept", used(budget));
        // Also if a little of it is still in use.
        let mut blocks: Vec<Block> = (0..100).map(|_| area.alloc(1 << 20).unwrap()).collect();
        let small = area.alloc(64).unwrap();
        while blocks.pop().is_some() {}
        assert!(used(budget) < 40 << 20, "{} bytes are kept", used(budget));
        drop(small);
        // Also if at first some of every chunk is.
        let mut blocks: Vec<Option<Block>> =
            (0..100_000).map(|_| Some(area.alloc(1024).unwrap())).collect();
        let mut free = |is_kept: fn(usize) -> bool| {
            (0..blocks.len()).filter(|at| !is_kept(*at)).for_each(|at| drop(blocks[at].take()));
        };
        free(|at| at % 64 == 0);
        free(|_| false);
        assert!(used(budget) < 40 << 20, "{} bytes are kept", used(budget));
        let one = area.alloc(1 << 20).unwrap();
        area.retire();
        assert!((1 << 20..2 << 20).contains(&used(budget)), "{} bytes are kept", used(budget));
        drop(one);
        assert!(used(budget) < 1 << 20, "{} bytes are kept", used(budget));
        let again = area.alloc(1 << 20).unwrap();
        drop(area);
        assert!(used(budget) >= 1 << 20, "the block lives on");
        drop(again);
        assert_eq!(used(budget), 0);
    }

    #[test]
    fn what_the_budget_has_no_room_for_is_refused() {
        let budget = Budget::new(64 << 20, MemorySource::Configured, 1 << 40);
        let area = Area::new(budget);
        let blocks: Vec<Block> = std::iter::from_fn(|| area.alloc(1 << 20).ok()).collect();
        assert!((10..40).contains(&blocks.len()), "{} blocks", blocks.len());
        let why = area.alloc(1 << 20).err().unwrap();
        assert!(why.message.contains("limits.memory"), "{}", why.message);
        drop(blocks);
        std::thread::sleep(2 * STARVED_PAUSE);
        area.alloc(8 << 20).unwrap();
        assert_eq!(area.alloc(0).err().unwrap().status, CHI_INVALID);
        assert_eq!(area.alloc(u64::MAX).err().unwrap().status, CHI_TOO_LARGE);
    }

    #[test]
    fn a_block_may_be_larger_than_a_segment() {
        let area = Area::new(Budget::endless());
        let block = area.alloc(FIRST_SEGMENT + 1).unwrap();
        assert!(block.size() > FIRST_SEGMENT);
        let other = area.alloc(64).unwrap();
        assert!(!Arc::ptr_eq(other.segment(), block.segment()));
    }
}
