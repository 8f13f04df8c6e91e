//! Runs other processes with a time limit, so that a hang is a failure.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tally;

/// The limit for anything that takes milliseconds on an idle machine.
pub const BOUND: Duration = Duration::from_secs(60);

/// How a program ended, and its output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code, or minus the number of the signal that ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Its standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// Its standard output as one JSON document per line.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {self:#?}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Returns itself if the program succeeded, else panics.
    #[track_caller]
    pub fn ok(self) -> Output {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
}

/// The exit code, or minus the number of the signal.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

/// Keeps a process from opening another descriptor.
#[track_caller]
pub fn leave_no_descriptors(pid: i32) {
    let held = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it is running");
    let held: Vec<u64> =
        held.map(|fd| fd.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    let first = (0..).find(|fd| !held.contains(fd)).expect("some number is free");
    let limit = libc::rlimit { rlim_cur: first, rlim_max: first };
    // SAFETY: the limit is valid, and a null pointer means not to return the old one.
    let done = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// How often the threads of a process have gone to sleep.
#[track_caller]
pub fn switches(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of = |path: PathBuf| -> u64 {
        // A thread may end meanwhile.
        let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.map_or(0, |count| count.trim().parse().expect("a number"))
    };
    tasks.flatten().map(|task| of(task.path())).sum()
}

/// Stops a process, by SIGSTOP. Its threads run on for a moment after that: waits until none does.
#[track_caller]
pub fn pause(process: rustix::process::Pid) {
    rustix::process::kill_process(process, rustix::process::Signal::STOP).expect("it is there");
    until("all of its threads have stopped", || {
        let threads = format!("/proc/{}/task", process.as_raw_pid());
        let mut threads = std::fs::read_dir(threads).expect("it is there");
        let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
            // The state follows the name, which is in parentheses.
            let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
            stat.rsplit_once(") ")?.1.starts_with(['T', 't', 'Z']).then_some(())
        };
        threads.all(|thread| is_stopped(thread).is_some()).then_some(())
    });
}

/// Runs a program to its end, within [`BOUND`].
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let status = wait(&mut child, BOUND);
    if status.is_none() {
        // Killing fails if the process has just exited.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (stdout, stderr) = (stdout.text(), stderr.text());
    match status {
        Some(status) => Output { code: code(status), stdout, stderr },
        None => panic!("{shown} did not exit within {BOUND:?}\n{stdout}\n{stderr}"),
    }
}

/// What a process writes, as it is read.
struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

fn drain(mut from: impl Read + Send + 'static) -> Drain {
    let bytes = Arc::<Mutex<Vec<u8>>>::default();
    let read = bytes.clone();
    let thread = std::thread::spawn(move || {
        let mut piece = [0; 8192];
        loop {
            match from.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // If reading fails, the bytes read before are all there is.
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    read.lock().expect("nothing panics").extend_from_slice(&piece[..count])
                }
            }
        }
    });
    Drain { bytes, thread }
}

impl Drain {
    /// All of it, after the end of the process. What it has left behind may still have the pipe: that is not waited for.
    fn text(self) -> String {
        const REST: Duration = Duration::from_secs(5);
        let until = Instant::now() + REST;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        String::from_utf8_lossy(&self.bytes.lock().expect("nothing panics")).into_owned()
    }
}

/// Waits for a child to exit, within a time limit.
pub fn wait(child: &mut Child, bound: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + bound;
    loop {
        match child.try_wait().expect("the child is this process's own") {
            Some(status) => return Some(status),
            None if Instant::now() >= until => return None,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Polls until there is an answer, within [`BOUND`].
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A program that runs alongside the test and exchanges lines with it. It is killed when this is
/// dropped.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    /// Starts it. Standard error goes where the command says, or else to the test's.
    #[track_caller]
    pub fn start(command: &mut Command) -> Running {
        let shown = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdout = child.stdout.take().expect("piped");
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        Running { child, stdin, lines }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its next line, within [`BOUND`]; `None` if it has closed its output.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(BOUND) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it printed nothing for {BOUND:?}"),
        }
    }

    /// Its next line, if available.
    pub fn try_line(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Writes a line to it.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open until `close`");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("it reads its input");
    }

    /// Closes its standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        if signal == rustix::process::Signal::STOP {
            return pause(pid);
        }
        rustix::process::kill_process(pid, signal).expect("it has not been waited for");
        if signal == rustix::process::Signal::KILL {
            tally("kills", 1);
        }
    }

    /// Its exit code (or minus the signal that ended it) if it has exited.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().expect("the child is this process's own").map(code)
    }

    /// Waits for it to exit, within [`BOUND`]. Returns its exit code, or minus the signal.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let pid = self.pid();
        match wait(&mut self.child, BOUND) {
            Some(status) => code(status),
            None => panic!("process {pid} did not exit within {BOUND:?}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if the process has exited and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
