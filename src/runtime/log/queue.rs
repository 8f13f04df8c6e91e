//! Lines on their way to the thread that writes the log.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::output::Output;
use crate::sys::lock;

/// How many bytes of lines wait for the writer at most.
const ROOM: usize = 256 << 10;

/// How long a thread waits until its line is written. Usually that is the time of the write itself,
/// so that the log is complete whatever ends the process.
const PATIENCE: Duration = Duration::from_millis(100);

/// After it has waited in vain, nobody waits for this long: a log that hangs costs a thread at most
/// a hundredth of its time.
const HASTE: Duration = Duration::from_secs(10);

/// What the writer does with the output, in order.
pub(super) enum Entry {
    /// Writes a line. So many before it have been lost for want of room.
    Line { text: String, lost: u64 },
    /// Does something else.
    Job(Box<dyn FnOnce(&mut Output) + Send>),
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The bytes of their lines.
    bytes: usize,
    /// How many entries have been accepted, and how many are done with.
    accepted: u64,
    done: u64,
    /// The lines refused since the last one that was accepted.
    refused: u64,
    /// Until when nobody waits.
    haste: Option<Instant>,
    closed: bool,
}

/// The queue. `[any thread]`
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    progress: Condvar,
}

impl Queue {
    /// Adds a line, unless there is no room, and waits until it is written, but not for long.
    /// Returns whether there was room.
    pub(super) fn put(&self, line: &str) -> bool {
        let mut state = lock(&self.state);
        if state.bytes + line.len() > ROOM && !state.entries.is_empty() {
            state.refused += 1;
            return false;
        }
        state.bytes += line.len();
        let lost = std::mem::take(&mut state.refused);
        state = self.add(state, Entry::Line { text: line.to_owned(), lost });
        let now = Instant::now();
        if state.haste.is_some_and(|until| now < until) {
            return true;
        }
        let (mut state, written) = self.wait(state, PATIENCE);
        if !written {
            state.haste = Some(now + PATIENCE + HASTE);
        }
        true
    }

    /// Has the writer do something else, and waits for that, within `bound`.
    pub(super) fn run(&self, job: impl FnOnce(&mut Output) + Send + 'static, bound: Duration) {
        let state = self.add(lock(&self.state), Entry::Job(Box::new(job)));
        drop(self.wait(state, bound));
    }

    /// Waits until everything is written, within `bound`.
    pub(super) fn flush(&self, bound: Duration) {
        drop(self.wait(lock(&self.state), bound));
    }

    /// Nothing more will be added.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_one();
    }

    fn add<'s>(&'s self, mut state: MutexGuard<'s, State>, entry: Entry) -> MutexGuard<'s, State> {
        state.entries.push_back(entry);
        state.accepted += 1;
        self.filled.notify_one();
        state
    }

    /// Waits until all that has been accepted so far is done. Returns whether it is.
    fn wait<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        bound: Duration,
    ) -> (MutexGuard<'s, State>, bool) {
        let (all, until) = (state.accepted, Instant::now() + bound);
        while state.done < all {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return (state, false);
            }
            let woken = self.progress.wait_timeout(state, rest);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        (state, true)
    }

    /// Runs `take` with each entry, in order, until the queue is closed and empty.
    pub(super) fn drain(&self, mut take: impl FnMut(Entry)) {
        let mut state = lock(&self.state);
        loop {
            if let Some(entry) = state.entries.pop_front() {
                if let Entry::Line { text, .. } = &entry {
                    state.bytes -= text.len();
                }
                drop(state);
                take(entry);
                state = lock(&self.state);
                state.done += 1;
                self.progress.notify_all();
            } else if state.closed {
                return;
            } else {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{mpsc, Arc};

    use super::*;

    /// The lines that a queue delivers, after a first entry that takes until something arrives.
    fn delivered(queue: Arc<Queue>, go_on: mpsc::Receiver<()>) -> Vec<(String, u64)> {
        let mut lines = Vec::new();
        queue.drain(|entry| match entry {
            Entry::Line { text, lost } => {
                if lines.is_empty() {
                    go_on.recv().unwrap();
                }
                lines.push((text, lost));
            }
            Entry::Job(_) => unreachable!(),
        });
        lines
    }

    #[test]
    fn who_finds_no_room_is_counted_where_the_line_is_missing() {
        let queue = Arc::new(Queue::default());
        let (own, (let_go, go_on)) = (queue.clone(), mpsc::channel());
        let writer = std::thread::spawn(move || delivered(own, go_on));
        // Waited for in vain. The others are not waited for.
        assert!(queue.put("first"));
        let long = "x".repeat(ROOM / 4);
        let accepted = (0..10).filter(|_| queue.put(&long)).count();
        assert!((3..=4).contains(&accepted), "{accepted}");
        let_go.send(()).unwrap();
        queue.flush(Duration::from_secs(60));
        assert!(queue.put("last"));
        queue.close();
        let lines = writer.join().unwrap();
        assert_eq!(lines.len(), accepted + 2);
        assert_eq!(lines[0], ("first".to_owned(), 0));
        assert!(lines[1..=accepted].iter().all(|line| *line == (long.clone(), 0)));
        assert_eq!(lines[accepted + 1], ("last".to_owned(), 10 - accepted as u64));
    }

    #[test]
    fn a_line_longer_than_the_queue_passes_alone() {
        let queue = Arc::new(Queue::default());
        let (own, (let_go, go_on)) = (queue.clone(), mpsc::channel());
        let writer = std::thread::spawn(move || delivered(own, go_on));
        let_go.send(()).unwrap();
        let long = "x".repeat(2 * ROOM);
        assert!(queue.put(&long));
        queue.close();
        assert_eq!(writer.join().unwrap(), [(long, 0)]);
    }
}
