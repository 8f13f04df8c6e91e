//! Values and tasks as bytes, against the golden files that C++ is tested with too.

mod fake_ipc;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Debug;

use chimaera::abi::*;
use chimaera::archive::{
    from_bytes, params_from_bytes, params_to_bytes, to_bytes, LoadArchive, SaveArchive,
};
use chimaera::{
    DomainQuery, FromText, NewTask, Pod, PoolId, PoolParams, Result, Serialize, SerializeInPlace,
    ShmBytes, ShmElement, ShmString, ShmVec, Status, Task, TaskNode,
};
use fake_ipc::archive::MemoryArchive;
use fake_ipc::FakeIpc;

const VALUES: &str = include_str!("../../../tests/serial/golden/values.txt");
const TEXTS: &str = include_str!("../../../tests/serial/golden/params.txt");
const MALFORMED: &str = include_str!("../../../tests/serial/golden/malformed.txt");

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[repr(u16)]
enum Color {
    Red = 1,
    Blue = 258,
}

#[derive(Debug, PartialEq, Serialize)]
struct Scalars(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, bool, bool, Color);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Pod)]
#[repr(C)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Containers {
    text: String,
    bytes: Vec<u8>,
    numbers: Vec<u32>,
    array: [i16; 3],
    pair: (u8, String),
    map: BTreeMap<String, u64>,
    some: Option<u32>,
    none: Option<u32>,
    points: Vec<Point>,
    rows: Vec<Vec<u16>>,
    flags: Vec<bool>,
    #[chi(skip)]
    here: Option<Box<u8>>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Params {
    level: i32,
    name: String,
}

#[derive(Debug, PartialEq, Serialize)]
struct Tree(Vec<Tree>);

fn hex(text: &str) -> Vec<u8> {
    match text.trim() {
        "-" => Vec::new(),
        text => text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect(),
    }
}

fn golden(name: &str) -> Vec<u8> {
    let prefix = format!("{name}: ");
    hex(VALUES.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap())
}

fn containers() -> Containers {
    let words = [("", 1), ("a", 2), ("ab", 3)];
    Containers {
        text: "grün".into(),
        bytes: vec![0, 255],
        numbers: vec![1, u32::MAX],
        array: [1, -1, 0],
        pair: (7, "x".into()),
        map: words.map(|(key, value)| (key.into(), value)).into(),
        some: Some(5),
        none: None,
        points: vec![Point { x: 1, y: 2 }, Point { x: -1, y: -2 }],
        rows: vec![vec![1], vec![]],
        flags: vec![true, false],
        here: Some(Box::new(1)),
    }
}

#[track_caller]
fn is_golden<T: Serialize + PartialEq + Debug>(name: &str, value: &T) {
    assert_eq!(to_bytes(value).unwrap(), golden(name), "{name}");
    assert_eq!(from_bytes::<T>(&golden(name)).unwrap(), *value, "{name}");
}

#[test]
fn values_have_the_bytes_of_the_golden_file() {
    let scalars = Scalars(
        1,
        0x203,
        0x405_0607,
        0x809_0a0b_0c0d_0e0f,
        -1,
        -2,
        -3,
        -4,
        1.5,
        -0.1,
        true,
        false,
        Color::Blue,
    );
    is_golden("scalars", &scalars);
    let sent = containers();
    assert_eq!(to_bytes(&sent).unwrap(), golden("containers"));
    // Skipped fields are not sent.
    let got = from_bytes::<Containers>(&golden("containers")).unwrap();
    assert_eq!(got, Containers { here: None, ..sent });
    is_golden("empty", &Containers::default());
    let node = TaskNode { root_: 3, depth_: 1, node_: 2 };
    is_golden("addresses", &(PoolId::new(5, 7), DomainQuery::local_hash(9), node));
}

#[test]
fn parameters_have_a_version_and_the_defaults_no_bytes() {
    let params = Params { level: 19, name: "zstd".into() };
    assert_eq!(params_to_bytes(&params).unwrap(), golden("params"));
    assert_eq!(params_from_bytes::<Params>(&golden("params")).unwrap(), params);
    assert_eq!(params_to_bytes(&Params::default()).unwrap(), golden("default_params"));
    assert_eq!(params_from_bytes::<Params>(&[]).unwrap(), Params::default());
}

#[derive(Debug, Default, PartialEq, Serialize, FromText)]
#[repr(u8)]
enum Mode {
    #[default]
    Fast,
    VerySmall,
}

#[derive(Debug, PartialEq, Serialize, PoolParams)]
struct Settings {
    level: i32,
    limit: Option<u64>,
    share: f64,
    exact: bool,
    mode: Mode,
    name: String,
    tiny: u8,
}

impl Default for Settings {
    fn default() -> Self {
        let (exact, mode, name) = (false, Mode::Fast, String::new());
        Settings { level: 3, limit: None, share: 0.5, exact, mode, name, tiny: 0 }
    }
}

#[test]
fn a_text_is_the_parameters_of_the_golden_file() {
    let mut seen = 0;
    for line in TEXTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (text, expected) = line.split_once(" => ").unwrap();
        let settings = Settings::from_any(text.as_bytes());
        if let Some(why) = expected.strip_prefix("! ") {
            assert_eq!(settings.unwrap_err().message(), why, "{line}");
        } else {
            let settings = settings.unwrap();
            let bytes = params_to_bytes(&settings).unwrap();
            assert_eq!(bytes, hex(expected), "{line}");
            assert_eq!(Settings::from_any(&bytes).unwrap(), settings);
        }
        seen += 1;
    }
    assert!(seen > 20, "only {seen} lines were read");
    let neither = Settings::from_any(b"name=\xff").unwrap_err();
    assert!(neither.message().contains("neither text"), "{neither}");
}

fn error<T: Serialize + Debug>(bytes: &[u8]) -> String {
    let status = from_bytes::<T>(bytes).unwrap_err();
    assert_eq!(status.code(), CHI_INVALID);
    status.message().to_owned()
}

#[test]
fn malformed_bytes_give_the_errors_of_the_golden_file() {
    let mut seen = 0;
    for line in MALFORMED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (what, rest) = line.split_once(": ").unwrap();
        let (bytes, expected) = rest.split_once(": ").unwrap();
        let bytes = hex(bytes);
        let got = match what {
            "u32" => error::<u32>(&bytes),
            "bool" => error::<bool>(&bytes),
            "optional" => error::<Option<u32>>(&bytes),
            "text" => error::<String>(&bytes),
            "numbers" => error::<Vec<u32>>(&bytes),
            "points" => error::<Vec<Point>>(&bytes),
            "map" => error::<BTreeMap<String, u64>>(&bytes),
            "tree" => error::<Tree>(&bytes),
            "params" => params_from_bytes::<Params>(&bytes).unwrap_err().message().to_owned(),
            other => panic!("no type {other}"),
        };
        assert_eq!(got, expected, "{line}");
        seen += 1;
    }
    assert!(seen > 15, "only {seen} lines were read");
}

#[test]
fn a_number_that_an_enum_does_not_have_is_refused() {
    assert_eq!(from_bytes::<Color>(&[1, 0]).unwrap(), Color::Red);
    assert_eq!(error::<Color>(&[2, 0]), "the number 2 at byte 0 is not a value of Color");
}

#[test]
fn text_is_utf_8() {
    assert_eq!(
        error::<(u8, String)>(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0xff]),
        "the text at byte 9 is not UTF-8"
    );
}

#[test]
fn a_value_that_could_not_be_read_is_not_written_either() {
    let mut tree = Tree(Vec::new());
    for _ in 0..64 {
        tree = Tree(vec![tree]);
    }
    let status = to_bytes(&tree).unwrap_err();
    assert_eq!(status.message(), "structs are nested more than 64 levels deep at byte 512");
    let Tree(mut inner) = tree;
    let tree = inner.pop().unwrap();
    assert_eq!(from_bytes::<Tree>(&to_bytes(&tree).unwrap()).unwrap(), tree);
}

#[derive(ShmElement, SerializeInPlace)]
#[repr(C)]
struct Entry {
    name: ShmString,
    size: Cell<u64>,
    data: ShmBytes,
    tags: ShmVec<ShmString>,
    #[chi(skip)]
    here: Cell<u64>,
}

#[chimaera::task]
struct SendTask {
    #[chi(in)]
    key: ShmString,
    #[chi(in)]
    numbers: ShmVec<u32>,
    #[chi(in)]
    words: ShmVec<ShmString>,
    #[chi(in)]
    entries: ShmVec<Entry>,
    #[chi(inout)]
    turns: Cell<u32>,
    #[chi(skip)]
    reserved: u32,
    #[chi(out)]
    sums: ShmVec<f64>,
    #[chi(out)]
    pool: Cell<PoolId>,
    #[chi(out)]
    found: ShmString,
}

fn save(task: &SendTask, f: fn(&SendTask, &mut SaveArchive<'_>) -> Result<()>) -> Result<Vec<u8>> {
    let mut memory = MemoryArchive::new(&[]);
    // SAFETY: the archive is alive, and this function's alone.
    let mut archive = unsafe { SaveArchive::over(&raw mut memory.base) }?;
    f(task, &mut archive)?;
    archive.flush()?;
    Ok(memory.bytes)
}

fn load(
    task: &SendTask,
    f: fn(&SendTask, &mut LoadArchive<'_>) -> Result<()>,
    bytes: &[u8],
) -> Result<()> {
    let mut memory = MemoryArchive::new(bytes);
    // SAFETY: the archive is alive, and this function's alone; the task is alive.
    let mut archive = unsafe { LoadArchive::over(&raw mut memory.base, task.base().as_ptr()) }?;
    f(task, &mut archive)?;
    archive.finish()
}

fn new_task() -> NewTask<SendTask> {
    chimaera::ipc().unwrap().new_task(PoolId::new(7, 1), DomainQuery::dynamic(), 10).unwrap()
}

fn nobody(_: *mut chi_task) -> (chi_status, String) {
    unreachable!("no task is submitted")
}

#[test]
fn a_task_has_the_bytes_of_the_golden_file_and_comes_back_from_them() {
    let _ipc = FakeIpc::new(nobody);
    let ways = SendTask::SERIALIZERS.unwrap();
    let task = new_task();
    task.key.set("key").unwrap();
    task.numbers.set(&[1, 2, 3]).unwrap();
    task.words.set_all(&["one", "", "three"]).unwrap();
    task.entries.resize(2).unwrap();
    task.turns.set(4);
    let got = load(&task, ways.load_in, &golden("task_in"));
    assert_eq!(got, Ok(()));
    let entry = task.entries.element(0).unwrap();
    assert_eq!(entry.name.to_string().unwrap(), "e");
    assert_eq!((entry.size.get(), entry.data.copy_to_vec().unwrap()), (9, vec![1, 2]));
    assert_eq!(entry.tags.to_strings(100).unwrap(), ["t"]);
    assert_eq!(save(&task, ways.save_in).unwrap(), golden("task_in"));

    load(&task, ways.load_out, &golden("task_out")).unwrap();
    assert_eq!((task.turns.get(), task.pool.get()), (5, PoolId::new(1, 0)));
    assert_eq!(task.sums.copy_to_vec().unwrap(), [0.5]);
    assert_eq!(task.found.to_string().unwrap(), "found");
    assert_eq!(save(&task, ways.save_out).unwrap(), golden("task_out"));

    // A new task that is read from bytes, and one that is filled by hand.
    let fresh = new_task();
    load(&fresh, ways.load_in, &golden("task_in")).unwrap();
    assert_eq!(save(&fresh, ways.save_in).unwrap(), golden("task_in"));
    assert_eq!(fresh.words.to_strings(100).unwrap(), ["one", "", "three"]);
    assert_eq!(fresh.numbers.copy_to_vec().unwrap(), [1, 2, 3]);
}

#[test]
fn large_bytes_go_in_pieces() {
    let _ipc = FakeIpc::new(nobody);
    let ways = SendTask::SERIALIZERS.unwrap();
    let task = new_task();
    let long: String = (0..300_000u32).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    task.key.set(&long).unwrap();
    let bytes = save(&task, ways.save_in).unwrap();
    let fresh = new_task();
    load(&fresh, ways.load_in, &bytes).unwrap();
    assert_eq!(fresh.key.to_string().unwrap(), long);
}

#[test]
fn no_prefix_of_a_task_is_a_task() {
    let _ipc = FakeIpc::new(nobody);
    let ways = SendTask::SERIALIZERS.unwrap();
    let whole = golden("task_in");
    for length in 0..whole.len() {
        let status = load(&new_task(), ways.load_in, &whole[..length]).unwrap_err();
        assert_eq!(status.code(), CHI_INVALID, "{length} bytes: {status}");
    }
}

#[test]
fn fields_of_tasks_are_read_into_tasks_only() {
    let _ipc = FakeIpc::new(nobody);
    let task = new_task();
    let ways = SendTask::SERIALIZERS.unwrap();
    let status: Status =
        (ways.load_in)(&task, &mut LoadArchive::new(&golden("task_in"))).unwrap_err();
    assert_eq!(status.code(), CHI_INVALID);
}

#[chimaera::task]
struct SilentTask {
    number: Cell<u64>,
}

#[chimaera::task]
struct BareTask;

#[test]
fn only_tasks_that_say_so_are_sent() {
    assert!(SilentTask::SERIALIZERS.is_none());
    assert!(BareTask::SERIALIZERS.is_some(), "there is nothing to say");
}
