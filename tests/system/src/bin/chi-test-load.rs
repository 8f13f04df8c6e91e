//! Clients of pools of `test:life`:
//!
//! ```text
//! chi-test-load keep POOL NUMBER DEPTH MIX   keeps DEPTH tasks in flight
//! chi-test-load fill POOL ENTRIES BYTES      makes entries of 1000 bytes each, and a blob
//! chi-test-load state POOL                   prints the state as one JSON document
//! ```
//!
//! With `all` as MIX, the tasks add, sleep, hold a lock, wait for a poller and send subtasks; with
//! `add`, they only add. NUMBER tells the client from others of the pool. It prints "ready" when its
//! first task has ended. To the line "worst" on its standard input it answers, when all tasks that
//! are in flight have ended, with the longest time in nanoseconds that a task has taken since the
//! last answer. It ends with its standard input, or with the daemon, and prints one JSON document:
//! how many tasks it sent, how many have succeeded, and what they have added to each entry.
//!
//! Each task adds 1 to an entry that only this client's tasks of that method use, and learns the sum. So
//! the sums of n tasks must be 1 to n, each once, and in the order of submission where the runtime
//! promises one.

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::sync::mpsc::{channel, Receiver, TryRecvError};
use std::time::Instant;

use chimaera::abi::{CHI_OK, CHI_UNAVAILABLE};
use chimaera::{Ipc, NewTask, Pending, PoolId, Status, WaitError};
use chimaera_test_life_client::{self as life, CheckTask, KeyTask, ValueTask};
use chimaera_tests::raw::Random;
use chimaera_tests::{connect, process, Call};
use serde_json::json;

/// How many entries the tasks of a method use.
const ENTRIES: u64 = 8;
/// How many subtasks a task sends, one after the other.
const SUBTASKS: u64 = 3;

/// A method, and whether its tasks end their work in the order in which one thread submits them.
/// Holders of a lock get it in the order in which they asked for it.
const METHODS: [(&str, u32, bool); 4] = [
    ("add", life::ADD, true),
    ("slow", life::SLOW, false),
    ("locked", life::LOCKED, true),
    ("polled", life::POLLED, false),
];

/// A task in flight.
enum Flying {
    Key(usize, u64, Pending<KeyTask>),
    Sub(Pending<ValueTask>),
}

/// What has come of the tasks of one method on one entry: the sums, in the order of submission.
type Sums = BTreeMap<(usize, u64), Vec<u64>>;

struct Load {
    ipc: Ipc,
    pool: PoolId,
    number: u64,
    random: Random,
    sent: u64,
    ended: BTreeMap<i32, u64>,
    sums: Sums,
    /// The sums of all entries that tasks of `add` saw, in the order of submission.
    counts: Vec<u64>,
    subtasks: u64,
    /// The longest time that a task has taken, in nanoseconds.
    worst: u128,
}

/// The status of a task that must end in time.
fn outcome<T: chimaera::Task>(task: Pending<T>) -> Result<chimaera::Done<T>, Status> {
    task.wait_timeout(process::BOUND).map_err(|error| match error {
        WaitError::Failed(status) => status,
        WaitError::Timeout(_) => panic!("a task has not ended within {:?}", process::BOUND),
    })
}

impl Load {
    /// Submits a task. Fails when the daemon is gone.
    fn submit(&mut self, all: bool) -> Result<Flying, Status> {
        let choice = if all { self.random.below(40) } else { 0 };
        let flying = if choice == 39 {
            let task: NewTask<ValueTask> = self.ipc.task(self.pool, life::SUB);
            task.value.set(SUBTASKS);
            task.ms.set(1);
            Flying::Sub(task.submit()?)
        } else {
            // Most tasks only add; those that hold the lock keep others waiting.
            let method = choice.saturating_sub(35) as usize;
            let entry = self.random.below(ENTRIES);
            let task: NewTask<KeyTask> = self.ipc.new_task(
                self.pool,
                chimaera::DomainQuery::dynamic(),
                METHODS[method].1,
            )?;
            task.key.set(self.entry(method, entry))?;
            task.value.set(1);
            task.ms.set(self.random.below(3));
            Flying::Key(method, entry, task.submit()?)
        };
        self.sent += 1;
        Ok(flying)
    }

    fn entry(&self, method: usize, entry: u64) -> String {
        format!("{} {} {entry}", self.number, METHODS[method].0)
    }

    fn end(&mut self, flying: Flying, since: Instant) {
        let status = match flying {
            Flying::Key(method, entry, task) => outcome(task).map(|done| {
                self.sums.entry((method, entry)).or_default().push(done.result.get());
                if METHODS[method].1 == life::ADD {
                    self.counts.push(done.count.get());
                }
            }),
            Flying::Sub(task) => outcome(task).map(|_| self.subtasks += SUBTASKS),
        };
        self.worst = self.worst.max(since.elapsed().as_nanos());
        let code = status.err().map_or(CHI_OK, |status| {
            assert_eq!(status.code(), CHI_UNAVAILABLE, "{status}");
            status.code()
        });
        *self.ended.entry(code).or_default() += 1;
    }

    /// Checks that the sums are those of tasks that ran once each. Returns the sum of each entry.
    fn check(&self) -> BTreeMap<String, u64> {
        let of = |(&(method, entry), sums): (&(usize, u64), &Vec<u64>)| {
            let name = self.entry(method, entry);
            let mut sorted = sums.clone();
            sorted.sort_unstable();
            // The last ones are unknown when the daemon is gone; none is there twice.
            let mut expected = 1..=sums.len() as u64;
            assert!(
                self.ended.contains_key(&CHI_UNAVAILABLE)
                    || sorted.iter().all(|sum| expected.next() == Some(*sum)),
                "{name}: {sorted:?}"
            );
            assert!(sorted.windows(2).all(|two| two[0] < two[1]), "{name}: {sorted:?}");
            assert!(!METHODS[method].2 || sorted == *sums, "{name} out of order: {sums:?}");
            (name, sums.len() as u64)
        };
        let out_of_order = self.counts.windows(2).position(|two| two[0] >= two[1]);
        if let Some(at) = out_of_order {
            let around = &self.counts[at.saturating_sub(20)..self.counts.len().min(at + 80)];
            panic!("started out of order: {around:?}");
        }
        self.sums.iter().map(of).collect()
    }
}

/// Lines of the standard input, read by a thread.
fn lines() -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn keep(pool: &str, number: u64, depth: usize, all: bool) {
    let ipc = connect();
    let pool = ipc.find_pool(pool).expect("the test has created the pool");
    let mut load = Load {
        ipc,
        pool,
        number,
        random: Random::new(number + 1),
        sent: 0,
        ended: BTreeMap::new(),
        sums: Sums::new(),
        counts: Vec::new(),
        subtasks: 0,
        worst: 0,
    };
    let lines = lines();
    let mut flying: VecDeque<(u64, Instant, Flying)> = VecDeque::new();
    // Which task was the next when the question came.
    let mut asked: Option<u64> = None;
    let (mut over, mut ready) = (false, false);
    while !over || !flying.is_empty() {
        match lines.try_recv() {
            Ok(line) if line == "worst" => asked = Some(load.sent),
            Ok(line) => panic!("unknown: {line}"),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => over = true,
        }
        while !over && flying.len() < depth {
            let since = Instant::now();
            match load.submit(all) {
                Ok(task) => flying.push_back((load.sent - 1, since, task)),
                Err(status) => {
                    assert_eq!(status.code(), CHI_UNAVAILABLE, "{status}");
                    over = true;
                }
            }
        }
        if let Some((_, since, oldest)) = flying.pop_front() {
            load.end(oldest, since);
            over |= load.ended.contains_key(&CHI_UNAVAILABLE);
            if !std::mem::replace(&mut ready, true) {
                println!("ready");
            }
        }
        let passed = |next| flying.front().is_none_or(|(oldest, _, _)| *oldest >= next);
        if asked.is_some_and(passed) {
            println!("{}", std::mem::take(&mut load.worst));
            asked = None;
        }
    }
    let all = load.ended.values().sum::<u64>();
    assert_eq!(all, load.sent, "each task has ended");
    let (entries, ok) = (load.check(), load.ended.get(&CHI_OK).copied().unwrap_or(0));
    let document = json!({
        "sent": load.sent,
        "ok": ok,
        "entries": entries,
        "subtasks": load.subtasks,
    });
    println!("{document}");
}

fn fill(pool: &str, entries: u64, bytes: u64) {
    let ipc = connect();
    let pool = ipc.find_pool(pool).expect("the pool exists");
    for (method, value) in [(life::FILL, entries), (life::GROW, bytes)] {
        let task: NewTask<ValueTask> = ipc.task(pool, method);
        task.value.set(value);
        task.call().expect("there is room");
    }
}

fn state(pool: &str) {
    let ipc = connect();
    let pool = ipc.find_pool(pool).expect("the pool exists");
    let task: NewTask<CheckTask> = ipc.task(pool, life::CHECK);
    let task = task.call().expect("it can be described");
    let document = json!({
        "count": task.count.get(),
        "entries": task.n_entries.get(),
        "sum": task.entries_sum.get(),
        "bytes": task.blob_size.get(),
    });
    println!("{document}");
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match args[..] {
        ["keep", pool, client, depth, mix @ ("all" | "add")] => {
            keep(pool, number(client), number(depth) as usize, mix == "all");
        }
        ["fill", pool, entries, bytes] => fill(pool, number(entries), number(bytes)),
        ["state", pool] => state(pool),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
