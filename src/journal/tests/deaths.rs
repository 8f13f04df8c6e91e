//! Journals of processes that die, that are refused space, or that want one directory at once.

mod writes;

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use chimaera_cluster::Disk;
use chimaera_journal::{Error, Journal};
use writes::Writes;

const SEED: u64 = 11;
/// In the environment of a child: its directory.
const DIRECTORY: &str = "JOURNAL_DIRECTORY";

/// Not a test by itself: writes as long as it can, and says how far it has come.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let mut out = std::io::stdout();
    let (mut journal, found) = Journal::open(Path::new(&directory)).unwrap();
    let mut writes = Writes::new(SEED);
    let mut count = position(&found.disk, &mut writes);
    loop {
        writeln!(out, "written {count}").unwrap();
        if let Err(error) = journal.write(&writes.next().unwrap()) {
            assert!(matches!(error, Error::Io { .. }), "{error}");
            let again = journal.write(&writes.next().unwrap()).unwrap_err();
            assert!(matches!(again, Error::Failed { .. }), "{again}");
            writeln!(out, "failed {error}; {again}").unwrap();
            return;
        }
        count += 1;
    }
}

/// After how many writes a disk is like this.
fn position(disk: &Disk, writes: &mut Writes) -> u64 {
    let mut count = 0;
    while writes.disk != *disk {
        writes.next();
        count += 1;
        assert!(count < 1_000_000, "no number of writes leaves such a disk");
    }
    count
}

fn start(directory: &Path, limit: Option<u64>) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).stdout(Stdio::piped());
    if let Some(bytes) = limit {
        // SAFETY: two system calls, which need nothing of the process that was forked.
        unsafe {
            command.pre_exec(move || {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
                match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
    }
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// The last number that a child that is gone has acknowledged, if any, and how its writing failed.
fn last_words(out: BufReader<ChildStdout>) -> (Option<u64>, Option<String>) {
    let (mut written, mut failed) = (None, None);
    for line in out.lines() {
        let line = line.unwrap();
        // What the test program itself says may stand before it on the line.
        if let Some((_, number)) = line.split_once("written ") {
            written = number.parse().ok().or(written);
        } else if let Some((_, error)) = line.split_once("failed ") {
            failed = Some(error.to_owned());
        }
    }
    (written, failed)
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_a_process_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Writes::new(2);
    let (mut acknowledged, mut boots, mut node) = (0, 0, None);
    for _ in 0..25 {
        let (mut child, out) = start(directory.path(), None);
        thread::sleep(Duration::from_millis(random.below(150)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (written, failed) = last_words(out);
        assert_eq!(failed, None);
        acknowledged = acknowledged.max(written.unwrap_or(0));
        let (_, found) = Journal::open(directory.path()).unwrap();
        let there = position(&found.disk, &mut Writes::new(SEED));
        assert!(there >= acknowledged, "{there} of {acknowledged}");
        assert!(written.is_none() || there <= acknowledged + 1, "{there} of {acknowledged}");
        assert!(found.boot.0 > boots);
        boots = found.boot.0;
        if written.is_some() {
            assert_eq!(*node.get_or_insert(found.node), found.node);
        }
    }
    assert!(acknowledged > 0, "no child came to write");
}

#[test]
fn a_full_disk_is_an_answer_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    drop(Journal::open(directory.path()).unwrap());
    let now = std::fs::metadata(directory.path().join("journal.redb")).unwrap().len();
    let mut least = 0;
    for more in [0, 16 << 10, 64 << 10] {
        let (mut child, out) = start(directory.path(), Some(now + more));
        let (written, failed) = last_words(out);
        assert!(child.wait().unwrap().success());
        let failed = failed.expect("the file cannot grow");
        assert!(failed.contains("File too large"), "{failed}");
        assert!(failed.contains("takes no more changes before it is opened again"), "{failed}");
        let (_, found) = Journal::open(directory.path()).unwrap();
        let there = position(&found.disk, &mut Writes::new(SEED));
        least = least.max(written.unwrap());
        assert!(there == least || there == least + 1, "{there} of {least}");
    }
    // With space, it goes on.
    let (mut journal, found) = Journal::open(directory.path()).unwrap();
    let mut writes = Writes::new(SEED);
    position(&found.disk, &mut writes);
    for write in writes.by_ref().take(50) {
        journal.write(&write).unwrap();
    }
    drop(journal);
    assert!(Journal::open(directory.path()).unwrap().1.disk == writes.disk);
}

#[test]
fn a_second_process_is_told_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, mut out) = start(directory.path(), None);
    let mut line = String::new();
    while !line.contains("written") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0);
    }
    // It goes on writing as long as somebody reads.
    let reader = thread::spawn(move || last_words(out));
    let error = Journal::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {} on ", child.id())), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    let (journal, _) = Journal::open(directory.path()).unwrap();
    let error = Journal::open(directory.path()).unwrap_err();
    assert!(error.to_string().contains(&format!("process {} on ", std::process::id())), "{error}");
    drop(journal);
    drop(Journal::open(directory.path()).unwrap());
}
