//! Destroying pools for the program. The control thread closes a pool at once, whatever the workers
//! do, and waits until its tasks have ended; then a worker runs the last step, the module's
//! `kDestroy`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::*;

use crate::access::Caller;
use crate::admin::{busy_with, destruction};
use crate::failure::Failure;
use crate::pool::{BeingChanged, Lookup, Pool};
use crate::scheduler::{with_current, ControlCommand, Shared, WorkerMessage};
use crate::sync::Waiter;
use crate::sys::lock;
use crate::task::CancelScope;

/// How often to check whether tasks have ended.
const LOOK: Duration = Duration::from_millis(2);
/// The longest bound that a request may set.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The destructions that have not been answered.
#[derive(Default)]
pub(super) struct Destructions(Vec<Destruction>);

struct Destruction {
    /// The connection that requested the destruction.
    client: u64,
    caller: Caller,
    name: String,
    /// Also if other pools depend on it.
    forced: bool,
    at: Instant,
    until: Instant,
    step: Step,
}

enum Step {
    /// The pool must be found, once no other task is changing it.
    Find,
    /// The pool is closed. Its tasks have to end.
    Drain(BeingChanged),
    /// A worker has to run `kDestroy`.
    Finish(Arc<Pool>, Arc<Mutex<Finish>>),
}

/// The last step, done by a worker. It is withdrawn at the bound if no worker has begun it.
enum Finish {
    Waiting(BeingChanged),
    Running,
    Done(Result<(), Failure>),
}

impl Destructions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one. `bound` is in milliseconds. With `forced`, it does not matter whether other pools depend
    /// on the pool.
    pub(super) fn add(
        &mut self,
        client: u64,
        caller: &Caller,
        name: &str,
        bound: u64,
        forced: bool,
    ) {
        let at = Instant::now();
        let until = at + Duration::from_millis(bound).min(LONGEST);
        let (caller, name) = (caller.clone(), name.to_owned());
        self.0.push(Destruction { client, caller, name, forced, at, until, step: Step::Find });
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let look = |one: &Destruction| match one.step {
            // The worker reports the end of this step.
            Step::Finish(..) => one.until,
            _ => one.until.min(Instant::now() + LOOK),
        };
        self.0.iter().map(look).min()
    }

    /// Records that the code that was destroying this pool crashed; `why` is a sentence about it.
    pub(super) fn abandoned(&mut self, pool: &str, why: &str) {
        for one in self.0.iter().filter(|one| one.name == pool) {
            if let Step::Finish(_, finish) = &one.step {
                let failure = Failure::new(CHI_FAULT, why);
                *lock(finish) = Finish::Done(Err(failure));
            }
        }
    }

    /// Advances all destructions. Returns the connection and the answer for each that has ended. If
    /// the connection is gone, only a destruction that has already begun continues.
    pub(super) fn advance(
        &mut self,
        shared: &Shared,
        is_there: impl Fn(u64) -> bool,
    ) -> Vec<(u64, Result<String, Failure>)> {
        let mut answers = Vec::new();
        self.0.retain_mut(|one| {
            if matches!(one.step, Step::Find) && !is_there(one.client) {
                return false;
            }
            let Some(result) = one.advance(shared) else { return true };
            let document = || serde_json::json!({ "name": one.name, "destroyed": true });
            answers.push((one.client, result.map(|()| document().to_string())));
            false
        });
        answers
    }
}

impl Destruction {
    /// Advances the destruction as far as possible. Returns its result if it has ended.
    fn advance(&mut self, shared: &Shared) -> Option<Result<(), Failure>> {
        if let Step::Find = self.step {
            match self.begin(shared) {
                Ok(Some(begun)) => self.step = Step::Drain(begun),
                Ok(None) => return None,
                Err(failure) => return Some(Err(failure)),
            }
        }
        match std::mem::replace(&mut self.step, Step::Find) {
            Step::Drain(begun) if begun.pool.in_flight() == 0 => {
                self.step = finish_on_worker(shared, begun);
            }
            Step::Drain(begun) if self.is_late() => return Some(self.give_up(shared, begun)),
            step => self.step = step,
        }
        let Step::Finish(pool, finish) = &self.step else { return None };
        let mut finish = lock(finish);
        match std::mem::replace(&mut *finish, Finish::Running) {
            Finish::Done(result) => Some(result),
            Finish::Waiting(begun) if self.is_late() => Some(self.give_up(shared, begun)),
            Finish::Running if self.is_late() => {
                let (name, took) = (&self.name, self.at.elapsed());
                let busy = busy_with(shared, pool);
                let busy = busy.map_or(String::new(), |busy| format!(" ({busy})"));
                let why = format!(
                    "pool '{name}' is closed, but its kDestroy has not ended after {took:.1?}{busy}"
                );
                Some(Err(Failure::new(CHI_BUSY, why)))
            }
            still => {
                *finish = still;
                None
            }
        }
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Closes the pool. `None` while another task is changing it.
    fn begin(&self, shared: &Shared) -> Result<Option<BeingChanged>, Failure> {
        let name = &self.name;
        let pool = match shared.pools.find(name, None) {
            Lookup::Found(pool) => pool,
            Lookup::Absent => {
                return Err(Failure::new(CHI_NO_POOL, format!("there is no pool '{name}'")))
            }
            Lookup::Changing if self.is_late() => {
                let took = self.at.elapsed();
                let why = format!("another task is still changing pool '{name}' after {took:.1?}");
                return Err(Failure::new(CHI_BUSY, why));
            }
            Lookup::Changing => return Ok(None),
        };
        destruction::check(shared, pool.id, Some(&self.caller))?;
        let (_, dependants) = shared.pools.dependencies(name);
        if !self.forced && !dependants.is_empty() {
            let quoted: Vec<_> = dependants.iter().map(|name| format!("'{name}'")).collect();
            let (depend, them) = match dependants.len() {
                1 => ("depends", "it"),
                _ => ("depend", "them"),
            };
            let message = format!(
                "pool '{name}' was not destroyed: {} {depend} on it; destroy {them} first, or destroy it \
                 anyway with `chimaera pool destroy {name} --force`",
                quoted.join(", ")
            );
            return Err(Failure::new(CHI_BUSY, message));
        }
        // No task performs the destruction until a worker continues it.
        let begun = destruction::begin(shared, pool.id, 0)?;
        for mailbox in shared.mailboxes() {
            mailbox.send(WorkerMessage::Cancel(CancelScope::Pool(pool.id)));
        }
        Ok(Some(begun))
    }

    fn give_up(&self, shared: &Shared, begun: BeingChanged) -> Result<(), Failure> {
        let (failure, waiters) = destruction::give_up(shared, begun, self.at.elapsed());
        wake_all(shared, waiters);
        Err(failure)
    }
}

fn wake_all(shared: &Shared, waiters: Vec<Waiter>) {
    waiters.into_iter().for_each(|waiter| shared.wake(waiter));
}

/// Makes a worker run the last step of a destruction.
fn finish_on_worker(shared: &Shared, begun: BeingChanged) -> Step {
    let pool = begun.pool.clone();
    let id = pool.id;
    let finish = Arc::new(Mutex::new(Finish::Waiting(begun)));
    let theirs = finish.clone();
    let run = move || {
        let taken = std::mem::replace(&mut *lock(&theirs), Finish::Running);
        let Finish::Waiting(begun) = taken else { return };
        with_current(|worker| {
            let worker = worker.expect("messages are read by workers");
            let result = destruction::finish_alone(worker, begun);
            *lock(&theirs) = Finish::Done(result);
            worker.shared.command(ControlCommand::PoolClosed(id));
        });
    };
    let worker = shared.least_loaded(false, |_, _| ()).unwrap_or(0);
    let message = WorkerMessage::Run(CHI_ADMIN_DESTROY_POOL, Box::new(run));
    shared.mailbox(worker).send(message);
    Step::Finish(pool, finish)
}
