//! Replacing containers for the program. The control thread holds the pool's tasks at once, whatever the
//! workers do, and waits until those in the pool have ended; then a worker has the old containers save
//! their states, and the new ones load them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::*;

use crate::access::Caller;
use crate::admin::replacement::{self, Progress, Replaced, Replacing};
use crate::failure::Failure;
use crate::pool::{BeingChanged, Pool};
use crate::scheduler::{with_current, ControlCommand, Question, Shared, WorkerMessage};
use crate::sys::lock;

/// How often to check whether tasks have ended: first often, because clients wait meanwhile.
const LOOK: Duration = Duration::from_micros(200);
const LATER_LOOK: Duration = Duration::from_millis(2);
/// How long the workers have to name the tasks that have not ended. A blocked one says nothing, but is
/// named anyway.
const NAME_BOUND: Duration = Duration::from_millis(50);
/// The longest bound that a request may set.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The replacements that have not ended.
#[derive(Default)]
pub(super) struct Replacements(Vec<Replacement>);

struct Replacement {
    /// The connection that asked for it.
    client: u64,
    caller: Caller,
    name: String,
    what: Replacing,
    at: Instant,
    until: Instant,
    /// Since when tasks wait.
    held: Option<Instant>,
    step: Step,
}

enum Step {
    /// The pool must be found, once no other task is changing it.
    Find,
    /// The tasks in the pool have to end.
    Drain(BeingChanged),
    /// They have not, and the workers name them.
    Name(BeingChanged, Question<Vec<String>>, Instant),
    /// A worker makes the new containers.
    Build(Build),
    /// A worker undoes what was given up. The answer is that of the replacement.
    Undo(BeingChanged, Arc<Mutex<bool>>, Failure),
}

struct Build {
    begun: Option<BeingChanged>,
    progress: Arc<Mutex<Progress>>,
    result: Arc<Mutex<Option<Result<Replaced, Failure>>>>,
    /// How the code that did it crashed, as a predicate.
    crashed: Option<String>,
}

impl Replacements {
    /// Adds one. `bound` is in milliseconds.
    pub(super) fn add(
        &mut self,
        client: u64,
        caller: &Caller,
        name: &str,
        what: Replacing,
        bound: u64,
    ) {
        let at = Instant::now();
        let until = at + Duration::from_millis(bound).min(LONGEST);
        let (caller, name) = (caller.clone(), name.to_owned());
        let step = Step::Find;
        self.0.push(Replacement { client, caller, name, what, at, until, held: None, step });
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let look = |one: &Replacement| match one.step {
            // The worker reports the end of these steps.
            Step::Build(_) => one.until,
            Step::Undo(..) | Step::Name(..) => Instant::now() + LATER_LOOK,
            _ if one.at.elapsed() < 50 * LOOK => one.until.min(Instant::now() + LOOK),
            _ => one.until.min(Instant::now() + LATER_LOOK),
        };
        self.0.iter().map(look).min()
    }

    /// Records that the code that was replacing containers of this pool crashed; `why` tells how.
    pub(super) fn abandoned(&mut self, pool: &str, why: &str) {
        for one in self.0.iter_mut().filter(|one| one.name == pool) {
            if let Step::Build(build) = &mut one.step {
                build.crashed = Some(why.to_owned());
            }
        }
    }

    /// Advances all replacements. Returns the connection and the answer for each that has ended. If
    /// the connection is gone, only one that has already begun continues.
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
            let pause = one.held.map_or(Duration::ZERO, |at| at.elapsed());
            let document = |done: Replaced| {
                serde_json::json!({
                    "name": one.name,
                    "containers": done.containers,
                    "state_bytes": done.state_bytes,
                    "pause_ms": pause.as_micros() as f64 / 1000.0,
                })
            };
            answers.push((one.client, result.map(|done| document(done).to_string())));
            false
        });
        answers
    }
}

impl Replacement {
    /// Advances the replacement as far as possible. Returns its result if it has ended.
    fn advance(&mut self, shared: &Shared) -> Option<Result<Replaced, Failure>> {
        if let Step::Find = self.step {
            match self.begin(shared) {
                Ok(Some(begun)) => {
                    self.held = Some(Instant::now());
                    self.step = Step::Drain(begun);
                }
                Ok(None) => return None,
                Err(failure) => return Some(Err(failure)),
            }
        }
        match std::mem::replace(&mut self.step, Step::Find) {
            Step::Drain(begun) if begun.pool.settle() => {
                self.step = Step::Build(self.build_on_worker(shared, begun));
                None
            }
            Step::Drain(begun) if self.is_late() || shared.is_stopping() => {
                let asked = Question::default();
                for mailbox in shared.mailboxes() {
                    mailbox.send(WorkerMessage::DescribeTasks(begun.pool.id, asked.clone()));
                }
                self.step = Step::Name(begun, asked, Instant::now() + NAME_BOUND);
                None
            }
            Step::Name(begun, asked, until) => {
                let asked = match Instant::now() < until {
                    true => {
                        self.step = Step::Name(begun, asked, until);
                        return None;
                    }
                    false => std::mem::take(&mut lock(&asked).found),
                };
                Some(Err(replacement::give_up(shared, begun, self.at.elapsed(), asked)))
            }
            Step::Build(mut build) => {
                if let Some(result) = lock(&build.result).take() {
                    if result.is_err() {
                        let begun = build.begun.take().expect("it is there until the end");
                        replacement::keep(shared, begun);
                    }
                    return Some(result);
                }
                if build.crashed.is_none() && !self.is_late() {
                    self.step = Step::Build(build);
                    return None;
                }
                self.step = self.undo_on_worker(shared, build);
                None
            }
            Step::Undo(begun, done, failure) if *lock(&done) => {
                replacement::keep(shared, begun);
                Some(Err(failure))
            }
            step => {
                self.step = step;
                None
            }
        }
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    fn begin(&self, shared: &Shared) -> Result<Option<BeingChanged>, Failure> {
        let begun = replacement::begin(shared, &self.name, &self.caller, &self.what)?;
        if begun.is_none() && self.is_late() {
            let (name, took) = (&self.name, self.at.elapsed());
            let why = format!("another task is still changing pool '{name}' after {took:.1?}");
            return Err(Failure::new(CHI_BUSY, why));
        }
        Ok(begun)
    }

    fn build_on_worker(&self, shared: &Shared, begun: BeingChanged) -> Build {
        let progress = Arc::<Mutex<Progress>>::default();
        let result = Arc::<Mutex<Option<Result<Replaced, Failure>>>>::default();
        let (pool, what) = (begun.pool.clone(), self.what.clone());
        let (their_progress, theirs) = (progress.clone(), result.clone());
        run_on_worker(shared, &begun.pool, move |worker, pool_id| {
            let module = pool.module().clone();
            let done = replacement::replace(worker, &pool, &module, &what, &their_progress);
            *lock(&theirs) = Some(done);
            worker.shared.command(ControlCommand::PoolClosed(pool_id));
        });
        Build { begun: Some(begun), progress, result, crashed: None }
    }

    /// Gives up what a worker does, because it crashed or takes too long.
    fn undo_on_worker(&self, shared: &Shared, mut build: Build) -> Step {
        if !replacement::abandon(&build.progress) {
            // It has just ended.
            return Step::Build(build);
        }
        let (name, took) = (&self.name, self.at.elapsed());
        let (status, why) = match &build.crashed {
            Some(why) => (CHI_FAULT, why.clone()),
            None => (CHI_BUSY, format!("has not ended after {took:.1?}")),
        };
        let message = format!("pool '{name}' was not changed: the code of its module {why}");
        let begun = build.begun.take().expect("it is there until the end");
        let done = Arc::<Mutex<bool>>::default();
        let (pool, theirs) = (begun.pool.clone(), done.clone());
        run_on_worker(shared, &begun.pool, move |worker, pool_id| {
            replacement::undo(worker, &pool, &build.progress, &why);
            *lock(&theirs) = true;
            worker.shared.command(ControlCommand::PoolClosed(pool_id));
        });
        Step::Undo(begun, done, Failure::new(status, message))
    }
}

fn run_on_worker(
    shared: &Shared,
    pool: &Pool,
    work: impl FnOnce(&crate::scheduler::Worker, chi_pool_id) + Send + 'static,
) {
    let id = pool.id;
    let run = move || {
        with_current(|worker| work(worker.expect("messages are read by workers"), id));
    };
    let worker = shared.least_loaded(false, |_, _| ()).unwrap_or(0);
    let message = WorkerMessage::Run(CHI_ADMIN_RESET_POOL, Box::new(run));
    shared.mailbox(worker).send(message);
}
