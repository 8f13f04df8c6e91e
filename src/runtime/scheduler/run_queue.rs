//! A worker's run queue: the rings and lanes that it serves. Only the worker itself uses them,
//! except while it runs module code: that may take long, so another worker may then steal them.

use std::cell::{RefCell, RefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use super::doorbells::Doorbells;
use super::entries::{awake, Entries, Staying, Taken};
use super::gate::Gate;
use super::role::{Role, RoleWord};
use super::running::Running;
use crate::pool::{ContainerLane, LanePtr};
use crate::session::{Ring, SessionRef};
use crate::sys::thread;
use chimaera_abi::chi_task_node;
use rustix::event::epoll;

/// The outcome of parking the rings.
#[derive(Clone, Copy)]
pub(super) struct Parked {
    /// No ring has anything to do.
    pub(super) may_park: bool,
    /// Submissions are held back.
    pub(super) holds_back: bool,
}

/// A bit of the depth of a task that has been suspended. No task is so deep, unless a client says so of its own.
const RESUMED: u32 = 1 << 31;

/// A worker's run queue.
#[repr(align(128))]
pub(crate) struct RunQueue {
    gate: Gate,
    /// The position in the tree of tasks of the running task, or of the last one that ran. With the depth is
    /// whether the task has been suspended.
    depth: AtomicU32,
    root: AtomicU64,
    /// The session that this task or its root task came from.
    session: AtomicU64,
    entries: RefCell<Entries>,
    /// The estimated run time, in nanoseconds, of the long tasks that are waiting for this worker.
    pub(super) load: AtomicU64,
    /// Counts the unbounded waits that tasks of this worker have begun.
    waits: AtomicU64,
    /// Set by the watchdog while a method keeps the worker from its run queue.
    pub(super) busy: AtomicBool,
    /// When it became busy, in nanoseconds since the runtime started.
    busy_since: AtomicU64,
    /// With what it is busy, and how many tasks it had ended before.
    busy_with: AtomicU32,
    busy_after: AtomicU64,
    role: RoleWord,
    /// The worker's thread, as the kernel numbers it; 0 before it has begun.
    thread: AtomicI32,
    /// Set by the watchdog at each tick: the worker must look at the doorbells of resting rings.
    doorbells_due: AtomicBool,
    epoll: Arc<OwnedFd>,
}

// SAFETY: `entries` is used by the worker itself while it runs the runtime's code, and by a stealer
// only while it does not: the gate lets in only one of them. All other fields are `Sync`.
unsafe impl Sync for RunQueue {}
// SAFETY: as above; any worker may use the rings and lanes in the queue.
unsafe impl Send for RunQueue {}

impl RunQueue {
    pub(super) fn new(role: Role) -> std::io::Result<RunQueue> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let doorbells = Doorbells::new()?;
        doorbells.join(epoll.as_fd())?;
        let entries = Entries { doorbells: vec![doorbells], ..Entries::default() };
        Ok(RunQueue {
            gate: Gate::new(),
            depth: AtomicU32::new(0),
            root: AtomicU64::new(0),
            session: AtomicU64::new(0),
            entries: RefCell::new(entries),
            load: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            busy_since: AtomicU64::new(0),
            busy_with: AtomicU32::new(0),
            busy_after: AtomicU64::new(0),
            role: RoleWord::new(role),
            thread: AtomicI32::new(0),
            doorbells_due: AtomicBool::new(false),
            epoll,
        })
    }

    /// Notes that the calling thread is the worker's.
    pub(super) fn set_thread(&self) {
        self.thread.store(thread::number(), Ordering::Relaxed);
    }

    /// Whether the worker's thread has ended, which only module code can have done, by a system call of its own.
    pub(crate) fn has_lost_thread(&self) -> bool {
        match self.thread.load(Ordering::Relaxed) {
            0 => false,
            number => !thread::exists(number),
        }
    }

    /// Makes the worker look at the doorbells of its resting rings before its next round.
    pub(super) fn set_doorbells_due(&self) {
        self.doorbells_due.store(true, Ordering::Relaxed);
    }

    /// True, once, after [`set_doorbells_due`](Self::set_doorbells_due).
    #[inline]
    pub(super) fn must_look_at_doorbells(&self) -> bool {
        let due = self.doorbells_due.load(Ordering::Relaxed);
        if due {
            self.doorbells_due.store(false, Ordering::Relaxed);
        }
        due
    }

    /// What the worker is running.
    pub(crate) fn running(&self) -> Running {
        Running(self.gate.running())
    }

    /// The session whose task is running module code on this worker now.
    pub(super) fn running_session(&self) -> Option<u64> {
        (self.running() != Running::RUNTIME).then(|| self.session.load(Ordering::Relaxed))
    }

    /// Records that a method has kept the worker busy since `since`, before which it had ended so many tasks.
    pub(super) fn set_busy(&self, since: Duration, with: Running, after: u64) {
        self.busy_with.store(with.0, Ordering::Relaxed);
        self.busy_after.store(after, Ordering::Relaxed);
        self.busy_since.store(since.as_nanos() as u64, Ordering::Relaxed);
        self.busy.store(true, Ordering::Release);
    }

    /// Whether a method keeps the worker busy.
    #[inline]
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Since when the worker has been busy with this method, if that is what it was found to be busy with after it had
    /// ended so many tasks.
    #[cold]
    pub(super) fn busy_since_with(&self, method: Running, after: u64) -> Option<Duration> {
        let is_it = self.busy_with.load(Ordering::Relaxed) == method.0
            && self.busy_after.load(Ordering::Relaxed) == after;
        self.busy_since().filter(|_| is_it)
    }

    /// When a method began to keep the worker busy, as the time since the runtime started. `None`
    /// if none does.
    pub(crate) fn busy_since(&self) -> Option<Duration> {
        let since = || Duration::from_nanos(self.busy_since.load(Ordering::Relaxed));
        self.busy.load(Ordering::Acquire).then(since)
    }

    /// Which tasks the worker serves.
    pub(crate) fn role(&self) -> Role {
        self.role.get()
    }

    /// Makes a resting stand-by worker serve a group, or attend.
    pub(super) fn serve(&self, role: Role) {
        self.role.serve(role);
    }

    /// Puts a stand-by worker to rest, and then `tell`s it to give away its work.
    pub(super) fn rest(&self, tell: impl FnOnce()) {
        self.role.rest(tell);
    }

    /// The session of the running task and its position in the tree of tasks, if it has been
    /// running for a while; otherwise they may be those of another task.
    pub(crate) fn node(&self) -> (u64, chi_task_node) {
        let (root_, depth_) = (&self.root, &self.depth);
        let (root_, depth_) = (root_.load(Ordering::Relaxed), depth_.load(Ordering::Relaxed));
        let depth_ = depth_ & !RESUMED;
        (self.session.load(Ordering::Relaxed), chi_task_node { root_, depth_, node_: 0 })
    }

    /// Shows the watchdog which task is running: its session and its position in the tree of tasks.
    #[inline]
    pub(super) fn show(&self, session: u64, node: chi_task_node) {
        self.root.store(node.root_, Ordering::Relaxed);
        self.depth.store(node.depth_, Ordering::Relaxed);
        self.session.store(session, Ordering::Relaxed);
    }

    /// The same for a task that goes on after it was suspended.
    #[inline]
    pub(super) fn show_resumed(&self, session: u64, node: chi_task_node) {
        self.show(session, chi_task_node { depth_: node.depth_ | RESUMED, ..node });
    }

    /// Whether the running task, or the last one that ran, has been suspended.
    pub(crate) fn is_resumed(&self) -> bool {
        self.depth.load(Ordering::Relaxed) & RESUMED != 0
    }

    pub(super) fn epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// The epoll instance, for pollers, which keep a reference to it.
    pub(crate) fn shared_epoll(&self) -> &Arc<OwnedFd> {
        &self.epoll
    }

    /// The contents. Only for the worker itself, outside module code.
    #[inline]
    pub(super) fn entries(&self) -> RefMut<'_, Entries> {
        debug_assert!(self.gate.is_home(), "a stealer may be here");
        self.entries.borrow_mut()
    }

    /// Records that the worker is about to run module code. Until `leave_module` it does not touch
    /// its run queue.
    #[inline]
    pub(crate) fn enter_module(&self, running: Running) {
        self.gate.leave(running.0);
    }

    /// Records that the worker is back from module code. Returns what it was running.
    #[inline]
    pub(crate) fn leave_module(&self) -> Running {
        Running(self.gate.come_back())
    }

    /// Takes what is in the run queue of another worker, except lanes, and calls `f` with it and with the
    /// rest, if that worker is running module code and memory suffices for the fence that this takes.
    pub(super) fn steal(&self, f: impl FnOnce(Taken, &mut Entries)) {
        self.gate.steal(|| {
            let mut entries = self.entries.borrow_mut();
            let stays = match (self.running().is_placing(), entries.accepting) {
                (false, _) => Staying::Nothing,
                (true, Some(ring)) => Staying::Ring(ring),
                (true, None) => Staying::Session(self.session.load(Ordering::Relaxed)),
            };
            let taken = entries.take_all(self.epoll(), stays);
            f(taken, &mut entries);
        });
    }

    /// Calls `f`, and keeps the worker from its run queue and lanes meanwhile, if it is running module code
    /// and nobody else is in the way.
    pub(super) fn while_away(&self, f: impl FnOnce()) {
        self.gate.steal(f);
    }

    /// Counts an unbounded wait of a task of this worker.
    #[inline]
    pub(super) fn count_wait(&self) {
        self.waits.store(self.waits.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// How many unbounded waits there have been.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Acquire)
    }

    /// Polls a ring from now on. Fails if its doorbell cannot be watched, so that the ring is polled
    /// without rest until it can be.
    pub(super) fn add(&self, ring: Ring) -> std::io::Result<()> {
        let entries = &mut *self.entries();
        let watched = entries.watch(self.epoll.as_fd(), &ring.session);
        entries.unwatched |= watched.is_err();
        entries.rings.push(ring);
        watched
    }

    /// Takes over a set of doorbells with its resting rings. Fails if some of them are polled without
    /// rest, until their doorbells can be watched.
    pub(super) fn adopt(&self, set: Doorbells) -> std::io::Result<()> {
        let joined = set.join(self.epoll.as_fd());
        let entries = &mut *self.entries();
        match joined {
            Ok(()) => {
                entries.doorbells.retain(|own| own.watched_count() > 0);
                entries.doorbells.push(set);
                entries.merge_doorbells()?;
            }
            Err(error) => {
                entries.unwatched = true;
                entries.rings.extend(set.into_rings().map(awake));
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Resumes polling the rings at rest whose doorbells have rung.
    pub(super) fn wake_rings(&self) {
        self.look_at(|set| !set.is_empty());
    }

    /// Looks at these sets of doorbells.
    fn look_at(&self, which: impl Fn(&Doorbells) -> bool) {
        let mut entries = self.entries();
        let Entries { rings, doorbells, .. } = &mut *entries;
        for set in doorbells.iter_mut().filter(|set| which(set)) {
            set.rung(|ring| rings.push(ring));
        }
        if entries.unwatched {
            entries.watch_again(self.epoll.as_fd());
        }
    }

    /// Tells the clients that the worker is about to park, and lets empty rings rest. `is_full`
    /// tells whether no more tasks of a session may be started now.
    pub(super) fn park_rings(&self, is_full: impl Fn(&SessionRef) -> bool) -> Parked {
        let mut entries = self.entries();
        let mut parked = Parked { may_park: true, holds_back: false };
        let mut index = 0;
        while let Some(ring) = entries.rings.get_mut(index) {
            if ring.postponed.is_empty() {
                if !entries.let_rest(index) {
                    parked.may_park = false;
                    index += 1;
                }
                continue;
            }
            // Postponed submissions wait until tasks have ended. Other entries may arrive
            // meanwhile.
            let empty = ring.consumer.park();
            let full = is_full(&ring.session) || ring.waits_for_memory();
            parked.may_park &= full && (empty || !ring.postponed.has_room());
            parked.holds_back = true;
            index += 1;
        }
        parked
    }

    /// Tells the clients that the worker is awake.
    pub(super) fn unpark_rings(&self) {
        self.entries().rings.iter_mut().for_each(|ring| ring.consumer.unpark());
        // Those of rings that are held back, too, which do not rest: an event that nobody fetches would let the
        // worker park no more.
        self.look_at(|set| set.watched_count() > 0);
    }

    /// Lists a lane, unless it is already listed.
    #[inline]
    pub(super) fn list(&self, me: u32, lane: &ContainerLane) {
        if lane.list(me) {
            self.entries().lanes_of(lane.high_latency).push_back(LanePtr(lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Session, Submission};
    use crate::sys::membarrier;
    use crate::task::{Origin, Resting, SpareRecords};
    use chimaera_ipc::ring::Consumer;
    use std::time::Instant;

    /// A worker enters and leaves module code and uses its run queue in between, while a stealer
    /// steals from it. They never use it at the same time, or `RefCell` would panic.
    #[test]
    fn the_worker_and_a_stealer_are_never_there_together() {
        membarrier::prepare();
        let queue = RunQueue::new(Role::LowLatency).unwrap();
        let stop = AtomicBool::new(false);
        let taken = std::thread::scope(|scope| {
            let stealer = scope.spawn(|| {
                let mut taken = 0;
                while !stop.load(Ordering::Relaxed) {
                    queue.steal(|_, entries| taken += entries.lanes.drain(..).count());
                    std::thread::yield_now();
                }
                taken
            });
            let mut left = 0;
            for round in 0..200_000 {
                queue.entries().lanes.push_back(LanePtr(std::ptr::null()));
                queue.enter_module(Running::method(2, 10));
                if round % 64 == 0 {
                    std::thread::yield_now();
                }
                queue.leave_module();
                left += usize::from(queue.entries().lanes.pop_front().is_some());
            }
            stop.store(true, Ordering::Relaxed);
            left += queue.entries().lanes.len();
            left + stealer.join().unwrap()
        });
        assert_eq!(taken, 200_000);
    }

    fn ring(session: &SessionRef) -> Ring {
        Ring::new(session.clone(), Consumer::new(session.mapping.ring(0)))
    }

    fn held(session: u64) -> Resting {
        let spare = SpareRecords::new(crate::sys::Budget::endless());
        let mut record = spare.take(Origin::Internal);
        record.session = session;
        Resting { number: session, at: Instant::now(), record }
    }

    /// While a monitor places a client's task, what would overtake the task stays: the ring that it came
    /// from, or everything of its session that was held with it.
    #[test]
    fn what_would_overtake_a_task_is_not_stolen() {
        let sessions = [1, 2, 3].map(|number| Session::without_client(number).unwrap());
        for (stays, ring_left, held_left) in [
            (Staying::Nothing, None, None),
            (Staying::Ring(1), Some(2), None),
            (Staying::Session(3), Some(3), Some(3)),
        ] {
            let queue = RunQueue::new(Role::LowLatency).unwrap();
            for session in &sessions {
                queue.add(ring(session)).unwrap();
                queue.entries().periodic.insert(held(session.number));
            }
            let taken = queue.entries().take_all(queue.epoll(), stays);
            let numbers = |rings: &[Ring]| -> Vec<u64> {
                rings.iter().map(|ring| ring.session.number).collect()
            };
            let left = Vec::from_iter(ring_left);
            let gone = |left: &[u64]| (1..=3).filter(|n| !left.contains(n)).collect::<Vec<u64>>();
            assert_eq!(numbers(&queue.entries().rings), left);
            assert_eq!(numbers(&taken.rings), gone(&left));
            let number = |task: &Resting| task.record.session;
            let rest = queue.entries().periodic.take_if(|_| true);
            assert_eq!(rest.iter().map(number).collect::<Vec<_>>(), Vec::from_iter(held_left));
            let periodic: Vec<u64> = taken.periodic.iter().map(number).collect();
            assert_eq!(periodic, gone(&Vec::from_iter(held_left)));
            // The doorbell of a ring that stays is watched here, and no longer there.
            let is_watched =
                |sets: &[Doorbells], number| sets.iter().any(|set| set.is_watched(number));
            queue.wake_rings();
            for number in 1..=3 {
                assert_eq!(is_watched(&queue.entries().doorbells, number), left.contains(&number));
                assert_eq!(is_watched(&taken.doorbells, number), !left.contains(&number));
            }
        }
    }

    /// A doorbell that rings while its ring is held back wakes the worker once, and does not keep it awake.
    #[test]
    fn a_doorbell_of_a_ring_that_is_held_back_is_heard_once() {
        let queue = RunQueue::new(Role::LowLatency).unwrap();
        let session = Session::without_client(1).unwrap();
        queue.add(ring(&session)).unwrap();
        queue.entries().rings[0].postpone(Submission::unmeasured(64));
        let wakes = || {
            let mut events = [const { std::mem::MaybeUninit::uninit() }; 1];
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let (events, _) =
                rustix::event::epoll::wait(queue.epoll(), &mut events, Some(&now)).unwrap();
            !events.is_empty()
        };
        for _ in 0..3 {
            let parked = queue.park_rings(|_| true);
            assert!(parked.may_park && parked.holds_back && !wakes());
            rustix::io::write(&session.doorbell, &1_u64.to_ne_bytes()).unwrap();
            assert!(wakes(), "something has come");
            queue.unpark_rings();
            assert!(!wakes(), "and is known");
        }
    }

    /// Two sets watch one doorbell. The set that was here first has already consumed its event
    /// when the other arrives with the ring at rest.
    #[test]
    fn a_doorbell_that_rang_on_the_way_is_not_missed() {
        let queue = RunQueue::new(Role::LowLatency).unwrap();
        let [first, second] = [1, 2].map(|number| Session::without_client(number).unwrap());
        queue.entries().watch(queue.epoll.as_fd(), &first).unwrap();
        queue.entries().watch(queue.epoll.as_fd(), &second).unwrap();
        queue.entries().rings.push(ring(&second));
        assert!(queue.entries().let_rest(0));
        let mut other = Doorbells::new().unwrap();
        other.watch(&first).unwrap();
        let mut resting = ring(&first);
        assert!(resting.consumer.park());
        other.rest(resting);
        rustix::io::write(&first.doorbell, &1_u64.to_ne_bytes()).unwrap();
        queue.wake_rings();
        assert!(queue.entries().rings.is_empty(), "its ring is not here yet");

        assert!(queue.adopt(other).is_ok());
        let entries = queue.entries();
        let polled: Vec<u64> = entries.rings.iter().map(|ring| ring.session.number).collect();
        assert_eq!(polled, [1]);
        assert_eq!(entries.doorbells.len(), 1, "one set is enough for two doorbells");
    }
}
