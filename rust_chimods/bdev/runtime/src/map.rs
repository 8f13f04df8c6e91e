//! The map of allocated blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chimaera::abi::CHI_NO_SPACE;
use chimaera::{Result, Status};
use chimaera_bdev_client::{Extent, DEVICE_FULL, NOT_ALLOCATED};

use crate::format::WORDS_PER_PAGE;

/// A bitmap with one bit per block. The lock is never held longer than it takes to scan the bits.
pub(crate) struct Map {
    state: Mutex<State>,
}

struct State {
    blocks: u64,
    /// Bit `block % 64` of word `block / 64` is 1 if the block is allocated or beyond the last.
    words: Vec<u64>,
    free: u64,
    /// The word at which the next search begins.
    next: usize,
    /// The blocks that have an owner, by the first of them. The map in the file does not have them.
    owned: BTreeMap<u64, Owned>,
    /// What the file says; `None` for a device in memory.
    durable: Option<Durable>,
}

/// Blocks that have an owner.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Owned {
    count: u64,
    owner: u64,
    /// The client that allocated them; 0 if that does not matter.
    client: u64,
}

/// What a crash can bring back.
struct Durable {
    /// The blocks that are allocated in the map in the file, or in one that may be there. Such a
    /// block is not allocated again before its release is in the file, or a crash would give it back
    /// to its previous owner with the data of the next.
    words: Vec<u64>,
    /// Blocks that are free, but allocated in `words`.
    held: u64,
    /// The pages that have changed since they were last taken.
    changed: Vec<bool>,
}

/// Allocated blocks of one owner and one client; 0 means nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) extent: Extent,
    pub(crate) owner: u64,
    pub(crate) client: u64,
}

/// A page of the map, as it shall be in the file.
pub(crate) struct Change {
    pub(crate) page: usize,
    pub(crate) words: Vec<u64>,
}

fn vec_of(words: usize, blocks: u64) -> Result<Vec<u64>> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(words).map_err(|_| {
        Status::new(CHI_NO_SPACE, format!("out of memory for the map of {blocks} blocks"))
    })?;
    vec.resize(words, 0);
    Ok(vec)
}

fn words_for(blocks: u64) -> usize {
    blocks.div_ceil(64) as usize
}

/// The bits of the last word that belong to no block.
fn beyond(blocks: u64) -> u64 {
    if blocks.is_multiple_of(64) {
        0
    } else {
        u64::MAX << (blocks % 64)
    }
}

impl Map {
    /// The map of a device in memory, without allocated blocks. Errors: `CHI_NO_SPACE`.
    pub(crate) fn new(blocks: u64) -> Result<Map> {
        Map::from_words(blocks, vec_of(words_for(blocks), blocks)?, None)
    }

    /// The map of a device in a file: what the file says. Errors: `CHI_NO_SPACE`.
    pub(crate) fn from_file(blocks: u64, mut words: Vec<u64>) -> Result<Map> {
        words.resize(words_for(blocks), 0);
        if let Some(last) = words.last_mut() {
            *last &= !beyond(blocks);
        }
        let mut durable = vec_of(words.len(), blocks)?;
        durable.copy_from_slice(&words);
        let changed = vec![false; words.len().div_ceil(WORDS_PER_PAGE)];
        Map::from_words(blocks, words, Some(Durable { words: durable, held: 0, changed }))
    }

    fn from_words(blocks: u64, mut words: Vec<u64>, durable: Option<Durable>) -> Result<Map> {
        if let Some(last) = words.last_mut() {
            *last |= beyond(blocks);
        }
        let free = words.iter().map(|word| u64::from(word.count_zeros())).sum();
        let state = State { blocks, words, free, next: 0, owned: BTreeMap::new(), durable };
        Ok(Map { state: Mutex::new(state) })
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.state().blocks
    }

    pub(crate) fn free_blocks(&self) -> u64 {
        self.state().free
    }

    /// `allocate_by` for no client.
    #[cfg(test)]
    pub(crate) fn allocate(&self, count: u64, owner: u64) -> Result<Option<Vec<Extent>>> {
        self.allocate_by(count, owner, 0)
    }

    /// Allocates the next `count` free blocks, with adjacent ones in one extent, for an owner unless
    /// it is 0, and for a client on whose presence the owner's blocks depend, unless that is 0. `None`
    /// if that needs blocks whose release is not in the file yet.
    pub(crate) fn allocate_by(
        &self,
        count: u64,
        owner: u64,
        client: u64,
    ) -> Result<Option<Vec<Extent>>> {
        let mut state = self.state();
        let State { free, blocks, .. } = *state;
        if count > free {
            let text =
                format!("cannot allocate {count} blocks: the device has {free} of {blocks} free");
            return Err(Status::new(DEVICE_FULL, text));
        }
        if count > free - state.durable.as_ref().map_or(0, |durable| durable.held) {
            return Ok(None);
        }
        let mut extents: Vec<Extent> = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let index = state.next;
            let word = state.words[index] | state.durable.as_ref().map_or(0, |d| d.words[index]);
            if word == u64::MAX {
                state.next = (index + 1) % state.words.len();
                continue;
            }
            let start = word.trailing_ones();
            let run = u64::from((word >> start).trailing_zeros().min(64 - start)).min(missing);
            let block = index as u64 * 64 + u64::from(start);
            state.set(Extent { block, count: run });
            missing -= run;
            match extents.last_mut() {
                Some(last) if last.block + last.count == block => last.count += run,
                _ => extents.push(Extent { block, count: run }),
            }
        }
        // The search may have wrapped around the end of the device.
        extents.sort_unstable_by_key(|extent| extent.block);
        extents.dedup_by(|next, last| {
            let adjacent = last.block + last.count == next.block;
            last.count += if adjacent { next.count } else { 0 };
            adjacent
        });
        if owner != 0 {
            let owned = |extent: &Extent| Owned { count: extent.count, owner, client };
            state.owned.extend(extents.iter().map(|extent| (extent.block, owned(extent))));
        }
        Ok(Some(extents))
    }

    /// Frees all of the blocks, or none. Errors: `CHI_INVALID`, `NOT_ALLOCATED`.
    pub(crate) fn free(&self, extents: &[Extent]) -> Result<()> {
        let mut state = self.state();
        for (index, extent) in extents.iter().enumerate() {
            let freed = state.range(*extent).and_then(|()| state.clear(*extent));
            if let Err(status) = freed {
                extents[..index].iter().for_each(|before| state.set(*before));
                return Err(status);
            }
        }
        extents.iter().for_each(|extent| state.disown(*extent));
        Ok(())
    }

    /// Frees the blocks of an owner, and returns their number.
    pub(crate) fn release(&self, owner: u64) -> Result<u64> {
        self.release_if(|owned| owned.owner == owner)
    }

    /// Frees the blocks with an owner whose clients are gone, and returns their number.
    pub(crate) fn reclaim(&self, is_gone: impl Fn(u64) -> bool) -> Result<u64> {
        let clients: BTreeSet<u64> = self.state().owned.values().map(|of| of.client).collect();
        let gone: BTreeSet<u64> =
            clients.into_iter().filter(|client| *client != 0 && is_gone(*client)).collect();
        match gone.is_empty() {
            true => Ok(0),
            false => self.release_if(|owned| gone.contains(&owned.client)),
        }
    }

    fn release_if(&self, condition: impl Fn(&Owned) -> bool) -> Result<u64> {
        let mut state = self.state();
        let found = state.owned.iter().filter(|(_, owned)| condition(owned));
        let extents: Vec<Extent> =
            found.map(|(block, owned)| Extent { block: *block, count: owned.count }).collect();
        for extent in &extents {
            state.clear(*extent)?;
            state.owned.remove(&extent.block);
        }
        Ok(extents.iter().map(|extent| extent.count).sum())
    }

    /// Checks that the blocks exist and are allocated. Errors: `CHI_INVALID`, `NOT_ALLOCATED`.
    pub(crate) fn check(&self, extent: Extent) -> Result<()> {
        let mut state = self.state();
        state.range(extent)?;
        state.find_free(extent)
    }

    /// Takes the pages that have changed, to write them to the file. Errors: `CHI_NO_SPACE`.
    pub(crate) fn take_changes(&self) -> Result<Vec<Change>> {
        let mut state = self.state();
        let State { blocks, words, owned, durable, .. } = &mut *state;
        let Some(durable) = durable else { return Ok(Vec::new()) };
        let pages = (0..durable.changed.len()).filter(|page| durable.changed[*page]);
        let copies = pages.map(|page| {
            let from = page * WORDS_PER_PAGE;
            let to = words.len().min(from + WORDS_PER_PAGE);
            let mut copy = vec_of(to - from, *blocks)?;
            copy.copy_from_slice(&words[from..to]);
            if to == words.len() {
                copy[to - from - 1] &= !beyond(*blocks);
            }
            let (first, end) = (from as u64 * 64, to as u64 * 64);
            for (block, Owned { count, .. }) in owned.range(..end).rev() {
                if block + count <= first {
                    break;
                }
                let block_end = (block + count).min(end);
                let block = (*block).max(first);
                for (index, mask) in masks(Extent { block, count: block_end - block }) {
                    copy[index - from] &= !mask;
                }
            }
            Ok(Change { page, words: copy })
        });
        let changes: Vec<Change> = copies.collect::<Result<_>>()?;
        for Change { page, words } in &changes {
            durable.changed[*page] = false;
            // From now on a crash may leave either.
            let there = &mut durable.words[page * WORDS_PER_PAGE..];
            there.iter_mut().zip(words).for_each(|(there, word)| *there |= word);
        }
        Ok(changes)
    }

    /// Tells that the changes are in the file.
    pub(crate) fn changes_are_durable(&self, changes: &[Change]) {
        let mut state = self.state();
        let State { words, durable: Some(durable), .. } = &mut *state else { return };
        for change in changes {
            for (index, word) in (change.page * WORDS_PER_PAGE..).zip(&change.words) {
                let before = std::mem::replace(&mut durable.words[index], *word);
                durable.held -= u64::from((before & !words[index]).count_ones());
                durable.held += u64::from((word & !words[index]).count_ones());
            }
        }
    }

    /// Tells that the changes may not be in the file, and have to be written again.
    pub(crate) fn changes_are_lost(&self, changes: &[Change]) {
        let mut state = self.state();
        let Some(durable) = &mut state.durable else { return };
        changes.iter().for_each(|change| durable.changed[change.page] = true);
    }

    /// All allocated blocks, in order.
    pub(crate) fn allocated(&self) -> Vec<Run> {
        let state = self.state();
        let mut runs = Vec::new();
        let mut block = 0;
        while let Some(first) = state.next(block, true) {
            let end = state.next(first, false).unwrap_or(state.blocks);
            state.split(Extent { block: first, count: end - first }, &mut runs);
            block = end;
        }
        runs
    }

    /// The blocks that have an owner, in order.
    pub(crate) fn owned(&self) -> Vec<Run> {
        let run = |(block, owned): (&u64, &Owned)| {
            let Owned { count, owner, client } = *owned;
            Run { extent: Extent { block: *block, count }, owner, client }
        };
        self.state().owned.iter().map(run).collect()
    }

    /// Allocates certain blocks: those that a predecessor or a copy had, which are in order. Errors:
    /// `CHI_INVALID` if the device does not have them, they are not free, or they are out of order.
    pub(crate) fn take(&self, runs: &[Run]) -> Result<()> {
        let mut state = self.state();
        for Run { extent, owner, client } in runs {
            state.range(*extent)?;
            if masks(*extent).any(|(index, mask)| state.words[index] & mask != 0) {
                let Extent { block, count } = extent;
                let text = format!("of {count} blocks from block {block} on, some are not free");
                return Err(Status::invalid(text));
            }
            state.set(*extent);
            if *owner != 0 {
                let (count, owner, client) = (extent.count, *owner, *client);
                state.owned.insert(extent.block, Owned { count, owner, client });
            }
        }
        Ok(())
    }

    /// Adds free blocks at the end, up to `blocks`. Errors: `CHI_NO_SPACE`.
    pub(crate) fn grow(&self, blocks: u64) -> Result<()> {
        let mut state = self.state();
        let more = words_for(blocks) - state.words.len();
        let State { words, durable, .. } = &mut *state;
        for vec in [Some(&mut *words), durable.as_mut().map(|d| &mut d.words)].into_iter().flatten()
        {
            vec.try_reserve_exact(more).map_err(|_| {
                Status::new(CHI_NO_SPACE, format!("out of memory for the map of {blocks} blocks"))
            })?;
        }
        let before = state.blocks;
        let last = state.words.len() - 1;
        state.words[last] &= !beyond(before);
        let n_words = words_for(blocks);
        state.words.resize(n_words, 0);
        state.words[n_words - 1] |= beyond(blocks);
        if let Some(durable) = &mut state.durable {
            durable.words.resize(n_words, 0);
            durable.changed.resize(n_words.div_ceil(WORDS_PER_PAGE), false);
        }
        state.free += blocks - before;
        state.blocks = blocks;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words that cover these blocks, with masks of their bits.
fn masks(Extent { mut block, count }: Extent) -> impl Iterator<Item = (usize, u64)> {
    let end = block + count;
    std::iter::from_fn(move || {
        let n = (64 - block % 64).min(end - block);
        let mask = (n > 0).then(|| ((block / 64) as usize, (u64::MAX >> (64 - n)) << (block % 64)));
        block += n;
        mask
    })
}

impl State {
    /// The first block from `from` on that is allocated, or free.
    fn next(&self, from: u64, allocated: bool) -> Option<u64> {
        let mut block = from;
        while block < self.blocks {
            let word = self.words[(block / 64) as usize];
            let word = if allocated { word } else { !word } >> (block % 64);
            if word != 0 {
                block += u64::from(word.trailing_zeros());
                return Some(block).filter(|block| *block < self.blocks);
            }
            block = (block / 64 + 1) * 64;
        }
        None
    }

    /// Divides allocated blocks by their owners.
    fn split(&self, extent: Extent, runs: &mut Vec<Run>) {
        let end = extent.block + extent.count;
        let mut block = extent.block;
        let mut add = |block, end, owner, client| {
            if block < end {
                runs.push(Run { extent: Extent { block, count: end - block }, owner, client });
            }
        };
        for (first, Owned { count, owner, client }) in self.owned.range(extent.block..end) {
            add(block, *first, 0, 0);
            add(*first, first + count, *owner, *client);
            block = first + count;
        }
        add(block, end, 0, 0);
    }

    fn range(&self, Extent { block, count }: Extent) -> Result<()> {
        let blocks = self.blocks;
        match block.checked_add(count) {
            _ if count == 0 => Err(Status::invalid("the number of blocks is 0")),
            Some(end) if end <= blocks => Ok(()),
            _ => Err(Status::invalid(format!(
                "{count} blocks from block {block} on are out of range: the device has {blocks}"
            ))),
        }
    }

    fn find_free(&mut self, extent: Extent) -> Result<()> {
        if masks(extent).all(|(index, mask)| self.words[index] & mask == mask) {
            return Ok(());
        }
        let block = (extent.block..extent.block + extent.count)
            .find(|block| self.words[(block / 64) as usize] >> (block % 64) & 1 == 0);
        let block = block.unwrap_or(extent.block);
        Err(Status::new(NOT_ALLOCATED, format!("block {block} is not allocated")))
    }

    /// Marks free blocks as allocated.
    fn set(&mut self, extent: Extent) {
        for (index, mask) in masks(extent) {
            self.words[index] |= mask;
            if let Some(durable) = &mut self.durable {
                durable.held -= u64::from((durable.words[index] & mask).count_ones());
                durable.changed[index / WORDS_PER_PAGE] = true;
            }
        }
        self.free -= extent.count;
    }

    /// Forgets who owned blocks.
    fn disown(&mut self, Extent { block, count }: Extent) {
        let end = block + count;
        loop {
            let last = self.owned.range(..end).next_back();
            let Some((first, owned)) = last.map(|(first, of)| (*first, *of)) else { return };
            let after = first + owned.count;
            if after <= block {
                return;
            }
            self.owned.remove(&first);
            if end < after {
                self.owned.insert(end, Owned { count: after - end, ..owned });
            }
            if first < block {
                self.owned.insert(first, Owned { count: block - first, ..owned });
                return;
            }
        }
    }

    fn clear(&mut self, extent: Extent) -> Result<()> {
        self.find_free(extent)?;
        for (index, mask) in masks(extent) {
            self.words[index] &= !mask;
            if let Some(durable) = &mut self.durable {
                durable.held += u64::from((durable.words[index] & mask).count_ones());
                durable.changed[index / WORDS_PER_PAGE] = true;
            }
        }
        self.free += extent.count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_blocks_are_given_out_once() {
        let map = Map::new(200).unwrap();
        let first = map.allocate(100, 0).unwrap().unwrap();
        assert_eq!(first, [Extent { block: 0, count: 100 }]);
        assert_eq!(map.allocate(100, 0).unwrap().unwrap(), [Extent { block: 100, count: 100 }]);
        let status = map.allocate(1, 0).unwrap_err();
        assert_eq!(status.code(), DEVICE_FULL);
        assert_eq!(status.message(), "cannot allocate 1 blocks: the device has 0 of 200 free");
        map.free(&[Extent { block: 10, count: 1 }, Extent { block: 190, count: 5 }]).unwrap();
        let again = map.allocate(6, 0).unwrap().unwrap();
        assert_eq!(again, [Extent { block: 10, count: 1 }, Extent { block: 190, count: 5 }]);
        assert_eq!(map.free_blocks(), 0);
        map.free(&[Extent { block: 0, count: 200 }]).unwrap();
        assert_eq!(map.free_blocks(), 200);
    }

    #[test]
    fn what_is_allocated_can_be_taken_by_another_map() {
        let map = Map::new(300).unwrap();
        map.allocate(70, 0).unwrap();
        map.allocate(10, 7).unwrap();
        map.allocate(220, 8).unwrap();
        map.free(&[Extent { block: 3, count: 60 }, Extent { block: 100, count: 100 }]).unwrap();
        let run = |block, count, owner| Run { extent: Extent { block, count }, owner, client: 0 };
        let owned = [run(70, 10, 7), run(80, 20, 8), run(200, 100, 8)];
        assert_eq!(map.owned(), owned);
        let allocated = map.allocated();
        assert_eq!(allocated, [&[run(0, 3, 0), run(63, 7, 0)][..], &owned].concat());
        let other = Map::new(300).unwrap();
        other.take(&allocated).unwrap();
        assert_eq!((other.allocated(), other.free_blocks()), (allocated, map.free_blocks()));
        assert_eq!(other.release(8).unwrap(), 120);
        for wrong in [run(69, 2, 0), run(299, 2, 0), run(250, 0, 0), run(u64::MAX, 2, 0)] {
            assert_eq!(other.take(&[wrong]).unwrap_err().code(), chimaera::abi::CHI_INVALID);
        }
        assert_eq!(Map::new(64).unwrap().allocated(), []);
    }

    #[test]
    fn blocks_of_clients_that_are_gone_are_reclaimed() {
        let map = Map::new(100).unwrap();
        map.allocate_by(10, 7, 1).unwrap();
        map.allocate_by(20, 7, 2).unwrap();
        map.allocate_by(30, 7, 0).unwrap();
        map.free(&[Extent { block: 12, count: 2 }]).unwrap();
        assert_eq!(map.reclaim(|_| false).unwrap(), 0);
        assert_eq!(map.reclaim(|client| client == 2).unwrap(), 18);
        assert_eq!(map.reclaim(|client| client == 2).unwrap(), 0);
        assert_eq!(map.free_blocks(), 60);
        assert_eq!(map.reclaim(|_| true).unwrap(), 10);
        assert_eq!(map.release(7).unwrap(), 30);
    }

    #[test]
    fn freeing_twice_frees_nothing() {
        let map = Map::new(128).unwrap();
        map.allocate(70, 0).unwrap();
        let twice = [Extent { block: 60, count: 10 }, Extent { block: 69, count: 1 }];
        let status = map.free(&twice).unwrap_err();
        assert_eq!((status.code(), status.message()), (NOT_ALLOCATED, "block 69 is not allocated"));
        assert_eq!(map.free_blocks(), 58);
        map.check(Extent { block: 0, count: 70 }).unwrap();
        assert!(map.check(Extent { block: 69, count: 2 }).is_err());
        for wrong in [Extent { block: 120, count: 9 }, Extent { block: u64::MAX, count: 2 }] {
            let status = map.check(wrong).unwrap_err();
            assert!(status.message().ends_with("out of range: the device has 128"), "{status}");
        }
        assert_eq!(
            map.check(Extent { block: 1, count: 0 }).unwrap_err().message(),
            "the number of blocks is 0"
        );
    }

    #[test]
    fn a_block_is_not_given_out_again_before_its_release_is_durable() {
        let blocks = 2 * 64 * WORDS_PER_PAGE as u64 + 10;
        let map = Map::from_file(blocks, Vec::new()).unwrap();
        let first = map.allocate(100, 0).unwrap().unwrap();
        // Nobody remembers what was allocated and freed between two commits.
        map.free(&first).unwrap();
        assert_eq!(map.allocate(blocks, 0).unwrap().unwrap(), [Extent { block: 0, count: blocks }]);
        let changes = map.take_changes().unwrap();
        assert_eq!(changes.iter().map(|change| change.page).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(changes[2].words, [(1 << 10) - 1]);
        // A crash may bring them back already.
        map.free(&[Extent { block: 5, count: 2 }]).unwrap();
        assert_eq!(map.allocate(1, 0).unwrap(), None);
        map.changes_are_durable(&changes);
        assert_eq!((map.allocate(1, 0).unwrap(), map.free_blocks()), (None, 2));
        let changes = map.take_changes().unwrap();
        assert_eq!((changes.len(), changes[0].words[0]), (1, !(3 << 5)));
        map.changes_are_lost(&changes);
        assert_eq!(map.allocate(1, 0).unwrap(), None);
        let changes = map.take_changes().unwrap();
        map.changes_are_durable(&changes);
        assert_eq!(map.allocate(2, 0).unwrap().unwrap(), [Extent { block: 5, count: 2 }]);
        assert!(map.take_changes().unwrap().len() == 1 && map.take_changes().unwrap().is_empty());
    }

    #[test]
    fn new_blocks_are_free() {
        for (before, after) in [(10, 20), (10, 64), (64, 65), (100, 40000)] {
            let map = Map::from_file(before, Vec::new()).unwrap();
            map.allocate(before, 0).unwrap().unwrap();
            map.grow(after).unwrap();
            assert_eq!(map.free_blocks(), after - before);
            let rest = [Extent { block: before, count: after - before }];
            assert_eq!(map.allocate(after - before, 0).unwrap().unwrap(), rest);
            assert_eq!(map.allocate(1, 0).unwrap_err().code(), DEVICE_FULL);
        }
    }

    #[test]
    fn blocks_with_an_owner_are_not_in_the_file() {
        let map = Map::from_file(2 * 64 * WORDS_PER_PAGE as u64, Vec::new()).unwrap();
        let first = 64 * WORDS_PER_PAGE as u64 - 100;
        map.allocate(first, 0).unwrap().unwrap();
        // Over the end of a page.
        let owned = map.allocate(200, 7).unwrap().unwrap();
        assert_eq!(owned, [Extent { block: first, count: 200 }]);
        map.allocate(1, 8).unwrap().unwrap();
        let changes = map.take_changes().unwrap();
        let bits = |change: &Change| change.words.iter().map(|w| u64::from(w.count_ones())).sum();
        let counts: Vec<u64> = changes.iter().map(bits).collect();
        assert_eq!(counts, [first, 0]);
        map.changes_are_durable(&changes);
        // A part of it is freed by number, also twice, and the rest by its owner.
        let middle = Extent { block: first + 50, count: 100 };
        map.free(&[middle]).unwrap();
        assert_eq!(map.free(&[middle]).unwrap_err().code(), NOT_ALLOCATED);
        assert!(map.free(&[Extent { block: first, count: 10 }, middle]).is_err());
        assert_eq!(map.state().owned.len(), 3);
        let free = map.free_blocks();
        assert_eq!((map.release(7).unwrap(), map.release(7).unwrap()), (100, 0));
        assert_eq!(map.free_blocks(), free + 100);
        map.check(Extent { block: first + 200, count: 1 }).unwrap();
        // They can be given out at once, since no crash brings them back.
        let rest = map.free_blocks();
        assert!(map.allocate(rest, 0).unwrap().is_some());
        assert_eq!(map.release(8).unwrap(), 1);
        assert!(map.state().owned.is_empty());
    }
}
