//! Which blocks are in use by requests, so that none sees a block that another is writing.
//!
//! Operating systems promise nothing about a read and a write of the same bytes at the same time: a
//! read can return the first half of a block from before the write and the second from after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chimaera::module::Event;
use chimaera::Result;
use chimaera_bdev_client::Extent;

/// The claims of all requests of a device. A claim waits for those that came before it and conflict
/// with it, so claims are granted in order, and none waits forever.
#[derive(Default)]
pub(crate) struct Ranges {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Option<Entry>>,
    vacant: Vec<usize>,
    arrivals: u64,
    exclusive: usize,
    waiting: usize,
}

struct Entry {
    first: u64,
    end: u64,
    exclusive: bool,
    arrival: u64,
    /// How many conflicting claims came before and are still held.
    ahead: usize,
    /// Set when there are none left.
    granted: Option<Arc<Event>>,
}

impl Entry {
    fn conflicts(&self, other: &Entry) -> bool {
        (self.exclusive || other.exclusive) && self.first < other.end && other.first < self.end
    }
}

/// The right to use blocks, until it is dropped.
pub(crate) struct Claim<'a> {
    ranges: &'a Ranges,
    index: usize,
}

impl Ranges {
    /// Claims blocks for reading. Suspends the task while a request writes one of them.
    pub(crate) fn share(&self, extent: Extent) -> Result<Claim<'_>> {
        self.claim(extent, false)
    }

    /// Claims blocks for writing. Suspends the task while another request uses one of them.
    pub(crate) fn exclude(&self, extent: Extent) -> Result<Claim<'_>> {
        self.claim(extent, true)
    }

    fn claim(&self, Extent { block, count }: Extent, exclusive: bool) -> Result<Claim<'_>> {
        let mut state = self.state();
        let arrival = state.arrivals;
        let end = block.saturating_add(count);
        let mut entry = Entry { first: block, end, exclusive, arrival, ahead: 0, granted: None };
        // Readers among readers need not look.
        if exclusive || state.exclusive > 0 {
            entry.ahead = state.entries.iter().flatten().filter(|e| entry.conflicts(e)).count();
        }
        let granted = match entry.ahead {
            0 => None,
            _ => Some(Arc::new(Event::new()?)),
        };
        entry.granted.clone_from(&granted);
        state.arrivals += 1;
        state.exclusive += usize::from(exclusive);
        state.waiting += usize::from(granted.is_some());
        let index = match state.vacant.pop() {
            Some(index) => {
                state.entries[index] = Some(entry);
                index
            }
            None => {
                state.entries.push(Some(entry));
                state.entries.len() - 1
            }
        };
        drop(state);
        // Given up by its drop, if the task cannot wait.
        let claim = Claim { ranges: self, index };
        if let Some(granted) = granted {
            granted.wait_uninterrupted()?;
        }
        Ok(claim)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the state half updated.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes a claim. Returns the events of those that waited only for it.
    fn remove(&mut self, index: usize) -> Vec<Arc<Event>> {
        let Some(gone) = self.entries[index].take() else { return Vec::new() };
        self.vacant.push(index);
        self.exclusive -= usize::from(gone.exclusive);
        self.waiting -= usize::from(gone.granted.is_some());
        if self.waiting == 0 {
            return Vec::new();
        }
        let behind = self.entries.iter_mut().flatten();
        let behind = behind.filter(|entry| entry.arrival > gone.arrival && entry.conflicts(&gone));
        let granted = behind.filter_map(|entry| {
            entry.ahead -= 1;
            if entry.ahead > 0 {
                return None;
            }
            entry.granted.take()
        });
        let granted: Vec<_> = granted.collect();
        self.waiting -= granted.len();
        granted
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let granted = self.ranges.state().remove(self.index);
        granted.iter().for_each(|event| event.set());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(block: u64, count: u64) -> Extent {
        Extent { block, count }
    }

    /// Outside a runtime nothing can wait, so a claim that would have to is refused.
    #[test]
    fn only_readers_share_blocks() {
        let ranges = Ranges::default();
        let reads = [ranges.share(extent(0, 4)).unwrap(), ranges.share(extent(2, 4)).unwrap()];
        assert!(ranges.exclude(extent(5, 1)).is_err());
        let write = ranges.exclude(extent(6, 2)).unwrap();
        assert!(ranges.share(extent(7, 1)).is_err());
        assert!(ranges.exclude(extent(0, 100)).is_err());
        assert!(ranges.share(extent(5, 1)).is_ok());
        drop((reads, write));
        assert!(ranges.exclude(extent(0, u64::MAX)).is_ok());
        let state = ranges.state();
        assert_eq!((state.exclusive, state.waiting), (0, 0));
        assert!(state.entries.iter().all(Option::is_none) && state.entries.len() == 4);
    }
}
