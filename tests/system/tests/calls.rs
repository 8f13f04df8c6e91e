//! Every pair of client and module languages, with real programs on both sides.

use std::path::PathBuf;

use chimaera::abi::CHI_INVALID;
use chimaera::DomainQuery;
use chimaera_kv_client as kv;
use chimaera_test_rust_faults_client as faults;
use chimaera_tests::{
    artefacts, bytes, connect, in_client, process, Call, Daemon, Options, Output,
};
use example_mod_name_client::Client as Compressor;
use serde_json::{json, Value};

/// Runs commands in one process; each of their lines must report success.
#[track_caller]
fn all_ok(output: Output) -> Vec<Value> {
    let lines = output.ok().lines();
    for line in &lines {
        assert_eq!(line["status"], 0, "{line}");
    }
    lines
}

fn c() -> PathBuf {
    artefacts::program("c_client")
}

fn cpp() -> PathBuf {
    artefacts::program("cpp_client")
}

fn rust() -> PathBuf {
    artefacts::rust_client()
}

/// Bytes of all sizes pass through the C++ compressor unchanged.
#[track_caller]
fn round_trips(client: PathBuf) {
    let daemon = Daemon::start(&Options::new().mod_name());
    for size in ["0", "1", "4096", "1000003", "16777216"] {
        let line = all_ok(daemon.site().run(&client, &["roundtrip", size])).remove(0);
        assert_eq!(
            (&line["bytes"], &line["equal"]),
            (&json!(size.parse::<u64>().unwrap()), &json!(1))
        );
        if size == "16777216" {
            assert!(line["compressed"].as_u64().unwrap() < 16777216, "{line}");
        }
    }
}

#[test]
fn c_calls_cpp() {
    round_trips(c());
}

#[test]
fn cpp_calls_cpp() {
    round_trips(cpp());
}

#[test]
fn rust_calls_cpp() {
    round_trips(rust());
}

/// The bridge to the C++ client shares the program's session, and passes errors on.
#[test]
fn rust_calls_cpp_through_the_client_in_cpp() {
    in_client!(Options::new().mod_name(), |_| {
        connect();
        let compressor = Compressor::create("bridged").unwrap();
        for size in [0, 1, 100_000, 16 << 20] {
            let data = bytes(size);
            let frame = compressor.compress(&data, 1).unwrap();
            assert!(compressor.decompress(&frame, size as u64).unwrap() == data, "{size} bytes");
        }
        let corrupt = compressor.decompress(b"no frame", 100).unwrap_err();
        assert_eq!(corrupt.code(), CHI_INVALID, "{corrupt}");
        assert!(corrupt.message().contains("zstd"), "{corrupt}");
        assert_eq!(compressor.compress(b"x", 1000).unwrap_err().code(), CHI_INVALID);

        let nowhere = compressor.with_query(DomainQuery::local_id(7));
        let nobody = [nowhere.compress(b"x", 1), nowhere.decompress(b"x", 1)];
        for refused in nobody.map(Result::unwrap_err) {
            assert_eq!(refused.code(), CHI_INVALID, "{refused}");
            assert!(refused.message().contains("container 7"), "{refused}");
        }
    });
}

/// Every method of the Rust store, in one session.
#[track_caller]
fn store(client: PathBuf) {
    let daemon = Daemon::start(&Options::new().kv());
    let script = "put b/1 one -- put b/1 uno -- put b/2 two -- put a/1 Ünïcode -- count -- get b/1 -- \
                  get a/1 -- scan b/ -- scan b/ 1 -- scan none/ -- delete b/1 -- delete b/1 -- count";
    let script: Vec<&str> = script.split(' ').collect();
    let lines = all_ok(daemon.site().run(&client, &script));
    let expected = [
        ("replaced", json!(0)),
        ("replaced", json!(1)),
        ("replaced", json!(0)),
        ("replaced", json!(0)),
        ("count", json!(3)),
        ("value", json!("uno")),
        ("value", json!("Ünïcode")),
        ("keys", json!(["b/1", "b/2"])),
        ("keys", json!(["b/1"])),
        ("keys", json!([])),
        ("existed", json!(1)),
        ("existed", json!(0)),
        ("count", json!(2)),
    ];
    assert_eq!(lines.len(), expected.len());
    for (line, (key, value)) in lines.iter().zip(&expected) {
        assert_eq!(&line[key], value, "{line}");
    }
    let line = daemon.site().run(&client, &["get", "b/1"]).ok().lines().remove(0);
    assert_eq!(line["name"], "CHI_NOT_FOUND", "{line}");
    assert_eq!(line["message"], "key \"b/1\" does not exist", "{line}");
}

#[test]
fn c_calls_rust() {
    store(c());
}

#[test]
fn cpp_calls_rust() {
    store(cpp());
}

#[test]
fn rust_calls_rust() {
    store(rust());
}

/// Values that a client of one language puts can be read from the other languages, up to 16 MiB.
#[test]
fn values_of_16_mib_are_the_same_in_every_language() {
    let daemon = Daemon::start(&Options::new().kv());
    let clients = [("c", c()), ("cpp", cpp()), ("rust", rust())];
    for (key, client) in &clients {
        for size in ["0", "65537", "16777216"] {
            all_ok(daemon.site().run(client, &["fill", key, size]));
            for (reader, client) in &clients {
                let line = all_ok(daemon.site().run(client, &["check", key, size])).remove(0);
                assert_eq!(line["equal"], 1, "{size} bytes, {key} to {reader}");
            }
        }
    }
}

/// Many values of 16 MiB through one session: deleting one makes room.
#[test]
fn large_values_do_not_pile_up_in_the_segment() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let kv = kv::Client::create("large", kv::Params::default()).unwrap();
        let value = bytes(16 << 20);
        for round in 0..40 {
            kv.put("key", &value).unwrap_or_else(|status| panic!("put {round}: {status}"));
            let got = kv.get("key").unwrap_or_else(|status| panic!("get {round}: {status}"));
            assert!(got == value, "round {round}");
        }
    });
}

#[test]
fn strings_and_vectors_at_every_depth_go_both_ways() {
    let daemon = Daemon::start(&Options::new().file(artefacts::test_module("nested")));
    let line = all_ok(daemon.site().run(cpp(), &["nested"])).remove(0);
    assert_eq!(line["rows"], json!(["two", "b", "a", "one", "b", "a"]), "{line}");
    assert_eq!((&line["text"], &line["number"]), (&json!("part!"), &json!(6)), "{line}");
    assert_eq!(line["plain"], "second", "{line}");
}

#[test]
fn a_cpp_module_calls_another_one_several_times_at_once() {
    let daemon = Daemon::start(&Options::new().mod_name().file(artefacts::test_module("caller")));
    for (size, width) in [("100000", "1"), ("0", "3"), ("100000", "64")] {
        let line = all_ok(daemon.site().run(cpp(), &["call", size, width])).remove(0);
        assert_eq!(line["equal"], json!(width.parse::<u64>().unwrap()), "{line}");
    }
}

#[test]
fn a_rust_module_calls_another_one() {
    in_client!(Options::new().kv().rust_faults(), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "calls", b"").unwrap();
        let value = bytes(3 << 20);
        let task = ipc.task::<faults::SubcallTask>(pool, faults::Method::SUBCALL);
        task.pool_name.set("inner").unwrap();
        task.key.set("key").unwrap();
        task.value.set(&value).unwrap();
        assert!(task.call().unwrap().found.copy_to_vec().unwrap() == value);
        // All clients see the same pool.
        let kv = kv::Client::find("inner").unwrap();
        assert!(kv.get("key").unwrap() == value);
        assert_eq!(kv.count().unwrap(), 1);
    });
}

/// With one worker, a module that waits for another must not keep it from running.
#[test]
fn calls_between_modules_need_only_one_worker() {
    let options = Options::new().workers(1).kv().mod_name().rust_faults();
    let daemon = Daemon::start(&options.file(artefacts::test_module("caller")));
    let line = all_ok(daemon.site().run(cpp(), &["call", "50000", "16"])).remove(0);
    assert_eq!(line["equal"], 16, "{line}");
}

/// Clients of all languages at once, each with its own session.
#[test]
fn clients_of_all_languages_work_side_by_side() {
    let daemon = Daemon::start(&Options::new().kv().mod_name());
    let site = daemon.site();
    std::thread::scope(|scope| {
        for (key, client) in [("c", c()), ("cpp", cpp()), ("rust", rust())] {
            scope.spawn(move || {
                for round in 0..5 {
                    let size = (round * 300_000 + 1).to_string();
                    let script =
                        ["roundtrip", &size, "--", "fill", key, &size, "--", "check", key, &size];
                    let lines = all_ok(process::run(site.command(&client).args(script)));
                    assert_eq!((&lines[0]["equal"], &lines[2]["equal"]), (&json!(1), &json!(1)));
                }
            });
        }
    });
    let status = daemon.cli(&["status", "--json"]).ok().json();
    assert_eq!(status["tasks_failed"], 0, "{status}");
}
