//! The registry of pools: names, slots, which task is creating or destroying which pool, and
//! destroyed pools that cannot be freed yet. It does not wake waiters itself, but returns them to
//! the caller.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chimaera_abi::{chi_pool_id, CHI_ADMIN_POOL_MAJOR, CHI_NO_SPACE};

use super::claims::{Claim, Claims};
use super::dependencies::Dependencies;
use super::pool::Pool;
use crate::config::{Config, UserLimits};
use crate::failure::Failure;
use crate::sync::Waiter;
use crate::sys::{lock, Budget};

/// After this many rounds, a worker has finished what it was doing and has read its messages.
const GRACE_ROUNDS: u64 = 2;

enum Named {
    /// Being created, destroyed or reset by the task whose body has this address. `pool` is `None`
    /// while the pool is being created. `stays` is its order while it is being reset: the pool
    /// stays, however the reset ends.
    Changing {
        by: usize,
        slot: u32,
        waiters: Vec<Waiter>,
        pool: Option<Arc<Pool>>,
        stays: Option<u64>,
        /// The control thread decides how the change ends, also if the task crashes.
        controlled: bool,
    },
    /// `order` increases with each pool that is created: the pools that this one uses have lower
    /// ones.
    Ready { pool: Arc<Pool>, order: u64 },
}

/// A destroyed pool, without tasks, kept until no worker can reach one of its lanes any more: first
/// every worker must finish what it was doing, then every worker must read the messages that this
/// work may have left.
struct Retired {
    _pool: Arc<Pool>,
    rounds: Vec<u64>,
    /// All workers have finished what they were doing.
    settled: bool,
}

impl Retired {
    /// The workers that have not completed enough rounds yet.
    fn awaited<'r>(&'r self, now: &'r [u64]) -> impl Iterator<Item = usize> + 'r {
        let rounds = self.rounds.iter().zip(now).enumerate();
        rounds.filter(|(_, (then, now))| **now < **then + GRACE_ROUNDS).map(|(worker, _)| worker)
    }

    /// Whether the pool can be freed.
    fn is_over(&mut self, now: &[u64]) -> bool {
        if self.awaited(now).next().is_some() {
            return false;
        }
        self.rounds = now.to_vec();
        std::mem::replace(&mut self.settled, true)
    }
}

#[derive(Default)]
struct State {
    named: HashMap<String, Named>,
    retired: Vec<Retired>,
    claims: Claims,
    dependencies: Dependencies,
    free_slots: Vec<u32>,
    slots: u32,
    /// How many pools have been created so far.
    completed: u64,
}

impl State {
    /// Takes a free slot, of at most this number.
    fn take_slot(&mut self, most: u32) -> Result<u32, Failure> {
        let slot = self.free_slots.pop().or_else(|| {
            // Slot 0 is never used, so the last slot has the number of the limit.
            let fresh = (self.slots <= most).then_some(self.slots)?;
            self.slots += 1;
            Some(fresh)
        });
        let message = || format!("pool limit ({most}) reached: raise limits.pools");
        slot.ok_or_else(|| Failure::new(CHI_NO_SPACE, message()))
    }

    /// Takes the slot of this number, which must be free.
    fn take_this_slot(&mut self, slot: u32, most: u32) -> Result<u32, Failure> {
        while self.slots <= slot.min(most) {
            self.free_slots.push(self.slots);
            self.slots += 1;
        }
        match self.free_slots.iter().position(|free| *free == slot) {
            Some(position) => Ok(self.free_slots.swap_remove(position)),
            None => {
                let message = format!("slot {slot} is taken, or beyond limits.pools ({most})");
                Err(Failure::new(CHI_NO_SPACE, message))
            }
        }
    }

    /// Frees the slot of a pool that no longer exists.
    fn free_slot(&mut self, slot: u32) {
        self.claims.remove(slot);
        self.free_slots.push(slot);
    }

    /// Ends the creation of these containers of a pool, which are in use from now on.
    fn settle(&mut self, name: &str, containers: impl Fn(u32) -> bool) {
        let State { named, dependencies, .. } = self;
        dependencies.settle(name, containers, |other| named.contains_key(other));
    }

    /// Ends a creation, destruction or reset. Returns the waiters for it.
    fn end_change(&mut self, name: &str, becomes: Option<Named>) -> Vec<Waiter> {
        let before = match becomes {
            Some(named) => self.named.insert(name.to_owned(), named),
            None => self.named.remove(name),
        };
        match before {
            Some(Named::Changing { waiters, .. }) => waiters,
            _ => Vec::new(),
        }
    }
}

/// The result of looking up a name.
pub(crate) enum Lookup {
    Found(Arc<Pool>),
    Absent,
    /// A task is creating, destroying or resetting the pool: the waiter is woken when it has
    /// finished.
    Changing,
}

/// A pool that was removed because the code that created or destroyed it was abandoned.
pub(crate) struct RemovedPool {
    pub(crate) name: String,
    /// Its id if it was in use before.
    pub(crate) was: Option<chi_pool_id>,
    /// The pools that depend on it.
    pub(crate) dependants: Vec<String>,
}

/// A pool whose destruction or reset has begun, and its position among the others.
pub(crate) struct BeingChanged {
    pub(crate) pool: Arc<Pool>,
    order: u64,
}

/// The registry.
pub(crate) struct Registry {
    state: Mutex<State>,
    /// How many pools are waiting to be freed.
    retired: AtomicUsize,
    /// The next pool's minor number. It starts at an arbitrary value, so that an id from an earlier
    /// run of the runtime does not match.
    next_minor: AtomicU32,
}

impl Registry {
    pub(crate) fn new() -> Registry {
        let nanoseconds = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos());
        let seed = (nanoseconds as u32).rotate_left(13) ^ std::process::id();
        let state = State { slots: CHI_ADMIN_POOL_MAJOR + 1, ..State::default() };
        let next_minor = AtomicU32::new(seed);
        Registry { state: Mutex::new(state), retired: AtomicUsize::new(0), next_minor }
    }

    /// The registry of a runtime with one pool, which has this id.
    pub(crate) fn with_id(id: chi_pool_id) -> Registry {
        let registry = Registry::new();
        lock(&registry.state).slots = id.major_;
        registry.next_minor.store(id.minor_, Ordering::Relaxed);
        registry
    }

    /// Looks up a name. While a task is creating, destroying or resetting its pool, queues
    /// `waiter`, if given, instead.
    pub(crate) fn find(&self, name: &str, waiter: Option<Waiter>) -> Lookup {
        match lock(&self.state).named.get_mut(name) {
            None => Lookup::Absent,
            Some(Named::Ready { pool, .. }) => Lookup::Found(pool.clone()),
            Some(Named::Changing { waiters, .. }) => {
                waiters.extend(waiter);
                Lookup::Changing
            }
        }
    }

    /// Removes a waiter for this name.
    pub(crate) fn leave(&self, name: &str, waiter: Waiter) {
        if let Some(Named::Changing { waiters, .. }) = lock(&self.state).named.get_mut(name) {
            waiters.retain(|other| *other != waiter);
        }
    }

    /// The minor number that the next pool gets.
    pub(crate) fn next_minor(&self) -> u32 {
        self.next_minor.load(Ordering::Relaxed)
    }

    /// Sets the minor number that the next pool gets.
    pub(crate) fn set_next_minor(&self, minor: u32) {
        self.next_minor.store(minor, Ordering::Relaxed);
    }

    /// Reserves a name and a slot for a pool that the task at `by` is about to create, and whose
    /// parameters name the pools `on`; with the id `wanted` if it is to have a certain one. `None` if the
    /// name has been taken meanwhile; an error if a limit is reached, if the slot of the wanted id is
    /// taken, or if the pool would depend on itself.
    pub(crate) fn begin_creation(
        &self,
        (name, wanted): (&str, Option<chi_pool_id>),
        by: usize,
        on: &[String],
        (claim, limits): (Claim, &UserLimits),
        config: &Config,
        budget: &'static Budget,
    ) -> Option<Result<chi_pool_id, Failure>> {
        let mut state = lock(&self.state);
        if state.named.contains_key(name) {
            return None;
        }
        let charge = match state.claims.check(claim, limits, config, budget) {
            Ok(charge) => charge,
            Err(failure) => return Some(Err(failure)),
        };
        let slot = match wanted {
            None => state.take_slot(config.max_pools),
            Some(id) => state.take_this_slot(id.major_, config.max_pools),
        };
        let major_ = match slot {
            Ok(slot) => slot,
            Err(failure) => return Some(Err(failure)),
        };
        let next = || self.next_minor.fetch_add(1, Ordering::Relaxed);
        let id = chi_pool_id { major_, minor_: wanted.map_or_else(next, |id| id.minor_) };
        if let Err(failure) = state.dependencies.add(name, id, on.to_vec()) {
            state.free_slots.push(major_);
            return Some(Err(failure));
        }
        state.claims.add(major_, claim, charge);
        let waiters = Vec::new();
        let (pool, stays, controlled) = (None, None, false);
        let changing = Named::Changing { by, slot: major_, waiters, pool, stays, controlled };
        state.named.insert(name.to_owned(), changing);
        Some(Ok(id))
    }

    /// Notes that a container, which is being created, opens the pool with this name. Fails if its pool
    /// would depend on itself.
    pub(crate) fn open(
        &self,
        opener: chi_pool_id,
        container: u32,
        name: &str,
    ) -> Result<(), Failure> {
        let mut state = lock(&self.state);
        if let Some(Named::Ready { pool, .. }) = state.named.get(name) {
            if pool.id.major_ == CHI_ADMIN_POOL_MAJOR {
                return Ok(());
            }
        }
        state.dependencies.open(opener, container, name)
    }

    /// Notes which pools the parameters of a pool name in the version of its module of which new
    /// containers are about to be created. Fails if the pool would depend on itself.
    pub(crate) fn rename(&self, pool: &Pool, on: Vec<String>) -> Result<(), Failure> {
        lock(&self.state).dependencies.rename(pool.name(), on)
    }

    /// Records that a container that was created anew is in use.
    pub(crate) fn settle(&self, pool: &str, container: u32) {
        lock(&self.state).settle(pool, |number| number == container);
    }

    /// The names of the pools that this one depends on, and of those that depend on it.
    pub(crate) fn dependencies(&self, name: &str) -> (BTreeSet<String>, Vec<String>) {
        let state = lock(&self.state);
        (state.dependencies.of(name), state.dependencies.dependants(name))
    }

    /// Registers a pool that has been created, so that lookups find it. Returns the waiters for its
    /// creation.
    pub(crate) fn complete(&self, pool: Arc<Pool>) -> Vec<Waiter> {
        let mut state = lock(&self.state);
        let order = state.completed;
        state.completed += 1;
        let name = pool.name().to_owned();
        state.settle(&name, |_| true);
        state.end_change(&name, Some(Named::Ready { pool, order }))
    }

    /// Frees the name and slot of a pool whose creation failed. Returns the waiters for it.
    pub(crate) fn end_creation(&self, name: &str, id: chi_pool_id) -> Vec<Waiter> {
        let mut state = lock(&self.state);
        state.free_slot(id.major_);
        state.dependencies.remove(name);
        state.end_change(name, None)
    }

    /// Marks a pool as being destroyed by the task at `by`; `None` if there is no such pool, or
    /// another task is already destroying it.
    pub(crate) fn begin_destruction(&self, id: chi_pool_id, by: usize) -> Option<BeingChanged> {
        self.begin_change(id, by, false, false)
    }

    /// Marks a pool as being reset by the task at `by`; `None` if there is no such pool, or another
    /// task is changing it.
    pub(crate) fn begin_reset(&self, id: chi_pool_id, by: usize) -> Option<BeingChanged> {
        self.begin_change(id, by, true, false)
    }

    /// Marks a pool whose containers the control thread has replaced; `None` if there is no such pool, or
    /// a task is changing it.
    pub(crate) fn begin_replacement(&self, id: chi_pool_id) -> Option<BeingChanged> {
        self.begin_change(id, 0, true, true)
    }

    /// Records that the task at `to` continues a destruction that has begun.
    pub(crate) fn hand_over(&self, id: chi_pool_id, to: usize) {
        for named in lock(&self.state).named.values_mut() {
            if let Named::Changing { by, pool: Some(pool), .. } = named {
                if pool.id == id {
                    *by = to;
                }
            }
        }
    }

    fn begin_change(
        &self,
        id: chi_pool_id,
        by: usize,
        stays: bool,
        controlled: bool,
    ) -> Option<BeingChanged> {
        let mut state = lock(&self.state);
        let (pool, order) = state.named.values().find_map(|named| match named {
            Named::Ready { pool, order } if pool.id == id => Some((pool.clone(), *order)),
            _ => None,
        })?;
        let changing = Named::Changing {
            by,
            slot: id.major_,
            waiters: Vec::new(),
            pool: Some(pool.clone()),
            stays: stays.then_some(order),
            controlled,
        };
        state.named.insert(pool.name().to_owned(), changing);
        Some(BeingChanged { pool, order })
    }

    /// Ends a reset, or abandons a destruction: the pool stays. Returns the waiters for it.
    pub(crate) fn keep(&self, given: BeingChanged) -> Vec<Waiter> {
        let BeingChanged { pool, order } = given;
        let name = pool.name().to_owned();
        let mut state = lock(&self.state);
        state.dependencies.abandon(&name);
        state.end_change(&name, Some(Named::Ready { pool, order }))
    }

    /// Removes a destroyed pool, which is freed once every worker has completed enough rounds after
    /// `rounds`. Returns the waiters for its destruction.
    pub(crate) fn retire(&self, destroyed: BeingChanged, rounds: Vec<u64>) -> Vec<Waiter> {
        let pool = destroyed.pool;
        debug_assert_eq!(pool.in_flight(), 0);
        let mut state = lock(&self.state);
        state.free_slot(pool.id.major_);
        state.dependencies.remove(pool.name());
        let waiters = state.end_change(pool.name(), None);
        state.retired.push(Retired { _pool: pool, rounds, settled: false });
        self.retired.store(state.retired.len(), Ordering::Release);
        waiters
    }

    /// Ends the replacement of containers: `pool` takes the place of the one that was changed, which is
    /// freed as in `retire`. Returns the waiters for it.
    pub(crate) fn replace(&self, old: &Pool, pool: Arc<Pool>, rounds: Vec<u64>) -> Vec<Waiter> {
        let mut state = lock(&self.state);
        let Some(Named::Changing { waiters, pool: Some(before), stays: Some(order), .. }) =
            state.named.remove(old.name())
        else {
            panic!("the pool is being changed");
        };
        let made = |number: u32| {
            let at = number as usize;
            !Arc::ptr_eq(&pool.containers()[at], &old.containers()[at])
        };
        state.settle(old.name(), made);
        state.named.insert(old.name().to_owned(), Named::Ready { pool, order });
        state.retired.push(Retired { _pool: before, rounds, settled: false });
        self.retired.store(state.retired.len(), Ordering::Release);
        waiters
    }

    /// Whether pools are waiting to be freed.
    pub(crate) fn has_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire) > 0
    }

    /// Frees the pools that no worker can reach any more; `now` are the rounds that the workers
    /// have completed. Returns the workers that must complete more of them before the other pools
    /// can be freed.
    pub(crate) fn free_retired(&self, now: &[u64]) -> Vec<usize> {
        let mut state = lock(&self.state);
        let (over, stay): (Vec<_>, Vec<_>) =
            state.retired.drain(..).map(|mut old| (old.is_over(now), old)).partition(|old| old.0);
        state.retired = stay.into_iter().map(|(_, old)| old).collect();
        self.retired.store(state.retired.len(), Ordering::Release);
        let mut awaited: Vec<usize> =
            state.retired.iter().flat_map(|old| old.awaited(now)).collect();
        drop(state);
        // After the lock is released, because freeing a pool may take a long time.
        drop(over);
        awaited.sort_unstable();
        awaited.dedup();
        awaited
    }

    /// The name of the pool whose containers the abandoned task at `by` was replacing, if any.
    pub(crate) fn replaced_by(&self, by: usize) -> Option<String> {
        let state = lock(&self.state);
        let found = state.named.iter().find(|(_, named)| {
            matches!(named, Named::Changing { by: other, controlled: true, .. } if *other == by)
        });
        found.map(|(name, _)| name.clone())
    }

    /// Removes the pool that the abandoned task at `by` was creating or destroying, if any, and
    /// frees its slot; objects already constructed stay in memory, because their state is unknown.
    /// A pool that it was resetting stays. Returns the removed pools, and the waiters.
    pub(crate) fn give_up(&self, by: usize) -> (Vec<RemovedPool>, Vec<Waiter>) {
        let mut state = lock(&self.state);
        let given_up = state.named.extract_if(
            |_, named| matches!(named, Named::Changing { by: other, controlled: false, .. } if *other == by),
        );
        let given_up: Vec<_> = given_up.collect();
        let (mut removed, mut woken, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        let mut kept = Vec::new();
        for (name, named) in given_up {
            let Named::Changing { slot, waiters, pool, stays, .. } = named else { continue };
            woken.extend(waiters);
            let was = pool.as_ref().map(|pool| pool.id);
            match pool.zip(stays) {
                Some((pool, order)) => {
                    state.dependencies.abandon(&name);
                    kept.push((name, Named::Ready { pool, order }));
                }
                None => {
                    let dependants = state.dependencies.dependants(&name);
                    state.dependencies.remove(&name);
                    removed.push(RemovedPool { name, was, dependants });
                    slots.push(slot);
                }
            }
        }
        state.named.extend(kept);
        slots.into_iter().for_each(|slot| state.free_slot(slot));
        (removed, woken)
    }

    /// The pool in this slot, even while it is being destroyed or reset.
    pub(crate) fn in_slot(&self, slot: u32) -> Option<Arc<Pool>> {
        let state = lock(&self.state);
        let pools = state.named.values().filter_map(|named| match named {
            Named::Ready { pool, .. } => Some(pool),
            Named::Changing { pool, .. } => pool.as_ref(),
        });
        pools.into_iter().find(|pool| pool.id.major_ == slot).cloned()
    }

    /// The name of the pool in this slot, even while it is being created.
    pub(crate) fn name_in_slot(&self, slot: u32) -> Option<String> {
        let state = lock(&self.state);
        let in_slot = |named: &Named| match named {
            Named::Ready { pool, .. } => pool.id.major_ == slot,
            Named::Changing { slot: changing, .. } => *changing == slot,
        };
        let mut names = state.named.iter().filter(|(_, named)| in_slot(named));
        names.next().map(|(name, _)| name.clone())
    }

    /// The pool with this name, even while it is being destroyed or changed.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Pool>> {
        match lock(&self.state).named.get(name)? {
            Named::Ready { pool, .. } => Some(pool.clone()),
            Named::Changing { pool, .. } => pool.clone(),
        }
    }

    /// All pools that lookups find.
    pub(crate) fn all(&self) -> Vec<Arc<Pool>> {
        let state = lock(&self.state);
        let pools = state.named.values().filter_map(|named| match named {
            Named::Ready { pool, .. } => Some(pool.clone()),
            Named::Changing { .. } => None,
        });
        pools.collect()
    }

    /// The pools that are being created (these have only a name), destroyed or reset.
    pub(crate) fn changing(&self) -> Vec<(String, Option<Arc<Pool>>)> {
        let state = lock(&self.state);
        let changing = state.named.iter().filter_map(|(name, named)| match named {
            Named::Changing { pool, .. } => Some((name.clone(), pool.clone())),
            Named::Ready { .. } => None,
        });
        changing.collect()
    }

    /// True if a pool is being created, destroyed or reset.
    pub(crate) fn has_changing(&self) -> bool {
        !self.changing().is_empty()
    }

    /// All pools except the admin pool that lookups find, in order of dependence: each comes after those
    /// that it depends on, and otherwise after those that were created before it, which it may use.
    pub(crate) fn in_order_of_dependence(&self) -> Vec<Arc<Pool>> {
        let state = lock(&self.state);
        let ready = state.named.values().filter_map(|named| match named {
            Named::Ready { pool, order } => Some((*order, pool.clone())),
            Named::Changing { .. } => None,
        });
        let ready = ready.filter(|(_, pool)| pool.id.major_ != CHI_ADMIN_POOL_MAJOR);
        let mut ready: Vec<_> = ready.collect();
        ready.sort_unstable_by_key(|(order, _)| *order);
        let ready = ready.into_iter().map(|(_, pool)| (pool.name().to_owned(), pool));
        state.dependencies.in_order(ready.collect())
    }

    /// The same in the reverse order: dependants come first.
    pub(crate) fn in_reverse_order(&self) -> Vec<chi_pool_id> {
        self.in_order_of_dependence().iter().rev().map(|pool| pool.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::PoolRights;
    use crate::module::Module;

    fn pool(id: chi_pool_id) -> Arc<Pool> {
        unsafe extern "C" fn no_state(
            _: *const chi_pool_id,
            _: *const std::ffi::c_char,
        ) -> *mut std::ffi::c_void {
            std::ptr::null_mut()
        }
        let module = Module {
            name: "test:none".into(),
            version: String::new(),
            sdk_version: String::new(),
            language: 0,
            abi: (1, 0),
            path: None,
            is_other_version: false,
            stamp: None,
            _file: None,
            libraries: Vec::new(),
            methods: Default::default(),
            description: None,
            params: None,
            pools: None,
            new_state: no_state,
            is_proxy: false,
            original: None,
        };
        Arc::new(Pool::new(
            id,
            PoolRights::default(),
            c"one".into(),
            Vec::new(),
            None,
            &Arc::new(module),
            1,
        ))
    }

    fn begin(
        registry: &Registry,
        name: &str,
        by: usize,
        most: u32,
    ) -> Option<Result<chi_pool_id, Failure>> {
        let config = Config { max_pools: most, ..Config::default() };
        registry.begin_creation(
            (name, None),
            by,
            &[],
            (Claim { user: None, process: None, containers: 1 }, &config.per_user),
            &config,
            Budget::endless(),
        )
    }

    #[test]
    fn a_pool_gets_the_id_that_it_had() {
        let registry = Registry::new();
        let config = Config { max_pools: 10, ..Config::default() };
        let begin = |name: &str, wanted| {
            let claim = Claim { user: None, process: None, containers: 1 };
            let limits = (claim, &config.per_user);
            let begun =
                registry.begin_creation((name, wanted), 1, &[], limits, &config, Budget::endless());
            begun.expect("the name is free")
        };
        let id = |major_, minor_| chi_pool_id { major_, minor_ };
        assert_eq!(begin("five", Some(id(5, 7))).unwrap(), id(5, 7));
        assert_eq!(begin("four", Some(id(4, 7))).unwrap(), id(4, 7));
        assert!(begin("twice", Some(id(5, 8))).unwrap_err().message.contains("slot 5 is taken"));
        assert!(begin("far", Some(id(4_000_000_000, 1))).is_err());
        let others: Vec<u32> =
            (0..7).map(|n| begin(&n.to_string(), None).unwrap().major_).collect();
        let all: std::collections::HashSet<u32> = others.into_iter().chain([4, 5]).collect();
        assert_eq!(all.len(), 9, "each slot once: {all:?}");
        assert!(begin("more", None).unwrap_err().message.contains("pool limit (10) reached"));
    }

    fn waiter(tag: u32) -> Waiter {
        Waiter { worker: 0, coroutine: tag, tag }
    }

    #[test]
    fn who_asks_for_a_pool_that_changes_is_woken_when_that_is_over() {
        let registry = Registry::new();
        let id = begin(&registry, "one", 7, 16).unwrap().unwrap();
        assert!(begin(&registry, "one", 8, 16).is_none(), "the name is taken");
        for tag in 1..=3 {
            assert!(matches!(registry.find("one", Some(waiter(tag))), Lookup::Changing));
        }
        registry.leave("one", waiter(2));
        assert_eq!(registry.complete(pool(id)), [waiter(1), waiter(3)]);
        assert!(matches!(registry.find("one", Some(waiter(4))), Lookup::Found(_)));
        let begun = registry.begin_destruction(id, 9).unwrap();
        assert!(registry.begin_destruction(id, 9).is_none());
        assert!(matches!(registry.find("one", Some(waiter(5))), Lookup::Changing));
        assert_eq!(registry.keep(begun), [waiter(5)]);
        assert!(matches!(registry.find("two", Some(waiter(6))), Lookup::Absent));
    }

    #[test]
    fn a_destroyed_pool_is_freed_once_every_worker_is_done_with_it() {
        let registry = Registry::new();
        let id = begin(&registry, "one", 7, 16).unwrap().unwrap();
        registry.complete(pool(id));
        let begun = registry.begin_destruction(id, 7).unwrap();
        let weak = Arc::downgrade(&begun.pool);
        registry.retire(begun, vec![10, 20]);
        assert_eq!(registry.free_retired(&[12, 20]), [1]);
        for (rounds, alive) in
            [([10, 20], true), ([12, 21], true), ([12, 22], true), ([13, 24], true)]
        {
            registry.free_retired(&rounds);
            assert_eq!((weak.strong_count() > 0, registry.has_retired()), (alive, alive));
        }
        registry.free_retired(&[14, 24]);
        assert!(weak.strong_count() == 0 && !registry.has_retired());
    }

    #[test]
    fn a_pool_whose_reset_is_abandoned_stays() {
        let registry = Registry::new();
        let id = begin(&registry, "one", 7, 16).unwrap().unwrap();
        registry.complete(pool(id));
        assert!(registry.begin_reset(id, 8).is_some());
        assert!(registry.begin_destruction(id, 9).is_none(), "it is being reset");
        assert!(matches!(registry.find("one", Some(waiter(1))), Lookup::Changing));
        let (removed, woken) = registry.give_up(8);
        assert!(removed.is_empty() && woken == [waiter(1)]);
        assert!(matches!(registry.find("one", Some(waiter(2))), Lookup::Found(_)));
        let begun = registry.begin_reset(id, 8).unwrap();
        assert!(registry.keep(begun).is_empty());
        assert!(registry.begin_destruction(id, 9).is_some());
    }

    #[test]
    fn a_pool_that_is_given_up_leaves_its_name_and_its_slot() {
        let registry = Registry::new();
        for _ in 0..5 {
            let id = begin(&registry, "one", 7, 2).unwrap().unwrap();
            assert_eq!(id.major_, CHI_ADMIN_POOL_MAJOR + 1, "the only slot there is");
            assert!(begin(&registry, "two", 7, 2).unwrap().is_err());
            registry.find("one", Some(waiter(1)));
            let (removed, woken) = registry.give_up(7);
            assert!(removed[0].name == "one" && removed[0].was.is_none() && woken == [waiter(1)]);
        }
    }
}
