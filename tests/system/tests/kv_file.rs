//! `chimaera:kv` with a path: what was promised is there after the daemon was killed, and what
//! cannot be used is refused.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use chimaera::abi::{
    CHI_BUSY, CHI_CANCELLED, CHI_INVALID, CHI_IO, CHI_NOT_FOUND, CHI_NO_SPACE, CHI_OK,
    CHI_UNSUPPORTED,
};
use chimaera::{Pending, PoolOptions, Result};
use chimaera_kv_client::{self as kv, Client, Sync};
use chimaera_tests::process::until;
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::syscalls::{Answer, Call, Interception};
use chimaera_tests::{
    connect, connect_with, in_client, rounds, tally, text_of, Daemon, Options, Site,
};

fn params(path: &Path, sync: Sync) -> kv::Params {
    kv::Params { path: path.to_str().unwrap().into(), sync, ..kv::Params::default() }
}

fn containers(n: u32) -> PoolOptions {
    PoolOptions::default().containers(n)
}

fn destroy(store: Client) {
    chimaera::ipc().unwrap().destroy_pool(store.pool_id()).unwrap();
}

/// What a key may be after a crash: what it was when it was last promised, or any later value.
struct History {
    values: Vec<Option<Vec<u8>>>,
    promised: usize,
}

impl History {
    /// Of a key that does not exist.
    fn new() -> History {
        History { values: vec![None], promised: 0 }
    }

    fn last(&self) -> usize {
        self.values.len() - 1
    }

    fn promise(&mut self, at: usize) {
        self.promised = self.promised.max(at);
    }

    /// Checks what is there after a crash, and goes on from it.
    fn check(&mut self, key: &str, found: Option<Vec<u8>>) {
        let allowed = &self.values[self.promised..];
        assert!(
            allowed.contains(&found),
            "{key}: found {:?} bytes, but promised {:?}, and then {:?}",
            found.as_ref().map(Vec::len),
            allowed[0].as_ref().map(Vec::len),
            allowed[1..].iter().map(|value| value.as_ref().map(Vec::len)).collect::<Vec<_>>()
        );
        *self = History { values: vec![found], promised: 0 };
    }
}

/// A change that was sent, of the key and to the value with these numbers.
struct Sent {
    key: usize,
    value: usize,
    task: std::result::Result<Pending<kv::PutTask>, Pending<kv::DeleteTask>>,
}

impl Sent {
    fn wait(self) -> Result<()> {
        match self.task {
            Ok(put) => put.wait().map(drop),
            Err(delete) => delete.wait().map(drop),
        }
    }
}

/// Changes its keys, several at a time and some twice at once, until the daemon is gone.
fn change(
    store: Client,
    sync: Sync,
    keys: &[String],
    of: &mut [History],
    seed: u64,
    promised: &AtomicU64,
) {
    const DEPTH: u64 = 8;
    let mut random = Random::new(seed);
    loop {
        let mut sent = Vec::new();
        for _ in 0..=random.below(DEPTH) {
            let key = random.below(keys.len() as u64) as usize;
            let value = (random.below(4) > 0).then(|| {
                let most = if random.below(10) == 0 { 50_000 } else { 200 };
                let len = 1 + random.below(most);
                (0..len).map(|_| random.below(256) as u8).collect::<Vec<u8>>()
            });
            of[key].values.push(value.clone());
            let task = match value {
                Some(value) => store.put_async(&keys[key], value).map(Ok),
                None => store.delete_async(&keys[key]).map(Err),
            };
            let Ok(task) = task else { return };
            sent.push(Sent { key, value: of[key].last(), task });
        }
        for sent in sent {
            let (key, value) = (sent.key, sent.value);
            if sent.wait().is_err() {
                return;
            }
            if sync == Sync::Always {
                of[key].promise(value);
                promised.fetch_add(1, Ordering::Relaxed);
            }
        }
        if sync == Sync::Flush && random.below(4) == 0 {
            if store.flush().is_err() {
                return;
            }
            of.iter_mut().for_each(|history| history.promise(history.last()));
            promised.fetch_add(of.len() as u64, Ordering::Relaxed);
        }
    }
}

/// Kills the daemon again and again while four threads change keys, and compares with what they
/// were promised.
fn killed_daemons(sync: Sync) {
    const THREADS: usize = 4;
    const KEYS: usize = 12;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut random = Random::new(seed());
    let mut daemon = Daemon::start(&Options::new().kv());
    let modules = daemon.site().path().join("modules");
    std::env::set_var("XDG_RUNTIME_DIR", daemon.site().path());
    std::env::set_var("CHI_INSTANCE", daemon.site().name());
    let keys: Vec<Vec<String>> =
        (0..THREADS).map(|t| (0..KEYS).map(|k| format!("{t}/{k}")).collect()).collect();
    let mut of: Vec<Vec<History>> =
        keys.iter().map(|keys| keys.iter().map(|_| History::new()).collect()).collect();
    let promised = AtomicU64::new(0);
    for _ in 0..rounds(12, 150) {
        connect();
        let store = Client::create_with("store", params(&path, sync), containers(3)).unwrap();
        let mut found = Vec::new();
        let mut bytes = 0;
        for (keys, of) in keys.iter().zip(of.iter_mut()) {
            check(store, keys, of);
            for (key, history) in keys.iter().zip(of) {
                let Some(value) = &history.values[0] else { continue };
                found.push(key.clone().into_bytes());
                bytes += (key.len() + value.len()) as u64;
            }
        }
        found.sort();
        assert_eq!(store.scan("", 0).unwrap(), found);
        let stats = store.stats().unwrap();
        assert_eq!((stats.keys, stats.bytes), (found.len() as u64, bytes));

        std::thread::scope(|scope| {
            for (keys, of) in keys.iter().zip(of.iter_mut()) {
                let (seed, promised) = (random.below(u64::MAX), &promised);
                scope.spawn(move || change(store, sync, keys, of, seed, promised));
            }
            std::thread::sleep(Duration::from_micros(random.below(60_000)));
            until("a promise", || (promised.load(Ordering::Relaxed) > 0).then_some(()));
            daemon.kill();
        });
        chimaera::client::shutdown();
        let options = Options::new().repo_path(modules.clone());
        daemon = Daemon::start_at(daemon.site().clone(), &options);
    }
    tally("promises of a killed store", promised.into_inner());
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    in_client!(Options::new(), |_| killed_daemons(Sync::Always));
}

#[test]
fn what_was_flushed_is_there_after_a_kill() {
    in_client!(Options::new(), |_| killed_daemons(Sync::Flush));
}

/// What there is must be what was promised, or later.
fn check(store: Client, keys: &[String], of: &mut [History]) {
    for (key, history) in keys.iter().zip(of) {
        let found = match store.get(key) {
            Ok(value) => Some(value),
            Err(status) if status.code() == CHI_NOT_FOUND => None,
            Err(status) => panic!("{key}: {}", status.message()),
        };
        history.check(key, found);
    }
}

/// Lets a system call of the store's thread fail, once or from then on. The store says so and takes
/// no more changes; after a restart there is what was promised.
#[test]
fn a_disk_that_fails_costs_nothing_that_was_promised() {
    const CALLS: [i64; 4] =
        [libc::SYS_pwrite64, libc::SYS_fdatasync, libc::SYS_fsync, libc::SYS_ftruncate];
    in_client!(Options::new(), |_| {
        let directory = tempfile::tempdir().unwrap();
        let mut random = Random::new(seed());
        let keys: Vec<String> = (0..8).map(|key| key.to_string()).collect();
        let (mut failed, mut refused) = (0, 0);
        for round in 0..rounds(8, 80) {
            let path = directory.path().join(round.to_string());
            let mut of: Vec<History> = keys.iter().map(|_| History::new()).collect();
            let options = Options::new().kv();
            let call = CALLS[round % CALLS.len()];
            let first = random.below(if call == libc::SYS_pwrite64 { 300 } else { 20 });
            let only_once = random.below(2) == 0;
            let errno = [libc::EIO, libc::ENOSPC][random.below(2) as usize];
            let mut seen = 0;
            let decide = move |call: Call| {
                if call.thread_name() != "chi-kv" {
                    return Answer::Pass;
                }
                seen += 1;
                match seen == first + 1 || (seen > first && !only_once) {
                    true => Answer::Fail(errno),
                    false => Answer::Pass,
                }
            };
            let site = Site::new();
            let mut command = options.command(&site);
            let interception = Interception::of(&mut command, &[call], decide);
            let mut daemon = Daemon::run(site.clone(), command);
            std::env::set_var("XDG_RUNTIME_DIR", site.path());
            std::env::set_var("CHI_INSTANCE", site.name());
            connect();
            match Client::create("store", params(&path, Sync::Always)) {
                Ok(store) => {
                    let (seed, promised) = (random.below(u64::MAX), AtomicU64::new(0));
                    change(store, Sync::Always, &keys, &mut of, seed, &promised);
                    let (code, message) = text_of(store.put("another", "value"));
                    let expected = if errno == libc::EIO { CHI_IO } else { CHI_NO_SPACE };
                    assert_eq!(code, expected, "{message}");
                    assert!(message.contains("takes no more changes"), "{message}");
                    failed += 1;
                }
                Err(status) => {
                    let named = path.to_str().unwrap();
                    assert!(status.message().contains(named), "{}", status.message());
                    refused += 1;
                }
            }
            chimaera::client::shutdown();
            daemon.kill();
            drop(interception);
            let modules = site.path().join("modules");
            let daemon = Daemon::start_at(site, &Options::new().repo_path(modules));
            connect();
            let store = Client::create("store", params(&path, Sync::Always)).unwrap();
            check(store, &keys, &mut of);
            store.put("another", "value").unwrap();
            chimaera::client::shutdown();
            drop(daemon);
        }
        assert!(failed > 0, "{failed} stores failed, {refused} were not opened");
    });
}

/// A store whose disk is full refuses everything and says what to do, and that helps: when there is room again, the
/// pool that goes on is the same one, with what was promised.
#[test]
fn a_store_goes_on_after_its_disk_was_full() {
    in_client!(Options::new(), |_| {
        for (round, n) in [1, 3].into_iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("store");
            let is_full = Arc::new(AtomicBool::new(false));
            let fails = is_full.clone();
            let decide = move |call: Call| match call.thread_name() == "chi-kv"
                && fails.load(Ordering::SeqCst)
            {
                true => Answer::Fail(libc::ENOSPC),
                false => Answer::Pass,
            };
            let site = Site::new();
            let mut command = Options::new().kv().command(&site);
            let interception = Interception::of(&mut command, &[libc::SYS_pwrite64], decide);
            let daemon = Daemon::run(site.clone(), command);
            std::env::set_var("XDG_RUNTIME_DIR", site.path());
            std::env::set_var("CHI_INSTANCE", site.name());
            connect();
            let sync = [Sync::Always, Sync::Flush][round];
            let store = Client::create_with("store", params(&path, sync), containers(n)).unwrap();
            store.put("key", "value").unwrap();
            if sync == Sync::Flush {
                store.flush().unwrap();
            }
            is_full.store(true, Ordering::SeqCst);
            let refused = |result: Result<()>| {
                let (code, message) = text_of(result);
                assert_eq!(code, CHI_NO_SPACE, "{message}");
                let advice = "`chimaera pool migrate`";
                assert!(message.contains(advice), "{message}");
            };
            let put = store.put("other", vec![1; 1 << 20]).map(drop);
            let has_ended = put.is_ok();
            refused(put.and_then(|()| store.flush()));
            if has_ended {
                // It may be lost, but nothing else is shown in its place.
                let (code, message) = text_of(store.get("other"));
                assert!([CHI_OK, CHI_NO_SPACE].contains(&code), "{message}");
            }
            refused(store.delete("key").map(drop));
            refused(store.compact().map(drop));
            // Too early, it costs the container, which is made anew once there is room.
            let again = match n {
                1 => {
                    assert_ne!(site.cli(&["pool", "migrate", "store"]).code, 0);
                    "reset"
                }
                _ => "migrate",
            };
            is_full.store(false, Ordering::SeqCst);
            site.cli(&["pool", again, "store"]).ok();
            assert_eq!(store.get("key").unwrap(), b"value");
            assert_eq!(text_of(store.get("other")).0, CHI_NOT_FOUND);
            store.put("other", "value").unwrap();
            assert_eq!(store.count().unwrap(), 2);
            chimaera::client::shutdown();
            drop(daemon);
            drop(interception);
        }
    });
}

#[test]
fn a_store_outlives_its_pool() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        for sync in [Sync::Always, Sync::Flush, Sync::None] {
            let path = directory.path().join(format!("{sync:?}"));
            for n in 0..3_u64 {
                let store = Client::create_with("s", params(&path, sync), containers(2)).unwrap();
                assert_eq!(store.count().unwrap(), n * 10);
                for i in 0..10 {
                    assert!(!store.put(format!("{n}/{i}"), format!("of {n}")).unwrap());
                }
                assert!(store.put("0/1", "changed").unwrap());
                assert_eq!(store.get("0/1").unwrap(), b"changed");
                assert_eq!(store.get("0/2").unwrap(), b"of 0");
                assert_eq!(store.scan("1/", 3).unwrap().len() as u64, 3 * n.min(1));
                assert_eq!(text_of(store.get("none")).0, CHI_NOT_FOUND);
                destroy(store);
            }
        }
        // In a directory.
        let store = Client::create("d", params(directory.path(), Sync::Always)).unwrap();
        store.put("key", "value").unwrap();
        assert!(directory.path().join("kv.redb").is_file());
    });
}

#[test]
fn only_a_store_with_a_path_can_be_flushed() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let memory = Client::create("memory", kv::Params::default()).unwrap();
        let (code, message) = text_of(memory.flush());
        assert_eq!(code, CHI_UNSUPPORTED);
        assert!(message.contains("create its pool with a path"), "{message}");
        let path = directory.path().join("store");
        let store = Client::create("none", params(&path, Sync::None)).unwrap();
        let (code, message) = text_of(store.flush());
        assert_eq!(code, CHI_UNSUPPORTED);
        assert!(message.contains("sync=flush or sync=always"), "{message}");
        assert_eq!(store.stats().unwrap().syncs, 0);

        let path = directory.path().join("flushed");
        let store = Client::create("flush", params(&path, Sync::Flush)).unwrap();
        store.put("key", "value").unwrap();
        assert_eq!(store.stats().unwrap().syncs, 0);
        store.flush().unwrap();
        let stats = store.stats().unwrap();
        assert_eq!((stats.keys, stats.bytes, stats.syncs), (1, 8, 1));
        assert_eq!(stats.file_bytes, fs::metadata(&path).unwrap().len());
    });
}

/// Pages that a transaction has replaced are used again, and a file that is mostly free is shortened
/// when it is opened.
#[test]
fn a_file_does_not_grow_without_need() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("overwritten");
        let store = Client::create("overwritten", params(&path, Sync::Flush)).unwrap();
        for _ in 0..rounds(10, 100) {
            let puts: Vec<_> =
                (0..500).map(|i| store.put_async(format!("{}", i % 50), [0; 1000])).collect();
            puts.into_iter().for_each(|put| drop(put.and_then(Pending::wait).unwrap()));
        }
        let stats = store.stats().unwrap();
        assert!(stats.file_bytes < 64 << 20, "{stats:?}");

        let path = directory.path().join("emptied");
        let create = || Client::create("emptied", params(&path, Sync::None)).unwrap();
        let store = create();
        (0..100).for_each(|i| assert!(!store.put(format!("{i}"), vec![1; 300_000]).unwrap()));
        (1..100).for_each(|i| assert!(store.delete(format!("{i}")).unwrap()));
        let full = store.stats().unwrap();
        assert!(full.file_bytes > 30_000_000 && full.compacted_bytes == 0, "{full:?}");
        destroy(store);
        let store = create();
        let stats = store.stats().unwrap();
        assert!(stats.compacted_bytes > 0, "{stats:?}");
        assert!(stats.file_bytes < full.file_bytes / 2, "{stats:?} of {full:?}");
        assert_eq!(store.get("0").unwrap(), vec![1; 300_000]);
        assert_eq!((stats.keys, stats.bytes), (1, 300_001));
    });
}

#[test]
fn what_is_no_store_of_this_pool_is_refused() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let refused = |path: &Path, n: u32| {
            text_of(Client::create_with("second", params(path, Sync::Always), containers(n)))
        };
        let store =
            Client::create_with("first", params(&at("s"), Sync::Always), containers(4)).unwrap();
        store.put("key", "value").unwrap();
        let (code, message) = refused(&at("s"), 4);
        assert_eq!(code, CHI_BUSY, "{message}");
        assert!(message.contains("in use by another pool or process"), "{message}");
        destroy(store);

        let (code, message) = refused(&at("s"), 1);
        assert_eq!(code, CHI_INVALID, "{message}");
        assert!(message.contains("a store of 4 containers, not 1"), "{message}");
        assert!(message.contains("--containers 4"), "{message}");
        fs::write(at("text"), "0123456789".repeat(1000)).unwrap();
        fs::write(at("empty"), "").unwrap();
        for name in ["text", "empty", "/dev/null"] {
            let (code, message) = refused(&at(name), 1);
            assert_eq!(code, CHI_INVALID, "{message}");
            assert!(message.contains(name), "{message}");
        }
        assert_eq!(refused(&at("no/such/directory"), 1).0, CHI_NOT_FOUND);
        fs::copy(at("s"), at("short")).unwrap();
        fs::File::options().write(true).open(at("short")).unwrap().set_len(10_000).unwrap();
        let (code, message) = refused(&at("short"), 4);
        assert_eq!(code, CHI_IO, "{message}");
        assert!(message.contains("is damaged"), "{message}");
        assert!(message.contains("restore it from a copy"), "{message}");

        let store =
            Client::create_with("again", params(&at("s"), Sync::Always), containers(4)).unwrap();
        assert_eq!(store.get("key").unwrap(), b"value");
    });
}

/// Whatever bit of the file is wrong: the daemon goes on, and says so or is right.
#[test]
fn a_damaged_file_harms_nobody() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let (good, bad) = (directory.path().join("good"), directory.path().join("bad"));
        let store = Client::create("good", params(&good, Sync::Always)).unwrap();
        let value = |i: u32| vec![i as u8; 500];
        let puts: Vec<_> = (0..200).map(|i| store.put_async(format!("{i}"), value(i))).collect();
        puts.into_iter().for_each(|put| drop(put.and_then(Pending::wait).unwrap()));
        destroy(store);
        let bytes = fs::read(&good).unwrap();
        let mut random = Random::new(seed());
        let mut named = 0;
        for round in 0..rounds(16, 200) {
            fs::copy(&good, &bad).unwrap();
            let file = fs::File::options().write(true).open(&bad).unwrap();
            // The header is small, and as important as the rest.
            let end = if random.below(2) == 0 { 512 } else { bytes.len() as u64 };
            // The first byte is certain to be noticed.
            let at = if round == 0 { 0 } else { random.below(end) };
            let bit = 1 << random.below(8);
            file.write_all_at(&[bytes[at as usize] ^ bit], at).unwrap();
            let store = match Client::create("bad", params(&bad, Sync::Always)) {
                Ok(store) => store,
                Err(status) => {
                    assert!(status.message().contains("bad"), "{}", status.message());
                    named += 1;
                    continue;
                }
            };
            let _ = (store.count(), store.scan("", 0), store.put("new", "value"));
            let _ = chimaera::ipc().unwrap().destroy_pool(store.pool_id());
        }
        assert!(named > 0, "no damage was found");
        let store = Client::create("good", params(&good, Sync::Always)).unwrap();
        assert_eq!(store.get("7").unwrap(), value(7));
    });
}

#[test]
fn a_store_that_cannot_write_refuses_changes_and_keeps_what_it_has() {
    in_client!(Options::new().kv().file_size(20 << 20), |_| {
        // A segment is a file, too.
        connect_with(16 << 20);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let create = |name| Client::create(name, params(&path, Sync::Always)).unwrap();
        let store = create("store");
        let key = |i: u32| format!("{i:04}");
        let fits = (0..2000).take_while(|i| store.put(key(*i), vec![*i as u8; 20_000]).is_ok());
        let fits = fits.count() as u32;
        assert!((200..1000).contains(&fits), "{fits} fit into 20 MiB");
        let (code, message) = text_of(store.put("one more", [0; 20_000]));
        assert_eq!(code, CHI_NO_SPACE, "{message}");
        assert!(message.contains("takes no more changes"), "{message}");
        assert_eq!(text_of(store.delete(key(0))).0, CHI_NO_SPACE);
        destroy(store);

        let store = create("again");
        assert_eq!(store.count().unwrap(), u64::from(fits));
        for i in 0..fits {
            assert!(store.get(key(i)).unwrap() == vec![i as u8; 20_000], "{i}");
        }
        assert!(store.delete(key(0)).unwrap());
        store.put(key(0), "small").unwrap();
    });
}

/// A put that ends cancelled was not applied, and one that ends well was.
#[test]
fn a_cancelled_put_was_not_applied() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = Client::create("store", params(&path, Sync::Always)).unwrap();
        let mut ended = [0; 2];
        let end = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !end.load(Ordering::Relaxed) {
                    store.put("busy", [0; 10_000]).unwrap();
                }
            });
            for i in 0..rounds(200, 5000) {
                let key = format!("{i}");
                let put = store.put_async(&key, "value").unwrap();
                if i % 2 == 0 {
                    std::thread::sleep(Duration::from_micros(i as u64 % 500));
                }
                put.cancel().unwrap();
                let code = put.wait().map_or_else(|status| status.code(), |_| CHI_OK);
                let there = store.get(&key).is_ok();
                match code {
                    CHI_OK => assert!(there, "{key} was put"),
                    CHI_CANCELLED => assert!(!there, "{key} was cancelled"),
                    code => panic!("{key} ended with {code}"),
                }
                ended[usize::from(there)] += 1;
            }
            end.store(true, Ordering::Relaxed);
        });
        assert!(ended.iter().all(|n| *n > 0), "{ended:?} were cancelled and put");
    });
}
