//! Tasks for all containers of a pool.

use std::time::Duration;

use chimaera::abi::{CHI_CANCELLED, CHI_DEADLINE, CHI_FAULT, CHI_NO_POOL, CHI_NO_SPACE, CHI_OK};
use chimaera::{DomainQuery, Ipc, NewTask, PoolId, PoolOptions, Task};
use chimaera_test_spread_client::{
    GatherTask, Method, NapTask, WhereTask, FAULT, MODULE, RUST_MODULE,
};
use chimaera_tests::process::until;
use chimaera_tests::{connect, in_client, rounds, text_of};
use chimaera_tests::{Daemon, Options, Running, Site};

const MODULES: [&str; 2] = [MODULE, RUST_MODULE];

fn pool(ipc: Ipc, module: &str, containers: u32) -> PoolId {
    let options = PoolOptions::default().containers(containers);
    let name = format!("{module} {containers}");
    ipc.create_pool_with(module, &name, b"", options).expect("a new pool")
}

fn everywhere<T: Task>(ipc: Ipc, pool: PoolId, method: u32) -> NewTask<T> {
    ipc.new_task(pool, DomainQuery::global_bcast(), method).expect("there is room for a task")
}

fn gather(ipc: Ipc, pool: PoolId) -> NewTask<GatherTask> {
    let task = everywhere::<GatherTask>(ipc, pool, Method::GATHER);
    task.text.set("word ").unwrap();
    task.notes.set_all(&["in"]).unwrap();
    task.bytes.set("in").unwrap();
    task
}

/// The pools in both languages, of each size.
fn pools(ipc: Ipc, sizes: &[u32]) -> Vec<(PoolId, u32)> {
    let all = MODULES.into_iter().flat_map(|module| sizes.iter().map(move |n| (module, *n)));
    all.map(|(module, n)| (pool(ipc, module, n), n)).collect()
}

#[test]
fn an_aggregation_puts_the_results_together() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for (pool, count) in pools(ipc, &[1, 4, 100, 1000]) {
            let done = gather(ipc, pool).call().unwrap();
            let check = |done: &GatherTask| {
                let sum = u64::from(count) * u64::from(count - 1) / 2;
                assert_eq!((done.good.get(), done.sum.get()), (count, sum));
                let numbers: Vec<u32> = (0..count).collect();
                assert_eq!(done.numbers.copy_to_vec().unwrap(), numbers);
                let words: Vec<String> = numbers.iter().map(|n| format!("word {n}")).collect();
                assert_eq!(done.words.to_strings(usize::MAX).unwrap(), words);
                // Each replica changes its own copy of the inputs.
                assert_eq!(done.notes.to_strings(10).unwrap(), ["in"]);
                assert_eq!(done.bytes.copy_to_vec().unwrap(), b"in");
                assert_eq!(done.text.to_string().unwrap(), "word ");
            };
            check(&done);
            // Again: nothing is counted twice.
            check(&done.reuse().call().unwrap());
        }
    });
}

/// Without an aggregation, the result is that of the first container, including strings.
#[test]
fn without_an_aggregation_the_first_container_answers() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for (pool, count) in pools(ipc, &[1, 4, 100]) {
            let task = everywhere::<WhereTask>(ipc, pool, Method::WHERE);
            task.text.set("container ").unwrap();
            let done = task.call().unwrap();
            assert_eq!((done.container.get(), done.count.get()), (0, count));
            assert_eq!(done.depth.get(), 1, "a replica is a subtask");
            assert_eq!(done.text.to_string().unwrap(), "container 0");
            let task = done.reuse();
            task.text.set("").unwrap();
            assert_eq!(task.call().unwrap().text.to_string().unwrap(), "0");
        }
    });
}

#[test]
fn the_first_error_wins() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for (pool, count) in pools(ipc, &[1, 4, 60]) {
            let last = count - 1;
            for (failing, first) in [(1 << last, last), (1 | 1 << last, 0), (u64::MAX, 0)] {
                let task = gather(ipc, pool);
                task.failing.set(failing);
                let (code, message) = text_of(task.call());
                assert_eq!(code, FAULT);
                assert!(message.starts_with(&format!("container {first} of pool ")), "{message}");
                assert!(message.ends_with(": told to fail"), "{message}");
            }
            assert_eq!(gather(ipc, pool).call().unwrap().good.get(), count);
        }
    });
}

#[test]
fn an_aggregation_lets_failures_pass_or_fails_itself() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for (pool, _) in pools(ipc, &[4]) {
            let task = gather(ipc, pool);
            task.failing.set(0b1010);
            task.lenient.set(1);
            let done = task.call().unwrap();
            assert_eq!((done.good.get(), done.sum.get()), (2, 2));
            assert_eq!(done.numbers.copy_to_vec().unwrap(), [0, 2]);

            let task = gather(ipc, pool);
            task.stumble.set(3);
            assert_eq!(text_of(task.call()), (FAULT, "stumbled".to_owned()));
            // The failure of an earlier container takes precedence.
            let task = gather(ipc, pool);
            task.failing.set(0b10);
            task.stumble.set(3);
            let (code, message) = text_of(task.call());
            assert_eq!(code, FAULT);
            assert!(message.starts_with("container 1 of pool"), "{message}");
        }
    });
}

/// The mistakes of `kGather`'s aggregation, by `stumble`, and how the broadcast's message reports
/// them. The last one is made by the method itself, in the last container.
const MISTAKES: [(u32, &str); 4] = [
    (u32::MAX, "overflowed its stack"),
    (u32::MAX - 1, "crashed: SIGSEGV"),
    (u32::MAX - 2, "an object of type int was thrown"),
    (u32::MAX - 3, "kGather crashed: SIGSEGV"),
];

/// An aggregation that overflows its stack, crashes or throws loses its frames and nothing else:
/// the memory limit of broadcasts is not reduced.
#[test]
fn an_aggregation_that_goes_wrong_keeps_no_room() {
    in_client!(Options::new().spread(), |site| {
        let ipc = connect();
        let pool = pool(ipc, MODULE, 1000);
        for (mistake, what) in MISTAKES {
            // Each takes more than a third of the memory limit of broadcasts.
            for _ in 0..5 {
                let task = gather(ipc, pool);
                task.notes.set_all(&["in"; 3000]).unwrap();
                task.stumble.set(mistake);
                let (code, message) = text_of(task.call());
                assert!(code != CHI_OK && message.contains(what), "{code}: {message}");
                site.reset_pools();
            }
            let task = gather(ipc, pool);
            task.notes.set_all(&["in"; 3000]).unwrap();
            assert_eq!(task.call().unwrap().good.get(), 1000);
        }
    });
}

/// Nor does such an aggregation disturb other broadcasts, in other pools or its own: each of them
/// ends.
#[test]
fn an_aggregation_that_goes_wrong_disturbs_no_other_pool() {
    in_client!(Options::new().spread().workers(2), |site| {
        let ipc = connect();
        let (broken, sound) = (pool(ipc, MODULE, 8), pool(ipc, MODULE, 9));
        for (mistake, what) in MISTAKES {
            let nap = everywhere::<NapTask>(ipc, sound, Method::NAP);
            nap.times.set(10_000);
            nap.text.set("shared").unwrap();
            let nap = nap.submit().unwrap();
            let others: Vec<_> = (0..20).map(|_| gather(ipc, sound).submit().unwrap()).collect();
            let beside: Vec<_> = (0..20).map(|_| gather(ipc, broken).submit().unwrap()).collect();
            let task = gather(ipc, broken);
            task.stumble.set(mistake);
            let (code, message) = text_of(task.call());
            assert!(code != CHI_OK && message.contains(what), "{code}: {message}");
            for other in others {
                assert_eq!(other.wait().unwrap().good.get(), 9);
            }
            for one in beside {
                match one.wait() {
                    Ok(done) => assert_eq!(done.good.get(), 8),
                    Err(status) => {
                        assert!([CHI_FAULT, CHI_CANCELLED].contains(&status.code()), "{status}");
                    }
                }
            }
            nap.wait().unwrap();
            site.reset_pools();
            assert_eq!(gather(ipc, broken).call().unwrap().good.get(), 8);
            until("no task is left", || (tasks_in_modules(site) == 0).then_some(()));
        }
    });
}

/// A creation whose code overflows its stack does not leak a slot of the pool table.
#[test]
fn a_creation_that_overflows_its_stack_keeps_no_slot() {
    in_client!(Options::new().spread().config("limits: {pools: 4}\n"), |_| {
        let ipc = connect();
        for number in 0..10 {
            let name = format!("broken {number}");
            let (code, message) = text_of(ipc.create_pool(MODULE, &name, b"overflow"));
            assert!(code == CHI_FAULT && message.contains("overflowed its stack"), "{message}");
        }
        for number in 0..3 {
            ipc.create_pool(MODULE, &format!("sound {number}"), b"").unwrap();
        }
        let (code, message) = text_of(ipc.create_pool(MODULE, "one too many", b""));
        assert_eq!(code, CHI_NO_SPACE);
        assert_eq!(message, "pool limit (4) reached: raise limits.pools");
    });
}

/// Many broadcasts at once, from several threads, on several workers.
#[test]
fn broadcasts_at_the_same_time() {
    in_client!(Options::new().spread().workers(3), |_| {
        let ipc = connect();
        let all = pools(ipc, &[3, 20]);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let pending: Vec<_> = all
                            .iter()
                            .map(|(pool, count)| (gather(ipc, *pool).submit().unwrap(), count))
                            .collect();
                        for (task, count) in pending {
                            assert_eq!(task.wait().unwrap().good.get(), *count);
                        }
                    }
                });
            }
        });
    });
}

/// Whenever the pool is destroyed, each task either succeeds or ends because of that.
#[test]
fn a_pool_is_destroyed_under_broadcasts() {
    in_client!(Options::new().spread().workers(3), |_| {
        let ipc = connect();
        for (module, round) in MODULES.into_iter().flat_map(|m| (0..8).map(move |n| (m, n))) {
            let pool = pool(ipc, module, 6);
            let pending: Vec<_> = (0..20)
                .flat_map(|n| {
                    let nap = everywhere::<NapTask>(ipc, pool, Method::NAP);
                    nap.times.set(n);
                    nap.text.set("shared").unwrap();
                    let query = DomainQuery::local_id(n as u32 % 6);
                    let single = ipc.new_task::<NapTask>(pool, query, Method::NAP).unwrap();
                    single.times.set(100);
                    [nap.submit().unwrap(), single.submit().unwrap()]
                })
                .collect();
            std::thread::sleep(Duration::from_micros(round * 200));
            ipc.destroy_pool(pool).unwrap();
            for task in pending {
                let code = task.wait().map_or_else(|status| status.code(), |_| CHI_OK);
                assert!([CHI_OK, CHI_CANCELLED, CHI_NO_POOL].contains(&code), "status {code}");
            }
        }
    });
}

/// The containers finish their work, read the dead client's bytes to the end, and then work as
/// before.
#[test]
fn a_client_is_killed_during_its_broadcasts() {
    let daemon = Daemon::start(&Options::new().spread());
    let mortal = env!("CARGO_BIN_EXE_chi-test-mortal");
    for module in MODULES {
        let counts = || {
            let shown = daemon.site().pool(module);
            (shown["containers"].clone(), shown["tasks"].clone())
        };
        for _ in 0..3 {
            let mut client =
                Running::start(daemon.site().command(mortal).args(["broadcast", module]));
            assert_eq!(
                client.line().expect("it prints a line when its tasks are in flight").trim(),
                "ready"
            );
            client.signal(rustix::process::Signal::KILL);
            assert_eq!(client.end(), -9);
        }
        while counts().1 != 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(counts().0, 8);
        assert_eq!(daemon.cli(&["pool", "destroy", module]).code, 0);
    }
    assert_eq!(daemon.cli(&["status", "--json"]).ok().json()["sessions"], 0);
}

/// A broadcast that never ends by itself.
fn endless(ipc: Ipc, pool: PoolId) -> NewTask<NapTask> {
    let nap = everywhere::<NapTask>(ipc, pool, Method::NAP);
    nap.times.set(u64::MAX);
    nap.text.set("shared").unwrap();
    nap
}

/// When the task has ended, so have all its replicas.
#[test]
fn a_cancellation_ends_all_replicas() {
    in_client!(Options::new().spread().workers(3), |site| {
        let ipc = connect();
        for (pool, count) in pools(ipc, &[1, 4, 60]) {
            for pause in [0, 0, 1, 10] {
                let naps: Vec<_> = (0..3).map(|_| endless(ipc, pool).submit().unwrap()).collect();
                std::thread::sleep(Duration::from_millis(pause));
                naps.iter().for_each(|nap| nap.cancel().unwrap());
                for nap in naps {
                    let (code, message) = text_of(nap.wait());
                    assert_eq!((code, message.as_str()), (CHI_CANCELLED, "the task was cancelled"));
                }
            }
            // The count of tasks is updated just after the client is notified.
            until("no task is left", || (tasks_in_modules(site) == 0).then_some(()));
            assert_eq!(gather(ipc, pool).call().unwrap().good.get(), count);
        }
    });
}

/// The tasks in all pools except the runtime's own.
fn tasks_in_modules(site: &Site) -> u64 {
    let all = site.cli(&["pool", "list", "--json"]).ok().json();
    let pools = all.as_array().expect("a list").iter();
    pools.filter(|pool| pool["name"] != "admin").map(|pool| pool["tasks"].as_u64().unwrap()).sum()
}

#[test]
fn a_cancellation_races_with_the_replicas() {
    in_client!(Options::new().spread().workers(3), |_| {
        let ipc = connect();
        for (pool, count) in pools(ipc, &[4]) {
            for round in 0..rounds(500, 20_000) {
                let task = gather(ipc, pool).submit().unwrap();
                for _ in 0..round % 20 * 50 {
                    std::hint::spin_loop();
                }
                task.cancel().unwrap();
                match task.wait() {
                    Ok(done) => assert_eq!(done.good.get(), count),
                    Err(status) => assert_eq!(status.code(), CHI_CANCELLED, "{status}"),
                }
            }
        }
    });
}

#[test]
fn a_deadline_reaches_the_replicas() {
    in_client!(Options::new().spread().workers(2), |_| {
        let ipc = connect();
        for (pool, count) in pools(ipc, &[1, 4, 60]) {
            let naps: Vec<_> = (0..3)
                .map(|ms| {
                    let nap = endless(ipc, pool);
                    nap.base().set_deadline(Duration::from_millis(ms * 5));
                    nap.submit().unwrap()
                })
                .collect();
            for nap in naps {
                let (code, message) = text_of(nap.wait());
                assert_eq!(
                    (code, message.as_str()),
                    (CHI_DEADLINE, "the task's deadline has passed")
                );
            }
            let in_time = gather(ipc, pool);
            in_time.base().set_deadline(Duration::from_secs(3600));
            assert_eq!(in_time.call().unwrap().good.get(), count);
        }
    });
}

/// The task runs in all containers each time, until it is cancelled or fails in one of them.
#[test]
fn a_periodic_task_for_all() {
    in_client!(Options::new().spread().workers(2), |site| {
        let ipc = connect();
        let tasks = || site.status()["tasks"].as_u64().unwrap();
        for (pool, _) in pools(ipc, &[1, 4, 60]) {
            let task = gather(ipc, pool);
            task.base().set_period(Duration::from_millis(1));
            let before = tasks();
            let task = task.submit().unwrap();
            until("it runs again and again", || (tasks() > before + 1000).then_some(()));
            assert!(!task.is_complete());
            task.cancel().unwrap();
            assert_eq!(text_of(task.wait()).0, CHI_CANCELLED);
            let after = tasks();
            std::thread::sleep(Duration::from_millis(10));
            assert_eq!(tasks(), after, "it is still running");

            let failing = gather(ipc, pool);
            failing.base().set_period(Duration::from_millis(1));
            failing.failing.set(1);
            assert_eq!(text_of(failing.call()).0, FAULT);
        }
    });
}

/// Replicas have private copies of what they may change. The memory for all of them is limited, and
/// is freed again.
#[test]
fn a_broadcast_that_takes_too_much_memory_is_refused() {
    in_client!(Options::new().spread().workers(2), |_| {
        let ipc = connect();
        for (pool, count) in pools(ipc, &[1000]) {
            let word = "w".to_owned();
            for _ in 0..3 {
                let task = gather(ipc, pool);
                // A thousand times 320 kB.
                task.notes.set_all(&vec![word.as_str(); 10_000]).unwrap();
                let (code, message) = text_of(task.call());
                assert_eq!(code, CHI_NO_SPACE, "{message}");
                assert!(message.contains("take more than 256 MiB"), "{message}");
                // Just as large, but shared by the replicas.
                let task = gather(ipc, pool);
                task.text.set("t".repeat(320_000)).unwrap();
                task.failing.set(1);
                assert_eq!(text_of(task.call()).0, FAULT);
                assert_eq!(gather(ipc, pool).call().unwrap().good.get(), count);
            }
        }
    });
}
