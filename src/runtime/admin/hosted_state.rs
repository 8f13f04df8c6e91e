//! The pool of a module host whose states go to a successor, or are copied: what the daemon asks for.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::wire::Message;

use super::hosted;
use super::lifecycle::discard;
use super::replacement::{self, Begun, Progress, Replacing};
use crate::failure::Failure;
use crate::isolation::{self, HostedPool};
use crate::pool::Pool;
use crate::scheduler::{end_host, Shared, Worker};
use crate::sys::lock;

/// The pause between two looks whether tasks have ended.
const LOOK: Duration = Duration::from_micros(200);

/// What is being saved, or has been.
#[derive(Default)]
enum Saved {
    #[default]
    Nothing,
    /// It is going on.
    Saving,
    /// It is over: the tasks wait.
    Held(Begun, Arc<Mutex<Progress>>),
}

#[derive(Default)]
struct State {
    saved: Saved,
    /// Questions with numbers up to this one were taken back.
    resumed: u64,
}

/// The pool of this module host.
#[derive(Default)]
pub(crate) struct Hosted(Mutex<State>);

/// Whether the containers of this module host's pool can save their states.
pub(crate) fn saves(shared: &Shared) -> bool {
    let can = |pool: Arc<Pool>| {
        pool.containers().iter().all(|container| replacement::can_save(shared, container))
    };
    own_pool(shared).is_ok_and(can)
}

fn own_pool(shared: &Shared) -> Result<Arc<Pool>, Failure> {
    let id = shared.config.orders.as_ref().map(|orders| orders.pool);
    let pool = id.and_then(|id| shared.pools.in_slot(id.major_).filter(|pool| pool.id == id));
    pool.ok_or_else(|| Failure::new(CHI_INTERNAL, "the module host has no pool"))
}

fn given_up() -> Failure {
    Failure::new(CHI_BUSY, "it was given up, because it took too long")
}

impl Hosted {
    fn is_given_up(&self, number: u64) -> bool {
        lock(&self.0).resumed >= number
    }

    /// Holds the tasks of the pool, and waits for the end of those in it.
    fn hold(&self, worker: &Worker, number: u64, bound: Duration) -> Result<Begun, Failure> {
        let shared = &worker.shared;
        let pool = own_pool(shared)?;
        let what = Replacing { container: None, reason: CHI_REASON_MIGRATED, text: c"" };
        let until = Instant::now() + bound;
        let begun = loop {
            if let Some(begun) = replacement::begin(shared, std::slice::from_ref(&pool), &what)? {
                break begun;
            }
            if self.is_given_up(number) || Instant::now() >= until {
                return Err(given_up());
            }
            worker.sleep(LOOK);
        };
        while !begun.hold.settle() {
            if self.is_given_up(number) || Instant::now() >= until {
                return Err(replacement::give_up(shared, begun, bound, Vec::new()));
            }
            worker.sleep(LOOK);
        }
        Ok(begun)
    }

    fn save_for(
        &self,
        worker: &Worker,
        number: u64,
        purpose: u32,
        bound: Duration,
    ) -> Result<OwnedFd, Failure> {
        let shared = &worker.shared;
        let begun = self.hold(worker, number, bound)?;
        shared.hosts.set_has_states(true);
        let progress = Progress::new(&Arc::default());
        let saved = replacement::save_containers(worker, &begun.hold.pools[0], purpose, &progress);
        let saved = saved.and_then(|saved| isolation::states_of(&saved));
        let is_given_up = self.is_given_up(number);
        match saved {
            Ok(states) if !is_given_up => {
                lock(&self.0).saved = Saved::Held(begun, progress);
                Ok(states)
            }
            failed => {
                go_on(worker, begun, &progress);
                Err(failed.err().unwrap_or_else(given_up))
            }
        }
    }
}

/// Has the containers take back what they gave up. If one cannot, this process ends, so that another one
/// recovers them.
fn go_on(worker: &Worker, begun: Begun, progress: &Mutex<Progress>) {
    let shared = &worker.shared;
    replacement::abandon(progress);
    replacement::undo(worker, &begun.hold, progress, "was given up");
    let pool = begun.hold.pools[0].clone();
    replacement::keep(shared, begun);
    shared.hosts.set_has_states(false);
    let broken = pool.containers().iter().find_map(|container| container.quarantined());
    if let Some(why) = broken {
        end_host(shared, &format!("ended: {why}"));
    }
}

impl HostedPool for Hosted {
    fn tell_of_failure(&self, worker: &Worker, message: &Message) {
        hosted::tell_of_failure(worker, message);
    }

    fn save(
        &self,
        worker: &Worker,
        number: u64,
        purpose: u32,
        bound: Duration,
    ) -> Result<OwnedFd, Failure> {
        {
            let mut state = lock(&self.0);
            if state.resumed >= number || !matches!(state.saved, Saved::Nothing) {
                return Err(given_up());
            }
            state.saved = Saved::Saving;
        }
        let saved = self.save_for(worker, number, purpose, bound);
        if saved.is_err() {
            lock(&self.0).saved = Saved::Nothing;
        }
        saved
    }

    fn resume(&self, worker: &Worker, number: u64) -> Result<(), Failure> {
        loop {
            let mut state = lock(&self.0);
            state.resumed = state.resumed.max(number);
            match std::mem::take(&mut state.saved) {
                Saved::Nothing => return Ok(()),
                Saved::Saving => state.saved = Saved::Saving,
                Saved::Held(begun, progress) => {
                    drop(state);
                    go_on(worker, begun, &progress);
                    return Ok(());
                }
            }
            drop(state);
            worker.sleep(LOOK);
        }
    }

    fn discard(&self, worker: &Worker) {
        if let Ok(pool) = own_pool(&worker.shared) {
            pool.containers().iter().for_each(|container| discard(worker, container));
        }
    }
}
