//! A worker's desk: the rings and lanes that it serves. They are its own, except while it runs a
//! module's code: that may take long, and another worker may then take them over.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chimaera_abi::chi_task_node;
use chimaera_ipc::ring::Consumer;
use rustix::event::epoll;

use crate::container::ContainerLane;
use crate::fences;
use crate::lock;
use crate::record::Record;
use crate::session::Session;
use crate::shared::LanePtr;

/// A ring that a worker polls.
pub(crate) struct Ring {
    pub(crate) session: Arc<Session>,
    pub(crate) consumer: Consumer,
    /// Submissions that wait, in their order, until fewer of the session's tasks are under way. What came
    /// behind them and is none, such as cancellations, has passed them.
    pub(crate) held: VecDeque<u64>,
}

impl Ring {
    pub(crate) fn new(session: Arc<Session>, consumer: Consumer) -> Ring {
        Ring { session, consumer, held: VecDeque::new() }
    }
}

/// What lies on a desk.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) rings: Vec<Ring>,
    /// Own lanes with tasks to start.
    pub(crate) lanes: VecDeque<LanePtr>,
    /// The same, of those whose tasks' latency does not matter.
    pub(crate) late_lanes: VecDeque<LanePtr>,
}

/// What a worker runs, in one word: 0 for the runtime's own code, else which method of which pool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running(u32);

impl Running {
    const MODULE: u32 = 1 << 31;
    pub(crate) const RUNTIME: Running = Running(0);

    /// A method, below 4096, of the pool in a slot, below 65536.
    #[inline]
    pub(crate) fn method(slot: u32, method: u32) -> Running {
        Running(Running::MODULE | slot << 12 | method)
    }

    /// The pool's slot and the method's number.
    pub(crate) fn parts(self) -> Option<(u32, u32)> {
        (self.0 != 0).then_some(((self.0 & !Running::MODULE) >> 12, self.0 & 0xfff))
    }
}

/// A worker's desk.
#[repr(align(128))]
pub(crate) struct Desk {
    running: AtomicU32,
    /// Where the task that runs, or ran last, stands in the tree of tasks.
    depth: AtomicU32,
    root: AtomicU64,
    /// The session that it, or its root, came from.
    session: AtomicU64,
    /// Another worker is taking things off the desk, and holds `taking`.
    thief: AtomicBool,
    work: RefCell<Work>,
    taking: Mutex<()>,
    /// Nanoseconds of work that is estimated to wait for this worker, in tasks that take long.
    pub(crate) load: AtomicU64,
    /// Counts waits without bound that tasks of this worker have begun.
    waits: AtomicU64,
    /// A method keeps the worker from its desk, the watch says.
    pub(crate) busy: AtomicBool,
    epoll: OwnedFd,
}

// SAFETY: `work` is used by the worker itself while it runs the runtime's code, and by a thief while
// it does not; `take_from` and `leave_module` see to that.
unsafe impl Sync for Desk {}
// SAFETY: as above; what lies on the desk may be used by any worker.
unsafe impl Send for Desk {}

impl Desk {
    pub(crate) fn new() -> std::io::Result<Desk> {
        Ok(Desk {
            running: AtomicU32::new(0),
            depth: AtomicU32::new(0),
            root: AtomicU64::new(0),
            session: AtomicU64::new(0),
            thief: AtomicBool::new(false),
            work: RefCell::default(),
            taking: Mutex::new(()),
            load: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// What the worker runs.
    pub(crate) fn running(&self) -> Running {
        Running(self.running.load(Ordering::Acquire))
    }

    /// The session of the task that runs, and where it stands in the tree of tasks, when it runs for long.
    pub(crate) fn node(&self) -> (u64, chi_task_node) {
        let (root_, depth_) = (&self.root, &self.depth);
        let (root_, depth_) = (root_.load(Ordering::Relaxed), depth_.load(Ordering::Relaxed));
        (self.session.load(Ordering::Relaxed), chi_task_node { root_, depth_, node_: 0 })
    }

    /// Which task runs, for those who watch.
    #[inline]
    pub(crate) fn show(&self, record: &Record) {
        let node = record.node();
        self.root.store(node.root_, Ordering::Relaxed);
        self.depth.store(node.depth_, Ordering::Relaxed);
        self.session.store(record.session, Ordering::Relaxed);
    }

    pub(crate) fn epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// What lies here. For the worker itself, outside of modules' code.
    #[inline]
    pub(crate) fn work(&self) -> RefMut<'_, Work> {
        debug_assert!(self.running.load(Ordering::Relaxed) == 0, "a thief may be at the desk");
        self.work.borrow_mut()
    }

    /// The worker is about to run a module's code, and does not touch its desk meanwhile.
    #[inline]
    pub(crate) fn enter_module(&self, running: Running) {
        self.running.store(running.0, Ordering::Release);
    }

    /// The worker comes back from a module's code. Returns what it ran.
    #[inline]
    pub(crate) fn leave_module(&self) -> Running {
        let before = self.running.load(Ordering::Relaxed);
        self.running.store(0, Ordering::Relaxed);
        // Either the thief sees that the worker is back, or the worker sees the thief.
        fences::light();
        if self.thief.load(Ordering::Acquire) {
            self.let_thief_finish();
        }
        Running(before)
    }

    #[cold]
    fn let_thief_finish(&self) {
        drop(lock(&self.taking));
    }

    /// Has `f` take things off this desk of another worker, unless that worker is there itself.
    pub(crate) fn take_from(&self, f: impl FnOnce(&mut Work)) {
        let Ok(guard) = self.taking.try_lock() else { return };
        self.thief.store(true, Ordering::Relaxed);
        fences::heavy();
        if self.running() != Running::RUNTIME {
            f(&mut self.work.borrow_mut());
        }
        self.thief.store(false, Ordering::Release);
        drop(guard);
    }

    /// A task of this worker begins a wait without bound.
    pub(crate) fn count_wait(&self) {
        self.waits.store(self.waits.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// How many there have been.
    pub(crate) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Acquire)
    }

    /// Watches a session's doorbell.
    pub(crate) fn watch(&self, session: &Session) -> rustix::io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(session.number);
        match epoll::add(&self.epoll, &session.doorbell, data, flags) {
            Err(rustix::io::Errno::EXIST) => Ok(()),
            other => other,
        }
    }

    /// Does not watch it any more.
    pub(crate) fn unwatch(&self, session: &Session) {
        // It fails only when the doorbell was never added.
        let _ = epoll::delete(&self.epoll, session.doorbell.as_fd());
    }

    /// Tells the clients that the worker is about to sleep. False when there is an entry after all.
    pub(crate) fn park_rings(&self) -> bool {
        let mut all_empty = true;
        for ring in &mut self.work().rings {
            all_empty &= ring.consumer.park() && ring.held.is_empty();
        }
        all_empty
    }

    /// Tells them that it is awake.
    pub(crate) fn unpark_rings(&self) {
        self.work().rings.iter_mut().for_each(|ring| ring.consumer.unpark());
    }

    /// Puts a lane on the list, once.
    pub(crate) fn list(&self, me: u32, lane: &ContainerLane) {
        if lane.list(me) {
            let mut work = self.work();
            let Work { lanes, late_lanes, .. } = &mut *work;
            let list = if lane.high_latency { late_lanes } else { lanes };
            list.push_back(LanePtr(lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_method_fits_a_word() {
        let running = Running::method(65535, 4095);
        assert_eq!(running.parts(), Some((65535, 4095)));
        assert_eq!(Running::method(1, 0).parts(), Some((1, 0)));
        assert_eq!(Running::RUNTIME.parts(), None);
    }

    /// A worker goes in and out of modules' code and uses its desk between; a thief takes from it.
    /// Nobody is ever there together with the other, or `RefCell` panics.
    #[test]
    fn the_worker_and_a_thief_are_never_at_the_desk_together() {
        fences::prepare();
        let desk = Desk::new().unwrap();
        let stop = AtomicBool::new(false);
        let taken = std::thread::scope(|scope| {
            let thief = scope.spawn(|| {
                let mut taken = 0;
                while !stop.load(Ordering::Relaxed) {
                    desk.take_from(|work| taken += work.lanes.drain(..).count());
                    std::thread::yield_now();
                }
                taken
            });
            let mut left = 0;
            for round in 0..200_000 {
                desk.work().lanes.push_back(LanePtr(std::ptr::null()));
                desk.enter_module(Running::method(2, 10));
                if round % 64 == 0 {
                    std::thread::yield_now();
                }
                desk.leave_module();
                left += usize::from(desk.work().lanes.pop_front().is_some());
            }
            stop.store(true, Ordering::Relaxed);
            left += desk.work().lanes.len();
            left + thief.join().unwrap()
        });
        assert_eq!(taken, 200_000);
    }
}
