//! States go over to successors, and daemons are killed meanwhile, under clients in processes of their
//! own that keep tasks in flight. Each task must end once, and the state must be what they add up to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chimaera::{Ipc, NewTask, PoolId};
use chimaera_test_life_client::{self as life, CheckTask, ValueTask};
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::{
    artefacts, connect, in_client, process, rounds, tally, Call, Daemon, Options, Output, Running,
    Site,
};
use serde_json::Value;

/// How many clients there are, and how many tasks each keeps in flight.
const CLIENTS: u64 = 4;
const DEPTH: u64 = 64;

/// The versions of the module, each of which takes the state of any other.
fn versions() -> [PathBuf; 4] {
    [
        artefacts::test_module("life_2"),
        artefacts::rust_life(1),
        artefacts::rust_life(2),
        artefacts::test_module("life"),
    ]
}

fn cpp() -> Options {
    Options::new().file(artefacts::test_module("life"))
}

fn rust() -> Options {
    Options::new().file(artefacts::rust_life(1))
}

/// What `kCheck` says of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    count: u64,
    entries: (u64, u64, u64),
    blob: (u64, u64),
}

fn check(ipc: Ipc, pool: PoolId) -> (State, u32) {
    let task: NewTask<CheckTask> = ipc.task(pool, life::CHECK);
    let task = task.call().unwrap();
    let entries = (task.n_entries.get(), task.entries_sum.get(), task.entries_hash.get());
    let blob = (task.blob_size.get(), task.blob_hash.get());
    (State { count: task.count.get(), entries, blob }, task.migrated.get() + task.upgraded.get())
}

fn call(ipc: Ipc, pool: PoolId, method: u32, value: u64) {
    let task: NewTask<ValueTask> = ipc.task(pool, method);
    task.value.set(value);
    task.call().unwrap();
}

/// Clients that keep tasks of the pool "life" in flight.
struct Clients(Vec<Running>);

impl Clients {
    /// Starts them, and waits until their tasks are in flight.
    fn start(site: &Site) -> Clients {
        let client = |number: u64| {
            let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-load"));
            let (number, depth) = (number.to_string(), DEPTH.to_string());
            Running::start(command.args(["keep", "life", &number, &depth, "all"]))
        };
        let mut clients: Vec<Running> = (0..CLIENTS).map(client).collect();
        for client in &mut clients {
            assert_eq!(client.line().as_deref(), Some("ready"));
        }
        Clients(clients)
    }

    /// Lets their tasks end. Returns what each says; each has checked its own tasks.
    fn end(self) -> Vec<Value> {
        let mut clients = self.0;
        clients.iter_mut().for_each(Running::close);
        clients.iter_mut().map(Clients::last).collect()
    }

    /// What a client says at its end, by itself.
    fn last(client: &mut Running) -> Value {
        let said = client.line().expect("it prints what has come of its tasks");
        assert_eq!(client.end(), 0);
        serde_json::from_str(&said).unwrap()
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// What a pool must have after `FILL` of so many entries, and the tasks of the clients.
fn expected(fill: u64, clients: &[Value]) -> (u64, (u64, u64, u64)) {
    let mut entries: BTreeMap<String, u64> = (0..fill).map(|i| (life::fill_name(i), 1)).collect();
    for client in clients {
        assert_eq!(client["sent"], client["ok"], "all have succeeded");
        for (name, added) in client["entries"].as_object().unwrap() {
            entries.insert(name.clone(), number(added));
        }
        let subtasks = number(&client["subtasks"]);
        if subtasks > 0 {
            *entries.entry("sub".into()).or_default() += subtasks;
        }
    }
    let sum = entries.values().sum();
    (sum, (entries.len() as u64, sum, life::hash_of_entries(&entries)))
}

fn upgrade(site: &Site, file: &Path) -> Output {
    let file = file.to_str().unwrap();
    site.cli(&["module", "upgrade", life::MODULE, file, "--timeout", "50", "--json"])
}

fn migrate(site: &Site) -> Output {
    site.cli(&["pool", "migrate", "life", "--timeout", "50", "--json"])
}

/// Changes the pool's code and place again and again under load. The state has this many entries of 1000
/// bytes each, and a blob of this many bytes.
fn change_under_load(site: &Site, fill: u64, blob: u64, changes: usize) {
    let ipc = connect();
    let pool = ipc.create_pool(life::MODULE, "life", b"").unwrap();
    call(ipc, pool, life::FILL, fill);
    call(ipc, pool, life::GROW, blob);
    let before = check(ipc, pool).0;
    assert_eq!((before.count, before.entries.0, before.blob.0), (fill, fill, blob));
    let clients = Clients::start(site);
    let versions = versions();
    for round in 0..changes {
        // Upgrades, and a migration of each version.
        let done = match round % 2 {
            0 => upgrade(site, &versions[round / 2 % versions.len()]),
            _ => migrate(site),
        };
        let done = done.ok().json();
        assert!(number(&done["state_bytes"]) >= fill * 1000 + blob, "{done}");
    }
    let clients = clients.end();
    let (after, changed) = check(ipc, pool);
    let (count, entries) = expected(fill, &clients);
    assert_eq!(after, State { count, entries, ..before });
    assert_eq!(changed, 1, "it is a successor, which was told so once");
    tally("tasks counted", clients.iter().map(|client| number(&client["sent"])).sum());
}

/// Tasks that wait for subtasks, hold locks, wait for them, or have pollers when a change begins end before
/// it; those that come later end after it.
#[test]
fn states_of_modules_in_cpp_and_rust_go_over_under_load() {
    in_client!(cpp(), |site| change_under_load(site, 2000, 1 << 20, rounds(16, 200)));
}

#[test]
fn a_pool_that_began_in_rust_goes_over_under_load() {
    in_client!(rust(), |site| change_under_load(site, 100, 1 << 10, rounds(8, 100)));
}

/// A gigabyte in a soak, else a smaller state.
#[test]
fn a_large_state_goes_over_under_load() {
    let whole = std::env::var_os("CHI_SOAK").is_some();
    let bytes: u64 = if whole { 1 << 30 } else { 32 << 20 };
    in_client!(cpp(), |site| change_under_load(site, bytes / 2000, bytes / 2, 4));
}

/// Changes that fail, each in another step, leave the old container with its state, and no client notices.
fn fail_under_load(site: &Site) {
    let ipc = connect();
    for fail in ["create", "load", "migrate", "save"] {
        let params = format!("fail={fail}");
        let pool = ipc.create_pool(life::MODULE, "life", params.as_bytes()).unwrap();
        let clients = Clients::start(site);
        for round in 0..rounds(3, 50) {
            // Version 2 is always a successor, so that its `Create` fails, too.
            let failed = match round % 3 {
                0 => migrate(site),
                1 => upgrade(site, &artefacts::test_module("life_2")),
                _ => upgrade(site, &artefacts::rust_life(2)),
            };
            assert_eq!(failed.code, 1, "{fail}: {failed:?}");
        }
        let clients = clients.end();
        let (after, changed) = check(ipc, pool);
        let (count, entries) = expected(0, &clients);
        assert_eq!((after.count, after.entries), (count, entries), "{fail}");
        assert_eq!(changed, 0, "{fail}: it is the old one");
        ipc.destroy_pool(pool).unwrap();
    }
}

#[test]
fn changes_that_fail_under_load_cost_no_task() {
    in_client!(cpp(), fail_under_load);
}

#[test]
fn changes_that_fail_under_load_cost_no_task_in_rust() {
    in_client!(rust(), fail_under_load);
}

/// Runs the client that fills pools and describes them.
fn client(site: &Site, args: &[&str]) -> Output {
    process::run(site.command(env!("CARGO_BIN_EXE_chi-test-load")).args(args)).ok()
}

/// What a pool's state must be, whatever happened: nothing is half there.
fn assert_whole(site: &Site, pool: &str, fill: u64, blob: u64) {
    let state = client(site, &["state", pool]).json();
    assert_eq!(state["count"], state["sum"], "{state}");
    assert!(number(&state["entries"]) >= fill && state["bytes"] == blob, "{state}");
}

/// The names of the files in the directory of the instances.
fn files_of_instances(site: &Site) -> Vec<OsString> {
    let files = std::fs::read_dir(site.path().join("chimaera")).unwrap();
    let mut names: Vec<OsString> = files.map(|file| file.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Daemons are killed at random moments of upgrades, migrations, and while pools are saved and loaded.
/// The calls of clients end, what was saved is whole, and the next daemon starts in the same place.
#[test]
fn a_daemon_that_is_killed_amid_a_change_leaves_nothing_half() {
    const FILL: u64 = 3000;
    const BLOB: u64 = 4 << 20;
    let site = Site::new();
    let path = |name: &str| site.path().join(name).to_str().unwrap().to_owned();
    let (first, saved, part) = (path("first"), path("saved"), path("saved.part"));
    let modules = site.directory_of("modules", &[artefacts::test_module("life")]);
    let options = Options::new().repo_path(modules);
    {
        let daemon = Daemon::start_at(site.clone(), &options);
        daemon.cli(&["pool", "create", "life", "--module", life::MODULE]).ok();
        client(&site, &["fill", "life", &FILL.to_string(), &BLOB.to_string()]);
        daemon.cli(&["pool", "save", "life", &first]).ok();
    }
    let stopped = files_of_instances(&site);
    let file = artefacts::test_module("life_2");
    let upgrade = ["module", "upgrade", life::MODULE, file.to_str().unwrap()];
    let changes: [&[&str]; 4] = [
        &upgrade,
        &["pool", "migrate", "life"],
        &["pool", "save", "life", &saved],
        &["pool", "load", &first, "--pool", "copy"],
    ];
    let mut random = Random::new(seed());
    for round in 0..rounds(12, 400) {
        let mut daemon = Daemon::start_at(site.clone(), &options);
        // What the last round left is whole, or absent.
        if Path::new(&saved).exists() {
            daemon.cli(&["pool", "load", &saved, "--pool", "left"]).ok();
            assert_whole(&site, "left", FILL, BLOB);
        }
        if Path::new(&part).exists() {
            let output = daemon.cli(&["pool", "load", &part, "--pool", "part"]);
            match output.code {
                // It was written to its end, but not yet put in place.
                0 => assert_whole(&site, "part", FILL, BLOB),
                1 => assert!(output.stderr.contains("saved.part: "), "{output:?}"),
                _ => panic!("{output:?}"),
            }
        }
        daemon.cli(&["pool", "load", &first]).ok();
        let mut clients = Clients::start(&site);
        let args = [&["--name", site.name()][..], changes[round % changes.len()]].concat();
        let mut change: Command = site.command(artefacts::chimaera());
        let mut change = Running::start(change.args(args).stderr(std::process::Stdio::null()));
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        daemon.kill();
        // All of them end by themselves.
        let code = change.end();
        assert!((0..=3).contains(&code), "{code}");
        for client in &mut clients.0 {
            let said = Clients::last(client);
            assert!(number(&said["sent"]) - number(&said["ok"]) <= DEPTH, "{said}");
        }
        tally("daemons killed amid a change", 1);
    }
    let mut daemon = Daemon::start_at(site.clone(), &options);
    daemon.cli(&["pool", "load", &first]).ok();
    daemon.cli(&["pool", "save", "life", &saved]).ok();
    daemon.stop();
    assert_eq!(files_of_instances(&site), stopped, "those of killed daemons are gone");
    assert!(!Path::new(&part).exists(), "what was left over is gone");
    assert!(std::fs::read(&saved).unwrap() == std::fs::read(&first).unwrap());
}
