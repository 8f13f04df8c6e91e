//! A runtime for the measurement, in a process of its own, on a core of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use chimaera_client_rs::Options;

use super::{bind, Place};
use crate::Failed;

pub(super) struct Daemon {
    child: Child,
    pub(super) name: String,
}

impl Daemon {
    /// Starts a runtime whose threads are bound to `core`, and waits until it is ready.
    pub(super) fn start(
        place: &Place,
        workers: u16,
        core: Option<usize>,
    ) -> Result<Daemon, Failed> {
        let name = format!("bench-{}", std::process::id());
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--name", &name, "start", "--as-daemon", "--private", "--no-config"])
            .args(["--log-level", "error", "--workers", &workers.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        for directory in &place.modules {
            command.arg("--modules").arg(directory);
        }
        if let Some(core) = core {
            // SAFETY: sched_setaffinity may be called between fork and exec.
            unsafe { command.pre_exec(move || Ok(bind([core])?)) };
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it was asked for")).read_line(&mut line)?;
        let daemon = Daemon { child, name };
        if line.trim_end() != "ready" {
            return Err(Failed::Message(format!("the runtime did not start: {}", line.trim_end())));
        }
        Ok(daemon)
    }

    /// Connects this process to it.
    pub(super) fn connect(&self) -> Result<(), Failed> {
        let instance = Some(self.name.clone());
        Ok(chimaera_client_rs::init(Options { instance, ..Options::default() })?)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            // It fails only when the process has ended already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
