//! Whether the process of a host answers. A process that was stopped, or hangs in the kernel, cannot end a
//! method that takes too long (`kill_after`), so the daemon must notice.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use chimaera_ipc::wire::{self, Kind, Message};

use crate::host::Peer;

/// How often to look, if methods are bounded.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How much longer than a method a process may take: on a busy machine it may get no processor for a while.
const GRACE: Duration = Duration::from_secs(5);
/// What is said of a process that does not answer.
pub(super) const SILENT: &str =
    "has not answered for 5 s longer than a method may take (kill_after), and was killed";

/// The pulse of a process whose methods are bounded.
pub(super) struct Pulse {
    bound: Duration,
    asked: Option<(u64, Instant)>,
}

impl Pulse {
    pub(super) fn new(kill_after: Duration) -> Pulse {
        Pulse { bound: kill_after + GRACE, asked: None }
    }

    /// Asks the process for a sign of life while it has tasks. False if it has given none for too long.
    pub(super) fn is_felt(&mut self, peer: &Peer) -> bool {
        if let Some((number, since)) = self.asked {
            if peer.take_answer(number).is_none() {
                return since.elapsed() < self.bound;
            }
            peer.forget(number);
            self.asked = None;
        }
        if peer.in_flight() > 0 {
            let number = peer.ask();
            self.asked = Some((number, Instant::now()));
            // If it fails, the process is gone, or has read nothing for long.
            let _ = wire::send(peer.socket.as_fd(), &Message::new(Kind::Pulse, &[number]), &[]);
        }
        true
    }
}
