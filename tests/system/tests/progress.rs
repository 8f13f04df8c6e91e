//! How far a long request has come, on a terminal.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use chimaera::NewTask;
use chimaera_test_life_client::{self as life, KeyTask, ValueTask};
use chimaera_tests::{artefacts, connect, in_client, process, Call, Options, Site};

/// Runs the program with a terminal for its standard error. Returns what it wrote there, and to its
/// standard output.
fn on_a_terminal(site: &Site, args: &[&str]) -> (String, String) {
    let (mut ours, mut theirs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: the first two pointers are to numbers; the others may be null.
    let opened =
        unsafe { libc::openpty(&mut ours, &mut theirs, none, std::ptr::null(), std::ptr::null()) };
    assert_eq!(opened, 0);
    // SAFETY: both descriptors were just opened, and nothing else has them.
    let (ours, theirs) =
        unsafe { (OwnedFd::from_raw_fd(ours), Stdio::from(OwnedFd::from_raw_fd(theirs))) };
    let mut command = site.command(artefacts::chimaera());
    command.args(args).stdout(Stdio::piped()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // The command keeps our copy of the terminal open.
    drop(command);
    let ended = process::wait(&mut child, Duration::from_secs(60)).expect("it ends");
    assert!(ended.success());
    let (mut said, mut told) = (Vec::new(), String::new());
    // Reading fails once all is read, because nobody has the terminal open any more.
    let _ = File::from(ours).read_to_end(&mut said);
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    (String::from_utf8(said).unwrap(), told)
}

#[test]
fn a_terminal_shows_how_far_a_pool_has_been_saved_and_loaded() {
    in_client!(Options::new().file(artefacts::test_module("life")), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(life::MODULE, "life", b"").unwrap();
        let grow: NewTask<ValueTask> = ipc.task(pool, life::GROW);
        grow.value.set(2 << 20);
        drop(grow.call().unwrap());
        let slow = || {
            let slow: NewTask<KeyTask> = ipc.task(pool, life::SLOW);
            slow.ms.set(2000);
            slow.submit().unwrap()
        };
        let file = site.path().join("saved");
        let save = ["pool", "save", "life", file.to_str().unwrap()];
        let running = slow();
        let (said, told) = on_a_terminal(site, &save);
        assert!(said.starts_with("\r\u{1b}[Kwaiting for tasks to end"), "{said:?}");
        assert!(
            said.ends_with("\r\u{1b}[K") && told.starts_with("saved 'life'"),
            "{said:?} {told}"
        );
        drop(running.wait().unwrap());
        // Who asks for JSON, or is quick, is not told.
        let running = slow();
        let (said, told) = on_a_terminal(site, &[&save[..], &["--json"]].concat());
        assert!(said.is_empty() && told.starts_with('{'), "{said:?} {told}");
        drop(running.wait().unwrap());
        let load = ["pool", "load", file.to_str().unwrap(), "--pool", "copy"];
        let (_, told) = on_a_terminal(site, &load);
        assert!(told.starts_with("created 'copy'"), "{told}");
    });
}
