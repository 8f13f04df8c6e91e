//! The configuration of a runtime, and the errors of starting one.

mod cluster;
mod isolation;
mod limits;
mod memory;
mod orders;
mod policy;
mod progress;
mod service_manager;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

pub use self::cluster::{ClusterConfig, Founding};
pub use self::isolation::{HostLimits, Isolation};
pub use self::limits::{ProcessLimits, UserLimits, UserQuota};
pub use self::memory::MemoryLimit;
pub(crate) use self::orders::Beginning;
pub use self::orders::HostOrders;
pub use self::policy::OnCrash;
pub(crate) use self::policy::Policy;
pub use self::progress::Progress;
pub use self::service_manager::ServiceManager;
use crate::access::{Accounts, PoolAccess};
use crate::log::LogControl;
use chimaera_ipc::instance;
use chimaera_ipc::layout::{
    DEFAULT_SEGMENT, DEFAULT_SHARE, MAX_SEGMENT, MIN_SEGMENT, MOST_RINGS, SHARES,
};
use chimaera_ipc::status_page::MAX_WORKERS;
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};

/// The default number of stand-by workers.
const STANDBY_WORKERS: usize = 4;

/// A pool that a runtime creates when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Its name.
    pub name: String,
    /// Its module, `repo:module`.
    pub module: String,
    /// Parameters for the module.
    pub params: Vec<u8>,
    /// How many containers it has.
    pub containers: u32,
    /// On how many nodes of a cluster it is kept; 0 for all.
    pub nodes: u32,
    /// What happens when one of its methods crashes.
    pub on_crash: OnCrash,
    /// Who may use it.
    pub access: PoolAccess,
    /// Where its containers run.
    pub isolation: Isolation,
    /// The next runtime of the instance makes it anew, also after a crash.
    pub durable: bool,
    /// What its module host may use, if not what [`Config::hosts`] says.
    pub host: Option<HostLimits>,
}

/// A program, with the arguments by which it starts a runtime with the same configuration. It must
/// understand a further `--succeeds DESCRIPTOR`, for [`Config::predecessor`].
#[derive(Clone, Debug)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// The configuration of a runtime.
#[derive(Clone, Debug)]
pub struct Config {
    /// The instance's name; `None` means `$CHI_INSTANCE`, or `default` if that is not set.
    pub instance: Option<String>,
    /// The number of worker threads in both groups together, 1 to 256. The default is one less than
    /// the number of cores that the process may use, but at least one.
    pub workers: usize,
    /// How many of the workers, counted from the last, form the group for high-latency tasks. The
    /// others, at least one, form the group for low-latency tasks. With 0 there is one group that
    /// runs all tasks.
    pub high_latency_workers: usize,
    /// The maximum number of stand-by workers. One is started when methods block all workers of a
    /// group, and rests when it is no longer needed. At most 256 together with `workers`.
    pub standby_workers: usize,
    /// How many workers, stand-by workers included, the tasks of one session may block at a time, 1
    /// to 256. A stand-by worker starts no further task of a session that has reached this.
    pub max_blocked_workers: usize,
    /// The cores to which the low-latency workers are pinned, one each, in turn. If empty, the
    /// operating system chooses the cores and may move the workers.
    pub cores: Vec<usize>,
    /// The cores to which the high-latency workers are pinned, likewise.
    pub high_latency_cores: Vec<usize>,
    /// Directories to scan for modules, in order. The default is `$CHI_REPO_PATH`, then
    /// `$LD_LIBRARY_PATH`, then the directory of the modules that were installed with the program.
    pub module_paths: Vec<PathBuf>,
    /// How long an idle worker spins, looking for work, before it parks.
    pub spin: Duration,
    /// The size of a task's stack in bytes, 64 KiB to 64 MiB, rounded up to whole pages. Only pages
    /// that are touched use memory.
    pub stack_size: usize,
    /// How much memory the runtime may allocate for its clients.
    pub memory: MemoryLimit,
    /// The limit on suspended tasks, all workers together, 64 to a million; beyond it, new tasks
    /// wait in their rings. They wait earlier if the memory budget has no room for that many
    /// stacks. Each suspended task needs a stack, and thus two of the mappings that Linux allows a
    /// process (`vm.max_map_count`, 65530 by default).
    pub max_suspended: usize,
    /// The limit on one session's tasks in flight, 256 to a million; beyond it, the session's rings
    /// wait.
    pub max_in_flight: usize,
    /// The size, in bytes, of the segment of a client that does not ask for a size.
    pub default_segment: u64,
    /// The size, in bytes, of the largest segment that a client may ask for.
    pub max_segment: u64,
    /// The runtime's share of a segment's arenas in percent, 10 to 90. The runtime allocates for
    /// the client from this share, and the client from the rest.
    pub runtime_share: u64,
    /// The limit on concurrent sessions.
    pub max_sessions: usize,
    /// Who may connect besides the user of this process and root.
    pub may_connect: Accounts,
    /// Who among these may create pools; `None` means all.
    pub may_create: Option<Accounts>,
    /// The limit on pools, the admin pool included, 2 to 65536.
    pub max_pools: u32,
    /// The limit on the containers of all pools together, 1 to 16777216. The admin pool's does not
    /// count.
    pub max_containers: u32,
    /// What the clients of one user may use.
    pub per_user: UserLimits,
    /// What the clients of some users may use instead. The first quota that names a user applies.
    pub quotas: Vec<UserQuota>,
    /// What one process may use.
    pub per_process: ProcessLimits,
    /// The limit on the rings of one session, and so on its threads that submit tasks, 1 to 64.
    pub max_rings: u64,
    /// A task that runs for longer than this without giving up its worker is reported in the log;
    /// `None` turns the warning off.
    pub long_task_warning: Option<Duration>,
    /// How long tasks and pools may take to end when the runtime stops. Those that have not ended
    /// by then are abandoned.
    pub stop_grace: Duration,
    /// Pools to create, in this order, before clients are accepted. If one cannot be created, the
    /// runtime does not start.
    pub pools: Vec<PoolConfig>,
    /// The process is a runtime and nothing else: modules that link libchimaera_client cannot
    /// connect.
    pub daemon: bool,
    /// The log is a file, which is or will become this process's standard error; `chimaera status`
    /// shows this.
    pub log_is_file: bool,
    /// The log of the process, for `chimaera log` and `chimaera status`. `None` if the runtime must
    /// not change the log.
    pub log: Option<Arc<dyn LogControl>>,
    /// Who started the process, and wants to know how it fares.
    pub manager: Option<Arc<dyn ServiceManager>>,
    /// Modules, `repo:module`, whose pools all run in processes of their own.
    pub isolated_modules: Vec<String>,
    /// What a module host may use.
    pub hosts: HostLimits,
    /// The program that runs as a module host when it is started with the argument `module-host`:
    /// `chimaera`. `None`: there can be no module hosts.
    pub host_program: Option<PathBuf>,
    /// For a module host: what it runs. [`Runtime::start_host`](crate::Runtime::start_host) sets this.
    pub orders: Option<Arc<HostOrders>>,
    /// Is told what the start is doing.
    pub progress: Arc<Progress>,
    /// Where the states of pools are kept; `None` means the default, see
    /// [`Config::state_directory`].
    pub state_directory: Option<PathBuf>,
    /// The program to start when the runtime is restarted. `None` if it cannot be: it is part of an
    /// application.
    pub program: Option<Program>,
    /// The descriptor of the channel to a predecessor, from which to take over the instance with its
    /// pools and clients.
    pub predecessor: Option<Arc<OwnedFd>>,
    /// The instance's name will not be used again, so none of its files should stay behind.
    pub private: bool,
    /// The cluster that the runtime is a node of, if any.
    pub cluster: Option<ClusterConfig>,
}

impl Config {
    /// For a runtime inside a test or an application: the defaults, and an instance of its own,
    /// whose name [`Runtime::instance`](crate::Runtime::instance) returns.
    pub fn embedded() -> Config {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("embedded-{}-{count}", std::process::id());
        Config { instance: Some(name), private: true, ..Config::default() }
    }

    /// The configuration of the runtime that carries out orders, in a module host.
    pub(crate) fn of_orders(orders: HostOrders) -> Config {
        let mut config = Config {
            instance: Some(orders.instance.clone()),
            workers: orders.workers,
            high_latency_workers: orders.high_latency_workers,
            standby_workers: orders.standby_workers,
            max_blocked_workers: orders.workers + 1,
            module_paths: orders.module_paths.clone(),
            spin: orders.spin,
            stack_size: orders.stack_size,
            max_suspended: orders.max_suspended,
            memory: MemoryLimit::Bytes(orders.memory),
            max_in_flight: 1_000_000,
            long_task_warning: orders.long_task_warning,
            stop_grace: orders.stop_grace,
            daemon: true,
            ..Config::default()
        };
        // The daemon keeps the limits of its clients.
        config.per_user.tasks_in_flight = 100_000_000;
        config.per_process.tasks_in_flight = 100_000_000;
        config.orders = Some(Arc::new(orders));
        config
    }

    /// The directory of the modules that were installed with the program, if it exists.
    pub fn installed_modules() -> Option<PathBuf> {
        let program = std::env::current_exe().ok()?;
        let modules = program.parent()?.parent()?.join("lib/chimaera/modules");
        modules.is_dir().then_some(modules)
    }

    /// The directory for the states of this instance's pools: [`Config::state_directory`], else
    /// `$STATE_DIRECTORY`, `/var/lib/chimaera` for root, or `chimaera` in `$XDG_STATE_HOME`
    /// (`~/.local/state`); in it, one directory for each instance. The error says what is missing.
    pub fn state_directory(&self, instance: &str) -> Result<PathBuf, String> {
        let set =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let of_user = || {
            let home = || set("HOME").map(|home| home.join(".local/state"));
            Some(set("XDG_STATE_HOME").or_else(home)?.join("chimaera"))
        };
        let all = match &self.state_directory {
            Some(path) => std::path::absolute(path).ok(),
            None => set("STATE_DIRECTORY").or_else(|| match instance::uid() {
                0 => Some("/var/lib/chimaera".into()),
                _ => of_user(),
            }),
        };
        let all =
            all.ok_or("there is no directory for the states of pools: set state_dir, or HOME")?;
        Ok(all.join(instance))
    }

    /// How long a method may keep its worker, in a module host with such a limit.
    pub(crate) fn kill_after(&self) -> Option<Duration> {
        self.orders.as_ref()?.limits.kill_after
    }

    /// How many bytes of memory this process may use, if it is a module host with such a limit.
    pub(crate) fn host_memory(&self) -> Option<u64> {
        self.orders.as_ref()?.limits.memory
    }

    /// Waits until the log is written, but not for long: the process is about to end.
    pub(crate) fn flush_log(&self) {
        if let Some(log) = &self.log {
            log.flush();
        }
    }

    /// Whether the worker with this index is in the group for high-latency tasks. Does not apply to
    /// stand-by workers.
    pub fn is_high_latency(&self, worker: usize) -> bool {
        worker >= self.workers - self.high_latency_workers
    }

    /// The number of workers of all kinds, including stand-by workers that have not been started: one more
    /// of these than may serve, which attends. There is none of that kind if there are as many workers as
    /// there can be.
    pub(crate) fn all_workers(&self) -> usize {
        (self.workers + self.standby_workers + 1).min(MAX_WORKERS)
    }

    /// The core to which the worker with this index is to be pinned, if any.
    pub fn core_of(&self, worker: usize) -> Option<usize> {
        let low = self.workers - self.high_latency_workers;
        let (cores, index) = match worker.checked_sub(low) {
            Some(index) => (&self.high_latency_cores, index),
            None => (&self.cores, worker),
        };
        (!cores.is_empty()).then(|| cores[index % cores.len()])
    }

    /// Checks that every number is in its range, and that every core can be used.
    pub(crate) fn check(&self) -> Result<(), Error> {
        in_range("workers", self.workers as u64, 1, MAX_WORKERS as u64)?;
        let high = self.high_latency_workers as u64;
        in_range("high-latency workers", high, 0, self.workers as u64 - 1)?;
        let most = (MAX_WORKERS - self.workers) as u64;
        in_range("stand-by workers", self.standby_workers as u64, 0, most)?;
        let blocked = self.max_blocked_workers as u64;
        in_range("the limit on blocked workers per session", blocked, 1, MAX_WORKERS as u64)?;
        in_range("the stack size in bytes", self.stack_size as u64, 64 << 10, 64 << 20)?;
        match self.memory {
            MemoryLimit::Auto => {}
            MemoryLimit::Percent(share) => in_range("the memory budget in percent", share, 1, 100)?,
            MemoryLimit::Bytes(bytes) => {
                in_range("the memory budget in bytes", bytes, 16 << 20, 1 << 50)?;
            }
        }
        in_range("the limit on suspended tasks", self.max_suspended as u64, 64, 1_000_000)?;
        in_range("the limit on tasks in flight", self.max_in_flight as u64, 256, 1_000_000)?;
        in_range("the largest segment in bytes", self.max_segment, MIN_SEGMENT, MAX_SEGMENT)?;
        in_range(
            "the default segment in bytes",
            self.default_segment,
            MIN_SEGMENT,
            self.max_segment,
        )?;
        in_range(
            "the runtime's share in percent",
            self.runtime_share,
            *SHARES.start(),
            *SHARES.end(),
        )?;
        in_range("the limit on pools", self.max_pools.into(), 2, 65536)?;
        in_range("the limit on containers", self.max_containers.into(), 1, 1 << 24)?;
        self.per_user.check()?;
        self.quotas.iter().try_for_each(|quota| quota.limits.check())?;
        self.per_process.check()?;
        in_range("the limit on rings", self.max_rings, 1, MOST_RINGS)?;
        check_cores(&self.cores)?;
        check_cores(&self.high_latency_cores)
    }
}

/// Checks that a number is in its range.
fn in_range(what: &str, found: u64, least: u64, most: u64) -> Result<(), Error> {
    match found {
        found if (least..=most).contains(&found) => Ok(()),
        _ => Err(Error::Config(format!("{what} must be {least} to {most}, not {found}"))),
    }
}

/// The cores to which this process may pin its threads, in ascending order.
fn usable_cores() -> Result<Vec<usize>, Error> {
    let failed = |error| Error::io("asking which cores the process may use", error);
    let ask = || {
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|core| all.set(core));
        // The kernel drops the cores that do not exist or that a control group forbids.
        sched_setaffinity(None, &all)?;
        sched_getaffinity(None)
    };
    // In a separate thread, because this changes the affinity of the calling thread.
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    let found = asked.expect("asking does not panic").map_err(failed)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| found.is_set(core)).collect())
}

/// Checks that this process may pin threads to these cores, whatever the affinity of the calling
/// thread. `[any thread]`
///
/// # Errors
/// [`Error::Core`] with the first core that the process may not use; [`Error::Io`] if the operating
/// system does not list the cores.
///
/// ```
/// let error = chimaera_runtime::check_cores(&[99_999]).unwrap_err();
/// assert!(error.to_string().starts_with("core 99999 cannot be used; this process may use "));
/// ```
pub fn check_cores(cores: &[usize]) -> Result<(), Error> {
    if cores.is_empty() {
        return Ok(());
    }
    let usable = usable_cores()?;
    let wrong = cores.iter().find(|core| !usable.contains(core));
    wrong.map_or(Ok(()), |&core| Err(Error::Core { core, usable: ranges(&usable) }))
}

/// Ascending numbers as ranges: `0-3, 6`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|before, after| before + 1 == *after);
    let runs = runs.map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(", ")
}

/// Pins the calling thread to one core.
pub(crate) fn pin(core: usize) -> Result<(), Error> {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only)
        .map_err(|error| Error::io(format!("pinning a worker to core {core}"), error))
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.saturating_sub(1).clamp(1, MAX_WORKERS - STANDBY_WORKERS);
        let paths = |name| {
            let value = std::env::var_os(name).unwrap_or_default();
            let all: Vec<PathBuf> =
                std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect();
            all
        };
        Config {
            instance: None,
            workers,
            standby_workers: STANDBY_WORKERS,
            max_blocked_workers: workers + 1,
            module_paths: ["CHI_REPO_PATH", "LD_LIBRARY_PATH"]
                .into_iter()
                .flat_map(paths)
                .chain(Config::installed_modules())
                .collect(),
            spin: Duration::from_micros(50),
            high_latency_workers: 0,
            cores: Vec::new(),
            high_latency_cores: Vec::new(),
            stack_size: 256 << 10,
            memory: MemoryLimit::Auto,
            max_suspended: 28_000,
            max_in_flight: 1 << 16,
            default_segment: DEFAULT_SEGMENT,
            max_segment: 64 << 30,
            runtime_share: DEFAULT_SHARE,
            max_sessions: 1024,
            may_connect: Accounts::default(),
            may_create: None,
            max_pools: 65536,
            max_containers: 65536,
            per_user: UserLimits::default(),
            quotas: Vec::new(),
            per_process: ProcessLimits::default(),
            max_rings: 64,
            long_task_warning: Some(Duration::from_millis(100)),
            stop_grace: Duration::from_secs(10),
            pools: Vec::new(),
            daemon: false,
            log_is_file: false,
            log: None,
            manager: None,
            progress: Arc::default(),
            state_directory: None,
            program: None,
            predecessor: None,
            private: false,
            cluster: None,
            isolated_modules: Vec::new(),
            hosts: HostLimits::default(),
            host_program: None,
            orders: None,
        }
    }
}

/// Why a runtime did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The instance's name or directory cannot be used.
    #[error(transparent)]
    Instance(#[from] instance::Error),
    /// The instance is already running.
    #[error(
        "instance '{name}' is already running (process {pid}); stop it or choose another name"
    )]
    Running {
        /// Its name.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// A configured pool cannot be created.
    #[error("creating pool '{pool}': {message}")]
    Pool {
        /// Its name.
        pool: String,
        /// Why.
        message: String,
    },
    /// A durable pool cannot be made anew.
    #[error("durable pools: {message}")]
    Durable {
        /// Which one, and why.
        message: String,
    },
    /// The runtime cannot be a node of its cluster.
    #[error("the cluster: {message}")]
    Cluster {
        /// Why.
        message: String,
    },
    /// A worker is to be pinned to a core that the process cannot use.
    #[error("core {core} cannot be used; this process may use {usable}")]
    Core {
        /// Its number.
        core: usize,
        /// The cores that can be used, as `0-3, 6`.
        usable: String,
    },
    /// A number is out of range.
    #[error("{0}")]
    Config(String),
    /// The operating system refused something.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// The operating system's error.
        error: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, error: impl Into<std::io::Error>) -> Error {
        Error::Io { what: what.into(), error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_its_cores_in_turn() {
        let config = Config {
            workers: 5,
            high_latency_workers: 2,
            cores: vec![0, 2],
            high_latency_cores: vec![7],
            ..Config::default()
        };
        let cores: Vec<_> = (0..5).map(|worker| config.core_of(worker)).collect();
        assert_eq!(cores, [0, 2, 0, 7, 7].map(Some));
        assert_eq!((0..5).filter(|&worker| config.is_high_latency(worker)).count(), 2);
        assert_eq!(Config { high_latency_cores: Vec::new(), ..config }.core_of(4), None);
    }

    #[test]
    fn what_is_out_of_its_range_is_named() {
        let refused = |config: Config| config.check().unwrap_err().to_string();
        let config = Config { workers: 2, ..Config::default() };
        assert!(config.check().is_ok());
        let all_high = Config { high_latency_workers: 2, ..config.clone() };
        assert_eq!(refused(all_high), "high-latency workers must be 0 to 1, not 2");
        let small = Config { default_segment: 1, ..config.clone() };
        assert!(refused(small)
            .contains("default segment in bytes must be 4194304 to 68719476736, not 1"));
        for core in [1023, 99_999] {
            let why = refused(Config { cores: vec![core], ..config.clone() });
            let want = format!("core {core} cannot be used; this process may use ");
            assert!(why.starts_with(&want), "{why}");
        }
        assert_eq!(ranges(&[0, 1, 2, 3, 6, 8, 9]), "0-3, 6, 8-9");
    }
}
