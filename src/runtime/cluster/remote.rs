//! Containers of other nodes: what stands for them in a pool of this one. They pass tasks on.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_cluster::{ContainerId, Outcome, Request};

use super::attend::attend;
use super::flat::{self, Head, Reader};
use super::handle::{Cluster, Input};
use super::places::Told;
use super::waiting::Waiting;
use crate::coroutine::WaitsFor;
use crate::failure::Failure;
use crate::isolation::{report, OwnResults};
use crate::module::{Method, Module};
use crate::scheduler::{with_current, Worker};
use crate::sync::Far;
use crate::task::Record;

/// How long a task waits for room among those that wait for a node, and the pause between two attempts.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// What stands for a container. Never freed: tasks may be in it as long as the process runs, and there are few.
#[repr(C)]
struct Remote {
    head: chi_container,
    cluster: Weak<Cluster>,
    container: ContainerId,
    told: Arc<Told>,
}

static OPS: chi_container_ops = chi_container_ops {
    size: size_of::<chi_container_ops>() as u32,
    reserved: 0,
    init,
    run,
    monitor,
    del: None,
    destroy,
    aggregate: None,
    serialize: None,
    save: None,
    load: None,
    resume: None,
};

/// The object of a container that another node has.
pub(super) fn object(cluster: &Arc<Cluster>, container: ContainerId) -> *mut chi_container {
    let head = chi_container { ops: &OPS };
    let (cluster, told) = (Arc::downgrade(cluster), cluster.places.told(container));
    Box::into_raw(Box::new(Remote { head, cluster, container, told })).cast()
}

/// The module of such containers, whose tasks are those of `module`.
pub(super) fn module(module: &Arc<Module>) -> Module {
    Module {
        name: module.name.clone(),
        version: module.version.clone(),
        sdk_version: module.sdk_version.clone(),
        language: module.language,
        abi: module.abi,
        path: None,
        is_other_version: false,
        stamp: None,
        _file: None,
        libraries: Vec::new(),
        methods: module.methods.clone(),
        description: None,
        params: module.params,
        pools: module.pools,
        new_state,
        is_proxy: true,
        original: Some(module.clone()),
    }
}

unsafe extern "C" fn new_state(_: *const chi_pool_id, _: *const c_char) -> *mut c_void {
    // They are made by `object`.
    std::ptr::null_mut()
}

unsafe extern "C" fn init(
    _: *mut chi_container,
    _: *const chi_pool_id,
    _: *const c_char,
) -> chi_status {
    CHI_OK
}

/// The node that has the container asks its monitors.
unsafe extern "C" fn monitor(
    _: *mut chi_container,
    _: u32,
    _: u32,
    _: *mut chi_task,
    _: *mut chi_run_context,
) -> chi_status {
    CHI_OK
}

unsafe extern "C" fn destroy(_: *mut chi_container) {}

unsafe extern "C" fn run(
    object: *mut chi_container,
    number: u32,
    task: *mut chi_task,
    _: *mut chi_run_context,
) -> chi_status {
    if number < CHI_METHOD_CUSTOM {
        // The node that has the container runs these.
        return CHI_OK;
    }
    with_current(|worker| {
        let worker = worker.expect("methods run on workers");
        let record = worker.running().expect("a method runs");
        // SAFETY: `object` made it, and it is never freed.
        let remote = unsafe { &*object.cast::<Remote>() };
        // SAFETY: the running task has a method, which lives as long as the task is counted in its
        // container.
        let method = unsafe { &*record.method };
        // SAFETY: it is the running task, of this method.
        let result = unsafe { pass_on(worker, remote, record, task, method) };
        report(record, result)
    })
}

/// # Safety
/// `task` must be the running one, of this method.
unsafe fn pass_on(
    worker: &Worker,
    remote: &Remote,
    record: &Record,
    task: *mut chi_task,
    method: &Method,
) -> Result<(), Failure> {
    let stopping = || Failure::new(CHI_CANCELLED, "the runtime is stopping");
    let cluster = remote.cluster.upgrade().ok_or_else(stopping)?;
    // SAFETY: by the caller's promise.
    let (query, flags) = unsafe { ((*task).dom_query_, (*task).task_flags_.bits_) };
    let container = remote.container;
    if matches!(query.kind_, CHI_DOMAIN_LOCAL_ID | CHI_DOMAIN_LOCAL_HASH) {
        let message = format!(
            "container {} of {} is on another node, and a local query stays on its own: use GlobalId or \
             GlobalHash",
            container.number, method.name
        );
        return Err(Failure::new(CHI_INVALID, message));
    }
    let query = match query.kind_ {
        // Only the other node can ask the monitor, or send it to all.
        CHI_DOMAIN_DYNAMIC if method.monitored && asks_elsewhere(worker, task) => query,
        CHI_DOMAIN_GLOBAL_BCAST if record.everywhere => query,
        // A method may ask whether it was sent to its container alone.
        CHI_DOMAIN_GLOBAL_ID => query,
        _ => chi_domain_query { kind_: CHI_DOMAIN_GLOBAL_HASH, value_: container.number },
    };
    let call = cluster.next_call();
    let head = Head {
        method: method.number,
        layout: method.layout,
        query,
        flags: flags & CHI_TASK_HIGH_LATENCY,
        root: cluster.roots.known_as(worker.root_of(record)),
        call: call.number,
    };
    // SAFETY: by the caller's promise.
    let payload = unsafe { flat::pack(head, task, method)? };
    let request = Request {
        container,
        idempotent: method.idempotent,
        deadline: record
            .deadline
            .get()
            .map(|at| cluster.instant_in(at.saturating_duration_since(Instant::now()))),
        payload: payload.into(),
    };
    let until = Instant::now() + PATIENCE;
    let bytes = loop {
        let waiting = Arc::new(Waiting::new());
        cluster.tell(Input::Call(request.clone(), waiting.clone()));
        attend(worker, &cluster);
        let cancel = || cluster.tell(Input::CancelCall(waiting.clone()));
        match waiting.wait_for(worker, WaitsFor::Far(Far::Node(call)), cancel) {
            Outcome::Done(bytes) => break bytes,
            // It did not run: more wait for the node than it takes.
            Outcome::Busy if Instant::now() < until && !worker.is_cancelled() => {
                worker.sleep(PAUSE)
            }
            other => return Err(failure_of(&other, &method.name, container)),
        }
    };
    let mut reader = Reader::new(&bytes);
    let (status, message, tasks) = reader.outcome()?;
    remote.told.note(tasks);
    if reader.has_body() {
        // SAFETY: by the caller's promise; nobody else uses the task while its method runs.
        unsafe { reader.body(task, method, &mut OwnResults(task))? };
    }
    match status {
        CHI_OK => Ok(()),
        status => Err(Failure::new(status, message)),
    }
}

/// Whether no container of the pool is here, so that nobody could be asked which one the task is for.
fn asks_elsewhere(worker: &Worker, task: *const chi_task) -> bool {
    // SAFETY: the caller's task has at least a header.
    let id = unsafe { (*task).pool_ };
    worker.shared.table().get(id).is_some_and(|pool| pool.asked().module.is_proxy)
}

fn failure_of(outcome: &Outcome, method: &str, container: ContainerId) -> Failure {
    let ran = |may_have_run: bool| match may_have_run {
        true => "it may have run",
        false => "it did not run",
    };
    let which = format!("{method} of container {}", container.number);
    match outcome {
        Outcome::NodeLost { may_have_run } => {
            let message = format!(
                "{which}: the node that has the container was lost; {}",
                ran(*may_have_run)
            );
            Failure::new(CHI_NODE_LOST, message)
        }
        Outcome::TimedOut { may_have_run } => Failure::new(
            CHI_DEADLINE,
            format!("{which}: its deadline has passed; {}", ran(*may_have_run)),
        ),
        Outcome::Cancelled { may_have_run } => {
            Failure::new(CHI_CANCELLED, format!("{which}: cancelled; {}", ran(*may_have_run)))
        }
        Outcome::Busy => {
            let message =
                format!("{which}: too many tasks wait for its node; wait for some to complete");
            Failure::new(CHI_BUSY, message)
        }
        Outcome::NoSuchContainer => {
            Failure::new(CHI_NO_POOL, format!("{which}: the pool has been destroyed"))
        }
        Outcome::Done(_) => Failure::new(CHI_INTERNAL, "it has ended"),
    }
}
