//! The thread that commits, and the queue in front of it.

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use chimaera::abi::CHI_NO_POOL;
use chimaera::module::Event;
use chimaera::{log_error, Result, Status};
use chimaera_kv_client::{Params, Sync};
use redb::{Durability, ReadableTable, Table, WriteTransaction};

use super::fault::{Fault, Outcome};
use super::file::{self, table, table_name, Grip, Opened, ABOUT, BYTES};
use crate::pool::full;
use crate::store::Key;

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

/// What the thread is asked to do.
pub(super) enum Change {
    Put {
        container: u32,
        key: Key,
        value: Vec<u8>,
    },
    Delete {
        container: u32,
        key: Key,
    },
    /// Keys and values of a container that come from a copy; `last` if there are no more.
    Load {
        container: u32,
        entries: Vec<(Key, Vec<u8>)>,
        last: bool,
    },
    /// Makes durable what came before.
    Flush,
    /// Shortens the file.
    Compact,
    /// Closes the file.
    Close,
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Change::Put { key, value, .. } => key.len() + value.len(),
            Change::Delete { key, .. } => key.len(),
            Change::Load { entries, .. } => {
                entries.iter().map(|(key, value)| key.len() + value.len()).sum()
            }
            Change::Flush | Change::Compact | Change::Close => 0,
        }
    }

    /// Whether others wait for more than the change itself.
    fn is_urgent(&self) -> bool {
        !matches!(self, Change::Put { .. } | Change::Delete { .. })
    }

    /// Whether the file is changed as a whole, after all that came before.
    fn is_of_file(&self) -> bool {
        matches!(self, Change::Compact | Change::Close)
    }
}

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

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    /// The thread wants so many; fewer do not wake it, unless one of them is urgent.
    wanted: usize,
    /// The thread sleeps.
    sleeps: bool,
    /// No more requests come.
    over: bool,
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
    /// Why nothing more is written.
    failed: OnceLock<Status>,
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
            failed: OnceLock::new(),
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
            let is_urgent = change.is_urgent();
            queue.requests.push_back(Request { change, by: by.clone() });
            if !queue.sleeps || queue.requests.len() < queue.wanted && !is_urgent {
                return Ok(());
            }
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Has the thread apply a change, and waits until it is committed. Errors: `CHI_CANCELLED`, and
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
        loop {
            let mut batch = self.next(std::mem::take(&mut back));
            let is_over = batch.is_empty();
            let of_file = batch.pop_if(|request| request.change.is_of_file());
            if !batch.is_empty() {
                back = self.serve_batch(batch, containers, &mut unwritten);
            }
            match of_file {
                Some(Request { change: Change::Compact, by }) => {
                    by.end(self.compact(containers, unwritten.0 > 0));
                    unwritten = (0, 0);
                }
                Some(Request { by, .. }) => {
                    by.end(self.close());
                    return;
                }
                None if is_over => {
                    // Nobody waits for the outcome.
                    let _ = self.close();
                    return;
                }
                None => {}
            }
        }
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
                self.commit(std::iter::empty(), containers, true).map(drop)
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

    /// Waits for requests, and for those that are about to come back, and takes as many as fit into a
    /// transaction, and at most one for the file as a whole, as the last. None are left when it returns none.
    fn next(&self, mut back: Back) -> Vec<Request> {
        let mut queue = self.queue();
        loop {
            (queue.wanted, queue.sleeps) = (1, true);
            while queue.requests.is_empty() && !queue.over {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue = self.gather(queue, std::mem::take(&mut back));
            queue.sleeps = false;
            // Those that had come may have been withdrawn meanwhile.
            if !queue.requests.is_empty() || queue.over {
                break;
            }
        }
        let mut bytes = 0;
        let mut n = 0;
        for request in queue.requests.iter().take(MAX_CHANGES) {
            bytes += request.change.bytes();
            if n > 0 && bytes > MAX_BYTES {
                break;
            }
            n += 1;
            if request.change.is_of_file() {
                break;
            }
        }
        queue.requests.drain(..n).collect()
    }

    /// Waits until those who may be back are back, as long as they keep coming.
    fn gather<'q>(&self, mut queue: MutexGuard<'q, Queue>, back: Back) -> MutexGuard<'q, Queue> {
        let Back { expected, patience, pause } = back;
        let until = Instant::now() + patience;
        queue.wanted = expected;
        let goes_on = |queue: &mut Queue| {
            queue.requests.len() < queue.wanted
                && !queue.over
                && !queue.requests.iter().any(|request| request.change.is_urgent())
        };
        loop {
            let before = queue.requests.len();
            let rest = until.saturating_duration_since(Instant::now()).min(pause);
            let waited = self.wake.wait_timeout_while(queue, rest, goes_on);
            let outcome;
            (queue, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
            let nobody_came = queue.requests.len() <= before || Instant::now() >= until;
            if !outcome.timed_out() || nobody_came {
                return queue;
            }
        }
    }

    /// Commits a batch, and ends its requests. Returns who may be back at once.
    fn serve_batch(
        &self,
        batch: Vec<Request>,
        containers: u32,
        unwritten: &mut (u64, u64),
    ) -> Back {
        if let Some(failed) = self.failed.get() {
            batch.iter().for_each(|request| request.by.end(Err(failed.clone())));
            return Back::default();
        }
        let begin = Instant::now();
        let of_batch: usize = batch.iter().map(|request| request.change.bytes()).sum();
        let after = (unwritten.0 + 1, unwritten.1 + of_batch as u64);
        let immediate = self.sync == Sync::Always
            || after.0 >= MAX_UNWRITTEN.0
            || after.1 >= MAX_UNWRITTEN.1
            || batch.iter().any(|request| matches!(request.change, Change::Flush));
        let mut outcomes = Vec::new();
        let committed = catch_unwind(AssertUnwindSafe(|| {
            let changes = batch.iter().map(|request| &request.change);
            outcomes = self.commit(changes, containers, immediate)?;
            Ok(())
        }));
        let committed = committed.unwrap_or_else(|panic| Err(Fault::of_panic(&*panic)));
        match committed {
            Ok(()) => {
                *unwritten = if immediate { (0, 0) } else { after };
                let took = begin.elapsed();
                let patience = (took / PATIENCE.0).min(PATIENCE.1);
                let pause = (took / PAUSE.0).max(PAUSE.1);
                let expected = (self.queue().requests.len() + batch.len()).min(MAX_CHANGES);
                batch.iter().zip(outcomes).for_each(|(request, outcome)| request.by.end(outcome));
                return Back { expected, patience, pause };
            }
            Err(fault) => {
                let grip = self.known.get().map(|(grip, ..)| grip.clone());
                let status = self.fail(&grip.unwrap_or_default(), &fault);
                batch.iter().for_each(|request| request.by.end(Err(status.clone())));
            }
        }
        Back::default()
    }

    /// Commits changes in one transaction. Returns the outcome of each.
    fn commit<'c>(
        &self,
        changes: impl Iterator<Item = &'c Change>,
        containers: u32,
        immediate: bool,
    ) -> Outcome<Vec<Result<bool>>> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = &*opened else { return Err(Fault::Earlier) };
        let mut transaction = opened.database.begin_write()?;
        transaction.set_durability(match immediate {
            true => Durability::Immediate,
            false => Durability::None,
        });
        transaction.set_two_phase_commit(immediate);
        let before = self.bytes.load(Ordering::Relaxed);
        let mut account = Account { bytes: before, max_bytes: self.max_bytes };
        let mut tables: Vec<_> = (0..containers).map(|_| None).collect();
        let mut outcomes = Vec::new();
        for change in changes {
            let mut load = |container, entries: &[(Key, Vec<u8>)], last| -> Outcome<_> {
                file::note_loading(&transaction, containers, false)?;
                for (key, value) in entries {
                    let (key, value) = (key.clone(), value.clone());
                    let put = Change::Put { container, key, value };
                    if let Err(refused) = apply(&transaction, &mut tables, &mut account, &put)? {
                        return Ok(Err(refused));
                    }
                }
                if last {
                    file::note_loading(&transaction, containers, true)?;
                }
                Ok(Ok(true))
            };
            outcomes.push(match change {
                Change::Load { container, entries, last } => load(*container, entries, *last)?,
                change => apply(&transaction, &mut tables, &mut account, change)?,
            });
        }
        drop(tables);
        if account.bytes != before {
            transaction.open_table(ABOUT)?.insert(BYTES, account.bytes)?;
        }
        transaction.commit()?;
        self.bytes.store(account.bytes, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.syncs.fetch_add(u64::from(immediate && self.sync != Sync::None), Ordering::Relaxed);
        Ok(outcomes)
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

struct Account {
    bytes: u64,
    max_bytes: u64,
}

type KeyTable<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// Applies one change. The inner error is one that the others do not share.
fn apply<'t>(
    transaction: &'t WriteTransaction,
    tables: &mut [Option<KeyTable<'t>>],
    account: &mut Account,
    change: &Change,
) -> Outcome<Result<bool>> {
    let (container, key) = match change {
        Change::Put { container, key, .. } | Change::Delete { container, key } => (*container, key),
        Change::Load { .. } | Change::Flush | Change::Compact | Change::Close => {
            return Ok(Ok(true));
        }
    };
    let Some(opened) = tables.get_mut(container as usize) else {
        return Ok(Err(Status::invalid(format!("the store has no container {container}"))));
    };
    let keys = match opened {
        Some(keys) => keys,
        None => opened.insert(transaction.open_table(table(&table_name(container)))?),
    };
    let Change::Put { value, .. } = change else {
        let removed = keys.remove(key.as_slice())?.map(|value| value.value().len());
        account.bytes -= removed.map_or(0, |len| (key.len() + len) as u64);
        return Ok(Ok(removed.is_some()));
    };
    if account.max_bytes != u64::MAX {
        let old = keys.get(key.as_slice())?.map(|value| value.value().len());
        let (old, new) = match old {
            Some(len) => (len as u64, value.len() as u64),
            None => (0, (key.len() + value.len()) as u64),
        };
        // A change that does not grow the store is allowed even when it is full.
        if new > old && account.bytes - old + new > account.max_bytes {
            return Ok(Err(full(account.bytes, account.max_bytes, new - old)));
        }
    }
    let replaced = keys.insert(key.as_slice(), value.as_slice())?.map(|old| old.value().len());
    match replaced {
        Some(len) => account.bytes = account.bytes - len as u64 + value.len() as u64,
        None => account.bytes += (key.len() + value.len()) as u64,
    }
    Ok(Ok(replaced.is_some()))
}

#[cfg(test)]
#[path = "cuts.rs"]
mod cuts;
#[cfg(test)]
#[path = "gathering.rs"]
mod gathering;
