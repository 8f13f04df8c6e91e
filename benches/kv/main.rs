//! How long puts into `chimaera:kv` take that are kept in a file, beside the same puts into the
//! same database library, called directly. Both are in this process, in files in one directory,
//! and alternate.
//!
//! ```text
//! chimaera-kv-bench MODULES [DIRECTORY] [ROUNDS]
//! ```
//!
//! The store's client keeps 16 puts in flight. Without a store, one thread commits 16 puts in each
//! transaction, with the same promises: with `always` every transaction is durable before the next
//! begins, with `flush` all are at the end of a round.

use std::collections::VecDeque;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chimaera::client::{self, Options};
use chimaera::runtime::{Config, Runtime};
use chimaera_kv_client::{Client, Params, Sync};
use redb::{Builder, Database, Durability, TableDefinition};

const DEPTH: usize = 16;
const KEYS: u64 = 10_000;
/// As the store does.
const CACHE: usize = 64 << 20;
const MAX_UNWRITTEN: usize = 256;
const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The puts of a round: random keys.
fn keys(round: u64, puts: usize) -> Vec<[u8; 16]> {
    let mut state = round * 0x9e37_79b9 + 88_172_645_463_325_252;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut key = *b"key/000000000000";
        key[4..].copy_from_slice(format!("{:012}", state % KEYS).as_bytes());
        key
    };
    std::iter::repeat_with(next).take(puts).collect()
}

fn through_the_store(
    store: Client,
    sync: Sync,
    keys: &[[u8; 16]],
    value: &[u8],
) -> Outcome<Duration> {
    let begin = Instant::now();
    let mut in_flight = VecDeque::new();
    for key in keys {
        if in_flight.len() == DEPTH {
            in_flight.pop_front().map(chimaera::Pending::wait).transpose()?;
        }
        in_flight.push_back(store.put_async(key, value)?);
    }
    for put in in_flight {
        put.wait()?;
    }
    if sync == Sync::Flush {
        store.flush()?;
    }
    Ok(begin.elapsed())
}

fn directly(database: &Database, sync: Sync, keys: &[[u8; 16]], value: &[u8]) -> Outcome<Duration> {
    let begin = Instant::now();
    let transactions = keys.len().div_ceil(DEPTH);
    for (n, keys) in keys.chunks(DEPTH).enumerate() {
        let is_last = n + 1 == transactions;
        let immediate = sync == Sync::Always || is_last || n % MAX_UNWRITTEN == MAX_UNWRITTEN - 1;
        let mut transaction = database.begin_write()?;
        transaction.set_durability(match immediate {
            true => Durability::Immediate,
            false => Durability::None,
        });
        transaction.set_two_phase_commit(immediate);
        {
            let mut table = transaction.open_table(TABLE)?;
            for key in keys {
                table.insert(key.as_slice(), value)?;
            }
        }
        transaction.commit()?;
    }
    Ok(begin.elapsed())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn compare(directory: &Path, sync: Sync, size: usize, rounds: u64) -> Outcome<()> {
    let name = format!("{sync:?} {size}");
    let path = |what: &str| directory.join(format!("{name} {what}"));
    let in_store = path("store").to_string_lossy().into_owned();
    let store = Client::create(&name, Params { path: in_store, sync, ..Params::default() })?;
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).create_with_file_format_v3(true);
    let database = builder.create(path("direct"))?;
    let value = vec![7; size];
    let puts = if sync == Sync::Always { 1600 } else { 16_000 };
    let (mut of_store, mut of_direct) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let keys = keys(round, puts);
        let a = through_the_store(store, sync, &keys, &value)?.as_secs_f64();
        let b = directly(&database, sync, &keys, &value)?.as_secs_f64();
        // The first round fills the files.
        if round > 0 {
            of_store.push(a);
            of_direct.push(b);
        }
    }
    let ratios: Vec<f64> = of_store.iter().zip(&of_direct).map(|(a, b)| a / b).collect();
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = ratios.iter().copied().fold(0.0, f64::max);
    let us = |times| median(times) / puts as f64 * 1e6;
    println!(
        "sync={} value={size:<5} store {:8.2} us/put, directly {:8.2} us/put, ratio {:.2} ({lowest:.2} to {highest:.2})",
        if sync == Sync::Always { "always" } else { "flush " },
        us(of_store),
        us(of_direct),
        median(ratios),
    );
    chimaera::ipc()?.destroy_pool(store.pool_id())?;
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let modules =
        arguments.next().ok_or("usage: chimaera-kv-bench MODULES [DIRECTORY] [ROUNDS]")?;
    let within = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let rounds = arguments.next().and_then(|n| n.to_str()?.parse().ok()).unwrap_or(7);
    let directory = tempfile::tempdir_in(within)?;
    let config = Config { module_paths: vec![modules.into()], ..Config::embedded() };
    let runtime = Runtime::start(config)?;
    let instance = Some(runtime.instance().name().to_owned());
    client::init(Options { instance, ..Options::default() })?;
    for sync in [Sync::Always, Sync::Flush] {
        for size in [100, 4096] {
            compare(directory.path(), sync, size, rounds)?;
        }
    }
    client::shutdown();
    runtime.stop();
    runtime.wait();
    Ok(())
}
