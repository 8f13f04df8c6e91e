//! Core files of clients: the segment, with all that a client sends and receives, is left out unless it is
//! asked for.

use std::os::unix::process::CommandExt;

use chimaera_tests::raw::Random;
use chimaera_tests::{Daemon, Options, Running};
use rustix::process::{Resource, Rlimit, Signal};

/// The number of random bytes that are in the segment, but not in the client's own memory.
const LEN: usize = 64;
const SEED: u64 = 4711;

/// Why a process leaves no core file in its directory here.
fn obstacle() -> Option<String> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let pattern = pattern.trim_end();
    if pattern.is_empty() || pattern.starts_with('|') || pattern.contains('/') {
        return Some(format!("the kernel's core_pattern is `{pattern}`"));
    }
    let limit = rustix::process::getrlimit(Resource::Core).maximum;
    limit.filter(|most| *most < 1 << 30).map(|most| format!("core files have at most {most} bytes"))
}

/// Aborts a client that has bytes in its segment. Returns its core file.
fn core_of_client(daemon: &Daemon, dumps: bool) -> Vec<u8> {
    let directory = daemon.site().path().join(format!("core-{dumps}"));
    std::fs::create_dir(&directory).expect("the site is ours");
    let mut command = daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal"));
    command.args(["written", &SEED.to_string(), &LEN.to_string()]).current_dir(&directory);
    if dumps {
        command.env("CHI_DUMP_SEGMENTS", "1");
    }
    let most = rustix::process::getrlimit(Resource::Core).maximum;
    // SAFETY: between fork and exec it only makes a system call.
    unsafe {
        command.pre_exec(move || {
            let limit = Rlimit { current: most, maximum: most };
            Ok(rustix::process::setrlimit(Resource::Core, limit)?)
        });
    }
    let mut client = Running::start(&mut command);
    assert_eq!(client.line().as_deref(), Some("ready"));
    client.signal(Signal::ABORT);
    assert_eq!(client.end(), -libc::SIGABRT);
    let mut files = std::fs::read_dir(&directory).expect("it is there");
    let file = files.next().expect("there is a core file").expect("it can be read");
    std::fs::read(file.path()).expect("it can be read")
}

/// Whether the bytes are in a core file.
fn has_bytes(core: &[u8]) -> bool {
    let mut random = Random::new(SEED);
    let bytes: Vec<u8> = (0..LEN).flat_map(|_| random.bytes(1)).collect();
    core.windows(LEN).any(|window| window == bytes)
}

#[test]
fn segments_are_in_core_files_only_if_asked_for() {
    if let Some(why) = obstacle() {
        return eprintln!("skipped: no core file can be looked at here: {why}");
    }
    let daemon = Daemon::start(&Options::new().throws());
    let without = core_of_client(&daemon, false);
    assert!(!has_bytes(&without), "the segment is in a core file of {} bytes", without.len());
    let with = core_of_client(&daemon, true);
    assert!(has_bytes(&with), "the segment is not in a core file of {} bytes", with.len());
}
