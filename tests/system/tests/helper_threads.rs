//! A thread of the daemon, other than the workers, that panics: the daemon goes down in order, and
//! says why. The panics are those of the Rust library, or of ours, when a system call fails in a way that
//! it cannot.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use chimaera_tests::syscalls::{Answer, Interception};
use chimaera_tests::{Daemon, Options, Running, Site};
use rustix::process::Signal;

/// A daemon, and a switch that makes the next call of one of its threads fail.
struct Failing {
    daemon: Daemon,
    fails: Arc<AtomicBool>,
    /// Dropped last: the daemon makes calls until its end.
    _interception: Interception,
}

fn failing(thread: &'static str, call: i64) -> Failing {
    let site = Site::new();
    // The file that `Daemon::log` reads.
    let config = format!("workers: 2\nlog: {{file: {}.stderr}}\n", site.name());
    let mut command = Options::new().kv().state().config(config).command(&site);
    let fails = Arc::new(AtomicBool::new(false));
    let switch = fails.clone();
    let calls = [call, libc::SYS_read, libc::SYS_write];
    let interception = Interception::of(&mut command, &calls, move |made| {
        if !switch.load(Ordering::Relaxed) || made.thread_name() != thread {
            return Answer::Pass;
        }
        match made.number {
            // Once: the thread that has panicked may have to sleep, to end in order.
            number if number == call => {
                switch.store(false, Ordering::Relaxed);
                Answer::Fail(libc::EIO)
            }
            // The watchdog's word does not reach the control thread, for which it therefore waits.
            libc::SYS_write if thread == "chi-watchdog" => Answer::Fail(libc::EAGAIN),
            _ => Answer::Pass,
        }
    });
    let daemon = Daemon::run(site, command);
    daemon.cli(&["pool", "create", "kept", "--module", "chimaera:kv"]).ok();
    Failing { daemon, fails, _interception: interception }
}

impl Failing {
    /// Starts a client, and waits until it is ready.
    #[track_caller]
    fn client(&self, what: &str) -> Running {
        let mut command = self.daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal"));
        let mut client = Running::start(command.arg(what));
        assert_eq!(client.line().as_deref(), Some("ready"));
        client
    }

    fn start_failing(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    /// The daemon has ended in order, with these words about the thread.
    #[track_caller]
    fn assert_ended(&mut self, why: &str) {
        let code = self.daemon.end();
        let log = self.daemon.log();
        assert_eq!(code, 1, "{log}");
        for words in [why, "pool destroyed pool=\"kept\"", " stopped"] {
            assert!(log.contains(words), "{words} is not in\n{log}");
        }
        assert!(!self.daemon.site().socket().exists());
    }
}

#[test]
fn the_thread_for_signals() {
    let mut failing = failing("chi-signals", libc::SYS_read);
    failing.start_failing();
    // The thread reopens the log, and reads again.
    failing.daemon.signal(Signal::HUP);
    failing.assert_ended("the thread chi-signals panicked");
}

#[test]
fn the_watchdog() {
    let mut failing = failing("chi-watchdog", libc::SYS_clock_nanosleep);
    let mut client = failing.client("closing");
    failing.start_failing();
    // The watchdog notices, and sleeps until the control thread stops the runtime.
    client.say("go");
    failing.assert_ended("panicked: assertion");
    assert!(failing.daemon.log().contains("thread=\"chi-watchdog\""), "{}", failing.daemon.log());
}

#[test]
fn the_control_thread() {
    let mut failing = failing("chi-control", libc::SYS_clock_nanosleep);
    let _client = failing.client("counting");
    failing.start_failing();
    // The thread sleeps while a successor takes over the clients.
    let failed = failing.daemon.cli(&["restart"]);
    assert_ne!(failed.code, 0, "{failed:?}");
    failing.assert_ended("the control thread panicked");
}
