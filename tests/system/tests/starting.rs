//! Runtimes that are told to stop before they have started.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use chimaera_tests::{artefacts, process, Daemon, Options, Running, Site};
use serde_json::json;

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
        let site = Site::new();
        let mut command = Options::new().file(artefacts::test_module("ends")).command(&site);
        command.env("CHI_TEST_END", "constructor hang");
        Starting::run(site, command, "loading a module")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
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
    let why = format!("(process {pid}) takes no requests: it is starting or ending");
    assert!(stop.stderr.contains(&why), "{stop:?}");
    assert_eq!(starting.process.ended(), None);
    let forced = starting.site.cli(&["stop", "--force", "--timeout", "1", "--json"]).ok().json();
    let why = "all work: the process did not answer, and was killed";
    assert_eq!(forced["abandoned"], json!([why]));
    assert_eq!(starting.process.end(), -9);
    Daemon::start_at(starting.site, &Options::new().workers(1)).stop();
}
