//! The life of `chimaera:bdev`: its blocks go over to successors and into copies, and its file to whoever
//! comes next.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use chimaera::abi::{CHI_FAULT, CHI_UNAVAILABLE};
use chimaera_bdev_client::{self as bdev, Client, Extent, Io, Params, NOT_ALLOCATED};
use chimaera_kv_client as kv;
use chimaera_tests::device::{engines, file_of};
use chimaera_tests::process::until;
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::syscalls::{Answer, Call, Interception};
use chimaera_tests::{
    artefacts, connect, in_client, rounds, tally, text_of, Daemon, Options, Output, Running, Site,
};
use rustix::process::Signal;

const BLOCKS: u64 = 2000;

fn block(i: u64) -> Vec<u8> {
    (0..4096).map(|at: u64| ((at / 16) ^ i) as u8).collect()
}

/// Allocates blocks, some of them for owners, and writes to most.
fn fill(device: Client) {
    assert_eq!(device.allocate(700).unwrap(), [Extent { block: 0, count: 700 }]);
    assert_eq!(device.allocate_for(7, 300).unwrap(), [Extent { block: 700, count: 300 }]);
    device.allocate_for(8, 50).unwrap();
    device.free(&[Extent { block: 100, count: 500 }]).unwrap();
    let writes = blocks().map(|i| device.write_async(i, block(i)).unwrap()).collect::<Vec<_>>();
    writes.into_iter().for_each(|write| drop(write.wait().unwrap()));
}

/// Those that were written.
fn blocks() -> impl Iterator<Item = u64> {
    (0..100).chain(600..1000)
}

#[track_caller]
fn check(device: Client) {
    let reads = blocks().map(|i| (i, device.read_async(i, 1).unwrap())).collect::<Vec<_>>();
    for (i, read) in reads {
        assert!(read.wait().unwrap().data.copy_to_vec().unwrap() == block(i), "block {i}");
    }
    assert!(device.read(1000, 50).unwrap() == vec![0; 50 * 4096], "never written");
    assert_eq!(text_of(device.read(100, 1)).0, NOT_ALLOCATED);
    assert_eq!(text_of(device.read(1050, 1)).0, NOT_ALLOCATED);
    assert_eq!(device.stats().unwrap().free_blocks, BLOCKS - 550);
}

/// Each owner has its blocks.
#[track_caller]
fn check_owners(device: Client) {
    assert_eq!((device.release(7).unwrap(), device.release(8).unwrap()), (300, 50));
    assert_eq!(device.stats().unwrap().free_blocks, BLOCKS - 200);
}

fn migrate(site: &Site, more: &[&str]) -> Output {
    site.cli(&[&["pool", "migrate", "disk", "--json"], more].concat())
}

fn second_file(site: &Site) -> PathBuf {
    let file = site.path().join("second.so");
    fs::copy(artefacts::rust_module("chimaera_bdev"), &file).unwrap();
    file
}

fn upgrade(site: &Site, file: &Path) -> Output {
    site.cli(&["module", "upgrade", bdev::MODULE, file.to_str().unwrap(), "--json"])
}

fn save(site: &Site, file: &Path) -> Output {
    site.cli(&["pool", "save", "disk", file.to_str().unwrap(), "--json"])
}

fn load(site: &Site, file: &Path, name: &str) -> Output {
    site.cli(&["pool", "load", file.to_str().unwrap(), "--pool", name])
}

fn destroy(site: &Site, name: &str) {
    site.cli(&["pool", "destroy", name]).ok();
}

/// The devices in files: with each engine, past the cache or not, with checksums or without.
fn devices(directory: &Path) -> Vec<Params> {
    let of = |io, (direct, checksum)| {
        let params = Params { io, direct, checksum, ..Params::default() };
        let size = params.file_size(BLOCKS).unwrap();
        let path = file_of(directory, &format!("{io:?} {direct} {checksum}"), size);
        Params { path: path.to_str().unwrap().into(), ..params }
    };
    let kinds = [(false, false), (true, false), (false, true)];
    engines().into_iter().flat_map(|(io, _)| kinds.map(|kind| of(io, kind))).collect()
}

#[test]
fn a_device_in_memory_goes_over_with_its_blocks_and_their_owners() {
    in_client!(Options::new().bdev(), |site| {
        connect();
        let params = Params { blocks: BLOCKS, ..Params::default() };
        let device = Client::create("disk", params).unwrap();
        fill(device);
        let before = device.stats().unwrap();
        let done = migrate(site, &[]).ok().json();
        assert!(done["state_bytes"].as_u64().unwrap() > 500 * 4096, "{done}");
        assert_eq!(device.stats().unwrap(), before);
        check(device);
        upgrade(site, &second_file(site)).ok();
        check(device);
        let file = site.path().join("saved");
        save(site, &file).ok();
        check(device);
        load(site, &file, "copy").ok();
        let copy = Client::find("copy").unwrap();
        check(copy);
        check_owners(copy);
        check(device);
        check_owners(device);
        assert_eq!(device.allocate(BLOCKS - 200).unwrap().len(), 2);
    });
}

#[test]
fn a_device_in_a_file_goes_over_with_the_file_and_the_owners() {
    in_client!(Options::new().bdev(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let second = second_file(site);
        for (number, params) in devices(directory.path()).into_iter().enumerate() {
            let device = Client::create("disk", params.clone()).unwrap();
            fill(device);
            let done = migrate(site, &[]).ok().json();
            assert!(done["state_bytes"].as_u64().unwrap() < 1000, "{done}");
            check(device);
            if number == 0 {
                upgrade(site, &second).ok();
                check(device);
            }
            device.allocate_for(8, 1).unwrap();
            assert_eq!(device.grow(BLOCKS + 64).unwrap(), BLOCKS + 64);
            migrate(site, &[]).ok();
            assert_eq!(device.stats().unwrap().blocks, BLOCKS + 64);
            assert_eq!((device.release(8).unwrap(), device.release(7).unwrap()), (51, 300));
            destroy(site, "disk");
            // What has no owner is in the file.
            let device = Client::create("disk", params).unwrap();
            assert_eq!(device.stats().unwrap().free_blocks, BLOCKS + 64 - 200);
            destroy(site, "disk");
        }
    });
}

/// A copy has the contents; a new file of the same path gets them.
#[test]
fn a_copy_of_a_device_in_a_file_is_a_backup() {
    in_client!(Options::new().bdev(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for params in devices(directory.path()) {
            let device = Client::create("disk", params.clone()).unwrap();
            fill(device);
            let file = site.path().join("saved");
            let done = save(site, &file).ok().json();
            assert!(done["state_bytes"].as_u64().unwrap() > 500 * 4096, "{done}");
            check(device);
            let taken = load(site, &file, "copy");
            assert!(taken.stderr.contains("in use by another device"), "{taken:?}");
            destroy(site, "disk");
            let taken = load(site, &file, "disk");
            assert!(taken.stderr.contains("has allocated blocks already"), "{taken:?}");
            fs::remove_file(&params.path).unwrap();
            let size = params.file_size(BLOCKS).unwrap();
            fs::File::create(&params.path).unwrap().set_len(size).unwrap();
            load(site, &file, "disk").ok();
            let device = Client::find("disk").unwrap();
            check(device);
            check_owners(device);
            destroy(site, "disk");
        }
    });
}

/// Whoever finds another file than its own does not use it.
#[test]
fn a_file_that_is_gone_or_another_is_not_taken_for_the_device() {
    in_client!(Options::new().bdev(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let size = Params::default().file_size(BLOCKS).unwrap();
        let second = second_file(site);
        let away = directory.path().join("away");
        for upgrading in [false, true] {
            for other in [false, true] {
                let path = file_of(directory.path(), "disk", size);
                let params = Params { path: path.to_str().unwrap().into(), ..Params::default() };
                let device = Client::create("disk", params).unwrap();
                fill(device);
                fs::rename(&path, &away).unwrap();
                if other {
                    fs::File::create(&path).unwrap().set_len(size).unwrap();
                }
                let failed = match upgrading {
                    true => upgrade(site, &second),
                    false => migrate(site, &[]),
                };
                assert_eq!(failed.code, 1, "{failed:?}");
                assert!(failed.stderr.contains(path.to_str().unwrap()), "{failed:?}");
                let (code, message) = text_of(device.read(0, 1));
                assert_eq!(code, CHI_FAULT, "{message}");
                assert!(message.contains("could not resume"), "{message}");
                fs::rename(&away, &path).unwrap();
                site.cli(&["pool", "reset", "disk"]).ok();
                assert!(device.read(0, 1).unwrap() == block(0));
                // It has opened the file, and nobody knows the owners any more.
                assert_eq!(device.stats().unwrap().free_blocks, BLOCKS - 200);
                destroy(site, "disk");
            }
        }
    });
}

/// A device whose disk did not answer while it was saved is in quarantine, with its file open and locked. A
/// reset opens the file nevertheless.
#[test]
fn a_container_that_was_in_quarantine_finds_its_file() {
    in_client!(Options::new(), |_| {
        let stuck = Arc::new(AtomicBool::new(false));
        let is_stuck = stuck.clone();
        let decide = move |call: Call| match is_stuck.load(Ordering::SeqCst) {
            true if call.thread_name() == "chi-bdev" => Answer::Wait,
            _ => Answer::Pass,
        };
        let site = Site::new();
        let mut command = Options::new().bdev().command(&site);
        let _interception = Interception::of(&mut command, &[libc::SYS_fdatasync], decide);
        let daemon = Daemon::run(site.clone(), command);
        std::env::set_var("XDG_RUNTIME_DIR", site.path());
        std::env::set_var("CHI_INSTANCE", site.name());
        connect();
        let directory = tempfile::tempdir().unwrap();
        let params = Params { io: Io::Posix, ..Params::default() };
        let path = file_of(directory.path(), "disk", params.file_size(BLOCKS).unwrap());
        let params = Params { path: path.to_str().unwrap().into(), ..params };
        let device = Client::create("disk", params).unwrap();
        fill(device);
        device.flush().unwrap();
        for _ in 0..2 {
            stuck.store(true, Ordering::SeqCst);
            let output = migrate(&site, &["--timeout", "1"]);
            assert!(output.stderr.contains("has not ended"), "{output:?}");
            stuck.store(false, Ordering::SeqCst);
            until("the container is reset", || {
                (site.cli(&["pool", "reset", "disk"]).code == 0).then_some(())
            });
            assert!(device.read(0, 100).unwrap() == (0..100).flat_map(block).collect::<Vec<_>>());
            assert_eq!(device.stats().unwrap().free_blocks, BLOCKS - 200);
            device.write(0, block(0)).unwrap();
            migrate(&site, &[]).ok();
        }
        chimaera::client::shutdown();
        drop(daemon);
    });
}

/// What a client had allocated for an owner is free again when the client is gone, if the device is made
/// so, and what a store has allocated for it is not.
fn blocks_of_killed_clients_are_reclaimed_on(site: &Site) {
    connect();
    let directory = tempfile::tempdir().unwrap();
    let file = file_of(directory.path(), "disk", Params::default().file_size(200).unwrap());
    let path = file.to_str().unwrap().to_owned();
    let in_memory = Params { blocks: 200, reclaim: true, ..Params::default() };
    for params in [Params { path, reclaim: true, ..Params::default() }, in_memory] {
        let device = Client::create("blocks", params).unwrap();
        let store = kv::Params { device: "blocks".into(), ..kv::Params::default() };
        let store = kv::Client::create("store", store).unwrap();
        device.allocate_for(5, 10).unwrap();
        let client = |owner: u64| {
            let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-blocks"));
            let mut client = Running::start(command.args(["owner", &owner.to_string(), "60"]));
            assert_eq!(client.line().as_deref(), Some("ready"));
            client
        };
        let free = || device.stats().unwrap().free_blocks;
        for _ in 0..rounds(3, 50) {
            let (first, second) = (client(5), client(6));
            let is_free = |blocks| until("blocks", || (free() == blocks).then_some(()));
            is_free(200 - 10 - 2 * 60 - 3);
            // The successor goes on to know whose they are.
            site.cli(&["pool", "migrate", "blocks"]).ok();
            is_free(200 - 10 - 2 * 60 - 3);
            first.signal(Signal::KILL);
            is_free(200 - 10 - 60 - 3);
            second.signal(Signal::KILL);
            // Allocating finds them as well.
            let extents = until("there are enough", || device.allocate_for(5, 187).ok());
            assert_eq!(device.release(6).unwrap(), 0);
            device.free(&extents).unwrap();
            assert_eq!(store.get("key").unwrap().len(), 3 * 4096);
        }
        assert_eq!(device.release(5).unwrap(), 10);
        destroy(site, "store");
        destroy(site, "blocks");
    }
}

#[test]
fn blocks_of_killed_clients_are_reclaimed() {
    in_client!(Options::new().bdev().kv(), blocks_of_killed_clients_are_reclaimed_on);
}

/// The module hears of the clients in its module host, too.
#[test]
fn blocks_of_killed_clients_are_reclaimed_in_a_module_host() {
    let isolated = "workers: 2\nmodule_hosts: {modules: ['chimaera:bdev']}\n";
    let options = Options::new().bdev().kv().config(isolated);
    in_client!(options, blocks_of_killed_clients_are_reclaimed_on);
}

/// A pool grows by the program, if its module offers that.
#[test]
fn a_pool_grows_by_the_program() {
    in_client!(Options::new().bdev().kv(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let file = file_of(directory.path(), "disk", Params::default().file_size(100).unwrap());
        let params = Params { path: file.to_str().unwrap().into(), ..Params::default() };
        let device = Client::create("disk", params).unwrap();
        let done = site.cli(&["pool", "grow", "disk", "150", "--json"]).ok().json();
        assert_eq!((&done["name"], &done["size"]), (&"disk".into(), &150.into()));
        assert_eq!(device.stats().unwrap().blocks, 150);
        let told = site.cli(&["pool", "grow", "disk", "160"]).ok().stdout;
        assert_eq!(told, "'disk' has a size of 160 now\n");
        // As much as the file has room for.
        let size = Params::default().file_size(100).unwrap() + 80 * 4096;
        fs::File::options().write(true).open(&file).unwrap().set_len(size).unwrap();
        assert_eq!(site.cli(&["pool", "grow", "disk", "0", "--json"]).ok().json()["size"], 180);
        kv::Client::create("store", kv::Params::default()).unwrap();
        Client::create("memory", Params::default()).unwrap();
        for (pool, size, why) in [
            ("disk", "99", "a device cannot shrink to 99"),
            ("disk", "1000000000", "not for 1000000000"),
            ("memory", "1", "a device in memory cannot grow"),
            ("store", "1", "pool 'store' cannot grow: the module chimaera:kv offers no kGrow"),
            ("nobody", "1", "there is no pool 'nobody'"),
        ] {
            let output = site.cli(&["pool", "grow", pool, size]);
            assert_eq!(output.code, 1, "{output:?}");
            assert!(output.stderr.contains(why), "{output:?}");
        }
        let output = site.cli(&["pool", "compact", "disk"]);
        assert!(
            output.stderr.contains("the module chimaera:bdev offers no kCompact"),
            "{output:?}"
        );
    });
}

/// A daemon that is killed while its device is migrated and upgraded leaves a file with all that was
/// flushed.
#[test]
fn a_daemon_that_is_killed_over_a_change_loses_nothing_that_was_flushed() {
    const MANY: u64 = 100_000;
    in_client!(Options::new(), |_| {
        let directory = tempfile::tempdir().unwrap();
        let params = Params { checksum: true, ..Params::default() };
        let path = file_of(directory.path(), "disk", params.file_size(MANY).unwrap());
        let params = Params { path: path.to_str().unwrap().into(), ..params };
        let mut random = Random::new(seed());
        let mut flushed = 0;
        for _ in 0..rounds(6, 150) {
            let mut daemon = Daemon::start(&Options::new().bdev());
            let site = daemon.site().clone();
            let second = second_file(&site);
            std::env::set_var("XDG_RUNTIME_DIR", site.path());
            std::env::set_var("CHI_INSTANCE", site.name());
            connect();
            let device = Client::create("disk", params.clone()).unwrap();
            let found = MANY - device.stats().unwrap().free_blocks;
            // The last flush may have ended, but not been answered.
            assert!((flushed..=flushed + 1).contains(&found), "{found} blocks of {flushed}");
            for i in 0..flushed {
                assert!(device.read(i, 1).unwrap() == block(i), "block {i}");
            }
            if found > flushed {
                // That flush may have been the one of a change, before the block was written.
                device.write(flushed, block(flushed)).unwrap();
                flushed = found;
            }
            let over = AtomicBool::new(false);
            let patience = Duration::from_micros(200_000 + random.below(800_000));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        migrate(&site, &[]);
                        upgrade(&site, &second);
                    }
                });
                scope.spawn(|| {
                    std::thread::sleep(patience);
                    daemon.kill();
                });
                let one = |i: u64| {
                    let extents = device.allocate(1)?;
                    assert_eq!(extents, [Extent { block: i, count: 1 }]);
                    device.write(i, block(i))?;
                    device.flush()
                };
                let end = loop {
                    match one(flushed) {
                        Ok(()) => flushed += 1,
                        Err(end) => break end,
                    }
                };
                assert_eq!(end.code(), CHI_UNAVAILABLE, "{end}");
                over.store(true, Ordering::Relaxed);
            });
            chimaera::client::shutdown();
        }
        tally("blocks flushed over changes", flushed);
    });
}
