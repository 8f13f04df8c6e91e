//! The life of containers: their states go over to successors, and tasks wait meanwhile.

use std::collections::VecDeque;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chimaera::abi::{
    CHI_CANCELLED, CHI_DEADLINE, CHI_FAULT, CHI_NO_METHOD, CHI_REASON_CRASHED, CHI_VERSION,
};
use chimaera::{NewTask, Task};
use chimaera_test_life_client::{self as life, CheckTask, Fail, OldChangedTask};
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::{
    artefacts, bytes, connect, in_client, process, rounds, tally, text_of, Call, Daemon, LifePool,
    Options, Output, Running, Site,
};
use serde_json::{json, Value};

/// The module in C++.
fn options() -> Options {
    Options::new().file(artefacts::test_module("life"))
}

/// The same module in Rust.
fn rust_options() -> Options {
    Options::new().file(artefacts::rust_life(1))
}

/// Tests of the module in either language.
macro_rules! in_both_languages {
    ($($(#[$doc:meta])* fn $name:ident($site:ident) $body:block)*) => {
        mod cpp {
            use super::*;
            $($(#[$doc])* #[test] fn $name() { in_client!(options(), |$site| $body); })*
        }
        mod rust {
            use super::*;
            $($(#[$doc])* #[test] fn $name() { in_client!(rust_options(), |$site| $body); })*
        }
    };
}

/// Options with the module in processes of its own.
fn isolated(options: Options) -> Options {
    options.config("workers: 2\nmodule_hosts: {modules: [\"test:life\"]}\n")
}

/// Tests of the module in either language, in the daemon and in a process of its own.
macro_rules! wherever_it_runs {
    ($($(#[$doc:meta])* fn $name:ident($site:ident) $body:block)*) => {
        mod anywhere {
            use super::*;
            $($(#[$doc])* mod $name {
                use super::*;
                #[test] fn in_cpp() { in_client!(options(), |$site| $body); }
                #[test] fn in_rust() { in_client!(rust_options(), |$site| $body); }
                #[test] fn in_cpp_isolated() { in_client!(isolated(options()), |$site| $body); }
                #[test] fn in_rust_isolated() { in_client!(isolated(rust_options()), |$site| $body); }
            })*
        }
    };
}

/// What `kCheck` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    version: u32,
    extra: u64,
    upgraded: u32,
    old_version: String,
    count: u64,
    entries: u64,
    blob: (u64, u64),
    object: u64,
    migrated: u32,
    resumed: u32,
}

/// What tests compare of a pool.
trait Describe {
    /// Of container 0.
    fn state(self) -> State;
    fn state_of(self, container: u32) -> State;
}

impl Describe for LifePool {
    fn state(self) -> State {
        self.state_of(0)
    }

    fn state_of(self, container: u32) -> State {
        let task = self.check(container);
        State {
            version: task.version.get(),
            extra: task.extra.get(),
            upgraded: task.upgraded.get(),
            old_version: task.old_version.to_string().unwrap(),
            count: task.count.get(),
            entries: task.n_entries.get(),
            blob: (task.blob_size.get(), task.blob_hash.get()),
            object: task.object.get(),
            migrated: task.migrated.get(),
            resumed: task.resumed.get(),
        }
    }
}

fn migrate(site: &Site) -> Value {
    site.cli(&["pool", "migrate", "life", "--json"]).ok().json()
}

/// Waits until tasks for the pool are held.
fn until_draining(site: &Site) {
    process::until("the pool is draining", || {
        let pool = site.pool("life");
        (pool["state"] == "draining").then_some(())
    });
}

fn upgrade(site: &Site, file: &Path) -> Output {
    let file = file.to_str().unwrap();
    site.cli(&["module", "upgrade", life::MODULE, file, "--timeout", "5", "--json"])
}

/// Calls `change` while threads keep tasks in flight, each of which must succeed. Returns how many
/// tasks there were.
fn under_load(pool: LifePool, change: impl FnOnce()) -> u64 {
    const THREADS: u64 = 4;
    const DEPTH: usize = 64;
    let over = &AtomicBool::new(false);
    let client = move |thread: u64| {
        let (mut flying, mut sent) = (VecDeque::new(), 0);
        while !over.load(Ordering::Relaxed) || !flying.is_empty() {
            while flying.len() < DEPTH && !over.load(Ordering::Relaxed) {
                let method = if sent % 97 == 0 { life::SLOW } else { life::ADD };
                let task = pool.key(method, &format!("{thread} {}", sent % 10), 1, 2);
                flying.push_back(task.submit().unwrap());
                sent += 1;
            }
            if let Some(oldest) = flying.pop_front() {
                drop(oldest.wait().unwrap());
            }
        }
        sent
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || client(thread))).collect();
        // Whatever happens, the threads end.
        let changed = catch_unwind(AssertUnwindSafe(change));
        over.store(true, Ordering::Relaxed);
        let sent = clients.into_iter().map(|client| client.join().unwrap()).sum();
        changed.unwrap_or_else(|panic| resume_unwind(panic));
        sent
    })
}

fn save(site: &Site, file: &Path) -> Output {
    site.cli(&["pool", "save", "life", file.to_str().unwrap(), "--json"])
}

fn load(site: &Site, file: &Path, name: &str) -> Output {
    site.cli(&["pool", "load", file.to_str().unwrap(), "--pool", name])
}

/// A migration that does not happen. Returns why.
fn no_migration(site: &Site, more: &[&str]) -> String {
    let output = site.cli(&[&["pool", "migrate", "life"], more].concat());
    assert_eq!(output.code, 1, "{output:?}");
    output.stderr
}

wherever_it_runs! {
    /// A periodic task goes over between two runs.
    fn a_periodic_task_goes_over(site) {
        let pool = LifePool::new(connect(), "");
        let every = pool.key(life::ADD, "every", 1, 0);
        every.base().set_period(Duration::from_millis(5));
        let every = every.submit().unwrap();
        let mut before = 0;
        for _ in 0..rounds(5, 50) {
            migrate(site);
            // It runs again, in the successor.
            process::until("it runs", || (pool.state().count > before + 2).then_some(()));
            before = pool.state().count;
        }
        every.cancel().unwrap();
        assert_eq!(text_of(every.wait()).0, CHI_CANCELLED);
        let last = pool.state();
        assert!(last.count >= before && last.migrated == 1, "{last:?}");
    }

    /// A pool is saved to a file while it goes on, and another is created from it.
    fn a_pool_is_saved_to_a_file_and_created_from_it(site) {
        let pool = LifePool::new(connect(), "");
        for i in 0..100 {
            pool.add(&format!("key {i}"), i);
        }
        pool.value(life::GROW, 3 << 20, 0).call().unwrap();
        let before = pool.state();
        let file = site.path().join("saved");
        let done = save(site, &file).ok().json();
        assert!(done["state_bytes"].as_u64().unwrap() > 3 << 20, "{done}");
        assert_eq!(pool.state().object, before.object, "it goes on");
        pool.add("later", 1);
        let taken = load(site, &file, "life");
        assert!(taken.stderr.contains("pool 'life' already exists"), "{taken:?}");
        load(site, &file, "copy").ok();
        let copy = LifePool { ipc: pool.ipc, id: pool.ipc.find_pool("copy").unwrap() };
        let after = copy.state();
        assert_eq!((after.count, after.entries, after.blob), (before.count, before.entries, before.blob));
        assert_eq!((after.migrated, &*after.old_version), (1, "1.0.0"));
        site.cli(&["pool", "destroy", "life"]).ok();
        site.cli(&["pool", "load", file.to_str().unwrap()]).ok();
        let again = LifePool { ipc: pool.ipc, id: pool.ipc.find_pool("life").unwrap() };
        assert_eq!(again.state().count, before.count, "as it was when it was saved");
    }

    /// A new object has the state of the old one.
    fn a_container_is_migrated_with_its_state(site) {
        let pool = LifePool::new(connect(), "");
        for i in 0..100 {
            pool.add(&format!("key {i}"), i);
        }
        pool.value(life::GROW, 3 << 20, 0).call().unwrap();
        let before = pool.state();
        let done = migrate(site);
        assert_eq!(done["containers"], 1);
        assert!(done["state_bytes"].as_u64().unwrap() > 3 << 20, "{done}");
        let after = pool.state();
        assert_ne!(after.object, before.object);
        let migrated = State { object: after.object, migrated: 1, ..before };
        assert_eq!(after, State { old_version: "1.0.0".into(), ..migrated });
        assert_eq!(pool.add("key 7", 1), 4951);
    }

    /// Clients that keep tasks in flight notice nothing: each task ends once, and counts once.
    fn tasks_in_flight_end_once_each(site) {
        let pool = LifePool::new(connect(), "");
        let sent = under_load(pool, || (0..rounds(10, 100)).for_each(|_| drop(migrate(site))));
        let state = pool.state();
        assert_eq!(state.count, sent);
        assert_eq!(state.migrated, 1);
        tally("tasks counted", sent);
    }

    /// Tasks in the pool end before it is changed, with the subtasks that they send meanwhile, which are not

    /// held.
    fn tasks_in_the_pool_end_with_their_subtasks(site) {
        let pool = LifePool::new(connect(), "");
        let roots: Vec<_> =
            (0..5).map(|_| pool.value(life::SUB, 20, 10).submit().unwrap()).collect();
        let locked: Vec<_> =
            (0..5).map(|_| pool.key(life::LOCKED, "locked", 1, 10).submit().unwrap()).collect();
        let before = pool.state();
        migrate(site);
        for root in roots {
            drop(root.wait().unwrap());
        }
        locked.into_iter().for_each(|task| drop(task.wait().unwrap()));
        let after = pool.state();
        assert_eq!((after.count, after.entries), (105, 2));
        assert_ne!(after.object, before.object);
    }

    /// Tasks of one thread go to the successor in the order in which it sent them.
    fn held_tasks_keep_their_order(site) {
        let pool = LifePool::new(connect(), "");
        for _ in 0..rounds(5, 50) {
            // Long enough for a busy machine to see the pool draining.
            let slow = pool.submit_slow(site, 1000);
            std::thread::scope(|scope| {
                let change = scope.spawn(|| migrate(site));
                until_draining(site);
                let held: Vec<_> = (0..200)
                    .map(|_| pool.key(life::ADD, "order", 1, 0).submit().unwrap())
                    .collect();
                let entries: Vec<u64> =
                    held.into_iter().map(|task| task.wait().unwrap().result.get()).collect();
                assert!(entries.windows(2).all(|two| two[0] + 1 == two[1]), "{entries:?}");
                change.join().unwrap();
            });
            drop(slow.wait().unwrap());
        }
    }

    /// A change whose tasks do not end is given up, names them, and the pool goes on with the same object.
    fn a_change_is_given_up_when_tasks_do_not_end(site) {
        let pool = LifePool::new(connect(), "");
        let before = pool.state();
        let slow = pool.submit_slow(site, 3000);
        let late = pool.key(life::ADD, "late", 1, 0);
        late.base().set_deadline(Duration::from_millis(300));
        let cancelled = pool.key(life::ADD, "cancelled", 1, 0);
        std::thread::scope(|scope| {
            let change = scope.spawn(|| no_migration(site, &["--timeout", "1"]));
            until_draining(site);
            let (held, late) = (pool.key(life::ADD, "held", 1, 0), late.submit().unwrap());
            let (held, cancelled) = (held.submit().unwrap(), cancelled.submit().unwrap());
            let at = Instant::now();
            cancelled.cancel().unwrap();
            assert_eq!(text_of(cancelled.wait()).0, CHI_CANCELLED);
            assert_eq!(text_of(late.wait()).0, CHI_DEADLINE);
            assert!(at.elapsed() < Duration::from_millis(700), "{:?}", at.elapsed());
            let why = change.join().unwrap();
            assert!(
                why.contains("pool 'life' was not changed: it still has 1 task in flight"),
                "{why}"
            );
            assert!(why.contains("kSlow"), "{why}");
            assert_eq!(held.wait().unwrap().result.get(), 1);
        });
        assert_eq!(pool.state().object, before.object);
        drop(slow.wait().unwrap());
        assert_ne!(
            {
                migrate(site);
                pool.state().object
            },
            before.object
        );
    }
}

/// States that are larger than the memory budget go over, and leave nothing behind.
macro_rules! larger_than_the_memory {
    ($options:expr) => {
        in_client!($options.config("workers: 2\nlimits: {memory: 48MiB}\n"), |site| {
            let pool = LifePool::new(connect(), "");
            pool.add("key", 1);
            pool.value(life::GROW, 70 << 20, 0).call().unwrap();
            let before = pool.state();
            assert!(migrate(site)["state_bytes"].as_u64().unwrap() > 70 << 20);
            let file = site.path().join("saved");
            save(site, &file).ok();
            load(site, &file, "copy").ok();
            let copy = LifePool { ipc: pool.ipc, id: pool.ipc.find_pool("copy").unwrap() };
            for after in [pool.state(), copy.state()] {
                assert_eq!((after.count, &after.blob), (before.count, &before.blob));
            }
            let used = site.status()["memory"]["used_bytes"].as_u64().unwrap();
            assert!(used < 48 << 20, "{used}");
            let states = site.path().join("states").join(site.name());
            let left = std::fs::read_dir(states).map_or(0, Iterator::count);
            assert_eq!(left, 0, "files without names are gone");
        });
    };
}

#[test]
fn states_in_cpp_may_be_larger_than_the_memory_budget() {
    larger_than_the_memory!(options());
}

#[test]
fn states_in_rust_may_be_larger_than_the_memory_budget() {
    larger_than_the_memory!(rust_options());
}

in_both_languages! {
    /// The destructor of a container that has been replaced is in nobody's way.
    fn an_old_container_may_fail_to_be_destroyed(site) {
        let pool = LifePool::new(connect(), "");
        for (times, fail) in [(1, Fail::CrashDestructor), (2, Fail::HangDestructor)] {
            pool.value(life::FAIL, fail as u64, 0).call().unwrap();
            assert_eq!(pool.add("key", 1), times);
            let before = pool.state();
            assert_eq!(migrate(site)["containers"], 1);
            assert_ne!(pool.state().object, before.object);
        }
        assert_eq!(pool.add("key", 1), 3);
        migrate(site);
    }

    /// One of several containers is migrated; the others are the same objects as before.
    fn one_container_of_several_is_migrated(site) {
        let ipc = connect();
        site.cli(&["pool", "create", "life", "--module", life::MODULE, "--containers", "3"]).ok();
        let pool = LifePool { ipc, id: ipc.find_pool("life").unwrap() };
        for i in 0..300 {
            pool.add(&format!("key {i}"), 1);
        }
        let before: Vec<State> = (0..3).map(|n| pool.state_of(n)).collect();
        assert_eq!(before.iter().map(|one| one.count).sum::<u64>(), 300);
        let done = site.cli(&["pool", "migrate", "life", "--container", "1", "--json"]).ok().json();
        assert_eq!(done["containers"], 1);
        let after: Vec<State> = (0..3).map(|n| pool.state_of(n)).collect();
        assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
        assert_ne!(after[1].object, before[1].object);
        assert_eq!((after[1].count, after[1].entries), (before[1].count, before[1].entries));
        let why = no_migration(site, &["--container", "3"]);
        assert!(why.contains("pool 'life' has no container 3: it has 3, from 0"), "{why}");
    }

    /// Whatever fails, the old container goes on, with what it gave up.
    fn a_failure_leaves_the_old_container(site) {
        let ipc = connect();
        for (fail, text) in [
            ("create", "kCreate"),
            ("load", "cannot load the state"),
            ("migrate", "kMigrate"),
            ("save", "cannot save its state"),
            ("hang_load", "has not ended"),
            ("crash_load", "crashed"),
        ] {
            let pool = LifePool::new(ipc, &format!("fail={fail}"));
            pool.add("key", 5);
            let before = pool.state();
            let why = no_migration(site, &["--timeout", "2"]);
            assert!(why.contains(text), "{fail}: {why}");
            let after = pool.state();
            assert_eq!(after.object, before.object, "{fail}");
            assert_eq!(after.resumed, 1, "{fail}");
            assert_eq!(pool.add("key", 1), 6, "{fail}");
            site.cli(&["pool", "destroy", "life"]).ok();
        }
    }

    /// A container that cannot take back what it gave up takes no more tasks, and a reset makes it anew.
    fn a_container_that_cannot_resume_is_in_quarantine(site) {
        let pool = LifePool::new(connect(), "fail=load");
        pool.value(life::FAIL, Fail::Resume as u64, 0).call().unwrap();
        no_migration(site, &[]);
        let (status, text) = text_of(pool.key(life::ADD, "key", 1, 0).call());
        assert_eq!(status, CHI_FAULT, "{text}");
        assert!(text.contains("could not resume"), "{text}");
        site.cli(&["pool", "reset", "life"]).ok();
        assert_eq!(pool.add("key", 1), 1);
        let task: NewTask<CheckTask> = pool.ipc.task(pool.id, life::CHECK);
        let task = task.call().unwrap();
        assert_eq!((task.recovered.get(), task.reason.get()), (1, CHI_REASON_CRASHED));
        assert_eq!(task.old_version.to_string().unwrap(), "");
    }

    /// A container whose kRecover fails stays in quarantine.
    fn a_container_that_cannot_recover_stays_in_quarantine(site) {
        let pool = LifePool::new(connect(), "fail=recover");
        // It cannot resume, and so it is in quarantine.
        pool.value(life::FAIL, Fail::Save as u64, 0).call().unwrap();
        pool.value(life::FAIL, Fail::Resume as u64, 0).call().unwrap();
        no_migration(site, &[]);
        let output = site.cli(&["pool", "reset", "life"]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("kRecover"), "{output:?}");
        assert_eq!(text_of(pool.key(life::ADD, "key", 1, 0).call()).0, CHI_FAULT);
    }
}

#[test]
fn the_log_says_what_was_replaced_and_why() {
    let log = in_client!(options(), |site| {
        LifePool::new(connect(), "");
        migrate(site);
    });
    let Some(log) = log else { return };
    let line = "containers replaced pool=\"life\" why=\"migrated by `chimaera pool migrate`\"";
    assert!(log.contains(line), "{log}");
}

/// Modules that save no state say so.
#[test]
fn a_pool_without_state_is_not_migrated() {
    in_client!(Options::new().mod_name(), |site| {
        let module = "example:mod_name";
        connect().create_pool(module, "life", b"").unwrap();
        let why = no_migration(site, &[]);
        assert!(why.contains("does not save its state"), "{why}");
        let why = site.cli(&["pool", "migrate", "admin"]).stderr;
        assert!(why.contains("the admin pool has no state"), "{why}");
        let why = site.cli(&["pool", "migrate", "nobody"]).stderr;
        assert!(why.contains("there is no pool 'nobody'"), "{why}");
    });
}

/// A damaged or truncated file creates no pool, and says where it is damaged.
#[test]
fn a_damaged_file_creates_no_pool() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        for i in 0..200 {
            pool.add(&format!("key {i}"), i);
        }
        let file = site.path().join("saved");
        save(site, &file).ok();
        let good = std::fs::read(&file).unwrap();
        site.cli(&["pool", "destroy", "life"]).ok();
        let step = good.len() / rounds(40, 400) as usize + 1;
        for at in (0..good.len()).step_by(step) {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << (at % 8);
            for bytes in [&flipped[..], &good[..at]] {
                std::fs::write(&file, bytes).unwrap();
                let output = load(site, &file, "life");
                assert_eq!(output.code, 1, "byte {at}: {output:?}");
                assert!(output.stderr.contains("saved: "), "byte {at}: {output:?}");
            }
        }
        let pools = site.cli(&["pool", "list", "--json"]).ok().json();
        assert_eq!(pools.as_array().unwrap().len(), 1, "only the admin pool: {pools}");
        std::fs::write(&file, &good).unwrap();
        load(site, &file, "life").ok();
    });
}

/// A file with more behind its end is none, and what is no file keeps nobody waiting.
#[test]
fn what_is_no_saved_pool_is_refused() {
    in_client!(options(), |site| {
        let longer = site.path().join("longer");
        std::fs::write(&longer, [saved_pool(100), vec![0]].concat()).unwrap();
        let pipe = site.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for (file, text) in [
            (&longer, "longer: it does not end where it should"),
            (&pipe, "pipe: it is not a regular file"),
            (&site.path().to_owned(), "it is not a regular file"),
        ] {
            let output = load(site, file, "life");
            assert_eq!(output.code, 1, "{output:?}");
            assert!(output.stderr.contains(text), "{output:?}");
        }
        std::fs::write(&longer, saved_pool(100)).unwrap();
        load(site, &longer, "life").ok();
    });
}

/// The bytes of a saved pool of one container, as docs/wire-format.md describes them: a count of 7, one
/// entry, and a blob.
fn saved_pool(blob: usize) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let mut head = ["life", life::MODULE, "1.0.0", ""].map(text).concat();
    head.extend(1u32.to_le_bytes());
    let long = |value: u64| value.to_le_bytes();
    let entries = [&long(1)[..], &long(3), b"key", &long(7)].concat();
    let blob = [&long(blob as u64)[..], &bytes(blob)].concat();
    let fields = [(1u32, long(7).to_vec()), (2, entries), (3, blob)];
    let chunks = fields.iter().flat_map(|(field, bytes)| {
        bytes.chunks(1 << 20).map(move |bytes| {
            let place = [field.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
            let sum = crc32c::crc32c(&[&place, bytes].concat());
            [&place, &sum.to_le_bytes()[..], bytes].concat()
        })
    });
    let chunks: Vec<Vec<u8>> = chunks.collect();
    let sum = crc32c::crc32c(&head).to_le_bytes();
    let count = long(chunks.len() as u64);
    [b"ChiPool\x01", &head[..], &sum, &count, &chunks.concat(), b"PoolEnd\x01"].concat()
}

/// A file that is written as the documents say is a pool, and is what the runtime writes.
#[test]
fn a_file_as_documented_is_a_pool() {
    in_client!(options(), |site| {
        let file = site.path().join("saved");
        let written = saved_pool(3 << 20);
        std::fs::write(&file, &written).unwrap();
        load(site, &file, "life").ok();
        let pool = LifePool { ipc: connect(), id: connect().find_pool("life").unwrap() };
        let state = pool.state();
        assert_eq!((state.count, state.entries, state.blob.0), (7, 1, 3 << 20));
        save(site, &file).ok();
        assert!(std::fs::read(&file).unwrap() == written);
    });
}

/// A daemon that is killed while it saves a pool leaves the file as it was, or the new one.
#[test]
fn a_killed_daemon_leaves_a_whole_file() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    std::fs::write(&from, saved_pool(8 << 20)).unwrap();
    let (old, new) = (b"the one before".to_vec(), saved_pool(8 << 20));
    let mut random = Random::new(seed());
    for _ in 0..rounds(6, 200) {
        std::fs::write(&to, &old).unwrap();
        let mut daemon = Daemon::start(&options());
        load(daemon.site(), &from, "life").ok();
        let saving = Running::start(daemon.site().command(artefacts::chimaera()).args([
            "--name",
            daemon.site().name(),
            "pool",
            "save",
            "life",
            to.to_str().unwrap(),
        ]));
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        daemon.kill();
        drop(saving);
        let left = std::fs::read(&to).unwrap();
        assert!(left == old || left == new, "{} bytes", left.len());
        tally("daemons killed over a saved pool", 1);
    }
}

/// Whoever looks is told what has crashed, also if that was the second crash: loading may have crashed before.
#[test]
fn a_container_that_crashes_in_resume_is_in_quarantine() {
    in_client!(options(), |site| {
        const CRASH_RESUME: u64 = 13;
        for first in ["fail=load", "fail=crash_load"] {
            let pool = LifePool::new(connect(), first);
            pool.value(life::FAIL, CRASH_RESUME, 0).call().unwrap();
            let before = Instant::now();
            let why = no_migration(site, &[]);
            assert!(before.elapsed() < Duration::from_secs(25), "it waited for its bound");
            let crashed =
                "the resumption of a container of pool 'life' crashed: SIGSEGV at 0x0 in ";
            assert!(why.contains(crashed), "{first}: {why}");
            let (status, text) = text_of(pool.key(life::ADD, "key", 1, 0).call());
            assert_eq!(status, CHI_FAULT, "{text}");
            assert!(text.contains(&format!("it has not resumed: {crashed}")), "{text}");
            connect().destroy_pool(pool.id).unwrap();
        }
    });
}

/// A container that does not come back from resuming is in quarantine at the bound, and the change answers.
#[test]
fn a_container_that_hangs_in_resume_is_given_up() {
    in_client!(options(), |site| {
        const HANG_RESUME: u64 = 9;
        let pool = LifePool::new(connect(), "fail=load");
        pool.value(life::FAIL, HANG_RESUME, 0).call().unwrap();
        let why = no_migration(site, &["--timeout", "1"]);
        assert!(why.contains("have not taken back"), "{why}");
        let (status, text) = text_of(pool.key(life::ADD, "key", 1, 0).call());
        assert_eq!(status, CHI_FAULT, "{text}");
        assert!(text.contains("it has not resumed"), "{text}");
        site.cli(&["pool", "reset", "life"]).ok();
        assert_eq!(pool.add("key", 1), 1);
    });
}

/// Nobody else can make the runtime write elsewhere, or read what it writes.
#[test]
fn a_saved_pool_is_private_and_follows_no_link() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        pool.add("key", 1);
        let (file, other) = (site.path().join("saved"), site.path().join("other"));
        std::fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, site.path().join("saved.part")).unwrap();
        save(site, &file).ok();
        assert_eq!(std::fs::read(&other).unwrap(), b"precious");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

/// A device or a pipe is for something else.
#[test]
fn a_saved_pool_replaces_no_special_file() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        pool.add("key", 1);
        let pipe = site.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let refused = save(site, &pipe);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("is not a regular file"), "{refused:?}");
        assert!(!std::fs::metadata(&pipe).unwrap().is_file());
    });
}

/// A version in a directory that others can write is not loaded.
#[test]
fn a_version_that_others_could_replace_is_refused() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let directory = site.directory_of("open", &[]);
        std::fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
        let file = directory.join("liblife_2.so");
        std::fs::copy(artefacts::test_module("life_2"), &file).unwrap();
        let output = upgrade(site, &file);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("can write to"), "{output:?}");
        assert_eq!(pool.state().version, 1);
    });
}

/// A file that cannot be written changes nothing, and leaves nothing behind.
#[test]
fn a_file_that_cannot_be_written_changes_nothing() {
    // The segments of clients are files as well, of 128 MiB.
    in_client!(options().file_size(130 << 20), |site| {
        let pool = LifePool::new(connect(), "");
        pool.value(life::GROW, 140 << 20, 0).call().unwrap();
        let before = pool.state();
        let (file, nowhere) = (site.path().join("saved"), site.path().join("nowhere/saved"));
        for file in [&file, &nowhere] {
            let output = save(site, file);
            assert_eq!(output.code, 1, "{output:?}");
            assert!(output.stderr.contains(file.to_str().unwrap()), "{output:?}");
        }
        assert!(!file.exists() && !site.path().join("saved.part").exists());
        let after = pool.state();
        assert_eq!((after.object, after.count), (before.object, before.count));
    });
}

/// Pools go over to another version of their module, with their states, and new pools have it.
#[test]
fn a_module_is_upgraded_with_the_states_of_its_pools() {
    in_client!(options(), |site| {
        let ipc = connect();
        let pool = LifePool::new(ipc, "");
        let id = ipc.create_pool(life::MODULE, "other", b"fail=none").unwrap();
        let other = LifePool { ipc, id };
        for i in 0..10 {
            pool.add(&format!("key {i}"), i);
            other.add("key", 1);
        }
        let before = [pool.state(), other.state()];
        let done = upgrade(site, &artefacts::test_module("life_2")).ok().json();
        assert_eq!((&done["from"], &done["to"]), (&json!("1.0.0"), &json!("2.0.0")));
        assert_eq!(done["containers"], 2);
        for (pool, before) in [pool, other].into_iter().zip(before) {
            let after = pool.state();
            assert_eq!((after.version, after.extra, after.upgraded), (2, 4000, 1));
            assert_eq!((after.count, after.entries), (before.count, before.entries));
            assert_eq!(after.old_version, "1.0.0");
        }
        let modules = site.cli(&["modules", "--json"]).ok().json();
        let module = &modules["loaded"][0];
        assert_eq!(module["version"], "2.0.0");
        assert_eq!(module["pools"].as_array().unwrap().len(), 2);
        assert!(module["pools"].as_array().unwrap().iter().all(|pool| pool["version"] == "2.0.0"));
        let text = site.cli(&["modules"]).ok().stdout;
        assert!(text.contains("\n    pool other: version 2.0.0 for "), "{text}");
        let new = LifePool { ipc, id: ipc.create_pool(life::MODULE, "new", b"").unwrap() };
        assert_eq!(new.state().version, 2);
        // The pools are found with the parameters that they were created with.
        assert_eq!(ipc.create_pool(life::MODULE, "other", b"fail=none").unwrap(), id);
    });
}

/// Clients that were built against the old version go on where tasks are the same, and learn where they
/// are not; methods that are gone say so.
#[test]
fn clients_of_the_old_version_are_told_what_has_changed() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let old = pool.value(life::OLD, 0, 0).call().unwrap();
        assert_eq!(old.result.get(), 1);
        let changed: NewTask<OldChangedTask> = pool.ipc.task(pool.id, life::CHANGED);
        changed.value.set(7);
        let changed = changed.call().unwrap();
        assert_eq!(changed.result.get(), 7);
        upgrade(site, &artefacts::test_module("life_2")).ok();
        assert_eq!(text_of(pool.value(life::OLD, 0, 0).call()).0, CHI_NO_METHOD);
        let again: NewTask<OldChangedTask> = pool.ipc.task(pool.id, life::CHANGED);
        let (status, text) = text_of(again.call());
        assert_eq!(status, CHI_VERSION, "{text}");
        assert!(
            text.contains("client built from another description of test:life kChanged"),
            "{text}"
        );
        // One that was used before does not say which layout it has.
        let (status, text) = text_of(changed.reuse().call());
        assert_eq!(status, CHI_VERSION, "{text}");
    });
}

/// If a version is refused or fails, all pools go on with the old one.
#[test]
fn an_upgrade_that_fails_leaves_all_pools_as_they_were() {
    in_client!(options(), |site| {
        let ipc = connect();
        let pool = LifePool::new(ipc, "");
        let id = ipc.create_pool(life::MODULE, "other", b"fail=migrate").unwrap();
        let other = LifePool { ipc, id };
        pool.add("key", 1);
        other.add("key", 2);
        let before = [pool.state(), other.state()];
        for (file, text) in [
            (artefacts::test_module("life_2"), "kUpgrade"),
            (artefacts::test_module("crash"), "it is the module test:crash, not test:life"),
            (artefacts::test_module("abi_major"), "built for ABI"),
            (artefacts::test_module("throws_static"), "threw"),
            (artefacts::test_module("no_symbols"), "not a module"),
        ] {
            let output = upgrade(site, &file);
            assert_eq!(output.code, 1, "{output:?}");
            assert!(output.stderr.contains(text), "{}: {}", file.display(), output.stderr);
            let after = [pool.state(), other.state()];
            assert_eq!(
                after.clone().map(|state| state.object),
                before.clone().map(|state| state.object)
            );
            assert_eq!(after.map(|state| state.version), [1, 1]);
        }
        let output = site.cli(&["module", "upgrade", "test:nothing", "/bin/true"]);
        assert!(output.stderr.contains("there is no module 'test:nothing'"), "{output:?}");
        site.cli(&["pool", "destroy", "other"]).ok();
        upgrade(site, &artefacts::test_module("life_2")).ok();
        assert_eq!(pool.state().version, 2);
    });
}

/// Clients that keep tasks in flight notice nothing of upgrades, from C++ to C++ and to Rust and back.
#[test]
fn upgrades_under_load_lose_no_task() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let files = [
            artefacts::test_module("life_2"),
            artefacts::rust_life(1),
            artefacts::rust_life(2),
            artefacts::test_module("life"),
        ];
        let sent = under_load(pool, || {
            for round in 0..rounds(8, 100) as usize {
                upgrade(site, &files[round % files.len()]).ok();
            }
        });
        let state = pool.state();
        assert_eq!(state.count, sent);
        assert_eq!(state.upgraded, 1);
        tally("tasks counted", sent);
    });
}

/// A file that is overwritten while it is loaded is not another version: it is said what to do.
#[test]
fn a_loaded_file_that_is_overwritten_is_refused() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let file = site.path().join("mine.so");
        std::fs::copy(artefacts::test_module("life_2"), &file).unwrap();
        upgrade(site, &file).ok();
        std::fs::copy(artefacts::test_module("life"), &file).unwrap();
        let output = upgrade(site, &file);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("this file is loaded already"), "{output:?}");
        assert_eq!(pool.state().version, 2);
    });
}

/// A version that is put in the place of the old file is loaded, again and again.
#[test]
fn versions_may_replace_each_other_at_one_path() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let file = site.path().join("modules/liblife.so");
        for round in 0..4 {
            let version = ["life_2", "life"][round % 2];
            let new = site.path().join("new.so");
            std::fs::copy(artefacts::test_module(version), &new).unwrap();
            std::fs::rename(&new, &file).unwrap();
            upgrade(site, &file).ok();
            assert_eq!(pool.state().version, [2, 1][round % 2]);
            assert_eq!(pool.add("key", 1), round as u64 + 1);
        }
        let modules = site.cli(&["modules"]).ok().stdout;
        assert!(!modules.contains("has been"), "{modules}");
    });
}

/// A module in C++ has a successor in Rust, with its state.
#[test]
fn a_version_may_be_in_another_language() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        for i in 0..1000 {
            pool.add(&format!("key {}", i % 100), i);
        }
        pool.value(life::GROW, 5 << 20, 0).call().unwrap();
        let before = pool.state();
        for (file, version) in [
            (artefacts::rust_life(2), 2),
            (artefacts::test_module("life_2"), 2),
            (artefacts::rust_life(1), 1),
        ] {
            upgrade(site, &file).ok();
            let after = pool.state();
            assert_eq!((after.version, after.count), (version, before.count));
            assert_eq!((after.entries, after.blob), (before.entries, before.blob));
        }
        assert_eq!(pool.key(life::GET, "key 7", 0, 0).call().unwrap().result.get(), 4570);
    });
}
