//! A runtime: started, running, ended.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use chimaera_ipc::instance::Instance;
use chimaera_ipc::status_page::{self, Reader, Writer};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::admin;
use crate::config::{pin, Config, Error};
use crate::control::{close, Acceptor, CLOSE_BOUND};
use crate::coroutine::{cxx_exceptions, stack};
use crate::module::{Modules, Services};
use crate::scheduler::{event_loop, watchdog, ControlCommand, Shared, WorkerMessage};
use crate::sys::{membarrier, segment_fault};
use crate::tables::{host, ipc};

/// How long workers may take to end once they are told to.
const END_BOUND: Duration = Duration::from_secs(5);

/// A runtime in this process. It ends when it is told to, by [`Runtime::stop`] or by a client, or when
/// this is dropped.
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
    control: Option<JoinHandle<()>>,
    /// Dropped before the lock.
    _page_name: status_page::Name,
    /// Held as long as the instance runs.
    _lock: OwnedFd,
}

impl Runtime {
    /// Starts a runtime and returns when it accepts clients.
    pub fn start(config: Config) -> Result<Runtime, Error> {
        let begin = Instant::now();
        config.check()?;
        let instance = Instance::new(config.instance.as_deref())?;
        instance.prepare_directory()?;
        let path = instance.lock();
        let lock = instance
            .take_lock()
            .map_err(|error| Error::io(path.display().to_string(), error))?
            .ok_or_else(|| Error::Running {
                name: instance.name().to_owned(),
                pid: Reader::open(&instance)
                    .map_or(0, |reader| reader.page().pid.load(Ordering::Relaxed)),
            })?;
        let (page, page_name) =
            Writer::create(&instance).map_err(|error| Error::io("the status page", error))?;
        let modules = Modules::scan(&config.module_paths, &services(config.daemon));
        let shared = Shared::new(config, modules, page)
            .map_err(|error| Error::io("making eventfds", error))?;
        let shared = Arc::new(shared);
        segment_fault::install();
        stack::install();
        fill_page(&shared);
        admin::container::open(&shared);
        membarrier::prepare();
        let workers = Workers::start(&shared)?;
        create_pools(&shared)?;
        let listener = listen(&instance)?;
        let acceptor = Acceptor::new(shared.clone(), listener)
            .map_err(|error| Error::io("making an epoll", error))?;
        let socket = instance.socket();
        let own = shared.clone();
        let control = std::thread::Builder::new()
            .name("chi-control".into())
            .spawn(move || {
                or_abort(|| {
                    let mut acceptor = acceptor;
                    acceptor.serve();
                    // A failure means that somebody has removed it already.
                    let _ = std::fs::remove_file(&socket);
                    own.end_workers();
                    workers.end();
                });
                tracing::info!("stopped");
            })
            .map_err(|error| Error::io("starting a thread", error))?;
        let took = begin.elapsed();
        shared.page().ready_after_ns.store(took.as_nanos() as u64, Ordering::Release);
        tracing::info!(
            instance = instance.name(),
            socket = %instance.socket().display(),
            workers = shared.config.workers,
            modules = shared.modules.loaded.len(),
            ?took,
            "ready"
        );
        Ok(Runtime { instance, shared, control: Some(control), _page_name: page_name, _lock: lock })
    }

    /// The instance that this runtime is.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Names of the modules that are loaded.
    pub fn modules(&self) -> Vec<String> {
        self.shared.modules.loaded.iter().map(|module| module.name.clone()).collect()
    }

    /// Tells the runtime to end. Tasks that run finish, those that have not started are cancelled.
    pub fn stop(&self) {
        self.shared.command(ControlCommand::Stop);
    }

    /// A function that tells the runtime to end, for a thread that handles signals.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.command(ControlCommand::Stop)
    }

    /// Waits until the runtime has ended.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        if let Some(control) = self.control.take() {
            if control.join().is_err() {
                tracing::error!("the control thread panicked");
            }
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.control.is_some() {
            self.stop();
            self.join();
        }
        if self.shared.config.private {
            // A failure means that somebody has removed it already.
            let _ = std::fs::remove_file(self.instance.lock());
        }
    }
}

fn fill_page(shared: &Shared) {
    let page = shared.page();
    let started = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
    page.started_ns.store(started, Ordering::Relaxed);
    page.workers.store(shared.config.workers as u32, Ordering::Relaxed);
    for (worker, line) in page.lines.iter().take(shared.config.workers).enumerate() {
        line.high_latency.store(shared.config.is_high_latency(worker).into(), Ordering::Relaxed);
    }
    page.modules.store(shared.modules.loaded.len() as u32, Ordering::Relaxed);
    let refused = shared.modules.refused.iter().filter(|refusal| refusal.is_module).count();
    page.refused.store(refused as u32, Ordering::Relaxed);
    page.log_is_file.store(shared.config.log_is_file.into(), Ordering::Relaxed);
}

/// The workers' threads. If this is dropped, the start has failed: it destroys the pools that there are
/// already and ends the workers.
struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(shared: &Arc<Shared>) -> Result<Workers, Error> {
        let mut workers = Workers { shared: shared.clone(), threads: Vec::new() };
        for index in 0..shared.config.workers as u32 {
            let own = shared.clone();
            let thread =
                std::thread::Builder::new().name(format!("chi-worker-{index}")).spawn(move || {
                    or_abort(|| {
                        let pinned = own.config.core_of(index as usize).map_or(Ok(()), pin);
                        let ended = pinned.and_then(|()| {
                            event_loop::run(index, own)
                                .map_err(|error| Error::io("its epoll", error))
                        });
                        if let Err(error) = ended {
                            tracing::error!(worker = index, %error, "a worker cannot go on");
                            std::process::abort();
                        }
                    });
                });
            let thread = thread.map_err(|error| Error::io("starting a worker's thread", error))?;
            workers.threads.push(thread);
        }
        let own = shared.clone();
        let watchdog = std::thread::Builder::new().name("chi-watchdog".into());
        let watchdog = watchdog.spawn(move || or_abort(|| watchdog::run(&own)));
        workers.threads.push(watchdog.map_err(|error| Error::io("starting a thread", error))?);
        Ok(workers)
    }

    /// Waits for the workers, which have been told to end.
    fn end(mut self) {
        end(std::mem::take(&mut self.threads));
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        close::begin(&self.shared);
        let until = Instant::now() + CLOSE_BOUND;
        let closed = || matches!(self.shared.take_command(), Some(ControlCommand::PoolsClosed));
        while !closed() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.shared.end_workers();
        end(std::mem::take(&mut self.threads));
    }
}

/// What modules are given, and where it is told what they bring along.
pub(crate) fn services(daemon: bool) -> Services {
    Services {
        host: host::host(),
        worker_ipc: ipc::worker_ipc,
        daemon,
        own_name: admin::container::NAME,
        on_cxx_runtime: cxx_exceptions::set_globals,
    }
}

/// Creates the pools of the configuration.
fn create_pools(shared: &Shared) -> Result<(), Error> {
    for wanted in &shared.config.pools {
        let (answer, told) = channel();
        let own = wanted.clone();
        let create = move || {
            // SAFETY: the table is that of the worker that runs this.
            let made = unsafe {
                chimaera_ipc::admin::create_pool(
                    ipc::worker_ipc(),
                    own.module.as_bytes(),
                    own.name.as_bytes(),
                    &own.params,
                    own.containers,
                )
            };
            // It fails only when the start has been given up.
            let _ = answer.send(made.map(|_| ()).map_err(|(_, message)| message));
        };
        shared.mailboxes[0].send(WorkerMessage::Run(Box::new(create)));
        let made = told.recv().unwrap_or_else(|_| Err("its worker has ended".into()));
        made.map_err(|message| Error::Pool { pool: wanted.name.clone(), message })?;
    }
    Ok(())
}

/// Runs a thread's work; a panic in it, a defect, ends the process. Without that thread, tasks would
/// hang for ever, whereas the clients of a dead runtime are told at once.
fn or_abort(work: impl FnOnce()) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
        tracing::error!("a thread of the runtime panicked; this is a bug");
        std::process::abort();
    }
}

/// Waits for the workers, but not for ever for one whose method never returns.
fn end(workers: Vec<JoinHandle<()>>) {
    let until = Instant::now() + END_BOUND;
    for (index, worker) in workers.into_iter().enumerate() {
        while !worker.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !worker.is_finished() {
            tracing::error!(worker = index, "a method has not returned; its worker is abandoned");
        } else if worker.join().is_err() {
            tracing::error!(worker = index, "a worker panicked");
        }
    }
}

/// Has the kernel refuse descriptors that clients send. The runtime wants none, and to close one can
/// take as long as its sender likes (`SO_LINGER`). The connections inherit it.
fn refuse_descriptors(socket: &OwnedFd) {
    /// From the kernel's include/uapi/asm-generic/socket.h; libc does not have it yet.
    const SO_PASSRIGHTS: libc::c_int = 83;
    let off: libc::c_int = 0;
    // SAFETY: the descriptor is open, and the value lives through the call. It fails on kernels before
    // 6.16, which do not know the option; there, descriptors are received and closed.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const off).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

fn listen(instance: &Instance) -> Result<OwnedFd, Error> {
    let path = instance.socket();
    let failed = |error: rustix::io::Errno| Error::io(path.display().to_string(), error);
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(failed)?;
    // This process holds the instance's lock, so a socket that is there was left by a dead one.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(path.display().to_string(), error));
        }
        _ => {}
    }
    let address = SocketAddrUnix::new(&path).map_err(failed)?;
    rustix::net::bind(&socket, &address).map_err(failed)?;
    rustix::fs::chmod(&path, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    refuse_descriptors(&socket);
    rustix::net::listen(&socket, 128).map_err(failed)?;
    Ok(socket)
}
