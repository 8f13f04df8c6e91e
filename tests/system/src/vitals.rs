//! The resources of a daemon, to detect leaks.

use std::time::{Duration, Instant};

use crate::process::{self, BOUND};
use crate::{tally, Daemon};

/// The resources of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Resident memory in bytes.
    pub rss: u64,
    /// Open descriptors.
    pub fds: usize,
    /// Threads, except those of stand-by workers, which stay once they were needed.
    pub threads: usize,
    /// Segments mapped.
    pub segments: usize,
}

impl Vitals {
    /// The resources of a daemon once only this many sessions are left and those of the others are
    /// freed.
    #[track_caller]
    pub fn settled(daemon: &Daemon, sessions: usize) -> Vitals {
        process::until("the sessions of those that are gone end", || {
            let before = Vitals::now(daemon);
            let status = daemon.cli(&["status", "--json"]).ok().json();
            let now = Vitals::now(daemon);
            let still = before.fds == now.fds && before.segments == now.segments;
            (still && status["sessions"] == sessions && now.segments == sessions).then_some(now)
        })
    }

    /// The current resources of a daemon.
    pub fn now(daemon: &Daemon) -> Vitals {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", daemon.pid()));
        let maps = maps.expect("it is running");
        let segments = maps.lines().filter(|line| line.contains("chimaera-segment")).count();
        Vitals { rss: daemon.rss(), fds: daemon.fds(), threads: threads(daemon), segments }
    }

    /// Fails if the daemon keeps more descriptors, threads or segments than before, or more than
    /// `slack` additional bytes of memory.
    #[track_caller]
    pub fn assert_no_more(self, daemon: &Daemon, slack: u64) {
        let until = Instant::now() + BOUND;
        loop {
            let now = Vitals::now(daemon);
            if now.fds <= self.fds
                && now.threads <= self.threads
                && now.segments <= self.segments
                && now.rss <= self.rss + slack
            {
                return tally("leak checks", 1);
            }
            let over = Instant::now() >= until;
            if over {
                tally("leaks", 1);
            }
            assert!(!over, "the daemon leaks: {self:?} before, {now:?} after");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// How many threads a daemon has, except those of stand-by workers.
fn threads(daemon: &Daemon) -> usize {
    let status = daemon.cli(&["status", "--json"]).ok().json();
    let workers = status["each_worker"].as_array().expect("it says what they do");
    let standby = workers.iter().filter(|worker| worker["standby"].is_string()).count();
    (daemon.threads() as usize).saturating_sub(standby)
}

/// How often to repeat something: `few` times, or in a soak `CHI_SOAK` percent of `many`.
pub fn rounds(few: usize, many: usize) -> usize {
    let Some(percent) = std::env::var_os("CHI_SOAK").filter(|value| !value.is_empty()) else {
        return few;
    };
    let percent = percent.to_str().and_then(|text| text.parse::<usize>().ok());
    let percent = percent.expect("CHI_SOAK is a share of a soak in percent, 1 to 100");
    few.max(many * percent / 100)
}
