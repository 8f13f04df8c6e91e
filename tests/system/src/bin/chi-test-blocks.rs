//! Clients of a block device, of which some are killed:
//!
//! ```text
//! chi-test-blocks neighbour PATH ENGINE  makes the device "blocks" of a file of 1024 blocks, and checks
//!                                        what it reads until its standard input ends
//! chi-test-blocks victim NUMBER          leaves reads and writes of the device in flight
//! ```
//!
//! Each says "ready" when it is under way. Every block that a client writes names itself and the client.

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
/// The neighbour has the blocks before this one.
const VICTIMS: u64 = 256;
/// Blocks of one task.
const RUN: u64 = 16;
/// The neighbour's number.
const NEIGHBOUR: u64 = 0;

/// What a client writes to blocks from `first` on.
fn content(first: u64, count: u64, client: u64) -> Vec<u8> {
    let block = |number: u64| {
        let mut block = [(number * 31 + client * 7) as u8; BLOCK];
        block[..8].copy_from_slice(&number.to_le_bytes());
        block[8..16].copy_from_slice(&client.to_le_bytes());
        block
    };
    (first..first + count).flat_map(block).collect()
}

/// Fails when blocks are not whole, or not those from `first` on. Blocks that nobody wrote are zero.
fn check(first: u64, found: &[u8]) {
    for (number, block) in (first..).zip(found.chunks(BLOCK)) {
        let client = u64::from_le_bytes(block[8..16].try_into().expect("8 bytes"));
        let untouched = block.iter().all(|byte| *byte == 0);
        assert!(untouched || block == content(number, 1, client), "block {number} of {client}");
    }
}

/// All runs of blocks between two, in any order.
fn runs(random: &mut Random, from: u64, to: u64) -> Vec<u64> {
    let mut runs: Vec<u64> = (from..to).step_by(RUN as usize).collect();
    for at in (1..runs.len()).rev() {
        runs.swap(at, random.below(at as u64 + 1) as usize);
    }
    runs
}

fn victim(number: u64) -> ! {
    connect();
    let device = Client::find(DEVICE).expect("the neighbour has made it");
    let mut random = Random::new(number);
    for first in runs(&mut random, VICTIMS, BLOCKS) {
        let write = device.write_async(first, content(first, RUN, number)).expect("there is room");
        let read = device.read_async(random.below(BLOCKS - RUN), RUN).expect("there is room");
        // They stay in flight.
        std::mem::forget((write, read));
    }
    println!("ready");
    loop {
        std::thread::park();
    }
}

/// Returns how often it was served.
fn neighbour(path: &str, io: Io) -> usize {
    connect();
    // Writes that last take long, so that kills find them on their way.
    let mut params = of_file(path.as_ref(), io);
    params.sync = true;
    let device = Client::create(DEVICE, params).expect("the file makes a device");
    device.allocate(BLOCKS).expect("all are free");
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    std::thread::spawn(move || {
        // However it ends, it is over.
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
