//! A runtime for a measurement, in its own process on its own core.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use chimaera::client::{self, Options};

use super::setup::{bind, Modules};
use crate::context::{Failed, Outcome};

/// The prefix of the names of the runtime's worker threads.
const WORKER: &str = "chi-worker";

/// A segment size in bytes that suffices for the tasks of a measurement.
const ROOM_FOR_TASKS: u64 = 16 << 20;

/// How long threads ran, and how long they waited for a busy core, in seconds.
#[derive(Clone, Copy, Default)]
pub(super) struct CoreTime {
    pub(super) ran: f64,
    pub(super) waited: f64,
}

pub(super) struct Daemon {
    child: Child,
    pub(super) name: String,
}

impl Daemon {
    /// Starts a runtime whose threads are bound to `core`, and waits until it is ready.
    pub(super) fn start(
        modules: &Modules,
        workers: u16,
        core: Option<usize>,
    ) -> Result<Daemon, Failed> {
        let mut command = command(modules)?;
        command.args(["--no-config", "--workers", &workers.to_string()]).stdin(Stdio::null());
        bind_child(&mut command, core);
        Daemon::wait_for(command)
    }

    /// Starts a runtime with one worker per core, each pinned to its core by configuration, and
    /// waits until it is ready.
    pub(super) fn start_pinned(modules: &Modules, cores: &[usize]) -> Result<Daemon, Failed> {
        let config = format!("workers: {{low_latency: {{cores: {cores:?}}}}}\n");
        Daemon::start_configured(modules, None, &config)
    }

    /// Starts a runtime with this configuration, whose threads are bound to `core`, and waits until
    /// it is ready.
    pub(super) fn start_configured(
        modules: &Modules,
        core: Option<usize>,
        config: &str,
    ) -> Result<Daemon, Failed> {
        let mut command = command(modules)?;
        let (reader, mut writer) = std::io::pipe()?;
        command.args(["--config", "/dev/stdin"]).stdin(reader);
        // The configuration fits into the pipe's buffer.
        writer.write_all(config.as_bytes())?;
        drop(writer);
        bind_child(&mut command, core);
        Daemon::wait_for(command)
    }

    fn wait_for(mut command: Command) -> Result<Daemon, Failed> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench-{}-{count}", std::process::id());
        let mut child = command.args(["--name", &name]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was asked for")).read_line(&mut line)?;
        let daemon = Daemon { child, name };
        if line.trim_end() != "ready" {
            return Err(Failed::Message(format!("the runtime did not start: {}", line.trim_end())));
        }
        Ok(daemon)
    }

    /// The core time of the workers so far.
    pub(super) fn core_time(&self) -> Result<CoreTime, Failed> {
        let mut sum = CoreTime::default();
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let thread = thread?.path();
            if std::fs::read_to_string(thread.join("comm"))?.starts_with(WORKER) {
                let text = std::fs::read_to_string(thread.join("schedstat"))?;
                let mut numbers = text.split(' ').map(|ns| ns.parse().unwrap_or(0.0) / 1e9);
                sum.ran += numbers.next().unwrap_or(0.0);
                sum.waited += numbers.next().unwrap_or(0.0);
            }
        }
        Ok(sum)
    }

    /// Connects this process to the runtime.
    pub(super) fn connect(&self) -> Outcome {
        connect(&self.name)
    }

    /// Connects this process to the runtime with a segment in which it can allocate `bytes`.
    pub(super) fn connect_with_room(&self, bytes: u64) -> Outcome {
        // The client can allocate from half of the segment.
        let segment_size = (2 * bytes + ROOM_FOR_TASKS).max(chimaera_ipc::layout::DEFAULT_SEGMENT);
        let instance = Some(self.name.clone());
        Ok(client::init(Options { instance, segment_size, ..Options::default() })?)
    }
}

/// Connects this process to the runtime of this name.
pub(super) fn connect(name: &str) -> Outcome {
    Ok(client::init(Options { instance: Some(name.to_owned()), ..Options::default() })?)
}

/// Binds the threads of the process that this command starts to `core`.
fn bind_child(command: &mut Command, core: Option<usize>) {
    if let Some(core) = core {
        // SAFETY: sched_setaffinity may be called between fork and exec.
        unsafe { command.pre_exec(move || Ok(bind([core])?)) };
    }
}

/// The command that starts a runtime, without the options for its workers.
fn command(modules: &Modules) -> Result<Command, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["start", "--as-daemon", "--private", "--log-level", "error"]);
    for directory in &modules.directories {
        if !directory.is_dir() {
            let why = format!("--modules: there is no directory {}", directory.display());
            return Err(Failed::Usage(why));
        }
        command.arg("--modules").arg(directory);
    }
    Ok(command)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            // Killing fails only if the process has already ended.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
