//! `chimaera:kv`: what holds for its values wherever they are kept.

use std::sync::atomic::{AtomicBool, Ordering};

use chimaera::{Pending, PoolOptions};
use chimaera_bdev_client as bdev;
use chimaera_kv_client as kv;
use chimaera_tests::{connect, in_client, rounds, Options};

/// Parameters for memory and for a file.
fn everywhere(directory: &tempfile::TempDir) -> [(&'static str, kv::Params); 2] {
    let path = directory.path().to_str().unwrap().to_owned();
    let file = kv::Params { path, sync: kv::Sync::None, ..kv::Params::default() };
    [("memory", kv::Params::default()), ("file", file)]
}

fn containers(n: u32) -> PoolOptions {
    PoolOptions::default().containers(n)
}

#[test]
fn max_bytes_bounds_the_pool_however_many_containers_it_has() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let directory = || tempfile::tempdir().unwrap();
        let directories = [directory(), directory()];
        let stores =
            [(1, &directories[0]), (4, &directories[1])].into_iter().flat_map(|(n, directory)| {
                everywhere(directory).map(|(what, params)| (n, what, params))
            });
        for (n, what, params) in stores {
            let params = kv::Params { max_bytes: Some(100_000), ..params };
            let name = format!("bounded {what} {n}");
            let store = kv::Client::create_with(&name, params, containers(n)).unwrap();
            let key = |i: u32| format!("{i:06}");
            let fits = (0..10_000).take_while(|i| store.put(key(*i), [0; 94]).is_ok()).count();
            assert_eq!(fits, 1000, "values of 100 bytes with their keys, in {n} containers");
            let status = store.put(key(9999), [0; 94]).unwrap_err();
            assert_eq!(status.code(), kv::STORE_FULL);
            assert!(store.delete(key(7)).unwrap());
            store.put(key(9999), [0; 94]).unwrap();
            assert_eq!(store.count().unwrap(), 1000);
        }
        let other = kv::Client::create("other", kv::Params::default()).unwrap();
        other.put("a pool's limit is its own", [0; 200_000]).unwrap();
    });
}

/// The second put finds its block first when the first one's value takes many transfers.
#[test]
fn puts_and_deletes_of_a_key_that_are_in_flight_together_end_in_their_order() {
    in_client!(Options::new().bdev().kv(), |_| {
        connect();
        bdev::Client::create("ram", bdev::Params::default()).unwrap();
        let stored = kv::Params { device: "ram".into(), ..kv::Params::default() };
        let directory = tempfile::tempdir().unwrap();
        for (name, params) in everywhere(&directory).into_iter().chain([("stored", stored)]) {
            let store = kv::Client::create(name, params).unwrap();
            for i in 0..rounds(150, 1500) {
                let large = vec![1; 4096 * (1 + i % 200)];
                let first = store.put_async("key", large).unwrap();
                let second = store.put_async("key", [2]).unwrap();
                assert_eq!(first.wait().unwrap().replaced.get(), 0, "{name}, round {i}");
                assert_eq!(second.wait().unwrap().replaced.get(), 1, "{name}, round {i}");
                assert_eq!(store.get("key").unwrap(), [2], "{name}, round {i}");

                let put = store.put_async("key", vec![3; 4096 * (1 + i % 200)]).unwrap();
                let delete = store.delete_async("key").unwrap();
                put.wait().unwrap();
                assert_eq!(delete.wait().unwrap().existed.get(), 1);
                assert!(store.get("key").is_err(), "{name}, round {i}");
            }
        }
    });
}

/// One thread puts keys one after the other, and deletes the oldest: whatever a scan finds must be
/// what there was at one moment, without gaps and never more than the window and the next key.
#[test]
fn a_scan_sees_one_state_over_all_containers() {
    const WINDOW: u64 = 64;
    in_client!(Options::new().kv().workers(4), |_| {
        connect();
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let stores =
            [(1, &directories[0]), (4, &directories[1])].into_iter().flat_map(|(n, directory)| {
                everywhere(directory).map(|(what, params)| (n, what, params))
            });
        for (n, what, params) in stores {
            let name = format!("{what} {n}");
            let store = kv::Client::create_with(&name, params, containers(n)).unwrap();
            // Keys that the scan has to pass, so that the state changes meanwhile.
            let others =
                (0..2000).map(|i| store.put_async(format!("a/{i}"), "")).collect::<Vec<_>>();
            others.into_iter().for_each(|put| drop(put.and_then(Pending::wait).unwrap()));
            let key = |i: u64| format!("k/{i:08}");
            let end = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut next = 0;
                    while !end.load(Ordering::Relaxed) {
                        store.put(key(next), "").unwrap();
                        if next >= WINDOW {
                            store.delete(key(next - WINDOW)).unwrap();
                        }
                        next += 1;
                    }
                });
                for _ in 0..rounds(100, 1000) {
                    let found = store.scan("", 0).unwrap();
                    let numbers: Vec<u64> = found
                        .iter()
                        .filter_map(|key| std::str::from_utf8(key).unwrap().strip_prefix("k/"))
                        .map(|number| number.parse().unwrap())
                        .collect();
                    let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
                    if gap.is_some() || numbers.len() as u64 > WINDOW + 1 {
                        end.store(true, Ordering::Relaxed);
                        panic!("{what}, {n} containers: {gap:?} of {} keys", numbers.len());
                    }
                    let count = store.count().unwrap();
                    assert!((2000..=2000 + WINDOW + 1).contains(&count), "{count}");
                }
                end.store(true, Ordering::Relaxed);
            });
        }
    });
}
