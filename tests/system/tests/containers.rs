//! Pools of several containers, and the domain queries over them.

use std::collections::BTreeMap;

use chimaera::abi::{chi_domain_query, CHI_EXISTS, CHI_FAILED, CHI_INVALID, CHI_MAX_CONTAINERS};
use chimaera::{DomainQuery, Ipc, PoolId, PoolOptions, Result, Status};
use chimaera_kv_client as kv;
use chimaera_test_spread_client::{
    Method, Steer, SteerTask, WhereTask, FAULT, MODULE, RUST_MODULE,
};
use chimaera_tests::{artefacts, connect, in_client, text_of, Options};

const MODULES: [&str; 2] = [MODULE, RUST_MODULE];

fn create(ipc: Ipc, module: &str, name: &str, params: &[u8], containers: u32) -> Result<PoolId> {
    let options = PoolOptions::default().containers(containers);
    ipc.create_pool_with(module, name, params, options)
}

fn pool(ipc: Ipc, module: &str, containers: u32) -> PoolId {
    create(ipc, module, &format!("{module} {containers}"), b"", containers).expect("a new pool")
}

/// The container in which a task with this query runs.
fn place(ipc: Ipc, pool: PoolId, query: DomainQuery) -> Result<u32> {
    let task = ipc.new_task::<WhereTask>(pool, query, Method::WHERE)?;
    let done = task.call()?;
    assert_eq!(done.text.to_string()?, done.container.get().to_string());
    Ok(done.container.get())
}

/// The container to which `Steer` leads, and the one whose monitor was asked, plus 1.
fn steer(ipc: Ipc, pool: PoolId, how: u32, value: u32) -> Result<(u32, u32)> {
    let task = ipc.new_task::<SteerTask>(pool, DomainQuery::dynamic(), Method::STEER)?;
    task.how.set(how);
    task.value.set(value);
    let done = task.call()?;
    Ok((done.container.get(), done.asked.get()))
}

#[test]
fn queries_lead_to_their_containers() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for (module, count) in MODULES.into_iter().flat_map(|m| [1, 4, 100].map(|n| (m, n))) {
            let pool = pool(ipc, module, count);
            for id in 0..count {
                assert_eq!(place(ipc, pool, DomainQuery::local_id(id)).unwrap(), id);
                assert_eq!(place(ipc, pool, DomainQuery::global_id(id)).unwrap(), id);
                let hash = u32::MAX - id;
                for query in [DomainQuery::local_hash(hash), DomainQuery::global_hash(hash)] {
                    assert_eq!(place(ipc, pool, query).unwrap(), hash % count);
                }
            }
            for bad in [DomainQuery::local_id(count), DomainQuery::global_id(u32::MAX)] {
                let (code, message) = text_of(place(ipc, pool, bad));
                assert_eq!(code, CHI_INVALID);
                assert!(message.contains(&format!("no container {}", bad.value())), "{message}");
                assert!(count == 1 || message.contains(&format!("has {count}")), "{message}");
            }
            let task =
                ipc.new_task::<WhereTask>(pool, DomainQuery::dynamic(), Method::WHERE).unwrap();
            let done = task.call().unwrap();
            assert_eq!((done.count.get(), done.depth.get()), (count, 0));
            ipc.destroy_pool(pool).unwrap();
        }
    });
}

/// Without a monitor, tasks are distributed in turn: the counts differ by at most one per worker.
#[test]
fn dynamic_tasks_without_a_monitor_are_spread_evenly() {
    in_client!(Options::new().spread().workers(2), |_| {
        let ipc = connect();
        for module in MODULES {
            let pool = pool(ipc, module, 5);
            let mut seen = BTreeMap::new();
            for _ in 0..100 {
                *seen.entry(place(ipc, pool, DomainQuery::dynamic()).unwrap()).or_insert(0) += 1;
            }
            assert_eq!(seen.len(), 5, "{seen:?}");
            assert!(seen.values().all(|n| (18..=22).contains(n)), "{seen:?}");
        }
    });
}

#[test]
fn a_monitor_steers_dynamic_tasks() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for module in MODULES {
            let pool = pool(ipc, module, 4);
            for value in [0, 3] {
                assert_eq!(steer(ipc, pool, Steer::TO_ID, value).unwrap(), (value, 1));
            }
            assert_eq!(steer(ipc, pool, Steer::TO_HASH, 4_000_000_003).unwrap(), (3, 1));
            let mut seen: Vec<u32> =
                (0..4).map(|_| steer(ipc, pool, Steer::LEAVE, 0).unwrap().0).collect();
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3], "it leaves the choice to the runtime");
            // The result of a broadcast without an aggregation.
            assert_eq!(steer(ipc, pool, Steer::EVERYWHERE, 0).unwrap().0, 0);
            // The monitor is not asked about a task with an explicit destination.
            let query = DomainQuery::local_id(2);
            let task = ipc.new_task::<SteerTask>(pool, query, Method::STEER).unwrap();
            task.how.set(Steer::THROW);
            let done = task.call().unwrap();
            assert_eq!((done.container.get(), done.asked.get()), (2, 0));
        }
    });
}

#[test]
fn a_monitor_that_fails_or_leads_nowhere_ends_the_task() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for (module, count) in MODULES.into_iter().flat_map(|m| [1, 4].map(|n| (m, n))) {
            let pool = pool(ipc, module, count);
            let (code, message) = text_of(steer(ipc, pool, Steer::TO_ID, count));
            assert_eq!(code, CHI_INVALID);
            let why =
                format!("the monitor of kSteer sent the task nowhere: pool '{module} {count}'");
            assert!(message.starts_with(&why), "{message}");
            let (code, message) = text_of(steer(ipc, pool, Steer::NONSENSE, 0));
            assert_eq!(code, CHI_INVALID);
            assert!(message.ends_with("no domain query has the kind 77"), "{message}");
            let (code, message) = text_of(steer(ipc, pool, Steer::THROW, 0));
            assert_eq!(code, CHI_FAILED);
            assert!(message.contains("lost"), "{message}");
            assert_eq!(steer(ipc, pool, Steer::TO_ID, 0).unwrap(), (0, 1));
        }
    });
}

#[test]
fn a_client_invents_a_kind_of_query() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        let pool = pool(ipc, MODULE, 3);
        let query = DomainQuery::from(chi_domain_query { kind_: 6, value_: 0 });
        let expected = (CHI_INVALID, "no domain query has the kind 6".to_owned());
        assert_eq!(text_of(place(ipc, pool, query)), expected);
    });
}

#[test]
fn the_number_of_containers_belongs_to_a_pool() {
    in_client!(Options::new().spread(), |site| {
        let ipc = connect();
        let four = create(ipc, MODULE, "four", b"", 4).unwrap();
        assert_eq!(create(ipc, MODULE, "four", b"", 4).unwrap(), four);
        for other in [1, 5] {
            let (code, message) = text_of(create(ipc, MODULE, "four", b"", other));
            let expected = format!("pool 'four' already exists with 4 containers, not {other}");
            assert_eq!((code, message), (CHI_EXISTS, expected));
        }
        assert_eq!(text_of(ipc.create_pool(MODULE, "four", b"")).0, CHI_EXISTS);
        let (code, message) = text_of(create(ipc, MODULE, "many", b"", CHI_MAX_CONTAINERS + 1));
        assert_eq!((code, &*message), (CHI_INVALID, "a pool has 1 to 4096 containers, not 4097"));
        let one = create(ipc, MODULE, "one", b"", 0).unwrap();
        assert_eq!(ipc.create_pool(MODULE, "one", b"").unwrap(), one, "0 is 1");

        let create = ["pool", "create", "three", "--module", MODULE, "--containers"];
        assert_eq!(site.cli(&[&create[..], &["3"]].concat()).code, 0);
        let refused = site.cli(&[&create[..], &["2"]].concat());
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("exists with 3 containers, not 2"), "{refused:#?}");
        let shown = site.pool("three");
        assert_eq!((&shown["containers"], &shown["queues"]), (&3.into(), &3.into()), "{shown}");
        let listed = site.cli(&["pool", "list", "--json"]).ok().json();
        let counts: Vec<_> = listed.as_array().unwrap().iter().map(|p| &p["containers"]).collect();
        assert_eq!(counts, [&1, &4, &1, &3]);
        let table = site.cli(&["pool", "list"]).ok().stdout;
        assert!(table.starts_with("POOL") && table.contains("CONTAINERS"), "{table}");
        assert!(site.cli(&["pool", "show", "none"]).stderr.contains("no pool 'none'"));
    });
}

/// Earlier containers are destroyed, and later ones are never created.
#[test]
fn a_container_that_cannot_be_made() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for module in MODULES {
            for broken in [0, 2, 4] {
                let params = format!("fail {broken}");
                let (code, message) = text_of(create(ipc, module, "pool", params.as_bytes(), 5));
                assert_eq!(code, FAULT);
                let begin = format!("container {broken}: kCreate of pool 'pool'");
                assert!(message.starts_with(&begin), "{message}");
                assert!(message.ends_with("told to fail"), "{message}");
            }
            let pool = create(ipc, module, "pool", b"fail 9", 2).unwrap();
            let query = DomainQuery::dynamic();
            let task = ipc.new_task::<WhereTask>(pool, query, Method::WHERE).unwrap();
            assert_eq!(task.call().unwrap().alive.get(), 2);
            ipc.destroy_pool(pool).unwrap();
        }
    });
}

#[test]
fn a_thousand_containers_come_and_go() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        for module in MODULES {
            for _ in 0..2 {
                let pool = pool(ipc, module, 1000);
                assert_eq!(place(ipc, pool, DomainQuery::global_id(999)).unwrap(), 999);
                let task = ipc.new_task::<WhereTask>(pool, DomainQuery::dynamic(), Method::WHERE);
                assert_eq!(task.unwrap().call().unwrap().alive.get(), 1000);
                ipc.destroy_pool(pool).unwrap();
            }
        }
    });
}

/// Each key is in one container, and tasks on all keys go to all containers.
#[test]
fn a_store_of_several_containers_is_one_store() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let options = PoolOptions::default().containers(4);
        let store = kv::Client::create_with("store", kv::Params::default(), options).unwrap();
        let keys: Vec<String> = (0..200).map(|n| format!("key {n:03}")).collect();
        for key in &keys {
            assert!(!store.put(key, format!("value of {key}")).unwrap());
        }
        assert_eq!(store.count().unwrap(), 200);
        for key in &keys {
            assert_eq!(store.get(key).unwrap(), format!("value of {key}").into_bytes());
        }
        let all: Vec<Vec<u8>> = keys.iter().map(|key| key.clone().into_bytes()).collect();
        assert_eq!(store.scan("key", 0).unwrap(), all);
        assert_eq!(store.scan("key 1", 7).unwrap(), all[100..107]);
        assert!(store.delete(&keys[5]).unwrap());
        assert_eq!(store.count().unwrap(), 199);
        // A client that leaves the choice to the module finds the same keys.
        let dynamic = store.with_query(DomainQuery::dynamic());
        for key in &keys[190..] {
            assert_eq!(dynamic.get(key).unwrap(), format!("value of {key}").into_bytes());
        }
        // The keys are in fact distributed over the containers.
        let parts = (0..4).map(|id| store.with_query(DomainQuery::local_id(id)).count().unwrap());
        let parts: Vec<u64> = parts.collect();
        assert_eq!(parts.iter().sum::<u64>(), 199);
        assert!(parts.iter().all(|n| (20..80).contains(n)), "{parts:?}");
    });
}

/// The C and C++ clients create such a pool, and send tasks with every kind of query.
#[test]
fn clients_in_c_and_cpp() {
    let daemon = chimaera_tests::Daemon::start(&Options::new().spread());
    for client in ["c_containers", "cpp_containers"] {
        for containers in ["1", "4", "100"] {
            for module in MODULES {
                let arguments = [module, containers];
                let output = daemon.site().run(artefacts::program(client), &arguments);
                let line = output.ok().lines().remove(0);
                assert_eq!(line["status"], 0, "{client} {arguments:?}: {line}");
            }
        }
    }
}

#[test]
fn no_container_of_a_pool_of_one() {
    in_client!(Options::new().spread(), |_| {
        let ipc = connect();
        let pool = pool(ipc, RUST_MODULE, 1);
        let status: Status = place(ipc, pool, DomainQuery::global_id(1)).unwrap_err();
        assert_eq!(
            status.message(),
            "pool 'test:spread_rust 1' has no container 1, only container 0"
        );
    });
}
