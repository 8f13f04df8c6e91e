//! What concurrent clients in several processes may see: they record it, and it is checked afterwards.

use std::path::PathBuf;
use std::time::Duration;

use chimaera::{submit_all, wait_all, NewTask, PoolOptions, Task};
use chimaera_bdev_client as bdev;
use chimaera_kv_client as kv;
use chimaera_test_life_client::{self as life, KeyTask};
use chimaera_tests::device::{engines, file_for, of_file};
use chimaera_tests::history::{check, check_register, Event, What};
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::tasks::model;
use chimaera_tests::{
    artefacts, connect, in_client, rounds, tally, Call, Options, Running, Site, ValuePool,
};

/// How many processes there are.
const CLIENTS: u64 = 4;
/// How many threads each has.
const THREADS: usize = 2;

/// What clients see who operate on a pool, each in a process of its own.
fn record(site: &Site, what: &str, pool: &str, count: usize) -> Vec<Event> {
    let start = |number: u64| {
        let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-history"));
        Running::start(command.args([what, pool, &number.to_string(), &count.to_string()]))
    };
    let mut clients: Vec<Running> = (0..CLIENTS).map(start).collect();
    let mut events = Vec::new();
    for client in &mut clients {
        while let Some(line) = client.line() {
            // The seed is printed, too.
            events.extend((!line.contains('=')).then(|| line.parse::<Event>().unwrap()));
        }
        assert_eq!(client.end(), 0);
    }
    tally("operations checked", events.len() as u64);
    events
}

#[track_caller]
fn assert_linearizable(name: &str, events: &[Event]) {
    assert!(events.len() > 100, "{name}: {} operations", events.len());
    if let Err(why) = check(events, 0) {
        panic!("{name}: {why}");
    }
}

/// Puts, gets and deletes of a key take place at one moment each, between their begin and their end, and
/// those that are cancelled or late do not.
#[test]
fn keys_of_a_store_are_linearizable() {
    in_client!(Options::new().bdev().kv().workers(4), |site| {
        connect();
        bdev::Client::create("ram", bdev::Params::default()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (flush, always) = (path("flush"), path("always"));
        let file = |path, sync| kv::Params { path, sync, ..kv::Params::default() };
        let stored = kv::Params { device: "ram".into(), ..kv::Params::default() };
        let mut cancelled = 0;
        for (name, params, containers, few, many) in [
            ("memory", kv::Params::default(), 1, 500, 10_000),
            ("several", kv::Params::default(), 4, 500, 10_000),
            ("file", file(flush, kv::Sync::Flush), 1, 300, 5000),
            ("always", file(always, kv::Sync::Always), 2, 50, 500),
            ("stored", stored, 1, 200, 2000),
        ] {
            let options = PoolOptions::default().containers(containers);
            kv::Client::create_with(name, params, options).unwrap();
            let count = rounds(few, many);
            let events = record(site, "kv", name, count);
            assert_linearizable(name, &events);
            cancelled += CLIENTS as usize * THREADS * count - events.len();
        }
        assert!(cancelled > 0, "some were cancelled or late");
    });
}

/// Reads and writes of a block take place at one moment each, in memory and in files, also as a part of
/// requests for several blocks that overlap.
#[test]
fn blocks_of_a_device_are_linearizable() {
    const BLOCKS: u64 = 8;
    in_client!(Options::new().bdev().workers(4), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let ram = bdev::Params { blocks: BLOCKS, ..bdev::Params::default() };
        let mut devices = vec![("ram".to_owned(), ram)];
        for ((io, _), direct) in engines().into_iter().flat_map(|e| [(e, false), (e, true)]) {
            let name = format!("{io:?} {direct}");
            let path = file_for(directory.path(), &name, BLOCKS);
            devices.push((name, bdev::Params { direct, ..of_file(&path, io) }));
        }
        for (name, params) in devices {
            let device = bdev::Client::create(&name, params).unwrap();
            device.allocate(BLOCKS).unwrap();
            // New blocks may have any contents.
            device.write(0, vec![0; BLOCKS as usize * 4096]).unwrap();
            let events = record(site, "blocks", &name, rounds(300, 5000));
            assert_linearizable(&name, &events);
        }
    });
}

/// Clients that keep adding to the pool "life", each in a process of its own, while `meanwhile` runs. They
/// check the order in which their tasks start and get a lock.
fn add_meanwhile(site: &Site, mix: &str, meanwhile: impl FnOnce()) {
    let start = |number: u64| {
        let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-load"));
        Running::start(command.args(["keep", "life", &number.to_string(), "64", mix]))
    };
    let mut clients: Vec<Running> = (0..CLIENTS).map(start).collect();
    for client in &mut clients {
        assert_eq!(client.line().as_deref(), Some("ready"));
    }
    meanwhile();
    for client in &mut clients {
        client.close();
        let said = client.line().expect("its checks hold");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["sent"], said["ok"]);
        assert_eq!(client.end(), 0);
        tally("ordered starts", said["ok"].as_u64().unwrap());
    }
}

/// Workers are blocked again and again, so that others take over their lanes and rings.
fn block_workers() {
    let busy = ValuePool::new(connect(), model::MODULE, "busy");
    for _ in 0..rounds(20, 400) {
        let blocking: Vec<_> =
            (1..=3).map(|lane| busy.task(model::COMPUTE, 12_000_000, lane)).collect();
        let ended = wait_all(submit_all(blocking).unwrap());
        assert!(ended.iter().all(Result::is_ok));
    }
}

/// The order of starts, and of holders of a lock.
fn keep_order(site: &Site) {
    let ipc = connect();
    for mix in ["add", "all"] {
        let pool = ipc.create_pool(life::MODULE, "life", b"").unwrap();
        add_meanwhile(site, mix, block_workers);
        ipc.destroy_pool(pool).unwrap();
    }
}

fn ordered(life: PathBuf) -> Options {
    Options::new().model().file(life).workers(4)
}

/// The tasks of one thread for one lane start in the order in which it submitted them, whatever happens to
/// the lane, and holders of a lock get it, one at a time, in the order in which they asked.
#[test]
fn tasks_of_a_thread_start_and_get_a_lock_in_their_order() {
    in_client!(ordered(artefacts::test_module("life")), keep_order);
}

#[test]
fn tasks_of_a_thread_start_and_get_a_lock_in_their_order_in_rust() {
    in_client!(ordered(artefacts::rust_life(1)), keep_order);
}

/// A batch is as if its tasks were submitted one after the other: they keep their order, and each ends by itself.
#[test]
fn a_batch_is_its_tasks_one_after_the_other() {
    in_client!(Options::new().kv().file(artefacts::test_module("life")).workers(4), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(life::MODULE, "life", b"").unwrap();
        let store = kv::Client::create("kv", kv::Params::default()).unwrap();
        for round in 0..rounds(50, 1000) as u64 {
            let add = |value: u64| {
                let task: NewTask<KeyTask> = ipc.task(pool, life::ADD);
                task.key.set("key").unwrap();
                task.value.set(value);
                task
            };
            let sums = wait_all(submit_all((0..40).map(|_| add(1)).collect()).unwrap());
            let sums = sums.into_iter().map(|done| done.unwrap().result.get());
            assert!(sums.eq(round * 40 + 1..=round * 40 + 40), "round {round}");

            // One that is refused does not keep the others from taking place.
            let put = |at: u64| {
                let task: NewTask<kv::PutTask> = ipc.task(store.pool_id(), kv::Method::PUT);
                task.key.set("key").unwrap();
                task.value.set((round * 40 + at).to_le_bytes()).unwrap();
                if at == 20 {
                    task.base().set_deadline(Duration::from_nanos(1));
                }
                task
            };
            let ended = wait_all(submit_all((0..40).map(put).collect()).unwrap());
            assert!(ended.iter().enumerate().all(|(at, ended)| ended.is_ok() || at == 20));
            assert_eq!(store.get("key").unwrap(), (round * 40 + 39).to_le_bytes());
        }
    });
}

/// A task that its monitor takes long to place is not overtaken by those that its thread sends after it,
/// although other workers take over what they can.
#[test]
fn a_monitor_that_blocks_its_worker_keeps_the_order_of_a_thread() {
    in_client!(Options::new().model().workers(2), |_| {
        let ipc = connect();
        for (name, module) in [("cpp", model::MODULE), ("rust", model::RUST)] {
            let pool = ValuePool::new(ipc, module, name);
            let mut last = 0;
            for _ in 0..rounds(5, 100) {
                let values = (0..100).map(|at| if at % 40 == 20 { 7 } else { 3 });
                let tasks = values.map(|value| pool.task(model::MONITORED, value, 0)).collect();
                let ended = wait_all(submit_all(tasks).unwrap());
                let ticks: Vec<u64> =
                    ended.into_iter().map(|done| done.unwrap().result.get()).collect();
                assert!(ticks.iter().copied().eq(last + 1..=last + 100), "{ticks:?}");
                last += 100;
            }
        }
    });
}

fn event(begin: u64, end: u64, what: What) -> Event {
    Event { register: 0, begin, end, what }
}

/// The checker itself: histories that can be, and what is wrong with those that cannot.
#[test]
fn histories_that_cannot_be_are_found() {
    use What::{Exchange, Read, Write};
    let fine = |events: &[Event]| check_register(events.to_vec(), 0).is_ok();
    let (write, read) = (|b, e, v| event(b, e, Write(v)), |b, e, v| event(b, e, Read(v)));
    assert!(fine(&[]));
    assert!(fine(&[write(1, 2, 7), read(3, 4, 7)]));
    assert!(fine(&[write(1, 9, 7), read(2, 3, 0), read(4, 5, 7)]), "while it is written");
    assert!(fine(&[write(1, 9, 7), write(1, 9, 8), read(2, 3, 8), read(4, 5, 7)]));
    assert!(!fine(&[write(1, 2, 7), read(3, 4, 0)]), "a stale read");
    assert!(!fine(&[read(1, 2, 7), write(3, 4, 7)]), "a read of what was not yet written");
    assert!(!fine(&[write(1, 9, 7), read(2, 3, 7), read(4, 5, 0)]), "new, then old");
    assert!(!fine(&[write(1, 2, 7), write(3, 4, 8), read(5, 6, 7)]), "a lost write");
    assert!(!fine(&[read(1, 2, 9)]), "a write that was cancelled");
    assert!(!fine(&[write(1, 9, 7), write(1, 9, 8), read(10, 11, 7), read(12, 13, 8)]));
    assert!(fine(&[event(1, 2, Exchange(7, false)), event(3, 4, Exchange(0, true))]));
    assert!(!fine(&[event(1, 2, Exchange(7, false)), event(3, 4, Exchange(8, false))]));
    let line = event(1, 2, Exchange(7, true));
    assert_eq!(line.to_string().parse(), Ok(line));
}

/// The checker on histories that are made from an order of operations, whole and with a value changed.
#[test]
fn histories_that_are_made_from_an_order_are_accepted() {
    let mut random = Random::new(seed());
    let (mut value, mut events) = (0, Vec::new());
    for at in 1..=rounds(1000, 20_000) as u64 {
        // A few others happen while it seems to take place.
        let time = 2000 + at * 100;
        let (begin, end) = (time - random.below(300), time + random.below(300));
        let what = match random.below(3) {
            0 => What::Read(value),
            1 => What::Write(at),
            _ => What::Exchange(if random.once_in(2) { at } else { 0 }, value != 0),
        };
        if let What::Write(new) | What::Exchange(new, _) = what {
            value = new;
        }
        events.push(Event { register: 0, begin, end, what });
    }
    check_register(events.clone(), 0).unwrap();
    let read = events.iter().rposition(|event| matches!(event.what, What::Read(_))).unwrap();
    events[read].what = What::Read(u64::MAX);
    let why = check_register(events, 0).unwrap_err();
    assert!(why.contains("no order explains"), "{why}");
}
