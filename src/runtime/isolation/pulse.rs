//! Whether the process of a host answers. A process that was stopped, or hangs in the kernel, cannot end a
//! method that takes too long (`kill_after`), so the daemon must notice; without that bound, it says so.

use std::time::{Duration, Instant};

use chimaera_ipc::wire::{Kind, Message};

use crate::host::{Host, Peer};

/// How often to look, while the process has something to do.
const LOOK: Duration = Duration::from_secs(1);
/// How much longer than a method a process may take, and how long it may be silent without a word about it:
/// on a busy machine it may get no processor for a while.
const GRACE: Duration = Duration::from_secs(5);
/// What is said of a process that does not answer.
pub(super) const SILENT: &str =
    "has not answered for 5 s longer than a method may take (kill_after), and was killed";

/// The pulse of a process.
pub(super) struct Pulse {
    /// How long it may be silent.
    bound: Option<Duration>,
    /// The question that has not been answered.
    asked: Option<(u64, Instant)>,
    /// When it was last felt for.
    last: Option<Instant>,
}

impl Pulse {
    pub(super) fn new(kill_after: Option<Duration>) -> Pulse {
        Pulse { bound: kill_after.map(|bound| bound + GRACE), asked: None, last: None }
    }

    /// When to feel for it again, if the process has something to do.
    pub(super) fn next_look(&self, host: &Host) -> Option<Duration> {
        (self.asked.is_some() || self.last.is_some() || host.is_watched()).then_some(LOOK)
    }

    /// Asks the process for a sign of life while it has tasks, or is asked for its states. False if it has
    /// given none for too long.
    pub(super) fn is_felt(&mut self, host: &Host, peer: &Peer) -> bool {
        if let Some((number, since)) = self.asked {
            if peer.take_answer(number).is_none() {
                if since.elapsed() >= GRACE && host.set_silent(since) {
                    let pool = &*host.orders.name;
                    tracing::warn!(
                        pool,
                        pid = peer.pid,
                        "a module host does not answer: it was stopped, or hangs"
                    );
                }
                return self.bound.is_none_or(|bound| since.elapsed() < bound);
            }
            peer.forget(number);
            self.asked = None;
            if let Some(since) = host.end_silence() {
                let (pool, silent_ms) = (&*host.orders.name, since.elapsed().as_millis() as u64);
                tracing::info!(pool, pid = peer.pid, silent_ms, "a module host answers again");
            }
        }
        if self.last.is_some_and(|last| last.elapsed() < LOOK) {
            return true;
        }
        if peer.in_flight() > 0 || host.is_saving() {
            let number = peer.ask();
            let now = Instant::now();
            (self.asked, self.last) = (Some((number, now)), Some(now));
            peer.tell(&Message::new(Kind::Pulse, &[number]), &[]);
        } else if host.is_watched() {
            // It is looked at once more: whoever has found it watched may be about to send a task.
            host.rest();
            self.last = Some(Instant::now());
        } else {
            self.last = None;
        }
        true
    }
}
