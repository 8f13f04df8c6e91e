//! What the tests of the program share.

use chimaera_tests::{artefacts, Output, Running, Site};
use serde_json::Value;

/// A daemon in the background, ended with the test.
pub(crate) struct Background(pub(crate) Site);

impl Drop for Background {
    fn drop(&mut self) {
        let pid = self.0.status()["pid"].as_u64();
        self.0.cli(&["stop"]);
        if !std::thread::panicking() {
            assert!(pid.is_none_or(|pid| !runs(pid)), "it still runs");
        }
    }
}

/// Whether a process runs; one that has ended has no program any more, even while nobody waits for it.
pub(crate) fn runs(pid: u64) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// A client that has had a first answer, has its worker sleep for so long, and then asks once more.
#[track_caller]
pub(crate) fn busy(site: &Site, nanoseconds: u64) -> Running {
    let mut command = site.command(artefacts::program("cpp_client"));
    command.args(["echo", "10", "--", "sleep", &nanoseconds.to_string(), "--", "echo", "10"]);
    let mut client = Running::start(&mut command);
    assert_eq!(line(&mut client)["equal"], 1, "its first task works");
    client
}

/// The next thing that a client says.
#[track_caller]
pub(crate) fn line(client: &mut Running) -> Value {
    serde_json::from_str(&client.line().expect("it goes on")).unwrap()
}

/// The program said that the instance does not run.
#[track_caller]
pub(crate) fn not_running(output: Output) {
    assert_eq!(output.code, 3, "{output:#?}");
    assert!(output.stderr.contains("run"), "{output:#?}");
}
