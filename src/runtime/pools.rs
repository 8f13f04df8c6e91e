//! The pool manager: creates, finds and destroys pools. Its calls run inside tasks of the admin pool,
//! and wait as such.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::*;

use crate::cancel::Which;
use crate::lifecycle::{construct_all, destruct_all};
use crate::pool::Pool;
use crate::record::Record;
use crate::shared::Shared;
use crate::worker::Worker;
use crate::{lock, params, Failure};

/// How long a destruction waits for tasks that are running.
const DESTROY_BOUND: Duration = Duration::from_secs(30);
/// How long a task waits for another that creates or destroys the pool it asks for: longer than a
/// destruction may take.
const CHANGE_BOUND: Duration = Duration::from_secs(40);
/// How often something that another task does is looked at.
const LOOK: Duration = Duration::from_micros(100);
/// Rounds after which a worker has done with what it was doing, and has read its notes.
const GRACE_ROUNDS: u64 = 2;

enum Named {
    /// It is being created or destroyed, by the task whose body has this address.
    Changing { by: usize },
    /// `place` rises with each pool that is complete: what it was built over has a lower one.
    Ready { pool: Arc<Pool>, place: u64 },
}

/// A pool without tasks, kept until no worker can come to one of its lanes any more: each must have
/// done with what it was doing, and after that each must have read the notes that this left.
struct Retired {
    pool: Arc<Pool>,
    rounds: Vec<u64>,
    /// All have done with what they were doing.
    settled: bool,
}

impl Retired {
    fn new(pool: Arc<Pool>, shared: &Shared) -> Retired {
        Retired { pool, rounds: rounds(shared), settled: false }
    }

    /// True when the pool can be freed.
    fn is_over(&mut self, shared: &Shared) -> bool {
        debug_assert_eq!(self.pool.in_flight(), 0);
        let now = rounds(shared);
        if !self.rounds.iter().zip(&now).all(|(then, now)| *now >= then + GRACE_ROUNDS) {
            return false;
        }
        self.rounds = now;
        std::mem::replace(&mut self.settled, true)
    }
}

fn rounds(shared: &Shared) -> Vec<u64> {
    shared.mailboxes.iter().map(|mailbox| mailbox.rounds()).collect()
}

#[derive(Default)]
struct State {
    named: HashMap<String, Named>,
    retired: Vec<Retired>,
    free_slots: Vec<u32>,
    slots: u32,
    /// How many pools have been complete so far.
    completed: u64,
}

impl State {
    /// Lets a pool that is complete be found.
    fn complete(&mut self, pool: Arc<Pool>) {
        let place = self.completed;
        self.completed += 1;
        self.named.insert(pool.name().to_owned(), Named::Ready { pool, place });
    }
}

pub(crate) struct Pools {
    state: Mutex<State>,
    /// The next pool's minor number. It starts anywhere, so that an id from another runtime's life
    /// does not fit.
    next_minor: AtomicU32,
}

impl Pools {
    pub(crate) fn new() -> Pools {
        let nanoseconds = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos());
        let seed = (nanoseconds as u32).rotate_left(13) ^ std::process::id();
        let state = State { slots: CHI_ADMIN_POOL_MAJOR + 1, ..State::default() };
        Pools { state: Mutex::new(state), next_minor: AtomicU32::new(seed) }
    }

    /// Gives the admin pool its name, as any pool has one.
    pub(crate) fn adopt(&self, admin: Arc<Pool>) {
        lock(&self.state).complete(admin);
    }

    pub(crate) fn find(&self, worker: &Worker, name: &str) -> Result<chi_pool_id, Failure> {
        self.settled(worker, name, |found, _| match found {
            Some(pool) => Ok(pool.id),
            None => Err(Failure::new(CHI_NO_POOL, format!("there is no pool '{name}'"))),
        })
    }

    /// Waits until nobody changes the pool `name`, then calls `f` with it under the lock. Fails when that
    /// takes too long, as when the pool's own `kCreate` asks for it, and when the task that waits is
    /// cancelled.
    fn settled<R>(
        &self,
        worker: &Worker,
        name: &str,
        f: impl FnOnce(Option<Arc<Pool>>, &mut State) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let until = Instant::now() + CHANGE_BOUND;
        loop {
            let mut state = lock(&self.state);
            match state.named.get(name) {
                Some(Named::Changing { .. }) => {}
                Some(Named::Ready { pool, .. }) => {
                    let pool = pool.clone();
                    return f(Some(pool), &mut state);
                }
                None => return f(None, &mut state),
            }
            drop(state);
            worker.sleep(LOOK);
            if worker.is_cancelled() {
                let message = format!("cancelled while another task changes pool '{name}'");
                return Err(Failure::new(CHI_CANCELLED, message));
            }
            if Instant::now() >= until {
                let message =
                    format!("another task still changes pool '{name}' after {CHANGE_BOUND:?}");
                return Err(Failure::new(CHI_BUSY, message));
            }
        }
    }

    /// Creates a pool or finds it; the flag says that it existed. `task` is the creating task, which
    /// the `kCreate` of each container gets.
    ///
    /// # Safety
    /// `task` must be the running task of the admin pool.
    pub(crate) unsafe fn create(
        &self,
        worker: &Worker,
        wanted: &Wanted<'_>,
        task: *mut chi_task,
    ) -> Result<(chi_pool_id, bool), Failure> {
        let name = wanted.name;
        wanted.check()?;
        let one_form = worker.shared.modules.find(wanted.module).and_then(|module| module.params);
        let params = match one_form {
            Some(one_form) => Cow::Owned(params::in_one_form(wanted, one_form)?),
            None => Cow::Borrowed(wanted.params),
        };
        let shown = params::shown(wanted.params);
        let wanted = &Wanted { params: &params, ..*wanted };
        let fresh = self.settled(worker, name, |found, state| {
            if let Some(pool) = found {
                return wanted.existing(&pool, shown).map(Err);
            }
            let Some(module) = worker.shared.modules.find(wanted.module) else {
                return Err(no_module(worker, wanted.module));
            };
            let most = worker.shared.config.max_pools;
            let slot = state.free_slots.pop().or_else(|| {
                let fresh = (state.slots < most).then_some(state.slots)?;
                state.slots += 1;
                Some(fresh)
            });
            let Some(major_) = slot else {
                return Err(Failure::new(CHI_NO_SPACE, format!("there are {most} pools")));
            };
            let minor_ = self.next_minor.fetch_add(1, Ordering::Relaxed);
            let id = chi_pool_id { major_, minor_ };
            let c_name: Arc<CStr> = CString::new(name).expect("a checked name has no zero").into();
            state.named.insert(name.to_owned(), Named::Changing { by: task.addr() });
            let params = wanted.params.to_vec();
            Ok(Ok(Pool::new(id, c_name, params, shown, module, wanted.containers)))
        });
        let pool = match fresh? {
            Ok(pool) => Arc::new(pool),
            Err(id) => return Ok((id, true)),
        };
        // SAFETY: by the caller's promise, the admin pool's running task, which creates a pool; the pool
        // outlives the loan, for who gives up the task gives up the pool as well.
        let built = unsafe {
            let lent = params::lend(&pool.params, task.cast());
            let built = construct_all(worker, &pool, task);
            lent.take_back(task.cast());
            built
        };
        let mut state = lock(&self.state);
        match built {
            Ok(()) => {
                pool.publish();
                worker.shared.set_pool(pool.id.major_, Some(pool.clone()));
                let id = pool.id;
                let containers = pool.count();
                tracing::info!(pool = name, module = wanted.module, containers, "pool created");
                state.complete(pool);
                Ok((id, false))
            }
            Err(failure) => {
                state.named.remove(name);
                state.free_slots.push(pool.id.major_);
                tracing::warn!(pool = name, module = wanted.module, failure.message, "no pool");
                Err(failure)
            }
        }
    }

    pub(crate) fn destroy(
        &self,
        worker: &Worker,
        id: chi_pool_id,
        task: *mut chi_task,
    ) -> Result<(), Failure> {
        let (pool, place) = {
            let mut state = lock(&self.state);
            let found = state.named.values().find_map(|named| match named {
                Named::Ready { pool, place } if pool.id == id => Some((pool.clone(), *place)),
                _ => None,
            });
            let Some((pool, place)) = found else {
                let what = format!("there is no pool {}.{}", id.major_, id.minor_);
                return Err(Failure::new(CHI_NO_POOL, what));
            };
            state.named.insert(pool.name().to_owned(), Named::Changing { by: task.addr() });
            (pool, place)
        };
        worker.shared.set_pool(id.major_, None);
        pool.close();
        worker.cancel(Which::Pool(id));
        let until = Instant::now() + DESTROY_BOUND;
        while pool.in_flight() > 0 {
            if Instant::now() >= until {
                pool.reopen();
                worker.shared.set_pool(id.major_, Some(pool.clone()));
                let name = pool.name().to_owned();
                let message = format!(
                    "pool '{name}' still runs {} tasks after {DESTROY_BOUND:?}; it stays",
                    pool.in_flight()
                );
                lock(&self.state).named.insert(name, Named::Ready { pool, place });
                return Err(Failure::new(CHI_BUSY, message));
            }
            worker.sleep(LOOK);
        }
        let result = destruct_all(worker, pool.containers(), task);
        tracing::info!(pool = pool.name(), "pool destroyed");
        let mut state = lock(&self.state);
        state.named.remove(pool.name());
        state.free_slots.push(id.major_);
        state.retired.push(Retired::new(pool, &worker.shared));
        state.retired.retain_mut(|old| !old.is_over(&worker.shared));
        drop(state);
        worker.shared.mailboxes.iter().for_each(|mailbox| mailbox.wake());
        result
    }

    /// A task that may have been creating or destroying a pool was given up in the middle: there is no
    /// such pool then. What was made of it stays in memory, for nobody knows its state.
    pub(crate) fn give_up(&self, record: &Record) {
        let own = record.body().addr();
        lock(&self.state).named.retain(|name, named| {
            let given_up = matches!(named, Named::Changing { by } if *by == own);
            if given_up {
                tracing::error!(pool = name, "the pool is given up");
            }
            !given_up
        });
    }

    /// Destroys every pool but the admin's, because the runtime ends: the last one first, for a pool
    /// may use those that were there before it.
    pub(crate) fn close_all(&self, worker: &Worker) {
        let mut ready: Vec<(u64, chi_pool_id)> = {
            let state = lock(&self.state);
            let ready = state.named.values().filter_map(|named| match named {
                Named::Ready { pool, place } => Some((*place, pool.id)),
                Named::Changing { .. } => None,
            });
            ready.filter(|(_, id)| id.major_ != CHI_ADMIN_POOL_MAJOR).collect()
        };
        ready.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
        for (_, id) in ready {
            let mut task = destroy_task(id);
            if let Err(failure) = self.destroy(worker, id, (&raw mut task).cast()) {
                tracing::warn!(failure.message, "while the runtime ends");
            }
        }
    }
}

pub(crate) fn destroy_task(id: chi_pool_id) -> chi_destroy_task {
    chi_destroy_task { task: chi_task::new(), pool_id_: id }
}

/// The pool that a creation asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
    pub(crate) params: &'a [u8],
    pub(crate) containers: u32,
}

impl Wanted<'_> {
    fn check(&self) -> Result<(), Failure> {
        let Wanted { name, containers, .. } = *self;
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Err(Failure::new(
                CHI_INVALID,
                "a pool's name has 1 to 255 bytes of UTF-8 without control characters",
            ));
        }
        if !(1..=CHI_MAX_CONTAINERS).contains(&containers) {
            return Err(Failure::new(
                CHI_INVALID,
                format!("a pool has 1 to {CHI_MAX_CONTAINERS} containers, not {containers}"),
            ));
        }
        Ok(())
    }

    /// The pool of the wanted name, when it is as wanted. `shown` are the wanted parameters in a message.
    fn existing(&self, pool: &Pool, shown: Option<String>) -> Result<chi_pool_id, Failure> {
        let (module, count) = (&pool.module().name, pool.count());
        let mut found = Vec::new();
        if *module != self.module {
            found.push(format!("and is of module {module}, not {}", self.module));
        } else if pool.params != self.params {
            found.push(match (&pool.shown, shown) {
                (Some(old), Some(new)) if *old != new => {
                    format!("with other parameters: {old}, not {new}")
                }
                _ => "with other parameters".to_owned(),
            });
        }
        if count != self.containers {
            let s = if count == 1 { "" } else { "s" };
            found.push(format!("with {count} container{s}, not {}", self.containers));
        }
        if found.is_empty() {
            return Ok(pool.id);
        }
        let message = format!("pool '{}' exists {}", pool.name(), found.join(", and "));
        Err(Failure::new(CHI_EXISTS, message))
    }
}

fn no_module(worker: &Worker, name: &str) -> Failure {
    let known: Vec<&str> =
        worker.shared.modules.loaded.iter().map(|module| module.name.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Failure::new(
        CHI_NO_MODULE,
        format!("there is no module '{name}' (loaded: {known}); `chimaera modules` tells more"),
    )
}
