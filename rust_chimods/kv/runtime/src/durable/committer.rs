//! The thread that commits, and the queue in front of it.

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use chimaera::abi::CHI_NO_POOL;
use chimaera::module::Event;
use chimaera::{log_error, Result, Status};
use chimaera_kv_client::{Params, Sync};

use super::fault::{Fault, Outcome};
use super::file::{self, Grip, Opened};
use super::settling::Settling;
use super::transaction::{Account, Applied, Change};

/// The most changes of one transaction, and the most bytes, except that one change is always
/// allowed.
const MAX_CHANGES: usize = 4096;
const MAX_BYTES: usize = 16 << 20;
/// With `sync=flush` or `none`, what was committed is written at the latest after so many
/// transactions or bytes: until then, the pages that they have replaced cannot be used again.
const MAX_UNWRITTEN: (u64, u64) = (256, 64 << 20);

/// How long the thread waits for those to come back whose changes have just ended: this part of the time
/// that their transaction took, and at most so long. Without that, the first one that is back would have a
/// transaction of its own, and the others would wait for it.
const PATIENCE: (u32, Duration) = (2, Duration::from_millis(1));
/// It waits no longer once nobody has come for such a part of that time, or for so long, whichever is longer.
const PAUSE: (u32, Duration) = (8, Duration::from_micros(50));

/// A task that waits for the thread.
struct Waiting {
    event: Event,
    outcome: Mutex<Option<Result<bool>>>,
}

impl Waiting {
    fn new() -> Result<Arc<Waiting>> {
        Ok(Arc::new(Waiting { event: Event::new()?, outcome: Mutex::default() }))
    }

    fn end(&self, outcome: Result<bool>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.event.set();
    }

    /// Waits for the end, but not longer than this. Errors: `CHI_TIMEOUT`, `CHI_CANCELLED`.
    fn wait_for(&self, bound: Duration) -> Result<bool> {
        self.event.wait_for(bound)?;
        self.outcome()
    }

    fn outcome(&self) -> Result<bool> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.unwrap_or_else(|| Err(Status::failed("the store's thread gave no answer")))
    }
}

struct Request {
    change: Change,
    by: Arc<Waiting>,
}

fn end(ended: impl Iterator<Item = (Request, Result<bool>)>) {
    ended.for_each(|(request, outcome)| request.by.end(outcome));
}

impl AsRef<Change> for Request {
    fn as_ref(&self) -> &Change {
        &self.change
    }
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    /// The thread sleeps.
    sleeps: bool,
    /// No more requests come.
    over: bool,
}

impl Queue {
    /// Adds to a batch as many of the first requests as fit into a transaction, `bytes` of which it has, and none
    /// after one for the file as a whole.
    fn take(&mut self, batch: &mut Vec<Request>, bytes: &mut usize) {
        while let Some(first) = self.requests.front() {
            let change = &first.change;
            let is_full = batch.len() >= MAX_CHANGES || *bytes + change.bytes() > MAX_BYTES;
            if change.is_of_file() || is_full && !batch.is_empty() {
                return;
            }
            *bytes += change.bytes();
            batch.extend(self.requests.pop_front());
        }
    }
}

/// Who may be back soon after a transaction.
#[derive(Default)]
struct Back {
    /// How many requests there will be then.
    expected: usize,
    /// How long to wait for them.
    patience: Duration,
    /// How long to wait for the next of them.
    pause: Duration,
}

/// A batch to which those are added who come back while it is applied.
struct Gathering {
    /// How many requests it may have then.
    expected: usize,
    /// How long to wait for them.
    until: Instant,
    /// How long to wait for the next of them.
    pause: Duration,
    /// How long they have been waited for.
    waited: Duration,
    bytes: usize,
    /// One of its requests is urgent: the batch waits for nobody.
    is_urgent: bool,
}

impl Gathering {
    fn new(back: Back, now: Instant, batch: &[Request]) -> Gathering {
        Gathering {
            expected: back.expected,
            until: now + back.patience,
            pause: back.pause,
            waited: Duration::ZERO,
            bytes: batch.iter().map(|request| request.change.bytes()).sum(),
            is_urgent: batch.iter().any(|request| request.change.is_urgent()),
        }
    }
}

/// The file, the thread that changes it, and the queue between it and the workers.
///
/// The queue needs no bound of its own: a task that waits in it is suspended, and of those the
/// runtime bounds the number.
pub(super) struct Committer {
    pub(super) sync: Sync,
    /// `u64::MAX` for no limit.
    pub(super) max_bytes: u64,
    path: String,
    /// None until it is opened and after it is closed.
    pub(super) opened: RwLock<Option<Opened>>,
    pub(super) bytes: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) syncs: AtomicU64,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Changes that have ended before they are committed.
    settling: Settling,
    /// Why nothing more is written.
    failed: OnceLock<Status>,
    /// Such changes could not be committed: what can be read is older than what was acknowledged.
    lost: AtomicBool,
    /// What is known since the file was opened: what holds it, the store's number, and whether the file
    /// was created.
    known: OnceLock<(Grip, u64, bool)>,
}

impl Committer {
    /// Starts the thread, and waits until it has opened the file, which must be the store with this
    /// number if there is one.
    pub(super) fn start(
        params: &Params,
        containers: u32,
        must_be: Option<u64>,
    ) -> Result<Arc<Committer>> {
        let committer = Arc::new(Committer::new(params));
        let opening = Waiting::new()?;
        let (own, params, told) = (committer.clone(), params.clone(), opening.clone());
        let serve = move || match own.open(&params, containers, must_be) {
            Ok(()) => {
                told.end(Ok(true));
                own.serve(containers);
            }
            Err(status) => told.end(Err(status)),
        };
        thread::Builder::new()
            .name("chi-kv".into())
            .spawn(serve)
            .map_err(|error| Status::failed(format!("cannot start the store's thread: {error}")))?;
        let opened = opening.event.wait().and_then(|()| opening.outcome());
        if let Err(status) = opened {
            committer.end();
            return Err(status);
        }
        Ok(committer)
    }

    fn new(params: &Params) -> Committer {
        Committer {
            sync: params.sync,
            max_bytes: params.max_bytes.unwrap_or(u64::MAX),
            path: params.path.clone(),
            opened: RwLock::default(),
            bytes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            queue: Mutex::default(),
            wake: Condvar::new(),
            settling: Settling::default(),
            failed: OnceLock::new(),
            lost: AtomicBool::new(false),
            known: OnceLock::new(),
        }
    }

    /// The number of the store, which has been opened.
    pub(super) fn id(&self) -> u64 {
        self.known.get().map_or(0, |(_, id, _)| *id)
    }

    /// Removes the file if it was created here, because it is not wanted after all.
    pub(super) fn remove_new(&self) {
        if !self.known.get().is_some_and(|(.., is_new)| *is_new) {
            return;
        }
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = &*opened else { return };
        if let Err(error) = std::fs::remove_file(&opened.path) {
            log_error!("{} cannot be removed: {error}", opened.path);
        }
    }

    /// Closes the file although code that used it has crashed, perhaps while it held a lock: if it is not
    /// closed within this time, it is left to others as it is.
    pub(super) fn close_within(&self, bound: Duration) -> Result<()> {
        let by = Waiting::new()?;
        if self.put(Change::Close, &by).is_err() {
            return Ok(());
        }
        let closed = by.wait_for(bound);
        if let Err(status) = closed {
            log_error!("the store in {} is left as it is: {}", self.path, status.message());
            if let Some((grip, ..)) = self.known.get() {
                grip.let_go();
            }
        }
        Ok(())
    }

    /// Queues a change.
    fn put(&self, change: Change, by: &Arc<Waiting>) -> Result<()> {
        {
            let mut queue = self.queue();
            if queue.over {
                return Err(self.closed());
            }
            queue.over = matches!(change, Change::Close);
            queue.requests.push_back(Request { change, by: by.clone() });
            if !queue.sleeps {
                return Ok(());
            }
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Has the thread apply a change, and waits until it is committed, or, if it need not last, until whoever reads it
    /// waits for that. Errors: `CHI_CANCELLED`, and
    /// then it was not applied.
    pub(super) fn apply(&self, change: Change) -> Result<bool> {
        let by = Waiting::new()?;
        self.put(change, &by)?;
        if let Err(cancelled) = by.event.wait() {
            let mut queue = self.queue();
            let withdrawn = |request: &Request| {
                Arc::ptr_eq(&request.by, &by) && !matches!(request.change, Change::Close)
            };
            if let Some(at) = queue.requests.iter().position(withdrawn) {
                queue.requests.remove(at);
                return Err(cancelled);
            }
            drop(queue);
            // It is being committed, and cannot be called back.
            by.event.wait_uninterrupted()?;
        }
        by.outcome()
    }

    /// Waits until what has ended can be read, of this key of a container, or without one of all. Errors:
    /// `CHI_CANCELLED`; why it will never be.
    pub(super) fn settle(&self, key: Option<(u32, &[u8])>) -> Result<()> {
        self.settling.wait_for(key)?;
        match self.lost.load(Ordering::Acquire) {
            true => Err(self.failure()),
            false => Ok(()),
        }
    }

    /// Has the thread close the file when it has done what it was asked to do.
    pub(super) fn end(&self) {
        self.queue().over = true;
        self.wake.notify_one();
    }

    pub(super) fn closed(&self) -> Status {
        Status::new(CHI_NO_POOL, format!("the store in {} is closed", self.path))
    }

    /// Why nothing more is written.
    pub(super) fn failure(&self) -> Status {
        self.failed.get().cloned().unwrap_or_else(|| self.closed())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // On the thread ---------------------------------------------------------------------------------

    fn open(&self, params: &Params, containers: u32, must_be: Option<u64>) -> Result<()> {
        // The database library panics on some files that are damaged.
        let opened = catch_unwind(AssertUnwindSafe(|| file::open(params, containers, must_be)));
        let opened = opened.unwrap_or_else(|panic| {
            Err(Fault::of_panic(&*panic).status(Path::new(&params.path)))
        })?;
        self.bytes.store(opened.bytes, Ordering::Relaxed);
        self.known.get_or_init(|| (opened.grip.clone(), opened.id, opened.is_new));
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(())
    }

    fn serve(&self, containers: u32) {
        let mut unwritten = (0, 0);
        let mut back = Back::default();
        while let Some(mut batch) = self.next(&back) {
            match batch.pop_if(|request| request.change.is_of_file()) {
                Some(Request { change: Change::Compact, by }) => {
                    by.end(self.compact(containers, unwritten.0 > 0));
                    unwritten = (0, 0);
                }
                Some(Request { by, .. }) => {
                    by.end(self.close());
                    return;
                }
                None => {
                    let before = std::mem::take(&mut back);
                    back = self.serve_batch(batch, before, containers, &mut unwritten);
                }
            }
        }
        // Nobody waits for the outcome.
        let _ = self.close();
    }

    fn close(&self) -> Result<bool> {
        let opened = self.opened.write().unwrap_or_else(PoisonError::into_inner).take();
        // Dropping the database writes what is left.
        let closed = catch_unwind(AssertUnwindSafe(|| drop(opened)));
        closed.map(|()| true).map_err(|_| self.failure())
    }

    /// Shortens the file. `unwritten` if transactions have been committed that are not durable: the database
    /// counts them as being in progress.
    fn compact(&self, containers: u32, unwritten: bool) -> Result<bool> {
        if let Some(failed) = self.failed.get() {
            return Err(failed.clone());
        }
        if unwritten {
            let written = catch_unwind(AssertUnwindSafe(|| {
                let (nothing, _) = self.apply_all(&mut Vec::<Change>::new(), containers, |_| {})?;
                self.commit(nothing, true)
            }));
            let written = written.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic)));
            written.map_err(|fault| {
                let grip = self.known.get().map(|(grip, ..)| grip.clone());
                self.fail(&grip.unwrap_or_default(), &fault)
            })?;
        }
        // Nobody reads meanwhile.
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = &mut *opened else { return Err(self.closed()) };
        let compacted = catch_unwind(AssertUnwindSafe(|| opened.compact()));
        let compacted = compacted.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic)));
        compacted.map(|()| true).map_err(|fault| match fault {
            Fault::Busy(_) => fault.status(Path::new(&opened.path)),
            fault => self.fail(&opened.grip, &fault),
        })
    }

    /// Writes nothing more: not even the database may when it is closed, for it may not know what went
    /// wrong.
    fn fail(&self, grip: &Grip, fault: &Fault) -> Status {
        grip.freeze();
        let status = self.failed.get_or_init(|| self.refusal(fault));
        log_error!("{}", status.message());
        status.clone()
    }

    /// Waits for requests, and takes the first of them, or one for the file as a whole. None when no more come.
    fn next(&self, back: &Back) -> Option<Vec<Request>> {
        let mut queue = self.queue();
        // Who is about to be back is there before this thread would sleep and wake.
        let begin = Instant::now();
        while queue.requests.is_empty() && !queue.over && begin.elapsed() < back.pause {
            drop(queue);
            thread::yield_now();
            queue = self.queue();
        }
        queue.sleeps = true;
        while queue.requests.is_empty() && !queue.over {
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.sleeps = false;
        let mut batch = Vec::new();
        queue.take(&mut batch, &mut 0);
        if batch.is_empty() {
            batch.extend(queue.requests.pop_front());
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Commits a batch, together with those who come back meanwhile, and ends its requests. Returns who may be
    /// back at once.
    fn serve_batch(
        &self,
        mut batch: Vec<Request>,
        back: Back,
        containers: u32,
        unwritten: &mut (u64, u64),
    ) -> Back {
        if let Some(failed) = self.failed.get() {
            end(batch.into_iter().zip(std::iter::repeat_with(|| Err(failed.clone()))));
            return Back::default();
        }
        let begin = Instant::now();
        let mut gathering = Gathering::new(back, begin, &batch);
        let (mut after, mut expected) = (None, 0);
        let mut not_ended = None;
        let committed = catch_unwind(AssertUnwindSafe(|| {
            let more = |batch: &mut Vec<Request>| self.gather(batch, &mut gathering);
            let (applied, outcomes) = self.apply_all(&mut batch, containers, more)?;
            after = self.unwritten_with(&batch, *unwritten);
            expected = (self.queue().requests.len() + batch.len()).min(MAX_CHANGES);
            match after {
                // Nobody was promised that it lasts, so nobody waits for more than to know the outcome. Who loads a
                // copy does: what it is copied from is given up then.
                Some(_) => {
                    let all = batch.drain(..).zip(outcomes);
                    let (early, rest): (Vec<_>, Vec<_>) =
                        all.partition(|(request, _)| request.change.key().is_some());
                    self.settling.begin(early.iter().filter_map(|(early, _)| early.change.key()));
                    end(early.into_iter());
                    let (requests, outcomes) = rest.into_iter().unzip();
                    (batch, not_ended) = (requests, Some(outcomes));
                }
                None => not_ended = Some(outcomes),
            }
            self.commit(applied, after.is_none())
        }));
        let committed = committed.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic)));
        if let Err(fault) = committed {
            let grip = self.known.get().map(|(grip, ..)| grip.clone());
            let status = self.fail(&grip.unwrap_or_default(), &fault);
            self.lost.store(after.is_some(), Ordering::Release);
            self.settling.end();
            end(batch.into_iter().zip(std::iter::repeat_with(|| Err(status.clone()))));
            return Back::default();
        }
        self.settling.end();
        *unwritten = after.unwrap_or_default();
        let took = begin.elapsed().saturating_sub(gathering.waited);
        let patience = (took / PATIENCE.0).min(PATIENCE.1);
        let pause = (took / PAUSE.0).max(PAUSE.1);
        end(batch.into_iter().zip(not_ended.into_iter().flatten()));
        Back { expected, patience, pause }
    }

    /// Adds to a batch who has come since, and waits for them, as long as they keep coming. Adds nobody when the
    /// batch is as it shall be committed.
    fn gather(&self, batch: &mut Vec<Request>, gathering: &mut Gathering) {
        let Gathering { expected, until, pause, .. } = *gathering;
        if batch.len() >= expected || gathering.is_urgent {
            return;
        }
        let mut queue = self.queue();
        let begin = Instant::now();
        if queue.requests.is_empty() && !queue.over && begin < until {
            queue.sleeps = true;
            let nobody = |queue: &mut Queue| queue.requests.is_empty() && !queue.over;
            let rest = (until - begin).min(pause);
            let waited = self.wake.wait_timeout_while(queue, rest, nobody);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
            queue.sleeps = false;
            gathering.waited += begin.elapsed();
        }
        let before = batch.len();
        queue.take(batch, &mut gathering.bytes);
        gathering.is_urgent = batch[before..].iter().any(|request| request.change.is_urgent());
    }

    /// What will be committed and not durable, in transactions and bytes, with this transaction; None if it must
    /// be durable.
    fn unwritten_with(&self, batch: &[Request], before: (u64, u64)) -> Option<(u64, u64)> {
        let bytes: usize = batch.iter().map(|request| request.change.bytes()).sum();
        let (transactions, bytes) = (before.0 + 1, before.1 + bytes as u64);
        let is_durable = self.sync == Sync::Always
            || transactions >= MAX_UNWRITTEN.0
            || bytes >= MAX_UNWRITTEN.1
            || batch.iter().any(|request| matches!(request.change, Change::Flush));
        (!is_durable).then_some((transactions, bytes))
    }

    /// Applies changes, and those with them that `more` adds meanwhile. Returns the outcome of each, too.
    fn apply_all<C: AsRef<Change>>(
        &self,
        changes: &mut Vec<C>,
        containers: u32,
        more: impl FnMut(&mut Vec<C>),
    ) -> Outcome<(Applied, Vec<Result<bool>>)> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = &*opened else { return Err(Fault::Earlier) };
        let bytes = self.bytes.load(Ordering::Relaxed);
        let account = Account { bytes, max_bytes: self.max_bytes };
        Applied::to(&opened.database, containers, account, changes, more)
    }

    fn commit(&self, applied: Applied, immediate: bool) -> Outcome<()> {
        self.bytes.store(applied.commit(immediate)?, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.syncs.fetch_add(u64::from(immediate && self.sync != Sync::None), Ordering::Relaxed);
        Ok(())
    }

    fn refusal(&self, fault: &Fault) -> Status {
        Status::new(
            fault.code(),
            format!(
                "the store in {} could not be written ({fault}), and takes no more changes until its \
                 file is opened again: see to its disk, then migrate the pool (`chimaera pool migrate`)",
                self.path
            ),
        )
    }
}

#[cfg(test)]
#[path = "cuts.rs"]
mod cuts;
#[cfg(test)]
#[path = "gathering.rs"]
mod gathering;
