//! Shared by the tests of the program.

use chimaera_tests::{Output, Site};

/// A daemon in the background, which is stopped at the end of the test.
pub(crate) struct Background(pub(crate) Site);

impl Drop for Background {
    fn drop(&mut self) {
        let pid = self.0.status()["pid"].as_u64();
        self.0.cli(&["stop"]);
        if !std::thread::panicking() {
            assert!(pid.is_none_or(|pid| !runs(pid)), "it is still running");
        }
    }
}

/// Whether a process is running. One that has exited no longer has a program, even before it is
/// waited for.
pub(crate) fn runs(pid: u64) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// Checks that the program reported that the instance is not running.
#[track_caller]
pub(crate) fn not_running(output: Output) {
    assert_eq!(output.code, 3, "{output:#?}");
    assert!(output.stderr.contains("run"), "{output:#?}");
}
