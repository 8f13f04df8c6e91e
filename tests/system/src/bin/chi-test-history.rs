//! A client that records what it does and sees, one line for each operation:
//!
//! ```text
//! chi-test-history kv STORE NUMBER COUNT       puts, gets and deletes of REGISTERS keys
//! chi-test-history blocks DEVICE NUMBER COUNT  reads and writes of REGISTERS blocks
//! ```
//!
//! Each of several threads submits COUNT operations, and keeps some in flight. NUMBER tells the
//! client from others. Some puts and deletes are cancelled or late; those are not recorded, because
//! they must not have happened.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use chimaera::abi::{CHI_CANCELLED, CHI_DEADLINE, CHI_NOT_FOUND};
use chimaera::{NewTask, Pending, Status, Task, WaitError};
use chimaera_bdev_client as bdev;
use chimaera_kv_client as kv;
use chimaera_tests::history::{now, Event, What};
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::{connect, process, Call};

const THREADS: u64 = 2;
const FLIGHT: usize = 4;
const REGISTERS: u64 = 8;
const BLOCK: usize = 4096;
/// Blocks of one request, at most.
const RUN: u64 = 3;

/// Ends an operation: what it has done to which registers.
type End = Box<dyn FnOnce() -> Vec<(u64, What)>>;

/// Submits an operation with a value that no other has.
type Submit<'s> = &'s (dyn Fn(&mut Random, u64) -> End + Sync);

/// How a task has ended.
#[track_caller]
fn outcome<T: Task>(task: Pending<T>) -> Result<chimaera::Done<T>, Status> {
    task.wait_timeout(process::BOUND).map_err(|error| match error {
        WaitError::Failed(status) => status,
        WaitError::Timeout(_) => panic!("a task has not ended within {:?}", process::BOUND),
    })
}

/// Bytes that say which value they are, as many as it says.
fn bytes_of(value: u64, len: usize) -> Vec<u8> {
    value.to_le_bytes().into_iter().cycle().take(len).collect()
}

/// The value of some bytes, which must be whole.
fn value_of(bytes: &[u8]) -> u64 {
    let value = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    assert!(bytes == bytes_of(value, bytes.len()), "{value:x} is torn");
    value
}

/// Submits a task that may be cancelled, or too late.
fn perhaps<T: Task>(task: NewTask<T>, random: &mut Random) -> Pending<T> {
    if random.once_in(8) {
        task.base().set_deadline(Duration::from_micros(random.below(400)));
    }
    let task = task.submit().expect("there is room");
    if random.once_in(8) {
        task.cancel().expect("the runtime is there");
    }
    task
}

fn operate_on_store(store: kv::Client, random: &mut Random, value: u64) -> End {
    let register = random.below(REGISTERS);
    let key = format!("key {register}");
    let ipc = chimaera::ipc().expect("this process is connected");
    let happened = move |ended: Result<bool, Status>, new| match ended {
        Ok(there) => vec![(register, What::Exchange(new, there))],
        Err(status) => {
            assert!([CHI_CANCELLED, CHI_DEADLINE].contains(&status.code()), "{status}");
            Vec::new()
        }
    };
    match random.below(5) {
        0 | 1 => {
            let task: NewTask<kv::PutTask> = ipc.task(store.pool_id(), kv::Method::PUT);
            let len = 8 << random.below(12);
            task.key.set(&key).and_then(|()| task.value.set(bytes_of(value, len))).expect("room");
            let task = perhaps(task, random);
            Box::new(move || happened(outcome(task).map(|done| done.replaced.get() != 0), value))
        }
        2 => {
            let task: NewTask<kv::DeleteTask> = ipc.task(store.pool_id(), kv::Method::DELETE);
            task.key.set(&key).expect("there is room");
            let task = perhaps(task, random);
            Box::new(move || happened(outcome(task).map(|done| done.existed.get() != 0), 0))
        }
        _ => {
            let task = store.get_async(&key).expect("there is room");
            Box::new(move || match outcome(task) {
                Ok(done) => {
                    let found = done.value.copy_to_vec().expect("it is valid");
                    vec![(register, What::Read(value_of(&found)))]
                }
                Err(status) => {
                    assert_eq!(status.code(), CHI_NOT_FOUND, "{status}");
                    vec![(register, What::Read(0))]
                }
            })
        }
    }
}

fn operate_on_device(device: bdev::Client, random: &mut Random, value: u64) -> End {
    // Requests overlap; what holds for a request of several blocks holds for each block.
    let count = 1 + random.below(RUN);
    let first = random.below(REGISTERS - count + 1);
    if random.once_in(2) {
        let data = bytes_of(value, BLOCK * count as usize);
        let task = device.write_async(first, data).expect("there is room");
        return Box::new(move || {
            outcome(task).expect("the blocks are allocated");
            (first..first + count).map(|block| (block, What::Write(value))).collect()
        });
    }
    let task = device.read_async(first, count).expect("there is room");
    Box::new(move || {
        let done = outcome(task).expect("the blocks are allocated");
        let found = done.data.copy_to_vec().expect("it is valid");
        let values = found.chunks(BLOCK).map(|block| What::Read(value_of(block)));
        (first..).zip(values).collect()
    })
}

fn thread(number: u64, count: u64, submit: Submit<'_>) -> Vec<Event> {
    let mut random = Random::new(seed() ^ number << 32);
    let (mut flying, mut events) = (VecDeque::new(), Vec::new());
    let mut left = 1..=count;
    loop {
        while flying.len() < FLIGHT {
            let Some(at) = left.next() else { break };
            let begin = now();
            flying.push_back((begin, submit(&mut random, number << 32 | at)));
        }
        let Some((begin, end)) = flying.pop_front() else { return events };
        let done = end();
        let end = now();
        events.extend(done.into_iter().map(|(register, what)| Event {
            register,
            begin,
            end,
            what,
        }));
    }
}

/// Prints what all threads have seen.
fn record(number: u64, count: u64, submit: Submit<'_>) {
    let events: Vec<Event> = std::thread::scope(|scope| {
        let one = |own| scope.spawn(move || thread(number * THREADS + own + 1, count, submit));
        let threads: Vec<_> = (0..THREADS).map(one).collect();
        threads.into_iter().flat_map(|one| one.join().expect("its checks hold")).collect()
    });
    let lines: Vec<String> = events.iter().map(|event| format!("{event}\n")).collect();
    print!("{}", lines.concat());
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [what @ ("kv" | "blocks"), pool, number, count] = args[..] else {
        return ExitCode::from(2);
    };
    let (number, count) = (number.parse().expect("a number"), count.parse().expect("a number"));
    connect();
    if what == "kv" {
        let store = kv::Client::find(pool).expect("the test has created it");
        record(number, count, &move |random, value| operate_on_store(store, random, value));
    } else {
        let device = bdev::Client::find(pool).expect("the test has created it");
        record(number, count, &move |random, value| operate_on_device(device, random, value));
    }
    ExitCode::SUCCESS
}
