//! Several daemons that are one cluster: real processes on this machine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_NODE_LOST, CHI_NOT_FOUND};
use chimaera_kv_client::{self as kv, Client};
use chimaera_tests::{artefacts, bytes, in_client, text_of, Cluster, Options};

fn kv() -> [std::path::PathBuf; 1] {
    [artefacts::rust_module("chimaera_kv")]
}

/// One store, whichever node a client is at, and whichever node has the key.
#[test]
fn a_store_is_one_over_all_nodes() {
    in_client!(Options::new(), |_| {
        let cluster = Cluster::start(3, &kv());
        cluster.connect(0);
        let store = Client::create("store", kv::Params::default()).unwrap();
        let mut owners = cluster.owners(0, "store");
        owners.sort();
        owners.dedup();
        assert_eq!(owners.len(), 3, "each node has a container");
        for key in 0..30 {
            assert!(!store.put(format!("{key}"), format!("of {key}")).unwrap());
        }
        let large = bytes(3 << 20);
        store.put("large", &*large).unwrap();
        for node in [1, 2, 0] {
            cluster.connect(node);
            let same = Client::create("store", kv::Params::default()).unwrap();
            assert_eq!(same.pool_id(), store.pool_id(), "one id over the cluster");
            for key in 0..30 {
                assert_eq!(same.get(format!("{key}")).unwrap(), format!("of {key}").into_bytes());
            }
            assert_eq!(same.get("large").unwrap(), large);
            assert_eq!(text_of(same.get("none")).0, CHI_NOT_FOUND);
            assert!(same.put("0", "of 0").unwrap(), "it replaces one");
            assert_eq!(same.count().unwrap(), 31);
            let found = same.scan("1", 100).unwrap();
            let expected: Vec<Vec<u8>> =
                ["1", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19"]
                    .map(|key| key.into())
                    .into();
            assert_eq!(found, expected);
            assert_eq!(same.scan("", 5).unwrap().len(), 5);
        }
        for key in 0..30 {
            assert!(store.delete(format!("{key}")).unwrap());
        }
    });
}

/// Whatever was sent to a node that dies ends soon, and says whether it may have run.
#[test]
fn calls_to_a_node_that_dies_end() {
    in_client!(Options::new(), |_| {
        let mut cluster = Cluster::start(3, &kv());
        cluster.connect(0);
        let store = Client::create("store", kv::Params::default()).unwrap();
        (0..30).for_each(|key| assert!(!store.put(format!("{key}"), "value").unwrap()));
        let before = Instant::now();
        cluster.kill(2);
        let mut lost = 0;
        for key in 0..30 {
            match store.get(format!("{key}")) {
                Ok(value) => assert_eq!(value, b"value"),
                Err(status) => {
                    let expected = [CHI_NODE_LOST, CHI_NOT_FOUND];
                    assert!(expected.contains(&status.code()), "{}", status.message());
                    lost += 1;
                }
            }
        }
        assert!(lost < 30, "the others serve on");
        assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
    });
}

fn ok(cluster: &Cluster, arguments: &[&str]) {
    cluster.site(0).cli(arguments).ok();
}

fn fill(store: Client) {
    (0..100).for_each(|key| assert!(!store.put(format!("{key}"), format!("of {key}")).unwrap()));
}

fn check(store: Client) {
    for key in 0..100 {
        assert_eq!(store.get(format!("{key}")).unwrap(), format!("of {key}").into_bytes());
    }
    assert_eq!(store.count().unwrap(), 100);
}

/// A container moves with its state, while its clients go on.
#[test]
fn a_container_moves_with_its_state() {
    in_client!(Options::new(), |_| {
        let cluster = Cluster::start(3, &kv());
        cluster.connect(0);
        let store = Client::create("store", kv::Params::default()).unwrap();
        fill(store);
        for (container, to) in [(0, 1), (0, 2), (1, 0), (2, 0), (0, 0), (1, 1)] {
            let node = cluster.site(to).name().to_owned();
            let number = container.to_string();
            ok(&cluster, &["pool", "migrate", "store", "--container", &number, "--to", &node]);
            assert_eq!(cluster.owners(0, "store")[container], node);
            check(store);
        }
        let refused =
            cluster.site(0).cli(&["pool", "migrate", "store", "--container", "0", "--to", "none"]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("there is no node 'none'"), "{refused:?}");
    });
}

/// Tasks that are sent while containers move each end once, with their results.
#[test]
fn tasks_go_on_while_containers_move() {
    in_client!(Options::new(), |_| {
        let cluster = Cluster::start(3, &kv());
        cluster.connect(0);
        let store = Client::create("store", kv::Params::default()).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..2)
                .map(|client| {
                    let over = &over;
                    scope.spawn(move || {
                        let mut puts = 0_u64;
                        while !over.load(Ordering::Relaxed) {
                            let key = format!("{client}/{puts}");
                            assert!(
                                !store.put(&*key, format!("{puts}")).unwrap(),
                                "{key} is there already"
                            );
                            puts += 1;
                        }
                        puts
                    })
                })
                .collect();
            for round in 0..6 {
                let node = cluster.site(round % 3).name().to_owned();
                for number in ["0", "1", "2"] {
                    ok(
                        &cluster,
                        &["pool", "migrate", "store", "--container", number, "--to", &node],
                    );
                }
            }
            over.store(true, Ordering::Relaxed);
            let puts: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
            assert_eq!(store.count().unwrap(), puts);
        });
    });
}

/// A node that is drained gives what it has to others, and can be removed.
#[test]
fn a_node_is_drained_and_removed() {
    in_client!(Options::new(), |_| {
        let mut cluster = Cluster::start(3, &kv());
        cluster.connect(0);
        let store = Client::create("store", kv::Params::default()).unwrap();
        fill(store);
        let node = cluster.site(2).name().to_owned();
        let early = cluster.site(0).cli(&["cluster", "remove", &node]);
        assert!(early.stderr.contains("still owns containers"), "{early:?}");
        ok(&cluster, &["cluster", "drain", &node]);
        check(store);
        ok(&cluster, &["cluster", "remove", &node]);
        let members = cluster.described(0)["members"].as_array().unwrap().len();
        assert_eq!(members, 2);
        check(store);
        cluster.node(2).stop();
        check(store);
    });
}

/// More tasks than a node takes at a time wait, and none is refused.
#[test]
fn many_tasks_for_one_node_wait() {
    in_client!(Options::new(), |_| {
        let cluster = Cluster::start(2, &kv());
        cluster.connect(0);
        let store = Client::create("store", kv::Params::default()).unwrap();
        let puts: Vec<_> = (0..2000)
            .map(|key| store.put_async(format!("{key}"), format!("of {key}")).unwrap())
            .collect();
        puts.into_iter().for_each(|put| drop(put.wait().unwrap()));
        assert_eq!(store.count().unwrap(), 2000);
    });
}
