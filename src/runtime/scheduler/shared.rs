//! The state that the threads of a runtime share.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chimaera_abi::chi_pool_id;
use chimaera_ipc::control;
use chimaera_ipc::status_page::{Page, Writer};
use crossbeam_queue::SegQueue;
use rustix::event::{epoll, EventfdFlags};

use super::about::FIRST_LINK;
use super::agreed_pools::AgreedPools;
use super::mailbox::{ControlCommand, Mailbox, WorkerMessage};
use super::role::Role;
use super::run_queue::RunQueue;
use super::user_share;
use super::watchdog_state::WatchdogState;
use super::worker::Worker;
use super::worker_time::WorkerTime;
use crate::config::Config;
use crate::durable::DurablePools;
use crate::failure::Failure;
use crate::host::Hosts;
use crate::log::RateLimit;
use crate::metrics::Metrics;
use crate::module::Modules;
use crate::pool::{Notices, Pool, PoolTable, Registry};
use crate::session::{Clients, Session, SessionRef};
use crate::sync::Waiter;
use crate::sys::{lock, Budget, Descriptors};
use crate::task::ReplicaBudget;

/// Puts a pool that the calling worker does not know into the table.
pub(crate) type FindPool = fn(&Worker, chi_pool_id) -> Result<(), Failure>;

/// The state that the threads of a runtime share.
pub(crate) struct Shared {
    /// When the runtime started.
    pub(crate) start: Instant,
    pub(crate) config: Config,
    /// Allocations for clients are charged to this budget.
    pub(crate) budget: &'static Budget,
    pub(crate) modules: Arc<Modules>,
    pub(crate) pools: Registry,
    pub(crate) notices: Notices,
    pub(crate) durable: DurablePools,
    pub(super) replicas: ReplicaBudget,
    pub(crate) watchdog: WatchdogState,
    pub(crate) rate_limit: RateLimit,
    pub(crate) metrics: Metrics,
    /// The number of coroutines on all workers.
    pub(super) coroutines: AtomicUsize,
    /// The number of records that workers have freed.
    pub(super) freed_records: AtomicU64,
    /// One for each worker, including stand-by workers that have not been started yet.
    mailboxes: Vec<Mailbox>,
    run_queues: Vec<RunQueue>,
    standby_threads: Mutex<Vec<JoinHandle<()>>>,
    /// How many workers have been started. Workers, once started, are never removed.
    started: AtomicUsize,
    page: Writer,
    table: Mutex<Arc<PoolTable>>,
    table_version: AtomicU64,
    commands: SegQueue<ControlCommand>,
    /// How many rounds the control thread has done.
    control_rounds: AtomicU64,
    sessions: Mutex<Vec<SessionRef>>,
    /// The clients, also those whose tasks are still ending.
    pub(crate) clients: Arc<Clients>,
    /// `None` if no limit on worker time is set.
    worker_time: Option<Mutex<WorkerTime>>,
    /// The module hosts, or in a module host its daemon.
    pub(crate) hosts: Hosts,
    /// In a module host: puts a pool of the daemon into the table.
    pub(crate) on_unknown_pool: OnceLock<FindPool>,
    /// The cluster that this runtime is a node of, if any.
    pub(crate) agreed_pools: OnceLock<Arc<dyn AgreedPools>>,
    /// The number of the next session whose client is another runtime.
    pub(crate) next_link: AtomicU64,
    /// Wakes the control thread.
    pub(crate) control: OwnedFd,
    /// The descriptors without which the runtime is deaf.
    pub(crate) descriptors: Descriptors,
    /// Why the runtime is stopping without having been told to.
    broken: OnceLock<String>,
    /// Tells workers to end once they have nothing left to do.
    ending: AtomicBool,
    /// The runtime is stopping: no further task of a client starts.
    stopping: AtomicBool,
    stopping_since: Mutex<Option<Instant>>,
    /// A successor serves the clients.
    handed_over: AtomicBool,
    /// The sockets of those who are told what was abandoned.
    told_at_end: Mutex<Vec<OwnedFd>>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        budget: &'static Budget,
        modules: Modules,
        page: Writer,
    ) -> std::io::Result<Shared> {
        let all = config.all_workers();
        let limits_time = config.limits_worker_time();
        let role = |worker| match worker < config.workers {
            true => Role::of(config.is_high_latency(worker)),
            false => Role::Resting,
        };
        let mailboxes: Vec<_> = (0..all).map(|_| Mailbox::new()).collect::<Result<_, _>>()?;
        let run_queues: Vec<_> =
            (0..all).map(|worker| RunQueue::new(role(worker))).collect::<Result<_, _>>()?;
        // Here, and not when a worker starts: stand-by workers are started only when needed.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        for (mailbox, queue) in mailboxes.iter().zip(&run_queues) {
            let data = epoll::EventData::new_u64(0);
            epoll::add(queue.epoll(), mailbox.descriptor(), data, flags)?;
        }
        let control = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let descriptors = Descriptors::default();
        descriptors.add(&control, "what wakes the control thread".into());
        for (worker, (mailbox, queue)) in mailboxes.iter().zip(&run_queues).enumerate() {
            descriptors.add(mailbox.descriptor(), format!("what wakes worker {worker}"));
            descriptors.add(queue.epoll(), format!("what worker {worker} waits for"));
            let watch = format!("what wakes worker {worker}, or what it waits for");
            descriptors.add_watch(queue.epoll(), mailbox.descriptor(), watch);
        }
        let registry = match &config.orders {
            Some(orders) => Registry::with_id(orders.pool),
            None => Registry::new(),
        };
        Ok(Shared {
            started: AtomicUsize::new(config.workers),
            start: Instant::now(),
            config,
            budget,
            modules: Arc::new(modules),
            pools: registry,
            notices: Notices::default(),
            durable: DurablePools::default(),
            hosts: Hosts::default(),
            on_unknown_pool: OnceLock::new(),
            agreed_pools: OnceLock::new(),
            next_link: AtomicU64::new(FIRST_LINK),
            replicas: ReplicaBudget::new(budget),
            standby_threads: Mutex::default(),
            mailboxes,
            run_queues,
            watchdog: WatchdogState::default(),
            rate_limit: RateLimit::default(),
            metrics: Metrics::new(all, budget),
            coroutines: AtomicUsize::new(0),
            freed_records: AtomicU64::new(0),
            page,
            table: Mutex::default(),
            table_version: AtomicU64::new(1),
            commands: SegQueue::new(),
            control_rounds: AtomicU64::new(0),
            sessions: Mutex::default(),
            clients: Clients::new(),
            worker_time: limits_time.then(|| Mutex::new(WorkerTime::new())),
            control,
            descriptors,
            broken: OnceLock::new(),
            ending: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            stopping_since: Mutex::default(),
            handed_over: AtomicBool::new(false),
            told_at_end: Mutex::default(),
        })
    }

    // Workers -----------------------------------------------------------------------------------------

    /// The mailbox of a worker.
    #[inline]
    pub(crate) fn mailbox(&self, worker: u32) -> &Mailbox {
        &self.mailboxes[worker as usize]
    }

    /// The run queue of a worker.
    #[inline]
    pub(crate) fn run_queue(&self, worker: u32) -> &RunQueue {
        &self.run_queues[worker as usize]
    }

    /// The mailboxes of the workers that have been started.
    pub(crate) fn mailboxes(&self) -> &[Mailbox] {
        &self.mailboxes[..self.started()]
    }

    /// The run queues of the workers that have been started.
    pub(crate) fn run_queues(&self) -> &[RunQueue] {
        &self.run_queues[..self.started()]
    }

    /// How many workers have been started.
    pub(crate) fn started(&self) -> usize {
        self.started.load(Ordering::Acquire)
    }

    /// Has the workers look whether they have to measure every task, after that may have changed.
    pub(crate) fn tell_measured(&self) {
        // Those that are started later see it by themselves.
        for mailbox in self.mailboxes() {
            mailbox.send(WorkerMessage::Measure);
        }
    }

    /// Sets how many workers have been started. For the watchdog, which starts them.
    pub(super) fn set_started(&self, started: usize) {
        self.started.store(started, Ordering::Release);
        self.page().workers.store(started as u32, Ordering::Relaxed);
    }

    /// Keeps the thread of a stand-by worker until the runtime ends.
    pub(super) fn keep_thread(&self, thread: JoinHandle<()>) {
        lock(&self.standby_threads).push(thread);
    }

    /// Takes the threads of the stand-by workers, to be joined.
    pub(crate) fn take_standby_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut lock(&self.standby_threads))
    }

    /// True for a stand-by worker.
    pub(crate) fn is_standby(&self, worker: u32) -> bool {
        worker as usize >= self.config.workers
    }

    /// True if the tasks of a session block as many workers as they may.
    pub(super) fn blocks_its_share(&self, session: u64) -> bool {
        if session == 0 {
            return false;
        }
        let running = |queue: &&RunQueue| queue.running_session() == Some(session);
        let queues = self.run_queues();
        let most = self.config.max_blocked_workers;
        // Tasks that end soon block no worker: at least one worker must be known to be blocked.
        queues.iter().filter(running).any(|queue| queue.busy.load(Ordering::Relaxed))
            && queues.iter().filter(running).count() >= most
    }

    /// True if a session has reached a limit, so that its further tasks wait.
    pub(crate) fn throttles(&self, session: &SessionRef) -> bool {
        session.tasks_in_flight() >= self.config.max_in_flight.min(session.share())
            || self.blocks_its_share(session.number)
            || session.has_postponed()
    }

    /// The least loaded worker that serves a group, preferably one that no method blocks.
    pub(crate) fn least_loaded<K: Ord>(
        &self,
        high_latency: bool,
        load: impl Fn(u32, &RunQueue) -> K,
    ) -> Option<u32> {
        let serves = |(_, queue): &(u32, &RunQueue)| queue.role() == Role::of(high_latency);
        let workers = (0..).zip(self.run_queues()).filter(serves);
        let key =
            |worker, queue: &RunQueue| (queue.busy.load(Ordering::Relaxed), load(worker, queue));
        workers.min_by_key(|(worker, queue)| key(*worker, queue)).map(|(worker, _)| worker)
    }

    // The end -----------------------------------------------------------------------------------------

    /// Has `end_with` tell whoever is at the other end of this socket.
    pub(crate) fn tell_at_end(&self, socket: OwnedFd) {
        lock(&self.told_at_end).push(socket);
    }

    /// Tells those who wait for the end of the runtime what is abandoned. May be called again, if there is
    /// more.
    pub(crate) fn end_with(&self, abandoned: &[String]) {
        let document = serde_json::json!({ "abandoned": abandoned }).to_string();
        for socket in &*lock(&self.told_at_end) {
            // It fails only if they are gone, or if there is no descriptor left: then they see that the
            // process ends without a word.
            let _ = control::answer(socket, &document);
        }
    }

    // Page, pools, sessions, commands -----------------------------------------------------------------

    pub(crate) fn page(&self) -> &Page {
        self.page.page()
    }

    #[inline]
    pub(super) fn table_version(&self) -> u64 {
        self.table_version.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self) -> Arc<PoolTable> {
        lock(&self.table).clone()
    }

    /// Puts a pool into its slot, or empties the slot.
    pub(crate) fn set_pool(&self, slot: u32, pool: Option<Arc<Pool>>) {
        let mut table = lock(&self.table);
        *table = Arc::new(table.with(slot, pool));
        let count = table.iter().count() as u32;
        self.page().pools.store(count, Ordering::Relaxed);
        self.table_version.fetch_add(1, Ordering::Release);
    }

    /// The open sessions.
    pub(crate) fn sessions(&self) -> Vec<SessionRef> {
        lock(&self.sessions).clone()
    }

    pub(crate) fn add_session(&self, session: SessionRef) {
        let page = self.page();
        page.sessions_total.fetch_add(1, Ordering::Relaxed);
        let mut sessions = lock(&self.sessions);
        if let Some(time) = &self.worker_time {
            lock(time).apply(&self.config, &session);
        }
        sessions.push(session);
        self.divide_tasks(&sessions);
        page.sessions.store(sessions.len() as u32, Ordering::Relaxed);
    }

    /// How many tasks of clients are in flight.
    pub(crate) fn client_tasks(&self) -> usize {
        lock(&self.sessions).iter().map(|session| session.tasks_in_flight()).sum()
    }

    /// Charges `time` to the sessions whose tasks the workers run, if worker time is limited.
    pub(super) fn sample_worker_time(&self, time: Duration) {
        let Some(worker_time) = &self.worker_time else { return };
        let running = self.run_queues().iter().filter_map(RunQueue::running_session);
        let sessions = lock(&self.sessions);
        lock(worker_time).charge(&self.config, &sessions, running, time);
    }

    /// Pauses the sessions that are over their share of worker time, and resumes the others. True
    /// while any is paused.
    pub(super) fn settle_worker_time(&self) -> bool {
        let Some(worker_time) = &self.worker_time else { return false };
        let sessions = lock(&self.sessions);
        if lock(worker_time).settle(&self.config, &sessions) {
            self.divide_tasks(&sessions);
        }
        sessions.iter().any(|session| session.is_paused())
    }

    /// Divides each user's and each process's limit on tasks in flight among its sessions, depending
    /// on how many each has.
    pub(super) fn share_tasks(&self) {
        self.divide_tasks(&lock(&self.sessions));
    }

    fn divide_tasks(&self, sessions: &[SessionRef]) {
        let limit = self.config.least_in_flight();
        let limits_time = self.worker_time.is_some();
        let set = |session: &SessionRef, share: usize| {
            let most = if limits_time { self.most_by_time(session) } else { usize::MAX };
            session.set_share(share.min(most));
        };
        // So few sessions cannot exceed the limit, whoever their users are.
        if sessions.len() * self.config.max_in_flight <= limit {
            sessions.iter().for_each(|session| set(session, limit));
            return;
        }
        // The numbers of its sessions, by user and by process.
        let mut users: HashMap<u32, Vec<usize>> = HashMap::new();
        let mut processes: HashMap<i32, Vec<usize>> = HashMap::new();
        for (number, session) in sessions.iter().enumerate() {
            users.entry(session.caller.uid).or_default().push(number);
            // 0 stands for all processes that cannot be seen from here.
            if session.caller.pid != 0 {
                processes.entry(session.caller.pid).or_default().push(number);
            }
        }
        let mut shares = vec![usize::MAX; sessions.len()];
        let mut divide = |numbers: &[usize], limit: usize| {
            let in_flight: Vec<usize> =
                numbers.iter().map(|number| sessions[*number].tasks_in_flight()).collect();
            for (number, share) in numbers.iter().zip(user_share::divide(&in_flight, limit)) {
                shares[*number] = shares[*number].min(share);
            }
        };
        for numbers in users.values() {
            // Processes of one user may have different groups, and so different limits.
            let limits =
                numbers.iter().map(|number| self.config.limits_of(&sessions[*number].caller));
            divide(numbers, limits.map(|limits| limits.tasks_in_flight).max().unwrap_or(limit));
        }
        for numbers in processes.values() {
            divide(numbers, self.config.per_process.tasks_in_flight);
        }
        sessions.iter().zip(shares).for_each(|(session, share)| set(session, share));
    }

    /// How many tasks a session may have in flight under the limits on worker time.
    fn most_by_time(&self, session: &SessionRef) -> usize {
        let percent = self.config.limits_of(&session.caller).worker_time;
        match percent.min(self.config.per_process.worker_time) {
            _ if session.is_paused() => 0,
            100 => usize::MAX,
            _ => user_share::MOST_OF_LIMITED_TIME,
        }
    }

    pub(crate) fn remove_session(&self, number: u64) {
        let mut sessions = lock(&self.sessions);
        for ended in sessions.extract_if(.., |session| session.number == number) {
            if let Some(time) = &self.worker_time {
                lock(time).note_ended(ended);
            }
        }
        self.page().sessions.store(sessions.len() as u32, Ordering::Relaxed);
    }

    /// Sends a command to the control thread.
    pub(crate) fn command(&self, command: ControlCommand) {
        self.commands.push(command);
        // It fails only if the counter is full, and then the event is already pending.
        let _ = rustix::io::write(&self.control, &1_u64.to_ne_bytes());
    }

    /// Counts a round of the control thread.
    pub(crate) fn count_control_round(&self) {
        self.control_rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the control thread does a round within this time, for which it is woken. For other threads, which wait
    /// for that.
    pub(crate) fn control_answers(&self, bound: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(5);
        let (before, until) = (self.control_rounds.load(Ordering::Relaxed), Instant::now() + bound);
        // It fails only if the counter is full, and then the event is already pending.
        let _ = rustix::io::write(&self.control, &1_u64.to_ne_bytes());
        while self.control_rounds.load(Ordering::Relaxed) == before {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    pub(crate) fn take_command(&self) -> Option<ControlCommand> {
        self.commands.pop()
    }

    /// Ends a session whose client breaks the rules.
    pub(super) fn kill(&self, session: &Session, reason: &str) {
        session.set_dead();
        let (session, reason) = (session.number, reason.to_owned());
        self.command(ControlCommand::EndSession { session, reason });
    }

    /// Ends a wait. `[any thread]`
    pub(crate) fn wake(&self, waiter: Waiter) {
        let Waiter { worker, coroutine, tag } = waiter;
        self.mailbox(worker).send(WorkerMessage::Wake { coroutine, tag });
    }

    /// Makes all workers look for suspended tasks that are marked as cancelled.
    pub(crate) fn cancel_marked(&self) {
        self.mailboxes().iter().for_each(Mailbox::cancel_marked);
    }

    /// How many rounds each worker has counted.
    pub(crate) fn rounds(&self) -> Vec<u64> {
        self.mailboxes().iter().map(Mailbox::rounds).collect()
    }

    /// Wakes every worker that is parked.
    pub(crate) fn wake_workers(&self) {
        self.mailboxes().iter().for_each(Mailbox::wake);
    }

    /// Records that the runtime cannot go on, and logs why. `[any thread]`
    #[cold]
    pub(crate) fn set_broken(&self, why: String) {
        tracing::error!("{why}; the runtime stops");
        // Only the first reason is kept.
        let _ = self.broken.set(why);
    }

    /// Records that a successor serves the clients.
    pub(crate) fn set_handed_over(&self) {
        self.handed_over.store(true, Ordering::Release);
    }

    /// Whether a successor serves the clients.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Acquire)
    }

    /// Why the runtime is stopping without having been told to.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// When the runtime began to stop.
    pub(crate) fn stopping_since(&self) -> Option<Instant> {
        *lock(&self.stopping_since)
    }

    /// Notes that the runtime has had to stop since then; it begins to soon.
    pub(crate) fn note_stop(&self, at: Instant) {
        *lock(&self.stopping_since) = Some(at);
    }

    pub(crate) fn set_stopping(&self) {
        lock(&self.stopping_since).get_or_insert_with(Instant::now);
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    pub(crate) fn end_workers(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.wake_workers();
        self.watchdog.wake();
    }
}
