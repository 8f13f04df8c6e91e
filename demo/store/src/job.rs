//! The client program of `demo/cluster`: puts values into a store that all nodes have a part of, and gets them back.
//!
//! ```text
//! demo_job INSTANCE POOL CONTAINERS
//! ```
//!
//! Each line on standard input is a call, `put KEY BYTES` or `get KEY BYTES`. The bytes of a value follow from its
//! key. Several calls are in flight at a time. Each that ends is a line on standard output, in the order of the input:
//!
//! ```text
//! KIND KEY CONTAINER NANOSECONDS ENDED MESSAGE
//! ```
//!
//! ENDED is `ok`, `wrong` if the value has other bytes, `never` if the call has not ended in time, `lost`, `not_found`
//! and `unavailable` for these statuses, and `failed` for all others.

use std::collections::VecDeque;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_NODE_LOST, CHI_NOT_FOUND, CHI_UNAVAILABLE};
use chimaera::client::{self, Options};
use chimaera::{Pending, Status, Task, WaitError};
use chimaera_kv_client::{key_hash, Client, GetTask, PutTask};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Calls in flight.
const DEPTH: usize = 16;
/// By when a call has to end. A cluster ends each within seconds.
const BOUND: Duration = Duration::from_secs(60);

enum Sent {
    Put(chimaera::Result<Pending<PutTask>>),
    Get(chimaera::Result<Pending<GetTask>>),
}

struct Call {
    key: String,
    bytes: usize,
    since: Instant,
    sent: Sent,
}

/// How a call ended.
enum Ended {
    Ok,
    Wrong,
    Never,
    Failed(Status),
}

/// The value of a key: numbers that begin with its hash.
fn value(key: &str, bytes: usize) -> Vec<u8> {
    let mut state = u64::from(key_hash(key.as_bytes())) << 1 | 1;
    let mut all = Vec::with_capacity(bytes + 8);
    while all.len() < bytes {
        // xorshift64, Marsaglia 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend(state.to_le_bytes());
    }
    all.truncate(bytes);
    all
}

fn wait<T: Task>(
    sent: chimaera::Result<Pending<T>>,
    look: impl FnOnce(&T) -> chimaera::Result<bool>,
) -> Ended {
    let done = match sent.map(|task| task.wait_timeout(BOUND)) {
        Err(status) | Ok(Err(WaitError::Failed(status))) => return Ended::Failed(status),
        Ok(Err(WaitError::Timeout(_))) => return Ended::Never,
        Ok(Ok(done)) => done,
    };
    match look(&done) {
        Ok(true) => Ended::Ok,
        Ok(false) => Ended::Wrong,
        Err(status) => Ended::Failed(status),
    }
}

impl Call {
    fn send(store: &Client, line: &str) -> Result<Call> {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, key, bytes] = words[..] else { return Err(format!("no call: {line}").into()) };
        let bytes = bytes.parse()?;
        let (key, since) = (key.to_owned(), Instant::now());
        let sent = match kind {
            "put" => Sent::Put(store.put_async(&key, value(&key, bytes))),
            "get" => Sent::Get(store.get_async(&key)),
            other => return Err(format!("no kind of call: {other}").into()),
        };
        Ok(Call { key, bytes, since, sent })
    }

    /// Waits for the end of the call, and reports it. Returns whether it has ended.
    fn finish(self, out: &mut impl Write, containers: u32) -> Result<bool> {
        let Call { key, bytes, since, sent } = self;
        let (kind, ended) = match sent {
            Sent::Put(sent) => ("put", wait(sent, |_| Ok(true))),
            Sent::Get(sent) => {
                let same = |task: &GetTask| Ok(task.value.copy_to_vec()? == value(&key, bytes));
                ("get", wait(sent, same))
            }
        };
        let took = since.elapsed().as_nanos();
        let container = key_hash(key.as_bytes()) % containers;
        let (how, why) = match &ended {
            Ended::Ok => ("ok", String::new()),
            Ended::Wrong => ("wrong", String::new()),
            Ended::Never => ("never", String::new()),
            Ended::Failed(status) => {
                let how = match status.code() {
                    CHI_NODE_LOST => "lost",
                    CHI_NOT_FOUND => "not_found",
                    CHI_UNAVAILABLE => "unavailable",
                    _ => "failed",
                };
                (how, status.message().replace('\n', " "))
            }
        };
        writeln!(out, "{kind} {key} {container} {took} {how} {why}")?;
        out.flush()?;
        Ok(!matches!(ended, Ended::Never))
    }
}

/// Sends all calls. Returns `false` if one does not end.
fn run(instance: &str, pool: &str, containers: &str) -> Result<bool> {
    client::init(Options { instance: Some(instance.to_owned()), ..Options::default() })?;
    let (store, containers) = (Client::find(pool)?, containers.parse()?);
    let mut out = std::io::stdout().lock();
    let mut in_flight: VecDeque<Call> = VecDeque::with_capacity(DEPTH);
    for line in std::io::stdin().lines() {
        if in_flight.len() == DEPTH {
            let oldest = in_flight.pop_front().expect("there are some");
            if !oldest.finish(&mut out, containers)? {
                return Ok(false);
            }
        }
        in_flight.push_back(Call::send(&store, &line?)?);
    }
    for call in in_flight {
        if !call.finish(&mut out, containers)? {
            return Ok(false);
        }
    }
    client::shutdown();
    Ok(true)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [instance, pool, containers] = &arguments[..] else {
        eprintln!("usage: demo_job INSTANCE POOL CONTAINERS");
        return ExitCode::from(2);
    };
    match run(instance, pool, containers) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo_job: {error}");
            ExitCode::FAILURE
        }
    }
}
