//! `chimaera trace record`, of loads that are known.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chimaera_tests::process::{until, Running};
use chimaera_tests::tasks::model;
use chimaera_tests::{artefacts, connect, in_client, Options, Site, ValuePool};
use rustix::process::Signal;
use serde_json::Value;

/// A recording that goes on until it is interrupted.
struct Recording {
    process: Running,
    file: PathBuf,
}

impl Recording {
    /// Begins one; it records when this returns.
    #[track_caller]
    fn begin(site: &Site, name: &str, more: &[&str]) -> Recording {
        let file = site.path().join(name);
        let mut command = site.command(artefacts::chimaera());
        command.args(["--name", site.name(), "--json", "trace", "record", "--seconds", "600"]);
        command.args(more).arg(&file);
        let process = Running::start(&mut command);
        until("the recording has begun", || file.exists().then_some(()));
        Recording { process, file }
    }

    /// Ends it. Returns what it says, and the file.
    #[track_caller]
    fn end(mut self) -> (Value, String) {
        self.process.signal(Signal::INT);
        self.ended()
    }

    /// The same once it has ended by itself.
    #[track_caller]
    fn ended(&mut self) -> (Value, String) {
        let report: Vec<String> = std::iter::from_fn(|| self.process.line()).collect();
        assert_eq!(self.process.end(), 0);
        let report = report.join("\n");
        let report = serde_json::from_str(&report).unwrap_or_else(|_| panic!("{report}"));
        (report, std::fs::read_to_string(&self.file).unwrap())
    }
}

fn events(text: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(text).expect("JSON");
    document["traceEvents"].as_array().unwrap().clone()
}

/// Those of this phase and name.
fn of<'e>(events: &'e [Value], phase: &str, name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["ph"] == phase && event["name"] == name).collect()
}

fn us(event: &Value, key: &str) -> f64 {
    event[key].as_f64().unwrap_or_else(|| panic!("no {key} in {event}"))
}

/// Each task is there, once, with the one that submitted it, its waits and its stages.
#[test]
fn a_trace_has_each_task_with_what_it_has_done() {
    in_client!(Options::new().model(), |site| {
        let (a, b) = ["a", "b"].map(|name| ValuePool::new(connect(), model::MODULE, name)).into();
        let recording = Recording::begin(site, "trace.json", &[]);
        for _ in 0..20 {
            let calls = a.task(model::CALL, 1_000, model::LOCK.into());
            calls.other.set(b.id);
            calls.call().unwrap();
        }
        let (report, text) = recording.end();
        let counts = (&report["lost"], &report["open"], &report["full"], &report["status"]);
        assert_eq!(counts, (&0.into(), &0.into(), &false.into(), &"CHI_OK".into()), "{report}");
        let events = events(&text);
        let calls = of(&events, "b", "kCall");
        let locks = of(&events, "b", "kLock");
        assert_eq!((calls.len(), locks.len()), (20, 20), "{text}");
        assert!(report["tasks"].as_u64().unwrap() >= 40, "{report}");

        let ends: HashMap<String, f64> = events
            .iter()
            .filter(|event| {
                event["ph"] == "e" && ["kCall", "kLock"].iter().any(|one| event["name"] == *one)
            })
            .map(|event| (event["id"].to_string(), us(event, "ts")))
            .collect();
        for lock in &locks {
            let args = &lock["args"];
            let by = calls.iter().find(|call| call["args"]["task"] == args["submitted_by"]);
            let by = by.unwrap_or_else(|| panic!("nobody submitted {lock}"));
            assert_eq!(by["args"]["root"], args["root"]);
            assert_eq!((&by["args"]["depth"], &args["depth"]), (&0.into(), &1.into()));
            assert!(us(by, "ts") <= us(lock, "ts"));
            assert!(ends[&lock["id"].to_string()] <= ends[&by["id"].to_string()], "{by} {lock}");
        }
        for task in calls.iter().chain(&locks) {
            let args = &task["args"];
            assert_eq!(args["status"], "CHI_OK");
            let stages: f64 = ["ring_us", "lane_us", "running_us", "suspended_us"]
                .iter()
                .map(|stage| us(args, stage))
                .sum();
            let total = ends[&task["id"].to_string()] - us(task, "ts");
            assert!((stages - total).abs() < 0.1, "{stages} are not {total}: {task}");
        }
        let waits = of(&events, "b", "waits for kLock of 'b'");
        assert_eq!(waits.len(), 20, "{text}");
        assert_eq!(of(&events, "s", "submits").len(), of(&events, "f", "submits").len());
        // A worker does one thing at a time.
        let mut runs: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert!(runs.len() >= 60, "{}", runs.len());
        runs.sort_by(|a, b| us(a, "ts").total_cmp(&us(b, "ts")));
        let mut busy_until: HashMap<u64, f64> = HashMap::new();
        for run in runs {
            let until = busy_until.entry(run["tid"].as_u64().unwrap()).or_default();
            assert!(us(run, "ts") + 0.01 >= *until, "it is not over at {until}: {run}");
            *until = us(run, "ts") + us(run, "dur");
        }
    });
}

/// What is to be traced can be chosen; subtasks of what is chosen are there, too.
#[test]
fn only_what_is_wanted_is_traced() {
    in_client!(Options::new().model(), |site| {
        let (a, b) = ["a", "b"].map(|name| ValuePool::new(connect(), model::MODULE, name)).into();
        let load = || {
            for _ in 0..12 {
                let calls = a.task(model::CALL, 1_000, model::LOCK.into());
                calls.other.set(b.id);
                calls.call().unwrap();
                b.call(model::LOCK, 1_000, 0);
            }
        };
        let traced = |more: &[&str]| {
            let recording = Recording::begin(site, "trace.json", more);
            load();
            let (_, text) = recording.end();
            std::fs::remove_file(site.path().join("trace.json")).unwrap();
            let events = events(&text);
            ["kCall", "kLock"].map(|name| of(&events, "b", name).len())
        };
        assert_eq!(traced(&[]), [12, 24]);
        assert_eq!(traced(&["--pool", "a"]), [12, 12]);
        assert_eq!(traced(&["--pool", "b"]), [0, 24]);
        assert_eq!(traced(&["--pool", "b", "--method", "lock"]), [0, 24]);
        assert_eq!(traced(&["--pool", "b", "--method", "kCall"]), [0, 0]);
        let full = site.cli(&["trace", "record", "x", "--session", "999", "--json"]);
        assert_eq!((full.code, &full.json()["error"]), (1, &"there is no session 999".into()));
        // Each kCall with its kLock, or none of them: some, but not all.
        let [calls, locks] = (0..20)
            .map(|_| traced(&["--every", "4"]))
            .fold([0, 0], |[a, b], [calls, locks]| [a + calls, b + locks]);
        assert!(calls > 0 && calls < 20 * 12, "{calls}");
        assert!(locks > calls && locks < 20 * 24, "{calls} {locks}");
        // A tenth is a tenth.
        let recording = Recording::begin(site, "trace.json", &["--every", "10"]);
        for _ in 0..3000 {
            b.call(model::LOCK, 1, 0);
        }
        let (report, _) = recording.end();
        std::fs::remove_file(site.path().join("trace.json")).unwrap();
        let tasks = report["tasks"].as_u64().unwrap();
        assert!((200..450).contains(&tasks), "{tasks} of 3000");
        let none = site.cli(&["trace", "record", "x", "--session", "0"]);
        assert_eq!(none.code, 2, "{none:?}");
        let full = site.cli(&["trace", "record", "x", "--pool", "nobody"]);
        assert!(full.code == 1 && full.stderr.contains("there is no pool 'nobody'"), "{full:?}");
        let full = site.cli(&["trace", "record", "x", "--pool", "a", "--method", "kNone"]);
        assert!(full.code == 2 && full.stderr.contains("has no method 'kNone'"), "{full:?}");
        assert!(!Path::new("x").exists());
    });
}

/// OpenTelemetry's spans: the submitted tasks are children of the others.
#[test]
fn a_trace_is_written_as_spans() {
    in_client!(Options::new().model(), |site| {
        let (a, b) = ["a", "b"].map(|name| ValuePool::new(connect(), model::MODULE, name)).into();
        let recording = Recording::begin(site, "spans.json", &["--format", "otlp", "--pool", "a"]);
        for _ in 0..3 {
            let calls = a.task(model::CALL, 1_000, model::LOCK.into());
            calls.other.set(b.id);
            calls.call().unwrap();
        }
        let (_, text) = recording.end();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let spans: Vec<&Value> = lines
            .iter()
            .flat_map(|line| line["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap())
            .collect();
        assert_eq!(spans.len(), 6, "{text}");
        let named =
            |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
        let (calls, locks) = (named("a kCall"), named("b kLock"));
        assert_eq!((calls.len(), locks.len()), (3, 3), "{text}");
        for lock in locks {
            let parent = calls.iter().find(|call| call["spanId"] == lock["parentSpanId"]);
            let parent = parent.unwrap_or_else(|| panic!("no parent of {lock}"));
            assert_eq!(parent["traceId"], lock["traceId"]);
            assert_eq!(parent["traceId"].as_str().unwrap().len(), 32);
            let at = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
            assert!(at(parent, "startTimeUnixNano") <= at(lock, "startTimeUnixNano"));
            assert!(at(lock, "endTimeUnixNano") <= at(parent, "endTimeUnixNano"));
        }
        assert_eq!((&calls[0]["kind"], &calls[0]["parentSpanId"]), (&2.into(), &Value::Null));
    });
}

/// There is one at a time; and one whose program has been killed is over soon.
#[test]
fn a_recording_that_nobody_reads_ends() {
    in_client!(Options::new().model(), |site| {
        let a = ValuePool::new(connect(), model::MODULE, "a");
        let mut recording = Recording::begin(site, "first.json", &[]);
        let second = site.path().join("second.json");
        let record = ["trace", "record", second.to_str().unwrap(), "--seconds", "0.1", "--json"];
        let refused = site.cli(&record);
        assert_eq!(
            (refused.code, &refused.json()["status"]),
            (1, &"CHI_EXISTS".into()),
            "{refused:?}"
        );
        assert!(!second.exists());
        recording.process.signal(Signal::KILL);
        recording.process.end();
        until("it is forgotten", || {
            a.call(model::LOCK, 1_000, 0);
            (site.cli(&record).code == 0).then_some(())
        });
        assert!(second.exists());
        // A file that cannot be written is no reason to go on recording.
        let nowhere = site.cli(&["trace", "record", "/nowhere/trace.json"]);
        assert!(
            nowhere.code == 1 && nowhere.stderr.contains("/nowhere/trace.json: No such"),
            "{nowhere:?}"
        );
        site.cli(&record).ok();
    });
}

/// The number of tasks is bounded, and the program says so.
#[test]
fn a_full_trace_is_told() {
    in_client!(Options::new().model(), |site| {
        let a = ValuePool::new(connect(), model::MODULE, "a");
        let mut recording = Recording::begin(site, "trace.json", &["--tasks", "30"]);
        for _ in 0..100 {
            a.call(model::LOCK, 1_000, 0);
        }
        let (report, text) = recording.ended();
        assert_eq!((&report["full"], &report["tasks"]), (&true.into(), &30.into()), "{report}");
        let events = events(&text);
        assert_eq!(of(&events, "b", "kLock").len(), 30);
    });
}

/// Tasks that fail before they run are there, too; those that wait again and again are there once.
#[test]
fn tasks_that_never_run_and_those_that_come_again_are_counted() {
    in_client!(Options::new().model(), |site| {
        // Each has a lock of its own.
        let (a, b) = ["a", "b"].map(|name| ValuePool::new(connect(), model::MODULE, name)).into();
        let recording = Recording::begin(site, "trace.json", &[]);
        let gone = ValuePool { id: chimaera::PoolId::new(4000, 7), ..a };
        for _ in 0..5 {
            assert!(gone.task(model::LOCK, 1, 0).call().is_err());
        }
        // One that waits for its end when the recording is over.
        let open = a.submit(model::LOCK, 3_600_000_000_000);
        until("it runs", || {
            let tasks = site.cli(&["tasks", "--json", "--pool", "a"]).ok().json();
            (tasks["tasks"][0]["state"] == "suspended").then_some(())
        });
        let (report, text) = recording.end();
        assert_eq!((&report["open"], &report["lost"]), (&1.into(), &0.into()), "{report}");
        let all = events(&text);
        let failed = of(&all, "b", &format!("method {}", model::LOCK));
        assert_eq!(failed.len(), 5, "{text}");
        let is_told =
            |task: &&Value| task["cat"] == "4000.7" && task["args"]["status"] == "CHI_NO_POOL";
        assert!(failed.iter().all(is_told), "{failed:?}");
        // The next recording knows nothing of it.
        std::fs::remove_file(site.path().join("trace.json")).unwrap();
        let recording = Recording::begin(site, "trace.json", &[]);
        b.call(model::LOCK, 1_000, 0);
        let (report, text) = recording.end();
        assert_eq!((&report["open"], &report["lost"]), (&0.into(), &0.into()), "{report}");
        assert_eq!(of(&events(&text), "b", "kLock").len(), 1, "{text}");
        std::mem::forget(open);
    });
}

/// What has been recorded when the runtime ends, or is another one, is written.
#[test]
fn the_end_of_the_runtime_ends_the_recording() {
    let mut daemon = chimaera_tests::Daemon::start(&Options::new().kv());
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    let mut recording = Recording::begin(daemon.site(), "trace.json", &[]);
    daemon.cli(&["call", "store", "put", "key=a", "value=b"]).ok();
    // The program looks every tenth of a second.
    std::thread::sleep(std::time::Duration::from_secs(1));
    daemon.cli(&["stop"]).ok();
    assert_eq!(daemon.end(), 0);
    let report: Vec<String> = std::iter::from_fn(|| recording.process.line()).collect();
    assert_ne!(recording.process.end(), 0);
    let report: Value = serde_json::from_str(&report.join("\n")).unwrap();
    assert_eq!(report["status"], "CHI_UNAVAILABLE", "{report}");
    let text = std::fs::read_to_string(&recording.file).unwrap();
    assert_eq!(of(&events(&text), "b", "kPut").len(), 1, "{text}");
}
