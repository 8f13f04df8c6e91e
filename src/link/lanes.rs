//! What is known of another node, and the way of each class to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::queue::Queue;
use crate::wire::{Content, Frame, Sock, HEADER};
use crate::{Class, Peer, PeerState, Refused};

/// The first pause before a failed connection is tried again; each next is twice as long.
const BACKOFF: Duration = Duration::from_millis(20);
/// The longest pause.
const BACKOFF_MOST: Duration = Duration::from_secs(1);

/// Locks, also after a panic of a handler: nothing here is left half changed by one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a pause grows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    fails: u32,
    pub(crate) until: Option<Instant>,
}

impl Backoff {
    pub(crate) fn fail(&mut self, now: Instant) {
        let pause = BACKOFF.saturating_mul(1 << self.fails.min(10)).min(BACKOFF_MOST);
        self.fails += 1;
        self.until = Some(now + pause);
    }

    pub(crate) fn over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

pub(crate) enum State {
    Down,
    /// This side connects, by the connection of that token.
    Dialing(u64),
    Up(Arc<Sock>),
    /// This side has said goodbye and waits for the other's; nothing else is opened until then.
    Closing(u64),
}

/// The way of one class to one node.
pub(crate) struct Lane {
    pub(crate) state: State,
    /// Frames that wait for a connection.
    pub(crate) waiting: Queue,
    /// Since when.
    pub(crate) since: Option<Instant>,
    pub(crate) backoff: Backoff,
    /// Why the last connection failed.
    pub(crate) why: String,
    /// The other side has given up its attempts up to this one, in its present life.
    pub(crate) stale: u64,
    /// When a message was last sent.
    pub(crate) used: Instant,
}

/// Another node.
pub(crate) struct Entry {
    pub(crate) node: u64,
    pub(crate) addr: Mutex<Option<SocketAddr>>,
    pub(crate) life: Mutex<Life>,
    lanes: [Mutex<Lane>; 3],
    sent: [AtomicU64; 2],
    received: [AtomicU64; 2],
    pub(crate) breaks: AtomicU64,
}

/// What the I/O thread notes of it.
#[derive(Default)]
pub(crate) struct Life {
    pub(crate) peer: Option<Arc<Peer>>,
    pub(crate) connected: Option<Instant>,
    pub(crate) heard: Option<Instant>,
    pub(crate) round_trip: Option<Duration>,
}

impl Entry {
    pub(crate) fn new(node: u64) -> Entry {
        let lane = || {
            Mutex::new(Lane {
                state: State::Down,
                waiting: Queue::default(),
                since: None,
                backoff: Backoff::default(),
                why: String::new(),
                stale: 0,
                used: Instant::now(),
            })
        };
        Entry {
            node,
            addr: Mutex::new(None),
            life: Mutex::default(),
            lanes: [lane(), lane(), lane()],
            sent: Default::default(),
            received: Default::default(),
            breaks: AtomicU64::new(0),
        }
    }

    pub(crate) fn lane(&self, class: Class) -> MutexGuard<'_, Lane> {
        lock(&self.lanes[class.index()])
    }

    /// Accepts a message or refuses it; whether the I/O thread has to be told.
    pub(crate) fn send(
        &self,
        class: Class,
        content: &Content<'_>,
        length: usize,
        limit: usize,
    ) -> Result<bool, Refused> {
        let mut lane = self.lane(class);
        let full = |queued| Err(Refused::Full { node: self.node, queued, limit });
        let mut tell = false;
        if let State::Up(sock) = &lane.state {
            match sock.put(Frame::Message, content, limit) {
                Ok(Ok(())) => {}
                Ok(Err(queued)) => return full(queued),
                // The message goes with the connection. Its end is told by the I/O thread.
                Err(_) => sock.sever(),
            }
        } else {
            let queued = lane.waiting.len();
            if queued != 0 && queued + HEADER + length > limit {
                return full(queued);
            }
            content.queue(&Frame::Message.header(length), 0, &mut lane.waiting);
            tell = lane.since.is_none();
            lane.since.get_or_insert_with(Instant::now);
        }
        lane.used = Instant::now();
        drop(lane);
        self.sent[0].fetch_add(1, Relaxed);
        self.sent[1].fetch_add(length as u64, Relaxed);
        Ok(tell)
    }

    pub(crate) fn count_received(&self, length: usize) {
        self.received[0].fetch_add(1, Relaxed);
        self.received[1].fetch_add(length as u64, Relaxed);
    }

    /// Whether any class has a connection.
    pub(crate) fn is_up(&self) -> bool {
        Class::ALL
            .iter()
            .any(|class| matches!(self.lane(*class).state, State::Up(_) | State::Closing(_)))
    }

    pub(crate) fn state(&self) -> PeerState {
        let mut queued = [0; 3];
        let mut open = [false; 3];
        for class in Class::ALL {
            let lane = self.lane(class);
            queued[class.index()] = lane.waiting.len();
            if let State::Up(sock) = &lane.state {
                queued[class.index()] += sock.queued();
                open[class.index()] = true;
            }
        }
        let pair =
            |counters: &[AtomicU64; 2]| (counters[0].load(Relaxed), counters[1].load(Relaxed));
        let life = lock(&self.life);
        PeerState {
            node: self.node,
            peer: life.peer.as_deref().cloned(),
            connected: life.connected,
            heard: life.heard.map(|heard| heard.elapsed()),
            round_trip: life.round_trip,
            queued,
            open,
            sent: pair(&self.sent),
            received: pair(&self.received),
            breaks: self.breaks.load(Relaxed),
        }
    }
}
