//! The life of `chimaera:kv`: its keys go over to successors and into copies, and its file to whoever
//! comes next.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use chimaera::abi::{CHI_FAULT, CHI_UNAVAILABLE, CHI_UNSUPPORTED};
use chimaera::PoolOptions;
use chimaera_bdev_client as bdev;
use chimaera_kv_client::{self as kv, Client, Params, Sync, STORE_FULL};
use chimaera_tests::device::{file_for, of_file};
use chimaera_tests::process::until;
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::syscalls::{Answer, Call, Interception};
use chimaera_tests::{
    artefacts, connect, in_client, in_client_that_may_end_it, rounds, tally, text_of, Daemon,
    Options, Output, Running, Site,
};

const KEYS: u32 = 500;

fn options() -> Options {
    Options::new().kv().bdev()
}

fn with_path(path: &Path) -> Params {
    Params { path: path.to_str().unwrap().into(), ..Params::default() }
}

fn create(name: &str, params: Params, containers: u32) -> Client {
    Client::create_with(name, params, PoolOptions::default().containers(containers)).unwrap()
}

fn key(i: u32) -> String {
    format!("key/{i:05}")
}

fn value(i: u32) -> Vec<u8> {
    let len = [0, 10, 3000, 40_000][i as usize % 4];
    (0..len).map(|at| (at as u32 ^ i) as u8).collect()
}

fn fill(store: Client) {
    let puts: Vec<_> = (0..KEYS).map(|i| store.put_async(key(i), value(i)).unwrap()).collect();
    puts.into_iter().for_each(|put| drop(put.wait().unwrap()));
}

/// Whether all keys, in order, and their values are there.
#[track_caller]
fn check(store: Client) {
    let keys: Vec<Vec<u8>> = (0..KEYS).map(|i| key(i).into_bytes()).collect();
    assert!(store.scan("", 0).unwrap() == keys);
    assert_eq!(store.count().unwrap(), u64::from(KEYS));
    let gets: Vec<_> = (0..KEYS).map(|i| store.get_async(key(i)).unwrap()).collect();
    for (i, get) in (0..).zip(gets) {
        assert!(get.wait().unwrap().value.copy_to_vec().unwrap() == value(i), "{}", key(i));
    }
}

fn migrate(site: &Site, more: &[&str]) -> Output {
    site.cli(&[&["pool", "migrate", "store", "--json"], more].concat())
}

/// A second file with the same module.
fn second_file(site: &Site) -> PathBuf {
    let file = site.path().join("second.so");
    fs::copy(artefacts::rust_module("chimaera_kv"), &file).unwrap();
    file
}

fn upgrade(site: &Site, file: &Path) -> Output {
    site.cli(&["module", "upgrade", kv::MODULE, file.to_str().unwrap(), "--json"])
}

fn save(site: &Site, file: &Path) -> Output {
    site.cli(&["pool", "save", "store", file.to_str().unwrap(), "--json"])
}

fn load(site: &Site, file: &Path, name: &str) -> Output {
    site.cli(&["pool", "load", file.to_str().unwrap(), "--pool", name])
}

fn destroy(site: &Site, name: &str) {
    site.cli(&["pool", "destroy", name]).ok();
}

#[test]
fn a_store_in_memory_goes_over_with_its_keys_and_its_limit() {
    in_client!(options(), |site| {
        connect();
        let params = Params { max_bytes: Some(7 << 20), ..Params::default() };
        let store = create("store", params, 3);
        fill(store);
        let before = store.stats().unwrap();
        let done = migrate(site, &[]).ok().json();
        assert_eq!(done["containers"], 3);
        assert!(done["state_bytes"].as_u64().unwrap() > before.bytes, "{done}");
        check(store);
        migrate(site, &["--container", "1"]).ok();
        check(store);
        upgrade(site, &second_file(site)).ok();
        check(store);
        migrate(site, &["--container", "2"]).ok();
        check(store);
        assert_eq!(store.stats().unwrap(), before);
        // The limit is that of the pool, and its books are right.
        let rest = before.max_bytes - before.bytes;
        assert_eq!(text_of(store.put("more", vec![0; rest as usize - 3])).0, STORE_FULL);
        store.put("more", vec![0; rest as usize - 4]).unwrap();
        store.delete("more").unwrap();
        let file = site.path().join("saved");
        save(site, &file).ok();
        load(site, &file, "copy").ok();
        let copy = Client::find("copy").unwrap();
        check(copy);
        assert_eq!(copy.stats().unwrap(), before);
        copy.delete(key(0)).unwrap();
        check(store);
    });
}

#[test]
fn a_store_in_a_file_goes_over_with_the_file() {
    in_client!(options(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for sync in [Sync::Always, Sync::Flush, Sync::None] {
            let path = directory.path().join(format!("{sync:?}"));
            let store = create("store", Params { sync, ..with_path(&path) }, 3);
            fill(store);
            let bytes = store.stats().unwrap().bytes;
            let done = migrate(site, &[]).ok().json();
            assert!(done["state_bytes"].as_u64().unwrap() < 1000, "{done}");
            check(store);
            migrate(site, &["--container", "1"]).ok();
            check(store);
            store.put("later", "value").unwrap();
            store.delete("later").unwrap();
            let file = second_file(site);
            upgrade(site, &file).ok();
            fs::remove_file(file).unwrap();
            check(store);
            store.put(key(0), value(0)).unwrap();
            assert_eq!(store.stats().unwrap().bytes, bytes);
            destroy(site, "store");
            // The last one has closed it.
            let store = create("store", Params { sync, ..with_path(&path) }, 3);
            check(store);
            destroy(site, "store");
        }
    });
}

/// A copy has the keys and values; where the file is, an empty one gets them.
#[test]
fn a_copy_of_a_store_in_a_file_is_a_backup() {
    in_client!(options(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kv");
        let store = create("store", with_path(&path), 2);
        fill(store);
        let before = store.stats().unwrap();
        let file = site.path().join("saved");
        let done = save(site, &file).ok().json();
        assert!(done["state_bytes"].as_u64().unwrap() > before.bytes, "{done}");
        // It goes on, with its file, which nobody has closed.
        check(store);
        assert_eq!(store.stats().unwrap().commits, before.commits);
        let taken = load(site, &file, "copy");
        assert!(taken.stderr.contains("in use by another pool"), "{taken:?}");
        destroy(site, "store");
        let taken = load(site, &file, "store");
        assert!(taken.stderr.contains("has keys already"), "{taken:?}");
        check(create("store", with_path(&path), 2));
        destroy(site, "store");
        fs::remove_file(&path).unwrap();
        load(site, &file, "store").ok();
        let store = Client::find("store").unwrap();
        check(store);
        assert_eq!(store.stats().unwrap().bytes, before.bytes);
        destroy(site, "store");
        check(create("store", with_path(&path), 2));
    });
}

/// A daemon that is killed while a copy is loaded leaves all of it or an empty store.
#[test]
fn a_killed_daemon_leaves_no_half_of_a_copy() {
    in_client!(Options::new(), |_| killed_while_loading());
}

fn killed_while_loading() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (directory.path().join("kv"), directory.path().join("saved"));
    let params = format!("path={}", path.display());
    let new = ["pool", "create", "store", "--module", kv::MODULE, "--containers", "2", "--params"];
    let mut random = Random::new(seed());
    let (mut whole, mut empty) = (0, 0);
    for round in 0..rounds(10, 200) {
        let mut daemon = Daemon::start(&options());
        let site = daemon.site().clone();
        in_client_of(&site, || {
            if round == 0 {
                let store = create("store", with_path(&path), 2);
                fill(store);
                save(&site, &file).ok();
                destroy(&site, "store");
            }
        });
        let _ = fs::remove_file(&path);
        let name = site.name().to_owned();
        let args = ["--name", &name, "pool", "load", file.to_str().unwrap()];
        let loading = Running::start(site.command(artefacts::chimaera()).args(args));
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        daemon.kill();
        drop(loading);
        let daemon = Daemon::start(&options());
        let site = daemon.site().clone();
        site.cli(&[&new[..], &[&params]].concat()).ok();
        in_client_of(&site, || {
            let store = Client::find("store").unwrap();
            match store.count().unwrap() {
                0 => empty += 1,
                _ => {
                    check(store);
                    whole += 1;
                }
            }
        });
    }
    tally("copies loaded whole", whole);
    tally("copies not loaded", empty);
}

/// Runs `f` as a client of the daemon at this site.
fn in_client_of(site: &Site, f: impl FnOnce()) {
    std::env::set_var("XDG_RUNTIME_DIR", site.path());
    std::env::set_var("CHI_INSTANCE", site.name());
    connect();
    f();
    chimaera::client::shutdown();
}

#[test]
fn a_store_on_a_device_goes_over_with_its_blocks() {
    in_client!(options().mod_name(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let path = file_for(directory.path(), "disk", 8192);
        let device = bdev::Client::create("disk", of_file(&path, bdev::Io::Auto)).unwrap();
        chimaera::ipc().unwrap().create_pool("example:mod_name", "zstd", b"").unwrap();
        for compressor in ["", "zstd"] {
            let compressor = compressor.to_owned();
            let params = Params { device: "disk".into(), compressor, ..Params::default() };
            let store = create("store", params, 2);
            fill(store);
            let used = || 8192 - device.stats().unwrap().free_blocks;
            let before = (used(), store.stats().unwrap());
            let done = migrate(site, &[]).ok().json();
            assert!(done["state_bytes"].as_u64().unwrap() < 200_000, "{done}");
            check(store);
            let file = second_file(site);
            upgrade(site, &file).ok();
            fs::remove_file(file).unwrap();
            check(store);
            assert_eq!((used(), store.stats().unwrap()), before);
            // Neither of two that have had the blocks frees what the other one uses.
            (0..KEYS).step_by(2).for_each(|i| _ = store.put(key(i), value(i)).unwrap());
            check(store);
            // The device may change, too.
            site.cli(&["pool", "migrate", "disk"]).ok();
            check(store);
            assert_eq!(used(), before.0);
            // A copy has the values.
            let file = site.path().join("saved");
            let done = save(site, &file).ok().json();
            assert!(done["state_bytes"].as_u64().unwrap() > 4 << 20, "{done}");
            destroy(site, "store");
            assert_eq!(used(), 0);
            load(site, &file, "store").ok();
            check(Client::find("store").unwrap());
            destroy(site, "store");
            assert_eq!(used(), 0);
        }
    });
}

/// Whoever finds another file than its own does not use it; the old container goes on with the old one
/// once that is back.
#[test]
fn a_file_that_is_gone_or_another_is_not_taken_for_the_store() {
    in_client!(options(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let (path, away) = (directory.path().join("kv"), directory.path().join("away"));
        let second = second_file(site);
        create("other", with_path(&directory.path().join("other")), 1);
        destroy(site, "other");
        for upgrading in [false, true] {
            for other in [false, true] {
                let store = create("store", with_path(&path), 1);
                fill(store);
                fs::rename(&path, &away).unwrap();
                if other {
                    fs::copy(directory.path().join("other"), &path).unwrap();
                }
                let failed = match upgrading {
                    true => upgrade(site, &second),
                    false => migrate(site, &[]),
                };
                assert_eq!(failed.code, 1, "{failed:?}");
                assert!(failed.stderr.contains(path.to_str().unwrap()), "{failed:?}");
                // The old one has not found its file either.
                let (code, message) = text_of(store.get(key(0)));
                assert_eq!(code, CHI_FAULT, "{message}");
                assert!(message.contains("could not resume"), "{message}");
                assert_eq!(path.exists(), other, "no empty store is left behind");
                fs::rename(&away, &path).unwrap();
                site.cli(&["pool", "reset", "store"]).ok();
                check(store);
                destroy(site, "store");
                fs::remove_file(&path).unwrap();
            }
        }
    });
}

/// Puts a container into quarantine: nothing is known about one whose saving takes longer than the bound. It
/// may not even have begun by then, and nothing has happened.
fn quarantine(site: &Site, container: &str) {
    until("a container does not save its state in time", || {
        let output = migrate(site, &["--container", container, "--timeout", "0"]);
        assert!(output.code == 0 || output.stderr.contains(" after "), "{output:?}");
        (site.pool("store")["state"] == "quarantined").then_some(())
    });
}

/// A store in memory that lost its keys says so.
#[test]
fn lost_keys_are_counted() {
    in_client!(options(), |site| {
        connect();
        let params = Params { max_bytes: Some(200 << 20), ..Params::default() };
        let store = create("store", params, 2);
        fill(store);
        assert_eq!(store.stats().unwrap().lost, 0);
        for lost in 1..3 {
            // So much that saving it takes a while.
            let big = |i: u32| format!("big/{i}");
            (0..80).for_each(|i| _ = store.put(big(i), vec![1; 1 << 20]).unwrap());
            quarantine(site, "1");
            site.cli(&["pool", "reset", "store"]).ok();
            let stats = store.stats().unwrap();
            assert_eq!(stats.lost, lost);
            let keys = store.scan("", 0).unwrap();
            assert!(keys.len() > 100 && keys.len() < KEYS as usize, "{} are left", keys.len());
            let bytes = keys.iter().map(|key| key.len() + store.get(key).unwrap().len());
            assert_eq!(stats.bytes, bytes.sum::<usize>() as u64);
            (0..80).for_each(|i| _ = store.delete(big(i)).unwrap());
            fill(store);
            check(store);
        }
        migrate(site, &[]).ok();
        upgrade(site, &second_file(site)).ok();
        assert_eq!(store.stats().unwrap().lost, 2);
        check(store);
    });
}

/// A store in a file has all that was acknowledged after its container was in quarantine: because the
/// disk did not answer while the file was closed.
#[test]
fn a_container_that_was_in_quarantine_finds_its_file() {
    in_client!(Options::new(), |_| {
        let stuck = Arc::new(AtomicBool::new(false));
        let is_stuck = stuck.clone();
        let decide = move |call: Call| match is_stuck.load(Ordering::SeqCst) {
            true if call.thread_name() == "chi-kv" => Answer::Wait,
            _ => Answer::Pass,
        };
        let site = Site::new();
        let mut command = options().command(&site);
        let calls = [libc::SYS_fdatasync, libc::SYS_fsync];
        let _interception = Interception::of(&mut command, &calls, decide);
        let daemon = Daemon::run(site.clone(), command);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kv");
        in_client_of(&site, || {
            for containers in [1, 2] {
                let params = Params { sync: Sync::Flush, ..with_path(&path) };
                let store = create("store", params, containers);
                fill(store);
                for _ in 0..rounds(2, 10) {
                    stuck.store(true, Ordering::SeqCst);
                    let output = migrate(&site, &["--timeout", "1"]);
                    assert!(output.stderr.contains("has not ended"), "{output:?}");
                    let output = site.cli(&["pool", "reset", "store"]);
                    assert_eq!(output.code, 1, "{output:?}");
                    assert!(
                        output.stderr.contains("is still being opened or closed"),
                        "{output:?}"
                    );
                    stuck.store(false, Ordering::SeqCst);
                    until("the container is reset", || {
                        (site.cli(&["pool", "reset", "store"]).code == 0).then_some(())
                    });
                    check(store);
                    store.put("more", "value").unwrap();
                    store.delete("more").unwrap();
                    migrate(&site, &[]).ok();
                    check(store);
                }
                assert_eq!(store.stats().unwrap().lost, 0);
                destroy(&site, "store");
                fs::remove_file(&path).unwrap();
            }
        });
        drop(daemon);
    });
}

/// Shortening a file is visible, and all is there, also for those who ask meanwhile.
#[test]
fn a_file_is_compacted_on_request() {
    in_client!(options(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let store = create("store", with_path(&directory.path().join("kv")), 2);
        fill(store);
        let more = |i: u32| format!("more/{i}");
        for _ in 0..rounds(2, 10) {
            (0..60).for_each(|i| _ = store.put(more(i), vec![2; 500_000]).unwrap());
            (0..60).for_each(|i| _ = store.delete(more(i)).unwrap());
            let before = store.stats().unwrap();
            let over = AtomicBool::new(false);
            let asked = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for thread in 0..2 {
                    let (over, asked) = (&over, &asked);
                    scope.spawn(move || {
                        let mut i = thread;
                        while !over.load(Ordering::Relaxed) {
                            assert!(store.get(key(i % KEYS)).unwrap() == value(i % KEYS));
                            i += 7;
                            asked.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                let bytes = store.compact().unwrap();
                over.store(true, Ordering::Relaxed);
                let after = store.stats().unwrap();
                assert!(bytes > 20_000_000, "{bytes} bytes of {before:?}");
                assert_eq!(after.file_bytes + bytes, before.file_bytes);
                assert_eq!(after.compactions, before.compactions + 1);
                assert_eq!(after.compacted_bytes, before.compacted_bytes + bytes);
            });
            assert!(asked.into_inner() > 0);
            check(store);
        }
        let told = site.cli(&["pool", "compact", "store", "--json"]).ok().json();
        assert_eq!(told["name"], "store");
        assert!(told["freed_bytes"].is_u64(), "{told}");
        let memory = create("memory", Params::default(), 1);
        let (code, message) = text_of(memory.compact());
        assert_eq!(code, CHI_UNSUPPORTED, "{message}");
        destroy(site, "store");
    });
}

/// What was put since the last flush is part of it.
#[test]
fn a_file_is_compacted_whatever_is_not_durable_yet() {
    in_client!(options(), |site| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for (name, sync) in [("flush", Sync::Flush), ("none", Sync::None)] {
            let params = Params { sync, ..with_path(&directory.path().join(name)) };
            let store = create(name, params, 2);
            fill(store);
            store.compact().unwrap();
            check(store);
            store.put("one more", "value").unwrap();
            site.cli(&["pool", "compact", name]).ok();
            assert_eq!(store.get("one more").unwrap(), b"value");
            destroy(site, name);
            let params = Params { sync, ..with_path(&directory.path().join(name)) };
            let store = create(name, params, 2);
            assert_eq!(store.get("one more").unwrap(), b"value");
            store.delete("one more").unwrap();
            check(store);
            destroy(site, name);
        }
    });
}

/// A daemon that is killed while its store is migrated and upgraded leaves a file with all that was
/// acknowledged, or is about to be.
#[test]
fn a_daemon_that_is_killed_over_a_change_loses_nothing() {
    in_client!(Options::new(), |_| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kv");
        let mut random = Random::new(seed());
        let mut acknowledged = 0;
        for _ in 0..rounds(6, 150) {
            let mut daemon = Daemon::start(&options());
            let site = daemon.site().clone();
            let second = second_file(&site);
            in_client_of(&site, || {
                let store = create("store", with_path(&path), 2);
                let found = store.count().unwrap() as u32;
                // The last put may have been committed, but not answered.
                assert!((acknowledged..=acknowledged + 1).contains(&found), "{found}");
                acknowledged = found;
                for i in 0..found {
                    assert!(store.get(key(i)).unwrap() == value(i), "{}", key(i));
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
                    let end = loop {
                        match store.put(key(acknowledged), value(acknowledged)) {
                            Ok(_) => acknowledged += 1,
                            Err(end) => break end,
                        }
                    };
                    assert_eq!(end.code(), CHI_UNAVAILABLE, "{end}");
                    over.store(true, Ordering::Relaxed);
                });
            });
        }
        tally("puts acknowledged over changes", acknowledged.into());
    });
}

/// A new process goes on with stores in memory, in a file and on a device, and with the devices.
#[test]
fn stores_and_devices_go_over_to_a_new_process() {
    let daemon = in_client_that_may_end_it!(options(), |site| {
        connect();
        let _stops = Stops(site);
        let directory = tempfile::tempdir().unwrap();
        let disk = file_for(directory.path(), "disk", 4096);
        let disk = bdev::Client::create("disk", of_file(&disk, bdev::Io::Auto)).unwrap();
        let ram = bdev::Client::create("ram", bdev::Params::default()).unwrap();
        let on = |device: &str| Params { device: device.into(), ..Params::default() };
        let stores = [
            create("memory", Params { max_bytes: Some(50 << 20), ..Params::default() }, 3),
            create("file", with_path(&directory.path().join("kv")), 2),
            create("on disk", on("disk"), 2),
            create("on ram", on("ram"), 1),
        ];
        stores.iter().for_each(|store| fill(*store));
        let used = || [disk, ram].map(|device| device.stats().unwrap().free_blocks);
        let before = (used(), stores.map(|store| store.stats().unwrap().bytes));
        for _ in 0..rounds(2, 20) {
            site.cli(&["restart"]).ok();
            stores.iter().for_each(|store| check(*store));
            assert_eq!((used(), stores.map(|store| store.stats().unwrap().bytes)), before);
            for store in stores {
                store.put("more", vec![1; 10_000]).unwrap();
                assert!(store.delete("more").unwrap());
            }
            until("the blocks are free", || (used() == before.0).then_some(()));
        }
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), 0, "{}", daemon.log());
    }
}

/// Ends the process that has taken the place of a test's own.
struct Stops<'s>(&'s Site);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        // It fails if there is none.
        let _ = self.0.cli(&["stop", "--force"]);
    }
}
