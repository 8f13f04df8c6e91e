//! Tells containers that a pool on which theirs depends was lost or has recovered: runs their
//! `kNodeFailure`, as a task of each. What goes wrong in one concerns that container alone.

use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;

use crate::failure::Failure;
use crate::log::{shortened, LineKind, Subject};
use crate::pool::{Lookup, Loss};
use crate::scheduler::{life, with_current, Shared, Worker, WorkerMessage};
use crate::tables::worker_ipc;
use crate::task::Record;

/// How long a `kNodeFailure` may take: then it is cancelled.
const BOUND: Duration = Duration::from_secs(30);
/// How long it has afterwards to notice.
const GRACE: Duration = Duration::from_secs(1);
/// How soon a container whose tasks are held is tried again: the pauses double, up to `LAST_LOOK`.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Has all containers that have to be told told, on a worker, after what happened before.
pub(crate) fn tell(shared: &Shared, loss: Box<Loss>) {
    if shared.is_stopping() {
        return;
    }
    let loss = Arc::<Loss>::from(loss);
    for name in &loss.dependants {
        // Containers of a pool that is being created find out by themselves.
        let Some(pool) = shared.pools.named(name) else { continue };
        if !shared.notices.add(pool.id, Arc::clone(&loss)) {
            continue;
        }
        let (name, id) = (name.clone(), pool.id);
        let run = move || {
            with_current(|worker| tell_pool(worker.expect("workers read messages"), &name, id));
        };
        shared.mailbox(0).send(WorkerMessage::Run(CHI_ADMIN_RESET_POOL, Box::new(run)));
    }
}

/// A letter, and where it goes.
struct Addressee {
    loss: Arc<Loss>,
    container: u32,
    task: Letter,
}

/// Tells the containers of a pool all that there is to tell. What was told is waited for at the end: a container
/// that takes long to cope is told what happens next.
fn tell_pool(worker: &Worker, pool: &str, id: chi_pool_id) {
    let mut sent = Vec::new();
    while let Some(loss) = worker.shared.notices.next(id) {
        send(worker, pool, id, &loss, &mut sent);
    }
    let until = Instant::now() + BOUND + GRACE;
    for Addressee { loss, container, task } in &sent {
        if let Err(failure) = task.wait(worker, until) {
            report(worker, loss, pool, *container, &failure);
        }
    }
}

/// Sends a letter to each container. Returns once the containers have them, or never will.
fn send(worker: &Worker, pool: &str, id: chi_pool_id, loss: &Arc<Loss>, sent: &mut Vec<Addressee>) {
    let Some(found) = worker.shared.pools.named(pool).filter(|found| found.id == id) else {
        return;
    };
    let mut waiting = Vec::new();
    for container in 0..found.count() {
        match Letter::write(loss, id, container) {
            Ok(task) => waiting.push(Addressee { loss: Arc::clone(loss), container, task }),
            Err(failure) => report(worker, loss, pool, container, &failure),
        }
    }
    drop(found);
    let mut look = FIRST_LOOK;
    while !waiting.is_empty() && !worker.shared.is_stopping() {
        for addressee in std::mem::take(&mut waiting) {
            match addressee.task.send(worker, pool, addressee.container) {
                Sent::InFlight => sent.push(addressee),
                Sent::Held => waiting.push(addressee),
                Sent::Not(failure) => report(worker, loss, pool, addressee.container, &failure),
                Sent::Needless => {}
            }
        }
        if !waiting.is_empty() {
            worker.sleep(look);
            look = (look * 2).min(LAST_LOOK);
        }
    }
}

fn report(worker: &Worker, loss: &Loss, pool: &str, container: u32, failure: &Failure) {
    let subject = Subject::Pool(loss.pool);
    if let Some(left_out) = worker.shared.rate_limit.pass(LineKind::PoolFailed, subject) {
        let (lost, why) = (&*loss.name, &*shortened(&failure.message));
        tracing::warn!(pool, container, lost, why, left_out, "kNodeFailure failed");
    }
}

/// What became of a letter.
enum Sent {
    InFlight,
    Held,
    Not(Failure),
    /// The pool is gone, or its module does not want to know.
    Needless,
}

/// A task of `kNodeFailure`. It belongs to this, and is deleted with it, once it has ended.
struct Letter(NonNull<chi_task>);

impl Letter {
    /// Makes a task, which owns its texts. Must be called on a worker.
    fn write(loss: &Loss, to: chi_pool_id, container: u32) -> Result<Letter, Failure> {
        let ipc = worker_ipc();
        let mut task = ptr::null_mut();
        // SAFETY: the table is the worker's, and lives as long as the process.
        let status =
            unsafe { ((*ipc).new_task)(ipc, size_of::<chi_life_task>() as u32, &mut task) };
        let Some(task) = NonNull::new(task).filter(|_| status == CHI_OK) else {
            return Err(Failure::new(status, "there is no memory for the task that tells it"));
        };
        let letter = Letter(task);
        let texts = [letter.text(&loss.why)?, letter.text(&loss.name)?];
        let containers = letter.copy(&loss.containers)?;
        // SAFETY: the body has this size, and nothing else uses the task until it is sent.
        unsafe {
            let life = task.as_ptr().cast::<chi_life_task>();
            (*life).task.pool_ = to;
            (*life).task.method_ = CHI_METHOD_NODE_FAILURE;
            (*life).task.dom_query_ =
                chi_domain_query { kind_: CHI_DOMAIN_LOCAL_ID, value_: container };
            (*life).task.task_flags_.bits_ = CHI_TASK_DEADLINE;
            (*life).task.period_ns_ = BOUND.as_nanos() as u64;
            (*life).reason_ = loss.reason;
            (*life).message_text_ = texts[0];
            (*life).old_version_ = c"".as_ptr();
            (*life).directory_ = c"".as_ptr();
            (*life).lost_pool_ = loss.pool;
            (*life).lost_name_ = texts[1];
            (*life).lost_node_ = loss.node;
            (*life).lost_containers_ = containers;
            (*life).lost_count_ = loss.containers.len() as u32;
        }
        Ok(letter)
    }

    /// A copy of a text that lives as long as the task.
    fn text(&self, text: &str) -> Result<*const std::ffi::c_char, Failure> {
        // Zeros cannot be in a name; in a reason, they would end it.
        let bytes: Vec<u8> = text.bytes().filter(|byte| *byte != 0).chain([0]).collect();
        Ok(self.copy(&bytes)?.cast())
    }

    /// A copy of plain numbers that lives as long as the task.
    fn copy<T: Copy>(&self, values: &[T]) -> Result<*const T, Failure> {
        if values.is_empty() {
            return Ok(ptr::null());
        }
        let ipc = worker_ipc();
        let mut buffer = chi_buffer { shm_: 0, data_: ptr::null_mut(), size_: 0 };
        // SAFETY: the table is the worker's, and the task has not been sent; the buffer then has room, and is
        // aligned for any number.
        unsafe {
            let size = size_of_val(values) as u64;
            let status = ((*ipc).alloc)(ipc, self.0.as_ptr(), size, &mut buffer);
            if status != CHI_OK {
                return Err(Failure::new(status, "there is no memory for the message"));
            }
            ptr::copy_nonoverlapping(values.as_ptr(), buffer.data_.cast(), values.len());
        }
        Ok(buffer.data_.cast())
    }

    /// Submits the task to a container of the pool with this name.
    fn send(&self, worker: &Worker, pool: &str, container: u32) -> Sent {
        let found = match worker.shared.pools.find(pool, None) {
            Lookup::Found(found) => found,
            // Its containers are replaced, or it is destroyed, which may fail.
            Lookup::Changing => return Sent::Held,
            Lookup::Absent => return Sent::Needless,
        };
        // SAFETY: the task has not been sent.
        let addressed = unsafe { (*self.0.as_ptr()).pool_ };
        let method = found.methods.get(CHI_METHOD_NODE_FAILURE);
        let supports = method.is_some_and(|method| method.supported);
        let lost = found.containers().get(container as usize);
        if found.id != addressed || !supports || lost.is_none_or(|one| one.admission.is_abandoned())
        {
            return Sent::Needless;
        }
        // SAFETY: the task belongs to this, and is idle: its record is given up here until it is complete.
        let record = unsafe { Box::from_raw(Record::of(self.0.as_ptr())) };
        match life::submit(worker, record, &found, container, CHI_METHOD_NODE_FAILURE) {
            Ok(()) => Sent::InFlight,
            Err((record, why)) => {
                // It stays with its body, through which it is found again.
                let _ = Box::into_raw(record);
                match why {
                    life::NotSubmitted::Held => Sent::Held,
                    life::NotSubmitted::Refused(failure) => Sent::Not(failure),
                }
            }
        }
    }

    /// Waits until the task has ended, at the latest until then.
    fn wait(&self, worker: &Worker, until: Instant) -> Result<(), Failure> {
        // SAFETY: the record lives as long as this.
        let record = unsafe { &*Record::of(self.0.as_ptr()) };
        if !worker.wait_for_task(record, Some(until))? {
            let bound = BOUND + GRACE;
            let message = format!("it has not ended after {bound:?}, and goes on");
            return Err(Failure::new(CHI_BUSY, message));
        }
        // SAFETY: the task is complete.
        match unsafe { (*self.0.as_ptr()).status_ } {
            CHI_OK => Ok(()),
            status => {
                let text = record.texts.message_text();
                let text = text.unwrap_or_else(|| format!("status {status}"));
                Err(Failure::new(status, text))
            }
        }
    }
}

impl Drop for Letter {
    fn drop(&mut self) {
        let ipc = worker_ipc();
        // SAFETY: the table is the worker's on whose coroutine this is; the task was not deleted before.
        // One in flight is deleted at its end.
        unsafe { ((*ipc).del_task)(ipc, self.0.as_ptr()) };
    }
}
