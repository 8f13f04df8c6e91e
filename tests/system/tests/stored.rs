//! A composition: `chimaera:kv` (Rust) stores its values in a `chimaera:bdev` (Rust), compressed by
//! `example:mod_name` (C++).

use std::time::{Duration, Instant};

use chimaera::abi::{CHI_INVALID, CHI_IO, CHI_NOT_FOUND, CHI_NO_POOL};
use chimaera::DomainQuery;
use chimaera_bdev_client as bdev;
use chimaera_kv_client as kv;
use chimaera_tests::{artefacts, bytes, connect, in_client, text_of, Daemon, Options};
use example_mod_name_client as mod_name;

fn options() -> Options {
    Options::new().bdev().kv().mod_name()
}

fn stored(device: &str, compressor: &str) -> kv::Params {
    kv::Params { device: device.into(), compressor: compressor.into(), ..kv::Params::default() }
}

fn used(device: &bdev::Client) -> u64 {
    let stats = device.stats().unwrap();
    stats.blocks - stats.free_blocks
}

/// Waits until all blocks are free: nothing waits for the tasks that free them.
fn all_free(device: &bdev::Client) -> bool {
    let until = Instant::now() + Duration::from_secs(30);
    while used(device) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    used(device) == 0
}

#[test]
fn values_lie_compressed_in_blocks() {
    in_client!(options(), |site| {
        connect();
        let path = site.path().join("disk");
        std::fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let params = bdev::Params { path: path.clone(), blocks: 2048, ..bdev::Params::default() };
        let device = bdev::Client::create("disk", params).unwrap();
        let (code, message) = text_of(kv::Client::create("kv", stored("disk", "zstd")));
        assert_eq!(code, CHI_NO_POOL);
        assert!(message.contains("the store's compressor"), "{message}");
        mod_name::Client::create("zstd").unwrap();
        let store = kv::Client::create("kv", stored("disk", "zstd")).unwrap();

        // A mebibyte of one letter fits into a block; bytes that do not compress take many pieces.
        assert!(!store.put("letters", vec![b'a'; 1 << 20]).unwrap());
        assert_eq!(used(&device), 1);
        assert_eq!(store.get("letters").unwrap(), vec![b'a'; 1 << 20]);
        for len in [0, 1, 4096, 3 << 20] {
            let key = len.to_string();
            store.put(&key, bytes(len)).unwrap();
            assert!(store.get(&key).unwrap() == bytes(len), "{len} bytes");
        }
        assert_eq!(store.scan("", 0).unwrap().len(), 5);
        assert!(store.put("letters", "few").unwrap());
        assert_eq!(store.get("letters").unwrap(), b"few");
        assert!(store.delete("letters").unwrap());
        assert_eq!(store.get("letters").unwrap_err().code(), CHI_NOT_FOUND);

        // Errors of the device are passed on.
        std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        let (code, message) = text_of(store.get("1"));
        assert_eq!(code, CHI_IO, "{message}");
        assert!(message.contains("has been truncated"), "{message}");
        let (code, message) = text_of(store.put("random", noise(16 << 20)));
        assert_eq!(code, bdev::DEVICE_FULL, "{message}");

        chimaera::ipc().unwrap().destroy_pool(store.pool_id()).unwrap();
        assert!(all_free(&device), "{} blocks are left", used(&device));
        // At a stop, this would be told as abandoned.
        let (_, message) = text_of(chimaera::ipc().unwrap().destroy_pool(device.pool_id()));
        assert!(message.contains("has been truncated"), "{message}");
    });
}

#[test]
fn a_store_refuses_pools_of_other_modules() {
    in_client!(options(), |_| {
        connect();
        let store = kv::Client::create("s", kv::Params::default()).unwrap();
        mod_name::Client::create("zstd").unwrap();
        bdev::Client::create("disk", bdev::Params::default()).unwrap();
        for (device, compressor, why) in [
            ("s", "", "the store's device: pool 's' is of module chimaera:kv, not chimaera:bdev"),
            (
                "disk",
                "s",
                "the store's compressor: pool 's' is of module chimaera:kv, not example:mod_name",
            ),
            (
                "admin",
                "zstd",
                "the store's device: pool 'admin' is of module chimaera:admin, not chimaera:bdev",
            ),
        ] {
            let (code, message) = text_of(kv::Client::create("kv", stored(device, compressor)));
            assert_eq!(code, CHI_INVALID, "{message}");
            assert!(message.contains(why), "{message}");
        }

        assert_eq!(kv::Client::find("s").unwrap(), store);
        let (code, message) = text_of(kv::Client::find("zstd"));
        assert_eq!(code, CHI_INVALID);
        assert_eq!(message, "pool 'zstd' is of module example:mod_name, not chimaera:kv");
        assert_eq!(text_of(bdev::Client::find("s")).0, CHI_INVALID);
        assert_eq!(text_of(bdev::Client::find("none")).0, CHI_NO_POOL);
    });
}

#[test]
fn a_pool_is_found_by_its_module_from_cpp() {
    let daemon = Daemon::start(&Options::new().kv());
    daemon.cli(&["pool", "create", "s", "--module", "chimaera:kv"]).ok();
    let find = |module: &str, name: &str| {
        let client = artefacts::program("cpp_client");
        daemon.site().run(client, &["find-of", module, name]).lines().remove(0)
    };
    let found = find("chimaera:kv", "s");
    assert!(found["status"] == 0 && found["major"].as_u64() > Some(1), "{found}");
    let other = find("chimaera:bdev", "s");
    assert_eq!(other["status"], CHI_INVALID, "{other}");
    assert_eq!(other["message"], "pool 's' is of module chimaera:kv, not chimaera:bdev");
    assert_eq!(find("chimaera:kv", "none")["status"], CHI_NO_POOL);
}

#[test]
fn a_store_whose_pools_are_gone_says_which() {
    in_client!(options(), |_| {
        let ipc = connect();
        let device = bdev::Client::create("disk", bdev::Params::default()).unwrap();
        let zstd = mod_name::Client::create("zstd").unwrap();
        let store = kv::Client::create("kv", stored("disk", "zstd")).unwrap();
        store.put("key", "value").unwrap();
        assert_eq!(
            device.with_query(DomainQuery::local_id(1)).stats().unwrap_err().code(),
            CHI_INVALID
        );

        ipc.destroy_pool(device.pool_id()).unwrap();
        let gone = |role: &str| {
            (CHI_NO_POOL, format!("{role}, is gone: destroy the store, and create both again"))
        };
        let device_is_gone = gone("pool 'disk', the store's device");
        assert_eq!(text_of(store.get("key")), device_is_gone);
        assert_eq!(text_of(store.put("key", "other")), device_is_gone);
        ipc.destroy_pool(zstd.pool_id()).unwrap();
        assert_eq!(text_of(store.put("key", "other")), gone("pool 'zstd', the store's compressor"));
        assert_eq!(store.count().unwrap(), 1);
        ipc.destroy_pool(store.pool_id()).unwrap();
    });
}

/// Incompressible bytes.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(len)
    .collect()
}

#[test]
fn a_reader_sees_one_whole_value_while_writers_replace_it() {
    in_client!(options(), |_| {
        connect();
        let device = bdev::Client::create("ram", bdev::Params::default()).unwrap();
        let store = kv::Client::create("kv", stored("ram", "")).unwrap();
        let value = |of: u8| vec![of; 100_000];
        store.put("key", value(0)).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..3_u8 {
                scope.spawn(move || {
                    for round in 0..60 {
                        store.put("key", value(writer * 64 + round)).unwrap();
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(move || {
                    for _ in 0..90 {
                        let found = store.get("key").unwrap();
                        assert!(found.len() == 100_000 && found.iter().all(|b| *b == found[0]));
                    }
                });
            }
        });
        assert!(store.delete("key").unwrap());
        assert!(all_free(&device), "{} blocks are left", used(&device));
    });
}
