//! The configuration file, and `chimaera config` and `chimaera compose`.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use chimaera_tests::{artefacts, process, Daemon, Options, Output, Site};
use common::{not_running, Background};
use rustix::process::Signal;
use serde_json::{json, Value};

/// Writes a configuration file at a site.
fn write(site: &Site, name: &str, text: &str) -> PathBuf {
    let path = site.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// The program with these arguments, at a site where it finds the modules.
fn chimaera(site: &Site, args: &[&str]) -> Command {
    let mut command = site.command(artefacts::chimaera());
    let modules = site.path().join("modules");
    if !modules.exists() {
        let kv = artefacts::rust_module("chimaera_kv");
        site.directory_of("modules", &[kv, artefacts::cpp_module("example_mod_name")]);
    }
    command.env("CHI_REPO_PATH", modules).args(args);
    command
}

fn run(site: &Site, args: &[&str]) -> Output {
    process::run(&mut chimaera(site, args))
}

/// The cores that this process may use.
fn cores() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let number = |text: &str| text.parse::<usize>().unwrap();
    list.trim()
        .split(',')
        .flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            number(first)..=number(last)
        })
        .collect()
}

/// The cores of each worker of a process, by worker number.
fn cores_of_workers(pid: u32) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let value = |label: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(label));
            line.unwrap().trim().to_owned()
        };
        if let Some(number) = value("Name:").strip_prefix("chi-worker-") {
            all.push((number.to_owned(), value("Cpus_allowed_list:")));
        }
    }
    all.sort();
    all
}

fn pools(site: &Site) -> Vec<(String, u64)> {
    let list = site.cli(&["pool", "list", "--json"]).ok().json();
    let pair = |pool: &Value| {
        (pool["name"].as_str().unwrap().to_owned(), pool["containers"].as_u64().unwrap())
    };
    let mut pools: Vec<_> = list.as_array().unwrap().iter().map(pair).collect();
    pools.retain(|pool| pool.0 != "admin");
    pools.sort();
    pools
}

fn states(document: &Value) -> Vec<String> {
    let pools = document["pools"].as_array().unwrap().iter();
    let text = |pool: &Value| {
        format!("{} {}", pool["name"].as_str().unwrap(), pool["state"].as_str().unwrap())
    };
    pools.map(text).collect()
}

#[test]
fn a_daemon_is_as_its_file_says() {
    let site = Site::new();
    let all = cores();
    let (low, high) = (all[0], all[all.len() - 1]);
    let text = format!(
        "instance: {}\n\
         workers:\n  low_latency: {{count: 2, cores: [{low}]}}\n  high_latency: {{cores: [{high}]}}\n\
         long_task_warning: never\n\
         segment: {{max: 8MiB, runtime_share: 80%}}\n\
         log: {{level: debug, file: own.log}}\n\
         pools:\n\
         - {{name: one, module: 'chimaera:kv', params: {{max_bytes: 4096}}}}\n\
         - {{name: two, module: 'chimaera:kv', containers: 3}}\n",
        site.name()
    );
    let file = write(&site, "conf/chimaera.yaml", &text);
    let mut command = chimaera(&site, &["--json", "start"]);
    command.env_remove("CHI_INSTANCE").env("CHI_SERVER_CONF", &file);
    let mut daemon = Daemon::run(site.clone(), command);
    let [low, high] = [low, high].map(|core| core.to_string());
    let want = [("0", &low), ("1", &low), ("2", &high)];
    let want = want.map(|(worker, core)| (worker.to_owned(), core.clone()));
    assert_eq!(cores_of_workers(daemon.pid()), want);
    assert_eq!(pools(&site), [("one".to_owned(), 1), ("two".to_owned(), 3)]);
    let found = site.status();
    assert_eq!((&found["workers"], &found["pools"]), (&json!(3), &json!(3)));
    let log = std::fs::canonicalize(site.path().join("conf/own.log")).unwrap();
    assert_eq!(found["log"], json!(log));
    // The pool is the one described in the file.
    let same = ["pool", "create", "one", "--module", "chimaera:kv", "--params", "max_bytes=4096"];
    assert_eq!(site.cli(&[&same[..], &["--json"]].concat()).ok().json()["existed"], true);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0);
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.contains("ready") && said.contains("stopped"), "{said}");
    assert!(said.contains("DEBUG"), "{said}");
}

#[test]
fn the_background_and_the_usual_place() {
    let site = Site::new();
    let log = site.path().join("usual.log");
    let text = format!("workers: 4\nlog:\n  file: {}\nspin: 10us\n", log.display());
    write(&site, "config/chimaera/chimaera.yaml", &text);
    let text = run(&site, &["start", "--daemon", "--workers", "2"]).ok().stdout;
    let _guard = Background(site.clone());
    assert!(text.contains(log.to_str().unwrap()), "{text}");
    let found = site.status();
    // The flag overrides the file.
    assert_eq!(found["workers"], 2);
    assert_eq!(found["log"], json!(std::fs::canonicalize(&log).unwrap()));
    assert!(std::fs::read_to_string(&log).unwrap().contains("ready"));
}

#[test]
fn a_wrong_file_is_refused_with_all_that_is_wrong() {
    let site = Site::new();
    let file = write(&site, "c.yaml", "wrokers: 2\nspin: 5 parsecs\nsegment:\n  max: 64MB\n");
    let path = file.to_str().unwrap();
    let want = [
        format!("{path}:1:1: unknown key `wrokers`\n    did you mean `workers`?"),
        format!("{path}:2:7: \"5 parsecs\" has an unknown unit"),
        format!("{path}:4:8: \"64MB\" has an unknown unit\n    write 64MiB"),
    ];
    for args in [
        &["start", "--config", path][..],
        &["start", "--daemon", "--config", path],
        &["config", "show", "--config", path],
        &["config", "check", path],
        &["compose", "up", path],
    ] {
        let output = run(&site, args);
        assert_eq!(output.code, 2, "{output:#?}");
        assert!(want.iter().all(|want| output.stderr.contains(want)), "{output:#?}");
    }
    let output = run(&site, &["config", "check", path, "--json"]);
    let problems = output.json()["problems"].take();
    assert_eq!(problems.as_array().unwrap().len(), 3);
    assert_eq!((&problems[1]["line"], &problems[1]["column"]), (&json!(2), &json!(7)));
    assert_eq!(problems[0]["help"], "did you mean `workers`?");
    not_running(site.cli(&["status"]));

    let missing = site.path().join("missing.yaml");
    let mut command = chimaera(&site, &["start"]);
    let output = process::run(command.env("CHI_SERVER_CONF", &missing));
    assert_eq!(output.code, 2);
    let want = format!("{}: there is no such file", missing.display());
    assert!(output.stderr.contains(&want), "{output:#?}");
    let output = process::run(chimaera(&site, &["start"]).env("CHI_LOG", "noisy"));
    assert!(output.code == 2 && output.stderr.contains("CHI_LOG: \"noisy\""), "{output:#?}");
    // Other configuration files are not read.
    write(&site, "config/chimaera/chimaera.yaml", "wrong");
    assert_eq!(run(&site, &["config", "show", "--no-config"]).code, 0);
    assert_eq!(run(&site, &["config", "show"]).code, 2);
}

#[test]
fn what_cannot_be_had_ends_the_start() {
    let site = Site::new();
    let text = "pools:\n- {name: a, module: 'chimaera:kv'}\n- name: b\n  module: chimaera:vk\n";
    let file = write(&site, "c.yaml", text);
    let path = file.to_str().unwrap();
    let want = format!("{path}:3:9: creating pool 'b': there is no module 'chimaera:vk'");
    for daemon in [&[][..], &["--daemon"]] {
        let output = run(&site, &[&["start", "--config", path], daemon].concat());
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains(&want), "{output:#?}");
        let help = "directories of --modules and CHI_REPO_PATH";
        assert!(output.stderr.contains(help), "{output:#?}");
        assert!(!site.socket().exists());
        not_running(site.cli(&["status"]));
    }
    let modules = site.directory_of("throws", &[artefacts::test_module("throws_ctor")]);
    let file = write(&site, "two.yaml", "pools: [{name: a, module: 'test:throws_ctor'}]\n");
    let args =
        ["start", "--config", file.to_str().unwrap(), "--modules", modules.to_str().unwrap()];
    for daemon in [&[][..], &["--daemon"]] {
        let output = run(&site, &[&args, daemon].concat());
        assert_eq!(output.code, 1, "{output:#?}");
        let want = "the constructor of test:throws_ctor throws\nin two lines\n";
        assert!(output.stderr.ends_with(want), "{output:#?}");
    }
    let file = write(&site, "cores.yaml", "workers: {low_latency: {cores: [1023]}}\n");
    let path = file.to_str().unwrap();
    for command in [&["start", "--config", path][..], &["config", "check", path]] {
        let output = run(&site, command);
        assert_eq!(output.code, 2, "{output:#?}");
        let want = format!("{path}:1:32: core 1023 cannot be used\n    this process may use ");
        assert!(output.stderr.contains(&want), "{output:#?}");
    }
    let file = write(&site, "log.yaml", "log: {file: no/such/place}\n");
    let output = run(&site, &["start", "--config", file.to_str().unwrap()]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(output.stderr.contains("no/such/place: No such file"), "{output:#?}");
    // The failed starts left nothing behind that blocks the next one.
    Daemon::start_at(site, &Options::new()).stop();
}

#[test]
fn compose_brings_pools_up_and_down() {
    let site = Site::new();
    let text = "pools:\n\
                - {name: one, module: 'chimaera:kv', params: max_bytes=77}\n\
                - {name: two, module: 'chimaera:kv', containers: 2}\n";
    let file = write(&site, "c.yaml", text);
    let path = file.to_str().unwrap();
    let compose = |what: &str, path: &Path| {
        let output = run(&site, &["compose", what, path.to_str().unwrap(), "--json"]);
        let document = output.json();
        (output.code, states(&document), document["error"].as_str().unwrap_or_default().to_owned())
    };
    not_running(run(&site, &["compose", "up", path]));
    let command = chimaera(&site, &["--json", "start", "--workers", "2"]);
    let _daemon = Daemon::run(site.clone(), command);
    let good = |states: [&str; 2]| (0, states.map(str::to_owned).to_vec(), String::new());
    assert_eq!(compose("up", &file), good(["one created", "two created"]));
    assert_eq!(compose("up", &file), good(["one unchanged", "two unchanged"]));
    assert_eq!(pools(&site), [("one".to_owned(), 1), ("two".to_owned(), 2)]);

    // The error names the difference, and later pools are not tried.
    let text = "spin: 1us\npools:\n\
                - {name: zero, module: 'chimaera:kv'}\n\
                - {name: two, module: 'chimaera:kv', containers: 4}\n\
                - {name: three, module: 'chimaera:kv'}\n";
    let other = write(&site, "other.yaml", text);
    let (code, found, error) = compose("up", &other);
    assert_eq!(
        (code, found),
        (1, ["zero created", "two failed", "three not tried"].map(str::to_owned).to_vec())
    );
    let want =
        format!("{}:4:10: pool 'two' already exists with 2 containers, not 4", other.display());
    assert_eq!(error, want);
    for (text, want) in [
        (
            "params: max_bytes=78",
            "exists with other parameters: `max_bytes=77`, not `max_bytes=78`",
        ),
        (
            "containers: 2",
            "other parameters: `max_bytes=77`, not without any, and with 1 container, not 2",
        ),
        ("module: 'example:mod_name'", "is of module chimaera:kv, not example:mod_name"),
    ] {
        let module = if text.starts_with("module") { "" } else { ", module: 'chimaera:kv'" };
        let changed = write(&site, "d.yaml", &format!("pools: [{{name: one{module}, {text}}}]\n"));
        let output = run(&site, &["compose", "up", changed.to_str().unwrap()]);
        assert_eq!((output.code, &output.stdout[..]), (1, "failed     one\n"), "{output:#?}");
        assert!(output.stderr.contains(want), "{output:#?}");
    }

    // A pool of another module is not destroyed.
    let text = "pools:\n- {name: two, module: 'example:mod_name'}\n- {name: zero, module: 'chimaera:kv'}\n";
    let foreign = write(&site, "e.yaml", text);
    let (code, found, error) = compose("down", &foreign);
    assert_eq!(
        (code, found),
        (1, ["zero destroyed", "two failed"].map(str::to_owned).to_vec()),
        "{error}"
    );
    assert!(
        error
            .ends_with("was not destroyed: it belongs to module chimaera:kv, not example:mod_name"),
        "{error}"
    );

    assert_eq!(compose("down", &file), good(["two destroyed", "one destroyed"]));
    assert_eq!(compose("down", &file), good(["two absent", "one absent"]));
    assert_eq!(pools(&site), []);
    let none = write(&site, "f.yaml", "spin: 1us\n");
    let output = run(&site, &["compose", "up", none.to_str().unwrap()]);
    assert_eq!(output.code, 2, "{output:#?}");
    assert!(output.stderr.contains("the file has no `pools`"), "{output:#?}");
}

#[test]
fn the_program_explains_configurations() {
    let site = Site::new();
    let output = run(&site, &["config", "default"]).ok();
    let file = write(&site, "default.yaml", &output.stdout);
    let path = file.to_str().unwrap();
    let output = run(&site, &["config", "check", path]).ok();
    assert_eq!(output.stdout, format!("{path}: no problems\n"));
    let text = run(&site, &["config", "check"]).ok().stdout;
    assert!(text.contains("no configuration file: "), "{text}");
    let schema = run(&site, &["config", "schema"]).ok().json();
    assert_eq!(schema["properties"]["spin"]["default"], "50us");

    let file = write(&site, "c.yaml", "instance: filed\nspin: 3us\nstack_size: 1MiB\n");
    let path = file.to_str().unwrap();
    let show = |json: &[&str]| {
        let args = ["config", "show", "--config", path, "--spin-us", "4"];
        process::run(chimaera(&site, &[&args[..], json].concat()).env("CHI_LOG", "warn")).ok()
    };
    let document = show(&["--json"]).json();
    assert_eq!(document["file"], path);
    let of = |key: &str| {
        let mut values = document["values"].as_array().unwrap().iter();
        let found = values.find(|value| value["key"] == key).unwrap();
        (found["value"].clone(), found["origin"].clone())
    };
    let flag = json!({ "from": "command line", "flag": "--spin-us" });
    assert_eq!(of("spin"), (json!("4us"), flag));
    let environment = json!({ "from": "environment", "variable": "CHI_LOG" });
    assert_eq!(of("log.level"), (json!("warn"), environment));
    let place = json!({ "from": "file", "file": path, "line": 3, "column": 13 });
    assert_eq!(of("stack_size"), (json!("1MiB"), place));
    assert_eq!(of("limits.sessions"), (json!(1024), json!({ "from": "default" })));
    assert_eq!(of("instance").0, site.name());
    let text = show(&[]).stdout;
    let line = text.lines().find(|line| line.starts_with("stack_size: 1MiB")).unwrap();
    assert!(line.ends_with(&format!("# {path}:3")), "{text}");
    let again = write(&site, "again.yaml", &text);
    run(&site, &["config", "check", again.to_str().unwrap()]).ok();

    let script = run(&site, &["completion", "bash"]).ok().stdout;
    assert!(script.contains("CHIMAERA_COMPLETE=\"bash\""), "{script}");
    let pages = site.path().join("man");
    run(&site, &["man", "--out", pages.to_str().unwrap()]).ok();
    for page in ["chimaera-config-show.1", "chimaera-compose-up.1"] {
        assert!(pages.join(page).exists(), "{page}");
    }
}
