//! The signals that stop a daemon or reopen its log, and the threads that wait for them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chimaera_runtime::log::LogControl;
use chimaera_runtime::{ends, state_calls, Error, Progress, Runtime};
use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tracing::Level;

use crate::log::Log;

/// The signals that a runtime handles: SIGINT and SIGTERM stop it, a second one at once; SIGHUP
/// reopens the log file. Without a log file, SIGHUP, which is sent when a terminal is closed, also
/// stops it, unless the program was started with the signal ignored, as nohup does.
pub(crate) struct Signals {
    arrivals: Arrivals,
    log: Arc<Log>,
    has_file: bool,
}

impl Signals {
    /// Takes the signals from their default actions and from modules. They wait for a thread that
    /// handles them.
    pub(crate) fn handle(log: Arc<Log>, has_file: bool) -> io::Result<Arc<Signals>> {
        let mut handled = vec![SIGINT, SIGTERM];
        if has_file || !is_ignored(SIGHUP) {
            handled.push(SIGHUP);
        }
        let arrivals = Arrivals::of(&handled, !has_file)?;
        state_calls::seal_signals(handled);
        Ok(Arc::new(Signals { arrivals, log, has_file }))
    }

    /// Whether this process has sent itself the signal to stop: then a module stops the daemon, and not a user.
    pub(crate) fn are_own(&self) -> bool {
        self.arrivals.own.load(Ordering::Relaxed) == OWN
    }

    /// Waits for a signal to stop. `None` if the wait is interrupted.
    fn next(&self) -> Option<i32> {
        loop {
            let signal = self.arrivals.next().expect("no module closes it")?;
            if signal != SIGHUP || !self.has_file {
                return Some(signal);
            }
            self.reopen();
        }
    }

    /// The same, but `Next::Nothing` if none has come by `until`.
    fn next_by(&self, until: Instant) -> Next {
        loop {
            match self.arrivals.next_by(until).expect("no module closes it") {
                Next::Signal(SIGHUP) if self.has_file => self.reopen(),
                next => return next,
            }
        }
    }

    fn reopen(&self) {
        if let Err(why) = self.log.reopen() {
            self.log.write(Level::ERROR, &why);
        }
    }

    /// Starts the thread that handles signals while the runtime is starting: the first one to stop
    /// ends the process, unless there are pools to destroy. Those are destroyed when the pool that is just being
    /// created is there, if that is soon enough: most of the grace time is for that. A second one ends the process
    /// in any case.
    pub(crate) fn end_process_during(
        self: &Arc<Self>,
        progress: Arc<Progress>,
        grace: Duration,
    ) -> io::Result<Starting> {
        let signals = self.clone();
        let prepared = Arc::new(Barrier::new(2));
        let own = prepared.clone();
        let told = progress.clone();
        let thread = std::thread::Builder::new().name("chi-signals".into()).spawn(move || {
            own.wait();
            if signals.next().is_none() {
                return;
            }
            if let Some(step) = told.stop() {
                let step = if step.is_empty() { "starting" } else { &*step };
                let why = format!("told to stop while {step}: the runtime stops after that");
                signals.log.write(Level::INFO, &why);
                if signals.next_by(Instant::now() + grace / 4 * 3) == Next::Interrupted {
                    return;
                }
            }
            let code = if signals.are_own() { 1 } else { ends::ABANDONED };
            told.end_process(code, |why| signals.log.write(Level::ERROR, why))
        });
        let thread = thread
            .map_err(|error| io::Error::new(error.kind(), format!("starting a thread: {error}")))?;
        // The standard library prepares a thread by means of the dynamic linker, which constructors
        // of modules may soon hold up.
        prepared.wait();
        Ok(Starting { signals: self.clone(), thread, progress })
    }

    /// Starts the thread that stops the runtime on signals. It was told to stop before if `since` says so.
    pub(crate) fn stop(
        self: Arc<Self>,
        runtime: &Runtime,
        since: Option<Instant>,
    ) -> Result<(), Error> {
        if let Some(since) = since {
            runtime.stop_since(since);
        }
        let (stop, end_process) = (runtime.stopper(), runtime.process_ender());
        runtime.spawn_helper("chi-signals", move || {
            let mut count = u32::from(since.is_some());
            while let Some(signal) = self.next() {
                match self.are_own() {
                    true => tracing::error!(
                        signal,
                        "received a signal to stop, sent by a module or a library in this process"
                    ),
                    false => tracing::info!(signal, "received a signal to stop"),
                }
                match count {
                    0 => stop(),
                    _ => end_process(self.are_own()),
                }
                count += 1;
            }
        })
    }
}

/// A start during which signals end the process.
pub(crate) struct Starting {
    signals: Arc<Signals>,
    thread: JoinHandle<()>,
    progress: Arc<Progress>,
}

impl Starting {
    /// The start is over. Returns since when the runtime is to stop, if a signal said so.
    pub(crate) fn end(self) -> Option<Instant> {
        self.signals.arrivals.interrupt();
        // A panic has been logged. The next signals have a thread of their own.
        let _ = self.thread.join();
        self.progress.stopping_since()
    }
}

/// Whether this process ignores a signal.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zero is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` lives until the call returns, which changes nothing else.
    let found = unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) };
    found == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Nobody has sent a signal to stop yet.
const UNKNOWN: u32 = 0;
/// The process has sent it itself.
const OWN: u32 = 1;
/// Another process, or the kernel for a terminal.
const OTHERS: u32 = 2;

/// What a wait for a signal has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Signal(i32),
    Interrupted,
    /// The time is over.
    Nothing,
}

/// Signals that arrive after this was created. The handler announces each without allocating, so
/// none is lost when the system is out of memory.
struct Arrivals {
    /// Each signal, with the number of arrivals not returned yet.
    pending: Vec<(i32, Arc<AtomicU32>)>,
    bell: Arc<OwnedFd>,
    /// Who has sent the first signal to stop.
    own: Arc<AtomicU32>,
    is_interrupted: AtomicBool,
}

impl Arrivals {
    /// Handles these signals from now on. SIGHUP is one to stop only if `stops_by_hangup`.
    fn of(signals: &[i32], stops_by_hangup: bool) -> io::Result<Arrivals> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let own = Arc::<AtomicU32>::default();
        let pending: Vec<_> =
            signals.iter().map(|signal| (*signal, Arc::<AtomicU32>::default())).collect();
        for (signal, count) in &pending {
            let (count, bell, own) = (count.clone(), bell.clone(), own.clone());
            let signal = *signal;
            let process = rustix::process::getpid().as_raw_pid();
            let announce = move |info: &libc::siginfo_t| {
                let is_own = match info.si_code {
                    // A timer is always of the process that it signals.
                    libc::SI_TIMER => true,
                    // SAFETY: a signal that a process has sent so says which.
                    libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE => unsafe {
                        info.si_pid() == process
                    },
                    _ => false,
                };
                // SIGHUP may only reopen the log. It is what has come first that stops the runtime.
                if signal != SIGHUP || stops_by_hangup {
                    let origin = if is_own { OWN } else { OTHERS };
                    let _ =
                        own.compare_exchange(UNKNOWN, origin, Ordering::Relaxed, Ordering::Relaxed);
                }
                count.fetch_add(1, Ordering::Release);
                // The write fails only if the counter is full, and then an event is already
                // pending.
                let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
            };
            // SAFETY: the handler only makes a system call, which leaves errno alone, and changes
            // an atomic.
            unsafe { signal_hook_registry::register_sigaction(signal, announce)? };
        }
        Ok(Arrivals { pending, bell, own, is_interrupted: AtomicBool::new(false) })
    }

    /// Waits for a signal. `None` if the wait is interrupted.
    ///
    /// # Errors
    /// Other code has closed the descriptor that announces signals.
    fn next(&self) -> io::Result<Option<i32>> {
        match self.next_within(|| None)? {
            Next::Signal(signal) => Ok(Some(signal)),
            Next::Interrupted | Next::Nothing => Ok(None),
        }
    }

    /// The same, but waits no longer than until then.
    fn next_by(&self, until: Instant) -> io::Result<Next> {
        self.next_within(|| Some(until.saturating_duration_since(Instant::now())))
    }

    /// `rest` says how long to wait at most.
    fn next_within(&self, rest: impl Fn() -> Option<Duration>) -> io::Result<Next> {
        loop {
            if self.is_interrupted.swap(false, Ordering::Acquire) {
                return Ok(Next::Interrupted);
            }
            for (signal, count) in &self.pending {
                let one_less = |count: u32| count.checked_sub(1);
                if count.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_less).is_ok() {
                    return Ok(Next::Signal(*signal));
                }
            }
            if let Some(rest) = rest() {
                let rest =
                    Timespec { tv_sec: rest.as_secs() as i64, tv_nsec: rest.subsec_nanos().into() };
                match poll(&mut [PollFd::new(&self.bell, PollFlags::IN)], Some(&rest)) {
                    Ok(0) => return Ok(Next::Nothing),
                    Ok(_) => {}
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            match rustix::io::read(&self.bell, &mut [0; 8]) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Interrupts the wait for a signal, or the next one.
    fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::Release);
        // As in the handler.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::{SIGUSR1, SIGUSR2};

    #[test]
    fn each_is_returned_as_often_as_it_arrives() {
        let arrivals = Arrivals::of(&[SIGUSR1, SIGUSR2], true).unwrap();
        for signal in [SIGUSR1, SIGUSR2, SIGUSR1] {
            signal_hook::low_level::raise(signal).unwrap();
        }
        let mut found: Vec<i32> = (0..3).map(|_| arrivals.next().unwrap().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, [SIGUSR1, SIGUSR1, SIGUSR2]);
        arrivals.interrupt();
        assert_eq!(arrivals.next().unwrap(), None);
        signal_hook::low_level::raise(SIGUSR1).unwrap();
        assert_eq!(arrivals.next().unwrap(), Some(SIGUSR1));
    }
}
