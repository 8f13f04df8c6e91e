//! Runtimes that are told to stop before they have started.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use chimaera_tests::tasks::throws;
use chimaera_tests::{artefacts, process, Daemon, Options, Running, Site};
use rustix::process::Signal;
use serde_json::{json, Value};

/// A daemon that has not said yet that it is ready.
struct Starting {
    site: Site,
    process: Running,
    log: PathBuf,
}

impl Starting {
    /// Runs a command that starts a daemon, until its log contains `text`.
    #[track_caller]
    fn run(site: Site, mut command: Command, text: &str) -> Starting {
        let log = site.path().join("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let process = Running::start(command.stderr(file));
        let starting = Starting { site, process, log };
        process::until(text, || starting.log().contains(text).then_some(()));
        starting
    }

    /// A daemon whose module has a static initialiser that never returns.
    #[track_caller]
    fn stuck() -> Starting {
        Starting::stuck_at(Site::new(), "")
    }

    /// The same, at a site and with a configuration.
    #[track_caller]
    fn stuck_at(site: Site, config: &str) -> Starting {
        let options = Options::new().file(artefacts::test_module("ends")).config(config);
        let mut command = options.command(&site);
        command.env("CHI_TEST_END", "constructor hang");
        Starting::run(site, command, "loading a module")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Sends a signal that ends the process. Returns its log.
    #[track_caller]
    fn end(mut self, signal: Signal) -> String {
        self.process.signal(signal);
        assert_eq!(self.process.end(), 4, "{}", self.log());
        self.log()
    }
}

#[test]
fn a_runtime_that_is_starting_says_so() {
    let starting = Starting::stuck();
    let why = format!("(process {}) is starting (loading ", starting.process.pid());
    for command in [&["status"][..], &["pool", "list"], &["modules"]] {
        let told = starting.site.cli(command);
        assert_eq!(told.code, 3, "{told:?}");
        assert!(told.stderr.contains(&why), "{told:?}");
    }
    for client in [env!("CARGO_BIN_EXE_chi-test-client").into(), artefacts::program("c_client")] {
        let refused = starting.site.run(client, &["echo", "1"]);
        assert_ne!(refused.code, 0, "{refused:?}");
        let told = refused.stdout.clone() + &refused.stderr;
        assert!(told.contains("CHI_UNAVAILABLE") && told.contains(&why), "{refused:?}");
    }
    starting.end(Signal::TERM);
}

/// The command that starts it in the background says that it waits, and takes it along when it is ended.
#[test]
fn a_daemon_that_is_starting_ends_with_the_command_that_starts_it() {
    let site = Site::new();
    let options = Options::new().file(artefacts::test_module("ends"));
    let mut command = options.command(&site);
    command.arg("--daemon").env("CHI_TEST_END", "constructor hang");
    let starting = Starting::run(site, command, "waiting: not ready after 5 s");
    let pid = starting.site.cli(&["status", "--json"]).json()["pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let Starting { mut process, .. } = starting;
    process.signal(Signal::KILL);
    process.end();
    process::until("the daemon ends", || {
        (rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)).then_some(())
    });
}

#[test]
fn a_signal_during_a_static_initialiser_ends_the_process_and_names_the_module() {
    for signal in [Signal::TERM, Signal::INT] {
        let starting = Starting::stuck();
        let file = starting.site.path().join("modules/libends.so");
        let log = starting.end(signal);
        let step = format!("before the start was complete while loading {}:", file.display());
        assert!(log.contains(&step), "{step} is not in\n{log}");
        assert!(!log.contains("last words"), "{log}");
    }
}

#[test]
fn a_log_file_is_reopened_during_a_static_initialiser_and_has_the_reason() {
    let site = Site::new();
    let file = site.path().join("log");
    let config = format!("log: {{file: {}, format: json}}\n", file.display());
    let starting = Starting::stuck_at(site, &config);
    std::fs::rename(&file, file.with_extension("old")).unwrap();
    starting.process.signal(Signal::HUP);
    process::until("the log is reopened", || file.exists().then_some(()));
    let log = starting.end(Signal::TERM);
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert_eq!(lines[0]["message"], "log reopened");
    let message = lines[1]["message"].as_str().unwrap();
    assert!(lines[1]["level"] == "ERROR" && message.contains("while loading /"), "{log}");
}

#[test]
fn a_signal_during_the_creation_of_a_pool_ends_the_process_and_names_the_pool() {
    let module = throws::MODULE;
    let text =
        format!("stop_grace: 1s\npools: [{{name: early, module: {module}, params: endless}}]\n");
    let site = Site::new();
    let command = Options::new().throws().config(text).command(&site);
    let starting = Starting::run(site, command, "the creation does not end");
    let log = starting.end(Signal::TERM);
    let step = "before the start was complete while creating pool 'early':";
    assert!(log.contains(step), "{step} is not in\n{log}");
}

/// The pools that are there are destroyed, and the one that is just being created is, too; no more are created.
#[test]
fn a_signal_during_the_creation_of_pools_stops_the_runtime_in_order() {
    let module = throws::MODULE;
    let pool =
        |name: &str, params: &str| format!("{{name: {name}, module: {module}, params: {params}}}");
    let pools = [pool("early", "x"), pool("slow", "slow"), pool("never", "x")].join(", ");
    let command = Options::new().throws().config(format!("pools: [{pools}]\n"));
    let site = Site::new();
    let command = command.command(&site);
    let mut starting = Starting::run(site, command, "pool created pool=\"early\"");
    starting.process.signal(Signal::TERM);
    assert_eq!(starting.process.end(), 0, "{}", starting.log());
    let log = starting.log();
    let lines = [
        "told to stop while creating pool 'slow': the runtime stops after that",
        "pool created pool=\"slow\"",
        "pool destroyed pool=\"slow\"",
        "pool destroyed pool=\"early\"",
    ];
    let places: Vec<_> = lines.iter().map(|line| log.find(line)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in\n{log}");
    assert!(!log.contains("never"), "{log}");
}

#[test]
fn a_stop_waits_for_a_runtime_that_is_starting() {
    let site = Site::new();
    let gate = site.path().join("gate");
    let mut command = Options::new().file(artefacts::test_module("ends")).command(&site);
    command.env("CHI_TEST_END", "constructor wait").env("CHI_TEST_GATE", &gate);
    let mut starting = Starting::run(site, command, "loading a module");
    let mut command = starting.site.command(artefacts::chimaera());
    command.args(["--name", starting.site.name(), "stop"]);
    let mut stop = Running::start(&mut command);
    // It fails at once, or never.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(stop.ended(), None);
    File::create(&gate).unwrap();
    assert_eq!(stop.end(), 0);
    assert_eq!(starting.process.end(), 0, "{}", starting.log());
    assert!(starting.log().contains(" stopped"), "{}", starting.log());
}

#[test]
fn a_stop_of_a_runtime_that_never_starts_is_bounded_and_can_be_forced() {
    let mut starting = Starting::stuck();
    let stop = starting.site.cli(&["stop", "--timeout", "1"]);
    assert_eq!(stop.code, 1, "{stop:?}");
    let pid = starting.process.pid();
    let why = format!("(process {pid}) is starting (loading ");
    assert!(
        stop.stderr.contains(&format!("waiting: instance '{}' {why}", starting.site.name())),
        "{stop:?}"
    );
    assert!(
        stop.stderr.contains("it lets no clients in; `chimaera stop --force` ends it at once"),
        "{stop:?}"
    );
    assert_eq!(starting.process.ended(), None);
    let forced = starting.site.cli(&["stop", "--force", "--timeout", "1", "--json"]).ok().json();
    let why = "all work: the process did not answer, and was killed";
    assert_eq!(forced["abandoned"], json!([why]));
    assert_eq!(starting.process.end(), -9);
    Daemon::start_at(starting.site, &Options::new().workers(1)).stop();
}
