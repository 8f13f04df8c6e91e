//! Pools of the daemon in a module host: their containers pass tasks on to the daemon.

use std::ffi::{c_char, c_void, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::wire::{self, Kind, Message};

use super::forward::{link_to, run_there};
use super::proxy::report;
use crate::access::PoolRights;
use crate::failure::Failure;
use crate::host::{text_from_memfd, text_in_memfd, Peer};
use crate::module::{Methods, Module};
use crate::pool::Pool;
use crate::scheduler::{with_current, Shared, Worker};
use crate::sys::lock;

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

struct Foreign(chi_container);

// SAFETY: the container is never written.
unsafe impl Sync for Foreign {}

static CONTAINER: Foreign = Foreign(chi_container { ops: &OPS });

/// The object of every container of a pool of the daemon.
pub(crate) fn foreign_object() -> *mut chi_container {
    (&raw const CONTAINER.0).cast_mut()
}

/// A module with these methods, all of which run in the daemon.
pub(crate) fn foreign_module(name: &str, methods: Methods) -> Module {
    Module {
        name: name.to_owned(),
        version: String::new(),
        sdk_version: String::new(),
        language: CHI_LANG_RUST,
        abi: (CHI_ABI_MAJOR, CHI_ABI_MINOR),
        path: None,
        is_other_version: false,
        stamp: None,
        _file: None,
        libraries: Vec::new(),
        methods: methods.passed_on(),
        description: None,
        params: None,
        pools: None,
        new_state,
        is_proxy: true,
        original: None,
    }
}

unsafe extern "C" fn new_state(_: *const chi_pool_id, _: *const c_char) -> *mut c_void {
    foreign_object().cast()
}

unsafe extern "C" fn init(
    _: *mut chi_container,
    _: *const chi_pool_id,
    _: *const c_char,
) -> chi_status {
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

unsafe extern "C" fn destroy(_: *mut chi_container) {}

unsafe extern "C" fn run(
    _: *mut chi_container,
    _: u32,
    task: *mut chi_task,
    _: *mut chi_run_context,
) -> chi_status {
    with_current(|worker| {
        let worker = worker.expect("methods run on workers");
        let record = worker.running().expect("a method runs");
        // SAFETY: the running task has a method, which lives as long as the task is counted in its
        // container.
        let method = unsafe { &*record.method };
        let daemon = worker.shared.hosts.daemon().expect("a module host has a daemon");
        let result = link_to(worker, daemon).and_then(|link| {
            // SAFETY: it is the running task, of this method.
            unsafe { run_there(worker, (daemon, None), &link, record, task, method) }?;
            match link.is_lost() {
                true => Err(Failure::new(CHI_UNAVAILABLE, "the daemon is gone")),
                false => Ok(()),
            }
        });
        report(record, result)
    })
}

/// How long the daemon may take to say what a pool is.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// Puts a pool of the daemon into the table. The calling thread waits for the daemon's answer: this
/// happens once for each pool.
pub(crate) fn find(worker: &Worker, id: chi_pool_id) -> Result<(), Failure> {
    let daemon = worker.shared.hosts.daemon().expect("a module host has a daemon");
    let mut known = lock(&daemon.known);
    known.remove(&id);
    let question = Message::new(Kind::Pool, &[id.major_.into(), id.minor_.into()]);
    let gone =
        |why: &str| Failure::new(CHI_UNAVAILABLE, format!("asking the daemon for a pool: {why}"));
    wire::send(daemon.socket.as_fd(), &question, &[]).map_err(|error| gone(&error.to_string()))?;
    let until = Instant::now() + ANSWER_BOUND;
    loop {
        if let Some(found) = known.get(&id) {
            return found.clone();
        }
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(gone("it has not answered in 5 s"));
        }
        known = match daemon.learned.wait_timeout(known, rest) {
            Ok((known, _)) => known,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
}

/// Says what a pool is, for a module host that has asked.
pub(super) fn describe(shared: &Shared, question: &Message, host: &Peer) {
    let [major, minor, ..] = question.words;
    let id = chi_pool_id { major_: major as u32, minor_: minor as u32 };
    match shared.table().get(id) {
        Some(pool) => say(host, pool, false),
        None => host.tell(&Message::new(Kind::Pool, &[major, minor]), &[]),
    }
}

/// Tells all module hosts that a pool runs another version of its module. Those that use the pool have to
/// know the layouts of its tasks.
pub(crate) fn tell_of_version(shared: &Shared, pool: &Pool) {
    shared.hosts.running().iter().for_each(|host| say(host, pool, true));
}

fn say(host: &Peer, pool: &Pool, is_change: bool) {
    let count = pool.count();
    let words = [pool.id.major_, pool.id.minor_, count, is_change.into()].map(u64::from);
    let names = format!("{}\0{}", pool.module().name, pool.name());
    let message = Message::new(Kind::Pool, &words).saying(names);
    // A path may be longer than a message.
    let file = pool.module().itself().path.as_ref();
    let file = file.and_then(|file| text_in_memfd(file.as_os_str().as_bytes()).ok());
    let sent: Vec<_> = file.iter().map(AsFd::as_fd).collect();
    host.tell(&message, &sent);
}

/// Learns what a pool of the daemon is, or has become.
pub(super) fn learn(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    answer: Message,
    file: Option<OwnedFd>,
) {
    let [major, minor, _, is_change, ..] = answer.words;
    let id = chi_pool_id { major_: major as u32, minor_: minor as u32 };
    // The host's own pool is what it runs; others are asked for when they are needed.
    let is_foreign = |pool: &Pool| pool.module().is_proxy;
    if is_change != 0 && !shared.table().get(id).is_some_and(is_foreign) {
        return;
    }
    let (own, its) = (shared.clone(), peer.clone());
    let take = move || {
        let made = make(&own, id, answer.words[2], &answer.text, file);
        if let (true, Err(failure)) = (is_change != 0, &made) {
            tracing::warn!(why = &*failure.message, "the new version of a pool is not known here");
        }
        let made = made.map(|pool| {
            let old = own.table().in_slot(id.major_).cloned();
            own.set_pool(id.major_, Some(Arc::new(pool)));
            // Tasks may still be in it, or about to enter it.
            std::mem::forget(old);
        });
        lock(&its.known).insert(id, made);
        its.learned.notify_all();
    };
    // It may have to load a version of the module, whose constructors may take long.
    let spawned = std::thread::Builder::new().name("chi-loader".into()).spawn(take);
    if let Err(error) = spawned {
        let why = format!("starting a thread that looks at a pool: {error}");
        lock(&peer.known).insert(id, Err(Failure::new(CHI_NO_SPACE, why)));
        peer.learned.notify_all();
    }
}

fn make(
    shared: &Shared,
    id: chi_pool_id,
    containers: u64,
    names: &str,
    file: Option<OwnedFd>,
) -> Result<Pool, Failure> {
    let none = || {
        let message =
            format!("there is no pool {}.{}; it may have been destroyed", id.major_, id.minor_);
        Failure::new(CHI_NO_POOL, message)
    };
    let (module, name) = names.split_once('\0').filter(|_| containers > 0).ok_or_else(none)?;
    let count = u32::try_from(containers).ok().filter(|count| *count <= CHI_MAX_CONTAINERS);
    let found = version(shared, module, name, file)?;
    let name = CString::new(name).map_err(|_| none())?;
    let module = Arc::new(foreign_module(module, found.methods.clone()));
    let count = count.ok_or_else(none)?;
    let rights = PoolRights::default();
    let pool = Pool::new(id, rights, name.into(), Vec::new(), None, &module, count);
    for container in pool.containers() {
        // SAFETY: the object lives as long as the process, and nothing uses the container yet.
        let sound = unsafe { container.set_object(foreign_object()) };
        assert!(sound, "its own table is valid");
    }
    pool.publish();
    Ok(pool)
}

/// The version of a module that a pool of the daemon runs, from this file. Of it, the host needs the layouts
/// of the tasks.
fn version(
    shared: &Shared,
    name: &str,
    pool: &str,
    file: Option<OwnedFd>,
) -> Result<Arc<Module>, Failure> {
    let Some(found) = shared.modules.find(name) else {
        let message = format!("the module host has not found the module '{name}' of pool '{pool}'");
        return Err(Failure::new(CHI_NO_MODULE, message));
    };
    // What is a part of the runtime has no file.
    let Some(file) = file else { return Ok(found) };
    let file = text_from_memfd(file).map_err(|error| {
        Failure::new(CHI_IO, format!("the file of the module '{name}' of pool '{pool}': {error}"))
    })?;
    let file = Path::new(OsStr::from_bytes(&file));
    if found.path.as_deref() == Some(file) {
        return Ok(found);
    }
    shared.modules.load_version(file, name).map_err(|why| {
        let message = format!("{}, which pool '{pool}' runs: {why}", file.display());
        Failure::new(CHI_NO_MODULE, message)
    })
}
