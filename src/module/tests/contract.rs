//! A module made with the SDK, called through the C contract as a runtime calls it.

#[path = "../../task/tests/fake_ipc/mod.rs"]
mod fake_ipc;
mod host;

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_void, CStr};
use std::sync::atomic::{AtomicU32, Ordering};

use chimaera::abi::*;
use chimaera::module::{CoMutex, CoRwLock, Init, MonitorContext, MonitorMode, Queue, RunContext};
use chimaera::{DomainQuery, NewTask, Result, ShmString, ShmVec, Status, Task};
use fake_ipc::archive::MemoryArchive;
use host::*;

/// Repeats a text.
#[chimaera::task]
struct RepeatTask {
    #[chi(in)]
    text: ShmString,
    #[chi(in)]
    times: Cell<u32>,
    #[chi(skip)]
    reserved: u32,
    #[chi(out)]
    out: ShmVec<ShmString>,
}

/// A task that cannot be serialised.
#[chimaera::task]
struct LocalTask {
    number: Cell<u64>,
}

#[chimaera::task]
struct BareTask;

static DROPPED: AtomicU32 = AtomicU32::new(0);

/// The parameters of a pool.
#[derive(Default, chimaera::Serialize)]
struct Typed {
    fail: bool,
}

struct Runtime {
    pool_name: String,
    queue: Queue,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

const REPEAT: u32 = 10;
const PANIC: u32 = 11;
const FAIL: u32 = 12;
const CALL: u32 = 13;
const YIELD: u32 = 14;
const LOCAL: u32 = 15;

#[chimaera::container(name = "test:module", version = "1.2.3", unsupported(kGone = 20))]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        match init.params() {
            b"panic" => panic!("no container today"),
            b"fail" => return Err(Status::new(1001, "told to fail")),
            _ if init.params_as::<Typed>()?.fail => {
                return Err(Status::new(1002, "told to fail by a bool"))
            }
            _ => {}
        }
        chimaera::log_info!("pool {} starts", init.pool_name());
        assert_eq!((init.container_id(), init.container_count()), (CONTAINER_ID, CONTAINER_COUNT));
        let queue = init.create_queue(3, 4)?;
        assert_eq!(init.create_queue(3, 0).unwrap_err().code(), CHI_INVALID);
        Ok(Runtime { pool_name: init.pool_name().to_owned(), queue })
    }

    #[destroy]
    fn destroy(&self, ctx: &RunContext<'_>) {
        chimaera::log_warn!("pool {} ends on {}", self.pool_name, ctx.worker_id());
        assert_eq!((ctx.container_id(), ctx.container_count()), (CONTAINER_ID, CONTAINER_COUNT));
    }

    #[method(REPEAT)]
    fn repeat(&self, task: &RepeatTask) -> Result<()> {
        let text = task.text.to_string()?;
        task.out.set_all(&vec![text; task.times.get() as usize])
    }

    #[monitor(REPEAT)]
    fn monitor_repeat(
        &self,
        mode: MonitorMode,
        task: &RepeatTask,
        ctx: &mut MonitorContext<'_>,
    ) -> Result<()> {
        match mode {
            MonitorMode::LocalSchedule => ctx.set_lane(self.queue.lane_by_hash(task.times.get())),
            _ => task.base().set_domain_query(DomainQuery::local_id(task.times.get())),
        }
        Ok(())
    }

    #[method(PANIC, name = "kPanicNow")]
    fn panic_now(&self, _task: &BareTask, _ctx: &RunContext<'_>) {
        panic!("on purpose, in {}", self.pool_name)
    }

    #[method(FAIL)]
    fn fail(&self, _task: &BareTask) -> Result<(), std::io::Error> {
        Err(std::io::Error::other("no such disk"))
    }

    #[method(CALL)]
    fn call(&self, _task: &BareTask, ctx: &RunContext<'_>) -> Result<()> {
        let ipc = chimaera::ipc()?;
        let query = DomainQuery::dynamic();
        let task: NewTask<RepeatTask> = ipc.new_task(ctx.pool_id(), query, REPEAT)?;
        task.text.set("x")?;
        task.times.set(2);
        assert_eq!(task.call()?.out.to_strings(100)?, ["x", "x"]);
        ipc.new_task::<BareTask>(ctx.pool_id(), query, PANIC)?.call().map(drop)
    }

    #[method(YIELD)]
    fn yield_twice(&self, _task: &BareTask, ctx: &RunContext<'_>) -> Result<()> {
        ctx.yield_now()?;
        ctx.yield_now()
    }

    #[method(LOCAL)]
    fn local(&self, task: &LocalTask) {
        task.number.set(1);
    }
}

fn name(text: *const c_char) -> &'static str {
    // SAFETY: a static of the module's.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

#[test]
fn the_descriptor_says_what_the_module_is() {
    let module = Module::new();
    let descriptor = module.descriptor;
    assert_eq!(descriptor.magic, CHI_MODULE_MAGIC);
    assert_eq!(descriptor.size as usize, size_of::<chi_module_descriptor>());
    assert_eq!((descriptor.abi_major, descriptor.abi_minor), (CHI_ABI_MAJOR, CHI_ABI_MINOR));
    assert_eq!(descriptor.language, CHI_LANG_RUST);
    assert_eq!(name(descriptor.sdk_version), env!("CARGO_PKG_VERSION"));
    assert_eq!((name(descriptor.name), name(descriptor.version)), ("test:module", "1.2.3"));
    assert_eq!(descriptor.method_stride as usize, size_of::<chi_method>());
    assert_eq!(descriptor.field_stride as usize, size_of::<chi_field_layout>());
    // SAFETY: exported by the module.
    unsafe {
        assert_eq!(name(get_module_name()), "test:module");
        assert!(is_chimaera_task_);
    }
}

#[test]
fn every_method_is_declared_once() {
    let module = Module::new();
    let below = (1 << CHI_METHOD_DESCRIPTION_SHIFT) - 1;
    let mut got: Vec<_> = module
        .methods()
        .iter()
        .map(|m| (m.number_, name(m.name_), m.flags_ & below, m.task_size_, m.n_fields_))
        .collect();
    got.sort_unstable();
    let runs = CHI_METHOD_SUPPORTED | CHI_METHOD_SERIALIZED;
    // Their author has declared the tasks.
    let own = runs | CHI_METHOD_DECLARED;
    let monitored = own | CHI_METHOD_MONITORED;
    assert_eq!(
        got,
        [
            (0, "kCreate", runs, size_of::<chi_create_task>() as u32, 3),
            (1, "kDestroy", runs, size_of::<chi_destroy_task>() as u32, 0),
            (2, "kNodeFailure", 0, 0, 0),
            (3, "kRecover", 0, 0, 0),
            (4, "kMigrate", 0, 0, 0),
            (5, "kUpgrade", 0, 0, 0),
            (10, "kRepeat", monitored, size_of::<RepeatTask>() as u32, 2),
            (11, "kPanicNow", own, 64, 0),
            (12, "kFail", own, 64, 0),
            (13, "kCall", own, 64, 0),
            (14, "kYieldTwice", own, 64, 0),
            (15, "kLocal", CHI_METHOD_SUPPORTED | CHI_METHOD_DECLARED, 72, 0),
            (20, "kGone", 0, 0, 0),
        ]
    );
    for method in module.methods().iter().filter(|m| m.flags_ & CHI_METHOD_DECLARED != 0) {
        let fingerprint = method.flags_ >> CHI_METHOD_DESCRIPTION_SHIFT;
        assert_eq!(fingerprint & 3, CHI_DECLARED_IN_RUST, "{}", name(method.name_));
    }
}

#[test]
fn a_method_reads_and_writes_its_task() {
    let module = Module::created();
    let task = module.task::<RepeatTask>(REPEAT);
    task.text.set("again").unwrap();
    task.times.set(3);
    let done = task.call().unwrap();
    assert_eq!(done.out.to_strings(100).unwrap(), ["again"; 3]);
}

#[test]
fn where_a_field_lies_is_not_believed() {
    let module = Module::created();
    let task = module.task::<RepeatTask>(REPEAT);
    task.times.set(1);
    let field = RepeatTask::FIELDS[1].offset_ as usize;
    // SAFETY: `out` is a field of the task, and nothing else uses the task.
    unsafe {
        let out = task.base().as_ptr().cast::<u8>().add(field).cast::<chi_shm_vector>();
        (*out).offset_in_task_ = 0xffff_0000;
    }
    assert_eq!(task.call().unwrap().out.len(), 1);
}

#[test]
fn failures_and_panics_are_statuses_with_messages() {
    let module = Module::created();
    let failed = module.task::<BareTask>(FAIL).call().unwrap_err();
    assert_eq!((failed.code(), failed.message()), (CHI_IO, "no such disk"));

    let panicked = module.task::<BareTask>(PANIC).call().unwrap_err();
    assert_eq!(panicked.code(), CHI_FAILED);
    let message = panicked.message();
    assert!(message.starts_with("panicked: on purpose, in my_pool at "), "{message}");
    assert!(message.contains("contract.rs:"), "{message}");

    let gone = module.task::<BareTask>(20).call().unwrap_err();
    assert_eq!((gone.code(), gone.message()), (CHI_UNSUPPORTED, "kGone is not supported"));
    for method in [16, 21, u32::MAX] {
        assert_eq!(module.task::<BareTask>(method).call().unwrap_err().code(), CHI_NO_METHOD);
    }
}

#[test]
fn a_method_calls_others() {
    let module = Module::created();
    let status = module.task::<BareTask>(CALL).call().unwrap_err();
    assert_eq!(status.code(), CHI_FAILED);
    assert!(status.message().contains("on purpose"), "{status}");
}

/// Serialises a task with the container, or reads it back.
fn serialize(
    task: *mut chi_task,
    method: u32,
    mode: u32,
    bytes: &[u8],
) -> Result<Vec<u8>, (chi_status, String)> {
    let mut archive = MemoryArchive::new(bytes);
    let serialize = ops().serialize.expect("the module has serialisers");
    // SAFETY: a live container, a task of the method's layout, and an archive that nothing else
    // uses.
    match unsafe { serialize(CONTAINER.get(), method, task, mode, &raw mut archive.base) } {
        CHI_OK => Ok(archive.bytes),
        status => Err((status, ERROR.with(RefCell::take))),
    }
}

#[test]
fn a_task_goes_elsewhere_and_its_results_come_back() {
    let module = Module::created();
    let (here, there) = (module.task::<RepeatTask>(REPEAT), module.task::<RepeatTask>(REPEAT));
    let here_task = here.base().as_ptr();
    here.text.set("far").unwrap();
    here.times.set(2);
    let ins = serialize(here_task, REPEAT, CHI_SERIALIZE_SAVE_IN, &[]).unwrap();
    let there_task = there.base().as_ptr();
    serialize(there_task, REPEAT, CHI_SERIALIZE_LOAD_IN, &ins).unwrap();
    let done = there.call().unwrap();
    let outs = serialize(done.base().as_ptr(), REPEAT, CHI_SERIALIZE_SAVE_OUT, &[]).unwrap();
    serialize(here_task, REPEAT, CHI_SERIALIZE_LOAD_OUT, &outs).unwrap();
    assert_eq!(here.out.to_strings(100).unwrap(), ["far"; 2]);

    let cut = serialize(here_task, REPEAT, CHI_SERIALIZE_LOAD_IN, &ins[..9]).unwrap_err();
    assert_eq!(cut.0, CHI_INVALID);
    assert_eq!(cut.1, "a length of 3 at byte 0 is more than the 1 bytes that remain");
    assert_eq!(serialize(here_task, REPEAT, 9, &[]).unwrap_err().0, CHI_UNSUPPORTED);
    let local = module.task::<LocalTask>(LOCAL);
    let refused = serialize(local.base().as_ptr(), LOCAL, CHI_SERIALIZE_SAVE_IN, &[]).unwrap_err();
    let why = "the task's fields are not marked `in`, `out` or `inout`";
    assert_eq!(refused, (CHI_UNSUPPORTED, why.into()));
}

#[test]
fn parameters_are_a_struct() {
    let module = Module::new();
    let params = chimaera::archive::params_to_bytes(&Typed { fail: true }).unwrap();
    let status = module.create(&params).unwrap_err();
    assert_eq!((status.code(), status.message()), (1002, "told to fail by a bool"));
    let status = module.create(&[1, 7]).unwrap_err();
    assert_eq!(status.code(), CHI_INVALID);
    let expected = "malformed pool parameters: byte 1 is 7, but must be 0 or 1";
    assert_eq!(status.message(), expected);
}

#[test]
fn yielding_tells_when_the_runtime_stops() {
    let module = Module::created();
    let status = module.task::<BareTask>(YIELD).call().unwrap_err();
    assert_eq!(status.code(), CHI_CANCELLED);
    assert_eq!(YIELDS.get(), 2);
}

#[test]
fn a_monitor_chooses_lane_and_domain() {
    let module = Module::created();
    let task = module.task::<RepeatTask>(REPEAT);
    task.times.set(6);
    let mut ctx = context();
    let mut monitor = |mode| {
        // SAFETY: a live container, a task of the method's layout, a whole context.
        unsafe { (ops().monitor)(CONTAINER.get(), mode, REPEAT, task.base().as_ptr(), &mut ctx) }
    };
    assert_eq!(monitor(CHI_MONITOR_LOCAL_SCHEDULE), CHI_OK);
    assert_eq!(monitor(CHI_MONITOR_GLOBAL_SCHEDULE), CHI_OK);
    assert_eq!(monitor(99), CHI_OK);
    assert_eq!(ctx.lane_, lane_address(6 % 4));
    assert_eq!(task.base().domain_query(), DomainQuery::local_id(6));
}

#[test]
fn a_failed_creation_is_told_and_may_be_tried_again() {
    let module = Module::new();
    assert_eq!(module.task::<BareTask>(FAIL).call().unwrap_err().code(), CHI_INTERNAL);
    let status = module.create(b"fail").unwrap_err();
    assert_eq!((status.code(), status.message()), (1001, "told to fail"));
    let status = module.create(b"panic").unwrap_err();
    assert!(status.message().starts_with("panicked: no container today at "), "{status}");
    module.create(b"").unwrap();
    assert_eq!(module.create(b"").unwrap_err().code(), CHI_EXISTS);
    assert!(LOG.lock().unwrap().contains(&(CHI_LOG_INFO, "pool my_pool starts".into())));
}

#[test]
fn destruction_says_goodbye_and_drops_once() {
    let module = Module::created();
    let before = DROPPED.load(Ordering::Relaxed);
    module.task::<chimaera::DestroyTask>(CHI_METHOD_DESTROY).call().unwrap();
    assert!(LOG.lock().unwrap().contains(&(CHI_LOG_WARN, "pool my_pool ends on 6".into())));
    assert_eq!(DROPPED.load(Ordering::Relaxed), before);
    drop(module);
    assert_eq!(DROPPED.load(Ordering::Relaxed), before + 1);
}

#[test]
fn alloc_state_and_init_do_what_new_state_does() {
    let module = Module::new();
    // SAFETY: valid arguments; the container is destroyed once.
    unsafe {
        let made = alloc_state(&POOL, c"alloc".as_ptr()).cast::<chi_container>();
        let ops = &*(*made).ops;
        assert_eq!(ops.size as usize, size_of::<chi_container_ops>());
        assert!(ops.del.is_none());
        assert_eq!((ops.init)(made, &POOL, c"init".as_ptr()), CHI_OK);
        let old = CONTAINER.replace(made);
        module.create(b"").unwrap();
        let message = module.task::<BareTask>(PANIC).call().unwrap_err();
        assert!(message.message().contains("in init at"), "{message}");
        (ops.destroy)(CONTAINER.replace(old));
    }
}

#[test]
fn bad_arguments_are_refused_with_a_message() {
    let _module = Module::new();
    let refused = |container: *mut c_void| {
        assert!(container.is_null());
        ERROR.with(RefCell::take)
    };
    // SAFETY: null is allowed.
    let message = refused(unsafe { new_state(std::ptr::null(), c"x".as_ptr()) });
    assert!(message.contains("the id or the name"), "{message}");
    // SAFETY: the name ends with a zero.
    let message = refused(unsafe { new_state(&POOL, c"\xff".as_ptr()) });
    assert!(message.contains("not UTF-8"), "{message}");
}

#[test]
fn hosts_of_another_version_are_not_touched() {
    let _module = Module::new();
    let header = |size: u32, abi_major: u32| chi_host { size, abi_major, ..TABLE };
    // SAFETY: a table as long as its size says, or of which only the header is used.
    unsafe {
        // A newer runtime learns from the descriptor why it cannot use the module.
        let descriptor = chi_module(&header(16, CHI_ABI_MAJOR + 1));
        assert_eq!((*descriptor).abi_major, CHI_ABI_MAJOR);
        assert!(chi_module(&header(16, CHI_ABI_MAJOR)).is_null());
        assert!(chi_module(std::ptr::null()).is_null());
    }
}

#[test]
fn guards_give_locks_back_in_the_mode_they_were_taken_in() {
    let _module = Module::new();
    let calls = |f: &dyn Fn()| {
        f();
        LOCKS.take().join(", ")
    };
    let (shared, exclusive) = (CHI_LOCK_SHARED, CHI_LOCK_EXCLUSIVE);
    let mutex = CoMutex::new(AtomicU32::new(7));
    let taken = calls(&|| assert_eq!(mutex.lock().unwrap().load(Ordering::Relaxed), 7));
    assert_eq!(taken, format!("new, take {exclusive} for ever, give {exclusive}"));
    let lock = CoRwLock::default();
    let one_and_a_half = std::time::Duration::from_nanos(1_000_500);
    let taken = calls(&|| {
        let reader = lock.read_for(one_and_a_half).unwrap();
        let writer = lock.try_write().unwrap().unwrap();
        drop((reader, writer));
        *lock.write().unwrap()
    });
    assert_eq!(
        taken,
        format!(
            "new, take {shared} for 1000500, try {exclusive}, give {shared}, give {exclusive}, \
             take {exclusive} for ever, give {exclusive}"
        )
    );
    LOCK_STATUS.set(CHI_CANCELLED);
    let taken = calls(&|| assert_eq!(mutex.lock().err().unwrap().code(), CHI_CANCELLED));
    assert_eq!(taken, format!("take {exclusive} for ever"), "nothing is released");
    LOCK_STATUS.set(CHI_BUSY);
    assert!(mutex.try_lock().unwrap().is_none());
    LOCKS.take();
    drop((mutex, lock));
    assert_eq!(LOCKS.take().join(", "), "free, free");
}
