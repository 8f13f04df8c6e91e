//! What the threads of a runtime share.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use chimaera_abi::chi_pool_id;
use chimaera_ipc::sleep::Sleeper;
use chimaera_ipc::status_page::{Page, Writer};
use crossbeam_queue::SegQueue;
use rustix::event::EventfdFlags;

use crate::broadcast::ReplicaBytes;
use crate::cancel::Which;
use crate::config::Config;
use crate::container::ContainerLane;
use crate::deadlock::Answers;
use crate::desk::{Desk, Ring};
use crate::lock;
use crate::module::Modules;
use crate::pool::Pool;
use crate::pools::Pools;
use crate::session::{At, Session};
use crate::throttle::Throttle;
use crate::watch::Watch;

/// The pools that are open for tasks, by slot. Replaced as a whole; workers keep the one they know
/// until they see a newer version.
#[derive(Default)]
pub(crate) struct PoolTable {
    slots: Vec<Option<Arc<Pool>>>,
}

impl PoolTable {
    pub(crate) fn in_slot(&self, slot: u32) -> Option<&Arc<Pool>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn get(&self, id: chi_pool_id) -> Option<&Pool> {
        let pool = self.slots.get(id.major_ as usize)?.as_ref()?;
        (pool.id.minor_ == id.minor_).then_some(pool)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.slots.iter().flatten()
    }

    /// The same table with one slot changed.
    pub(crate) fn with(&self, slot: u32, pool: Option<Arc<Pool>>) -> PoolTable {
        let mut slots = self.slots.clone();
        let slot = slot as usize;
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots[slot] = pool;
        PoolTable { slots }
    }
}

/// A lane on its way to its owner.
pub(crate) struct LanePtr(pub(crate) *const ContainerLane);

// SAFETY: a lane outlives the tasks in it, and the message says that there are some; its owner looks
// before it touches anything else.
unsafe impl Send for LanePtr {}

/// What another thread tells a worker.
pub(crate) enum Note {
    /// Serve this ring.
    Ring(Ring),
    /// Let go of a session's rings.
    Drop { session: u64 },
    /// Another worker has queued a task in this lane, which is yours.
    Lane(LanePtr),
    /// Create the pool of this index in the configuration, and say how that went.
    CreatePool { index: usize, answer: Sender<Result<(), String>> },
    /// Destroy all pools: the runtime ends.
    CloseAll,
    /// The fiber's wait of this turn is over.
    Wake { fiber: u32, turn: u32 },
    /// Tell the watch who waits for whom.
    TellWaits(Arc<Mutex<Answers>>),
    /// The fiber's wait of this turn is part of a circle: end it.
    Break { fiber: u32, turn: u32, circle: String },
    /// Cancel these tasks, as far as they rest here.
    Cancel(Which),
    /// Cancel a client's task, if it rests here.
    CancelAt { at: At, session: u64, offset: u64 },
    /// Look for tasks that are marked as cancelled.
    Marked,
    /// A method keeps this worker busy: take over what waits for it.
    Help { busy: u32 },
    /// This worker is idle: give it half of your work.
    Share { with: u32 },
}

/// A worker's side that other threads see.
pub(crate) struct Mailbox {
    notes: SegQueue<Note>,
    sleeper: Sleeper,
    wake: OwnedFd,
    /// How often the worker has looked at its notes and held nothing that belongs to a pool.
    rounds: AtomicU64,
    /// There is a note to look for marked tasks.
    marked: AtomicBool,
}

impl Mailbox {
    pub(crate) fn new() -> std::io::Result<Mailbox> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Mailbox {
            notes: SegQueue::new(),
            sleeper: Sleeper::default(),
            wake,
            rounds: AtomicU64::new(0),
            marked: AtomicBool::new(false),
        })
    }

    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.wake
    }

    /// Leaves a note and wakes the worker if it sleeps.
    pub(crate) fn send(&self, note: Note) {
        self.notes.push(note);
        self.wake();
    }

    /// Has the worker look for tasks that were marked as cancelled. However many there are, one note will
    /// do.
    pub(crate) fn tell_marked(&self) {
        if !self.marked.swap(true, Ordering::AcqRel) {
            self.send(Note::Marked);
        }
    }

    /// The worker is about to look for them. Those that are marked from now on get another note.
    pub(crate) fn forget_marked(&self) {
        self.marked.swap(false, Ordering::AcqRel);
    }

    /// Makes the worker look around.
    pub(crate) fn wake(&self) {
        if self.sleeper.must_wake() {
            // It fails only when the counter is full, and then the event has long been raised.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    pub(crate) fn take(&self) -> Option<Note> {
        self.notes.pop()
    }

    /// True when there are notes that the worker has not read.
    pub(crate) fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    /// The worker has looked at its notes.
    #[inline]
    pub(crate) fn count_round(&self) {
        self.rounds.store(self.rounds.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Says that the worker is about to sleep. False when there is a note after all.
    pub(crate) fn park(&self) -> bool {
        self.sleeper.park();
        self.notes.is_empty()
    }

    pub(crate) fn unpark(&self) {
        self.sleeper.unpark();
    }

    /// True when the worker sleeps, or is about to.
    pub(crate) fn is_parked(&self) -> bool {
        self.sleeper.must_wake()
    }
}

/// What the control thread is told.
pub(crate) enum Order {
    /// End this session, and say why in the log.
    Kill { session: u64, reason: String },
    /// End the runtime.
    Stop,
    /// All pools are destroyed.
    PoolsClosed,
}

/// What the threads of a runtime share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) modules: Modules,
    pub(crate) pools: Pools,
    pub(crate) replicas: ReplicaBytes,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) desks: Vec<Desk>,
    pub(crate) watch: Watch,
    pub(crate) throttle: Throttle,
    /// Fibers of all workers.
    pub(crate) fibers: AtomicUsize,
    page: Writer,
    table: Mutex<Arc<PoolTable>>,
    table_version: AtomicU64,
    orders: SegQueue<Order>,
    sessions: Mutex<Vec<Arc<Session>>>,
    /// Wakes the control thread.
    pub(crate) control: OwnedFd,
    /// Workers end once they have nothing left to do.
    ending: AtomicBool,
    /// The runtime is stopping: what has not started does not start any more.
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn new(config: Config, modules: Modules, page: Writer) -> std::io::Result<Shared> {
        let mailboxes = (0..config.workers).map(|_| Mailbox::new()).collect::<Result<_, _>>()?;
        let desks = (0..config.workers).map(|_| Desk::new()).collect::<Result<_, _>>()?;
        let control = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Shared {
            config,
            modules,
            pools: Pools::new(),
            replicas: ReplicaBytes::default(),
            mailboxes,
            desks,
            watch: Watch::default(),
            throttle: Throttle::default(),
            fibers: AtomicUsize::new(0),
            page,
            table: Mutex::default(),
            table_version: AtomicU64::new(1),
            orders: SegQueue::new(),
            sessions: Mutex::default(),
            control,
            ending: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        })
    }

    pub(crate) fn page(&self) -> &Page {
        self.page.page()
    }

    #[inline]
    pub(crate) fn table_version(&self) -> u64 {
        self.table_version.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self) -> Arc<PoolTable> {
        lock(&self.table).clone()
    }

    /// Puts a pool into its slot, or takes it out.
    pub(crate) fn set_pool(&self, slot: u32, pool: Option<Arc<Pool>>) {
        let mut table = lock(&self.table);
        *table = Arc::new(table.with(slot, pool));
        let count = table.iter().count() as u32;
        self.page().pools.store(count, Ordering::Relaxed);
        self.table_version.fetch_add(1, Ordering::Release);
    }

    /// The sessions that are connected.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).clone()
    }

    pub(crate) fn add_session(&self, session: Arc<Session>) {
        let page = self.page();
        page.sessions_total.fetch_add(1, Ordering::Relaxed);
        let mut sessions = lock(&self.sessions);
        sessions.push(session);
        page.sessions.store(sessions.len() as u32, Ordering::Relaxed);
    }

    pub(crate) fn remove_session(&self, number: u64) {
        let mut sessions = lock(&self.sessions);
        sessions.retain(|session| session.number != number);
        self.page().sessions.store(sessions.len() as u32, Ordering::Relaxed);
    }

    pub(crate) fn order(&self, order: Order) {
        self.orders.push(order);
        // It fails only when the counter is full, and then the event has long been raised.
        let _ = rustix::io::write(&self.control, &1_u64.to_ne_bytes());
    }

    pub(crate) fn take_order(&self) -> Option<Order> {
        self.orders.pop()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    pub(crate) fn end_workers(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.mailboxes.iter().for_each(Mailbox::wake);
        self.watch.wake();
    }
}
