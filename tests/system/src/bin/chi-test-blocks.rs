//! Clients of a block device, some of which are killed:
//!
//! ```text
//! chi-test-blocks neighbour PATH ENGINE  creates the device "blocks" on a file of 1024 blocks, and
//!                                        checks what it reads until its standard input ends
//! chi-test-blocks victim NUMBER          leaves reads and writes of the device in flight
//! chi-test-blocks owner NUMBER COUNT      allocates blocks of the device for an owner, leaves writes to
//!                                        them in flight, and lets a store "store" put "key"
//! chi-test-blocks lasting PATH ENGINE SUMS NUMBER STATE
//!                                        checks that the device is in the state, goes on until the
//!                                        daemon is gone, and prints the state that is left
//! ```
//!
//! Each prints "ready" once it has started. Every block that a client writes identifies itself and
//! the client.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use chimaera_bdev_client::{Client, Extent, Io, Params, NOT_ALLOCATED};
use chimaera_tests::connect;
use chimaera_tests::device::of_file;
use chimaera_tests::raw::Random;

const DEVICE: &str = "blocks";
const BLOCK: usize = 4096;
const BLOCKS: u64 = 1024;
/// The neighbour uses the blocks before this one.
const VICTIMS: u64 = 256;
/// Blocks of one task.
const RUN: u64 = 16;
/// The neighbour's number.
const NEIGHBOUR: u64 = 0;

/// The data that a client writes to blocks, beginning at `first`.
fn content(first: u64, count: u64, client: u64) -> Vec<u8> {
    let block = |number: u64| {
        let mut block = [(number * 31 + client * 7) as u8; BLOCK];
        block[..8].copy_from_slice(&number.to_le_bytes());
        block[8..16].copy_from_slice(&client.to_le_bytes());
        block
    };
    (first..first + count).flat_map(block).collect()
}

/// Fails if blocks are torn, or are not those beginning at `first`. Blocks that were never written
/// are zero.
fn check(first: u64, found: &[u8]) {
    for (number, block) in (first..).zip(found.chunks(BLOCK)) {
        let client = u64::from_le_bytes(block[8..16].try_into().expect("8 bytes"));
        let untouched = block.iter().all(|byte| *byte == 0);
        assert!(untouched || block == content(number, 1, client), "block {number} of {client}");
    }
}

/// All runs of blocks in a range, in random order.
fn runs(random: &mut Random, from: u64, to: u64) -> Vec<u64> {
    let mut runs: Vec<u64> = (from..to).step_by(RUN as usize).collect();
    for at in (1..runs.len()).rev() {
        runs.swap(at, random.below(at as u64 + 1) as usize);
    }
    runs
}

fn owner(number: u64, count: u64) -> ! {
    connect();
    let device = Client::find(DEVICE).expect("the test has created it");
    let extents = device.allocate_for(number, count).expect("there are enough");
    for block in extents.iter().flat_map(|extent| extent.block..extent.block + extent.count) {
        let write = device.write_async(block, content(block, 1, number)).expect("there is room");
        std::mem::forget(write);
    }
    let store = chimaera_kv_client::Client::find("store").expect("the test has created it");
    store.put("key", content(0, 3, number)).expect("there is room");
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn victim(number: u64) -> ! {
    connect();
    let device = Client::find(DEVICE).expect("the neighbour has created it");
    let mut random = Random::new(number);
    for first in runs(&mut random, VICTIMS, BLOCKS) {
        let write = device.write_async(first, content(first, RUN, number)).expect("there is room");
        let read = device.read_async(random.below(BLOCKS - RUN), RUN).expect("there is room");
        // Leave them in flight.
        std::mem::forget((write, read));
    }
    println!("ready");
    loop {
        std::thread::park();
    }
}

/// Returns the number of rounds.
fn neighbour(path: &str, io: Io) -> usize {
    connect();
    // Durable writes take long, so kills hit them in flight.
    let mut params = of_file(path.as_ref(), io);
    params.sync = true;
    let device = Client::create(DEVICE, params).expect("the file makes a device");
    // A predecessor that was killed may have allocated them.
    if device.stats().expect("it was just created").free_blocks > 0 {
        device.allocate(BLOCKS).expect("all blocks are free");
        device.flush().expect("the file can be written");
    }
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    std::thread::spawn(move || {
        // Reading ends with the input or with an error; either stops it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    let mut random = Random::new(NEIGHBOUR);
    let mut served = 0;
    while !over.load(Ordering::Relaxed) {
        let first = random.below(VICTIMS - RUN);
        let data = content(first, RUN, NEIGHBOUR);
        device.write(first, &data).expect("a neighbour's calls succeed");
        assert!(device.read(first, RUN).expect("as above") == data, "round {served}");
        if served == 0 {
            println!("ready");
        }
        served += 1;
    }
    for first in (0..BLOCKS).step_by(RUN as usize) {
        check(first, &device.read(first, RUN).expect("as above"));
    }
    assert_eq!(device.stats().expect("as above").errors, 0);
    served
}

/// The allocated blocks, each with the number that it contains.
type State = BTreeMap<u64, u64>;

fn state_of(text: &str) -> State {
    let block = |pair: &str| {
        let (block, number) = pair.split_once('.')?;
        Some((block.parse().ok()?, number.parse().ok()?))
    };
    text.split_terminator(',').map(|pair| block(pair).expect("as printed")).collect()
}

fn text_of(state: &State) -> String {
    state.iter().map(|(block, number)| format!("{block}.{number},")).collect()
}

/// Checks that the device is in one of the states.
fn find(device: &Client, states: &str) -> State {
    let mut found = BTreeMap::new();
    for block in 0..BLOCKS {
        match device.read(block, 1) {
            Ok(bytes) => _ = found.insert(block, bytes),
            Err(status) => assert_eq!(status.code(), NOT_ALLOCATED, "{status}"),
        }
    }
    let state = states.split('|').map(state_of).find(|state| state.keys().eq(found.keys()));
    let state = state.unwrap_or_else(|| panic!("{:?} are allocated, not {states}", found.keys()));
    for (block, number) in &state {
        assert!(found[block] == content(*block, 1, *number), "block {block} is not {number}");
    }
    state
}

/// Returns the states that may be left: that of the last flush, and that of one that was going on.
fn lasting(path: &str, io: Io, checksum: bool, number: u64, states: &str) -> String {
    connect();
    let params = Params { checksum, ..of_file(path.as_ref(), io) };
    let device = Client::create(DEVICE, params).expect("the file makes a device");
    let mut flushed = find(&device, states);
    let mut random = Random::new(number);
    println!("ready");
    loop {
        // Fewer blocks than the device has, so that allocating does not flush.
        let mut now = flushed.clone();
        let mut step = || {
            for _ in 0..random.below(6) {
                if now.len() > 300 || now.len() > 8 && random.below(3) == 0 {
                    let block = *now.keys().nth(random.below(now.len() as u64) as usize)?;
                    device.free(&[Extent { block, count: 1 }]).ok()?;
                    now.remove(&block);
                    continue;
                }
                for Extent { block, count } in device.allocate(1 + random.below(8)).ok()? {
                    let label = random.below(1 << 30);
                    device.write(block, content(block, count, label)).ok()?;
                    now.extend((block..block + count).map(|block| (block, label)));
                }
            }
            Some(())
        };
        if step().is_none() {
            return text_of(&flushed);
        }
        if device.flush().is_err() {
            return format!("{}|{}", text_of(&flushed), text_of(&now));
        }
        flushed = now;
    }
}

fn engine(name: &str) -> Option<Io> {
    [("Uring", Io::Uring), ("Posix", Io::Posix)].into_iter().find(|(n, _)| *n == name).map(|e| e.1)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["neighbour", path, io] => {
            println!("{}", neighbour(path, engine(io).expect("an engine")));
        }
        ["lasting", path, io, sums, number, state] => {
            let (io, number) = (engine(io).expect("an engine"), number.parse().expect("a number"));
            println!("{}", lasting(path, io, sums == "checksum", number, state));
        }
        ["owner", number, count] => {
            owner(number.parse().expect("a number"), count.parse().expect("a number"))
        }
        ["victim", number] => victim(number.parse().expect("a number")),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
