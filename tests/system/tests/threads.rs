//! Clients with many threads, and methods that block their worker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use chimaera::abi::CHI_NO_SPACE;
use chimaera::{Ipc, NewTask, Pending, PoolId};
use chimaera_kv_client as kv;
use chimaera_tests::tasks::throws::{self, NumberTask};
use chimaera_tests::{connect, in_client, rounds, Call, Daemon, Options, Running, Vitals};

/// The number of threads that can submit at the same time: `limits.rings` by default.
const RINGS: usize = 64;

#[test]
fn threads_come_and_go() {
    in_client!(Options::new().kv(), |site| {
        connect();
        let store = kv::Client::create("threads", kv::Params::default()).unwrap();
        let threads = rounds(1000, 10_000);
        let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        store.put("first", "thread").unwrap();
        let before = fds();
        for group in 0..threads / 20 {
            std::thread::scope(|scope| {
                for thread in 0..20 {
                    scope.spawn(move || {
                        let key = format!("{group}/{thread}");
                        store.put(&key, &key).unwrap();
                        assert_eq!(store.get(&key).unwrap(), key.as_bytes());
                    });
                }
            });
        }
        let count = store.scan("", 0).unwrap().len();
        assert_eq!(count, threads / 20 * 20 + 1);
        assert_eq!(fds(), before, "a thread's descriptors are closed with it");
        assert_eq!(site.cli(&["--json", "status"]).ok().json()["sessions"], 1);
    });
}

#[test]
fn more_threads_than_rings_are_told_so() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let store = kv::Client::create("threads", kv::Params::default()).unwrap();
        let threads = RINGS + 36;
        let (served, refused) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        // All have requested a ring before the first returns its own.
        let barrier = Barrier::new(threads);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (served, refused, barrier) = (&served, &refused, &barrier);
                scope.spawn(move || {
                    match store.put(format!("{thread}"), "value") {
                        Ok(_) => {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(status) => refused.lock().unwrap().push(status),
                    }
                    barrier.wait();
                });
            }
        });
        // This thread has one, too.
        assert_eq!(served.into_inner(), RINGS as u64 - 1);
        for status in refused.into_inner().unwrap() {
            assert_eq!(status.code(), CHI_NO_SPACE, "{status}");
            let why = format!("thread limit ({RINGS} per session) reached");
            assert!(status.message().contains(&why), "{status}");
        }
        // Those threads have ended, so others are served.
        std::thread::spawn(move || store.put("after", "all").unwrap()).join().unwrap();
    });
}

fn sleep(ipc: Ipc, pool: PoolId, time: Duration) -> Pending<NumberTask> {
    let task: NewTask<NumberTask> = ipc.task(pool, throws::SLEEP);
    task.value.set(time.as_nanos() as u64);
    task.submit().expect("the ring has room")
}

/// While one worker is blocked, clients with rings on other workers are served; those of the
/// blocked worker are served afterwards.
#[test]
fn a_method_that_blocks_its_worker_blocks_no_other() {
    in_client!(Options::new().kv().throws().workers(3), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(throws::MODULE, "blocks", b"").unwrap();
        let mut neighbours: Vec<Running> = (0..6)
            .map(|_| {
                let mortal = env!("CARGO_BIN_EXE_chi-test-mortal");
                let mut neighbour = Running::start(site.command(mortal).arg("counting"));
                assert_eq!(neighbour.line().as_deref(), Some("ready"));
                neighbour
            })
            .collect();
        let blocked = Duration::from_secs(2);
        let begin = Instant::now();
        let task = sleep(ipc, pool, blocked);
        let mut served = 0;
        for neighbour in &mut neighbours {
            neighbour.say("count");
        }
        std::thread::sleep(blocked / 2);
        assert!(!task.is_complete());
        for neighbour in &mut neighbours {
            served += usize::from(neighbour.try_line().is_some());
        }
        assert!(!task.is_complete(), "it completed after {:?}", begin.elapsed());
        assert!(served >= 4, "one of three workers is blocked, but only {served} of 6 were served");
        task.wait().unwrap();
        for neighbour in &mut neighbours {
            neighbour.close();
            assert_eq!(neighbour.end(), 0);
        }
    });
}

/// A client whose tasks wait forever uses up the stacks of its workers; other clients continue.
#[test]
fn a_crowd_of_waiting_tasks_keeps_nobody_out() {
    keep_nobody_out(2);
}

/// The other clients' rings are on the worker that the crowd keeps busy.
#[test]
fn a_crowd_on_the_only_worker_keeps_nobody_out() {
    keep_nobody_out(1);
}

fn keep_nobody_out(workers: u16) {
    let mut daemon = Daemon::start(&Options::new().kv().mod_name().throws().workers(workers));
    let mortal = env!("CARGO_BIN_EXE_chi-test-mortal");
    let start = |args: &[&str]| {
        let mut client = Running::start(daemon.site().command(mortal).args(args));
        assert_eq!(client.line().as_deref(), Some("ready"), "{args:?}");
        client
    };
    let mut early = start(&["counting"]);
    let crowd = start(&["crowd", "60000"]);
    let mut late: Vec<Running> = (0..4).map(|_| start(&["counting"])).collect();
    for client in late.iter_mut().chain([&mut early]) {
        client.say("count");
        assert_eq!(client.line().as_deref(), Some("0"));
    }
    drop(crowd);
    drop(late);
    drop(early);
    assert_eq!(Vitals::settled(&daemon, 0).segments, 0);
    assert!(daemon.is_alive());
}

/// Many clients block every worker at once; all are served eventually.
#[test]
fn blocked_workers_lose_nothing() {
    let daemon = Daemon::start(&Options::new().kv().mod_name().throws());
    let mortal = env!("CARGO_BIN_EXE_chi-test-mortal");
    let mut neighbour = Running::start(daemon.site().command(mortal).arg("neighbour"));
    assert_eq!(neighbour.line().as_deref(), Some("ready"));
    let mut clients: Vec<Running> = (0..6)
        .map(|_| Running::start(daemon.site().command(mortal).args(["sleeping", "40"])))
        .collect();
    for client in &mut clients {
        assert_eq!(client.line().as_deref(), Some("40"));
        assert_eq!(client.end(), 0);
    }
    assert!(Vitals::settled(&daemon, 1).threads > 0);
    neighbour.close();
    assert!(neighbour.line().is_some());
    assert_eq!(neighbour.end(), 0, "the neighbour found an error");
}
