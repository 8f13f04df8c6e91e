//! Limits how much worker time the tasks of each user and of each process take. The watchdog
//! samples what each worker is running, so no task has to be timed; sessions over their share are
//! paused.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::session::SessionRef;

/// An account saves up at most its share of this much time.
const BURST: Duration = Duration::from_millis(100);
/// No pause is longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The user or process to which a limit applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Account {
    User(u32),
    Process(i32),
}

/// The worker time that an account may still take.
#[derive(Clone, Copy, Debug)]
struct Balance {
    /// In seconds of one worker. While it is negative, the account's sessions are paused.
    left: f64,
    /// The account's share, as a number of workers.
    workers: f64,
}

impl Balance {
    fn new(workers: f64) -> Balance {
        Balance { left: workers * BURST.as_secs_f64(), workers }
    }

    /// Adds the account's share of `time`. True once it can save up no more.
    fn refill(&mut self, time: Duration) -> bool {
        let most = self.workers * BURST.as_secs_f64();
        self.left = (self.left + self.workers * time.as_secs_f64()).min(most);
        self.left >= most
    }

    fn spend(&mut self, time: Duration) {
        let least = -self.workers * LONGEST_PAUSE.as_secs_f64();
        self.left = (self.left - time.as_secs_f64()).max(least);
    }
}

/// The balances of the accounts that have taken time recently.
pub(super) struct WorkerTime {
    balances: HashMap<Account, Balance>,
    /// Ended sessions whose tasks still run: their users pay for them.
    ended: Vec<SessionRef>,
    refilled: Instant,
}

impl WorkerTime {
    pub(super) fn new() -> WorkerTime {
        WorkerTime { balances: HashMap::new(), ended: Vec::new(), refilled: Instant::now() }
    }

    /// Goes on charging a session that has ended, until its last task has.
    pub(super) fn note_ended(&mut self, session: SessionRef) {
        if session.tasks_in_flight() > 0 {
            self.ended.push(session);
        }
    }

    /// Pauses a session that is over a share, or else resumes it. True if this changes anything.
    pub(super) fn apply(&self, config: &Config, session: &SessionRef) -> bool {
        let is_over = |account: &Account| {
            self.balances.get(account).is_some_and(|balance| balance.left < 0.0)
        };
        let pause = accounts(config, session).any(|(account, _)| is_over(&account));
        session.set_paused(pause) != pause
    }

    /// Charges `time` to the sessions with these numbers, whose tasks the workers are running.
    pub(super) fn charge(
        &mut self,
        config: &Config,
        sessions: &[SessionRef],
        running: impl Iterator<Item = u64>,
        time: Duration,
    ) {
        for number in running {
            let mut all = sessions.iter().chain(&self.ended);
            let Some(session) = all.find(|session| session.number == number) else { continue };
            for (account, workers) in accounts(config, session) {
                let balance = self.balances.entry(account).or_insert(Balance::new(workers));
                balance.spend(time);
            }
        }
    }

    /// Adds each account's share of the time since the last call, pauses the sessions that are over
    /// a share, and resumes the others. True if this changes anything.
    pub(super) fn settle(&mut self, config: &Config, sessions: &[SessionRef]) -> bool {
        // They keep their segments mapped.
        self.ended.retain(|session| session.tasks_in_flight() > 0);
        let now = Instant::now();
        let time = now - std::mem::replace(&mut self.refilled, now);
        if self.balances.is_empty() {
            return false;
        }
        self.balances.retain(|_, balance| !balance.refill(time));
        sessions.iter().fold(false, |changed, session| self.apply(config, session) | changed)
    }
}

/// The accounts with limited worker time that a session belongs to, each with its share in workers.
fn accounts<'a>(
    config: &'a Config,
    session: &'a SessionRef,
) -> impl Iterator<Item = (Account, f64)> + 'a {
    let caller = &session.caller;
    let user = (Account::User(caller.uid), config.limits_of(caller).worker_time);
    let process = (Account::Process(caller.pid), config.per_process.worker_time);
    // Processes of other PID namespaces cannot be told apart.
    let process = (caller.pid != 0).then_some(process);
    let limits = std::iter::once(user).chain(process).filter(|(_, percent)| *percent < 100);
    limits.map(|(account, percent)| (account, config.workers as f64 * f64::from(percent) / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_gets_its_share_and_no_more() {
        let ms = Duration::from_millis;
        let mut balance = Balance::new(0.5);
        assert!(balance.refill(ms(1)), "it begins with all that it can save up");
        balance.spend(ms(50));
        assert!(balance.left.abs() < 1e-9, "which is half of 100 ms: {balance:?}");
        balance.spend(ms(2));
        assert!(!balance.refill(ms(3)) && balance.left < 0.0, "{balance:?}");
        assert!(!balance.refill(ms(2)) && balance.left > 0.0, "{balance:?}");
        assert!(balance.refill(Duration::from_secs(1000)) && balance.left == 0.05, "{balance:?}");
    }

    #[test]
    fn no_pause_is_longer_than_a_minute() {
        let mut balance = Balance::new(0.01);
        balance.spend(Duration::from_secs(86_400));
        assert!(!balance.refill(LONGEST_PAUSE - Duration::from_secs(1)) && balance.left < 0.0);
        balance.refill(Duration::from_secs(2));
        assert!(balance.left > 0.0, "{balance:?}");
    }

    #[test]
    fn what_is_taken_follows_the_share() {
        for workers in [0.1, 0.75, 3.2] {
            let (mut balance, mut taken, tick) = (Balance::new(workers), 0.0, 0.002);
            for _ in 0..50_000 {
                if balance.left >= 0.0 {
                    // Four workers run its tasks.
                    (0..4).for_each(|_| balance.spend(Duration::from_secs_f64(tick)));
                    taken += 4.0 * tick;
                }
                balance.refill(Duration::from_secs_f64(tick));
            }
            let share = taken / (50_000.0 * tick);
            assert!((share - workers).abs() < 0.01, "{share} of {workers}");
        }
    }
}
