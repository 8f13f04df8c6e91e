//! Block devices in files with a misbehaving operating system, and clients that are killed during
//! I/O.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_CANCELLED, CHI_IO, CHI_NO_POOL, CHI_NO_SPACE};
use chimaera::Status;
use chimaera_bdev_client::{Client, Engine, Io, Params, Stats};
use chimaera_runtime::{Config, Runtime};
use chimaera_tests::device::{engines, file_for, file_of, of_file, start_of_blocks};
use chimaera_tests::process::{self, until};
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::{artefacts, bytes, connect, in_client, rounds, text_of};
use chimaera_tests::{Daemon, Options, Running, Vitals};

/// Memory that the allocator may retain.
const SLACK: u64 = 12 << 20;

/// Devices that may choose the engine fall back to threads, and the others are refused. `reason` is
/// the error's text.
fn without_io_uring(reason: &str) {
    connect();
    let directory = tempfile::tempdir().unwrap();
    for direct in [false, true] {
        let name = format!("auto {direct}");
        let path = file_for(directory.path(), &name, 64);
        let params = Params { direct, ..of_file(&path, Io::Auto) };
        let device = Client::create(&name, params.clone()).unwrap();
        device.allocate(64).unwrap();
        let writes: Vec<_> =
            (0..64).map(|n| device.write_async(n, [n as u8; 4096]).unwrap()).collect();
        writes.into_iter().for_each(|write| drop(write.wait().unwrap()));
        assert!((0..64).all(|n| device.read(n, 1).unwrap() == [n as u8; 4096]));
        device.flush().unwrap();
        // The existing device is found, and not opened again.
        assert_eq!(Client::create(&name, params).unwrap(), device);
        let Stats { engine, writes, reads, flushes, errors, .. } = device.stats().unwrap();
        assert_eq!(engine, Engine::Posix as u64);
        assert_eq!((writes, reads, flushes, errors), (64, 64, 1, 0));

        let path = file_for(directory.path(), &format!("uring {direct}"), 1);
        let params = Params { direct, ..of_file(&path, Io::Uring) };
        let (code, message) = text_of(Client::create("uring", params));
        assert_eq!(code, CHI_IO);
        assert!(
            message.contains(&format!("the operating system refuses io_uring: {reason}")),
            "{message}"
        );
    }
}

/// The fallback is logged once per device.
#[track_caller]
fn falls_back_once(log: Option<String>) {
    let Some(log) = log else { return };
    for name in ["auto false", "auto true"] {
        let pool = format!("pool=\"{name}\"");
        let lines = log
            .lines()
            .filter(|line| line.contains(&pool) && line.contains("using threads instead"));
        assert_eq!(lines.count(), 1, "{log}");
    }
}

#[test]
fn a_filter_forbids_io_uring() {
    falls_back_once(in_client!(Options::new().bdev().without_io_uring(libc::EPERM), |_| {
        without_io_uring("Operation not permitted");
    }));
}

#[test]
fn the_kernel_has_no_io_uring() {
    falls_back_once(in_client!(Options::new().bdev().without_io_uring(libc::ENOSYS), |_| {
        without_io_uring("Function not implemented");
    }));
}

/// A worker that starts late has no descriptors left for its own ring, so threads serve its tasks.
#[test]
fn a_worker_gets_no_io_uring_where_another_has_one() {
    if !engines().iter().any(|(io, _)| *io == Io::Uring) {
        return;
    }
    let log = in_client!(Options::new().bdev().workers(2), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let path = file_for(directory.path(), "late", 64);
        let device = Client::create("late", of_file(&path, Io::Auto)).unwrap();
        device.allocate(64).unwrap();
        let go = Barrier::new(4);
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let go = &go;
                scope.spawn(move || {
                    // Each thread has its ring by now.
                    device.stats().unwrap();
                    if go.wait().is_leader() {
                        let pid = site.cli(&["--json", "status"]).ok().json()["pid"].as_u64();
                        process::leave_no_descriptors(pid.expect("it is running") as i32);
                    }
                    go.wait();
                    for round in 0..200 {
                        let block = u64::from(thread) * 16 + round % 16;
                        device.write(block, [thread; 4096]).unwrap();
                        assert_eq!(device.read(block, 1).unwrap(), [thread; 4096]);
                    }
                });
            }
        });
        assert_eq!(device.stats().unwrap().engine, Engine::Uring as u64);
        device.flush().unwrap();
    });
    if let Some(log) = log {
        let lines = log.lines().filter(|line| line.contains("for that worker instead"));
        assert_eq!(lines.count(), 1, "{log}");
    }
}

#[test]
fn a_file_that_is_truncated_under_its_device_ends_tasks_and_nothing_else() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for ((io, _), direct) in engines().into_iter().flat_map(|e| [(e, false), (e, true)]) {
            let name = format!("{io:?} {direct}");
            let path = file_for(directory.path(), &name, 64);
            let start = start_of_blocks(64);
            let params = Params { direct, ..of_file(&path, io) };
            let device = Client::create(&name, params).unwrap();
            device.allocate(64).unwrap();
            device.write(0, bytes(64 * 4096)).unwrap();
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(start + 10 * 4096 + 5)
                .unwrap();
            assert!(device.read(0, 10).unwrap() == bytes(10 * 4096));
            let mut errors = 0;
            let mut is_lost = |(code, message): (i32, String)| {
                assert_eq!(code, CHI_IO, "{message}");
                let lost = start + 10 * 4096 + 5;
                let why = format!("{name} has been truncated: byte {lost} and later are");
                assert!(message.contains(&why), "{message}");
                errors += 1;
            };
            // A write does not extend the file: what was lost would read as zeros.
            is_lost(text_of(device.write(63, [7; 4096])));
            for (block, count) in [(10, 1), (0, 64), (20, 1)] {
                is_lost(text_of(device.read(block, count)));
            }
            let (code, message) = text_of(device.grow(65));
            assert_eq!(code, CHI_IO, "{message}");
            assert!(message.contains("has been truncated: it has"), "{message}");
            File::options().write(true).open(&path).unwrap().set_len(start + 64 * 4096).unwrap();
            is_lost(text_of(device.read(63, 1)));
            is_lost(text_of(device.write(10, [7; 4096])));
            device.write(9, [7; 4096]).unwrap();
            assert!(device.read(8, 2).unwrap()[4096..] == [7; 4096]);
            assert_eq!(device.stats().unwrap().errors, errors);
        }
    });
}

#[test]
fn a_file_that_grows_and_shrinks_under_tasks_ends_each_of_them_in_one_of_two_ways() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for (io, _) in engines() {
            let path = file_for(directory.path(), &format!("{io:?}"), 64);
            let start = start_of_blocks(64);
            let device = Client::create(&format!("{io:?}"), of_file(&path, io)).unwrap();
            device.allocate(64).unwrap();
            let over = AtomicBool::new(false);
            let mut failed = 0;
            // On a busy machine the file may keep its length for a while.
            let (mut done, until) = (0, Instant::now() + Duration::from_secs(60));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let file = File::options().write(true).open(&path).unwrap();
                    for blocks in (0..64).cycle() {
                        file.set_len(start + blocks * 4096 + blocks).unwrap();
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
                while done < rounds(20, 1000) || failed == 0 && Instant::now() < until {
                    done += 1;
                    let mut ended = |ended: Result<(), Status>| {
                        if let Err(status) = ended {
                            assert_eq!(status.code(), CHI_IO);
                            assert!(status.message().contains("has been truncated"), "{status}");
                            failed += 1;
                        }
                    };
                    let writes: Vec<_> = (0..4)
                        .map(|n| device.write_async(n * 16, [done as u8; 16 * 4096]).unwrap())
                        .collect();
                    let reads: Vec<_> =
                        (0..16).map(|n| device.read_async(n * 4, 4).unwrap()).collect();
                    writes.into_iter().for_each(|write| ended(write.wait().map(drop)));
                    reads.into_iter().for_each(|read| ended(read.wait().map(drop)));
                }
                over.store(true, Ordering::Relaxed);
            });
            let stats = device.stats().unwrap();
            let all = stats.reads + stats.writes + stats.errors;
            assert_eq!((stats.errors, all), (failed, 20 * done as u64));
            assert!(failed > 0, "no task met a file that is too short");
            // The device does not trust the file any more. A new one does.
            let name = format!("{io:?}");
            assert_eq!(text_of(device.write(0, bytes(64 * 4096))).0, CHI_IO);
            chimaera::ipc().unwrap().destroy_pool(device.pool_id()).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(start).unwrap();
            let (code, message) = text_of(Client::create(&name, of_file(&path, io)));
            assert_eq!(code, CHI_IO, "{message}");
            assert!(message.contains("has been truncated: it has"), "{message}");
            file.set_len(start + 64 * 4096).unwrap();
            let device = Client::create(&name, of_file(&path, io)).unwrap();
            assert_eq!(device.stats().unwrap().free_blocks, 0);
            device.write(0, bytes(64 * 4096)).unwrap();
            assert!(device.read(0, 64).unwrap() == bytes(64 * 4096));
        }
    });
}

/// A small in-memory file system, which is unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Returns `None` if the user may not mount.
    fn mount(size: &str) -> Option<SmallDisk> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "chimaera-test"])
            .arg(directory.path())
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        mounted.then(|| SmallDisk(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Writes blocks, beginning at `first`, until the disk is full, and checks those that were written.
fn fill(device: &Client, path: &Path, first: u64, why: &str) {
    let blocks = device.stats().unwrap().blocks;
    device.allocate(blocks).unwrap();
    let written = (first..blocks)
        .find_map(|block| device.write(block, [7; 4096]).err().map(|why| (block, why)));
    let (full, status) = written.expect("the device is larger than its disk");
    assert!(full > first, "{status}");
    assert_eq!(status.code(), CHI_NO_SPACE, "{status}");
    let path = path.display();
    let position = start_of_blocks(blocks) + full * 4096;
    let message = format!("{path} cannot be written at byte {position}: {why}");
    assert!(status.message().starts_with(&message), "{status}");
    let found = device.read(first, full - first).unwrap();
    assert!(found.iter().all(|byte| *byte == 7));
    device.write(first, [8; 4096]).unwrap();
    assert!(device.read(first, 1).unwrap() == [8; 4096]);
    // Concurrent writes each fail individually.
    let writes: Vec<_> =
        (full..full + 50).map(|block| device.write_async(block, [9; 4096]).unwrap()).collect();
    for write in writes {
        assert_eq!(text_of(write.wait().map(drop)).0, CHI_NO_SPACE);
    }
    device.flush().unwrap();
    assert_eq!(device.stats().unwrap().errors, 51);
}

#[test]
fn a_full_disk_is_reported_and_what_was_written_stays() {
    if SmallDisk::mount("1m").is_none() {
        eprintln!("\n*** SKIPPED: this user may not mount a small file system ***\n");
        return;
    }
    in_client!(Options::new().bdev(), |_| {
        connect();
        for (io, _) in engines() {
            let disk = SmallDisk::mount("1m").expect("it could be mounted before");
            let path = file_of(disk.0.path(), &format!("{io:?}"), 8 << 20);
            let device = Client::create(&format!("{io:?}"), of_file(&path, io)).unwrap();
            fill(&device, &path, 0, "No space left");
        }
    });
}

/// Like a full disk, for users who may not mount one. The kernel also sends a signal that kills the
/// process by default.
#[test]
fn a_daemon_that_may_write_no_longer_files() {
    const LIMIT: u64 = 1 << 30;
    in_client!(Options::new().bdev().file_size(LIMIT), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for (io, _) in engines() {
            let path = file_of(directory.path(), &format!("{io:?}"), LIMIT + (1 << 20));
            let device = Client::create(&format!("{io:?}"), of_file(&path, io)).unwrap();
            fill(&device, &path, LIMIT / 4096 - 100, "File too large");
        }
    });
}

/// Tasks whose requests are in the kernel end when it has finished them, and then the file is
/// unlocked.
#[test]
fn a_device_is_destroyed_under_its_tasks() {
    in_client!(Options::new().bdev(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for (io, _) in engines() {
            let path = file_for(directory.path(), &format!("{io:?}"), 256);
            let params = Params { sync: true, ..of_file(&path, io) };
            for round in 0..rounds(10, 200) {
                let device = Client::create(&format!("{io:?}"), params.clone()).unwrap();
                if round == 0 {
                    device.allocate(256).unwrap();
                }
                assert_eq!(device.stats().unwrap().free_blocks, 0);
                let writes: Vec<_> = (0..64)
                    .map(|n| device.write_async(n * 4, [round as u8; 4 * 4096]).unwrap())
                    .collect();
                std::thread::sleep(Duration::from_micros(100 * (round as u64 % 10)));
                chimaera::ipc().unwrap().destroy_pool(device.pool_id()).unwrap();
                for write in writes {
                    if let Err(status) = write.wait() {
                        assert!([CHI_CANCELLED, CHI_NO_POOL].contains(&status.code()), "{status}");
                    }
                }
            }
        }
    });
}

fn start(daemon: &Daemon, args: &[&str]) -> Running {
    let mut command = daemon.site().command(env!("CARGO_BIN_EXE_chi-test-blocks"));
    let mut client = Running::start(command.args(args));
    assert_eq!(client.line().as_deref(), Some("ready"), "{args:?}");
    client
}

/// A dead client's segment lives until the kernel is done with its pages, and no longer. The blocks
/// that it wrote are whole, and other clients are not affected.
#[test]
fn clients_are_killed_while_the_kernel_reads_and_writes_their_pages() {
    let mut random = Random::new(seed());
    for (io, _) in engines() {
        let daemon = Daemon::start(&Options::new().bdev());
        let directory = tempfile::tempdir().unwrap();
        let path = file_for(directory.path(), "blocks", 1024);
        let mut neighbour =
            start(&daemon, &["neighbour", path.to_str().unwrap(), &format!("{io:?}")]);
        let mut one = |number: usize| {
            let mut victim = start(&daemon, &["victim", &number.to_string()]);
            std::thread::sleep(Duration::from_micros(random.below(3000)));
            victim.signal(rustix::process::Signal::KILL);
            assert_eq!(victim.end(), -9);
            // A disk is slower than the kills; tasks that queue for it are not the point here.
            let few = || (Vitals::now(&daemon).segments <= 8).then_some(());
            until("the kernel has finished some", few);
        };
        (1..=8).for_each(&mut one);
        let before = Vitals::settled(&daemon, 1);
        (9..9 + rounds(30, 500)).for_each(&mut one);
        // The other worker may create its ring, with a doorbell, only now. The kernel's threads for
        // rings, which count as the daemon's, live for another five seconds.
        let most = match io {
            Io::Uring => Vitals { fds: before.fds + 2, threads: usize::MAX, ..before },
            _ => before,
        };
        most.assert_no_more(&daemon, SLACK);
        neighbour.close();
        let served = neighbour.line().expect("it prints how often it was served");
        assert_eq!(neighbour.end(), 0, "the neighbour found an error");
        assert!(served.parse::<u64>().unwrap() > 0, "the neighbour was not served");
        assert_eq!(daemon.cli(&["pool", "destroy", "blocks"]).code, 0);
        assert_eq!(Vitals::settled(&daemon, 0).segments, 0);
    }
}

/// Replaces each `io_uring` of this process with `/dev/null`.
fn take_rings() {
    let nothing = File::open("/dev/null").unwrap();
    let mut taken = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        // The descriptor of the directory itself is closed by the time it is examined.
        if std::fs::read_link(entry.path())
            .is_ok_and(|what| what.ends_with("anon_inode:[io_uring]"))
        {
            // SAFETY: the descriptor number stays valid, and its owner still closes it.
            assert_eq!(unsafe { libc::dup2(nothing.as_raw_fd(), number) }, number);
            taken += 1;
        }
    }
    assert!(taken > 0, "the device has a ring");
}

#[test]
fn a_ring_that_is_refused_ends_its_tasks_and_nothing_else() {
    if !engines().contains(&(Io::Uring, Engine::Uring)) {
        return;
    }
    in_client!(Options::new(), |site| {
        let modules = site.directory_of("bdev", &[artefacts::rust_module("chimaera_bdev")]);
        // A stand-by worker, which a busy machine calls up, would have a ring of its own.
        let config = Config { workers: 1, standby_workers: 0, ..Config::embedded() };
        let config = Config { module_paths: vec![modules], ..config };
        let runtime = Runtime::start(config).unwrap();
        std::env::set_var("CHI_INSTANCE", runtime.instance().name());
        connect();
        let directory = tempfile::tempdir().unwrap();
        let create = |name| {
            let path = file_for(directory.path(), name, 64);
            let device = Client::create(name, of_file(&path, Io::Uring)).unwrap();
            device.allocate(64).unwrap();
            device.write(0, [1; 4096]).unwrap();
            device
        };
        let device = create("refused");
        take_rings();
        // More at once than fit into a ring.
        let writes: Vec<_> =
            (0..600).map(|i| device.write_async(i % 64, [2; 4096]).unwrap()).collect();
        for write in writes {
            let (code, message) = text_of(write.wait());
            assert_eq!(code, CHI_IO);
            assert!(message.contains("Operation not supported"), "{message}");
        }
        assert_eq!(text_of(device.read(0, 1)).0, CHI_IO);
        let stats = device.stats().unwrap();
        assert_eq!((stats.writes, stats.errors), (1, 601));
        assert!(create("another").read(0, 1).unwrap() == [1; 4096]);
        // Its allocations cannot be written either, which is said; it is gone all the same.
        let (code, message) = text_of(chimaera::ipc().unwrap().destroy_pool(device.pool_id()));
        assert_eq!(code, CHI_IO);
        assert!(message.contains("cannot be"), "{message}");
        assert_eq!(text_of(Client::find("refused")).0, CHI_NO_POOL);
        chimaera::client::shutdown();
        runtime.stop();
        runtime.wait();
    });
}

/// A successor's device can use the file soon after the kernel has torn down the dead daemon.
#[test]
fn a_daemon_is_killed_while_the_kernel_reads_and_writes() {
    for (io, _) in engines() {
        let directory = tempfile::tempdir().unwrap();
        let path = file_for(directory.path(), "blocks", 1024);
        let neighbour = ["neighbour", path.to_str().unwrap(), &format!("{io:?}")];
        for round in 0..rounds(5, 100) {
            let mut daemon = Daemon::start(&Options::new().bdev());
            let mut client = start(&daemon, &neighbour);
            let mut victim = start(&daemon, &["victim", &round.to_string()]);
            // Killed first, or it would report errors; its tasks stay in flight.
            client.signal(rustix::process::Signal::KILL);
            daemon.kill();
            victim.signal(rustix::process::Signal::KILL);
            assert_eq!((victim.end(), client.end()), (-9, -9));
        }
        let daemon = Daemon::start(&Options::new().bdev());
        let mut client = start(&daemon, &neighbour);
        client.close();
        assert!(client.line().is_some());
        assert_eq!(client.end(), 0, "the file contains whole blocks");
    }
}
