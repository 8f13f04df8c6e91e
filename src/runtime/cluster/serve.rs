//! Tasks of other nodes that run here: each is sent to its pool as a task of the runtime's own, and its results
//! go back.

use std::sync::{Arc, Mutex, OnceLock};

use chimaera_abi::*;
use chimaera_cluster::{Payload, Start};

use super::attend::attend;
use super::clock::now;
use super::flat::{self, Head, Reader, Sums};
use super::handle::{id_of, name_of_call, Cluster, Input};
use super::roots::Root;
use crate::failure::Failure;
use crate::isolation::OwnResults;
use crate::module::Method;
use crate::scheduler::{with_current, Shared, Worker, WorkerMessage};
use crate::sync::NodeCall;
use crate::sys::lock;
use crate::tables::worker_ipc;
use crate::task::{CancelReason, Record};

/// A task of another node that runs here.
#[derive(Default)]
pub(super) struct Running {
    flight: Mutex<Flight>,
    /// The call, and the root that it is of, once it is being served.
    call: OnceLock<(NodeCall, Root)>,
}

#[derive(Default)]
struct Flight {
    is_cancelled: bool,
    /// The task, until it is about to be deleted.
    task: Option<InFlight>,
}

struct InFlight(*mut chi_task);

// SAFETY: a task may be cancelled by any thread, and nothing else is done with the pointer.
unsafe impl Send for InFlight {}

impl Running {
    /// Cancels the task, for which nobody waits any more. `[any thread]`
    pub(super) fn cancel(&self, shared: &Shared) {
        let mut flight = lock(&self.flight);
        flight.is_cancelled = true;
        flight.cancel(shared);
    }

    /// Whether it is this call.
    pub(super) fn serves(&self, call: NodeCall) -> bool {
        self.call.get().is_some_and(|(own, _)| *own == call)
    }

    /// Ends what the code that served it would have ended, had it not been abandoned.
    pub(super) fn give_up(&self, cluster: &Cluster) {
        self.end();
        if let Some((_, root)) = self.call.get() {
            cluster.roots.leave(*root);
        }
    }

    /// Notes that the task is in flight.
    fn begin(&self, shared: &Shared, task: *mut chi_task) {
        let mut flight = lock(&self.flight);
        flight.task = Some(InFlight(task));
        if flight.is_cancelled {
            flight.cancel(shared);
        }
    }

    /// Notes that the task is about to be deleted.
    fn end(&self) {
        lock(&self.flight).task = None;
    }
}

impl Flight {
    fn cancel(&self, shared: &Shared) {
        let Some(InFlight(task)) = self.task else { return };
        // SAFETY: a task of this runtime is in a record, and is not deleted before `end`.
        let record = unsafe { &*Record::of(task) };
        if record.completion.is_in_flight() && record.cancel(CancelReason::Asked) {
            shared.cancel_marked();
        }
    }
}

/// Starts a task on the worker that has read it, or on one that is found by its number. It is only sent from there: the
/// task itself runs where its container's tasks run.
pub(super) fn start(shared: &Shared, cluster: &Arc<Cluster>, start: Start) -> Arc<Running> {
    let workers = (shared.config.workers - shared.config.high_latency_workers).max(1) as u64;
    let own = with_current(|worker| worker.map(|worker| worker.index));
    let own = own.filter(|index| u64::from(*index) < workers);
    let worker = own.unwrap_or((start.task.0 % workers) as u32);
    let running = Arc::<Running>::default();
    let (cluster, own) = (cluster.clone(), running.clone());
    let run = move || {
        with_current(|worker| {
            let worker = worker.expect("messages are read by workers");
            let payload = run(worker, &cluster, &start, &own);
            cluster.tell(Input::Finished(start.task, payload));
            attend(worker, &cluster);
        });
    };
    shared.mailbox(worker).send(WorkerMessage::Run(CHI_ADMIN_DESCRIBE, Box::new(run)));
    running
}

fn run(worker: &Worker, cluster: &Cluster, start: &Start, running: &Running) -> Payload {
    let done = try_run(worker, cluster, start, running);
    done.unwrap_or_else(|Failure { status, message }| flat::refusal(status, &message)).into()
}

/// A task that is deleted when it goes out of scope.
struct Owned(*mut chi_task);

impl Drop for Owned {
    fn drop(&mut self) {
        let ipc = worker_ipc();
        // SAFETY: the task came from `new_task`, and is deleted once, on a worker.
        unsafe { ((*ipc).del_task)(ipc, self.0) };
    }
}

fn check(status: chi_status) -> Result<(), Failure> {
    if status == CHI_OK {
        return Ok(());
    }
    let ipc = worker_ipc();
    // SAFETY: `last_error` returns a C string, and nothing was called in between.
    let why = unsafe { std::ffi::CStr::from_ptr(((*ipc).last_error)(ipc)) };
    Err(Failure::new(status, why.to_string_lossy()))
}

fn try_run(
    worker: &Worker,
    cluster: &Cluster,
    start: &Start,
    running: &Running,
) -> Result<Vec<u8>, Failure> {
    let mut reader = Reader::new(&start.payload);
    let head = reader.head()?;
    let id = id_of(&worker.shared, start.container.pool);
    let gone = || Failure::new(CHI_NO_POOL, "the pool has been destroyed");
    let pool =
        worker.shared.pools.in_slot(id.major_).filter(|pool| pool.id == id).ok_or_else(gone)?;
    let method: Method = match pool.methods.get(head.method) {
        Some(method) if method.takes((method.task_size, head.layout)) => Method::clone(method),
        _ => {
            let message = format!(
                "method {} of pool '{}' has another description on the other node: the versions of the module \
                 differ",
                head.method,
                pool.name()
            );
            return Err(Failure::new(CHI_VERSION, message));
        }
    };
    let root = cluster.roots.enter(head.root);
    worker.running().expect("this is one").holdings.renew(root.number);
    let (task, sums) = prepare(id, &head, &method, &mut reader, start)?;
    let call = name_of_call(start.place.caller, head.call);
    // It is served once.
    let _ = running.call.set((call, head.root));
    worker.context().serves.set(Some(call));
    let ended = wait(worker, &task, running);
    worker.context().serves.set(None);
    let (status, message) = ended?;
    let container = pool.containers().get(start.container.number as usize);
    let tasks = container.map_or(0, |it| it.admission.in_flight().try_into().unwrap_or(u32::MAX));
    // SAFETY: the task is complete and of this method, and nobody else uses it.
    unsafe { flat::pack_results((status, &message), tasks, task.0, &method, &sums) }
}

/// Makes the task.
fn prepare(
    id: chi_pool_id,
    head: &Head,
    method: &Method,
    reader: &mut Reader<'_>,
    start: &Start,
) -> Result<(Owned, Sums), Failure> {
    let ipc = worker_ipc();
    let mut task = std::ptr::null_mut();
    // SAFETY: the table is the worker's; the new task has `task_size` bytes.
    unsafe { check(((*ipc).new_task)(ipc, method.task_size as u32, &mut task))? };
    let task = Owned(task);
    // SAFETY: the task is new, and of this method.
    let sums = unsafe {
        (*task.0).pool_ = id;
        (*task.0).method_ = head.method;
        (*task.0).dom_query_ = head.query;
        (*task.0).task_flags_.bits_ = head.flags & CHI_TASK_HIGH_LATENCY;
        (*task.0).status_ = method.layout;
        if let Some(deadline) = start.deadline {
            (*task.0).task_flags_.bits_ |= CHI_TASK_DEADLINE;
            (*task.0).period_ns_ = ((deadline - now()).as_nanos() as u64).max(1);
        }
        reader.body(task.0, method, &mut OwnResults(task.0))?
    };
    Ok((task, sums))
}

/// Runs the task. Returns its status, and its message.
fn wait(worker: &Worker, task: &Owned, running: &Running) -> Result<(chi_status, String), Failure> {
    let ipc = worker_ipc();
    // SAFETY: the table is the worker's, and the task is idle.
    unsafe { check(((*ipc).enqueue)(ipc, task.0))? };
    running.begin(&worker.shared, task.0);
    // SAFETY: the task has been submitted, and is deleted later.
    let ended = unsafe { ((*ipc).wait)(ipc, task.0, CHI_WAIT_FOREVER) };
    running.end();
    check(ended)?;
    // SAFETY: the task is complete.
    let status = unsafe { (*task.0).status_ };
    let mut message = String::new();
    if status != CHI_OK {
        let mut length = 0;
        // SAFETY: as above; the text has this length.
        message = unsafe {
            let text = ((*ipc).task_message)(ipc, task.0, &mut length);
            match length {
                0 => status_text(status).to_owned(),
                _ => {
                    let bytes = std::slice::from_raw_parts(text.cast::<u8>(), length as usize);
                    String::from_utf8_lossy(bytes).into_owned()
                }
            }
        };
    }
    Ok((status, message))
}
