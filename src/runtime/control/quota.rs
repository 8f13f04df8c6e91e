//! Whether a client may have another session.

use std::os::fd::{AsRawFd, OwnedFd};

use chimaera_abi::CHI_NO_SPACE;
use chimaera_ipc::layout::Layout;

use crate::config::{Config, UserLimits};
use crate::failure::Failure;
use crate::session::Session;
use crate::sys::{has_addresses_for, limit_of, Budget, Charge};

/// How many descriptors sessions must leave free for connections.
pub(super) const KEPT_FROM_SESSIONS: u64 = 48;
/// How many of these must also be left free, for requests, by connections that have sent nothing. A
/// connection takes two, and an answer one more.
pub(super) const KEPT_FROM_SILENT: u64 = 16;

/// How many descriptors a session takes.
const OF_SESSION: u64 = 4;

/// What a session takes that exists or is being set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    /// The client's process; 0 if it is not visible from here.
    pub(super) pid: i32,
    pub(super) uid: u32,
    /// The size of its segment, in bytes.
    pub(super) segment: u64,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    sessions: usize,
    segments: u64,
}

impl Sum {
    fn add(&mut self, footprint: &Footprint) {
        self.sessions += 1;
        self.segments += footprint.segment;
    }
}

/// Fails if `wanted`, together with the other sessions, exceeds a limit. `limits` are those of its
/// user.
pub(super) fn check(
    others: impl Iterator<Item = Footprint>,
    wanted: Footprint,
    limits: &UserLimits,
    config: &Config,
) -> Result<(), Failure> {
    let (mut of_process, mut of_user) = (Sum::default(), Sum::default());
    for other in others.filter(|other| other.uid == wanted.uid) {
        of_user.add(&other);
        if other.pid == wanted.pid {
            of_process.add(&other);
        }
    }
    let fits = |whose: &str, key: &str, has: Sum, sessions: usize, segments: u64| {
        let (what, which) = if has.sessions >= sessions {
            (format!("session limit ({sessions} per {whose})"), "sessions")
        } else if wanted.segment > segments.saturating_sub(has.segments) {
            (format!("segment limit ({segments} bytes per {whose})"), "segments")
        } else {
            return Ok(());
        };
        let message = format!("{what} reached: raise {key}.{which}");
        Err(Failure::new(CHI_NO_SPACE, message))
    };
    // Processes of other PID namespaces cannot be told apart.
    if wanted.pid != 0 {
        let most = &config.per_process;
        fits("process", "limits.per_process", of_process, most.sessions, most.segments)?;
    }
    fits("user", &limits.key, of_user, limits.sessions, limits.segments)
}

/// Charges a session with a segment of this layout to the budget. Fails if the budget has no room
/// for it, or the address space has none for the segment.
pub(super) fn charge(budget: &'static Budget, layout: &Layout) -> Result<Charge, Failure> {
    if !has_addresses_for(layout.size) {
        let message = format!(
            "the runtime has too few addresses left for a segment of {} bytes: raise its limit \
             (`ulimit -v`), or ask for a smaller one",
            layout.size
        );
        return Err(Failure::new(CHI_NO_SPACE, message));
    }
    let charge = Session::charge(budget, layout);
    charge.map_err(|why| Failure::new(CHI_NO_SPACE, why.to_string()))
}

/// Warns if no client could have a session for lack of descriptors, of which the newest is this one's.
pub(super) fn warn_of_few_descriptors(newest: &OwnedFd) {
    if let Err(failure) = check_descriptors(newest, KEPT_FROM_SESSIONS + OF_SESSION) {
        tracing::warn!("no client will be let in: {}", failure.message);
    }
}

/// Fails if fewer than `kept` descriptors are left after `fd`, which is the newest.
pub(super) fn check_descriptors(fd: &OwnedFd, kept: u64) -> Result<(), Failure> {
    match limit_of(libc::RLIMIT_NOFILE) {
        Some(most) if fd.as_raw_fd() as u64 + kept >= most => {
            let message = format!(
                "the runtime has almost no descriptors left: raise its limit of {most} (`ulimit -n`)"
            );
            Err(Failure::new(CHI_NO_SPACE, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProcessLimits;

    #[test]
    fn sessions_and_segments_are_counted_by_process_and_by_user() {
        let config = Config {
            per_process: ProcessLimits { sessions: 2, segments: 100, ..ProcessLimits::default() },
            per_user: UserLimits { sessions: 4, segments: 150, ..UserLimits::default() },
            ..Config::default()
        };
        let of = |uid, pid, segment| Footprint { pid, uid, segment };
        let why = |others: &[Footprint], wanted| match check(
            others.iter().copied(),
            wanted,
            &config.per_user,
            &config,
        ) {
            Ok(()) => String::new(),
            Err(failure) => failure.message,
        };
        let one = of(1, 7, 10);
        assert_eq!(why(&[], of(1, 7, 100)), "");
        let segments =
            "segment limit (100 bytes per process) reached: raise limits.per_process.segments";
        assert_eq!(why(&[one], of(1, 7, 91)), segments);
        assert_eq!(why(&[one], of(1, 7, 90)), "");
        let sessions = "session limit (2 per process) reached: raise limits.per_process.sessions";
        assert_eq!(why(&[one, one], of(1, 7, 1)), sessions);
        assert_eq!(why(&[one, one], of(1, 8, 1)), "");
        let segments = "segment limit (150 bytes per user) reached: raise limits.per_user.segments";
        assert_eq!(why(&[of(1, 7, 90), of(1, 8, 50)], of(1, 9, 11)), segments);
        let sessions = "session limit (4 per user) reached: raise limits.per_user.sessions";
        let four = [7, 7, 8, 8].map(|pid| of(1, pid, 1));
        assert_eq!(why(&four, of(1, 9, 1)), sessions);
        assert_eq!(why(&four, of(2, 9, 1)), "", "another user has its own");
        let more =
            UserLimits { key: "limits.users[0]".to_owned(), sessions: 5, ..UserLimits::default() };
        let five = || [7, 7, 8, 8, 9].iter().map(|&pid| of(1, pid, 1));
        assert!(check(five().take(4), of(1, 9, 1), &more, &config).is_ok());
        let failure = check(five(), of(1, 10, 1), &more, &config).unwrap_err();
        let message = "session limit (5 per user) reached: raise limits.users[0].sessions";
        assert_eq!(failure.message, message);
        let unknown = [of(1, 0, 60), of(1, 0, 60), of(1, 0, 1)];
        assert_eq!(why(&unknown, of(1, 0, 1)), "", "these may be different processes");
    }
}
