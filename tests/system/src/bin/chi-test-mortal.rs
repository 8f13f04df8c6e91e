//! Well-behaved clients that are killed, or whose runtime is:
//!
//! ```text
//! chi-test-mortal neighbour        checks results until its standard input ends
//! chi-test-mortal waiting          waits for a long task
//! chi-test-mortal submitting       submits from four threads until it is killed
//! chi-test-mortal flight N         leaves N tasks in flight
//! chi-test-mortal ended N          leaves N endless tasks in flight after as many others have ended
//! chi-test-mortal closing          on a line of standard input, has a method close the runtime's socket
//! chi-test-mortal written SEED N   leaves N random bytes in its segment, and nowhere else in its memory
//! chi-test-mortal suspended N      leaves N tasks in flight that sleep, in pools of its own
//! chi-test-mortal crowd N          tries to leave N endless tasks in flight, from many threads
//! chi-test-mortal sleeping N       makes workers sleep N times, and prints how often they did
//! chi-test-mortal counting         counts the keys of a store for each line of standard input
//! chi-test-mortal blocking POOL N  makes a method of a pool block its worker for N seconds
//! chi-test-mortal locking N        takes a lock in two pools and prints "inside"; N is unique
//! chi-test-mortal broadcast MODULE leaves broadcasts in flight in a pool of 8 containers
//! chi-test-mortal spread MODULE    leaves tasks in flight that wait for endless tasks in 3 pools
//! chi-test-mortal event MODULE     leaves tasks in flight that wait for an event
//! chi-test-mortal inverting MS      has an isolated pool use its memory, and leaves a task there in flight
//! chi-test-mortal patient          waits for an endless task, then obeys commands: see `patient`
//! ```
//!
//! Each prints "ready" once it has started. The pools of test:throws_method and of the modules with
//! locks are created if they do not exist.

use std::io::{BufRead, Read};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use chimaera::abi::{status_name, CHI_OK};
use chimaera::{DomainQuery, Ipc, NewTask, Pending, PoolId, PoolOptions, Result};
use chimaera_kv_client as kv;
use chimaera_test_locks_client::{self as locks, Lock, LockTask};
use chimaera_test_rust_faults_client::{self as faults, InvertTask};
use chimaera_test_spread_client::{self as spread, NapTask};
use chimaera_tests::raw::Random;
use chimaera_tests::tasks::events;
use chimaera_tests::tasks::mod_name::{self, CompressTask, DecompressTask};
use chimaera_tests::tasks::model::{self, ValueTask};
use chimaera_tests::tasks::state::{self, StateTask};
use chimaera_tests::tasks::throws::{self, EchoTask, NumberTask};
use chimaera_tests::{connect, connect_with, Call};
use serde_json::json;

const POOL: &str = "test_throws";

fn ready() {
    println!("ready");
}

fn pool(ipc: Ipc) -> PoolId {
    ipc.create_pool(throws::MODULE, POOL, b"").expect("the pool exists or can be created")
}

fn yields(ipc: Ipc, pool: PoolId, times: u64) -> Pending<NumberTask> {
    let task: NewTask<NumberTask> = ipc.task(pool, throws::YIELD);
    task.value.set(times);
    task.submit().expect("the ring has room")
}

fn echo(ipc: Ipc, pool: PoolId, bytes: &[u8]) -> Result<Pending<EchoTask>> {
    let task: NewTask<EchoTask> = ipc.new_task(pool, DomainQuery::dynamic(), throws::ECHO)?;
    task.data.set(bytes)?;
    task.submit()
}

/// Stays until it is killed.
fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

fn waiting() {
    let ipc = connect();
    let task = yields(ipc, pool(ipc), 20_000);
    ready();
    // On a busy machine it may complete before the kill; then there is nothing left to wait for.
    let _ = task.wait();
    stay();
}

fn blocking(pool: &str, seconds: u64) {
    let ipc = connect();
    let pool = ipc.create_pool(throws::MODULE, pool, b"").expect("the module is loaded");
    let task: NewTask<NumberTask> = ipc.task(pool, throws::SLEEP);
    task.value.set(seconds * 1_000_000_000);
    let task = task.submit().expect("the ring has room");
    ready();
    // The runtime may end first.
    let _ = task.wait();
    stay();
}

fn submitting() {
    let ipc = connect();
    let pool = pool(ipc);
    for thread in 0..4_u64 {
        std::thread::spawn(move || {
            let mut random = Random::new(thread);
            let mut under_way = Vec::new();
            loop {
                let len = random.below(20_000) as usize;
                match echo(ipc, pool, &random.bytes(len)) {
                    Ok(task) => under_way.push(task),
                    // The segment is full: drop the tasks in flight.
                    Err(_) => under_way.clear(),
                }
                if under_way.len() > 200 {
                    under_way.drain(..100);
                }
            }
        });
    }
    let first = echo(ipc, pool, b"first").expect("there is room");
    first.wait().expect("an echo succeeds");
    ready();
    stay();
}

fn flight(n: usize) {
    let ipc = connect();
    let pool = pool(ipc);
    let tasks: Vec<_> = (0..n)
        .map(|at| if at % 2 == 0 { yields(ipc, pool, 200) } else { yields(ipc, pool, 0) })
        .collect();
    ready();
    std::mem::forget(tasks);
    stay();
}

fn ended(n: usize) {
    let ipc = connect();
    let pool = pool(ipc);
    let others: Vec<_> = (0..n).map(|_| yields(ipc, pool, 0)).collect();
    let endless: Vec<_> = (0..n).map(|_| yields(ipc, pool, u64::MAX)).collect();
    for task in others {
        task.wait().expect("it ends by itself");
    }
    ready();
    std::mem::forget(endless);
    stay();
}

fn closing() {
    let ipc = connect();
    let pool = ipc.create_pool(state::MODULE, "closing", b"").expect("the module is loaded");
    let task: NewTask<StateTask> = ipc.task(pool, state::CLOSE);
    ready();
    std::io::stdin().read_line(&mut String::new()).expect("text");
    // The runtime may end first.
    let _ = task.call();
    stay();
}

/// Writes the bytes one by one, so that no other memory has them all.
fn written(seed: u64, len: usize) {
    let ipc = connect_with(4 << 20);
    let buffer = ipc.alloc(len).expect("there is room");
    let mut random = Random::new(seed);
    for at in 0..len {
        buffer.write_at(at, random.bytes(1)).expect("it is inside");
    }
    ready();
    std::mem::forget(buffer);
    stay();
}

fn suspended(n: usize) {
    let ipc = connect();
    let pools = [1, 2, 3, 4].map(|number| {
        let name = format!("suspended{number}");
        ipc.create_pool(model::MODULE, &name, b"").expect("the module is loaded")
    });
    for pool in pools.into_iter().cycle().take(n) {
        let task: NewTask<ValueTask> = ipc.task(pool, model::SLEEP);
        task.value.set(3_600_000_000_000);
        std::mem::forget(task.submit().expect("the ring has room"));
    }
    ready();
    stay();
}

fn sleeping(times: usize) -> usize {
    let ipc = connect();
    let pool = pool(ipc);
    for _ in 0..times {
        let task: NewTask<NumberTask> = ipc.task(pool, throws::SLEEP);
        task.value.set(2_000_000);
        task.call().expect("sleeping succeeds");
    }
    times
}

fn counting() {
    connect();
    let store =
        kv::Client::create("counting", kv::Params::default()).expect("the module is loaded");
    store.count().expect("there is a store");
    ready();
    for _ in std::io::stdin().lock().lines() {
        println!("{}", store.count().expect("there is a store"));
    }
}

/// Takes and keeps a lock in a pool of each language, and prints "inside" when it has both.
fn locking(number: u32) {
    let ipc = connect();
    let task = |pool, method| -> NewTask<LockTask> {
        let task: NewTask<LockTask> = ipc.task(pool, method);
        task.lock.set(Lock::MUTEX);
        task.lane.set(number);
        task.number.set(number.into());
        task
    };
    let inside = |pool| {
        let notes = task(pool, locks::Method::NOTES).call().expect("it cannot fail");
        let notes = notes.text.to_string().expect("numbers are UTF-8");
        notes.split(',').any(|noted| noted == number.to_string())
    };
    let pools = [locks::CPP, locks::RUST].map(|module| {
        let pool = ipc.create_pool(module, module, b"").expect("the module is loaded");
        std::mem::forget(task(pool, locks::Method::HOLD).submit().expect("there is room"));
        // A later task of the same ring has been served, so this one has started, in its own lane.
        inside(pool);
        pool
    });
    ready();
    while !pools.iter().all(|&pool| inside(pool)) {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("inside");
    stay();
}

fn crowd(n: usize) {
    let ipc = connect();
    let pool = pool(ipc);
    let all = Arc::new(Barrier::new(9));
    for _ in 0..8 {
        let all = all.clone();
        std::thread::spawn(move || {
            for at in 0..n / 8 {
                let task: NewTask<NumberTask> = ipc.task(pool, throws::YIELD);
                task.value.set(u64::MAX);
                match task.try_submit() {
                    Ok(task) => std::mem::forget(task),
                    // Full: the runtime accepts no more, perhaps for good.
                    Err(_) if at % 64 == 0 => std::thread::sleep(Duration::from_millis(20)),
                    Err(_) => std::thread::yield_now(),
                }
            }
            all.wait();
        });
    }
    all.wait();
    ready();
    stay();
}

/// Uses a store and the compressor while its standard input is open, and checks every result.
fn neighbour() -> usize {
    let ipc = connect();
    let store =
        kv::Client::create("neighbour", kv::Params::default()).expect("the module is loaded");
    let pool =
        ipc.create_pool(mod_name::MODULE, "neighbour_zip", b"").expect("the module is loaded");
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    std::thread::spawn(move || {
        // Reading ends with the input or with an error; either stops it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    let mut random = Random::new(7);
    let mut rounds = 0;
    ready();
    while !over.load(Ordering::Relaxed) {
        round(ipc, store, pool, &mut random, rounds).expect("a neighbour's calls succeed");
        rounds += 1;
    }
    rounds
}

fn round(
    ipc: Ipc,
    store: kv::Client,
    pool: PoolId,
    random: &mut Random,
    round: usize,
) -> Result<()> {
    let len = random.below(30_000) as usize;
    let value = random.bytes(len);
    let key = format!("key/{:04}", round % 50);
    store.put(&key, &value)?;
    assert!(store.get(&key)? == value, "round {round}: a different value");
    let keys = store.scan("key/", 0)?;
    assert_eq!(keys.len(), 50.min(round + 1), "round {round}");
    assert!(keys.is_sorted() && keys.contains(&key.into_bytes()), "round {round}");
    let task: NewTask<CompressTask> = ipc.task(pool, mod_name::COMPRESS);
    task.data.set(&value)?;
    let frame = task.call()?.output.copy_to_vec()?;
    let task: NewTask<DecompressTask> = ipc.task(pool, mod_name::DECOMPRESS);
    task.max_size.set(len as u64);
    task.data.set(&frame)?;
    assert!(task.call()?.output.copy_to_vec()? == value, "round {round}: different bytes");
    Ok(())
}

/// Waits for a task until the runtime is gone, prints the task's status and the time, and obeys
/// commands: `call` creates the pool (again) and calls it, `drop` deletes the old session's tasks,
/// `maps` prints how many segments the process has mapped.
fn patient() {
    let ipc = connect();
    let pool = pool(ipc);
    let idle = yields(ipc, pool, u64::MAX);
    let others: Vec<_> = (0..100).map(|_| yields(ipc, pool, u64::MAX)).collect();
    let done = echo(ipc, pool, b"done").expect("there is room").wait().expect("an echo succeeds");
    let mut held = Some((idle, others, done));
    let task = yields(ipc, pool, u64::MAX);
    ready();
    let ended = task.wait().expect_err("it never ends by itself");
    let at = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as u64;
    report("wait", Err(ended), at);
    for line in std::io::stdin().lock().lines() {
        let start = Instant::now();
        let result = match line.expect("text").as_str() {
            "call" => call(ipc),
            "drop" => {
                held = None;
                Ok(())
            }
            "maps" => {
                let maps = std::fs::read_to_string("/proc/self/maps").expect("it is there");
                println!("{}", maps.matches("chimaera-segment").count());
                continue;
            }
            other => panic!("unknown command {other}"),
        };
        report("obeyed", result, start.elapsed().as_millis() as u64);
    }
    drop(held);
}

/// Leaves broadcasts to a pool of this name in flight, whose replicas keep reading the client's
/// data.
fn broadcast(module: &str) -> ! {
    let ipc = connect();
    let options = PoolOptions::default().containers(8);
    let pool = ipc.create_pool_with(module, module, b"", options).expect("the module is loaded");
    for _ in 0..20 {
        let query = DomainQuery::global_bcast();
        let task = ipc.new_task::<NapTask>(pool, query, spread::Method::NAP).expect("room");
        task.times.set(300);
        task.text.set("shared by all replicas").expect("room");
        // Leave the task in flight.
        std::mem::forget(task.submit().expect("the ring has room"));
    }
    ready();
    stay()
}

/// Leaves tasks in flight that wait for tasks in three pools, which never end by themselves.
fn spread(module: &str) -> ! {
    let ipc = connect();
    for number in 1..=3 {
        ipc.create_pool(module, &model::numbered(number), b"").expect("the module is loaded");
    }
    let pool = ipc.create_pool(module, "root", b"").expect("as before");
    for _ in 0..5 {
        let task: NewTask<ValueTask> = ipc.task(pool, model::SPREAD);
        task.width.set(3);
        // Leave the task in flight.
        std::mem::forget(task.submit().expect("the ring has room"));
    }
    // Later tasks of the same ring have been served, so these have started.
    let after: NewTask<ValueTask> = ipc.task(pool, model::TICKS);
    after.call().expect("it cannot fail");
    ready();
    stay()
}

/// Leaves a task in flight that waits for an event which is never set, and others that fail because
/// it is waiting.
fn event(module: &str) -> ! {
    let ipc = connect();
    let pool = ipc.create_pool(module, module, b"").expect("the module is loaded");
    let task = |method| -> NewTask<ValueTask> { ipc.task(pool, method) };
    for _ in 0..5 {
        // Leave the task in flight.
        std::mem::forget(task(events::WAIT).submit().expect("the ring has room"));
    }
    while task(events::WAITING).call().expect("it cannot fail").result.get() != 1 {}
    ready();
    stay()
}

/// Has a pool invert bytes of its segment until that has been lent, and leaves a task in flight that does so after
/// a while.
fn inverting(pause_ms: u64) -> ! {
    let ipc = connect();
    let pool = ipc.create_pool(faults::MODULE, "inverting", b"").expect("the module is loaded");
    let task = |pause_ms| -> NewTask<InvertTask> {
        let task: NewTask<InvertTask> = ipc.task(pool, faults::Method::INVERT);
        task.pause_ms.set(pause_ms);
        task.data.set([7; 100_000]).expect("there is room");
        task
    };
    for _ in 0..50 {
        task(1).call().expect("it succeeds");
    }
    // Leave the task in flight.
    std::mem::forget(task(pause_ms).submit().expect("the ring has room"));
    ready();
    stay()
}

fn call(ipc: Ipc) -> Result<()> {
    let pool = ipc.create_pool(throws::MODULE, POOL, b"")?;
    let done = echo(ipc, pool, b"again")?.wait()?;
    assert_eq!(done.output.copy_to_vec()?, b"again");
    Ok(())
}

fn report(what: &str, result: Result<()>, ms: u64) {
    let (status, message) = match &result {
        Ok(()) => (CHI_OK, ""),
        Err(status) => (status.code(), status.message()),
    };
    let name = status_name(status);
    println!("{}", json!({ "what": what, "name": name, "message": message, "ms": ms }));
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["neighbour"] => println!("{}", neighbour()),
        ["waiting"] => waiting(),
        ["submitting"] => submitting(),
        ["flight", n] => flight(n.parse().expect("a number")),
        ["closing"] => closing(),
        ["written", seed, n] => {
            written(seed.parse().expect("a number"), n.parse().expect("a number"))
        }
        ["ended", n] => ended(n.parse().expect("a number")),
        ["suspended", n] => suspended(n.parse().expect("a number")),
        ["crowd", n] => crowd(n.parse().expect("a number")),
        ["sleeping", n] => println!("{}", sleeping(n.parse().expect("a number"))),
        ["counting"] => counting(),
        ["blocking", pool, n] => blocking(pool, n.parse().expect("a number")),
        ["locking", n] => locking(n.parse().expect("a number")),
        ["broadcast", module] => broadcast(module),
        ["spread", module] => spread(module),
        ["event", module] => event(module),
        ["inverting", ms] => inverting(ms.parse().expect("a number")),
        ["patient"] => patient(),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
