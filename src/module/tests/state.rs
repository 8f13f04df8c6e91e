//! A container with a state, saved and loaded through the C contract, against the golden file that
//! C++ is tested with too.

#[path = "../../task/tests/fake_ipc/mod.rs"]
mod fake_ipc;
mod host;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CStr;
use std::mem::offset_of;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};

use chimaera::abi::*;
use chimaera::module::{CoMutex, CoRwLock, Init, LifeReason, LifeTask, RunContext};
use chimaera::{Result, ShmString, Status};
use host::state::{Fields, MemoryState};
use host::*;

const GOLDEN: &str = include_str!("../../../tests/serial/golden/state.txt");

/// Fills the container; an empty name fills it with the values of the golden file.
#[chimaera::task]
struct FillTask {
    name: ShmString,
    blob_size: Cell<u64>,
}

const FILL: u32 = 10;

/// Has the members of the golden file, in another order.
#[derive(chimaera::State)]
struct Runtime {
    #[chi(field = 8)]
    flag: CoMutex<Mutex<bool>>,
    #[chi(field = 1)]
    count: AtomicU64,
    #[chi(field = 2)]
    entries: Mutex<HashMap<String, u64>>,
    #[chi(field = 3)]
    blob: RwLock<Vec<u8>>,
    #[chi(field = 4)]
    limit: CoRwLock<Mutex<Option<u32>>>,
    #[chi(field = 7)]
    name: Mutex<String>,
    pool_name: String,
}

thread_local! {
    /// What the functions of the container saw.
    static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The function that fails.
    static FAILS: Cell<&'static str> = const { Cell::new("") };
}

/// Notes a call, and fails it if it is told to.
fn called(what: &'static str, call: String) -> Result<()> {
    CALLS.with_borrow_mut(|calls| calls.push(call));
    match FAILS.get() == what {
        true => Err(Status::new(1001, format!("{what} fails"))),
        false => Ok(()),
    }
}

fn seen(name: &str, task: &LifeTask) -> String {
    format!("{name} {:?} {:?} {:?}", task.reason(), task.message(), task.old_version())
}

#[chimaera::container(name = "test:state", version = "2.0.0", state)]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        Ok(Runtime {
            flag: CoMutex::default(),
            count: AtomicU64::new(0),
            entries: Mutex::default(),
            blob: RwLock::default(),
            limit: CoRwLock::default(),
            name: Mutex::default(),
            pool_name: init.pool_name().to_owned(),
        })
    }

    #[release]
    fn release(&self) -> Result<()> {
        called("release", format!("release of {}", self.pool_name))
    }

    #[resume]
    fn resume(&self) -> Result<()> {
        called("resume", "resume".into())
    }

    #[migrate]
    fn migrate(&self, task: &LifeTask, ctx: &RunContext<'_>) -> Result<()> {
        assert_eq!(ctx.worker_id(), 6);
        assert_eq!(task.directory(), Some(Path::new("/directory")));
        called("migrate", seen("migrate", task))
    }

    #[recover]
    fn recover(&self, task: &LifeTask) {
        assert_eq!(task.directory(), None);
        called("recover", seen("recover", task)).unwrap();
    }

    #[node_failure]
    fn node_failure(&self, task: &LifeTask) -> Result<()> {
        called("node_failure", seen("node_failure", task))
    }

    #[method(FILL)]
    fn fill(&self, task: &FillTask) -> Result<()> {
        let name = task.name.to_string()?;
        let golden = name.is_empty();
        *self.flag.lock()?.lock().unwrap() = true;
        self.count.store(7, Ordering::Relaxed);
        let entries = [("b", 3), ("ab", 2), ("a", 1)];
        *self.entries.lock().unwrap() = entries.map(|(key, value)| (key.into(), value)).into();
        let mut blob = self.blob.write().unwrap();
        *blob = vec![0, 255];
        if !golden {
            blob.resize(task.blob_size.get() as usize, b'x');
        }
        drop(blob);
        *self.limit.write()?.lock().unwrap() = Some(5);
        *self.name.lock().unwrap() = if golden { "grün".into() } else { name };
        Ok(())
    }
}

fn hex(text: &str) -> Vec<u8> {
    match text {
        "-" => Vec::new(),
        text => text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect(),
    }
}

/// The fields of a state in the golden file.
fn golden(name: &str) -> Fields {
    let lines = GOLDEN.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let fields = lines.filter(|line| !line.starts_with('!')).map(|line| {
        let (number, bytes) = line.split_once(": ").unwrap();
        (number.parse().unwrap(), hex(bytes))
    });
    let fields: Fields = fields.collect();
    assert!(!fields.is_empty());
    fields
}

type Failure = (chi_status, String);

fn outcome(status: chi_status) -> Result<(), Failure> {
    match status {
        CHI_OK => Ok(()),
        status => Err((status, ERROR.with(RefCell::take))),
    }
}

fn save() -> Result<Fields, Failure> {
    let mut state = MemoryState::new(Vec::new());
    let save = ops().save.expect("the container has a state");
    // SAFETY: a live container, and a state that nothing else uses.
    outcome(unsafe { save(CONTAINER.get(), state.as_ptr()) })?;
    Ok(state.fields)
}

fn load(fields: Fields) -> Result<(), Failure> {
    let mut state = MemoryState::new(fields);
    let load = ops().load.expect("the container has a state");
    // SAFETY: as in `save`; no task is in the container.
    outcome(unsafe { load(CONTAINER.get(), state.as_ptr()) })
}

fn resume() -> Result<(), Failure> {
    let resume = ops().resume.expect("the container has a state");
    // SAFETY: a live container.
    outcome(unsafe { resume(CONTAINER.get()) })
}

fn fill(module: &Module, name: &str, blob_size: u64) {
    let task = module.task::<FillTask>(FILL);
    task.name.set(name).unwrap();
    task.blob_size.set(blob_size);
    task.call().unwrap();
}

/// Runs one of the methods of a container's life.
fn live(
    method: u32,
    reason: u32,
    old_version: &CStr,
    directory: Option<&CStr>,
) -> Result<(), Failure> {
    // SAFETY: all fields may be zero.
    let mut task: chi_life_task = unsafe { std::mem::zeroed() };
    task.reason_ = reason;
    task.message_text_ = c"because".as_ptr();
    task.old_version_ = old_version.as_ptr();
    task.directory_ = directory.map_or(std::ptr::null(), CStr::as_ptr);
    let mut ctx = context();
    // SAFETY: a live container, a task of the method's layout, a whole context.
    outcome(unsafe { (ops().run)(CONTAINER.get(), method, (&raw mut task).cast(), &mut ctx) })
}

#[test]
fn the_states_are_those_of_cpp() {
    let module = Module::created();
    assert_eq!(save().unwrap(), golden("empty"));
    fill(&module, "", 0);
    assert_eq!(save().unwrap(), golden("full"));
    drop(module);
    for name in ["empty", "full"] {
        let _module = Module::created();
        load(golden(name)).unwrap();
        assert_eq!(save().unwrap(), golden(name));
    }
}

#[test]
fn fields_may_be_missing_or_unknown() {
    let module = Module::created();
    fill(&module, "", 0);
    load(golden("partial")).unwrap();
    let mut expected = golden("full");
    for (number, bytes) in golden("partial") {
        if let Some((_, field)) = expected.iter_mut().find(|(known, _)| *known == number) {
            *field = bytes;
        }
    }
    assert_eq!(save().unwrap(), expected);
    load(Vec::new()).unwrap();
    assert_eq!(save().unwrap(), expected);
}

#[test]
fn malformed_fields_are_named() {
    let refused = GOLDEN.lines().filter_map(|line| line.split_once(" !: "));
    let mut n = 0;
    for (name, why) in refused {
        let _module = Module::created();
        assert_eq!(load(golden(name)).unwrap_err(), (CHI_INVALID, why.into()));
        n += 1;
    }
    assert!(n > 3);
    // A length that only the whole state could hold, as far as it says.
    let _module = Module::created();
    let lies = vec![(2, vec![9, 0, 0, 0, 0, 0, 0, 0]), (3, vec![b'x'; 100])];
    let why = "field 2: the bytes end too early: 8 were expected at byte 8";
    assert_eq!(load(lies).unwrap_err(), (CHI_INVALID, why.into()));
    // The numbers may not be read by what knows none of them.
    let mut state = MemoryState::new(golden("full")).cut(offset_of!(chi_state, next_field));
    // SAFETY: a live container, and a state that nothing else uses.
    let status = outcome(unsafe { ops().load.unwrap()(CONTAINER.get(), state.as_ptr()) });
    assert_eq!(status.unwrap_err().0, CHI_VERSION);
}

#[test]
fn much_is_saved_past_the_buffer() {
    let module = Module::created();
    fill(&module, "large", 300_000);
    let fields = save().unwrap();
    assert_eq!(fields[2].1.len(), 300_008);
    drop(module);
    let _module = Module::created();
    load(fields.clone()).unwrap();
    assert_eq!(save().unwrap(), fields);
}

#[test]
fn a_state_needs_a_container() {
    let _module = Module::new();
    let why = "the container got its state before kCreate succeeded";
    assert_eq!(load(golden("full")).unwrap_err(), (CHI_INTERNAL, why.into()));
    assert_eq!(save().unwrap_err().0, CHI_INTERNAL);
}

#[test]
fn what_is_exclusive_is_released_and_taken_back() {
    let module = Module::created();
    CALLS.take();
    save().unwrap();
    resume().unwrap();
    assert_eq!(CALLS.take(), ["release of my_pool", "resume"]);
    FAILS.set("release");
    assert_eq!(save().unwrap_err(), (1001, "release fails".into()));
    FAILS.set("resume");
    assert_eq!(resume().unwrap_err(), (1001, "resume fails".into()));
    FAILS.set("");
    // A poisoned lock may hold a state that is half changed.
    let task = module.task::<FillTask>(FILL);
    task.name.set("capacity overflow").unwrap();
    task.blob_size.set(u64::MAX);
    assert_eq!(task.call().unwrap_err().code(), CHI_FAILED);
    let why = "field 3: the lock is poisoned: a method panicked while it held it";
    assert_eq!(save().unwrap_err(), (CHI_FAILED, why.into()));
}

#[test]
fn the_methods_of_its_life_say_why() {
    let module = Module::created();
    let described = |number| module.methods().iter().find(|m| m.number_ == number).unwrap();
    for number in [CHI_METHOD_NODE_FAILURE, CHI_METHOD_RECOVER, CHI_METHOD_MIGRATE] {
        let method = described(number);
        assert_eq!(method.flags_, CHI_METHOD_SUPPORTED);
        assert_eq!(method.task_size_ as usize, size_of::<chi_life_task>());
    }
    assert_eq!(described(CHI_METHOD_UPGRADE).flags_, 0);
    CALLS.take();
    live(CHI_METHOD_MIGRATE, CHI_REASON_MIGRATED, c"1.0.0", Some(c"/directory")).unwrap();
    live(CHI_METHOD_RECOVER, CHI_REASON_KILLED, c"", Some(c"")).unwrap();
    live(CHI_METHOD_NODE_FAILURE, 99, c"", None).unwrap();
    assert_eq!(
        CALLS.take(),
        [
            "migrate Migrated \"because\" \"1.0.0\"",
            "recover Killed \"because\" \"\"",
            "node_failure Other(99) \"because\" \"\"",
        ]
    );
    assert_ne!(LifeReason::Lost, LifeReason::Other(CHI_REASON_LOST));
    FAILS.set("node_failure");
    let failed = live(CHI_METHOD_NODE_FAILURE, CHI_REASON_LOST, c"", None);
    assert_eq!(failed.unwrap_err(), (1001, "node_failure fails".into()));
    FAILS.set("");
}
