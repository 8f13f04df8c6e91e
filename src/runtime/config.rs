//! What a runtime is started with, and why it may not start.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chimaera_ipc::instance;
use chimaera_ipc::status_page::MAX_WORKERS;

/// What a runtime is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The instance; `None` takes `$CHI_INSTANCE`, or else `default`.
    pub instance: Option<String>,
    /// Worker threads, 1 to 256. The default is one less than the cores that the process may use, at
    /// least one.
    pub workers: usize,
    /// Directories to scan for modules, in order. The default is `$CHI_REPO_PATH`, then
    /// `$LD_LIBRARY_PATH`, then the directory of the modules that were installed with the program.
    pub module_paths: Vec<PathBuf>,
    /// How long an idle worker looks for work before it sleeps.
    pub spin: Duration,
    /// The largest segment that a client may ask for, in bytes.
    pub max_segment: u64,
    /// Sessions at a time.
    pub max_sessions: usize,
    /// The process is only a runtime: modules that bring libchimaera_client along cannot connect.
    pub daemon: bool,
    /// The log goes to the instance's log file (shown by `chimaera status`).
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
            module_paths: [paths("CHI_REPO_PATH"), paths("LD_LIBRARY_PATH"), installed()].concat(),
            spin: Duration::from_micros(50),
            max_segment: 64 << 30,
            max_sessions: 1024,
            daemon: false,
            log_is_file: false,
            private: false,
        }
    }
}

/// The directory of the modules that were installed with the program, when there is one.
fn installed() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    let prefix = program.as_deref().and_then(Path::parent).and_then(Path::parent);
    let modules = prefix.map(|prefix| prefix.join("lib/chimaera/modules"));
    modules.into_iter().filter(|directory| directory.is_dir()).collect()
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
