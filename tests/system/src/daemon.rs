//! A daemon: `chimaera start` in the foreground, as a child of the test.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;

use crate::{artefacts, sandbox, ControlGroup, Output, Running, Site};

/// The options of a daemon. The defaults are no modules and two workers.
#[derive(Clone, Debug, Default)]
pub struct Options {
    modules: Vec<PathBuf>,
    repo_path: Vec<PathBuf>,
    library_path: Vec<PathBuf>,
    workers: Option<u16>,
    config: Option<String>,
    arguments: Vec<String>,
    refused_io_uring: Option<i32>,
    file_size: Option<u64>,
    addresses: Option<u64>,
    descriptors: Option<u64>,
    shared_memory: Option<SharedMemory>,
    control_group: Option<Arc<ControlGroup>>,
}

/// What a daemon finds at `/dev/shm`. Only root can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedMemory {
    /// A file system that is full.
    Full,
    /// The directory does not exist.
    Absent,
}

impl Options {
    /// The defaults.
    pub fn new() -> Options {
        Options::default()
    }

    /// Adds a module or some other file. All of them are linked into one fresh directory, the first
    /// in `CHI_REPO_PATH`.
    #[must_use]
    pub fn file(mut self, path: PathBuf) -> Options {
        self.modules.push(path);
        self
    }

    /// Adds `example:mod_name` (C++).
    #[must_use]
    pub fn mod_name(self) -> Options {
        self.file(artefacts::cpp_module("example_mod_name"))
    }

    /// Adds `chimaera:kv` (Rust).
    #[must_use]
    pub fn kv(self) -> Options {
        self.file(artefacts::rust_module("chimaera_kv"))
    }

    /// Adds `chimaera:bdev` (Rust).
    #[must_use]
    pub fn bdev(self) -> Options {
        self.file(artefacts::rust_module("chimaera_bdev"))
    }

    /// Adds `test:throws_method` (C++): throws, sleeps, yields, echoes.
    #[must_use]
    pub fn throws(self) -> Options {
        self.file(artefacts::test_module("throws_method"))
    }

    /// Adds `test:model` (C++) and `test:rust_model` (Rust): wait, compute, call themselves.
    #[must_use]
    pub fn model(self) -> Options {
        self.file(artefacts::test_module("model")).file(artefacts::rust_model())
    }

    /// Adds `test:events` (C++) and `test:rust_events` (Rust): wait for events, and poll.
    #[must_use]
    pub fn events(self) -> Options {
        self.file(artefacts::test_module("events")).file(artefacts::rust_events())
    }

    /// Adds `test:rust_faults` (Rust): panics, fails, echoes, calls `chimaera:kv`.
    #[must_use]
    pub fn rust_faults(self) -> Options {
        self.file(artefacts::rust_faults())
    }

    /// Adds `test:locks` (C++) and `test:rust_locks` (Rust).
    #[must_use]
    pub fn locks(self) -> Options {
        self.file(artefacts::test_module("locks")).file(artefacts::rust_locks())
    }

    /// Adds `test:published`, which publishes what it keeps.
    #[must_use]
    pub fn published(self) -> Options {
        self.file(artefacts::test_module("published"))
    }

    /// Adds `test:spread` (C++) and `test:spread_rust` (Rust): pools of several containers.
    #[must_use]
    pub fn spread(self) -> Options {
        self.file(artefacts::test_module("spread")).file(artefacts::spread_rust())
    }

    /// Adds `test:crash` (C++): makes mistakes that no language catches.
    #[must_use]
    pub fn crash(self) -> Options {
        self.file(artefacts::test_module("crash"))
    }

    /// Adds `test:state` (C++), which changes the state of its thread and leaves it changed,
    /// `test:state_own`, the same with its own C++ runtime library, and, if this machine has libc++,
    /// `test:state_libcxx`, the same with that.
    #[must_use]
    pub fn state(self) -> Options {
        let options =
            self.file(artefacts::test_module("state")).file(artefacts::test_module("state_own"));
        let libcxx = artefacts::optional_test_module("state_libcxx");
        libcxx.into_iter().fold(options, Options::file)
    }

    /// Adds a directory to `CHI_REPO_PATH`.
    #[must_use]
    pub fn repo_path(mut self, directory: PathBuf) -> Options {
        self.repo_path.push(directory);
        self
    }

    /// Adds a directory to `LD_LIBRARY_PATH`.
    #[must_use]
    pub fn library_path(mut self, directory: PathBuf) -> Options {
        self.library_path.push(directory);
        self
    }

    /// Sets the number of worker threads.
    #[must_use]
    pub fn workers(mut self, n: u16) -> Options {
        self.workers = Some(n);
        self
    }

    /// Sets the contents of the configuration file.
    #[must_use]
    pub fn config(mut self, text: impl Into<String>) -> Options {
        self.config = Some(text.into());
        self
    }

    /// Sets the numbers of workers for low-latency and for high-latency tasks.
    #[must_use]
    pub fn groups(self, low: u16, high: u16) -> Options {
        self.config(format!(
            "workers:\n  low_latency: {{count: {low}}}\n  high_latency: {{count: {high}}}\n"
        ))
    }

    /// Adds an argument of `chimaera start`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Options {
        self.arguments.push(argument.into());
        self
    }

    /// Makes the operating system refuse `io_uring` with this error.
    #[must_use]
    pub fn without_io_uring(mut self, errno: i32) -> Options {
        self.refused_io_uring = Some(errno);
        self
    }

    /// Makes the operating system limit the size of the daemon's files. Segments are files, too.
    #[must_use]
    pub fn file_size(mut self, bytes: u64) -> Options {
        self.file_size = Some(bytes);
        self
    }

    /// Limits the daemon to this many descriptors.
    #[must_use]
    pub fn descriptors(mut self, most: u64) -> Options {
        self.descriptors = Some(most);
        self
    }

    /// Limits the daemon's address space to this many bytes.
    #[must_use]
    pub fn addresses(mut self, bytes: u64) -> Options {
        self.addresses = Some(bytes);
        self
    }

    /// Replaces `/dev/shm` with this.
    #[must_use]
    pub fn shared_memory(mut self, found: SharedMemory) -> Options {
        self.shared_memory = Some(found);
        self
    }

    /// Runs the daemon in a control group.
    #[must_use]
    pub fn control_group(mut self, group: ControlGroup) -> Options {
        self.control_group = Some(Arc::new(group));
        self
    }

    /// The command that starts a daemon with these options.
    pub fn command(&self, site: &Site) -> Command {
        let mut command = site.command(artefacts::chimaera());
        let mut repo_path = self.repo_path.clone();
        if !self.modules.is_empty() {
            repo_path.insert(0, site.directory_of("modules", &self.modules));
        }
        for (name, paths) in
            [("CHI_REPO_PATH", &repo_path), ("LD_LIBRARY_PATH", &self.library_path)]
        {
            if !paths.is_empty() {
                command.env(name, std::env::join_paths(paths).expect("no colon in a path"));
            }
        }
        command.args(["--json", "--name", site.name(), "start"]);
        if let Some(text) = &self.config {
            let file = site.path().join("chimaera.yaml");
            std::fs::write(&file, text).expect("the site is ours");
            command.arg("--config").arg(file);
        }
        if let Some(workers) = self.workers.or(self.config.is_none().then_some(2)) {
            command.args(["--workers", &workers.to_string()]);
        }
        command.args(&self.arguments);
        if let Some(errno) = self.refused_io_uring {
            sandbox::refuse_io_uring(&mut command, errno);
        }
        if let Some(bytes) = self.file_size {
            sandbox::limit(&mut command, libc::RLIMIT_FSIZE, bytes);
        }
        if let Some(bytes) = self.addresses {
            sandbox::limit(&mut command, libc::RLIMIT_AS, bytes);
        }
        if let Some(most) = self.descriptors {
            sandbox::limit(&mut command, libc::RLIMIT_NOFILE, most);
        }
        if let Some(group) = &self.control_group {
            group.admit(&mut command).expect("the group is there");
        }
        match self.shared_memory {
            Some(SharedMemory::Full) => sandbox::fill_shared_memory(&mut command),
            Some(SharedMemory::Absent) => sandbox::hide_shared_memory(&mut command),
            None => {}
        }
        command
    }
}

/// A running daemon. When dropped, it is stopped and must shut down cleanly; if the test is failing
/// anyway, it is killed and its log is printed.
pub struct Daemon {
    site: Site,
    process: Running,
    log: PathBuf,
    over: bool,
    /// Kept until the process has ended.
    _control_group: Option<Arc<ControlGroup>>,
}

impl Daemon {
    /// Starts a daemon at a fresh site, and waits until it is ready.
    #[track_caller]
    pub fn start(options: &Options) -> Daemon {
        Daemon::start_at(Site::new(), options)
    }

    /// Starts a daemon at a site, and waits until it is ready.
    #[track_caller]
    pub fn start_at(site: Site, options: &Options) -> Daemon {
        let command = options.command(&site);
        let mut daemon = Daemon::run(site, command);
        daemon._control_group.clone_from(&options.control_group);
        daemon
    }

    /// Runs a command that starts a daemon in the foreground with `--json`, and waits until it is
    /// ready.
    #[track_caller]
    pub fn run(site: Site, command: Command) -> Daemon {
        let log = site.path().join(format!("{}.stderr", site.name()));
        let file = File::options().create(true).append(true).open(&log).expect("the site is ours");
        Daemon::run_with_stderr(site, command, file)
    }

    /// Runs a daemon as [`Daemon::run`] does, with `stderr` as its standard error, which
    /// [`Daemon::log`] does not read.
    #[track_caller]
    pub fn run_with_stderr(site: Site, mut command: Command, stderr: impl Into<Stdio>) -> Daemon {
        let log = site.path().join(format!("{}.stderr", site.name()));
        let process = Running::start(command.stderr(stderr));
        let mut daemon = Daemon { site, process, log, over: false, _control_group: None };
        let mut said = String::new();
        let ready: Value = loop {
            let Some(line) = daemon.process.line() else {
                daemon.over = true;
                let code = daemon.process.end();
                panic!("{command:?} exited with {code} before it was ready:\n{}", daemon.log());
            };
            said += &line;
            match serde_json::from_str::<Value>(&said) {
                // The program reports the reason, and exits.
                Ok(document) if document["error"].is_string() => {}
                Ok(document) => break document,
                Err(_) => {}
            }
        };
        assert_eq!(ready["pid"], daemon.pid(), "{ready}");
        daemon
    }

    /// The site where it runs.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it is running.
    pub fn is_alive(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs the program `chimaera` with these arguments on this instance.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Output {
        self.site.cli(args)
    }

    /// Its resident memory in bytes.
    pub fn rss(&self) -> u64 {
        let kib = self.status_number("VmRSS:");
        kib * 1024
    }

    /// Its number of threads.
    pub fn threads(&self) -> u64 {
        self.status_number("Threads:")
    }

    /// Its number of open descriptors.
    pub fn fds(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(directory).expect("it is running").count()
    }

    fn status_number(&self, label: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix(label));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {label} in {status}"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for it to exit, as the test has arranged. Returns its exit code, or minus the signal
    /// that ended it.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        self.over = true;
        self.process.end()
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.end(), -9);
    }

    /// Stops it, and checks that it shuts down cleanly.
    #[track_caller]
    pub fn stop(&mut self) {
        self.check_alive();
        self.signal(Signal::TERM);
        let code = self.end();
        assert_eq!(code, 0, "the daemon did not shut down cleanly:\n{}", self.log());
        assert!(!self.log().contains("its worker is abandoned"), "{}", self.log());
    }

    #[track_caller]
    fn check_alive(&mut self) {
        if let Some(code) = self.process.ended() {
            self.over = true;
            panic!("the daemon exited by itself ({code}):\n{}", self.log());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the daemon '{}':\n{}", self.site.name(), self.log());
            // A successor may serve by now, of which nobody else takes care.
            let mut end = self.site.command(crate::artefacts::chimaera());
            let _ =
                end.args(["stop", "--force"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        } else if !self.over {
            self.stop();
        }
    }
}
