//! How many pools and containers each user and each process has, and whether more are allowed.

use std::collections::hash_map::{Entry, HashMap};
use std::hash::Hash;

use chimaera_abi::CHI_NO_SPACE;

use crate::config::{Config, UserLimits};
use crate::failure::Failure;
use crate::sys::{Budget, Charge, Use};

/// The bytes that a container is charged before its module allocates anything.
const CONTAINER_COST: u64 = 8 << 10;

/// The containers of a pool, and the user and process they count for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// The user whose client creates the pool; `None` for pools of the runtime itself.
    pub(crate) user: Option<u32>,
    /// The process of that client, if it is known. Its pools outlive it, and count for the next
    /// process with its number.
    pub(crate) process: Option<i32>,
    pub(crate) containers: u32,
}

#[derive(Clone, Copy, Default)]
struct Count {
    pools: u32,
    containers: u32,
}

/// The claims of all pools except the admin pool, including those being created or destroyed.
#[derive(Default)]
pub(super) struct Claims {
    by_slot: HashMap<u32, (Claim, Charge)>,
    containers: u32,
    users: HashMap<u32, Count>,
    processes: HashMap<i32, Count>,
}

impl Claims {
    /// Returns the charge for a pool with this claim. Fails if a limit or the budget rules the pool
    /// out; `limits` are those of its user.
    pub(super) fn check(
        &self,
        claim: Claim,
        limits: &UserLimits,
        config: &Config,
        budget: &'static Budget,
    ) -> Result<Charge, Failure> {
        self.check_limits(claim, limits, config)?;
        let charge = budget.charge(Use::Pools, u64::from(claim.containers) * CONTAINER_COST);
        charge.map_err(|why| Failure::new(CHI_NO_SPACE, why.to_string()))
    }

    fn check_limits(
        &self,
        claim: Claim,
        limits: &UserLimits,
        config: &Config,
    ) -> Result<(), Failure> {
        let refuse = |what: &str, section: &str, key: &str| {
            let message = format!("{what} reached: raise {section}.{key}");
            Err(Failure::new(CHI_NO_SPACE, message))
        };
        let most = config.max_containers;
        if claim.containers > most.saturating_sub(self.containers) {
            return refuse(&format!("container limit ({most})"), "limits", "containers");
        }
        let check = |has: Count, of: &str, section: &str, pools: u32, containers: u32| {
            if has.pools >= pools {
                return refuse(&format!("pool limit ({pools} per {of})"), section, "pools");
            }
            if claim.containers > containers.saturating_sub(has.containers) {
                let limit = format!("container limit ({containers} per {of})");
                return refuse(&limit, section, "containers");
            }
            Ok(())
        };
        if let Some(user) = claim.user {
            let has = self.users.get(&user).copied().unwrap_or_default();
            check(has, "user", &limits.key, limits.pools, limits.containers)?;
        }
        if let Some(process) = claim.process {
            let has = self.processes.get(&process).copied().unwrap_or_default();
            let limits = &config.per_process;
            check(has, "process", "limits.per_process", limits.pools, limits.containers)?;
        }
        Ok(())
    }

    /// Records the claim of the pool in this slot.
    pub(super) fn add(&mut self, slot: u32, claim: Claim, charge: Charge) {
        self.containers += claim.containers;
        if let Some(user) = claim.user {
            count_in(&mut self.users, user, claim.containers);
        }
        if let Some(process) = claim.process {
            count_in(&mut self.processes, process, claim.containers);
        }
        let before = self.by_slot.insert(slot, (claim, charge));
        debug_assert!(before.is_none(), "the slot was free");
    }

    /// Removes the claim of the pool in this slot.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some((claim, _)) = self.by_slot.remove(&slot) else { return };
        self.containers -= claim.containers;
        if let Some(user) = claim.user {
            count_out(&mut self.users, user, claim.containers);
        }
        if let Some(process) = claim.process {
            count_out(&mut self.processes, process, claim.containers);
        }
    }
}

fn count_in<K: Eq + Hash>(counts: &mut HashMap<K, Count>, of: K, containers: u32) {
    let has = counts.entry(of).or_default();
    has.pools += 1;
    has.containers += containers;
}

fn count_out<K: Eq + Hash>(counts: &mut HashMap<K, Count>, of: K, containers: u32) {
    let Entry::Occupied(mut has) = counts.entry(of) else { return };
    has.get_mut().pools -= 1;
    has.get_mut().containers -= containers;
    if has.get().pools == 0 {
        has.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProcessLimits;
    use crate::sys::MemorySource;

    #[test]
    fn each_limit_is_reached_and_left_again() {
        let config = Config {
            max_containers: 10,
            per_user: UserLimits { pools: 2, containers: 5, ..UserLimits::default() },
            per_process: ProcessLimits { containers: 3, ..ProcessLimits::default() },
            ..Config::default()
        };
        let of = |user, containers| Claim { user, process: None, containers };
        let mut claims = Claims::default();
        let budget = Budget::new(1 << 30, MemorySource::Configured, 1 << 40);
        let check = |claims: &Claims, claim| claims.check(claim, &config.per_user, &config, budget);
        let add = |claims: &mut Claims, slot, claim| {
            let charge = check(claims, claim).unwrap();
            claims.add(slot, claim, charge);
        };
        let why = |claims: &Claims, claim| check(claims, claim).unwrap_err().message;
        let per_user = "container limit (5 per user) reached: raise limits.per_user.containers";
        assert_eq!(why(&claims, of(Some(1), 6)), per_user);
        add(&mut claims, 1, of(Some(1), 3));
        assert_eq!(why(&claims, of(Some(1), 3)), per_user);
        add(&mut claims, 2, of(Some(1), 2));
        let pools = "pool limit (2 per user) reached: raise limits.per_user.pools";
        assert_eq!(why(&claims, of(Some(1), 1)), pools);
        // Another user has separate limits; for the runtime itself, only the overall limit applies.
        assert!(check(&claims, of(Some(2), 5)).is_ok());
        // So has another process of another user.
        let by = |process, containers| Claim { user: Some(2), process: Some(process), containers };
        add(&mut claims, 8, by(20, 2));
        let process = "limits.per_process.containers";
        let containers = format!("container limit (3 per process) reached: raise {process}");
        assert_eq!(why(&claims, by(20, 2)), containers);
        add(&mut claims, 9, by(21, 2));
        claims.remove(8);
        assert!(check(&claims, by(20, 2)).is_ok());
        claims.remove(9);
        // A user with a quota has the limits of the quota.
        let key = "limits.users[3]".to_owned();
        let quota = UserLimits { key, pools: 3, containers: 5, ..UserLimits::default() };
        let why_not = claims.check(of(Some(1), 1), &quota, &config, budget).unwrap_err();
        let containers = "container limit (5 per user) reached: raise limits.users[3].containers";
        assert_eq!(why_not.message, containers);
        let quota = UserLimits { containers: 6, ..quota };
        assert!(claims.check(of(Some(1), 1), &quota, &config, budget).is_ok());
        let all = "container limit (10) reached: raise limits.containers";
        assert_eq!(why(&claims, of(None, 6)), all);
        add(&mut claims, 3, of(None, 5));
        assert_eq!(budget.all_used(), 10 * CONTAINER_COST);
        assert_eq!(why(&claims, of(Some(2), 1)), all);
        (1..=3).for_each(|slot| claims.remove(slot));
        assert!(check(&claims, of(None, 10)).is_ok());
        assert!(claims.users.is_empty() && claims.by_slot.is_empty() && budget.all_used() == 0);
    }

    #[test]
    fn the_budget_limits_containers() {
        let config = Config::default();
        let budget = Budget::new(16 << 20, MemorySource::Configured, 1 << 40);
        let check = |containers| {
            let claim = Claim { user: None, process: None, containers };
            Claims::default().check(claim, &config.per_user, &config, budget)
        };
        let most = (budget.most() / CONTAINER_COST) as u32;
        assert!(check(most).is_ok());
        let failure = check(most + 1).unwrap_err();
        assert!(failure.message.starts_with("memory budget (16.0 MiB) reached"), "{failure:?}");
    }
}
