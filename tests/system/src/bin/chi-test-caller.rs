//! A client that goes on calling while nodes of the cluster are lost: `chi-test-caller NUMBER CONTAINERS`.
//!
//! One thread for each container of the pool `witness` (`test:witness`), and one for each remainder of keys of the pool
//! `store` (`chimaera:kv`), calls again and again, each time with a key that is used once. So a container that hangs
//! holds up only its own thread. It prints "ready" when each thread has had an answer or an error, ends its calls with
//! its standard input, and prints one line for each call, and then "end":
//!
//! ```text
//! POOL KEY CONTAINER OUTCOME STARTED ENDED MESSAGE
//! ```
//!
//! POOL is "witness" or "store"; of the latter, CONTAINER is the number of the thread. OUTCOME is "ran", "perhaps" (the
//! node was lost, and it may have run), "not" (it did not run), or a status. The times are in nanoseconds by
//! `CLOCK_BOOTTIME`.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chimaera::abi::{CHI_BUSY, CHI_NODE_LOST};
use chimaera::{DomainQuery, Ipc, NewTask, PoolId, Status};
use chimaera_kv_client::Client;
use chimaera_test_witness_client::{NoteTask, NOTE};
use chimaera_tests::connect;
use rustix::time::{clock_gettime, ClockId};

/// The pause between two calls of a thread.
const PAUSE: Duration = Duration::from_millis(2);

fn now() -> u64 {
    let at = clock_gettime(ClockId::Boottime);
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// What came of a call, in a word, and why.
fn outcome(result: Result<(), Status>) -> (String, String) {
    match result {
        Ok(()) => ("ran".to_owned(), String::new()),
        Err(status) => {
            let message = status.message().to_owned();
            let word = match status.code() {
                CHI_NODE_LOST if message.ends_with("it did not run") => "not".to_owned(),
                CHI_NODE_LOST if message.ends_with("it may have run") => "perhaps".to_owned(),
                CHI_BUSY => "not".to_owned(),
                code => code.to_string(),
            };
            (word, message.replace('\n', " "))
        }
    }
}

fn note(ipc: Ipc, pool: PoolId, container: u32, key: &str) -> Result<(), Status> {
    let task: NewTask<NoteTask> = ipc.new_task(pool, DomainQuery::global_id(container), NOTE)?;
    task.key.set(key)?;
    task.call().map(drop)
}

fn put(store: Client, key: &str) -> Result<(), Status> {
    match store.put(key, key)? {
        false => Ok(()),
        true => Err(Status::failed(format!("{key} was there already: it was put twice"))),
    }
}

/// Calls until the end, and returns a line for each call.
fn go_on(
    over: &AtomicBool,
    begun: &AtomicUsize,
    name: &str,
    call: impl Fn(&str) -> Result<(), Status>,
) -> Vec<String> {
    let mut lines = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let key = format!("{name}/{}", lines.len());
        let started = now();
        let (word, message) = outcome(call(&key));
        let ended = now();
        let (pool, container) = name.split_once('/').map_or((name, ""), |(pool, rest)| {
            (pool, rest.rsplit_once('/').map_or(rest, |(_, container)| container))
        });
        lines.push(format!("{pool} {key} {container} {word} {started} {ended} {message}"));
        if lines.len() == 1 {
            begun.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(PAUSE);
    }
    lines
}

fn main() {
    let arguments: Vec<u32> =
        std::env::args().skip(1).map(|text| text.parse().expect("a number")).collect();
    let [number, containers] = arguments[..] else { panic!("NUMBER CONTAINERS") };
    let ipc = connect();
    let witness = ipc.find_pool("witness").expect("the test has created it");
    let store = Client::find("store").expect("the test has created it");
    let (over, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lines: Vec<String> = std::thread::scope(|scope| {
        let (over, begun) = (&over, &begun);
        let threads: Vec<_> = (0..containers)
            .flat_map(|container| {
                let noting = scope.spawn(move || {
                    let name = format!("witness/{number}/{container}");
                    go_on(over, begun, &name, |key| note(ipc, witness, container, key))
                });
                let putting = scope.spawn(move || {
                    let name = format!("store/{number}/{container}");
                    go_on(over, begun, &name, |key| put(store, key))
                });
                [noting, putting]
            })
            .collect();
        while begun.load(Ordering::Relaxed) < threads.len() {
            std::thread::sleep(PAUSE);
        }
        println!("ready");
        std::io::stdin().read_to_end(&mut Vec::new()).expect("it can be read");
        over.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().expect("calls do not panic")).collect()
    });
    let mut out = std::io::stdout().lock();
    out.write_all(lines.join("\n").as_bytes()).expect("the test reads it");
    out.write_all(b"\nend\n").expect("the test reads it");
}
