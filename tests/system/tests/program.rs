//! The program `chimaera`: starting, stopping, status.

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chimaera_tests::tasks::throws;
use chimaera_tests::{artefacts, process, Daemon, Options, Running, Site};
use common::{not_running, runs, Background};
use rustix::process::{Pid, Signal};
use serde_json::{json, Value};

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::symlink_metadata(path.as_ref()).unwrap().mode() & 0o7777
}

/// A name may contain characters that change how what follows is displayed.
#[test]
fn names_do_not_control_the_terminal() {
    let daemon = Daemon::start(&Options::new().throws());
    let name = "a\u{202e}b";
    daemon.cli(&["pool", "create", name, "--module", throws::MODULE]).ok();
    let list = daemon.cli(&["pool", "list"]).ok().stdout;
    assert!(list.contains("a\\u{202e}b") && !list.contains(name), "{list}");
    let list = daemon.cli(&["pool", "list", "--json"]).ok().json();
    assert_eq!(list[1]["name"], name);
    let missing = daemon.cli(&["pool", "destroy", "\u{202e}"]);
    assert!(missing.code != 0 && missing.stderr.contains("\\u{202e}"), "{missing:?}");
}

#[test]
fn the_foreground() {
    let daemon = Daemon::start(&Options::new().mod_name().kv().workers(3));
    let site = daemon.site();
    let found = site.status();
    for (key, value) in [
        ("name", json!(site.name())),
        ("running", json!(true)),
        ("ready", json!(true)),
        ("pid", json!(daemon.pid())),
        ("workers", json!(3)),
        ("sessions", json!(0)),
        ("modules", json!(2)),
        ("refused", json!(0)),
        ("socket", json!(site.socket())),
        // In the foreground it logs to its standard error, and says so.
        ("log", Value::Null),
    ] {
        assert_eq!(found[key], value, "{key} in {found:#}");
    }
    assert!(found["start_to_ready_ms"].as_f64().unwrap() > 0.0);
    assert!(found["resident_bytes"].as_u64().unwrap() > 100_000);
    let text = site.cli(&["status"]).ok().stdout;
    assert!(text.contains(&format!("{}, up", daemon.pid())) && text.contains("standard error"));
    assert!(daemon.log().contains("ready"));
    assert_eq!(mode(site.socket()), 0o600);
    assert_eq!(mode(site.socket().parent().unwrap()), 0o700);
    assert_eq!(mode(site.status_page().unwrap()), 0o600);
}

#[test]
fn the_background() {
    let site = Site::new();
    let log = site.path().join("chimaera").join(format!("{}.log", site.name()));
    let absent = site.path().join("no modules");
    let modules = absent.to_str().unwrap();
    let started = site.cli(&["start", "--daemon", "--json", "--modules", modules]).ok();
    let guard = Background(site.clone());
    let refused = format!("module refused: {modules}: the directory cannot be read");
    assert!(started.stderr.contains(&refused), "{started:#?}");
    let started = started.json();
    assert_eq!(started["name"], site.name());
    assert_eq!(started["socket"], json!(site.socket()));
    let found = site.status();
    assert_eq!(found["pid"], started["pid"]);
    assert_eq!(found["log"], json!(log));
    assert_eq!(mode(&log), 0o600);
    assert!(std::fs::read_to_string(&log).unwrap().contains("ready"));
    let text = site.cli(&["status"]).ok().stdout;
    assert!(text.contains(log.to_str().unwrap()), "{text}");
    // It has its own session, so that it survives the terminal's.
    let pid = found["pid"].as_u64().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap();
    assert_eq!(session, pid.to_string());

    let stopped = site.cli(&["stop", "--json"]).ok().json();
    let name = site.name();
    let want = json!({
        "name": name, "stopped": true, "forced": false, "abandoned": [], "status": "CHI_OK",
    });
    assert_eq!(stopped, want);
    process::until("its end", || (!runs(pid)).then_some(()));
    assert!(std::fs::read_to_string(&log).unwrap().contains("stopped"));
    assert!(site.status_page().is_none() && !site.socket().exists());
    not_running(site.cli(&["status"]));
    // The next one appends to the log.
    let text = site.cli(&["start", "--daemon"]).ok().stdout;
    assert!(text.contains(site.name()) && text.contains(log.to_str().unwrap()), "{text}");
    assert_eq!(std::fs::read_to_string(&log).unwrap().matches(" ready ").count(), 2);
    drop(guard);
}

#[test]
fn every_command_prints_json() {
    let site = Site::new();
    let json = |args: &[&str]| site.cli(&[args, &["--json"]].concat()).ok().json();
    let text = |args: &[&str]| Value::from(site.cli(args).ok().stdout);
    assert_eq!(json(&["completion", "bash"])["script"], text(&["completion", "bash"]));
    assert_eq!(json(&["man"])["page"], text(&["man"]));
    assert_eq!(json(&["config", "default"])["file"], text(&["config", "default"]));
    assert!(json(&["config", "schema"])["properties"].is_object());
    assert!(json(&["repo", "schema", "repo"])["properties"].is_object());
    let pages = site.path().join("pages");
    assert_eq!(json(&["man", "--out", pages.to_str().unwrap()])["directory"], json!(pages));
    assert!(pages.join("chimaera-status.1").is_file());

    // Usage errors are JSON, too, whichever parser finds them.
    for wrong in [&["status", "--frobnicate"][..], &["frobnicate"], &["pool"], &["module", "new"]] {
        let output = site.cli(&[wrong, &["--json"]].concat());
        assert_eq!(output.code, 2, "{output:#?}");
        let error = output.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(error, output.stderr.trim_end(), "{wrong:?}");
        assert_eq!(output.json()["status"], "CHI_INVALID", "{wrong:?}");
    }
    let help = json(&["status", "--help"]);
    assert!(help["help"].as_str().unwrap().contains("--name <INSTANCE>"), "{help}");
    assert_eq!(json(&["--version"])["version"], text(&["--version"]).as_str().unwrap().trim_end());
    // So are others, with the status that the exit code stands for, or with the runtime's own.
    for (args, code, status) in [
        (&["pool", "list"][..], 3, "CHI_UNAVAILABLE"),
        (&["status"], 3, "CHI_UNAVAILABLE"),
        (&["start", "--config", "/nowhere/at.all"], 2, "CHI_INVALID"),
        (&["service", "uninstall"], 1, "CHI_FAILED"),
    ] {
        let output = site.cli(&[args, &["--json"]].concat());
        assert_eq!((output.code, &output.json()["status"]), (code, &status.into()), "{output:#?}");
    }
    let daemon = Daemon::start(&Options::new());
    for (args, status) in [
        (&["pool", "show", "nobody"][..], "CHI_NO_POOL"),
        (&["pool", "reset", "nobody"], "CHI_NO_POOL"),
        (&["pool", "create", "one", "--module", "no:such"], "CHI_NO_MODULE"),
        (&["tasks", "--pool", "nobody"], "CHI_NO_POOL"),
    ] {
        let output = daemon.cli(&[args, &["--json"]].concat());
        assert_eq!((output.code, &output.json()["status"]), (1, &status.into()), "{output:#?}");
    }
}

#[test]
fn a_private_instance_leaves_no_files() {
    let site = Site::new();
    site.cli(&["start", "--daemon", "--private"]).ok();
    let guard = Background(site.clone());
    let directory = site.path().join("chimaera");
    let files = || std::fs::read_dir(&directory).unwrap().count();
    assert!(directory.join(format!("{}.log", site.name())).is_file() && files() > 2);
    site.cli(&["stop"]).ok();
    process::until("no files", || (files() == 0).then_some(()));
    drop(guard);
}

#[test]
fn an_instance_that_does_not_run() {
    let site = Site::new();
    let says = format!("chimaera: instance '{}' is not running", site.name());
    let start = format!("chimaera start --daemon --name {}`", site.name());
    let check = || {
        for command in [&["status"][..], &["stop"], &["modules"], &["pool", "destroy", "p"]] {
            let output = site.cli(command);
            assert!(output.stderr.starts_with(&says), "{output:#?}");
            assert!(output.stderr.contains(&start), "{output:#?}");
            not_running(output);
        }
        let output = site.cli(&["status", "--json"]);
        assert_eq!((output.code, &output.json()["running"]), (3, &json!(false)), "{output:#?}");
        for command in [&["stop"][..], &["modules"], &["pool", "list"], &["pool", "destroy", "p"]] {
            not_running(site.cli(command));
            let output = site.cli(&[command, &["--json"]].concat());
            assert_eq!(output.code, 3, "{output:#?}");
            assert!(output.json()["error"].as_str().unwrap().contains(site.name()), "{output:#?}");
        }
        let output = site.run(artefacts::program("c_client"), &["count"]);
        let line = &output.lines()[0];
        assert_eq!((output.code, &line["name"]), (1, &json!("CHI_UNAVAILABLE")), "{line}");
        assert!(line["message"].as_str().unwrap().contains(&start), "{line}");
    };
    check();
    Daemon::start_at(site.clone(), &Options::new());
    check();
    Daemon::start_at(site.clone(), &Options::new()).kill();
    check();
}

#[test]
fn pools_are_listed_created_and_destroyed() {
    let daemon = Daemon::start(&Options::new().kv());
    let json = |args: &[&str]| daemon.cli(&[&["pool"], args, &["--json"]].concat()).ok().json();
    let created = json(&["create", "one", "--module", "chimaera:kv"]);
    assert_eq!((&created["name"], &created["existed"]), (&json!("one"), &json!(false)));
    let file = daemon.site().path().join("params");
    std::fs::write(&file, "max_bytes=77").unwrap();
    let file = file.to_str().unwrap();
    let create = ["create", "two", "--module", "chimaera:kv", "--params-file", file];
    assert_eq!(json(&create)["existed"], false);
    assert_eq!(json(&create)["existed"], true);
    let list = json(&["list"]);
    let mut names: Vec<&str> =
        list.as_array().unwrap().iter().map(|pool| pool["name"].as_str().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["admin", "one", "two"]);
    let one = list.as_array().unwrap().iter().find(|pool| pool["name"] == "one").unwrap();
    assert_eq!((&one["id"], &one["module"]), (&created["id"], &json!("chimaera:kv")));
    assert_eq!((&one["lanes"], &one["tasks"]), (&json!(16), &json!(0)));
    let text = daemon.cli(&["pool", "list"]).ok().stdout;
    assert_eq!(text.lines().count(), 4, "{text}");
    assert_eq!(daemon.site().status()["pools"], 3);
    let destroyed = json!({ "name": "one", "destroyed": true, "status": "CHI_OK" });
    assert_eq!(json(&["destroy", "one"]), destroyed);
    let output = daemon.cli(&["pool", "destroy", "one"]);
    assert_eq!((output.code, output.stderr.trim()), (1, "chimaera: there is no pool 'one'"));
    let output = daemon.cli(&["pool", "create", "x", "--module", "m:m", "--params-file", "none"]);
    assert!(output.code == 1 && output.stderr.contains("none: No such file"), "{output:#?}");
    assert_eq!(daemon.site().status()["pools"], 2);
}

#[test]
fn the_status_counts() {
    let daemon = Daemon::start(&Options::new().throws().file(artefacts::test_module("abi_major")));
    let site = daemon.site();
    let mut client = site.command(artefacts::program("cpp_client"));
    let mut client = Running::start(client.args(["echo", "1", "--", "sleep", "2000000000"]));
    process::until("one session", || (site.status()["sessions"] == 1).then_some(()));
    assert_eq!(client.end(), 0);
    site.run(artefacts::program("cpp_client"), &["throw", "--", "throw-int"]).ok();
    process::until("no session", || (site.status()["sessions"] == 0).then_some(()));
    let found = site.status();
    assert_eq!((&found["sessions_total"], &found["refused"]), (&json!(2), &json!(1)), "{found}");
    assert_eq!(found["tasks_failed"], 2, "{found}");
    // The echo, the sleep and the two that threw, each preceded by the creation of a pool.
    assert_eq!(found["tasks"], 8, "{found}");
}

#[test]
fn names_and_places_that_cannot_be() {
    let site = Site::new();
    let chimaera = |args: &[&str]| process::run(site.command(artefacts::chimaera()).args(args));
    for name in ["", "a/b", "..", ".hidden", "-x", "a b", "ü", &"x".repeat(49)] {
        let output = chimaera(&[&format!("--name={name}"), "start"]);
        assert_eq!(output.code, 2, "{output:#?}");
        assert!(output.stderr.contains("is not a valid instance name"), "{output:#?}");
    }
    for wrong in
        [&["frobnicate"][..], &["start", "--workers", "0"], &["pool"], &["start", "--what"]]
    {
        assert_eq!(chimaera(wrong).code, 2, "{wrong:?}");
    }
    let shared = site.path().join("chimaera");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = chimaera(&["start"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("other users can write to it"), "{output:#?}");
    std::fs::remove_dir(&shared).unwrap();
    let absent = site.path().join("absent");
    for args in [&["start"][..], &["start", "--daemon"]] {
        let mut command = site.command(artefacts::chimaera());
        let output = process::run(command.args(args).env("XDG_RUNTIME_DIR", &absent));
        assert_eq!(output.code, 1);
        assert!(output.stderr.contains("absent/chimaera: cannot be created"), "{output:#?}");
        assert!(output.stderr.contains("XDG_RUNTIME_DIR"), "{output:#?}");
    }
}

/// Without `$XDG_RUNTIME_DIR`, instances are in a private directory of the user.
#[test]
fn without_a_runtime_directory() {
    let site = Site::new();
    let mut command = site.command(artefacts::chimaera());
    command.env_remove("XDG_RUNTIME_DIR").stderr(std::process::Stdio::null());
    let mut daemon = Running::start(command.args(["start", "--json", "--workers", "1"]));
    let mut said = String::new();
    while serde_json::from_str::<Value>(&said).is_err() {
        said += &daemon.line().expect("it prints a line");
    }
    let started: Value = serde_json::from_str(&said).unwrap();
    let socket = PathBuf::from(started["socket"].as_str().unwrap());
    let directory = socket.parent().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(directory, Path::new(&format!("/tmp/chimaera-{uid}")));
    assert_eq!(mode(directory), 0o700);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0);
    assert!(!socket.exists());
    std::fs::remove_file(socket.with_extension("lock")).unwrap();
}

#[test]
fn nobody_reads_what_the_program_prints() {
    let mut daemon = Daemon::start(&Options::new().kv());
    let program = |args: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = daemon.site().command(artefacts::chimaera());
        command.args(args).stdin(Stdio::null());
        (command, writer)
    };
    for args in [
        &["modules"][..],
        &["modules", "--json"],
        &["pool", "list"],
        &["pool", "create", "p", "--module", "chimaera:kv"],
        &["status"],
        &["log", "level"],
        &["config", "default"],
        &["man"],
        &["completion", "bash"],
        &["--help"],
    ] {
        let (mut command, writer) = program(args);
        let code = command.stdout(writer).stderr(Stdio::null()).status().unwrap().code();
        assert_eq!(code, Some(0), "{args:?}");
    }
    for (args, want) in [
        (&["pool", "destroy", "nobody"][..], 1),
        (&["pool", "create", "p"], 2),
        (&["--name", "nobody", "status"], 3),
        (&["--name", "nobody", "status", "--json"], 3),
        (&["config", "check", "no such file"], 2),
    ] {
        let (mut command, writer) = program(args);
        let second = writer.try_clone().unwrap();
        let code = command.stdout(writer).stderr(second).status().unwrap().code();
        assert_eq!(code, Some(want), "{args:?}");
    }
    daemon.stop();
}

#[test]
fn a_pool_of_no_containers_is_refused() {
    let daemon = Daemon::start(&Options::new().kv());
    for number in ["0", "4097"] {
        let args = ["pool", "create", "p", "--module", "chimaera:kv", "--containers", number];
        let refused = daemon.cli(&args);
        let range = "write a whole number from 1 to 4096";
        assert!(refused.code == 2 && refused.stderr.contains(range), "{refused:#?}");
    }
}

/// Such times once made the program panic.
#[test]
fn times_that_no_clock_can_add_are_refused() {
    let site = Site::new();
    let huge = u64::MAX.to_string();
    let whole = "write a whole number from";
    let fraction = "write a number of seconds from 0.001 to 86400";
    for (args, range) in [
        (&["stop", "--timeout", &huge][..], whole),
        (&["pool", "destroy", "p", "--timeout", "86401"], whole),
        (&["module", "inspect", "m.so", "--timeout", &huge], whole),
        (&["bench", "throughput", "--seconds=-1"], fraction),
        (&["bench", "fairness", "--seconds", "1e300"], fraction),
        (&["bench", "scale", "--seconds", "nan"], fraction),
        (&["bench", "bdev", "--seconds", "0"], fraction),
    ] {
        let refused = site.cli(args);
        assert!(refused.code == 2 && refused.stderr.contains(range), "{args:?}: {refused:#?}");
    }
}

/// The daemon's message that it is ready is lost, but it serves all the same.
#[test]
fn a_standard_output_on_a_full_disk() {
    let site = Site::new();
    let mut command = Options::new().command(&site);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut daemon = command.stdout(full).stderr(Stdio::null()).spawn().unwrap();
    process::until("it is ready", || {
        let status = site.cli(&["status", "--json"]);
        (status.code == 0 && status.json()["ready"] == true).then_some(())
    });
    site.cli(&["pool", "list"]).ok();
    site.cli(&["stop"]).ok();
    assert_eq!(process::wait(&mut daemon, process::BOUND).and_then(|end| end.code()), Some(0));
}

/// The tests themselves rely on that: a failure must not become a hang.
#[test]
fn what_a_program_leaves_behind_is_not_waited_for() {
    let mut command = Command::new("sh");
    let output = process::run(command.args(["-c", "sleep 30 & echo $!"]));
    let left: i32 = output.stdout.trim().parse().expect("a number");
    let left = Pid::from_raw(left).expect("it is one");
    rustix::process::kill_process(left, Signal::KILL).expect("it was not waited for");
}
