//! A module host that speaks wrongly, or not at all, or writes anything into the memory that it shares with
//! the runtime: the runtime serves on, and says truly what has become of the pool.

use std::time::Duration;

use chimaera::abi::CHI_OK;
use chimaera::{DomainQuery, Ipc, NewTask, PoolId, Task};
use chimaera_runtime::{Config, HostLimits, Runtime};
use chimaera_test_spread_client as spread;
use chimaera_tests::raw::{seed, Link, Random};
use chimaera_tests::{artefacts, connect, in_client, process, rounds, Options, Site};

/// What it does; see the program.
const WAYS: [&str; 14] = [
    "dies",
    "garbage",
    "refuses",
    "talks",
    "dies_at_link",
    "silent",
    "opens_wrongly",
    "dies_at_task",
    "keeps",
    "completes",
    "lies",
    "scribbles",
    "borrows",
    "borrows_nothing",
];

fn gather(ipc: Ipc, pool: PoolId) -> NewTask<spread::GatherTask> {
    let query = DomainQuery::local_id(0);
    let task: NewTask<spread::GatherTask> =
        ipc.new_task(pool, query, spread::Method::GATHER).unwrap();
    task.text.set("word ").unwrap();
    task.notes.set_all(&["in"]).unwrap();
    task.bytes.set("in").unwrap();
    task
}

/// One whose bytes need not be copied.
fn large_gather(ipc: Ipc, pool: PoolId) -> NewTask<spread::GatherTask> {
    let task = gather(ipc, pool);
    task.bytes.set([b'b'; 20_000]).unwrap();
    task
}

/// A runtime in this process, with hostile hosts, to which this process is about to connect.
fn runtime(site: &Site) -> Runtime {
    let modules = [artefacts::spread_rust(), artefacts::test_module("spread")];
    let directory = site.directory_of("spread", &modules);
    let config = Config {
        workers: 2,
        module_paths: vec![directory],
        host_program: Some(env!("CARGO_BIN_EXE_chi-test-hostile-host").into()),
        isolated_modules: vec![spread::RUST_MODULE.into()],
        hosts: HostLimits { restarts: 3, ..HostLimits::default() },
        ..Config::embedded()
    };
    let runtime = Runtime::start(config).unwrap();
    std::env::set_var("CHI_INSTANCE", runtime.instance().name());
    runtime
}

#[test]
fn the_runtime_serves_on() {
    in_client!(Options::new(), |site| {
        let runtime = runtime(site);
        let instance = runtime.instance().name().to_owned();
        let ipc = connect();
        let healthy = ipc.create_pool(spread::MODULE, "healthy", b"").unwrap();
        let cli = |args: &[&str]| {
            let mut command = site.command(artefacts::chimaera());
            process::run(command.args(["--name", &instance]).args(args))
        };
        let mut random = Random::new(seed());
        for _ in 0..rounds(1, 20) {
            for way in WAYS {
                let name = format!("{way}-{}", random.next());
                println!("{name}");
                match ipc.create_pool(spread::RUST_MODULE, &name, b"") {
                    Ok(pool) => {
                        let tasks: Vec<_> = (0..50)
                            .filter_map(|at| match at % 2 {
                                0 => gather(ipc, pool).submit().ok(),
                                _ => large_gather(ipc, pool).submit().ok(),
                            })
                            .collect();
                        // Each ends, with whatever outcome: the host ends in time.
                        for task in tasks {
                            if let Err(status) = task.wait() {
                                assert!(!status.message().is_empty(), "{name}: {status:?}");
                            }
                        }
                        let shown = cli(&["pool", "show", &name, "--json"]).ok().json();
                        let state = shown["host"]["state"].as_str().unwrap().to_owned();
                        assert!(
                            ["starting", "recovering", "running", "failed"].contains(&&*state),
                            "{name}: {state}"
                        );
                        let migrated = cli(&["pool", "migrate", &name, "--timeout", "1"]);
                        assert_ne!(migrated.code, 0, "{name}: {migrated:?}");
                        ipc.destroy_pool(pool).unwrap();
                    }
                    Err(status) => {
                        assert_ne!(status.code(), CHI_OK);
                        assert!(!status.message().is_empty(), "{name}: {status:?}");
                    }
                }
                let task = gather(ipc, healthy);
                task.base().set_deadline(Duration::from_secs(30));
                if let Err(status) = task.call() {
                    panic!("{name}: {status:?}");
                }
            }
        }
        ipc.destroy_pool(healthy).unwrap();
        runtime.stop();
        assert_eq!(runtime.wait(), Vec::<String>::new());
    });
}

/// What comes back in the place of a reference has to be one that was sent.
#[test]
fn references_that_were_not_sent_are_refused() {
    in_client!(Options::new(), |site| {
        let runtime = runtime(site);
        let ipc = connect();
        let mut random = Random::new(seed());
        process::until("a lie is refused", || {
            let name = format!("borrows-{}", random.next());
            let pool = ipc.create_pool(spread::RUST_MODULE, &name, b"").unwrap();
            let refused = (0..100).any(|_| {
                let lost = large_gather(ipc, pool).call().err();
                lost.is_some_and(|lost| lost.message().contains("points outside the segment"))
            });
            ipc.destroy_pool(pool).unwrap();
            refused.then_some(())
        });
        runtime.stop();
        assert_eq!(runtime.wait(), Vec::<String>::new());
    });
}

/// A host may have no memory for a page of the segment of a client. That ends this client's session, whether it is true
/// or not, and no other one, whatever number the host says.
#[test]
fn a_fault_in_a_host_ends_the_session_of_its_client() {
    in_client!(Options::new(), |site| {
        let runtime = runtime(site);
        let neighbour = Link::open(0).expect("the runtime accepts sessions");
        let ipc = connect();
        let pool = ipc.create_pool(spread::RUST_MODULE, "faults-1", b"").unwrap();
        let lost = process::until("the session ends", || large_gather(ipc, pool).call().err());
        assert!(!lost.message().is_empty(), "{lost:?}");
        assert!(neighbour.is_open());
        // A new session is as good as the first one.
        let healthy = process::until("there is a new session", || {
            ipc.create_pool(spread::MODULE, "healthy", b"").ok()
        });
        gather(ipc, healthy).call().unwrap();
        assert!(neighbour.is_open());
        runtime.stop();
        assert_eq!(runtime.wait(), Vec::<String>::new());
    });
}
