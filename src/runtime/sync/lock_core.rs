//! The core of a lock that suspends tasks: which roots hold it, which tasks are waiting, and which
//! enters next.
//!
//! Roots hold the lock, not tasks: all tasks that descend from one task are let in together. While
//! one task holds the lock exclusively and no task waits, a single atomic word suffices; everything
//! else is in a state under a mutex, which is held for only a few instructions.
//!
//! Roots are served in order of arrival, and readers do not overtake a waiting writer. Only a root
//! that is already inside enters at once: the release of the lock may depend on its tasks.

use std::collections::{BTreeMap, VecDeque};

#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(all(loom, test))]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::{Mutex, MutexGuard};

/// The word of a free lock.
const FREE: u64 = 0;
/// The word of a lock whose holders and waiters are in the state. Any other word is the root that
/// holds the lock exclusively, with one task, while the state is empty.
const IN_STATE: u64 = u64::MAX;

/// How a task enters the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Other roots may be inside, if they share it too.
    Shared,
    /// No other root may be inside.
    Exclusive,
}

/// How many tasks of a root are inside, by mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) shared: u32,
    pub(crate) exclusive: u32,
}

impl Inside {
    pub(super) fn of(&mut self, mode: Mode) -> &mut u32 {
        match mode {
            Mode::Shared => &mut self.shared,
            Mode::Exclusive => &mut self.exclusive,
        }
    }
}

/// The result of an attempt to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The task is inside.
    Inside,
    /// The task is in the queue, with this ticket.
    Queued(u64),
    /// The lock is being freed.
    Closed,
}

/// The state of a task that was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is inside, and no longer in the queue.
    Inside,
    /// It is still waiting.
    Waiting,
    /// The lock is being freed; the task still has to leave the queue with `give_up`.
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
    /// Sorted by ticket.
    queue: VecDeque<Waiting<W>>,
    /// How many tasks of each root are in the queue.
    queued: BTreeMap<u64, u32>,
    /// How many tasks in the queue belong to roots that are inside.
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

    /// Lets a task in if the mode allows it, and its root is inside or no task is queued.
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
        let inside = self.inside.get_mut(&root).expect("only a root that is inside leaves");
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
        let count = self.queued.get_mut(&root).expect("a root in the queue is counted");
        *count -= 1;
        if *count == 0 {
            self.queued.remove(&root);
        }
        waiting
    }

    /// Lets in all tasks that may enter: those from the front of the queue up to the first that
    /// must wait, and those behind it whose root is inside. Returns their waiters.
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

/// The core of a lock. `W` identifies a waiter to be woken.
pub(crate) struct Core<W: Copy> {
    word: AtomicU64,
    state: Mutex<State<W>>,
}

/// The state while it is locked.
struct Opened<'a, W: Copy> {
    word: &'a AtomicU64,
    state: MutexGuard<'a, State<W>>,
}

impl<W: Copy> Drop for Opened<'_, W> {
    /// Returns to using the word alone, if that suffices.
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
    pub(super) fn new() -> Core<W> {
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

    /// Enters, if the task does not have to wait.
    pub(crate) fn try_enter(&self, root: u64, mode: Mode) -> bool {
        if self.take_word(root, mode) {
            return true;
        }
        let mut opened = self.open();
        let state = &mut *opened.state;
        state.pass(root, mode)
    }

    /// Enters, or joins the queue; `waiter` is woken when the task is let in.
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

    /// The state of a task that was queued. From now on, `waiter` is woken for it.
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

    /// Leaves the queue. Returns the waiters that must be woken as a result; `None` if the task is
    /// already inside.
    pub(crate) fn give_up(&self, ticket: u64) -> Option<Vec<W>> {
        let mut opened = self.open();
        let state = &mut *opened.state;
        let index = state.position(ticket)?;
        state.take_from_queue(index);
        Some(state.advance())
    }

    /// Takes a task of `root` out of the lock. Returns the waiters that must be woken.
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

    /// Lets no further task in. Returns all queued waiters, which must be woken.
    pub(crate) fn close(&self) -> Vec<W> {
        let mut opened = self.open();
        let state = &mut *opened.state;
        state.closed = true;
        state.queue.iter().map(|waiting| waiting.waiter).collect()
    }

    /// The roots that are inside, and how many of their tasks are.
    pub(crate) fn inside(&self) -> Vec<(u64, Inside)> {
        self.open().state.inside.iter().map(|(&root, &inside)| (root, inside)).collect()
    }
}

#[cfg(test)]
mod tests;
