//! The thread that looks after a pool's module host: it starts the process, serves it, finds out why it
//! has ended, and starts it again.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::wire::{self, Kind, Message, Received};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags};

use super::borrowing::end_faulted;
use super::foreign;
use super::links::{self, wake_all};
use super::pulse::{self, Pulse};
use crate::config::Beginning;
use crate::failure::Failure;
use crate::host::{First, Host, Peer, Phase};
use crate::scheduler::cancel::cancel_container;
use crate::scheduler::{loss, ControlCommand, Shared};
use crate::session::SessionRef;
use crate::sys::caught;
use crate::sys::demangle::demangle;

/// How long a host may take to load its module and create its pool: the program allows a daemon as much.
const START_BOUND: Duration = Duration::from_secs(60);
/// How long a process whose socket is closed may take to end.
const LAST_BOUND: Duration = Duration::from_secs(12);
/// The pause before a host is started again.
const PAUSE: Duration = Duration::from_millis(20);
/// How often to look whether completions have to be told that had no room in their ring.
const BACKLOG_LOOK: Duration = Duration::from_millis(1);
/// The most of a host's last words that a message holds, in bytes.
const MOST_WORDS: usize = 1024;

/// Starts the process of a host and the thread that looks after it. The host must be in the phase
/// `Starting`. If the thread panics, the runtime stops: nobody would look after the host.
pub(super) fn start(shared: &Arc<Shared>, host: &Arc<Host>) {
    let (own, its) = (shared.clone(), host.clone());
    let name = format!("chi-host-{}", host.id.major_);
    let body = move || {
        if let Err(why) = caught(|| supervise(&own, &its)) {
            let pool = &its.orders.name;
            own.set_broken(format!(
                "the thread that looks after the module host of pool '{pool}' panicked: {why}"
            ));
            own.command(ControlCommand::Stop);
        }
    };
    let spawned = std::thread::Builder::new().name(name).spawn(body);
    if let Err(error) = spawned {
        let why = Failure::new(CHI_IO, format!("starting a thread for a module host: {error}"));
        wake_all(shared, host.enter(Phase::Failed(why)));
    }
}

fn supervise(shared: &Arc<Shared>, host: &Arc<Host>) {
    let mut first = host.take_first();
    if host.recovers() {
        // A host that is started after a quarantine recovers what crashed before it, too.
        first.begins = Some(crashed("the pool was reset".to_owned()));
    } else if first.begins.is_some() && first.states.is_none() {
        host.set_recovers();
    }
    let mut is_first = true;
    // Who depends on the pool has been told that it is lost.
    let mut is_lost = false;
    loop {
        let ended = Process::spawn(shared, host, std::mem::take(&mut first))
            .map(|process| process.serve(shared, host, is_lost));
        let (why, was_ready) = match ended {
            Ok(Ended::AsTold) => return wake_all(shared, host.enter(Phase::Ended)),
            Ok(Ended::Refused(failure)) if is_first => {
                return wake_all(shared, host.enter(Phase::Failed(failure)));
            }
            Ok(Ended::Refused(failure)) => (failure.message, false),
            Ok(Ended::Lost { why, was_ready }) => (why, was_ready),
            Err(error) => (format!("its module host cannot be started: {error}"), false),
        };
        if host.ending().is_some() {
            return wake_all(shared, host.enter(Phase::Ended));
        }
        if is_first && !was_ready {
            let failure = Failure::new(CHI_FAULT, why);
            return wake_all(shared, host.enter(Phase::Failed(failure)));
        }
        is_first = false;
        if host.is_saving() {
            // Its states are about to go to a successor, or to be taken back.
            while host.is_saving() && host.ending().is_none() {
                std::thread::sleep(PAUSE);
            }
            if host.ending().is_some() {
                return wake_all(shared, host.enter(Phase::Ended));
            }
            if was_ready {
                tell_dependants(shared, host, &why);
            }
        }
        is_lost |= was_ready;
        let most = host.orders.limits.restarts;
        if !host.may_restart(most) {
            return quarantine(shared, host, &why, most);
        }
        let pool = &*host.orders.name;
        tracing::error!(pool, why = &*why, "a module host is lost; another one is started");
        first.begins = Some(crashed(why));
        std::thread::sleep(PAUSE);
    }
}

fn crashed(text: String) -> Beginning {
    Beginning { reason: CHI_REASON_CRASHED, text }
}

/// Learns of the loss of a module host, once it is certain and before another one is started. Who depends
/// on its pool is told if the pool was in use and loses something.
fn on_lost(shared: &Shared, host: &Host, peer: &Peer, why: &str, is_told: bool) {
    wake_all(shared, host.enter(Phase::Starting));
    wake_all(shared, peer.lose(why));
    if is_told {
        tell_dependants(shared, host, why);
    }
}

fn tell_dependants(shared: &Shared, host: &Host, why: &str) {
    let pool = &*host.orders.name;
    loss::pool_lost(shared, host.id, pool, format!("pool '{pool}' is lost: {why}"));
}

/// Puts the pool of a host that ends too often in quarantine.
fn quarantine(shared: &Shared, host: &Host, why: &str, most: u32) {
    let pool = &*host.orders.name;
    let why = format!(
        "{why}; that was restart {} within a minute, and `restarts` allows {most}: `chimaera pool reset \
         {pool}` starts it again",
        most + 1
    );
    tracing::error!(pool, why = &*why, "in quarantine");
    if let Some(found) = shared.pools.in_slot(host.id.major_).filter(|found| found.id == host.id) {
        for container in found.containers() {
            container.quarantine(&why);
            cancel_container(shared, host.id, container.number);
        }
    }
    wake_all(shared, host.enter(Phase::Failed(Failure::new(CHI_FAULT, why))));
}

fn tell_log_level(shared: &Shared, peer: &Peer) {
    let Some(log) = &shared.config.log else { return };
    let message = Message::new(Kind::LogLevel, &[]).saying(log.level());
    peer.tell(&message, &[]);
}

/// Tells all module hosts the level of the log. Those that are being started get it once they are ready.
pub(crate) fn tell_log_level_to_all(shared: &Shared) {
    shared.hosts.running().iter().for_each(|peer| tell_log_level(shared, peer));
}

/// How a process has ended.
enum Ended {
    /// It was told to.
    AsTold,
    /// It could not create its pool.
    Refused(Failure),
    /// In some other way. `why` is a predicate of the pool.
    Lost { why: String, was_ready: bool },
}

/// A process of a host.
struct Process {
    child: Child,
    pidfd: OwnedFd,
    peer: Arc<Peer>,
    sessions: Vec<SessionRef>,
}

impl Process {
    fn spawn(shared: &Arc<Shared>, host: &Host, first: First) -> std::io::Result<Process> {
        let program = shared.config.host_program.as_ref().expect("`isolate` has checked it");
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let (log, their_log) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        // Left by one that could not be read.
        let _ = std::fs::remove_file(&host.orders.crash);
        let mut child = Command::new(program)
            .arg0("chimaera")
            .arg("module-host")
            .stdin(theirs)
            .stdout(their_log.try_clone()?)
            .stderr(Stdio::from(their_log))
            // Signals of the terminal are for the daemon, which then ends its hosts.
            .process_group(0)
            .spawn()?;
        let orders = crate::config::HostOrders {
            begins: first.begins,
            log_level: match &shared.config.log {
                Some(log) => log.level(),
                None => host.orders.log_level.clone(),
            },
            ..host.orders.clone()
        };
        let states = first.states.as_ref().map(|(states, _)| states);
        // Without it, modules there do not know which clients are gone.
        let roll = shared.clients.roll().unwrap_or_else(|error| {
            let pool = &*host.orders.name;
            tracing::warn!(pool, %error, "the module host cannot be told which clients are there");
            None
        });
        let prepared = prepare(&child, &ours, &orders.encode(), roll.as_ref(), states);
        let pidfd = match prepared {
            Ok(pidfd) => pidfd,
            Err(error) => {
                // It fails if the process has ended already.
                let _ = child.kill();
                child.wait()?;
                return Err(error);
            }
        };
        pass_log_on(log)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let peer = Peer::of_daemon(ours, child.id() as i32, shared.config.all_workers());
        Ok(Process { child, pidfd, peer: Arc::new(peer), sessions: Vec::new() })
    }

    /// Serves the process until it has ended. With `returns`, the pool was lost until the process is ready.
    fn serve(mut self, shared: &Arc<Shared>, host: &Host, returns: bool) -> Ended {
        let began = Instant::now();
        let mut ready = false;
        let mut refusal = None;
        let mut told = false;
        let mut overdue = None;
        let mut pulse = Pulse::new(host.orders.limits.kill_after);
        loop {
            let backlog = self.sessions.iter().any(|session| {
                session.completions().is_some_and(|completions| completions.tell_rest())
            });
            if let (Some(_), false) = (host.ending(), told) {
                told = true;
                self.peer.tell(&Message::new(Kind::End, &[host.is_succeeded().into()]), &[]);
            }
            let until = match (host.ending(), ready || refusal.is_some()) {
                (Some(until), _) => Some(until),
                (None, false) => Some(began + START_BOUND),
                (None, true) => None,
            };
            if until.is_some_and(|until| Instant::now() >= until) {
                overdue = Some(match told {
                    true => "did not end in time, and was killed",
                    false => "was not ready after 60 s, and was killed",
                });
                break;
            }
            if let Some(why) = host.killed(self.peer.pid) {
                overdue = Some(why);
                break;
            }
            if !pulse.is_felt(host, &self.peer) {
                overdue = Some(pulse::SILENT);
                break;
            }
            let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
            let looks = [backlog.then_some(BACKLOG_LOOK), pulse.next_look(host)];
            let rest = rest.into_iter().chain(looks.into_iter().flatten()).min();
            let [heard, ended, rung] = self.poll(&host.bell, rest);
            if rung {
                // It fails if another look has emptied it.
                let _ = rustix::io::read(&host.bell, &mut [0; 8]);
            }
            let mut closed = false;
            while heard && !closed {
                match wire::receive(self.peer.socket.as_fd()) {
                    Ok(Received::Message(message, fds)) => match message.kind {
                        Kind::Ready if !ready => {
                            ready = true;
                            host.set_saves(message.words[0] != 0);
                            // It may have been set since the process was started.
                            tell_log_level(shared, &self.peer);
                            let pool = &*host.orders.name;
                            tracing::info!(pool, pid = self.peer.pid, "a module host is ready");
                            let phase = Phase::Running(self.peer.clone());
                            wake_all(shared, host.enter(phase));
                            if returns {
                                let why =
                                    format!("pool '{pool}' is back: another module host runs it");
                                loss::pool_recovered(shared, host.id, pool, why);
                            }
                        }
                        Kind::Faulted => end_faulted(shared, &self.peer, message.words[0]),
                        Kind::Pool => foreign::describe(shared, &message, &self.peer),
                        Kind::Done => {
                            let [number, status, ..] = message.words;
                            let answer = match status as u32 as chi_status {
                                CHI_OK => Ok(fds.into_iter().next()),
                                status => Err(Failure::new(status, message.text)),
                            };
                            let waiter = self.peer.answered(number, answer);
                            waiter.into_iter().for_each(|waiter| shared.wake(waiter));
                            self.peer.go_on_taking_back();
                        }
                        Kind::Refused if message.words[1] == links::NO_WORKER => {
                            refusal = Some(Failure::new(message.status(), message.text));
                        }
                        _ => {
                            let own = &mut self.sessions;
                            closed = !links::on_message(shared, &self.peer, &message, fds, own);
                        }
                    },
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    _ => closed = true,
                }
            }
            if closed || ended {
                break;
            }
        }
        let status = self.end(overdue.is_some());
        let is_clean = status.as_ref().is_ok_and(ExitStatus::success);
        let end = describe_end(host, self.peer.pid, status, overdue);
        let ended = match (refusal, told) {
            (_, true) => {
                if ready && (overdue.is_some() || !is_clean) {
                    host.set_bad_end(&end);
                    tracing::warn!(
                        pool = &*host.orders.name,
                        why = &*end,
                        "a module host ended badly"
                    );
                }
                Ended::AsTold
            }
            (Some(failure), false) => Ended::Refused(failure),
            (None, false) => Ended::Lost { why: end.clone(), was_ready: ready },
        };
        let is_told = matches!(ended, Ended::Lost { was_ready: true, .. });
        let is_told = is_told && host.ending().is_none() && !host.is_saving();
        on_lost(shared, host, &self.peer, &end, is_told);
        for session in &self.sessions {
            links::end(shared, session);
        }
        ended
    }

    /// Waits for a message, the end of the process and the bell.
    fn poll(&self, bell: &OwnedFd, rest: Option<Duration>) -> [bool; 3] {
        let rest = rest.map(|rest| Timespec {
            tv_sec: rest.as_secs() as i64,
            tv_nsec: rest.subsec_nanos().into(),
        });
        let socket = self.peer.socket.as_fd();
        let mut fds = [
            PollFd::new(&socket, PollFlags::IN),
            PollFd::new(&self.pidfd, PollFlags::IN),
            PollFd::new(bell, PollFlags::IN),
        ];
        // An interrupted wait is repeated by the caller.
        match rustix::event::poll(&mut fds, rest.as_ref()) {
            Ok(_) => fds.map(|fd| !fd.revents().is_empty()),
            Err(_) => [false; 3],
        }
    }

    /// Waits for the end of the process, and kills it if it does not come.
    fn end(&mut self, at_once: bool) -> std::io::Result<ExitStatus> {
        if !at_once {
            let rest = Timespec { tv_sec: LAST_BOUND.as_secs() as i64, tv_nsec: 0 };
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            // If it is interrupted, the process has less time for its last words.
            let _ = rustix::event::poll(&mut fds, Some(&rest));
        }
        // It fails if the process has ended.
        let _ = self.child.kill();
        self.child.wait()
    }
}

/// Sends its orders to a new process, the roll of clients, and the states with which it begins. Returns its
/// pidfd.
fn prepare(
    child: &Child,
    socket: &OwnedFd,
    orders: &str,
    roll: Option<&OwnedFd>,
    states: Option<&OwnedFd>,
) -> std::io::Result<OwnedFd> {
    let pid =
        Pid::from_raw(child.id() as i32).ok_or_else(|| std::io::Error::other("no process id"))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let memfd = rustix::fs::memfd_create("chimaera-orders", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memfd);
    file.write_all(orders.as_bytes())?;
    let message = Message::new(Kind::Orders, &[orders.len() as u64, roll.is_some().into()]);
    let more = [roll, states].into_iter().flatten().map(AsFd::as_fd);
    let sent: Vec<_> = [file.as_fd()].into_iter().chain(more).collect();
    wire::send(socket.as_fd(), &message, &sent)?;
    Ok(pidfd)
}

/// Starts a thread that copies the lines which a process logs to the standard error, where the daemon's
/// own log goes or is taken from, until no process has the pipe open.
fn pass_log_on(from: OwnedFd) -> std::io::Result<()> {
    let mut lines = BufReader::new(File::from(from));
    let copy = move || {
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            // A line that cannot be written is lost, as those of modules are that write there themselves.
            let _ = std::io::stderr().write_all(&line);
            line.clear();
        }
    };
    std::thread::Builder::new().name("chi-host-log".into()).spawn(copy).map(drop)
}

/// Says how a process ended: a predicate of its pool.
fn describe_end(
    host: &Host,
    pid: i32,
    status: std::io::Result<ExitStatus>,
    overdue: Option<&str>,
) -> String {
    let mut text = format!("its module host (process {pid}) ");
    let words = std::fs::read(&host.orders.crash).ok();
    // It fails if there are none.
    let _ = std::fs::remove_file(&host.orders.crash);
    let words = words.map(|words| demangle(&String::from_utf8_lossy(&words)));
    let headline = words.as_deref().and_then(|words| words.lines().next());
    let said = headline.map(|line| line.split_once("last words: ").map_or(line, |(_, said)| said));
    match (overdue, said, status) {
        (Some(why), ..) => text += why,
        (None, Some(said), _) => {
            let end = (0..=MOST_WORDS.min(said.len())).rev().find(|&at| said.is_char_boundary(at));
            text += &format!("ended: {}", &said[..end.unwrap_or(0)]);
            let calls = words.iter().flat_map(|words| words.lines().skip(1));
            // The innermost calls tell where; the log has all of them.
            let calls: Vec<&str> = calls.map(str::trim).take(3).collect();
            if !calls.is_empty() {
                text += &format!("; {}", calls.join("; "));
            }
        }
        (None, None, Ok(status)) => match status.signal() {
            Some(libc::SIGKILL) => {
                text += "was killed by SIGKILL, from someone or for lack of memory"
            }
            Some(signal) => {
                let name = crate::sys::signal::name(signal);
                text += &format!("was killed by {name} (signal {signal})");
            }
            None => text += &format!("ended with exit code {}", status.code().unwrap_or(-1)),
        },
        (None, None, Err(error)) => text += &format!("is gone ({error})"),
    }
    text
}
