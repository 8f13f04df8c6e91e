//! What is left of a `chimaera:bdev` in a file after its pool, its daemon or its disk failed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chimaera::abi::{CHI_INVALID, CHI_NO_SPACE, CHI_UNSUPPORTED};
use chimaera_bdev_client::{Client, Extent, Io, Params, CORRUPT, NOT_ALLOCATED};
use chimaera_kv_client as kv;
use chimaera_tests::device::{engines, file_for, file_of, of_file};
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::{connect, in_client, rounds, tally, text_of, Daemon, Options, Running};

/// The bytes of a file that are in the block `block`, which contains only `byte`.
#[track_caller]
fn position_of(path: &Path, byte: u8) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let found = bytes.chunks(512).position(|chunk| chunk.iter().all(|found| *found == byte));
    found.expect("the block is in the file") as u64 * 512
}

#[track_caller]
fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

fn destroy(device: &Client) {
    chimaera::ipc().unwrap().destroy_pool(device.pool_id()).unwrap();
}

#[test]
fn blocks_stay_allocated() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let each = engines().into_iter().flat_map(|(io, _)| {
            [(false, false), (true, false), (false, true), (true, true)].map(|with| (io, with))
        });
        for (io, (direct, checksum)) in each {
            let name = format!("{io:?} {direct} {checksum}");
            let mut params = Params { checksum, direct, ..Params::default() };
            let size = params.file_size(100).unwrap();
            let path = file_of(directory.path(), &name, size);
            params = Params { io, path: path.to_str().unwrap().into(), ..params };
            let device = Client::create(&name, params.clone()).unwrap();
            assert_eq!(device.stats().unwrap().blocks, 100);
            device.allocate(50).unwrap();
            device.write(0, [1; 50 * 4096]).unwrap();
            device.free(&[Extent { block: 20, count: 10 }]).unwrap();
            destroy(&device);

            let device = Client::create(&name, params.clone()).unwrap();
            assert_eq!(device.stats().unwrap().free_blocks, 60);
            assert!(device.read(0, 20).unwrap() == [1; 20 * 4096]);
            assert!(device.read(30, 20).unwrap() == [1; 20 * 4096]);
            assert_eq!(text_of(device.read(25, 1)).0, NOT_ALLOCATED);
            // All of it, with blocks whose release is not durable.
            device.free(&[Extent { block: 30, count: 1 }]).unwrap();
            device.allocate(61).unwrap();
            device.write(0, [2; 100 * 4096]).unwrap();
            assert!(device.read(0, 100).unwrap() == [2; 100 * 4096]);

            // Room for four times as many.
            assert_eq!(text_of(device.grow(99)).0, CHI_INVALID);
            assert_eq!(device.grow(100).unwrap(), 100);
            assert_eq!(device.grow(150).unwrap(), 150);
            assert_eq!(text_of(device.grow(1 << 20)).0, CHI_NO_SPACE);
            assert_eq!(device.allocate(50).unwrap(), [Extent { block: 100, count: 50 }]);
            device.write(140, [3; 10 * 4096]).unwrap();
            destroy(&device);
            let device = Client::create(&name, Params { blocks: 160, ..params }).unwrap();
            let stats = device.stats().unwrap();
            assert_eq!((stats.blocks, stats.free_blocks, stats.errors), (160, 10, 0));
            assert!(device.read(140, 10).unwrap() == [3; 10 * 4096]);
            assert!(device.read(99, 1).unwrap() == [2; 4096]);
        }
        let ram = Client::create("ram", Params::default()).unwrap();
        assert_eq!(text_of(ram.grow(0)).0, CHI_UNSUPPORTED);
    });
}

#[test]
fn a_block_that_does_not_match_its_checksum_is_named_and_not_returned() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for (io, _) in engines() {
            let name = format!("{io:?}");
            let params = Params { checksum: true, ..Params::default() };
            let path = file_of(directory.path(), &name, params.file_size(64).unwrap());
            let params = Params { checksum: true, ..of_file(&path, io) };
            let device = Client::create(&name, params.clone()).unwrap();
            device.allocate(64).unwrap();
            for block in 0..10 {
                device.write(block, [block as u8 + 1; 4096]).unwrap();
            }
            device.flush().unwrap();
            flip(&path, position_of(&path, 8) + 1000);
            for again in [false, true] {
                let device = if again {
                    destroy(&device);
                    Client::create(&name, params.clone()).unwrap()
                } else {
                    device
                };
                for (block, count) in [(7, 1), (0, 10)] {
                    let ipc = chimaera::ipc().unwrap();
                    let to = ipc.alloc(count as usize * 4096).unwrap();
                    to.write_at(0, vec![0xee; to.len()]).unwrap();
                    let read = device.read_into(block, count, &to).unwrap().wait().map(drop);
                    let (code, message) = text_of(read);
                    assert_eq!(code, CORRUPT, "{message}");
                    assert!(
                        message.contains(&format!("block 7 of {}", path.display())),
                        "{message}"
                    );
                    let mut found = vec![1; to.len()];
                    to.copy_to(0, &mut found);
                    assert!(found.iter().all(|byte| *byte == 0xee), "it shows what is corrupt");
                }
                assert!(device.read(6, 1).unwrap() == [7; 4096]);
                // Blocks that were never written are zero.
                assert!(device.read(20, 44).unwrap() == [0; 44 * 4096]);
            }
            let device = Client::find(&name).unwrap();
            device.write(7, [9; 4096]).unwrap();
            assert!(device.read(7, 1).unwrap() == [9; 4096]);
        }
    });
}

#[test]
fn files_that_are_not_the_device_are_refused() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let path = file_for(directory.path(), "old", 16);
        let old = [5; 4096];
        File::options().write(true).open(&path).unwrap().write_all_at(&old, 0).unwrap();
        let params = of_file(&path, Io::Auto);
        let (code, message) = text_of(Client::create("old", params.clone()));
        assert_eq!(code, CHI_INVALID);
        assert!(
            message.contains("has contents, but is not a device: use an empty file"),
            "{message}"
        );
        assert!(std::fs::read(&path).unwrap()[..4096] == old);

        let uuid = "00112233-4455-6677-8899-aabbccddeeff".to_owned();
        let overwrite = Params { overwrite: true, uuid: uuid.clone(), ..params.clone() };
        let device = Client::create("new", overwrite.clone()).unwrap();
        device.allocate(3).unwrap();
        destroy(&device);
        // A device is never overwritten.
        let device = Client::create("new", overwrite).unwrap();
        assert_eq!(device.stats().unwrap().free_blocks, 13);
        destroy(&device);
        let other = Params { uuid: uuid.replace('0', "f"), ..params.clone() };
        let (code, message) = text_of(Client::create("new", other));
        assert_eq!(code, CHI_INVALID);
        assert!(message.contains(&format!("is device {uuid}, not ff")), "{message}");

        // One superblock is enough.
        flip(&path, 20);
        destroy(&Client::create("new", params.clone()).unwrap());
        for copy in [0, 4096] {
            flip(&path, copy + 20);
        }
        let (code, message) = text_of(Client::create("new", params));
        assert_eq!(code, CORRUPT, "{message}");
        assert!(message.contains("both superblocks of"), "{message}");
    });
}

/// A client of one daemon, which writes lines.
fn blocks(daemon: &Daemon, args: &[&str]) -> Running {
    let mut command = daemon.site().command(env!("CARGO_BIN_EXE_chi-test-blocks"));
    Running::start(command.args(args))
}

/// Blocks are allocated, written, flushed and freed, until the daemon is killed; the client knows
/// what was flushed, and its successor finds it.
#[test]
fn a_killed_daemon_leaves_the_last_flush() {
    let mut random = Random::new(seed());
    for (io, _) in engines() {
        for checksum in ["plain", "checksum"] {
            let directory = tempfile::tempdir().unwrap();
            let params = Params { checksum: checksum == "checksum", ..Params::default() };
            let path = file_of(directory.path(), "blocks", params.file_size(1024).unwrap());
            let path = path.to_str().unwrap();
            let mut state = String::new();
            for _ in 0..rounds(4, 100) {
                let mut daemon = Daemon::start(&Options::new().bdev());
                let number = random.below(1 << 30).to_string();
                let args = ["lasting", path, &format!("{io:?}"), checksum, &number, &state];
                let mut client = blocks(&daemon, &args);
                assert_eq!(client.line().as_deref(), Some("ready"), "{args:?}");
                std::thread::sleep(std::time::Duration::from_micros(random.below(100_000)));
                daemon.kill();
                state = client.line().expect("it tells what was flushed");
                assert_eq!(client.end(), 0);
                tally("daemons killed over a device", 1);
            }
        }
    }
}

#[test]
fn one_daemon_at_a_time_uses_a_file() {
    let first = Daemon::start(&Options::new().bdev());
    let second = Daemon::start(&Options::new().bdev());
    let directory = tempfile::tempdir().unwrap();
    let path = file_for(directory.path(), "blocks", 64);
    let params = format!("path={}", path.display());
    let create =
        ["--json", "pool", "create", "disk", "--module", "chimaera:bdev", "--params", &params];
    first.cli(&create).ok();
    let refused = second.cli(&create);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("is in use by another device, or locked"), "{refused:?}");
    first.cli(&["pool", "destroy", "disk"]).ok();
    second.cli(&create).ok();
}

/// A store in memory knows after its end no longer where its values are, so it leaves no blocks.
#[test]
fn a_store_that_ends_gives_its_blocks_back() {
    in_client!(Options::new().bdev().kv(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let path = file_for(directory.path(), "disk", 256);
        for round in 0..rounds(10, 200) {
            let device = Client::create("disk", of_file(&path, Io::Auto)).unwrap();
            assert_eq!(device.stats().unwrap().free_blocks, 256, "round {round}");
            let params = kv::Params { device: "disk".into(), ..kv::Params::default() };
            let store = kv::Client::create("store", params).unwrap();
            for key in 0..50 {
                store.put(key.to_string(), vec![key; 5000]).unwrap();
            }
            chimaera::ipc().unwrap().destroy_pool(store.pool_id()).unwrap();
            destroy(&device);
        }
    });
}

#[test]
fn blocks_of_an_owner_are_given_back() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let path = file_for(directory.path(), "disk", 64);
        let device = Client::create("disk", of_file(&path, Io::Auto)).unwrap();
        device.allocate(10).unwrap();
        let owned = device.allocate_for(7, 20).unwrap();
        device.allocate_for(8, 5).unwrap();
        assert_eq!(owned, [Extent { block: 10, count: 20 }]);
        device.write(10, [1; 20 * 4096]).unwrap();
        device.flush().unwrap();
        device.free(&[Extent { block: 12, count: 3 }]).unwrap();
        assert_eq!(device.release(7).unwrap(), 17);
        assert_eq!(text_of(device.read(29, 1)).0, NOT_ALLOCATED);
        assert_eq!(text_of(device.release(0)).0, CHI_INVALID);
        assert_eq!(device.stats().unwrap().free_blocks, 64 - 15);
        // The file has those that belong to nobody.
        destroy(&device);
        let device = Client::create("disk", of_file(&path, Io::Auto)).unwrap();
        assert_eq!(device.stats().unwrap().free_blocks, 54);
        assert_eq!(device.release(8).unwrap(), 0);
    });
}
