//! `chimaera call`: methods are called by what modules say of their tasks.

use std::time::{Duration, Instant};

use chimaera::abi::*;
use chimaera_tests::process::{self, Running};
use chimaera_tests::{artefacts, Daemon, Options, Output};
use rustix::process::Signal;
use serde_json::{json, Value};

/// A daemon with a store, `store`.
fn with_store() -> Daemon {
    let daemon = Daemon::start(&Options::new().kv());
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    daemon
}

/// A daemon with the same described module in C++ and in Rust, as pools `cpp` and `rust`.
fn with_both() -> Daemon {
    let both = Options::new()
        .file(artefacts::repo_module("described_parts"))
        .file(artefacts::rust_module("described_shelf"));
    let daemon = Daemon::start(&both);
    for (pool, module) in [("cpp", "described:parts"), ("rust", "described:shelf")] {
        daemon.cli(&["pool", "create", pool, "--module", module]).ok();
    }
    daemon
}

fn call(daemon: &Daemon, args: &[&str]) -> Output {
    daemon.cli(&[&["call"], args].concat())
}

/// Its one line of standard error.
#[track_caller]
fn refused(daemon: &Daemon, args: &[&str], code: i32, part: &str) {
    let output = call(daemon, args);
    assert_eq!(output.code, code, "{output:#?}");
    assert!(output.stderr.contains(part) && output.stdout.is_empty(), "{output:#?}");
}

#[test]
fn what_is_put_is_got() {
    let daemon = with_store();
    assert_eq!(
        call(&daemon, &["store", "kPut", "key=a", "value=x=y"]).ok().stdout,
        "replaced = 0\n"
    );
    assert_eq!(call(&daemon, &["store", "put", "key=a", "value=z"]).ok().stdout, "replaced = 1\n");
    assert_eq!(call(&daemon, &["store", "11", "key=a"]).ok().stdout, "value = z\n");
    let document = call(&daemon, &["store", "get", "key=a", "--json"]).ok().json();
    assert_eq!(document["results"], json!({ "value": "z" }));
    assert_eq!((&document["status"], &document["method"]), (&json!("CHI_OK"), &json!("kGet")));
    assert!(document["took"]["ns"].as_u64().unwrap() > 0, "{document}");
    let output = call(&daemon, &["store", "scan", "--zero", "--json"]).ok().json();
    assert_eq!(output["results"]["keys"], json!(["a"]));
    let output = call(&daemon, &["store", "stats", "--json"]).ok().json();
    assert_eq!(output["results"]["stats"]["max_bytes"], u64::MAX);
}

/// Every type of field, at every depth, in both languages: what the module turns round, it was given.
#[test]
fn every_type_goes_in_and_comes_out() {
    let daemon = with_both();
    let entry = |name: &str, data: Value, weights: Value, kind: u8| {
        json!({ "name": name, "extent": { "start": 7, "blocks": kind, "sparse": kind == 2 },
                "data": data, "weights": weights, "kind": kind })
    };
    let extent =
        |start: u64, sparse: bool| json!({ "start": start, "blocks": 1, "sparse": sparse });
    let entries =
        json!([entry("one", json!("ab"), json!([]), 4), entry("", json!(""), json!([2.5]), 5)]);
    let inputs = [
        "tiny=-128".to_owned(),
        "wide=0.25".to_owned(),
        "flag=false".to_owned(),
        "digest=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,0xff".to_owned(),
        "text=abc".to_owned(),
        "data=xyz".to_owned(),
        format!("extent={}", extent(u64::MAX - 1, true)),
        format!("entry={}", entry("own", json!({ "hex": "ff00" }), json!([0.5]), 1)),
        format!("extents={}", json!([extent(1, false), extent(2, true)])),
        "words=ab".to_owned(),
        "words=c,d".to_owned(),
        format!("blobs={}", json!(["pq", { "hex": "80" }])),
        "rows=[[1, -2], []]".to_owned(),
        format!("entries={entries}"),
        format!("pairs={}", json!([extent(3, false), extent(4, true)])),
    ];
    let changed = |name: &str, data: Value, weights: Value, kind: u8| {
        json!({ "name": format!("{name}!"), "extent": { "start": 7, "blocks": kind + 1, "sparse": kind == 2 },
                "data": data, "weights": weights, "kind": kind + 1 })
    };
    let expected = json!({
        "tiny": -128,
        "wide": 0.5,
        "flag": true,
        "digest": [255, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
        "text": "cba",
        "data": "zyx",
        "extent": extent(u64::MAX, true),
        "entry": changed("own", json!({ "hex": "00ff" }), json!([0.5, 1.0]), 1),
        "extents": [extent(2, true), extent(1, false)],
        "words": ["ba", "d,c"],
        "blobs": ["qp", { "hex": "80" }],
        "rows": [[-2, 1], []],
        "entries": [changed("one", json!("ba"), json!([1.0]), 4), changed("", json!(""), json!([2.5, 1.0]), 5)],
        "pairs": [extent(4, true), extent(3, false)],
    });
    let inputs: Vec<&str> = inputs.iter().map(|input| &input[..]).collect();
    for pool in ["cpp", "rust"] {
        let all = [&[pool, "turn", "--json"], &inputs[..]].concat();
        assert_eq!(call(&daemon, &all).ok().json()["results"], expected, "{pool}");
    }
}

#[test]
fn methods_are_listed_with_their_fields() {
    let daemon = with_both();
    for pool in ["cpp", "rust"] {
        let text = call(&daemon, &[pool]).ok().stdout;
        assert!(text.contains("kSum  Sums up the bytes of every block.\n"), "{text}");
        assert!(
            text.contains("  in   block_size  u32          Bytes of a block, not 0\n"),
            "{text}"
        );
        assert!(text.contains("struct Extent\n"), "{text}");
        let document = call(&daemon, &[pool, "--json"]).ok().json();
        let methods = document["methods"].as_array().unwrap();
        assert_eq!(methods.len(), 7, "{document}");
        assert_eq!(
            methods[0]["fields"][3],
            json!({ "name": "sums", "type": "vector<u64>", "dir": "out", "doc": "A sum for every block" })
        );
    }
}

#[test]
fn what_fails_is_told_with_its_status() {
    let daemon = with_both();
    for pool in ["cpp", "rust"] {
        refused(&daemon, &[pool, "fail", "thrown=false", "why=no reason"], 1, "no reason");
        let output =
            call(&daemon, &[pool, "sum", "data=abc", "block_size=2", "exact=true", "--json"]);
        let document = output.json();
        assert_eq!(output.code, 1, "{document}");
        assert_eq!(
            (&document["status"], &document["code"], &document["message"]),
            (&json!("CHI_INVALID"), &json!(CHI_INVALID), &json!("the last block is not whole"))
        );
    }
}

#[test]
fn wrong_arguments_are_told_with_their_field() {
    let daemon = with_both();
    let cases: [(&[&str], &str); 12] = [
        (&["cpp", "summ"], "no method 'summ': did you mean 'kSum'?"),
        (&["cpp", "sum", "dat=1"], "no field 'dat': did you mean 'data'?"),
        (&["cpp", "sum", "sums=1"], "'sums' is a result of kSum"),
        (&["cpp", "sum", "data=a", "exact=true"], "block_size=u32  Bytes of a block, not 0"),
        (
            &["cpp", "sum", "--zero", "block_size=-1"],
            "field 'block_size' (u32): expected an integer from 0 to 4294967295",
        ),
        (
            &["cpp", "sum", "--zero", "block_size=x"],
            "field 'block_size' (u32): expected an integer",
        ),
        (&["cpp", "sum", "--zero", "exact=maybe"], "field 'exact' (bool): expected true or false"),
        (&["cpp", "sum", "--zero", "exact=1", "exact=0"], "is given more than once"),
        (&["cpp", "turn", "--zero", "digest=1,2"], "field 'digest' (u8[20]): expected 20 of u8"),
        (
            &["cpp", "turn", "--zero", "entry={\"name\":\"a\"}"],
            "field 'entry' (Entry): the field 'extent' is missing",
        ),
        (
            &["cpp", "turn", "--zero", "extents=[{\"begin\":1}]"],
            "field 'extents' (vector<Extent>): element 0: no field 'begin'",
        ),
        (&["cpp", "sum", "--zero", "--out", "data=/x"], "'data' is an input of kSum"),
    ];
    for (args, part) in cases {
        refused(&daemon, args, 2, part);
    }
    refused(&daemon, &["nobody"], 1, "there is no pool 'nobody'");
    refused(&daemon, &["rusty"], 1, "there is no pool 'rusty': did you mean 'rust'?");
    refused(&daemon, &["cpp", "sum", "data"], 2, "write NAME=VALUE");
    refused(
        &daemon,
        &["cpp", "sum", "--query", "everywhere"],
        2,
        "write one of dynamic, local-id:N",
    );
    refused(
        &daemon,
        &["cpp", "sum", "--zero", "--file", "data=/nowhere"],
        1,
        "/nowhere: No such file",
    );
    let output = call(&daemon, &["cpp", "summ", "--json"]);
    assert!(output.json()["error"].as_str().unwrap().contains("kSum"), "{output:#?}");
}

#[test]
fn files_go_in_and_results_to_files() {
    let daemon = with_store();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let [from, to] = ["from", "to"].map(|name| daemon.site().path().join(name));
    std::fs::write(&from, &bytes).unwrap();
    let [from, to] = [from, to].map(|path| format!("value={}", path.display()));
    call(&daemon, &["store", "put", "key=a", "--file", &from]).ok();
    let output = call(&daemon, &["store", "get", "key=a", "--out", &to]).ok();
    assert_eq!(output.stdout, "");
    assert!(std::fs::read(&to["value=".len()..]).unwrap() == bytes);
}

#[test]
fn calls_are_repeated_and_measured() {
    let daemon = with_store();
    let text = call(&daemon, &["store", "count", "--repeat", "100"]).ok().stdout;
    assert!(text.starts_with("count = 0\n100 calls: median "), "{text}");
    let document = call(&daemon, &["store", "count", "--repeat", "100", "--json"]).ok().json();
    assert_eq!(document["took"]["calls"], 100);
    refused(&daemon, &["store", "get", "key=a", "--repeat", "5"], 1, "call 1 of 5: kGet of pool");
}

#[test]
fn times_of_calls_are_true() {
    let daemon = with_both();
    let args = ["cpp", "pause", "seconds=1", "--repeat", "2", "--json"];
    let took = call(&daemon, &args).ok().json()["took"].take();
    for key in ["ns_p50", "ns_p99", "ns_max"] {
        assert!((1_000_000_000..10_000_000_000).contains(&took[key].as_u64().unwrap()), "{took}");
    }
}

/// Also when each call ends before anybody could look.
#[test]
fn repeated_calls_end_at_a_signal() {
    let daemon = with_both();
    let mut command = daemon.site().command(artefacts::chimaera());
    command.args([
        "--name",
        daemon.site().name(),
        "call",
        "cpp",
        "nothing",
        "--repeat",
        "1000000000",
    ]);
    let mut running = Running::start(&mut command);
    process::until("it calls", || (daemon.site().status()["sessions"] == 1).then_some(()));
    running.signal(Signal::INT);
    assert_eq!(running.end(), 1);
}

#[test]
fn a_result_that_cannot_be_written_is_told_before_the_call() {
    let daemon = with_store();
    let put = ["store", "put", "key=a", "value=b", "--out"];
    refused(
        &daemon,
        &[&put[..], &["replaced=/nowhere/x"]].concat(),
        1,
        "--out replaced=/nowhere/x: ",
    );
    let output = call(&daemon, &[&put[..], &["replaced=-", "--json"]].concat());
    assert!(output.code == 2 && output.json()["error"].as_str().unwrap().contains("JSON document"));
    assert_eq!(call(&daemon, &["store", "count"]).ok().stdout, "count = 0\n");
    assert_eq!(call(&daemon, &[&put[..], &["replaced=-"]].concat()).ok().stdout, "0\n");
    // What is in the file to which standard output goes stays there.
    let file = daemon.site().path().join("all");
    std::fs::write(&file, "before ").unwrap();
    let mut command = daemon.site().command(artefacts::chimaera());
    command.args([
        "--name",
        daemon.site().name(),
        "call",
        "store",
        "get",
        "key=a",
        "--out",
        "value=-",
    ]);
    command.stdout(std::fs::File::options().append(true).open(&file).unwrap());
    assert!(command.status().unwrap().success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before b");
    // A file for a result is replaced, and keeps what it has if the call is refused.
    let to = format!("value={}", file.display());
    refused(&daemon, &["store", "get", "--out", &to], 2, "key=string");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before b");
    call(&daemon, &["store", "get", "key=a", "--out", &to]).ok();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "b");
}

#[test]
fn large_inputs_make_the_segment_larger() {
    let daemon = with_both();
    let from = daemon.site().path().join("from");
    std::fs::write(&from, vec![1_u8; 80 << 20]).unwrap();
    let file = format!("data={}", from.display());
    let args = ["cpp", "sum", "block_size=83886080", "exact=true", "--file", &file];
    assert_eq!(call(&daemon, &args).ok().stdout, "sums = [83886080]\n");
}

/// It runs once and again until its time is over; that it was cancelled then is no failure.
#[test]
fn a_periodic_call_ends_with_its_time() {
    let daemon = with_both();
    let begin = Instant::now();
    let args =
        ["cpp", "turn", "--zero", "tiny=1", "text=ab", "--periodic", "0.005", "--timeout", "0.5"];
    let output = call(&daemon, &args).ok();
    assert!(begin.elapsed() >= Duration::from_millis(500));
    assert!(output.stdout.contains("stopped after 0.5 s"), "{output:#?}");
    let wide: i64 = output
        .stdout
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("tiny = ")?.parse().ok())
        .unwrap();
    assert_eq!(wide.abs(), 1);
}

#[test]
fn a_call_ends_at_its_timeout_and_at_a_signal() {
    let daemon = with_both();
    for pool in ["cpp", "rust"] {
        let args = [pool, "pause", "seconds=1000", "--timeout", "0.2"];
        refused(&daemon, &args, 1, "kPause of pool '");
        let output = call(&daemon, &[&args[..], &["--json"]].concat());
        assert_eq!(output.json()["status"], "CHI_DEADLINE", "{output:#?}");
        let mut command = daemon.site().command(artefacts::chimaera());
        command.args(["--name", daemon.site().name(), "call", pool, "pause", "seconds=1000"]);
        let mut running = Running::start(&mut command);
        process::until("the task runs", || {
            let pools = daemon.cli(&["pool", "list", "--json"]).ok().json();
            let one = pools.as_array()?.iter().find(|one| one["name"] == pool)?;
            (one["tasks"] == 1).then_some(())
        });
        running.signal(Signal::INT);
        assert_eq!(running.end(), 1);
    }
}

#[test]
fn a_task_that_is_not_described_is_not_called() {
    let daemon = Daemon::start(&Options::new().file(artefacts::test_module("nested")));
    daemon.cli(&["pool", "create", "nested", "--module", "test:nested"]).ok();
    let text = call(&daemon, &["nested"]).ok().stdout;
    assert!(text.contains("kHold\n  (its fields are not described)\n"), "{text}");
    refused(
        &daemon,
        &["nested", "hold"],
        1,
        "test:nested does not say which fields the task of kHold has",
    );
}

/// A module's description must fit what its tasks are.
#[test]
fn a_description_that_does_not_fit_is_refused() {
    let daemon = Daemon::start(&Options::new().file(artefacts::test_module("lies")));
    let modules = daemon.cli(&["modules", "--json"]).ok().json();
    let reason = modules["refused"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains(
            "the strings and vectors in the task of kWrite are not where it describes them"
        ),
        "{reason}"
    );
}

/// The words that bash offers, by the script that the program prints for it.
fn offered(daemon: &Daemon, words: &[&str]) -> Vec<String> {
    let program = artefacts::chimaera();
    let script = format!(
        "PATH={}:$PATH; source <(chimaera completion bash)
        COMP_WORDS=(chimaera {}) COMP_CWORD={} COMP_TYPE=9
        _clap_complete_chimaera chimaera \"${{COMP_WORDS[COMP_CWORD]}}\"
        printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        program.parent().unwrap().display(),
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len()
    );
    let mut bash = daemon.site().command("bash");
    let output = process::run(bash.env("CHI_INSTANCE", daemon.site().name()).args(["-c", &script]));
    output.ok().stdout.lines().filter(|word| !word.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn a_shell_completes_pools_methods_and_fields() {
    let daemon = with_both();
    assert_eq!(offered(&daemon, &["call", ""]), ["admin", "cpp", "rust"]);
    assert_eq!(offered(&daemon, &["pool", "show", "c"]), ["cpp"]);
    assert_eq!(offered(&daemon, &["call", "cpp", "kS"]), ["kSum", "kSettings"]);
    assert_eq!(offered(&daemon, &["call", "rust", "se"]), ["settings"]);
    assert_eq!(offered(&daemon, &["call", "rust", "sum", ""]), ["data=", "block_size=", "exact="]);
    assert_eq!(offered(&daemon, &["call", "cpp", "kSum", "data=1", "e"]), ["exact="]);
    assert_eq!(offered(&daemon, &["call", "cpp", "sum", "--out", ""]), ["sums="]);
    let modules = offered(&daemon, &["pool", "create", "x", "--module", ""]);
    assert_eq!(modules, ["described:parts", "described:shelf"]);
    assert!(offered(&daemon, &["call", "nobody", ""]).is_empty());
    // An instance that does not run offers nothing, and says nothing.
    assert!(offered(&daemon, &["--name", "nobody", "call", ""]).is_empty());
}

/// A pool shows the parameters that it was created with, whoever has written them in which form.
#[test]
fn parameters_are_shown_by_name() {
    let daemon = with_both();
    let defaults = json!({
        "factor": i64::MIN, "share": 0.25, "exact": true, "label": "the \"label\"", "note": "",
        "limit": u64::MAX, "beside": "",
    });
    let shown =
        |pool: &str| daemon.cli(&["pool", "show", pool, "--json"]).ok().json()["params"].clone();
    for (pool, module) in [("cpp", "described:parts"), ("rust", "described:shelf")] {
        assert_eq!(shown(pool), defaults, "{module}");
        let given = format!("factor=-7,label=\"a, b\",exact=false,beside={pool}");
        let own = format!("own_{pool}");
        daemon.cli(&["pool", "create", &own, "--module", module, "--params", &given]).ok();
        let mut wanted = defaults.clone();
        wanted["factor"] = json!(-7);
        wanted["label"] = json!("a, b");
        wanted["exact"] = json!(false);
        wanted["beside"] = json!(pool);
        assert_eq!(shown(&own), wanted, "{module}");
        let text = daemon.cli(&["pool", "show", &own]).ok().stdout;
        assert!(
            text.contains("\nparameters: factor=-7, share=0.25, exact=false, label=\"a, b\""),
            "{text}"
        );
    }
    assert_eq!(shown("admin"), Value::Null);
}

/// Of a module in Rust, the struct of its parameters says what they are, whoever wrote it.
#[test]
fn parameters_that_are_written_by_hand_are_shown_by_name() {
    let daemon = Daemon::start(&Options::new().kv().bdev());
    let shown = |pool: &str, module: &str, given: &str| {
        let mut create = vec!["pool", "create", pool, "--module", module];
        create.extend(["--params", given].iter().filter(|_| !given.is_empty()));
        daemon.cli(&create).ok();
        daemon.cli(&["pool", "show", pool, "--json"]).ok().json()["params"].clone()
    };
    let mut of_store = json!({
        "max_bytes": null, "device": "", "compressor": "", "path": "", "sync": "always",
    });
    assert_eq!(shown("a store", "chimaera:kv", ""), of_store);
    let path = daemon.site().path().join("store");
    let path = path.to_str().unwrap();
    of_store["max_bytes"] = json!(4096);
    of_store["path"] = json!(path);
    of_store["sync"] = json!("flush");
    let given = format!("sync=flush,max_bytes=4096,path=\"{path}\"");
    assert_eq!(shown("a durable store", "chimaera:kv", &given), of_store);

    let of_device = shown("a device", "chimaera:bdev", "blocks=64,reclaim=true");
    assert_eq!(of_device["blocks"], 64, "{of_device}");
    assert_eq!(of_device["block_size"], 4096, "{of_device}");
    assert_eq!((&of_device["io"], &of_device["reclaim"]), (&json!("auto"), &json!(true)));
    assert_eq!(of_device.as_object().unwrap().len(), 12, "{of_device}");

    let text = daemon.cli(&["pool", "show", "a store"]).ok().stdout;
    assert!(text.contains("\nparameters: max_bytes=null, device=\"\","), "{text}");
}
