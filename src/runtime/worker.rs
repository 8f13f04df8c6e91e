//! A worker: a thread that polls rings and lanes and runs tasks on fibers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::epoll;
use tracing::level_filters::LevelFilter;

use crate::alarms::Alarms;
use crate::cancel::Which;
use crate::container::ContainerLane;
use crate::desk::{Desk, Work};
use crate::fiber::{Context, Pause};
use crate::fibers::{switch_between_fibers, Fibers};
use crate::pollers::Pollers;
use crate::record::{Origin, Record};
use crate::shared::{Note, Order, PoolTable, Shared};
use crate::{nap, stack};

/// Tasks taken from one lane before the next has its turn.
pub(crate) const LANE_BATCH: usize = 32;
/// Records kept for reuse.
const SPARE_RECORDS: usize = 4096;
/// Rounds without work between two looks at the clock.
const ROUNDS_PER_LOOK: u32 = 64;

/// A worker. Used by its own thread only; what others may touch is its mailbox and its desk.
pub(crate) struct Worker {
    pub(crate) index: u32,
    pub(crate) shared: Arc<Shared>,
    pub(crate) fibers: Fibers,
    pub(crate) alarms: Alarms,
    /// Periodic tasks between two runs, by number.
    pub(crate) periodic: RefCell<HashMap<u64, Box<Record>>>,
    #[expect(clippy::vec_box, reason = "a record's address must not change")]
    pub(crate) records: RefCell<Vec<Box<Record>>>,
    /// The table that `own_table` keeps.
    table: Cell<*const PoolTable>,
    own_table: RefCell<Arc<PoolTable>>,
    table_version: Cell<u64>,
    /// Roots that have been given a number here.
    roots: Cell<u64>,
    /// Of the lanes on each list, how many have stood there since the last counted round.
    old_lanes: Cell<(usize, usize)>,
    /// For lanes without a monitor.
    pub(crate) lane_turn: Cell<usize>,
    /// For tasks that any container of their pool may run.
    pub(crate) container_turn: Cell<usize>,
    /// Of tasks that were told that they wait in a circle: which, by the record's address.
    pub(crate) circles: RefCell<HashMap<usize, String>>,
    /// What modules have it look at.
    pub(crate) pollers: Pollers,
    /// Whether the log has each task's start and end: its level when the runtime started.
    pub(crate) traces: bool,
    /// Counts tasks, of which a few are measured.
    pub(crate) samples: Cell<u32>,
}

thread_local! {
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// The worker that this thread is.
#[inline]
pub(crate) fn current() -> Option<&'static Worker> {
    // SAFETY: set while the worker lives, on its own thread only; callers do not keep it beyond the
    // call that they serve.
    unsafe { WORKER.get().as_ref() }
}

/// Runs a worker until the runtime ends.
pub(crate) fn run(index: u32, shared: Arc<Shared>) -> std::io::Result<()> {
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    let own = shared.mailboxes[index as usize].descriptor();
    epoll::add(shared.desks[index as usize].epoll(), own, epoll::EventData::new_u64(0), flags)?;
    let worker = Rc::new(Worker {
        index,
        shared,
        fibers: Fibers::default(),
        alarms: Alarms::default(),
        periodic: RefCell::default(),
        records: RefCell::default(),
        table: Cell::new(ptr::null()),
        own_table: RefCell::default(),
        table_version: Cell::new(0),
        roots: Cell::new(0),
        old_lanes: Cell::default(),
        lane_turn: Cell::new(index as usize),
        container_turn: Cell::new(index as usize),
        circles: RefCell::default(),
        pollers: Pollers::default(),
        traces: LevelFilter::current() == LevelFilter::TRACE,
        samples: Cell::new(0),
    });
    stack::prepare_thread()?;
    nap::prepare_thread();
    WORKER.set(Rc::as_ptr(&worker));
    switch_between_fibers(&worker);
    WORKER.set(ptr::null());
    Ok(())
}

impl Worker {
    /// The loop, on a fiber. Returns when the runtime ends.
    pub(crate) fn work(&self) {
        let mut idle_rounds = 0;
        let mut idle_since: Option<Instant> = None;
        loop {
            if self.fibers.has_ready() {
                self.context().pause(Pause::Spare);
                if self.context().retired.get() {
                    return;
                }
                (idle_rounds, idle_since) = (0, None);
                if !self.fibers.take_turn() {
                    continue;
                }
            }
            if self.round() {
                (idle_rounds, idle_since) = (0, None);
                if self.pollers.is_time() {
                    self.poll();
                }
                continue;
            }
            if self.pollers.are_armed() && self.poll() {
                (idle_rounds, idle_since) = (0, None);
                continue;
            }
            if self.shared.is_ending() {
                return;
            }
            idle_rounds += 1;
            std::hint::spin_loop();
            if idle_rounds % ROUNDS_PER_LOOK == 0 {
                let since = *idle_since.get_or_insert_with(Instant::now);
                if (since.elapsed() >= self.shared.config.spin || self.must_wait_long())
                    && !self.is_due_soon()
                {
                    self.park();
                    (idle_rounds, idle_since) = (0, None);
                }
            }
        }
    }

    /// Looks everywhere once. True when there was something to do.
    #[inline]
    fn round(&self) -> bool {
        let mut busy = false;
        while let Some(note) = self.mailbox().take() {
            busy = true;
            self.note(note);
        }
        if !self.alarms.is_empty() {
            busy |= self.ring_alarms();
            if self.alarms.are_many() {
                self.sweep_alarms();
            }
        }
        let pauses = self.fibers.pauses();
        let (lanes, late) = self.count_round();
        for _ in 0..lanes {
            let Some(lane) = self.next_lane(false) else { break };
            busy = true;
            self.serve(lane, LANE_BATCH);
            if self.fibers.pauses() != pauses {
                return true;
            }
        }
        let most = self.most_in_flight();
        let mut index = 0;
        while self.poll_ring(index, most, &mut busy) {
            if self.fibers.pauses() != pauses {
                return true;
            }
            index += 1;
        }
        if late > 0 {
            // One lane's next task when others wait for answers, else a round of them all.
            let (lanes, batch) = if busy { (1, 1) } else { (late, LANE_BATCH) };
            busy = true;
            for _ in 0..lanes {
                let Some(lane) = self.next_lane(true) else { break };
                self.serve(lane, batch);
                if self.fibers.pauses() != pauses {
                    return true;
                }
            }
        }
        busy
    }

    /// Takes the first lane off a list.
    #[inline]
    pub(crate) fn next_lane(&self, late: bool) -> Option<*const ContainerLane> {
        let mut work = self.desk().work();
        let Work { lanes, late_lanes, .. } = &mut *work;
        let lane = if late { late_lanes } else { lanes }.pop_front()?;
        let (old, old_late) = self.old_lanes.get();
        self.old_lanes.set(if late {
            (old, old_late.saturating_sub(1))
        } else {
            (old.saturating_sub(1), old_late)
        });
        Some(lane.0)
    }

    /// Counts a round once every lane that was listed at the last count has had its turn: what this
    /// worker saw before is then behind it. Returns how many lanes are listed now.
    #[inline]
    fn count_round(&self) -> (usize, usize) {
        let work = self.desk().work();
        let lanes = (work.lanes.len(), work.late_lanes.len());
        drop(work);
        let old = self.old_lanes.get();
        // Another worker may have taken some of them.
        if old.0.min(lanes.0) == 0 && old.1.min(lanes.1) == 0 {
            self.mailbox().count_round();
            self.old_lanes.set(lanes);
        }
        lanes
    }

    pub(crate) fn note(&self, note: Note) {
        match note {
            Note::Ring(ring) => self.add_ring(ring),
            Note::Drop { session } => {
                self.drop_rings(session);
                self.cancel_here(&Which::Session(session));
            }
            Note::TellWaits(answers) => self.tell_waits(&answers),
            Note::Break { fiber, turn, circle } => self.break_wait(fiber, turn, circle),
            Note::Cancel(which) => self.cancel_here(&which),
            Note::CancelAt { at, session, offset } => self.cancel_at(at, session, offset),
            Note::Marked => self.find_marked(),
            Note::Help { busy } => self.help(busy),
            Note::Share { with } => self.share(with),
            Note::Lane(lane) => self.told_of(lane.0),
            Note::CreatePool { index, answer } => {
                let wanted = &self.shared.config.pools[index];
                // SAFETY: the table is the worker's, and this is its thread.
                let made = unsafe {
                    chimaera_ipc::admin::create_pool(
                        crate::ipc_table::worker_ipc(),
                        wanted.module.as_bytes(),
                        wanted.name.as_bytes(),
                        &wanted.params,
                        wanted.containers,
                    )
                };
                // It fails only when the start has been given up.
                let _ = answer.send(made.map(|_| ()).map_err(|(_, message)| message));
            }
            Note::CloseAll => {
                // What modules do at their end, they do as a task: it may hold locks.
                let record = self.record(Origin::Internal);
                self.context().record.set(std::ptr::from_ref(&*record).cast_mut());
                self.shared.pools.close_all(self);
                self.context().record.set(ptr::null_mut());
                if !record.holdings.is_empty() {
                    self.leave_locks(&record);
                }
                self.recycle(record);
                self.shared.order(Order::PoolsClosed);
            }
            Note::Wake { fiber, turn } => self.wake(fiber, turn),
        }
    }

    pub(crate) fn mailbox(&self) -> &crate::shared::Mailbox {
        &self.shared.mailboxes[self.index as usize]
    }

    /// What this worker serves.
    #[inline]
    pub(crate) fn desk(&self) -> &Desk {
        &self.shared.desks[self.index as usize]
    }

    /// Puts one of this worker's own lanes on the list, once.
    pub(crate) fn list(&self, lane: &ContainerLane) {
        self.desk().list(self.index, lane);
    }

    /// A number for the root of a task, unique in the runtime and neither 0 nor the largest.
    pub(crate) fn fresh_root(&self) -> u64 {
        self.roots.set(self.roots.get() + 1);
        u64::from(self.index) << 54 | self.roots.get()
    }

    /// The pools that are open for tasks. To be asked anew after a module's code has run, which may come
    /// back here and find another table.
    #[inline]
    pub(crate) fn table(&self) -> &PoolTable {
        let version = self.shared.table_version();
        if version != self.table_version.get() {
            self.renew_table(version);
        }
        // SAFETY: the worker keeps the table until it is called here again, on this thread, and finds a
        // newer one; the caller has done with it by then.
        unsafe { &*self.table.get() }
    }

    #[cold]
    fn renew_table(&self, version: u64) {
        let table = self.shared.table();
        self.table.set(Arc::as_ptr(&table));
        self.table_version.set(version);
        *self.own_table.borrow_mut() = table;
    }

    /// The fiber that is running.
    #[inline]
    pub(crate) fn context(&self) -> &Context {
        self.fibers.context()
    }

    /// A record, fresh or used before.
    #[inline(always)]
    pub(crate) fn record(&self, origin: Origin) -> Box<Record> {
        match self.records.borrow_mut().pop() {
            Some(mut record) => {
                record.renew(origin);
                record
            }
            None => Record::new(origin, 64).expect("a small body needs no memory of its own"),
        }
    }

    /// Takes a record back.
    #[inline(always)]
    pub(crate) fn recycle(&self, mut record: Box<Record>) {
        record.clear();
        let mut records = self.records.borrow_mut();
        if records.len() < SPARE_RECORDS {
            records.push(record);
        }
    }

    /// Counts a completed task on the status page.
    #[inline]
    pub(crate) fn count(&self, failed: bool) {
        let line = &self.shared.page().lines[self.index as usize];
        line.tasks.store(line.tasks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if failed {
            line.failed.store(line.failed.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}
