//! The life of containers: their states go over to successors, and tasks wait meanwhile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_CANCELLED, CHI_DEADLINE, CHI_FAULT};
use chimaera::{DomainQuery, Ipc, NewTask, Pending, PoolId, Task};
use chimaera_tests::tasks::life::{self, CheckTask, KeyTask, ValueTask};
use chimaera_tests::{artefacts, connect, in_client, rounds, tally, text_of, Call, Options, Site};
use serde_json::Value;

fn options() -> Options {
    Options::new().file(artefacts::test_module("life"))
}

#[derive(Clone, Copy)]
struct Pool {
    ipc: Ipc,
    id: PoolId,
}

/// What `kCheck` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    count: u64,
    entries: u64,
    blob: (u64, u64),
    object: u64,
    migrated: u32,
    resumed: u32,
}

impl Pool {
    fn new(ipc: Ipc, params: &str) -> Pool {
        Pool { ipc, id: ipc.create_pool(life::MODULE, "life", params.as_bytes()).unwrap() }
    }

    fn key(self, method: u32, key: &str, value: u64, ms: u64) -> NewTask<KeyTask> {
        let task: NewTask<KeyTask> = self.ipc.task(self.id, method);
        task.key.set(key).unwrap();
        task.value.set(value);
        task.ms.set(ms);
        task
    }

    fn add(self, key: &str, value: u64) -> u64 {
        self.key(life::ADD, key, value, 0).call().unwrap().count.get()
    }

    fn value(self, method: u32, value: u64, ms: u64) -> NewTask<ValueTask> {
        let task: NewTask<ValueTask> = self.ipc.task(self.id, method);
        task.value.set(value);
        task.ms.set(ms);
        task
    }

    fn submit_slow(self, ms: u64) -> Pending<KeyTask> {
        self.key(life::SLOW, "slow", 1, ms).submit().unwrap()
    }

    fn state(self) -> State {
        self.state_of(0)
    }

    fn state_of(self, container: u32) -> State {
        let query = DomainQuery::local_id(container);
        let task: NewTask<CheckTask> = self.ipc.new_task(self.id, query, life::CHECK).unwrap();
        let task = task.call().unwrap();
        State {
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

/// A migration that does not happen. Returns why.
fn no_migration(site: &Site, more: &[&str]) -> String {
    let output = site.cli(&[&["pool", "migrate", "life"], more].concat());
    assert_eq!(output.code, 1, "{output:?}");
    output.stderr
}

/// A new object has the state of the old one.
#[test]
fn a_container_is_migrated_with_its_state() {
    in_client!(options(), |site| {
        let pool = Pool::new(connect(), "");
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
        assert_eq!(after, State { object: after.object, migrated: 1, ..before });
        assert_eq!(pool.add("key 7", 1), 4951);
    });
}

/// One of several containers is migrated; the others are the same objects as before.
#[test]
fn one_container_of_several_is_migrated() {
    in_client!(options(), |site| {
        let ipc = connect();
        site.cli(&["pool", "create", "life", "--module", life::MODULE, "--containers", "3"]).ok();
        let pool = Pool { ipc, id: ipc.find_pool("life").unwrap() };
        (0..300).for_each(|i| drop(pool.add(&format!("key {i}"), 1)));
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
    });
}

/// Clients that keep tasks in flight notice nothing: each task ends once, and counts once.
#[test]
fn tasks_in_flight_end_once_each() {
    const THREADS: u64 = 4;
    const DEPTH: usize = 64;
    in_client!(options(), |site| {
        let ipc = connect();
        let pool = Pool::new(ipc, "");
        let over = AtomicBool::new(false);
        let sent = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let over = &over;
                    scope.spawn(move || {
                        let mut flying = VecDeque::new();
                        let mut sent = 0;
                        while !over.load(Ordering::Relaxed) || !flying.is_empty() {
                            while flying.len() < DEPTH && !over.load(Ordering::Relaxed) {
                                let slow = sent % 97 == 0;
                                let method = if slow { life::SLOW } else { life::ADD };
                                let key = format!("{thread} {}", sent % 10);
                                let task = pool.key(method, &key, 1, 2);
                                flying.push_back(task.submit().unwrap());
                                sent += 1;
                            }
                            if let Some(oldest) = flying.pop_front() {
                                drop(oldest.wait().unwrap());
                            }
                        }
                        sent
                    })
                })
                .collect();
            for _ in 0..rounds(10, 100) {
                migrate(site);
            }
            over.store(true, Ordering::Relaxed);
            clients.into_iter().map(|client| client.join().unwrap()).sum::<u64>()
        });
        let state = pool.state();
        assert_eq!(state.count, sent);
        assert_eq!(state.migrated, 1);
        tally("tasks counted", sent);
    });
}

/// Tasks in the pool end before it is changed, with the subtasks that they send meanwhile, which are not
/// held.
#[test]
fn tasks_in_the_pool_end_with_their_subtasks() {
    in_client!(options(), |site| {
        let pool = Pool::new(connect(), "");
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
    });
}

/// Tasks of one thread go to the successor in the order in which it sent them.
#[test]
fn held_tasks_keep_their_order() {
    in_client!(options(), |site| {
        let pool = Pool::new(connect(), "");
        for _ in 0..rounds(5, 50) {
            let slow = pool.submit_slow(100);
            std::thread::scope(|scope| {
                let change = scope.spawn(|| migrate(site));
                std::thread::sleep(Duration::from_millis(20));
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
    });
}

/// A change whose tasks do not end is given up, names them, and the pool goes on with the same object.
#[test]
fn a_change_is_given_up_when_tasks_do_not_end() {
    in_client!(options(), |site| {
        let pool = Pool::new(connect(), "");
        let before = pool.state();
        let slow = pool.submit_slow(3000);
        let late = pool.key(life::ADD, "late", 1, 0);
        late.base().set_deadline(Duration::from_millis(300));
        let cancelled = pool.key(life::ADD, "cancelled", 1, 0);
        std::thread::scope(|scope| {
            let change = scope.spawn(|| no_migration(site, &["--timeout", "1"]));
            std::thread::sleep(Duration::from_millis(200));
            let (held, late) = (pool.key(life::ADD, "held", 1, 0), late.submit().unwrap());
            let (held, cancelled) = (held.submit().unwrap(), cancelled.submit().unwrap());
            let at = Instant::now();
            cancelled.cancel();
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
    });
}

/// Whatever fails, the old container goes on, with what it gave up.
#[test]
fn a_failure_leaves_the_old_container() {
    in_client!(options(), |site| {
        let ipc = connect();
        for (fail, text) in [
            ("create", "kCreate"),
            ("load", "cannot load the state"),
            ("migrate", "kMigrate"),
            ("save", "cannot save its state"),
            ("hang_load", "has not ended"),
            ("crash_load", "crashed"),
        ] {
            let pool = Pool::new(ipc, &format!("fail={fail}"));
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
    });
}

/// A container that cannot take back what it gave up takes no more tasks, and a reset makes it anew.
#[test]
fn a_container_that_cannot_resume_is_in_quarantine() {
    in_client!(options(), |site| {
        let pool = Pool::new(connect(), "fail=load");
        pool.value(life::FAIL, life::FAIL_RESUME, 0).call().unwrap();
        no_migration(site, &[]);
        let (status, text) = text_of(pool.key(life::ADD, "key", 1, 0).call());
        assert_eq!(status, CHI_FAULT, "{text}");
        assert!(text.contains("could not resume"), "{text}");
        site.cli(&["pool", "reset", "life"]).ok();
        assert_eq!(pool.add("key", 1), 1);
    });
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
