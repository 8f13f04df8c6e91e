//! The containers of an isolated pool in the daemon: they pass tasks on to the pool's module host.

use std::ffi::{c_char, c_void, CStr};
use std::sync::Arc;

use chimaera_abi::*;
use chimaera_ipc::wire::{Kind, Message};

use super::forward::{go_on, link_to, run_there, suspend};
use super::in_turn::in_turn;
use super::supervisor;
use crate::config::{Config, HostLimits, HostOrders};
use crate::failure::Failure;
use crate::host::{First, Host, Peer, Phase};
use crate::module::{Method, Module};
use crate::scheduler::{with_current, Shared, Worker};
use crate::task::Record;

#[repr(C)]
struct Proxy {
    head: chi_container,
    host: Arc<Host>,
    /// The container's number.
    number: u32,
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
    load: Some(load),
    resume: None,
};

/// The module whose containers pass on the tasks of `module`.
pub(crate) fn proxy_of(module: &Arc<Module>) -> Module {
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
        methods: module.methods.clone().passed_on(),
        description: None,
        params: module.params,
        pools: module.pools,
        new_state,
        is_proxy: true,
        original: Some(module.clone()),
    }
}

/// Prepares the module host of a pool, which its first container starts. `first` is how its first process
/// begins.
///
/// # Errors
/// There can be none.
pub(crate) fn isolate(
    shared: &Shared,
    id: chi_pool_id,
    (name, params, containers): (&str, &[u8], u32),
    module: &Module,
    first: First,
) -> Result<(), Failure> {
    let config = &shared.config;
    if config.host_program.is_none() {
        let message =
            "this runtime is part of an application that names no program for module hosts \
                       (Config::host_program): create the pool without isolation";
        return Err(Failure::new(CHI_UNSUPPORTED, message));
    }
    let Some(file) = &module.path else {
        let message = format!("the module {} is a part of the runtime", module.name);
        return Err(Failure::new(CHI_INVALID, message));
    };
    let instance = chimaera_ipc::instance::Instance::new(config.instance.as_deref())
        .map_err(|error| Failure::new(CHI_IO, error.to_string()))?;
    let crash = instance.crash().with_extension(format!("host-{}.crash", id.major_));
    let log = config.log.as_ref();
    let orders = HostOrders {
        instance: instance.name().to_owned(),
        pool: id,
        name: name.to_owned(),
        module: module.name.clone(),
        file: file.clone(),
        containers,
        params: params.to_vec(),
        limits: limits_of(config, name),
        files: shared.durable.files(id),
        crash,
        begins: None,
        log_level: log.map_or_else(|| "info".to_owned(), |log| log.level()),
        log_json: log.is_some_and(|log| log.is_json()),
        workers: config.workers,
        high_latency_workers: config.high_latency_workers,
        standby_workers: config.standby_workers,
        module_paths: config.module_paths.clone(),
        spin: config.spin,
        stack_size: config.stack_size,
        max_suspended: config.max_suspended,
        memory: shared.budget.limit(),
        long_task_warning: config.long_task_warning,
        stop_grace: config.stop_grace,
    };
    let host = Host::new(id, orders, first).map_err(not_created)?;
    shared.hosts.add(Arc::new(host));
    Ok(())
}

pub(super) fn not_created(error: std::io::Error) -> Failure {
    Failure::new(CHI_IO, format!("creating a module host: {error}"))
}

/// What the module host of the pool with this name may use.
fn limits_of(config: &Config, name: &str) -> HostLimits {
    let configured = config.pools.iter().find(|pool| pool.name == name);
    configured.and_then(|pool| pool.host.clone()).unwrap_or_else(|| config.hosts.clone())
}

unsafe extern "C" fn new_state(id: *const chi_pool_id, _: *const c_char) -> *mut c_void {
    with_current(|worker| {
        let worker = worker.expect("containers are constructed on workers");
        // SAFETY: by the contract, the id is readable.
        let id = unsafe { *id };
        let hosts = &worker.shared.hosts;
        let host = hosts.candidate(id).or_else(|| hosts.get(id));
        let host = host.ok_or_else(|| Failure::new(CHI_INTERNAL, "its module host is unknown"));
        let started = host.and_then(|host| start(worker, &host).map(|()| host));
        match started {
            Ok(host) => {
                let number = worker.container().map_or(0, |container| container.number);
                let head = chi_container { ops: &OPS };
                Box::into_raw(Box::new(Proxy { head, host, number })).cast()
            }
            Err(failure) => {
                worker.running().expect("a task constructs it").texts.set_error(failure.message);
                std::ptr::null_mut()
            }
        }
    })
}

/// Makes sure that the host's process runs.
fn start(worker: &Worker, host: &Arc<Host>) -> Result<(), Failure> {
    if host.begin() {
        supervisor::start(&worker.shared, host);
    }
    peer_of(worker, host, || Ok(())).map(drop)
}

/// The process of a host, once it is running. While it is being started, `go_on` is asked whether to wait.
pub(super) fn peer_of(
    worker: &Worker,
    host: &Host,
    go_on: impl Fn() -> Result<(), Failure>,
) -> Result<Arc<Peer>, Failure> {
    loop {
        match host.phase_or_wait(|| worker.prepare_wait()) {
            Phase::Running(peer) => return Ok(peer),
            Phase::Failed(failure) => return Err(failure),
            Phase::Ended => {
                return Err(Failure::new(CHI_CANCELLED, "the pool is being destroyed"));
            }
            // The supervisor bounds this.
            Phase::Starting => suspend(worker, None),
        }
        go_on()?;
    }
}

unsafe extern "C" fn init(
    _: *mut chi_container,
    _: *const chi_pool_id,
    _: *const c_char,
) -> chi_status {
    CHI_OK
}

/// The host has loaded the state before it was ready.
unsafe extern "C" fn load(_: *mut chi_container, _: *mut chi_state) -> chi_status {
    CHI_OK
}

unsafe extern "C" fn monitor(
    _: *mut chi_container,
    _: u32,
    _: u32,
    _: *mut chi_task,
    _: *mut chi_run_context,
) -> chi_status {
    CHI_OK
}

unsafe extern "C" fn destroy(object: *mut chi_container) {
    // SAFETY: `new_state` made the object, and this is the last call on it.
    drop(unsafe { Box::from_raw(object.cast::<Proxy>()) });
}

unsafe extern "C" fn run(
    object: *mut chi_container,
    number: u32,
    task: *mut chi_task,
    _: *mut chi_run_context,
) -> chi_status {
    if number == CHI_METHOD_NODE_FAILURE {
        // SAFETY: the runtime passes this method such a task, with C strings.
        return unsafe { tell_of_failure(object.cast(), task.cast()) };
    }
    if number < CHI_METHOD_CUSTOM {
        // The host runs these for its own containers when it starts and ends.
        return CHI_OK;
    }
    with_current(|worker| {
        let worker = worker.expect("methods run on workers");
        // SAFETY: `new_state` made the object.
        let host = unsafe { &(*object.cast::<Proxy>()).host };
        let record = worker.running().expect("a method runs");
        // SAFETY: the running task has a method, which lives as long as the task is counted in its
        // container.
        let method = unsafe { &*record.method };
        // SAFETY: it is the running task, of this method.
        let result = unsafe { pass_on(worker, host, record, task, method) };
        report(record, result)
    })
}

/// Has the host tell its container of a loss. If the host is being started, there is nothing to tell.
///
/// # Safety
/// `object` must be a proxy, and the texts of `task` C strings.
unsafe fn tell_of_failure(object: *const Proxy, task: *const chi_life_task) -> chi_status {
    // SAFETY: by the caller's promise.
    let (proxy, task, name, text) = unsafe {
        let [name, text] = [(*task).lost_name_, (*task).message_text_];
        (&*object, &*task, CStr::from_ptr(name), CStr::from_ptr(text))
    };
    if let Phase::Running(peer) = proxy.host.phase() {
        let lost = task.lost_pool_;
        let words = [proxy.number, task.reason_, lost.major_, lost.minor_];
        let text = format!("{}\0{}", name.to_string_lossy(), text.to_string_lossy());
        let message = Message::new(Kind::NodeFailure, &words.map(u64::from)).saying(text);
        peer.tell(&message, &[]);
    }
    CHI_OK
}

/// Reports the outcome of a method to the runtime.
pub(crate) fn report(record: &Record, result: Result<(), Failure>) -> chi_status {
    match result {
        Ok(()) => CHI_OK,
        Err(Failure { status, message }) => {
            record.texts.set_error(message);
            status
        }
    }
}

/// # Safety
/// `task` must be the running one, of this method.
unsafe fn pass_on(
    worker: &Worker,
    host: &Host,
    record: &Record,
    task: *mut chi_task,
    method: &Method,
) -> Result<(), Failure> {
    let running = || match host.phase() {
        Phase::Running(peer) => Some(peer),
        _ => None,
    };
    let peer = in_turn(worker, host, running, || peer_of(worker, host, || go_on(worker)))?;
    let lost = |why: &str| {
        let message = format!("{} of pool '{}': {why}", method.name, host.orders.name);
        Failure::new(CHI_FAULT, message)
    };
    host.watch();
    let link = link_to(worker, &peer).map_err(|failure| match failure.status {
        CHI_FAULT => lost(&failure.message),
        _ => failure,
    })?;
    // SAFETY: by the caller's promise.
    let result =
        unsafe { run_there(worker, (&peer, record.client_session()), &link, record, task, method) };
    match peer.lost().filter(|_| link.is_lost()) {
        Some(why) => Err(lost(why)),
        None => result,
    }
}
