//! A module host that speaks wrongly, or not at all, or writes anything into the memory that it shares with
//! the runtime: the runtime serves on, and says truly what has become of the pool.

use std::time::Duration;

use chimaera::abi::CHI_OK;
use chimaera::{DomainQuery, Ipc, NewTask, PoolId, Task};
use chimaera_runtime::{Config, HostLimits, Runtime};
use chimaera_test_spread_client as spread;
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::{artefacts, connect, in_client, process, rounds, Options};

/// What it does; see the program.
const WAYS: [&str; 12] = [
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

#[test]
fn the_runtime_serves_on() {
    in_client!(Options::new(), |site| {
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
        let instance = runtime.instance().name().to_owned();
        std::env::set_var("CHI_INSTANCE", &instance);
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
                        let tasks: Vec<_> =
                            (0..50).filter_map(|_| gather(ipc, pool).submit().ok()).collect();
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
