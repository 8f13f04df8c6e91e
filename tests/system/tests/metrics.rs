//! What is counted and measured of tasks, against loads whose numbers are known.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use chimaera::{submit_all, Pending, Task};
use chimaera_tests::process::until;
use chimaera_tests::tasks::model;
use chimaera_tests::{artefacts, connect, in_client, Cluster, Daemon, Options, Site, ValuePool};
use serde_json::{json, Value};

const MS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000_000_000;

fn metrics(site: &Site) -> Value {
    site.cli(&["metrics", "--json"]).ok().json()
}

fn by_name<'a>(all: &'a Value, name: &str) -> &'a Value {
    all.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

fn method(site: &Site, pool: &str, method: &str) -> Value {
    by_name(&by_name(&metrics(site)["pools"], pool)["methods"], method).clone()
}

/// The bounds of the shortest and the longest time of a stage, in nanoseconds.
fn range(method: &Value, stage: &str) -> (u64, u64) {
    let buckets = method["latency"][stage]["buckets"].as_array().unwrap();
    let bound = |bucket: Option<&Value>, at: usize| bucket.unwrap()[at].as_u64().unwrap();
    (bound(buckets.first(), 0), bound(buckets.last(), 1))
}

fn count(method: &Value, stage: &str) -> u64 {
    method["latency"][stage]["count"].as_u64().unwrap()
}

/// What is counted of this process's session.
fn own_session(metrics: &Value) -> Option<&Value> {
    let pid = std::process::id();
    metrics["sessions"].as_array().unwrap().iter().find(|session| session["pid"] == pid)
}

/// Two pools of one module are counted apart, and each status by itself; a client's session has the sum.
#[test]
fn what_is_called_is_counted() {
    in_client!(Options::new().model().workers(2), |site| {
        let ipc = connect();
        let [one, two] = ["one", "two"].map(|name| ValuePool::new(ipc, model::MODULE, name));
        (0..1000).for_each(|_| _ = one.call(model::TICKS, 0, 0));
        (0..30).for_each(|_| _ = two.call(model::TICKS, 0, 0));
        for _ in 0..7 {
            one.submit(model::FAIL, 0).wait().unwrap_err();
        }
        for deadline in [true, false, false] {
            let task = two.task(model::SLEEP, HOUR, 0);
            if deadline {
                task.base().set_deadline(Duration::from_millis(20));
            }
            let task = task.submit().unwrap();
            if !deadline {
                task.cancel().unwrap();
            }
            task.wait().unwrap_err();
        }
        two.submit(9999, 0).wait().unwrap_err();
        // With both creations of a pool, and the method that does not exist. A client is told before its task is counted.
        let expected = [1000 + 30 + 7 + 3 + 1 + 2, 7 + 3 + 1, 0];
        let found = until("all is counted", || {
            let found = metrics(site);
            let own = own_session(&found)?;
            let counts = ["calls", "failed", "in_flight"].map(|key| own[key].as_u64().unwrap());
            (counts == expected).then_some(found)
        });
        let of = |pool: &str, method: &str| {
            let method = by_name(&by_name(&found["pools"], pool)["methods"], method);
            [&method["calls"], &method["failed"], &method["statuses"]].map(Value::clone)
        };
        assert_eq!(of("one", "kTicks"), [json!(1000), json!(0), json!({})]);
        assert_eq!(of("two", "kTicks"), [json!(30), json!(0), json!({})]);
        assert_eq!(of("one", "kFail"), [json!(7), json!(7), json!({ "CHI_FAILED": 7 })]);
        let statuses = json!({ "CHI_CANCELLED": 2, "CHI_DEADLINE": 1 });
        assert_eq!(of("two", "kSleep"), [json!(3), json!(3), statuses]);
        assert_eq!(of("two", "kFail"), [json!(null), json!(null), json!(null)]);
        let workers = found["workers"].as_array().unwrap().iter();
        let calls: u64 = workers.map(|worker| worker["calls"].as_u64().unwrap()).sum();
        assert_eq!(calls, expected[0]);
        // What the person sees.
        let shown = site.cli(&["pool", "show", "one"]).ok().stdout;
        assert!(shown.contains("failures of kFail: CHI_FAILED 7\n"), "{shown}");
        let row = shown.lines().find(|line| line.starts_with("kTicks")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[..6], ["kTicks", "1000", "0", "0", "0", "0"]);
    });
}

/// However few of them are measured, the histograms are about all of them.
#[test]
fn a_measured_task_stands_for_those_before_it() {
    in_client!(Options::new().model().workers(1), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "one");
        let calls = 20_000;
        (0..calls).for_each(|_| _ = pool.call(model::TICKS, 0, 0));
        let found = method(site, "one", "kTicks");
        assert_eq!(found["calls"], calls);
        for stage in ["ring", "lane", "running", "total"] {
            let counted = count(&found, stage);
            assert!(counted <= calls && counted > calls - 200, "{stage}: {counted} of {calls}");
        }
        assert_eq!(count(&found, "suspended"), 0);
        // A method that is rarely called is measured each time.
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(20));
            pool.call(model::YIELD, 0, 0);
        }
        let found = method(site, "one", "kYield");
        assert_eq!([count(&found, "total"), count(&found, "ring")], [20, 20], "{found}");
    });
}

#[test]
fn times_are_told_apart_by_stage() {
    in_client!(
        Options::new().model().config("workers: {low_latency: {count: 1}, standby: 0}\n"),
        |site| {
            let pool = ValuePool::new(connect(), model::MODULE, "one");
            // A bucket begins up to 6 % before what is in it.
            let least = |ms: u64| ms * MS * 93 / 100;
            (0..10).for_each(|_| _ = pool.call(model::SLEEP, 20 * MS, 0));
            let sleep = method(site, "one", "kSleep");
            assert!(
                range(&sleep, "suspended").0 >= least(20) && range(&sleep, "total").0 >= least(20)
            );
            assert!(range(&sleep, "running").0 < 10 * MS, "{sleep}");
            assert_eq!(count(&sleep, "suspended"), 10);
            (0..10).for_each(|_| _ = pool.call(model::COMPUTE, 10 * MS, 1));
            let compute = method(site, "one", "kCompute");
            assert!(
                range(&compute, "running").0 >= least(10)
                    && range(&compute, "total").0 >= least(10)
            );
            assert_eq!((count(&compute, "suspended"), count(&compute, "running")), (0, 10));
            // They wait for each other in their lane.
            let tasks = (0..4).map(|_| pool.task(model::COMPUTE, 10 * MS, 1)).collect();
            submit_all(tasks).unwrap().into_iter().for_each(|task| drop(task.wait().unwrap()));
            let compute = method(site, "one", "kCompute");
            assert!(range(&compute, "lane").1 >= 20 * MS, "{compute}");
            // And many tasks for the only worker, in the ring.
            let long = pool.submit(model::COMPUTE, 100 * MS);
            until("it runs", || {
                let found = method(site, "one", "kCompute");
                (found["running"] == 1).then_some(())
            });
            let tasks = (0..300).map(|_| pool.task(model::TICKS, 0, 0)).collect();
            let tasks: Vec<Pending<_>> = submit_all(tasks).unwrap();
            long.wait().unwrap();
            tasks.into_iter().for_each(|task| drop(task.wait().unwrap()));
            let ticks = method(site, "one", "kTicks");
            assert!(
                range(&ticks, "ring").1 >= 20 * MS && range(&ticks, "total").1 >= 20 * MS,
                "{ticks}"
            );
            assert!(range(&ticks, "running").1 < 20 * MS, "{ticks}");
        }
    );
}

#[test]
fn tasks_that_have_not_ended_are_shown_as_what_they_do() {
    in_client!(Options::new().model().workers(2), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "one");
        let sleeping: Vec<_> = (0..5).map(|_| pool.submit(model::SLEEP, HOUR)).collect();
        // One runs, and three wait in its lane.
        let busy: Vec<_> =
            (0..4).map(|_| pool.task(model::COMPUTE, 700 * MS, 1).submit().unwrap()).collect();
        let state = |name: &str| {
            let found = method(site, "one", name);
            ["queued", "running", "suspended"].map(|key| found[key].as_u64().unwrap_or_default())
        };
        until("they are where they belong", || {
            (state("kSleep") == [0, 0, 5] && state("kCompute") == [3, 1, 0]).then_some(())
        });
        // Those that are taken out of the lane are no longer in it, and have only waited there.
        std::thread::sleep(Duration::from_millis(100));
        busy[2..].iter().for_each(|task| task.cancel().unwrap());
        let compute = until("they have ended", || {
            let found = method(site, "one", "kCompute");
            (found["failed"] == 2).then_some(found)
        });
        if compute["calls"] == 2 {
            assert!(range(&compute, "lane").0 > 50 * MS && range(&compute, "running").1 < 50 * MS);
        }
        sleeping.iter().for_each(|task| task.cancel().unwrap());
        sleeping.into_iter().for_each(|task| drop(task.wait()));
        busy.into_iter().for_each(|task| drop(task.wait()));
        assert_eq!((state("kSleep"), state("kCompute")), ([0; 3], [0; 3]));
        let tree = pool.submit(model::TREE, 3);
        drop(tree.wait());
        // A task whose coroutine was lost has ended, too.
        pool.submit(model::OVERFLOW, 0).wait().unwrap_err();
        let found = method(site, "one", "kOverflow");
        assert_eq!(found["statuses"], json!({ "CHI_FAULT": 1 }));
        assert_eq!(state("kOverflow"), [0; 3]);
    });
}

/// What methods send is counted as what clients send, without bytes: they do not leave the process.
#[test]
fn subtasks_are_counted() {
    in_client!(Options::new().model().workers(2), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "one");
        pool.call(model::TREE, 3, 4);
        let found = method(site, "one", "kTree");
        assert_eq!(found["calls"], 1 + 4 + 16 + 64, "{found}");
        assert_eq!([&found["queued"], &found["running"], &found["suspended"]], [&json!(0); 3]);
        let task = [8 + 8 + 8 + 8, 32];
        assert_eq!([&found["bytes_in"], &found["bytes_out"]].map(Value::as_u64), task.map(Some));
    });
}

#[test]
fn bytes_are_counted_on_the_side_that_fills_them_in() {
    let daemon = Daemon::start(&Options::new().kv());
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    let value = "v".repeat(5000);
    for _ in 0..10 {
        daemon.cli(&["call", "store", "put", "key=abc", &format!("value={value}")]).ok();
    }
    daemon.cli(&["call", "store", "get", "key=abc"]).ok();
    let (put, get) =
        (method(daemon.site(), "store", "kPut"), method(daemon.site(), "store", "kGet"));
    let bytes = |found: &Value| ["bytes_in", "bytes_out"].map(|key| found[key].as_u64().unwrap());
    assert_eq!(bytes(&put), [10 * (3 + 5000), 10 * 4], "`replaced` has four bytes");
    assert_eq!(bytes(&get), [3, 5000]);
    // New containers of the same pool go on counting.
    daemon.cli(&["pool", "migrate", "store"]).ok();
    daemon.cli(&["call", "store", "put", "key=abc", "value=1"]).ok();
    let after = method(daemon.site(), "store", "kPut");
    assert_eq!((&after["calls"], bytes(&after)[0]), (&json!(11), bytes(&put)[0] + 4));
    daemon.cli(&["pool", "destroy", "store"]).ok();
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    assert_eq!(method(daemon.site(), "store", "kPut"), json!(null), "another pool of that name");
}

/// A pool in a process of its own is counted where clients see it.
#[test]
fn isolated_pools_are_counted() {
    let daemon = Daemon::start(&Options::new().kv());
    daemon
        .cli(&["pool", "create", "store", "--module", "chimaera:kv", "--isolation", "process"])
        .ok();
    for _ in 0..5 {
        daemon.cli(&["call", "store", "put", "key=abc", "value=12"]).ok();
    }
    daemon.cli(&["call", "store", "get", "key=none"]);
    let put = method(daemon.site(), "store", "kPut");
    assert_eq!(
        [&put["calls"], &put["failed"], &put["bytes_in"]],
        [&json!(5), &json!(0), &json!(25)]
    );
    let get = method(daemon.site(), "store", "kGet");
    assert_eq!(get["statuses"], json!({ "CHI_NOT_FOUND": 1 }));
    assert_eq!(count(&put, "total"), 5);
}

/// The text is what the specification of OpenMetrics 1.0 asks for, and has the numbers of the document.
#[test]
fn the_text_is_openmetrics() {
    in_client!(Options::new().model().kv().workers(2), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "quoted \"pool\" \\");
        (0..100).for_each(|_| _ = pool.call(model::TICKS, 0, 0));
        (0..3).for_each(|_| _ = pool.call(model::SLEEP, MS, 0));
        pool.submit(model::FAIL, 0).wait().unwrap_err();
        let text = site.cli(&["metrics", "--sessions"]).ok().stdout;
        let families = parse(&text);
        let labels = r#"{pool="quoted \"pool\" \\",module="test:model",method="kTicks"}"#;
        assert_eq!(families["chimaera_calls"][&format!("chimaera_calls_total{labels}")], 100.0);
        let failures: f64 = families["chimaera_failures"].values().sum();
        assert_eq!(failures, 1.0);
        let sleeps = r#"method="kSleep",stage="suspended"}"#;
        let histogram = &families["chimaera_stage_seconds"];
        let (_, sum) = histogram
            .iter()
            .find(|(name, _)| {
                name.starts_with("chimaera_stage_seconds_sum") && name.ends_with(sleeps)
            })
            .unwrap();
        assert!(*sum >= 0.003 * 0.95, "{sum}");
        assert!(families["chimaera_session_calls"].len() == 1);
        let plain = parse(&site.cli(&["metrics"]).ok().stdout);
        assert!(!plain.contains_key("chimaera_session_calls"));
        let names: HashSet<&String> = families.keys().collect();
        for name in ["process_cpu_seconds", "chimaera_sessions", "chimaera_memory_used_bytes"] {
            assert!(names.contains(&name.to_owned()), "{name}");
        }
    });
}

/// The dashboard and the alerts ask for what there is, by labels that it has.
#[test]
fn the_dashboard_and_the_alerts_use_names_that_exist() {
    // A node of a cluster has more to say.
    let cluster = Cluster::start(1, &[artefacts::rust_module("chimaera_kv")]);
    let daemon = cluster.site(0);
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    daemon.cli(&["call", "store", "get", "key=none"]);
    let families = parse(&daemon.cli(&["metrics"]).ok().stdout);
    let samples: Vec<&String> = families.values().flat_map(BTreeMap::keys).collect();
    let labels_of = |name: &str| -> Option<HashSet<String>> {
        let mut own = samples.iter().filter(|sample| sample.split('{').next() == Some(name));
        let labels = own.next()?.split_once('{').map_or("", |(_, labels)| labels);
        let labels =
            labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        // Prometheus adds those of the target.
        Some(labels.chain(["instance", "job"].map(str::to_owned)).collect())
    };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring");
    let dashboard = std::fs::read_to_string(docs.join("grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut asked: Vec<String> =
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    asked.extend(variables.filter_map(|it| it["query"]["query"].as_str().map(str::to_owned)));
    let alerts = std::fs::read_to_string(docs.join("alerts.yaml")).unwrap();
    asked.extend(alerts.split("- alert:").skip(1).map(|rule| {
        let expr = rule.split_once("expr:").unwrap().1;
        expr.split("for:").next().unwrap().split("annotations:").next().unwrap().to_owned()
    }));
    assert!(asked.len() > 20, "{asked:#?}");
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    for query in &asked {
        let names = query
            .split(|c| !is_of_name(c))
            .filter(|word| word.starts_with("chimaera_") || word.starts_with("process_"));
        let mut any = HashSet::new();
        for name in names {
            let labels =
                labels_of(name).unwrap_or_else(|| panic!("{name} does not exist: {query}"));
            any.extend(labels);
        }
        let by = query
            .split("by (")
            .skip(1)
            .flat_map(|rest| rest.split(')').next().unwrap().split(", "));
        let selected =
            query.split('{').skip(1).flat_map(|rest| rest.split('}').next().unwrap().split(','));
        let selected = selected.map(|label| label.split(|c| !is_of_name(c)).next().unwrap());
        for label in by.chain(selected).filter(|_| !query.contains("up{")) {
            assert!(any.contains(label), "no {label} in {query}");
        }
    }
    // And what the documentation lists is all there is.
    let text = std::fs::read_to_string(docs.join("../monitoring.md")).unwrap();
    let sessions = parse(&daemon.cli(&["metrics", "--sessions"]).ok().stdout);
    for name in sessions.keys().filter(|name| *name != "chimaera_build") {
        assert!(text.contains(name.as_str()), "{name} is not documented");
    }
}

/// Reads OpenMetrics text: the samples of each family. Fails if it is not well-formed.
fn parse(text: &str) -> HashMap<String, BTreeMap<String, f64>> {
    let body = text.strip_suffix("# EOF\n").expect("it has an end");
    let mut families: HashMap<String, BTreeMap<String, f64>> = HashMap::new();
    let mut current = (String::new(), String::new());
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (what, name, rest) =
                (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match what {
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram", "info"].contains(&rest), "{line}");
                    current = (name.to_owned(), rest.to_owned());
                    let before = families.insert(name.to_owned(), BTreeMap::new());
                    assert!(before.is_none(), "{name} is there twice");
                }
                "UNIT" => assert!(name == current.0 && name.ends_with(rest), "{line}"),
                "HELP" => assert!(name == current.0 && rest.ends_with('.'), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect("a sample has a value");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let name = sample.split('{').next().unwrap();
        let suffix = name.strip_prefix(&current.0).unwrap_or_else(|| panic!("{line}"));
        let suffixes: &[&str] = match &*current.1 {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        let before = families.get_mut(&current.0).unwrap().insert(sample.to_owned(), value);
        assert!(before.is_none() && value >= 0.0, "{line}");
    }
    for (name, samples) in &families {
        let inf = samples.iter().filter(|(sample, _)| sample.contains("le=\"+Inf\""));
        for (sample, value) in inf {
            let count = sample.replace("_bucket{", "_count{").replace(",le=\"+Inf\"", "");
            assert_eq!(samples[&count], *value, "{name}");
        }
    }
    families
}
