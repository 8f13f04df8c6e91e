//! What concurrent requests on the same blocks of a `chimaera:bdev` may show.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chimaera_bdev_client::{Client, Params};
use chimaera_tests::device::{engines, file_of, of_file};
use chimaera_tests::{connect, in_client, rounds, tally, Options};

/// Requests that each thread keeps in flight.
const DEPTH: u64 = 4;

/// Threads write and read the same few blocks. Each block that a read returns was written by one
/// write, whole; blocks that were read together may come from different ones.
fn hammer(device: &Client, blocks: u64) {
    let size = device.stats().unwrap().block_size as usize;
    device.allocate(blocks).unwrap();
    let content = |writer: u64, round: u64| {
        let mut block = vec![(writer * 64 + round % 64) as u8; size];
        block[..8].copy_from_slice(&(writer << 32 | round).to_le_bytes());
        block[size - 8..].copy_from_slice(&(writer << 32 | round).to_le_bytes());
        block
    };
    device.write(0, content(0, 0).repeat(blocks as usize)).unwrap();
    let (over, read) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for writer in 1..3 {
            let over = &over;
            scope.spawn(move || {
                let mut round = 0;
                while !over.load(Ordering::Relaxed) {
                    let writes = (0..DEPTH).map(|_| {
                        round += 1;
                        let first = round % blocks;
                        let n = (blocks - first).min(1 + round % 2) as usize;
                        device.write_async(first, content(writer, round).repeat(n)).unwrap()
                    });
                    let writes: Vec<_> = writes.collect();
                    writes.into_iter().for_each(|write| drop(write.wait().unwrap()));
                }
            });
        }
        let readers = (0..2).map(|_| {
            scope.spawn(|| {
                for round in 0..rounds(300, 20_000) as u64 {
                    let count = 1 + round % blocks;
                    let reads = (0..DEPTH).map(|_| device.read_async(0, count).unwrap());
                    for task in reads.collect::<Vec<_>>() {
                        let found = task.wait().unwrap().data.copy_to_vec().unwrap();
                        for block in found.chunks(size) {
                            let label = u64::from_le_bytes(block[..8].try_into().unwrap());
                            let whole = content(label >> 32, label & 0xffff_ffff);
                            assert!(block == whole, "a block of write {label:x} is torn");
                            read.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            })
        });
        let ended: Vec<_> = readers.collect::<Vec<_>>().into_iter().map(|one| one.join()).collect();
        over.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|one| one.expect("no block is torn"));
    });
    tally("blocks read beside writes", read.load(Ordering::Relaxed));
}

#[test]
fn a_block_is_never_torn() {
    in_client!(Options::new().bdev().workers(2), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for block_size in [512, 4096, 64 << 10] {
            let ram = Params { block_size, ..Params::default() };
            hammer(&Client::create(&format!("ram {block_size}"), ram).unwrap(), 3);
            for ((io, _), direct) in engines().into_iter().flat_map(|e| [(e, false), (e, true)]) {
                let name = format!("{io:?} {direct} {block_size}");
                let params = Params { block_size, ..Params::default() };
                let path = file_of(directory.path(), &name, params.file_size(3).unwrap());
                let params = Params { block_size, direct, ..of_file(&path, io) };
                hammer(&Client::create(&name, params).unwrap(), 3);
            }
        }
    });
}
