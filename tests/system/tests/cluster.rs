//! Several daemons that are one cluster: real processes on this machine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chimaera::abi::{
    CHI_CANCELLED, CHI_FAULT, CHI_NODE_LOST, CHI_NOT_FOUND, CHI_REASON_LOST, CHI_REASON_RECOVERED,
};
use chimaera::{DomainQuery, Ipc, NewTask, PoolId};
use chimaera_kv_client::{self as kv, Client};
use chimaera_test_depends_client::{self as depends, CheckTask};
use chimaera_test_rust_faults_client as faults;
use chimaera_test_spread_client::{self as spread, NapTask, Steer, SteerTask};
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::{
    artefacts, bytes, connect, in_client, process, text_of, Cluster, Daemon, Options,
};

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
        assert!(early.stderr.contains("still has containers"), "{early:?}");
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

/// What a container of this node was told: how often, the reason, the pool, the node and its containers.
type Told = (u32, u32, String, u64, String);

fn told(ipc: Ipc, pool: PoolId, container: u32) -> Told {
    let query = DomainQuery::local_id(container);
    let task: NewTask<CheckTask> = ipc.new_task(pool, query, depends::CHECK).unwrap();
    let task = task.call().unwrap();
    let [name, containers] = [&task.name, &task.containers].map(|text| text.to_string().unwrap());
    (task.told.get(), task.reason.get(), name, task.node.get(), containers)
}

/// When a node is lost, the containers of its pools on the other nodes are told so, with its number and the
/// containers that it had, and so are those of pools that depend on them; and once more when others have made them.
#[test]
fn the_loss_of_a_node_is_told() {
    in_client!(Options::new(), |_| {
        let depends = [artefacts::test_module("depends"), artefacts::rust_depends()];
        let modules = [&kv()[..], &depends[..]].concat();
        let mut cluster = Cluster::start(3, &modules);
        cluster.connect(0);
        let ipc = chimaera::ipc().unwrap();
        let create = |module, name: &str, params: &str| {
            let options = chimaera::PoolOptions::default().containers(6);
            ipc.create_pool_with(module, name, params.as_bytes(), options).unwrap()
        };
        create(kv::MODULE, "store", "");
        let tops = [("cpp", depends::CPP), ("rust", depends::RUST)];
        let tops = tops.map(|(name, module)| (name, create(module, name, "on=store")));
        let of = |pool, node: usize| {
            let owners = cluster.owners(0, pool);
            let name = cluster.site(node).name();
            let of = owners.iter().enumerate().filter(|(_, owner)| *owner == name);
            of.map(|(number, _)| number as u32).collect::<Vec<_>>()
        };
        let list = |pool| of(pool, 2).iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let (store, own) = (list("store"), tops.map(|(name, _)| list(name)));
        let here = tops.map(|(name, _)| of(name, 0));
        let found = cluster.described(0);
        let members = found["members"].as_array().unwrap();
        let member = members.iter().find(|it| it["name"] == *cluster.site(2).name()).unwrap();
        let node: u64 = member["node"].as_str().unwrap().parse().unwrap();
        cluster.kill(2);
        for (((name, pool), here), own) in tops.iter().zip(&here).zip(&own) {
            assert_eq!((here.len(), own.len()), (2, 3), "each node has two");
            for container in here {
                let told = |times| {
                    process::until("it is told", || {
                        Some(told(ipc, *pool, *container)).filter(|told| told.0 >= times)
                    })
                };
                // Of its own pool and of the one that it depends on, in any order.
                let (_, reason, lost, of, containers) = told(2);
                let expected = if lost == "store" { &store } else { own };
                if reason == CHI_REASON_LOST {
                    assert_eq!((of, &containers), (node, expected), "{name}: {lost}");
                }
                // Only the store's module can recover; its containers are back together or one by one.
                let (_, reason, lost, of, containers) = told(3);
                assert_eq!((reason, &*lost, of), (CHI_REASON_RECOVERED, "store", node), "{name}");
                assert!(store.split(',').any(|one| containers.contains(one)), "{containers}");
            }
        }
        assert!(!cluster.owners(0, "store").contains(&"nobody".into()));
        for (((name, pool), here), own) in tops.iter().zip(&here).zip(&own) {
            let nobody = |owner: &&String| *owner == "nobody";
            process::until("the others are nobody's", || {
                (cluster.owners(0, name).iter().filter(nobody).count() == 2).then_some(())
            });
            for container in here {
                let last = told(ipc, *pool, *container);
                assert_eq!(last.2, "store", "{own} of {name} are still lost: {last:?}");
            }
        }
    });
}

/// What is in a file of a lost node waits for that node, until a person lets others begin with what they find. It moves
/// as a copy.
#[test]
fn what_a_node_stores_is_not_taken_over() {
    in_client!(Options::new(), |site| {
        let mut cluster = Cluster::start(3, &kv());
        let path = site.path().join("stored");
        let params = format!("path={}", path.display());
        let create = ["pool", "create", "stored", "--module", "chimaera:kv", "--nodes", "1"];
        ok(&cluster, &[&create[..], &["--params", &params]].concat());
        let victim = cluster.number_of(&cluster.owners(0, "stored")[0]);
        let (asked, other) = ((victim + 1) % 3, (victim + 2) % 3);
        let owner = |cluster: &Cluster| cluster.owners(asked, "stored")[0].clone();
        cluster.connect(asked);
        let store = Client::create(
            "stored",
            kv::Params { path: path.display().to_string(), ..kv::Params::default() },
        );
        let store = store.unwrap();
        store.put("key", "value").unwrap();
        let stored_on = |cluster: &Cluster| {
            let pools = &cluster.described(asked)["pools"];
            let pool = pools.as_array().unwrap().iter().find(|pool| pool["name"] == "stored");
            pool.unwrap()["containers"][0]["stored_on"].clone()
        };
        assert_eq!(stored_on(&cluster), cluster.site(victim).name());
        // All nodes have one file here, which only one may open: it cannot move, and stays with its data.
        let to = cluster.site(other).name();
        let migrate = ["pool", "migrate", "stored", "--container", "0", "--to", to];
        let failed = cluster.site(asked).cli(&migrate);
        assert_eq!(failed.code, 1, "{failed:?}");
        process::until("it is back", || {
            store.get("key").is_ok_and(|value| value == b"value").then_some(())
        });
        assert_eq!(owner(&cluster), cluster.site(victim).name());

        let refused = cluster.site(asked).cli(&["pool", "recover", "stored", "--force"]);
        assert!(
            refused
                .stderr
                .contains("nothing to recover: every container of pool 'stored' is on a node"),
            "{refused:?}"
        );
        cluster.kill(victim);
        cluster.until_standing(asked, victim, "lost");
        process::until("it has no owner", || {
            (stored_on(&cluster) == cluster.site(victim).name() && owner(&cluster) == "nobody")
                .then_some(())
        });
        let (status, why) = text_of(store.get("key"));
        assert_eq!(status, CHI_NODE_LOST, "{why}");
        let refused = cluster.site(asked).cli(&["pool", "recover", "stored"]);
        let why = format!("what container 0 stores is on node '{}'", cluster.site(victim).name());
        assert!(refused.code == 1 && refused.stderr.contains(&why), "{refused:?}");
        assert!(refused.stderr.contains("`chimaera pool recover stored --force`"), "{refused:?}");
        let refused = cluster.site(asked).cli(&["cluster", "remove", cluster.site(victim).name()]);
        assert_eq!(refused.code, 1, "it has what nobody else has: {refused:?}");

        cluster.start_again(victim);
        cluster.until_all_are_members();
        process::until("it is served again", || {
            store.get("key").is_ok_and(|value| value == b"value").then_some(())
        });
        assert_eq!(owner(&cluster), cluster.site(victim).name());

        cluster.kill(victim);
        cluster.until_standing(asked, victim, "lost");
        process::until("it has no owner", || (owner(&cluster) == "nobody").then_some(()));
        let done = cluster
            .site(asked)
            .cli(&["pool", "recover", "stored", "--force", "--json"])
            .ok()
            .json();
        assert_eq!(done["containers"][0]["container"], 0, "{done}");
        let now = cluster.number_of(done["containers"][0]["node"].as_str().unwrap());
        assert_ne!(now, victim);
        // On this machine, it finds the file.
        assert_eq!(store.get("key").unwrap(), b"value");
        cluster.start_again(victim);
        cluster.until_all_are_members();
        assert_eq!(cluster.number_of(&owner(&cluster)), now, "it is not given back");
    });
}

/// A container whose new owner cannot make it goes back with its state, and the move has failed.
#[test]
fn a_container_that_cannot_be_made_goes_back_with_its_state() {
    in_client!(Options::new(), |_| {
        let mut cluster = Cluster::start(2, &kv());
        let site = cluster.site(0).sibling("without");
        let seed = cluster.address(0);
        let options = cluster.member(Options::new()).argument("--join").argument(&seed);
        let without = cluster.add(Daemon::start_at(site, &options));
        cluster.until_all_are_members();
        cluster.connect(0);
        // One that the node without the module has not been asked for.
        let (pool, store) = (0..)
            .find_map(|number| {
                let pool = format!("store{number}");
                ok(&cluster, &["pool", "create", &pool, "--module", "chimaera:kv", "--nodes", "1"]);
                let found = cluster.described(0);
                let pools = found["pools"].as_array().unwrap();
                let found = pools.iter().find(|found| found["name"] == *pool).unwrap();
                if found["refused"] != serde_json::json!([]) {
                    return None;
                }
                let store = Client::create(&pool, kv::Params::default()).unwrap();
                Some((pool, store))
            })
            .unwrap();
        fill(store);
        let owner = cluster.owners(0, &pool);
        let to = cluster.site(without).name();
        let failed =
            cluster.site(0).cli(&["pool", "migrate", &pool, "--container", "0", "--to", to]);
        assert_eq!(failed.code, 1, "{failed:?}");
        assert_eq!(cluster.owners(0, &pool), owner);
        check(store);
    });
}

/// What only a lost node had is made by others once a person has given it up, in either language: what was stored there,
/// and what was in its memory and cannot be recovered.
#[test]
fn what_is_given_up_begins_anew() {
    in_client!(Options::new(), |_| {
        let modules = [artefacts::test_module("spread"), artefacts::spread_rust()];
        let mut cluster = Cluster::start(3, &modules);
        let pools = [
            ("stored", spread::MODULE, "stored"),
            ("plain", spread::MODULE, ""),
            ("stored_rust", spread::RUST_MODULE, "stored"),
            ("plain_rust", spread::RUST_MODULE, ""),
        ];
        for (pool, module, params) in pools {
            ok(&cluster, &["pool", "create", pool, "--module", module, "--params", params]);
        }
        cluster.connect(0);
        let lost_node = cluster.site(2).name().to_owned();
        cluster.kill(2);
        cluster.until_standing(0, 2, "lost");
        for (pool, _, params) in pools {
            process::until("it has no owner", || {
                cluster.owners(0, pool).contains(&"nobody".to_owned()).then_some(())
            });
            let number = cluster.owners(0, pool).iter().position(|it| it == "nobody").unwrap();
            let refused = cluster.site(0).cli(&["pool", "recover", pool]);
            let why = match params {
                "" => format!("what container {number} had in memory is lost"),
                _ => format!("what container {number} stores is on node '{lost_node}'"),
            };
            assert!(refused.code == 1 && refused.stderr.contains(&why), "{refused:?}");
            let number = number.to_string();
            let one = ["pool", "recover", pool, "--container", &number, "--force"];
            let done = cluster.site(0).cli(&one).ok();
            assert!(
                done.stdout.starts_with(&format!("container {number} of '{pool}' is on '")),
                "{done:?}"
            );
            let owners = cluster.owners(0, pool);
            assert!(
                !owners.contains(&"nobody".to_owned()) && !owners.contains(&lost_node),
                "{owners:?}"
            );
            let id = connect().find_pool(pool).unwrap();
            for container in 0..3 {
                let query = DomainQuery::global_id(container);
                let task: NewTask<spread::WhereTask> =
                    connect().new_task(id, query, spread::Method::WHERE).unwrap();
                let done = task.call().unwrap();
                assert_eq!(done.container.get(), container);
                // Also a string that was empty has a result.
                assert_eq!(done.text.to_string().unwrap(), container.to_string());
            }
        }
        ok(&cluster, &["cluster", "remove", &lost_node]);
    });
}

/// What is on a node that is lost goes to the next owner if it may run twice, and ends with that message otherwise.
#[test]
fn what_may_run_twice_goes_to_the_next_owner() {
    in_client!(Options::new(), |_| {
        let mut cluster = Cluster::start(3, &kv());
        cluster.connect(0);
        let store = Client::create("store", kv::Params::default()).unwrap();
        (0..30).for_each(|key| assert!(!store.put(format!("{key}"), "value").unwrap()));
        // It takes the tasks, and does nothing with them.
        cluster.signal(2, rustix::process::Signal::STOP);
        let gets: Vec<_> = (0..15).map(|key| store.get_async(format!("{key}")).unwrap()).collect();
        let puts: Vec<_> =
            (15..30).map(|key| store.put_async(format!("{key}"), "new").unwrap()).collect();
        let count = store.count_async().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        cluster.kill(2);
        fn ended<T>(result: chimaera::Result<T>) -> (i32, String) {
            result.err().map_or_else(Default::default, |why| (why.code(), why.message().into()))
        }
        let gets: Vec<_> = gets.into_iter().map(|get| ended(get.wait())).collect();
        let puts: Vec<_> = puts.into_iter().map(|put| ended(put.wait())).collect();
        let of = |ended: &[(i32, String)], code| ended.iter().filter(|it| it.0 == code).count();
        assert_eq!(of(&gets, 0) + of(&gets, CHI_NOT_FOUND), 15, "{gets:?}");
        assert!(of(&gets, CHI_NOT_FOUND) > 0, "its keys were in memory: {gets:?}");
        assert_eq!(of(&puts, 0) + of(&puts, CHI_NODE_LOST), 15, "{puts:?}");
        let lost = puts.iter().find(|put| put.0 == CHI_NODE_LOST).expect("some went there");
        assert!(lost.1.ends_with("it may have run"), "{}", lost.1);
        assert!(count.wait().unwrap().count.get() < 30);
    });
}

/// A pool is kept on as many nodes as are wanted, whoever creates it, and a compose file can say so, too.
#[test]
fn a_pool_is_kept_on_as_many_nodes_as_are_wanted() {
    let cluster = Cluster::start(3, &kv());
    let distinct = |pool: &str| {
        let mut owners = cluster.owners(0, pool);
        let containers = owners.len();
        owners.sort();
        owners.dedup();
        (containers, owners.len())
    };
    let create = |arguments: &[&str]| {
        let all = [&["pool", "create", "--module", kv::MODULE], arguments].concat();
        cluster.site(1).cli(&all)
    };
    create(&["two", "--nodes", "2"]).ok();
    assert_eq!(distinct("two"), (2, 2));
    create(&["four", "--nodes", "2", "--containers", "4"]).ok();
    assert_eq!(distinct("four"), (4, 2));
    create(&["more", "--nodes", "9"]).ok();
    assert_eq!(distinct("more"), (3, 3), "on all, if there are fewer");
    let file = cluster.site(0).path().join("compose.yaml");
    let pools = "pools:\n  - {name: one, module: chimaera:kv, nodes: 1}\n  - {name: all, module: chimaera:kv}\n";
    std::fs::write(&file, pools).unwrap();
    let compose = cluster.site(2).cli(&["compose", "up", file.to_str().unwrap()]).ok();
    assert_eq!(compose.stdout, "created    one\ncreated    all\n");
    assert_eq!((distinct("one"), distinct("all")), ((1, 1), (3, 3)));
    let again = cluster.site(1).cli(&["compose", "up", file.to_str().unwrap()]).ok();
    assert_eq!(again.stdout, "unchanged  one\nunchanged  all\n");
}

/// On the node that has the container, whichever that is.
#[test]
fn the_crash_policy_of_a_pool_holds_on_all_nodes() {
    in_client!(Options::new(), |_| {
        let mut cluster = Cluster::start(3, &[artefacts::rust_faults()]);
        cluster.connect(0);
        let create = ["pool", "create", "kept", "--module", faults::MODULE];
        cluster.site(0).cli(&create).ok();
        let create = ["pool", "create", "ends", "--module", faults::MODULE, "--on-crash", "abort"];
        cluster.site(0).cli(&create).ok();
        let ipc = chimaera::ipc().unwrap();
        // In the container that the last node has.
        let crash = |cluster: &Cluster, pool: &str| {
            let owners = cluster.owners(0, pool);
            let number = owners.iter().position(|owner| cluster.number_of(owner) == 2).unwrap();
            let query = DomainQuery::global_id(number as u32);
            let pool = ipc.find_pool(pool).unwrap();
            let task = ipc.new_task::<faults::FaultTask>(pool, query, faults::Method::CRASH);
            text_of(task.unwrap().call())
        };
        let (status, message) = crash(&cluster, "kept");
        assert!(status == CHI_FAULT && message.contains("is in quarantine"), "{message}");
        assert!(cluster.node(2).is_alive());
        let (status, message) = crash(&cluster, "ends");
        assert!(status == CHI_NODE_LOST && message.ends_with("it may have run"), "{message}");
        assert_eq!(cluster.node(2).end(), -libc::SIGSEGV);
    });
}

/// A monitor sees where the containers are, how far, and how many tasks they have.
#[test]
fn monitors_see_nodes() {
    in_client!(Options::new(), |_| {
        let modules = [artefacts::test_module("spread"), artefacts::spread_rust()];
        let mut cluster = Cluster::start(3, &modules);
        cluster.connect(0);
        let ipc = chimaera::ipc().unwrap();
        for (module, name) in [(spread::MODULE, "cpp"), (spread::RUST_MODULE, "rust")] {
            let options = chimaera::PoolOptions::default().containers(3);
            let pool = ipc.create_pool_with(module, name, b"", options).unwrap();
            let owners = cluster.owners(0, name);
            let own = owners.iter().position(|it| it == cluster.site(0).name()).unwrap() as u32;
            let steered = |how| {
                let task: NewTask<SteerTask> =
                    ipc.new_task(pool, DomainQuery::dynamic(), spread::Method::STEER).unwrap();
                task.how.set(how);
                let task = task.call().unwrap();
                assert_eq!(task.asked.get(), own + 1, "{name}: that of this node is asked");
                task.container.get()
            };
            process::until("how far the others are is known", || {
                (steered(Steer::FARTHEST) != own).then_some(())
            });
            let others: Vec<u32> = (0..3).filter(|it| *it != own).collect();
            let nap = |container: u32| {
                let query = DomainQuery::global_id(container);
                let task: NewTask<NapTask> =
                    ipc.new_task(pool, query, spread::Method::NAP).unwrap();
                task.times.set(1 << 50);
                task.submit().unwrap()
            };
            for busy in others.clone() {
                let idle = *others.iter().find(|it| **it != busy).unwrap();
                let naps = [nap(busy), nap(busy)];
                process::until("the others told something else up to a second ago", || {
                    (steered(Steer::FEWEST) == idle).then_some(())
                });
                for nap in naps {
                    nap.cancel().unwrap();
                    assert_eq!(text_of(nap.wait()).0, CHI_CANCELLED);
                }
            }
        }
        // Nobody chooses a node that cannot be reached.
        let owners = cluster.owners(0, "rust");
        let lost = owners.iter().position(|it| it == cluster.site(2).name()).unwrap() as u32;
        let pool = ipc.find_pool("rust").unwrap();
        cluster.kill(2);
        cluster.until_standing(0, 2, "lost");
        process::until("it is not chosen", || {
            let chosen: Vec<u32> = (0..10)
                .map(|_| {
                    let task: NewTask<SteerTask> =
                        ipc.new_task(pool, DomainQuery::dynamic(), spread::Method::STEER).unwrap();
                    task.how.set(Steer::FEWEST);
                    task.call().map_or(lost, |task| task.container.get())
                })
                .collect();
            (!chosen.contains(&lost)).then_some(())
        });
    });
}

/// A monitor crashes for a task of another node: that ends, as one of this node would.
#[test]
fn a_monitor_that_crashes_ends_tasks_of_other_nodes() {
    in_client!(Options::new(), |_| {
        let cluster = Cluster::start(2, &[artefacts::test_module("crash")]);
        cluster.connect(0);
        let ipc = chimaera::ipc().unwrap();
        let options = chimaera::PoolOptions::default().containers(2);
        let pool = ipc.create_pool_with(crash::MODULE, "fragile", b"", options).unwrap();
        let owners = cluster.owners(0, "fragile");
        let there = owners.iter().position(|it| it == cluster.site(1).name()).unwrap() as u32;
        for _ in 0..2 {
            let query = DomainQuery::global_id(there);
            let task: NewTask<CrashTask> = ipc.new_task(pool, query, crash::MONITORED).unwrap();
            task.mistake.set(crash::FAULTS[0].0);
            let (status, message) = text_of(task.call());
            assert_eq!(status, CHI_FAULT, "{message}");
            assert!(message.contains("crashed: SIGSEGV"), "{message}");
        }
    });
}
