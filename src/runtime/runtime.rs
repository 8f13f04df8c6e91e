//! Starting and stopping a runtime.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chimaera_abi::{CHI_ADMIN_CREATE_POOL, CHI_FAILED, CHI_INTERNAL, CHI_IO};
use chimaera_ipc::instance::{note_holder, Instance};
use chimaera_ipc::status_page::{self, Reader, Writer};
use chimaera_metrics::Snapshot;
use rustix::event::EventfdFlags;
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::admin;
use crate::cluster;
use crate::config::{Config, Error, HostOrders, Policy, Progress};
use crate::control::{close, end_process, restore_durable, Acceptor, Grace, Predecessor};
use crate::coroutine::{crash, cxx_exceptions, stack};
use crate::failure::Failure;
use crate::host::Peer;
use crate::isolation;
use crate::log::{can_log, LogControl};
use crate::module::{library_path_warning, Modules, Services};
use crate::scheduler::{
    describe_circumstances, may_give_up, standby, state_calls, watchdog, with_current,
    ControlCommand, Shared, WorkerMessage,
};
use crate::sys::{
    caught, ends, frozen, last_words, membarrier, refuse_descriptors, segment_fault, Budget,
    Unshared,
};
use crate::tables::{host, ipc};

/// What started a runtime.
#[derive(Clone, Copy)]
enum Origin<'o> {
    /// A user, or an application.
    Own,
    /// The runtime whose place it takes.
    Predecessor(&'o Predecessor),
    /// The daemon whose module host it is, and its roll of clients.
    Daemon(&'o Arc<Peer>, Option<&'o OwnedFd>),
}

/// A runtime in this process. It stops when [`Runtime::stop`] is called, when a client asks it to,
/// or when this value is dropped.
///
/// ```no_run
/// let runtime = chimaera_runtime::Runtime::start(chimaera_runtime::Config::default())?;
/// println!("serving at {}", runtime.instance().socket().display());
/// runtime.wait();
/// # Ok::<(), chimaera_runtime::Error>(())
/// ```
pub struct Runtime {
    instance: Instance,
    shared: Arc<Shared>,
    control: Option<JoinHandle<Vec<String>>>,
    _last_words: Option<last_words::Serving>,
    /// Removes the status page's name when it is dropped. Declared before `_lock`, so that the name
    /// is gone before another runtime can take the instance.
    _page_name: Option<status_page::Name>,
    /// The instance's lock, held as long as the runtime runs.
    _lock: Unshared,
}

impl Runtime {
    /// Starts a runtime and returns once it accepts clients.
    pub fn start(config: Config) -> Result<Runtime, Error> {
        Runtime::start_with(config, |mut acceptor| acceptor.serve())
    }

    /// Starts the runtime of a module host, whose standard input is its connection to the daemon. `log` is
    /// given the orders, and sets up the log.
    ///
    /// # Errors
    /// This process was not started by a daemon as its module host; or see [`Runtime::start`].
    pub fn start_host<E: From<Error>>(
        log: impl FnOnce(&HostOrders) -> Result<Arc<dyn LogControl>, E>,
    ) -> Result<Runtime, E> {
        let isolation::Received { mut config, socket, roll, states } = isolation::receive_orders()?;
        let orders = config.orders.clone().expect("they have been received");
        config.log = Some(log(&orders)?);
        let pid = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        let peer = Peer::of_host(socket, pid, config.all_workers()).with_states(states);
        let peer = Arc::new(peer);
        let begun = Runtime::begin(config, Origin::Daemon(&peer, roll.as_ref()), |mut acceptor| {
            acceptor.serve()
        });
        Ok(begun.inspect_err(|error| isolation::refuse(&peer, &error.to_string()))?)
    }

    /// Starts a runtime whose control thread runs `serve`.
    fn start_with(
        config: Config,
        serve: impl FnOnce(Acceptor) -> Vec<String> + Send + 'static,
    ) -> Result<Runtime, Error> {
        let Some(channel) = &config.predecessor else {
            return Runtime::begin(config, Origin::Own, serve);
        };
        let predecessor = channel.try_clone().and_then(Predecessor::new);
        let predecessor = predecessor.map_err(|error| {
            Error::io("taking over from the process that started this one", error)
        })?;
        let begun = Runtime::begin(config, Origin::Predecessor(&predecessor), serve);
        if let Err(error) = &begun {
            predecessor.refuse(Failure::new(CHI_FAILED, error.to_string()));
        }
        begun
    }

    fn begin(
        config: Config,
        origin: Origin<'_>,
        serve: impl FnOnce(Acceptor) -> Vec<String> + Send + 'static,
    ) -> Result<Runtime, Error> {
        let begin = Instant::now();
        // At the end of the process, destructors of modules may log on this thread.
        can_log();
        config.check()?;
        let instance = Instance::new(config.instance.as_deref())?;
        // A successor gets the lock from its predecessor, and a module host needs none.
        let lock = match origin {
            Origin::Own => {
                instance.prepare_directory()?;
                Some(take_lock(&instance)?)
            }
            Origin::Predecessor(_) | Origin::Daemon(..) => None,
        };
        if !config.may_connect.is_empty() {
            let_others_in(&instance)?;
        }
        // The handlers that can resolve a fault come first: handlers run in the order of
        // installation.
        frozen::install();
        segment_fault::install();
        stack::install();
        crash::install(may_give_up);
        let last_words = config.daemon.then(|| {
            let file = match &config.orders {
                Some(orders) => orders.crash.clone(),
                None if config.private => PathBuf::new(),
                None => instance.crash(),
            };
            let json = config.log.as_ref().is_some_and(|log| log.is_json());
            prepare_for_last_words();
            last_words::install(&file, json, describe_circumstances)
        });
        if config.daemon {
            state_calls::seal();
        }
        let page = match origin {
            Origin::Own => Writer::create(&instance).map(|(page, name)| (page, Some(name))),
            Origin::Predecessor(_) => {
                Writer::unlinked(&instance).map(|(page, name)| (page, Some(name)))
            }
            Origin::Daemon(..) => Ok((Writer::private(), None)),
        };
        let (page, page_name) = match page {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(%error, "no status page; `chimaera status` asks the runtime instead");
                (Writer::private(), None)
            }
        };
        if let Some(why) = library_path_warning() {
            tracing::warn!("{why}");
        }
        let progress = config.progress.clone();
        let on_load =
            |path: &Path| progress.begin(page.page(), format!("loading {}", path.display()));
        let modules = Modules::scan(&config.module_paths, services(config.daemon), on_load);
        progress.end(page.page());
        let budget = config.budget();
        warn_of_budget(budget);
        let shared = Shared::new(config, budget, modules, page)
            .map_err(|error| Error::io("creating eventfds", error))?;
        let shared = Arc::new(shared);
        shared.durable.place(match shared.config.private {
            true => Err("the name of this runtime is not used again".to_owned()),
            false => shared.config.state_directory(instance.name()),
        });
        fill_page(&shared);
        admin::container::open(&shared);
        membarrier::prepare();
        report_losses(&shared);
        let workers = Workers::start(&shared)?;
        let (acceptor, lock) = match (origin, lock) {
            (Origin::Predecessor(predecessor), _) => {
                let succeeded = succeed(&shared, &instance, predecessor, page_name.as_ref());
                succeeded.unwrap_or_else(|failure| predecessor.give_up(&shared, failure))
            }
            (Origin::Daemon(daemon, roll), _) => host_pool(&shared, &instance, daemon, roll)?,
            (Origin::Own, lock) => {
                let lock = lock.expect("it is taken without a predecessor");
                if let Some(config) = shared.config.cluster.clone() {
                    cluster::join(&shared, &config)?;
                }
                restore_durable(&shared, &progress)
                    .map_err(|Failure { message, .. }| Error::Durable { message })?;
                create_pools(&shared, &progress)?;
                shared
                    .durable
                    .settle()
                    .map_err(|Failure { message, .. }| Error::Durable { message })?;
                let listener = listen(&instance, !shared.config.may_connect.is_empty())?;
                let acceptor = lock
                    .try_clone()
                    .and_then(|lock| {
                        let socket = instance.socket();
                        let of = (instance.name(), Some(&*socket));
                        Acceptor::new(shared.clone(), of, listener, lock)
                    })
                    .map_err(|error| Error::io("preparing to accept clients", error))?;
                (acceptor, lock)
            }
        };
        let socket = shared.config.orders.is_none().then(|| instance.socket());
        let own = shared.clone();
        let control = std::thread::Builder::new()
            .name("chi-control".into())
            .spawn(move || {
                let served = caught(|| serve(acceptor));
                if !own.is_handed_over() {
                    // An error means that the file is already gone.
                    let _ = socket.map(std::fs::remove_file);
                }
                let mut left = served.unwrap_or_else(|why| {
                    own.set_broken(format!("the control thread panicked: {why}"));
                    close_pools(&own)
                });
                own.end_workers();
                left.extend(workers.end());
                left.extend(own.broken().map(str::to_owned));
                own.end_with(&left);
                match own.is_handed_over() {
                    true => tracing::info!("ended: the new process serves"),
                    false if own.config.orders.is_some() => {}
                    false => tracing::info!("stopped"),
                }
                left
            })
            .map_err(|error| Error::io("starting a thread", error))?;
        let took = begin.elapsed();
        shared.page().ready_after_ns.store(took.as_nanos() as u64, Ordering::Release);
        match origin {
            Origin::Own => {}
            Origin::Predecessor(predecessor) => predecessor.is_serving(),
            Origin::Daemon(daemon, _) => isolation::ready(daemon, admin::hosted_saves(&shared)),
        }
        if shared.config.orders.is_none() {
            tracing::info!(
                instance = instance.name(),
                socket = %instance.socket().display(),
                workers = shared.config.workers,
                modules = shared.modules.loaded().len(),
                ?took,
                "ready"
            );
        }
        Ok(Runtime {
            instance,
            shared,
            control: Some(control),
            _last_words: last_words,
            _page_name: page_name,
            _lock: Unshared::new(lock),
        })
    }

    /// The instance that this runtime serves.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The names of the loaded modules.
    pub fn modules(&self) -> Vec<String> {
        self.shared.modules.loaded().iter().map(|module| module.name.clone()).collect()
    }

    /// Tells the runtime to stop. Clients' tasks are cancelled: those that have not started do not
    /// run, and the others learn of it at their next wait.
    pub fn stop(&self) {
        self.shared.command(ControlCommand::Stop);
    }

    /// Returns a function equivalent to [`Runtime::stop`], for a thread that handles signals.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.command(ControlCommand::Stop)
    }

    /// Stops the runtime, which was told to since then: the grace time counts from there.
    pub fn stop_since(&self, at: Instant) {
        self.shared.note_stop(at);
        self.shared.command(ControlCommand::Stop);
    }

    /// Returns a function that says what has been counted and measured so far, for any thread.
    pub fn metrics(&self) -> impl Fn() -> Snapshot + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || admin::snapshot(&shared)
    }

    /// Returns a function that says whether the runtime's control thread, which answers requests, does something within a
    /// time: for a thread that waits for that.
    pub fn pulse(&self) -> impl Fn(Duration) -> bool + Send + Sync + 'static {
        let shared = self.shared.clone();
        move |bound| shared.control_answers(bound)
    }

    /// Returns a function that ends the process at once, after logging what is
    /// abandoned: with [`ends::ABANDONED`], or with 1 if its argument says that a fault has it stop. It is for a thread that
    /// handles signals.
    pub fn process_ender(&self) -> impl Fn(bool) + Send + Sync + 'static {
        let shared = self.shared.clone();
        move |is_fault| end_process(&shared, is_fault, "asked to stop once more")
    }

    /// What a process needs to know of the runtime's end after [`Runtime::wait`] has returned.
    pub fn ending(&self) -> Ending {
        Ending(self.shared.clone())
    }

    /// Starts a thread that the runtime depends on, such as one that handles signals. If `work`
    /// panics or returns, the runtime stops, and [`Runtime::wait`] returns the reason.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn_helper(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        spawn_helper(&self.shared, name, work).map(|_| ())
    }

    /// Waits until the runtime has stopped. Returns what had to be abandoned, in words: tasks and
    /// pools that had not ended after [`Config::stop_grace`], and threads in methods that have not
    /// returned; also why the runtime stopped, if a thread that it depends on has ended. Abandoned
    /// threads may still run; a process should then end without running destructors (`_exit`).
    pub fn wait(mut self) -> Vec<String> {
        self.join()
    }

    fn join(&mut self) -> Vec<String> {
        let Some(control) = self.control.take() else { return Vec::new() };
        control.join().unwrap_or_else(|_| {
            let why = "the control thread panicked";
            self.shared.set_broken(why.to_owned());
            vec![why.to_owned()]
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.control.is_some() {
            self.stop();
            self.join();
        }
        if self.shared.is_handed_over() {
            // The files are the successor's.
            return;
        }
        let has_broken = self.shared.broken().is_some();
        if self.shared.config.daemon && self.shared.config.orders.is_none() && !has_broken {
            // Removes the last words of an earlier run, now that this one has ended properly. An
            // error means that there are none.
            let _ = std::fs::remove_file(self.instance.crash());
        }
        if self.shared.config.private {
            // An error means that the file is already gone.
            let _ = std::fs::remove_file(self.instance.lock());
        }
    }
}

/// The end of a runtime whose process goes on until its exit handlers have run.
pub struct Ending(Arc<Shared>);

impl Ending {
    /// How much of the grace time ([`Config::stop_grace`]) is left for destructors and exit handlers.
    #[must_use]
    pub fn rest(&self) -> Duration {
        Grace::of(&self.0).end().saturating_duration_since(Instant::now())
    }

    /// The exit code for a runtime that has stopped: 0; [`ends::ABANDONED`] if it was told to and has `abandoned` something;
    /// or 1 if it stopped because it could not go on.
    #[must_use]
    pub fn exit_code(&self, has_abandoned: bool) -> i32 {
        match (self.0.broken(), has_abandoned) {
            (Some(_), _) => 1,
            (None, true) => ends::ABANDONED,
            (None, false) => 0,
        }
    }

    /// Tells those who wait for the end of the runtime (`chimaera stop`) what its process has abandoned.
    pub fn tell(&self, abandoned: &str) {
        self.0.end_with(&[abandoned.to_owned()]);
    }
}

fn take_lock(instance: &Instance) -> Result<OwnedFd, Error> {
    let path = instance.lock();
    let lock =
        instance.take_lock().map_err(|error| Error::io(path.display().to_string(), error))?;
    lock.ok_or_else(|| Error::Running {
        name: instance.name().to_owned(),
        pid: Reader::open(instance).map_or(0, |reader| reader.page().pid.load(Ordering::Relaxed)),
    })
}

/// Takes over from a predecessor: its pools, its clients, and the instance. On failure, the process has to
/// end at once.
fn succeed(
    shared: &Arc<Shared>,
    instance: &Instance,
    predecessor: &Predecessor,
    page: Option<&status_page::Name>,
) -> Result<(Acceptor, OwnedFd), Failure> {
    let (taken, listener, lock) = predecessor.take(shared)?;
    let progress = &shared.config.progress;
    taken.restore_pools(shared, progress)?;
    // The configuration may have others by now.
    create_pools(shared, progress).map_err(|error| Failure::new(CHI_FAILED, error.to_string()))?;
    let failed = |error: std::io::Error| {
        Failure::new(CHI_IO, format!("cannot take over the clients: {error}"))
    };
    let for_successor = lock.try_clone().map_err(failed)?;
    let socket = instance.socket();
    let mut acceptor =
        Acceptor::new(shared.clone(), (instance.name(), Some(&socket)), listener, for_successor)
            .map_err(failed)?;
    let work = acceptor.adopt(taken)?;
    predecessor.is_loaded()?;
    note_holder(&lock);
    if let Some(page) = page {
        if let Err(error) = page.link() {
            tracing::warn!(%error, "the status page cannot be found");
        }
    }
    work.begin(shared);
    Ok((acceptor, lock))
}

fn fill_page(shared: &Shared) {
    let page = shared.page();
    page.workers.store(shared.config.workers as u32, Ordering::Relaxed);
    for (worker, line) in page.lines.iter().take(shared.config.workers).enumerate() {
        line.high_latency.store(shared.config.is_high_latency(worker).into(), Ordering::Relaxed);
    }
    page.modules.store(shared.modules.loaded().len() as u32, Ordering::Relaxed);
    let refused = shared.modules.refused.iter().filter(|refusal| refusal.is_module).count();
    page.refused.store(refused as u32, Ordering::Relaxed);
    page.log_is_file.store(shared.config.log_is_file.into(), Ordering::Relaxed);
}

/// Warns if the budget exceeds the available memory.
fn warn_of_budget(budget: &Budget) {
    let (budget, available) = (budget.limit(), budget.available());
    if budget > available {
        tracing::warn!(
            budget,
            available,
            "limits.memory is more than there is for this process: it may end without warning"
        );
    }
}

/// Makes the status page count the log lines that are lost.
fn report_losses(shared: &Arc<Shared>) {
    let Some(log) = &shared.config.log else { return };
    // Weak, because the log outlives the runtime, and the runtime holds a reference to the log.
    let shared = Arc::downgrade(shared);
    log.on_loss(Box::new(move |lost, error| {
        if let Some(shared) = shared.upgrade() {
            shared.page().log_lost.store(lost, Ordering::Relaxed);
            shared.page().log_error.store(error as u32, Ordering::Relaxed);
        }
    }));
}

/// The threads of the workers and of the watchdog. Dropping this while it has threads means that
/// the start has failed: it destroys the pools created so far, then ends the threads.
struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(shared: &Arc<Shared>) -> Result<Workers, Error> {
        let mut workers = Workers { shared: shared.clone(), threads: Vec::new() };
        for index in 0..shared.config.workers as u32 {
            workers.threads.push(standby::spawn(shared, index, || ())?);
        }
        let own = shared.clone();
        let watchdog = spawn_helper(shared, "chi-watchdog", move || watchdog::run(&own))?;
        workers.threads.push(watchdog);
        Ok(workers)
    }

    /// Waits for the workers, which have been told to end.
    fn end(mut self) -> Vec<String> {
        self.end_threads()
    }

    fn end_threads(&mut self) -> Vec<String> {
        let threads = std::mem::take(&mut self.threads);
        end(threads.into_iter().chain(self.shared.take_standby_threads()), Grace::of(&self.shared))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        close_pools(&self.shared);
        self.shared.end_workers();
        self.end_threads();
    }
}

/// Closes the pools without a control thread. Returns what had to be abandoned, in words.
fn close_pools(shared: &Shared) -> Vec<String> {
    close::close_pools(shared, &mut |rest| {
        std::thread::sleep(rest.min(Duration::from_millis(1)));
        std::iter::from_fn(|| shared.take_command()).collect()
    })
}

/// What modules are given: the runtime's tables, and the callback that takes the exception globals
/// of each C++ runtime that a module links.
pub(crate) fn services(daemon: bool) -> Services {
    Services {
        host: host::host(),
        worker_ipc: ipc::worker_ipc,
        daemon,
        own_name: admin::container::NAME,
        on_cxx_runtime: cxx_exceptions::add_globals,
    }
}

/// How long the configured pools wait until this node is a member of its cluster, others of which may start later.
const MEMBER_BOUND: Duration = Duration::from_secs(120);

/// Waits until this node is a member of its cluster, if it is to be one. After the bound, the pools say what they
/// lack.
fn await_cluster(shared: &Shared, progress: &Progress) {
    let Some(cluster) = shared.agreed_pools.get() else { return };
    let until = Instant::now() + MEMBER_BOUND;
    progress.begin(shared.page(), "waiting to be let into the cluster".to_owned());
    let is_member = || {
        let found = cluster.describe();
        let members = found.as_ref().and_then(|found| found["members"].as_array());
        members.is_some_and(|all| {
            all.iter().any(|one| one["own"] == true && one["standing"] == "member")
        })
    };
    while !is_member() && Instant::now() < until && progress.stopping_since().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    progress.end(shared.page());
}

/// Creates the configured pools.
fn create_pools(shared: &Shared, progress: &Progress) -> Result<(), Error> {
    progress.create_pools();
    if !shared.config.pools.is_empty() {
        await_cluster(shared, progress);
    }
    for wanted in &shared.config.pools {
        if progress.stopping_since().is_some() {
            break;
        }
        progress.begin(shared.page(), format!("creating pool '{}'", wanted.name));
        let (answer, told) = channel();
        let own = wanted.clone();
        let (mut flags, grants) = own.access.grants();
        let policy =
            Policy { on_crash: own.on_crash, isolation: own.isolation, durable: own.durable };
        flags |= policy.flags();
        let create = move || {
            // SAFETY: a worker runs this closure, so `worker_ipc` returns that worker's table.
            let made = unsafe {
                chimaera_ipc::admin::create_pool_with(
                    ipc::worker_ipc(),
                    (own.module.as_bytes(), own.name.as_bytes()),
                    &own.params,
                    (own.containers, own.nodes),
                    flags,
                    &grants,
                )
            };
            // This fails only if the start has been abandoned and the receiver dropped.
            let _ = answer.send(made.map_err(|(_, message)| message));
        };
        shared.mailbox(0).send(WorkerMessage::Run(CHI_ADMIN_CREATE_POOL, Box::new(create)));
        let made = told.recv().unwrap_or_else(|_| Err("its worker has ended".into()));
        let made = made.and_then(|(id, _)| match shared.durable.has(id) && !wanted.durable {
            true => Err("it is durable, and the configuration does not say so: write `durable: true`, or start \
                         without it and destroy it"
                .into()),
            false => Ok(()),
        });
        made.map_err(|message| Error::Pool { pool: wanted.name.clone(), message })?;
    }
    progress.end(shared.page());
    Ok(())
}

/// Creates the pool of a module host, and makes what serves its daemon. It listens nowhere and holds no
/// lock: in their places are descriptors on which nothing ever happens.
fn host_pool(
    shared: &Arc<Shared>,
    instance: &Instance,
    daemon: &Arc<Peer>,
    roll: Option<&OwnedFd>,
) -> Result<(Acceptor, OwnedFd), Error> {
    if let Some(roll) = roll {
        shared.clients.follow(roll).map_err(|error| Error::io("the roll of clients", error))?;
    }
    let orders = shared.config.orders.clone().expect("a module host has orders");
    shared.hosts.set_daemon(daemon.clone());
    let _ = shared.on_unknown_pool.set(isolation::find_foreign);
    let (own, peer) = (shared.clone(), daemon.clone());
    let pool: Arc<dyn isolation::HostedPool> = Arc::new(admin::Hosted::default());
    let listen = move || isolation::listen(&own, &peer, &pool);
    spawn_helper(shared, "chi-daemon", listen)?;
    let (answer, told) = channel();
    let wanted = orders.clone();
    let create = move || {
        let made = with_current(|worker| {
            let worker = worker.expect("messages are read by workers");
            admin::create_hosted(worker, &wanted)
        });
        // This fails only if the start has been abandoned and the receiver dropped.
        let _ = answer.send(made);
    };
    shared.mailbox(0).send(WorkerMessage::Run(CHI_ADMIN_CREATE_POOL, Box::new(create)));
    let made = told.recv();
    let made = made.unwrap_or_else(|_| Err(Failure::new(CHI_INTERNAL, "its worker has ended")));
    let name = orders.name.clone();
    made.map_err(|Failure { message, .. }| Error::Pool { pool: name, message })?;
    let silent = || rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
    let made = silent().and_then(|listener| Ok((listener, silent()?, silent()?)));
    let (listener, lock, own) =
        made.map_err(|error| Error::io("creating eventfds", std::io::Error::from(error)))?;
    let acceptor = Acceptor::new(shared.clone(), (instance.name(), None), listener, lock)
        .map_err(|error| Error::io("preparing to serve the daemon", error))?;
    Ok((acceptor, own))
}

/// Gives the calling thread a signal stack with room for last words: that of Rust's standard
/// library may be no larger than the registers that the kernel saves there.
fn prepare_for_last_words() {
    if let Err(error) = stack::prepare_thread() {
        tracing::warn!(%error, "a thread has no signal stack of its own: its last words may be lost");
    }
}

/// Starts a thread that runs until the runtime ends. If it ends earlier, the runtime stops.
fn spawn_helper(
    shared: &Arc<Shared>,
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let shared = shared.clone();
    let body = move || {
        if shared.config.daemon {
            prepare_for_last_words();
        }
        let ended = caught(work);
        if !shared.is_ending() {
            shared.set_broken(match ended {
                Ok(()) => format!("the thread {name} has ended"),
                Err(why) => format!("the thread {name} panicked: {why}"),
            });
            shared.command(ControlCommand::Stop);
        }
    };
    let thread = std::thread::Builder::new().name(name.into()).spawn(body);
    thread.map_err(|error| Error::io("starting a thread", error))
}

/// Waits for the threads to end, but not beyond their part of the grace time: a method that never returns must not
/// block the shutdown.
///
/// Returns what is abandoned, in words.
fn end(workers: impl Iterator<Item = JoinHandle<()>>, grace: Grace) -> Vec<String> {
    let mut left = Vec::new();
    let mut joined = Vec::new();
    for worker in workers {
        let name = worker.thread().name().unwrap_or("a thread").to_owned();
        while !worker.is_finished() && Instant::now() < grace.methods() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if worker.is_finished() {
            joined.push((name, join(worker)));
        } else {
            tracing::error!(thread = name, "a method has not returned; its worker is abandoned");
            left.push(format!("the thread {name}, whose method has not returned"));
        }
    }
    for (thread, joined) in joined {
        let rest = grace.threads().saturating_duration_since(Instant::now());
        match joined.recv_timeout(rest) {
            Err(RecvTimeoutError::Timeout) => {
                let why = "a destructor of a module's thread-local object has not returned";
                tracing::error!(thread, "{why}");
                left.push(format!(
                    "the thread {thread}, in a destructor of a thread-local object of a module"
                ));
            }
            Ok(Err(_)) => tracing::error!(thread, "a worker panicked"),
            // Or it cannot be joined, which was said.
            Ok(Ok(())) | Err(RecvTimeoutError::Disconnected) => {}
        }
    }
    left
}

/// Joins a thread whose closure has ended: destructors of its thread-local objects may not return.
fn join(thread: JoinHandle<()>) -> Receiver<std::thread::Result<()>> {
    let (answer, told) = channel();
    // Only another thread can wait in this thread's place.
    let waits = move || drop(answer.send(thread.join()));
    let waiting = std::thread::Builder::new().name("chi-join".into()).spawn(waits);
    if let Err(error) = waiting {
        tracing::warn!(%error, "a thread cannot be joined");
    }
    told
}

/// Lets other users enter the instance's directory.
fn let_others_in(instance: &Instance) -> Result<(), Error> {
    instance.let_others_enter()?;
    if let Some(closed) = instance.closed_to_others() {
        tracing::warn!(
            directory = %closed.display(),
            "access.connect lets other users connect, but they cannot enter a directory on the way to \
             the socket; CHI_RUNTIME_DIR names another place for the instances"
        );
    }
    Ok(())
}

/// Listens for clients, including those of other users if `open` is set. The acceptor checks the
/// user of each client.
fn listen(instance: &Instance, open: bool) -> Result<OwnedFd, Error> {
    let path = instance.socket();
    let failed = |error: rustix::io::Errno| Error::io(path.display().to_string(), error);
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(failed)?;
    // This process holds the instance's lock, so an existing socket was left behind by a dead
    // process.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(path.display().to_string(), error));
        }
        _ => {}
    }
    let directory = instance.open_directory()?;
    let address = SocketAddrUnix::new(&path).or_else(|error| match &directory {
        // A path that is too long for a socket's address has a shorter form.
        Some(directory) => SocketAddrUnix::new(directory.path_of(instance.socket_name())),
        None => Err(error),
    });
    let address = address.map_err(failed)?;
    rustix::net::bind(&socket, &address).map_err(failed)?;
    let mode = Mode::from_raw_mode(if open { 0o666 } else { 0o600 });
    rustix::fs::chmod(&path, mode).map_err(failed)?;
    refuse_descriptors(&socket);
    rustix::net::listen(&socket, 128).map_err(failed)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { workers: 1, module_paths: Vec::new(), ..Config::embedded() }
    }

    #[test]
    fn a_runtime_stops_without_a_helper_thread() {
        let runtime = Runtime::start(config()).unwrap();
        runtime.spawn_helper("chi-test", || panic!("told to")).unwrap();
        assert_eq!(runtime.wait(), ["the thread chi-test panicked: told to"]);

        let runtime = Runtime::start(config()).unwrap();
        runtime.spawn_helper("chi-test", || ()).unwrap();
        assert_eq!(runtime.wait(), ["the thread chi-test has ended"]);
    }

    #[test]
    fn a_runtime_stops_without_its_control_thread() {
        let runtime = Runtime::start_with(config(), |_| panic!("told to")).unwrap();
        let instance = runtime.instance().clone();
        assert_eq!(runtime.wait(), ["the control thread panicked: told to"]);
        assert!(!instance.socket().exists());
        assert!(!instance.is_running().unwrap());
    }

    #[test]
    fn a_helper_thread_may_end_with_the_runtime() {
        let runtime = Runtime::start(config()).unwrap();
        let shared = runtime.shared.clone();
        let work = move || {
            while !shared.is_ending() {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        runtime.spawn_helper("chi-test", work).unwrap();
        runtime.stop();
        assert_eq!(runtime.wait(), [""; 0]);
    }
}
