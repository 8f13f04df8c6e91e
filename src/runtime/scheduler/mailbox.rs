//! What other threads tell a worker, and what workers tell the control thread.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::pool::LanePtr;
use crate::session::{Ring, SuspendedAs};
use crate::sync::{WaitId, Waits};
use crate::task::CancelScope;
use chimaera_ipc::sleep::Sleeper;
use crossbeam_queue::SegQueue;
use rustix::event::EventfdFlags;

/// What workers answer to a question of the watchdog's.
#[derive(Default)]
pub(crate) struct Answers<T> {
    /// How many workers have answered.
    pub(crate) workers: usize,
    pub(crate) found: T,
}

/// A question of the watchdog's, answered in place.
pub(super) type Question<T> = Arc<Mutex<Answers<T>>>;

/// What another thread tells a worker.
pub(crate) enum WorkerMessage {
    /// Serve this ring.
    AddRing(Ring),
    /// Let go of a session's rings, and cancel its tasks.
    DropSession { session: u64 },
    /// Another worker has queued a task in this lane, which is yours.
    Lane(LanePtr),
    /// Run this as a task of the runtime's own.
    Run(Box<dyn FnOnce() + Send>),
    /// The wait of this coroutine with this tag is over.
    Wake { coroutine: u32, tag: u32 },
    /// Say who waits for whom.
    ReportWaits(Question<Waits>),
    /// Put these waits into words, as far as they are yours.
    DescribeWaits(Arc<Vec<WaitId>>, Question<Vec<(WaitId, String)>>),
    /// This wait is part of a circle: end it.
    BreakWait { id: WaitId, circle: String },
    /// Cancel these tasks, as far as they rest here.
    Cancel(CancelScope),
    /// Cancel a client's task, if it rests here.
    CancelTask { as_what: SuspendedAs, session: u64, offset: u64 },
    /// Look for tasks that are marked as cancelled.
    CancelMarked,
    /// A method keeps this worker busy: take over what waits for it.
    StealFrom { busy: u32 },
    /// This worker is idle: give it half of your work.
    ShareWith { idle: u32 },
}

/// A worker's side that other threads see.
pub(crate) struct Mailbox {
    messages: SegQueue<WorkerMessage>,
    sleeper: Sleeper,
    wake: OwnedFd,
    /// How often the worker has looked at its messages and held nothing that belongs to a pool.
    rounds: AtomicU64,
    /// There is a message to look for marked tasks.
    marked: AtomicBool,
}

impl Mailbox {
    pub(crate) fn new() -> std::io::Result<Mailbox> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Mailbox {
            messages: SegQueue::new(),
            sleeper: Sleeper::default(),
            wake,
            rounds: AtomicU64::new(0),
            marked: AtomicBool::new(false),
        })
    }

    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.wake
    }

    /// Leaves a message and wakes the worker if it is parked.
    pub(crate) fn send(&self, message: WorkerMessage) {
        self.messages.push(message);
        self.wake();
    }

    /// Has the worker look for tasks that were marked as cancelled. However many there are, one message will
    /// do.
    pub(crate) fn cancel_marked(&self) {
        if !self.marked.swap(true, Ordering::AcqRel) {
            self.send(WorkerMessage::CancelMarked);
        }
    }

    /// The worker is about to look for them. Those that are marked from now on get another message.
    pub(crate) fn begin_cancel_marked(&self) {
        self.marked.swap(false, Ordering::AcqRel);
    }

    /// Makes the worker look around.
    pub(crate) fn wake(&self) {
        if self.sleeper.must_wake() {
            // It fails only when the counter is full, and then the event has long been raised.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    pub(crate) fn take(&self) -> Option<WorkerMessage> {
        self.messages.pop()
    }

    /// True when there are messages that the worker has not read.
    pub(crate) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// The worker has looked at its messages.
    #[inline]
    pub(crate) fn count_round(&self) {
        self.rounds.store(self.rounds.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Says that the worker is about to park. False when there is a message after all.
    pub(crate) fn park(&self) -> bool {
        self.sleeper.park();
        self.messages.is_empty()
    }

    pub(crate) fn unpark(&self) {
        self.sleeper.unpark();
    }

    /// True when the worker is parked, or is about to.
    pub(crate) fn is_parked(&self) -> bool {
        self.sleeper.must_wake()
    }
}

/// What the control thread is told.
pub(crate) enum ControlCommand {
    /// End this session, and say why in the log.
    EndSession { session: u64, reason: String },
    /// End the runtime.
    Stop,
    /// All pools are destroyed.
    PoolsClosed,
}
