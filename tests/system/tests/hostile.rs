//! Clients that write arbitrary data to their segments, and send arbitrary messages on the socket.

use chimaera_tests::raw::{seed, Random};
use chimaera_tests::{artefacts, rounds, tally, Daemon, Options, Running, Site, Vitals};
use serde_json::Value;

/// Memory that remains in use between blocks that the allocator cannot return.
const SLACK: u64 = 16 << 20;

fn options() -> Options {
    // Stand-by workers would come and go, with the memory that each worker's allocator retains.
    let config = "workers: {low_latency: {count: 2}, standby: 0}\n";
    let modules = Options::new().kv().mod_name().throws();
    modules.file(artefacts::test_module("nested")).config(config)
}

#[track_caller]
fn start(daemon: &Daemon, args: &[&str]) -> Running {
    let program = match args[0] {
        "neighbour" => env!("CARGO_BIN_EXE_chi-test-mortal"),
        _ => env!("CARGO_BIN_EXE_chi-test-attacker"),
    };
    Running::start(daemon.site().command(program).args(args))
}

/// Starts a neighbour, and waits until it is ready.
#[track_caller]
fn neighbour(daemon: &Daemon) -> Running {
    let mut neighbour = start(daemon, &["neighbour"]);
    assert_eq!(neighbour.line().as_deref(), Some("ready"));
    neighbour
}

/// Stops the neighbour, which must have been served without errors. Returns its rounds.
#[track_caller]
fn ask(neighbour: &mut Running) -> u64 {
    neighbour.close();
    let rounds = neighbour.line().and_then(|line| line.parse().ok());
    assert_eq!(neighbour.end(), 0, "the neighbour found an error");
    rounds.expect("it prints how often it was served")
}

/// The attacker's report.
#[track_caller]
fn report(attacker: &mut Running) -> Value {
    let line = attacker.line().expect("it prints a report");
    println!("{line}");
    assert_eq!(attacker.end(), 0);
    let report: Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    tally("mutations", report["scribbled"].as_u64().unwrap_or(0));
    report
}

/// Creates the pools to attack. The store is small, so that its contents are limited.
fn make_pools(daemon: &Daemon) {
    for (module, name, params) in [
        ("chimaera:kv", "attacked_kv", "max_bytes=1000000"),
        ("example:mod_name", "attacked_mod_name", ""),
        ("test:nested", "attacked_nested", ""),
        ("test:throws_method", "attacked_throws", ""),
    ] {
        let create = ["pool", "create", "--module", module, "--params", params, name];
        daemon.cli(&create).ok();
    }
}

/// Two attackers at a time rewrite their segments while tasks use them. A neighbour must not
/// notice, and none of the attackers' resources may remain afterwards.
#[test]
fn a_client_that_rewrites_its_segment_damages_nobody_else() {
    let site = Site::new();
    let mut command = options().command(&site);
    // Each thread's allocator would retain memory, more with each attack.
    command.envs([("MALLOC_TRIM_THRESHOLD_", "131072"), ("MALLOC_MMAP_THRESHOLD_", "131072")]);
    let mut daemon = Daemon::run(site, command);
    make_pools(&daemon);
    let mut random = Random::new(seed());
    let mut neighbour = neighbour(&daemon);
    let mut attack = |ms: u32| {
        let mut attackers: Vec<Running> = ["4194304", "33554432"]
            .iter()
            .map(|size| {
                let seed = random.next().to_string();
                start(&daemon, &["segment", &seed, &ms.to_string(), size])
            })
            .collect();
        attackers.iter_mut().map(report).collect::<Vec<_>>()
    };
    (0..rounds(1, 20)).for_each(|round| drop(attack(if round == 0 { 3000 } else { 12_000 })));
    let before = Vitals::settled(&daemon, 1);
    for done in (0..rounds(1, 40)).flat_map(|_| attack(12_000)) {
        // The attack was real: valid tasks reach all methods, and odd ones were accepted. How many
        // depends on the load of the machine. A store that earlier attacks have filled accepts no
        // more values, and does not have those that are looked up.
        assert!(done["succeeded"].as_u64().unwrap() >= 7, "{done}");
        assert!(done["submitted"].as_u64().unwrap() >= 100, "{done}");
        assert!(done["scribbled"].as_u64().unwrap() >= 1000, "{done}");
    }
    before.assert_no_more(&daemon, SLACK);
    assert!(ask(&mut neighbour) > 0, "the neighbour was not served");
    assert!(daemon.is_alive());
}
