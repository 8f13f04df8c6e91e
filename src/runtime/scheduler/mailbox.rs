//! Mailboxes: messages from other threads to a worker, and commands to the control thread.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::given_up::GivenUp;
use super::listed::{Asked, Listed};
use super::loot::Loot;
use crate::pool::{Hold, LanePtr, Loss, Release};
use crate::session::{Ring, SessionRef, SuspendedAs};
use crate::sync::{WaitId, Waits};
use crate::task::CancelScope;
use chimaera_abi::chi_pool_id;
use chimaera_ipc::sleep::Sleeper;
use crossbeam_queue::SegQueue;
use rustix::event::EventfdFlags;

/// The workers' answers to a question from the watchdog.
#[derive(Debug, Default)]
pub(crate) struct Answers<T> {
    /// How many workers have answered.
    pub(crate) workers: usize,
    pub(crate) found: T,
}

/// A question from the watchdog, to which the workers add their answers.
pub(crate) type Question<T> = Arc<Mutex<Answers<T>>>;

/// The offsets of held tasks, by session, and the question that is answered once they are accepted.
pub(crate) type HeldTasks = (Vec<(SessionRef, Vec<u64>)>, Question<()>);

/// A message to a worker.
pub(crate) enum WorkerMessage {
    /// Poll this ring.
    AddRing(Box<Ring>),
    /// Drop a session's rings and cancel its tasks.
    DropSession { session: u64 },
    /// Another worker has queued a task in this lane, which the receiver owns.
    Lane(LanePtr),
    /// Run this as a task of the runtime's own, which does the work of this method of the admin
    /// pool.
    Run(u32, Box<dyn FnOnce() + Send>),
    /// The wait of this coroutine with this tag is over.
    Wake { coroutine: u32, tag: u32 },
    /// Report which tasks wait for what.
    ReportWaits(Question<Waits>),
    /// Describe those of these waits that belong to coroutines of the receiver.
    DescribeWaits(Arc<Vec<WaitId>>, Question<Vec<(WaitId, String)>>),
    /// Describe some of the tasks of this pool that are suspended on the receiver.
    DescribeTasks(chi_pool_id, Question<Vec<String>>),
    /// Name the receiver's tasks, and say that it has.
    ListTasks(Arc<Asked>, Question<Listed>),
    /// Look whether to measure every task, or a sample.
    Measure,
    /// End this wait, which is part of a deadlock.
    BreakWait { id: WaitId, circle: String },
    /// Cancel the tasks in this scope that are suspended on the receiver.
    Cancel(CancelScope),
    /// Cancel a client's task, if it is suspended on the receiver.
    CancelTask { as_what: SuspendedAs, session: u64, offset: u64 },
    /// Look for suspended tasks that are marked as cancelled.
    CancelMarked,
    /// A container is in quarantine: stop calling its pollers.
    RemovePollers { pool: chi_pool_id, container: u32 },
    /// Give up the rings and the held tasks of clients.
    GiveUp(Question<GivenUp>),
    /// Accept these tasks of clients, whose offsets another process has accepted and held.
    AcceptHeld(Box<HeldTasks>),
    /// Hold the tasks of a pool.
    Hold(Arc<Hold>),
    /// Submit held tasks of this pool again: some may go on.
    Retry(chi_pool_id),
    /// Submit all held tasks of a pool again.
    Release(Arc<Release>),
    /// Steal the work waiting for this worker, which a method keeps busy.
    StealFrom { busy: u32 },
    /// Give half of the receiver's work to this worker, which is idle.
    ShareWith { idle: u32 },
    /// Take over what another worker has given away.
    TakeOver(Box<Loot>),
    /// Give this worker whatever can move: the receiver is no longer needed.
    Rest { to: u32 },
}

// Completions of subtasks send messages, too, and copy them twice.
const _: () = assert!(std::mem::size_of::<WorkerMessage>() <= 48);

/// The part of a worker that other threads use.
pub(crate) struct Mailbox {
    messages: SegQueue<WorkerMessage>,
    sleeper: Sleeper,
    wake: OwnedFd,
    /// How many rounds the worker has completed. In each it has read its messages and finished with
    /// the parts of pools that it was using.
    rounds: AtomicU64,
    /// A `CancelMarked` message is pending.
    marked: AtomicBool,
}

impl Mailbox {
    pub(super) fn new() -> std::io::Result<Mailbox> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Mailbox {
            messages: SegQueue::new(),
            sleeper: Sleeper::default(),
            wake,
            rounds: AtomicU64::new(0),
            marked: AtomicBool::new(false),
        })
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.wake
    }

    /// Sends a message, and wakes the worker if it is parked.
    pub(crate) fn send(&self, message: WorkerMessage) {
        self.messages.push(message);
        self.wake();
    }

    /// Makes the worker look for tasks that were marked as cancelled. One message suffices however
    /// many there are.
    pub(super) fn cancel_marked(&self) {
        if !self.marked.swap(true, Ordering::AcqRel) {
            self.send(WorkerMessage::CancelMarked);
        }
    }

    /// Records that the worker is about to look for marked tasks. Tasks that are marked from now on
    /// need another message.
    pub(super) fn begin_cancel_marked(&self) {
        self.marked.swap(false, Ordering::AcqRel);
    }

    /// Wakes the worker if it is parked.
    pub(super) fn wake(&self) {
        if self.sleeper.must_wake() {
            // It fails only if the counter is full, and then the event is already pending.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    /// The next message. Most rounds find none, and to see that costs less than to try to take one, which
    /// takes a fence.
    #[inline]
    pub(super) fn take(&self) -> Option<WorkerMessage> {
        if self.messages.is_empty() {
            return None;
        }
        self.messages.pop()
    }

    /// True if there are messages that the worker has not read.
    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Counts a round. Only the worker itself calls this.
    #[inline]
    pub(super) fn count_round(&self) {
        self.rounds.store(self.rounds.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Announces that the worker is about to park. False if there is a message after all.
    pub(super) fn park(&self) -> bool {
        self.sleeper.park();
        self.messages.is_empty()
    }

    pub(super) fn unpark(&self) {
        self.sleeper.unpark();
    }

    /// True if the worker is parked or about to park.
    pub(super) fn is_parked(&self) -> bool {
        self.sleeper.must_wake()
    }
}

/// A command to the control thread.
pub(crate) enum ControlCommand {
    /// End this session; the reason goes to the log.
    EndSession { session: u64, reason: String },
    /// Stop the runtime.
    Stop,
    /// A worker has destroyed this pool for the control thread, or has given up on it.
    PoolClosed(chi_pool_id),
    /// A pool has been destroyed because the runtime stops, but not as it should have been; the sentence says why.
    CloseFailed(String),
    /// The code that was creating or destroying this pool crashed, as `why` says, and the pool is
    /// gone.
    PoolAbandoned { pool: String, why: String },
    /// The task that was replacing containers of this pool was abandoned. `why` is a sentence.
    ReplacementAbandoned { pool: String, why: String },
    /// Tell the dependants of a pool what became of it.
    Tell(Box<Loss>),
}
