//! Clients of a block device, some of which are killed:
//!
//! ```text
//! chi-test-blocks neighbour PATH ENGINE  creates the device "blocks" on a file of 1024 blocks, and
//!                                        checks what it reads until its standard input ends
//! chi-test-blocks victim NUMBER          leaves reads and writes of the device in flight
//! ```
//!
//! Each prints "ready" once it has started. Every block that a client writes identifies itself and
//! the client.

use std::io::Read;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use chimaera_bdev_client::{Client, Io};
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

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["neighbour", path, "Uring"] => println!("{}", neighbour(path, Io::Uring)),
        ["neighbour", path, "Posix"] => println!("{}", neighbour(path, Io::Posix)),
        ["victim", number] => victim(number.parse().expect("a number")),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
