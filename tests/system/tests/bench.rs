//! `chimaera bench`: each measurement runs and reports results. How fast it was is not tested.

use chimaera_tests::{artefacts, Output, Site};
use serde_json::{json, Value};

fn bench_at(site: &Site, args: &[&str]) -> Output {
    let modules = site.path().join("modules");
    if !modules.exists() {
        let rust = ["chimaera_empty", "chimaera_bench", "chimaera_bdev", "chimaera_kv"];
        let [empty, bench, bdev, kv] = rust.map(artefacts::rust_module);
        let cpp = artefacts::cpp_module("example_empty");
        site.directory_of("modules", &[empty, bench, bdev, kv, cpp]);
    }
    let directory = modules.to_str().unwrap();
    site.cli(&[&["bench"], args, &["--modules", directory]].concat())
}

/// Runs a measurement. Returns its JSON document, and checks that there is text output, too.
fn bench(args: &[&str]) -> Value {
    let site = Site::new();
    let text = bench_at(&site, args).ok().stdout;
    assert!(text.lines().count() > 3, "{text}");
    bench_at(&site, &[args, &["--json"]].concat()).ok().json()
}

/// The quantiles with these keys are in order and not zero.
fn check_times(document: &Value, keys: &[&str]) {
    for key in keys {
        let at = |quantile: &str| document[*key][quantile].as_u64().unwrap();
        assert!(at("p50") > 0 || *key == "fiber_ns", "{key} in {document:#}");
        assert!(at("p50") <= at("p99") && at("p99") <= at("p999"), "{key} in {document:#}");
    }
}

fn is_positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number > 0.0 && number.is_finite())
}

#[test]
fn latency() {
    let found = bench(&["latency", "--rounds", "2", "--count", "30"]);
    check_times(&found, &["line_ns", "ring_ns", "task_cpp_ns", "task_rust_ns"]);
    assert_eq!(found["samples"], 60);
    assert!(is_positive(&found["task_cpp_per_ring"]) && is_positive(&found["task_rust_per_line"]));
}

/// An installation has no modules of the sample repo.
#[test]
fn without_the_sample_in_cpp() {
    let site = Site::new();
    let rust = ["chimaera_empty", "chimaera_bench"].map(artefacts::rust_module);
    site.directory_of("modules", &rust);
    for (kind, there, absent) in [
        ("latency", "task_rust_ns", "task_cpp_ns"),
        ("subtask", "subtask_rust_ns", "subtask_cpp_ns"),
    ] {
        let output = bench_at(&site, &[kind, "--rounds", "2", "--count", "20", "--json"]).ok();
        check_times(&output.json(), &[there]);
        assert!(output.json()[absent].is_null(), "{output:#?}");
        let note = "there is no module example:empty, so tasks in C++ are not measured";
        assert!(output.stderr.contains(note), "{output:#?}");
    }
}

#[test]
fn a_missing_module_is_named() {
    let site = Site::new();
    site.directory_of("modules", &[artefacts::rust_module("chimaera_empty")]);
    let output = bench_at(&site, &["lanes"]);
    assert_eq!(output.code, 1, "{output:#?}");
    let why = "this measurement needs the module chimaera:bench: name its directory with --modules";
    assert!(
        output.stderr.contains(why) && !output.stderr.contains("chimaera:empty"),
        "{output:#?}"
    );
    let output = bench_at(&site, &["bdev"]);
    assert!(output.stderr.contains("needs the module chimaera:bdev"), "{output:#?}");
    for kind in ["latency", "throughput", "scale", "bdev"] {
        let output = site.cli(&["bench", kind, "--modules", "/no/such/dir"]);
        assert_eq!(output.code, 2, "{output:#?}");
        assert!(output.stderr.contains("there is no directory /no/such/dir"), "{output:#?}");
    }
}

#[test]
fn throughput() {
    let few = ["--depth", "1", "--depth", "8", "--clients", "2", "--seconds", "0.05"];
    let found = bench(&[&["throughput"], &few[..]].concat());
    let rows = found.as_array().unwrap();
    let shapes: Vec<_> = rows.iter().map(|row| (&row["clients"], &row["depth"])).collect();
    assert_eq!(shapes, [(&json!(2), &json!(1)), (&json!(2), &json!(8))]);
    assert!(rows.iter().all(|row| is_positive(&row["tasks_per_s"])), "{found:#}");
}

#[test]
fn subtask() {
    let found = bench(&["subtask", "--rounds", "2", "--count", "20"]);
    check_times(&found, &["fiber_ns", "task_rust_ns", "subtask_cpp_ns", "subtask_rust_ns"]);
    assert_eq!(found["samples"], 40);
    assert!(is_positive(&found["subtask_cpp_per_task"]), "{found:#}");
    assert!(is_positive(&found["subtask_rust_per_fiber"]), "{found:#}");
}

#[test]
fn lanes() {
    let few = ["--containers", "20", "--lanes", "5", "--rounds", "2", "--count", "1000"];
    let found = bench(&[&["lanes"], &few[..]].concat());
    check_times(&found, &["without_ns", "with_ns", "without_64_ns", "with_64_ns"]);
    assert_eq!((&found["containers"], &found["lanes"]), (&json!(20), &json!(100)));
    assert_eq!(found["samples"], 2000);
    assert!(is_positive(&found["with_per_without"]), "{found:#}");
    assert!(is_positive(&found["with_64_per_without_64"]), "{found:#}");
}

#[test]
fn hosts() {
    let found = bench(&["hosts", "--rounds", "2", "--count", "1000"]);
    check_times(&found, &["ring_ns", "here_ns", "there_ns", "here_64_ns", "there_64_ns"]);
    check_times(&found, &["relay_ns", "relay_64_ns"]);
    let ratios = ["there_per_relay", "there_64_per_relay_64"];
    assert!(ratios.iter().all(|ratio| is_positive(&found[*ratio])), "{found:#}");
    assert_eq!(found["samples"], 2000);
    assert!(found["price_in_rings"].is_number() && found["price_64_in_rings"].is_number());
}

#[test]
fn remote() {
    let sizes = ["--size", "4KiB", "--size", "1MiB"];
    let found = bench(&[&["remote", "--rounds", "1", "--count", "1000"], &sizes[..]].concat());
    check_times(&found, &["relay_ns", "here_ns", "there_ns", "here_64_ns", "there_64_ns"]);
    let ratios = ["there_p50_per_relay", "there_p99_per_relay", "there_64_per_here_64"];
    assert!(ratios.iter().all(|ratio| is_positive(&found[*ratio])), "{found:#}");
    let values = found["values"].as_array().unwrap();
    let bytes: Vec<_> = values.iter().map(|value| &value["bytes"]).collect();
    assert_eq!(bytes, [&json!(4 << 10), &json!(1 << 20)]);
    for way in values.iter().flat_map(|value| [&value["put"], &value["get"]]) {
        let rates = ["mb_per_s", "tcp_mb_per_s", "per_tcp"];
        assert!(rates.iter().all(|rate| is_positive(&way[*rate])), "{found:#}");
    }
    assert_eq!(found["samples"], 1000);
}

#[test]
fn sessions() {
    let few = ["--sessions", "20", "--rings", "3", "--rounds", "2", "--seconds", "0.02"];
    let found = bench(&[&["sessions"], &few[..]].concat());
    check_times(&found, &["without_ns", "with_ns", "woken_without_ns", "woken_with_ns"]);
    assert_eq!((&found["sessions"], &found["rings"]), (&20.into(), &3.into()));
    let ratios = ["with_per_without", "woken_with_per_woken_without"];
    assert!(ratios.iter().all(|ratio| is_positive(&found[*ratio])), "{found:#}");
}

#[test]
fn scale() {
    let few = ["--task-us", "20", "--lanes", "3", "--depth", "2", "--rounds", "2"];
    let found = bench(&[&["scale", "--seconds", "0.05"], &few[..]].concat());
    for kind in ["threads", "workers", "workers_if_free"] {
        for key in ["one_tasks_per_s", "two_tasks_per_s", "speedup"] {
            assert!(is_positive(&found[kind][key]), "{kind}.{key} in {found:#}");
        }
    }
    assert_eq!(found["cores"].as_array().unwrap().len(), 2);
}

#[test]
fn fairness() {
    let few = ["--clients", "2", "--flood", "32", "--rounds", "1", "--seconds", "0.05"];
    let found = bench(&[&["fairness"], &few[..]].concat());
    check_times(&found, &["alone_ns", "flooded_ns"]);
    assert!(is_positive(&found["p99_ratio"]) && is_positive(&found["worst_p99_ratio"]));
    assert!(is_positive(&found["flood_tasks_per_s"]), "{found:#}");
}

#[test]
fn bdev() {
    let few = ["bdev", "--rounds", "2", "--seconds", "0.02", "--size", "4MiB"];
    let found = bench(&[&few[..], &["--block-size", "64KiB", "--depth", "3"]].concat());
    assert_eq!((&found["backend"], &found["block_size"]), (&json!("ram"), &json!(65536)));
    for operation in ["read", "write"] {
        let found = &found[operation];
        check_times(found, &["latency_ns"]);
        for key in ["per_s", "mib_per_s", "memcpy_mib_per_s", "per_memcpy"] {
            assert!(is_positive(&found[key]), "{key} in {found:#}");
        }
    }

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for engine in ["uring", "posix"] {
        let only = ["--path", path, "--engine", engine, "--random", "--operation", "write"];
        let found = bench(&[&few[..], &only].concat());
        assert_eq!((&found["backend"], &found["random"]), (&json!(engine), &json!(true)));
        check_times(&found["write"], &["latency_ns"]);
        assert!(is_positive(&found["write"]["mib_per_s"]) && found["read"].is_null(), "{found:#}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "its files are removed");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let site = Site::new();
    let refused = |args: &[&str], reason: &str| {
        let found = bench_at(&site, args);
        assert_eq!(found.code, 1, "{args:?}: {found:?}");
        assert!(found.stderr.contains(reason), "{args:?}: {found:?}");
    };
    refused(&["scale", "--cores", "1000", "1001"], "this process may not use core 1000");
    refused(&["fairness", "--core", "1000"], "this process may not use core 1000");
    refused(&["subtask", "--cores", "1000", "1001"], "this process may not use core 1000");
    refused(&["bdev", "--block-size", "1000B"], "an access of 1000B is not possible");
    refused(
        &["bdev", "--block-size", "1MiB", "--size", "4KiB"],
        "a device of 4KiB is smaller than one access of 1MiB",
    );
    refused(&["bdev", "--path", "/missing/file"], "cannot open /missing/file: ");
    let site = Site::new();
    let nothing = site.cli(&["bench", "subtask", "--rounds", "1", "--count", "1"]);
    assert_eq!(nothing.code, 1);
    assert!(nothing.stderr.contains("chimaera:empty"), "{nothing:?}");
}
