//! A link: a session in another process's runtime, as the worker that sends tasks through it sees it.
//!
//! The other runtime is not trusted. Whatever it writes into the segment, the worst that happens is that
//! tasks which were sent through this link have wrong outcomes.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;

use chimaera_abi::{chi_task, CHI_TASK_CANCEL, CHI_TASK_COMPLETE};
use chimaera_ipc::arena::{Arena, Failed};
use chimaera_ipc::layout::RING_SLOTS;
use chimaera_ipc::ring::{Consumer, Entry, Full, Producer};
use chimaera_ipc::segment::Mapping;

use crate::sync::Waiter;
use crate::sys::{lock, Guard};

/// A task that was sent.
#[derive(Default)]
struct Flight {
    waiter: Option<Waiter>,
    done: bool,
}

struct State {
    arena: Arena,
    submissions: Producer,
    completions: Consumer,
    /// By offset. The other side cannot choose the offsets.
    in_flight: HashMap<u64, Flight, foldhash::fast::RandomState>,
    /// The other side rings for the next completion.
    resting: bool,
}

/// A link. Only one worker sends tasks through it.
pub(crate) struct Link {
    /// Declared before the mapping, so that it is dropped first.
    _guard: Guard,
    mapping: Mapping,
    /// Wakes the other side's worker.
    doorbell: OwnedFd,
    /// The other side rings it for completions.
    bell: OwnedFd,
    state: Mutex<State>,
    lost: AtomicBool,
}

impl Link {
    /// A link through a new session with one ring.
    pub(crate) fn new(mapping: Mapping, guard: Guard, doorbell: OwnedFd, bell: OwnedFd) -> Link {
        let layout = *mapping.layout();
        let arena = layout.client_arena;
        let state = State {
            arena: Arena::new(arena, layout.runtime_arena - arena),
            submissions: Producer::new(mapping.ring(0)),
            completions: Consumer::new(mapping.ring(layout.rings - 1)),
            in_flight: HashMap::default(),
            resting: false,
        };
        let (state, lost) = (Mutex::new(state), AtomicBool::new(false));
        Link { _guard: guard, mapping, doorbell, bell, state, lost }
    }

    /// A link to nobody, with a small segment.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn without_peer() -> std::io::Result<Link> {
        use rustix::event::{eventfd, EventfdFlags};
        let layout = chimaera_ipc::layout::Layout::of(chimaera_ipc::layout::MIN_SEGMENT);
        let segment = chimaera_ipc::segment::create(&layout)?;
        let mapping = Mapping::new(segment.as_fd(), layout)?;
        let (doorbell, bell) =
            (eventfd(0, EventfdFlags::CLOEXEC)?, eventfd(0, EventfdFlags::CLOEXEC)?);
        let guard = Guard::new(&mapping, doorbell.as_fd())
            .ok_or_else(|| std::io::Error::other("too many segments"))?;
        Ok(Link::new(mapping, guard, doorbell, bell))
    }

    /// Writes bytes over the arena from which parcels are allocated, as the other side may at any time.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn overwrite(&self, bytes: &[u8]) {
        let layout = *self.mapping.layout();
        let len = bytes.len().min((layout.runtime_arena - layout.client_arena) as usize);
        // SAFETY: the arena is inside the segment, and has room for `len` bytes.
        unsafe {
            let to = self.mapping.address(layout.client_arena).as_ptr();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, len);
        }
    }

    pub(super) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The descriptor that becomes readable when there may be completions.
    pub(crate) fn bell(&self) -> &OwnedFd {
        &self.bell
    }

    /// True once the other process is gone.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(super) fn alloc(&self, size: u64) -> Result<u64, Failed> {
        lock(&self.state).arena.alloc(size).map(|(block, _)| block)
    }

    /// How many blocks are in use.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn blocks(&self) -> u64 {
        lock(&self.state).arena.live()
    }

    pub(super) fn free(&self, blocks: &[u64]) {
        let mut state = lock(&self.state);
        for block in blocks {
            let freed = state.arena.free(*block);
            debug_assert!(freed, "a parcel's blocks were allocated once");
        }
    }

    /// Sends the task at this offset.
    pub(crate) fn submit(&self, offset: u64) -> Result<(), Full> {
        let mut state = lock(&self.state);
        state.in_flight.insert(offset, Flight::default());
        let sent = state.submissions.push(Entry::Submit { offset });
        match sent {
            Ok(()) => self.notify(&state),
            Err(Full) => drop(state.in_flight.remove(&offset)),
        }
        sent
    }

    /// Wakes the other side if it is asleep.
    fn notify(&self, state: &State) {
        if state.submissions.consumer_parked() {
            // It fails only if the counter is full, and then an event is already pending.
            let _ = rustix::io::write(self.doorbell.as_fd(), &1_u64.to_ne_bytes());
        }
    }

    /// Has `waiter` woken when the task at this offset is complete. False if it is, or the link is lost.
    pub(crate) fn wait_for(&self, offset: u64, waiter: Waiter) -> bool {
        let mut state = lock(&self.state);
        match state.in_flight.get_mut(&offset) {
            Some(flight) if !flight.done && !self.is_lost() => {
                flight.waiter = Some(waiter);
                true
            }
            _ => false,
        }
    }

    /// Whether the task at this offset is complete, or the link is lost.
    pub(crate) fn has_ended(&self, offset: u64) -> bool {
        self.is_lost() || lock(&self.state).in_flight.get(&offset).is_none_or(|flight| flight.done)
    }

    /// Asks for the cancellation of the task at this offset, which is in flight. False if the ring is full.
    pub(crate) fn cancel(&self, offset: u64) -> bool {
        let mut state = lock(&self.state);
        if state.in_flight.get(&offset).is_none_or(|flight| flight.done) {
            return true;
        }
        // SAFETY: a task in flight is in the segment, aligned to 64.
        let word =
            unsafe { self.mapping.word(offset + std::mem::offset_of!(chi_task, state_) as u64) };
        let ask = |state: u32| (state & CHI_TASK_COMPLETE == 0).then_some(state | CHI_TASK_CANCEL);
        if word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, ask).is_err() {
            return true;
        }
        let sent = state.submissions.push(Entry::Cancel { offset }).is_ok();
        self.notify(&state);
        sent
    }

    /// Forgets a task that has ended.
    pub(crate) fn forget(&self, offset: u64) {
        lock(&self.state).in_flight.remove(&offset);
    }

    /// Releases results. False if the ring is full.
    pub(crate) fn release(&self, hold: u32) -> bool {
        let mut state = lock(&self.state);
        let sent = state.submissions.push(Entry::Release { hold }).is_ok();
        self.notify(&state);
        sent
    }

    /// How many tasks have not ended.
    pub(crate) fn in_flight(&self) -> usize {
        lock(&self.state).in_flight.len()
    }

    /// Looks for completions, and returns whom they wake. `None` if there are none.
    pub(crate) fn look(&self) -> Option<Vec<Waiter>> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let mut woken = Vec::new();
        let mut any = false;
        // The other side could go on writing entries.
        for _ in 0..RING_SLOTS {
            let Some(entry) = state.completions.pop() else { break };
            any = true;
            let Some(Entry::Submit { offset }) = entry else { continue };
            if let Some(flight) = state.in_flight.get_mut(&offset) {
                flight.done = true;
                woken.extend(flight.waiter.take());
            }
        }
        if !any {
            return None;
        }
        if std::mem::take(&mut state.resting) {
            state.completions.unpark();
        }
        state.completions.show_progress();
        Some(woken)
    }

    /// Has the other side ring for the next completion, until one is found. False if there is one already.
    pub(crate) fn rest(&self) -> bool {
        let mut state = lock(&self.state);
        if !state.resting {
            state.resting = state.completions.rest();
        }
        // Those that have come since the last look have not been looked at.
        state.resting && state.completions.is_empty()
    }

    /// Records that the other process is gone. Returns who waits.
    pub(crate) fn lose(&self) -> Vec<Waiter> {
        self.lost.store(true, Ordering::Release);
        let mut state = lock(&self.state);
        state.in_flight.values_mut().filter_map(|flight| flight.waiter.take()).collect()
    }
}
