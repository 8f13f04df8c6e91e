//! Completions of a session whose client is another runtime: its workers do not sleep on the words of
//! tasks, but look into a ring.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use chimaera_ipc::ring::{Entry, Producer};

use super::borrowed::Borrowed;
use crate::sys::lock;

struct State {
    ring: Producer,
    /// Completions for which the ring had no room, in order.
    backlog: VecDeque<u64>,
}

/// The ring of completions of a session.
pub(crate) struct Completions {
    state: Mutex<State>,
    /// Rung when the other side is not looking.
    bell: OwnedFd,
    /// What the other runtime has lent this one, which is its module host. `None` if the client is a module host:
    /// what it sends, it sends for modules of this runtime.
    borrowed: Option<Arc<Borrowed>>,
    /// The worker of the other runtime that sends tasks here.
    pub(crate) worker: u32,
}

impl Completions {
    pub(crate) fn new(
        ring: Producer,
        bell: OwnedFd,
        borrowed: Option<Arc<Borrowed>>,
        worker: u32,
    ) -> Completions {
        let state = Mutex::new(State { ring, backlog: VecDeque::new() });
        Completions { state, bell, borrowed, worker }
    }

    /// Whether the client is a module host.
    pub(crate) fn of_modules(&self) -> bool {
        self.borrowed.is_none()
    }

    /// What the client, the daemon of this module host, has lent it.
    pub(super) fn borrowed(&self) -> Option<&Borrowed> {
        self.borrowed.as_deref()
    }

    /// Tells the client that its task at this offset is complete.
    pub(crate) fn tell(&self, offset: u64) {
        let mut state = lock(&self.state);
        state.backlog.push_back(offset);
        self.flush(&mut state);
    }

    /// Tells what could not be told before. True if some is left.
    pub(crate) fn tell_rest(&self) -> bool {
        let mut state = lock(&self.state);
        self.flush(&mut state);
        !state.backlog.is_empty()
    }

    fn flush(&self, state: &mut State) {
        while let Some(&offset) = state.backlog.front() {
            if state.ring.push(Entry::Submit { offset }).is_err() {
                break;
            }
            state.backlog.pop_front();
        }
        if state.ring.consumer_parked() {
            // It fails only if the counter is full, and then an event is already pending.
            let _ = rustix::io::write(self.bell.as_fd(), &1_u64.to_ne_bytes());
        }
    }
}
