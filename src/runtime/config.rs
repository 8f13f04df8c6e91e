//! What a runtime is started with, and why it may not start.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chimaera_ipc::instance;
use chimaera_ipc::layout::{DEFAULT_SEGMENT, DEFAULT_SHARE, MAX_SEGMENT, MIN_SEGMENT, SHARES};
use chimaera_ipc::status_page::MAX_WORKERS;
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};

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
}

/// What a runtime is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The instance; `None` takes `$CHI_INSTANCE`, or else `default`.
    pub instance: Option<String>,
    /// Worker threads of both groups together, 1 to 256. The default is one less than the cores that
    /// the process may use, at least one.
    pub workers: usize,
    /// How many of the workers, the last ones, are the group for tasks of high latency; the others are
    /// the group for tasks of low latency, which has at least one. 0 makes one group that runs all.
    pub high_latency_workers: usize,
    /// The cores to which the workers for low latency are pinned, one each in turn; none: the operating
    /// system chooses, and may move them.
    pub cores: Vec<usize>,
    /// The same for the group for tasks of high latency.
    pub high_latency_cores: Vec<usize>,
    /// Directories to scan for modules, in order. The default is `$CHI_REPO_PATH`, then
    /// `$LD_LIBRARY_PATH`, then the directory of the modules that were installed with the program.
    pub module_paths: Vec<PathBuf>,
    /// How long an idle worker looks for work before it sleeps.
    pub spin: Duration,
    /// Bytes of a task's stack, 64 KiB to 64 MiB, rounded up to whole pages. Only touched pages take
    /// memory.
    pub stack_size: usize,
    /// Tasks of all workers together that are suspended, 64 to a million, beyond which new ones wait in
    /// their rings. Each takes a stack, and so two of the mappings that Linux gives a process
    /// (`vm.max_map_count`, 65530 unless it is raised).
    pub max_suspended: usize,
    /// Tasks of one session under way, 256 to a million, beyond which its rings wait.
    pub max_in_flight: usize,
    /// The segment of a client that asks for no size, in bytes.
    pub default_segment: u64,
    /// The largest segment that a client may ask for, in bytes.
    pub max_segment: u64,
    /// The runtime's share of the arenas of a segment, 10 to 90 hundredths: what it allocates for
    /// clients lies there; what they allocate lies in the rest.
    pub runtime_share: u64,
    /// Sessions at a time.
    pub max_sessions: usize,
    /// Pools at a time, 2 to 65536; the admin's is one.
    pub max_pools: u32,
    /// A task that runs for longer without giving up its worker is warned of in the log; `None` warns
    /// of none.
    pub long_task_warning: Option<Duration>,
    /// Pools to create, in this order, before clients are let in. When one cannot be created, the
    /// runtime does not start.
    pub pools: Vec<PoolConfig>,
    /// The process is only a runtime: modules that bring libchimaera_client along cannot connect.
    pub daemon: bool,
    /// The log goes to a file, which is or will be this process's standard error; `chimaera status`
    /// shows it.
    pub log_is_file: bool,
    /// The instance's name will not be used again: no file of its stays behind.
    pub private: bool,
}

impl Config {
    /// For a runtime inside a test or an application: the defaults, and an instance that nobody else
    /// has, whose name is [`Runtime::instance`](crate::Runtime::instance)'s.
    pub fn embedded() -> Config {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("embedded-{}-{count}", std::process::id());
        Config { instance: Some(name), private: true, ..Config::default() }
    }

    /// The directory of the modules that were installed with the program, when there is one.
    pub fn installed_modules() -> Option<PathBuf> {
        let program = std::env::current_exe().ok()?;
        let modules = program.parent()?.parent()?.join("lib/chimaera/modules");
        modules.is_dir().then_some(modules)
    }

    /// Whether the worker of this index is one for tasks of high latency.
    pub fn is_high_latency(&self, worker: usize) -> bool {
        worker >= self.workers - self.high_latency_workers
    }

    /// The core to which the worker of this index is to be pinned.
    pub fn core_of(&self, worker: usize) -> Option<usize> {
        let low = self.workers - self.high_latency_workers;
        let (cores, index) = match worker.checked_sub(low) {
            Some(index) => (&self.high_latency_cores, index),
            None => (&self.cores, worker),
        };
        (!cores.is_empty()).then(|| cores[index % cores.len()])
    }

    /// Refuses numbers that are out of their ranges.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let size = |what, found: u64, least: u64, most: u64| match found {
            found if (least..=most).contains(&found) => Ok(()),
            _ => Err(Error::Config(format!("{what}: {least} to {most}, not {found}"))),
        };
        size("workers", self.workers as u64, 1, MAX_WORKERS as u64)?;
        let high = self.high_latency_workers as u64;
        size("workers for high latency", high, 0, self.workers as u64 - 1)?;
        size("bytes of a stack", self.stack_size as u64, 64 << 10, 64 << 20)?;
        size("suspended tasks", self.max_suspended as u64, 64, 1_000_000)?;
        size("tasks of a session under way", self.max_in_flight as u64, 256, 1_000_000)?;
        size("bytes of the largest segment", self.max_segment, MIN_SEGMENT, MAX_SEGMENT)?;
        size("bytes of a segment", self.default_segment, MIN_SEGMENT, self.max_segment)?;
        size("hundredths of a segment", self.runtime_share, *SHARES.start(), *SHARES.end())?;
        size("pools", self.max_pools.into(), 2, 65536)?;
        check_cores(&self.cores)?;
        check_cores(&self.high_latency_cores)
    }
}

/// The cores to which this process may pin its threads, in ascending order.
fn usable_cores() -> Result<Vec<usize>, Error> {
    let failed = |error| Error::io("asking which cores the process may use", error);
    let ask = || {
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|core| all.set(core));
        // It takes away those that do not exist, or that a control group forbids.
        sched_setaffinity(None, &all)?;
        sched_getaffinity(None)
    };
    // In a thread that is for nothing else.
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    let found = asked.expect("asking does not panic").map_err(failed)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| found.is_set(core)).collect())
}

/// Whether this process may pin threads to these cores, whatever the affinity of the thread that asks.
/// `[any thread]`
///
/// # Errors
/// [`Error::Core`] with the first that it may not use; [`Error::Io`] when the operating system does not tell.
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

/// Ascending numbers in few words: `0-3, 6`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|before, after| before + 1 == *after);
    let runs = runs.map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(", ")
}

/// Binds the calling thread to one core.
pub(crate) fn pin(core: usize) -> Result<(), Error> {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).map_err(|error| {
        Error::io(format!("core {core}, to which a worker is to be pinned"), error)
    })
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let paths = |name| {
            let value = std::env::var_os(name).unwrap_or_default();
            let all: Vec<PathBuf> =
                std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect();
            all
        };
        Config {
            instance: None,
            workers: cores.saturating_sub(1).clamp(1, MAX_WORKERS),
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
            max_suspended: 28_000,
            max_in_flight: 1 << 16,
            default_segment: DEFAULT_SEGMENT,
            max_segment: 64 << 30,
            runtime_share: DEFAULT_SHARE,
            max_sessions: 1024,
            max_pools: 65536,
            long_task_warning: Some(Duration::from_millis(100)),
            pools: Vec::new(),
            daemon: false,
            log_is_file: false,
            private: false,
        }
    }
}

/// Why a runtime did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The instance's name or directory cannot be used.
    #[error(transparent)]
    Instance(#[from] instance::Error),
    /// The instance runs already.
    #[error("the instance '{name}' is already running (process {pid})")]
    Running {
        /// Its name.
        name: String,
        /// Its process.
        pid: u32,
    },
    /// A pool of the configuration cannot be created.
    #[error("creating pool '{pool}': {message}")]
    Pool {
        /// Its name.
        pool: String,
        /// Why.
        message: String,
    },
    /// A worker is to be pinned to a core that the process cannot use.
    #[error("core {core} cannot be used; this process may use {usable}")]
    Core {
        /// Its number.
        core: usize,
        /// Those that can be, `0-3, 6`.
        usable: String,
    },
    /// A number is out of its range.
    #[error("{0}")]
    Config(String),
    /// The operating system refused something.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Its answer.
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
        assert_eq!(refused(all_high), "workers for high latency: 0 to 1, not 2");
        let small = Config { default_segment: 1, ..config.clone() };
        assert!(refused(small).contains("a segment: 4194304 to 68719476736, not 1"));
        for core in [1023, 99_999] {
            let why = refused(Config { cores: vec![core], ..config.clone() });
            let want = format!("core {core} cannot be used; this process may use ");
            assert!(why.starts_with(&want), "{why}");
        }
        assert_eq!(ranges(&[0, 1, 2, 3, 6, 8, 9]), "0-3, 6, 8-9");
    }
}
