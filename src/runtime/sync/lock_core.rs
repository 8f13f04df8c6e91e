//! The core of a lock that suspends: who holds it, who waits, and who is next.
//!
//! Roots hold it, not tasks: all tasks that one task led to pass together. A word is enough as long as
//! one task has the lock for itself and nobody waits; everything else is in a state under a mutex,
//! which is held for a few instructions only.
//!
//! Roots are served in the order in which they came, and readers do not overtake a waiting writer. Only
//! a root that is inside already passes at once: its tasks may be what the lock's release waits for.

use std::collections::{BTreeMap, VecDeque};

#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(all(loom, test))]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::{Mutex, MutexGuard};

/// The word of a lock that nobody holds.
const FREE: u64 = 0;
/// The word of a lock whose holders and waiters are in the state. Any other word is the root that
/// holds it exclusively, with one task, and the state is empty.
const IN_STATE: u64 = u64::MAX;

/// What a task wants with the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Others that share it, too, may be inside.
    Shared,
    /// No other root may be inside.
    Exclusive,
}

/// How many tasks of a root are inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) shared: u32,
    pub(crate) exclusive: u32,
}

impl Inside {
    pub(crate) fn of(&mut self, mode: Mode) -> &mut u32 {
        match mode {
            Mode::Shared => &mut self.shared,
            Mode::Exclusive => &mut self.exclusive,
        }
    }
}

/// What an attempt to enter came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The task is inside.
    Inside,
    /// The task stands in the queue, under this number.
    Queued(u64),
    /// The lock is being freed.
    Closed,
}

/// How a task that waits stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is inside, and not in the queue any more.
    Inside,
    /// It waits on.
    Waiting,
    /// The lock is being freed; the task still has to give up its place in the queue.
    Closed,
}

struct Waiting<W> {
    ticket: u64,
    root: u64,
    mode: Mode,
    waiter: W,
}

struct State<W> {
    inside: BTreeMap<u64, Inside>,
    /// The root that holds the lock exclusively, or 0.
    writer: u64,
    /// In the order of their tickets.
    queue: VecDeque<Waiting<W>>,
    /// How many tasks of each root stand in the queue.
    queued: BTreeMap<u64, u32>,
    /// How many in the queue are of roots that are inside.
    insiders: u32,
    next_ticket: u64,
    closed: bool,
}

impl<W: Copy> State<W> {
    fn may_pass(&self, root: u64, mode: Mode) -> bool {
        match mode {
            Mode::Shared => self.writer == 0 || self.writer == root,
            Mode::Exclusive => match self.inside.len() {
                0 => true,
                1 => self.inside.contains_key(&root),
                _ => false,
            },
        }
    }

    /// Lets a task in whose turn it is already.
    fn pass(&mut self, root: u64, mode: Mode) -> bool {
        let in_turn = self.queue.is_empty() || self.inside.contains_key(&root);
        let passes = !self.closed && in_turn && self.may_pass(root, mode);
        if passes {
            self.let_in(root, mode);
        }
        passes
    }

    fn let_in(&mut self, root: u64, mode: Mode) {
        let queued = &self.queued;
        let insiders = &mut self.insiders;
        let inside = self.inside.entry(root).or_insert_with(|| {
            *insiders += queued.get(&root).copied().unwrap_or(0);
            Inside::default()
        });
        *inside.of(mode) += 1;
        if mode == Mode::Exclusive {
            self.writer = root;
        }
    }

    fn let_out(&mut self, root: u64, mode: Mode) {
        let inside = self.inside.get_mut(&root).expect("only who is inside leaves");
        *inside.of(mode) -= 1;
        let rest = *inside;
        if rest.exclusive == 0 && self.writer == root {
            self.writer = 0;
        }
        if rest == Inside::default() {
            self.inside.remove(&root);
            self.insiders -= self.queued.get(&root).copied().unwrap_or(0);
        }
    }

    fn queue_up(&mut self, root: u64, mode: Mode, waiter: W) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.queue.push_back(Waiting { ticket, root, mode, waiter });
        *self.queued.entry(root).or_default() += 1;
        self.insiders += u32::from(self.inside.contains_key(&root));
        ticket
    }

    fn position(&self, ticket: u64) -> Option<usize> {
        self.queue.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }

    fn take_from_queue(&mut self, index: usize) -> Waiting<W> {
        let waiting = self.queue.remove(index).expect("the caller found it there");
        let root = waiting.root;
        self.insiders -= u32::from(self.inside.contains_key(&root));
        let count = self.queued.get_mut(&root).expect("who is in the queue is counted");
        *count -= 1;
        if *count == 0 {
            self.queued.remove(&root);
        }
        waiting
    }

    /// Lets in whoever can be: from the front of the queue up to the first who must wait, and beyond
    /// it those whose root is inside.
    fn advance(&mut self) -> Vec<W> {
        let mut woken = Vec::new();
        if self.closed {
            return woken;
        }
        let (mut index, mut blocked) = (0, false);
        while index < self.queue.len() && !(blocked && self.insiders == 0) {
            let Waiting { root, mode, .. } = self.queue[index];
            let in_turn = !blocked || self.inside.contains_key(&root);
            if in_turn && self.may_pass(root, mode) {
                woken.push(self.take_from_queue(index).waiter);
                self.let_in(root, mode);
            } else {
                blocked = true;
                index += 1;
            }
        }
        woken
    }
}

/// The core of a lock. `W` says how to wake who waits.
pub(crate) struct Core<W: Copy> {
    word: AtomicU64,
    state: Mutex<State<W>>,
}

/// The state while it is in use.
struct Opened<'a, W: Copy> {
    word: &'a AtomicU64,
    state: MutexGuard<'a, State<W>>,
}

impl<W: Copy> Drop for Opened<'_, W> {
    /// Goes back to the word alone, where that is enough.
    fn drop(&mut self) {
        let state = &mut *self.state;
        if state.closed || !state.queue.is_empty() || state.inside.len() > 1 {
            return;
        }
        let word = match state.inside.first_key_value() {
            None => FREE,
            Some((&root, &Inside { shared: 0, exclusive: 1 })) => root,
            Some(_) => return,
        };
        state.inside.clear();
        state.writer = 0;
        self.word.store(word, Ordering::Release);
    }
}

impl<W: Copy> Core<W> {
    pub(crate) fn new() -> Core<W> {
        Core {
            word: AtomicU64::new(FREE),
            state: Mutex::new(State {
                inside: BTreeMap::new(),
                writer: 0,
                queue: VecDeque::new(),
                queued: BTreeMap::new(),
                insiders: 0,
                next_ticket: 0,
                closed: false,
            }),
        }
    }

    fn open(&self) -> Opened<'_, W> {
        #[cfg(not(all(loom, test)))]
        let mut state = crate::sys::mutex::lock(&self.state);
        #[cfg(all(loom, test))]
        let mut state = self.state.lock().unwrap();
        let found = self.word.swap(IN_STATE, Ordering::AcqRel);
        if found != FREE && found != IN_STATE {
            state.let_in(found, Mode::Exclusive);
        }
        Opened { word: &self.word, state }
    }

    fn take_word(&self, root: u64, mode: Mode) -> bool {
        mode == Mode::Exclusive
            && self.word.compare_exchange(FREE, root, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Enters if that needs no waiting.
    pub(crate) fn try_enter(&self, root: u64, mode: Mode) -> bool {
        if self.take_word(root, mode) {
            return true;
        }
        let mut opened = self.open();
        let state = &mut *opened.state;
        state.pass(root, mode)
    }

    /// Enters, or queues up; who is let in later is woken by way of `waiter`.
    pub(crate) fn enter(&self, root: u64, mode: Mode, waiter: W) -> Entry {
        let mut opened = self.open();
        let state = &mut *opened.state;
        if state.closed {
            return Entry::Closed;
        }
        if state.pass(root, mode) {
            return Entry::Inside;
        }
        Entry::Queued(state.queue_up(root, mode, waiter))
    }

    /// How a task stands that was queued; `waiter` is what wakes it from now on.
    pub(crate) fn stand(&self, ticket: u64, waiter: W) -> Standing {
        let mut opened = self.open();
        let state = &mut *opened.state;
        match state.position(ticket) {
            None => Standing::Inside,
            Some(_) if state.closed => Standing::Closed,
            Some(index) => {
                state.queue[index].waiter = waiter;
                Standing::Waiting
            }
        }
    }

    /// Gives up a place in the queue, and says who must be woken because of that; `None` when the task
    /// is inside meanwhile.
    pub(crate) fn give_up(&self, ticket: u64) -> Option<Vec<W>> {
        let mut opened = self.open();
        let state = &mut *opened.state;
        let index = state.position(ticket)?;
        state.take_from_queue(index);
        Some(state.advance())
    }

    /// A task of `root` leaves. Returns who must be woken.
    pub(crate) fn leave(&self, root: u64, mode: Mode) -> Vec<W> {
        if mode == Mode::Exclusive
            && self.word.compare_exchange(root, FREE, Ordering::Release, Ordering::Relaxed).is_ok()
        {
            return Vec::new();
        }
        let mut opened = self.open();
        let state = &mut *opened.state;
        state.let_out(root, mode);
        state.advance()
    }

    /// Lets nobody in any more. Returns who must be woken: all that wait.
    pub(crate) fn close(&self) -> Vec<W> {
        let mut opened = self.open();
        let state = &mut *opened.state;
        state.closed = true;
        state.queue.iter().map(|waiting| waiting.waiter).collect()
    }

    /// The roots that are inside, with how many tasks.
    pub(crate) fn inside(&self) -> Vec<(u64, Inside)> {
        self.open().state.inside.iter().map(|(&root, &inside)| (root, inside)).collect()
    }
}

#[cfg(test)]
mod tests;
