//! What the clients of one process and of one user may use.

use super::{in_range, Config, Error};
use crate::access::{Accounts, Caller};

/// What the clients of one user may use together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLimits {
    /// The configuration key that sets these limits, for messages.
    pub key: String,
    /// The limit on concurrent sessions.
    pub sessions: usize,
    /// The limit on the total size of their segments, in bytes.
    pub segments: u64,
    /// The limit on the pools that they have created.
    pub pools: u32,
    /// The limit on the containers of these pools.
    pub containers: u32,
    /// The limit on tasks in flight; beyond it, their rings wait.
    pub tasks_in_flight: usize,
    /// The share of all workers' time that methods may use for them, in percent; 100 is no limit.
    pub worker_time: u32,
}

/// Limits for some users, which replace the general ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserQuota {
    /// The users, named directly or by their groups.
    pub who: Accounts,
    /// What the clients of each of these users may use together.
    pub limits: UserLimits,
}

/// What one process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessLimits {
    /// The limit on concurrent sessions.
    pub sessions: usize,
    /// The limit on the total size of their segments, in bytes.
    pub segments: u64,
    /// The limit on the pools that it has created.
    pub pools: u32,
    /// The limit on the containers of these pools.
    pub containers: u32,
    /// The limit on tasks in flight; beyond it, their rings wait.
    pub tasks_in_flight: usize,
    /// The share of all workers' time that the methods of its tasks may take, in percent; 100 is no
    /// limit.
    pub worker_time: u32,
}

impl Default for UserLimits {
    fn default() -> UserLimits {
        UserLimits {
            key: "limits.per_user".to_owned(),
            sessions: 1024,
            segments: 1 << 40,
            pools: 16_384,
            containers: 32_768,
            tasks_in_flight: 1 << 18,
            worker_time: 100,
        }
    }
}

impl Default for ProcessLimits {
    fn default() -> ProcessLimits {
        ProcessLimits {
            sessions: 64,
            segments: 128 << 30,
            pools: 8192,
            containers: 16_384,
            tasks_in_flight: 1 << 17,
            worker_time: 100,
        }
    }
}

impl Config {
    /// What the clients of this caller's user may use together: the first quota that names the user
    /// or one of the caller's groups applies.
    pub(crate) fn limits_of(&self, caller: &Caller) -> &UserLimits {
        let quota = self.quotas.iter().find(|quota| quota.who.name(caller));
        quota.map_or(&self.per_user, |quota| &quota.limits)
    }

    /// True if some user, or each process, is limited to less than all of the workers' time.
    pub(crate) fn limits_worker_time(&self) -> bool {
        let users = self.quotas.iter().map(|quota| &quota.limits).chain([&self.per_user]);
        let shares = users.map(|limits| limits.worker_time).chain([self.per_process.worker_time]);
        shares.min().is_some_and(|least| least < 100)
    }

    /// The smallest limit of any user or process on tasks in flight.
    pub(crate) fn least_in_flight(&self) -> usize {
        let users = self.quotas.iter().map(|quota| &quota.limits).chain([&self.per_user]);
        let limits = users.map(|limits| limits.tasks_in_flight);
        limits.chain([self.per_process.tasks_in_flight]).min().expect("there is one for all")
    }
}

impl UserLimits {
    pub(super) fn check(&self) -> Result<(), Error> {
        in_range("the limit on sessions per user", self.sessions as u64, 1, 65536)?;
        let tasks = self.tasks_in_flight as u64;
        in_range("the limit on tasks in flight per user", tasks, 256, 100_000_000)?;
        in_range("the share of worker time per user, in percent", self.worker_time.into(), 1, 100)?;
        in_range("the limit on pools per user", self.pools.into(), 1, 65536)?;
        in_range("the limit on containers per user", self.containers.into(), 1, 1 << 24)
    }
}

impl ProcessLimits {
    pub(super) fn check(&self) -> Result<(), Error> {
        let percent = self.worker_time.into();
        in_range("the share of worker time per process, in percent", percent, 1, 100)?;
        in_range("the limit on sessions per process", self.sessions as u64, 1, 65536)?;
        let tasks = self.tasks_in_flight as u64;
        in_range("the limit on tasks in flight per process", tasks, 256, 100_000_000)?;
        in_range("the limit on pools per process", self.pools.into(), 1, 65536)?;
        in_range("the limit on containers per process", self.containers.into(), 1, 1 << 24)
    }
}
