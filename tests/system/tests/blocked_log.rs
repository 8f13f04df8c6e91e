//! A log whose writes block: a terminal or a FIFO that nobody reads, a file system that hangs.
//! Tasks, commands and the end of the daemon do not wait for it, and lines that are lost are counted.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use chimaera_test_rust_faults_client as faults;
use chimaera_tests::syscalls::{Answer, Call, Interception};
use chimaera_tests::{connect, in_client, process, Call as _, Daemon, Options, Site};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::Signal;

const BLOCKED: &str = "writing takes too long";
const FULL: &str = "its reader does not keep up";

/// Makes a daemon do things that it logs.
#[track_caller]
fn create_pools(site: &Site, prefix: &str) {
    for number in 0..20 {
        let name = format!("{prefix}{number}");
        site.cli(&["pool", "create", &name, "--module", "chimaera:kv"]).ok();
    }
}

/// Makes a daemon log until lines are lost.
#[track_caller]
fn lose_lines(site: &Site) {
    let mut round = 0;
    process::until("lines are lost", || {
        round += 1;
        create_pools(site, &format!("p{round}-"));
        (site.status()["log_lost"].as_u64() > Some(0)).then_some(())
    });
}

/// `chimaera status` reports lines that were lost, for one of these reasons.
#[track_caller]
fn assert_losses(site: &Site, reasons: &[&str]) {
    let status = site.status();
    assert!(status["log_lost"].as_u64().is_some_and(|lost| lost > 0), "{status:#}");
    let why = status["log_error"].as_str().unwrap_or_default();
    assert!(reasons.contains(&why), "{status:#}");
}

/// Creates a FIFO, and opens its end for reading.
fn fifo(path: &Path) -> OwnedFd {
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0).unwrap();
    let reader = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
    // SAFETY: the descriptor is open.
    let room = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    assert!(room >= 4096, "{}", std::io::Error::last_os_error());
    reader
}

/// The two ends of a new terminal: the one that shows what is written to the other.
fn terminal() -> (OwnedFd, File) {
    let (mut shows, mut written) = (-1, -1);
    let (name, none) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the numbers live through the call, and the other arguments may be null.
    let opened = unsafe { libc::openpty(&mut shows, &mut written, name, none, none.cast()) };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptors are new and have no other owner.
    unsafe { (OwnedFd::from_raw_fd(shows), File::from_raw_fd(written)) }
}

#[test]
fn a_terminal_that_shows_nothing_more() {
    let (shows, written) = terminal();
    let site = Site::new();
    let options = Options::new().kv().argument("--log-level").argument("trace");
    let command = options.command(&site);
    let mut daemon = Daemon::run_with_stderr(site, command, written);
    lose_lines(daemon.site());
    assert_losses(daemon.site(), &[BLOCKED, FULL]);
    daemon.stop();
    drop(shows);
}

#[test]
fn a_fifo_that_nobody_reads() {
    let site = Site::new();
    let reader = fifo(&site.path().join("own.log"));
    let config = "workers: 2\nlog: {file: own.log, level: trace}\n";
    let mut daemon = Daemon::start_at(site, &Options::new().kv().config(config));
    create_pools(daemon.site(), "p");
    assert_losses(daemon.site(), &[FULL]);
    daemon.stop();
    drop(reader);
}

#[test]
fn a_module_that_says_much_to_nobody() {
    let options = || {
        let path = std::env::temp_dir().join(format!("chimaera-fifo-{}", std::process::id()));
        // The reader stays open as long as this process, which runs the daemon.
        std::mem::forget(fifo(&path));
        let config = format!("workers: 2\nlog: {{file: {}}}\n", path.display());
        Options::new().rust_faults().config(config)
    };
    in_client!(options(), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "faults", b"").unwrap();
        for _ in 0..20 {
            let task = ipc.task::<faults::LogTask>(pool, faults::Method::LOG);
            task.text.set("much to say ".repeat(30)).unwrap();
            task.times.set(1000);
            task.call().unwrap();
        }
        assert_losses(site, &[FULL]);
        let config = std::fs::read_to_string(site.path().join("chimaera.yaml")).unwrap();
        let path = config.split_once("file: ").unwrap().1.trim_end_matches(['}', '\n']);
        std::fs::remove_file(path).unwrap();
    });
}

/// A daemon that logs to a file on a file system that may hang.
struct Hanging {
    daemon: Daemon,
    hangs: Arc<AtomicBool>,
    /// How many writes have been held.
    held: Arc<AtomicU64>,
    /// Dropped last: the daemon makes calls until its end.
    _interception: Interception,
}

impl Hanging {
    #[track_caller]
    fn start(options: Options) -> Hanging {
        let site = Site::new();
        let mut command = options.config("workers: 2\nlog: {file: own.log}\n").command(&site);
        let (hangs, held) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (is_hung, count) = (hangs.clone(), held.clone());
        let decide = move |call: Call| {
            let to_log = || call.file().is_some_and(|file| file.ends_with("own.log"));
            match is_hung.load(Ordering::Relaxed) && to_log() {
                true => {
                    count.fetch_add(1, Ordering::Relaxed);
                    Answer::Wait
                }
                false => Answer::Pass,
            }
        };
        let interception = Interception::of(&mut command, &[libc::SYS_write], decide);
        Hanging { daemon: Daemon::run(site, command), hangs, held, _interception: interception }
    }

    fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Relaxed);
    }

    fn log(&self) -> PathBuf {
        self.daemon.site().path().join("own.log")
    }

    #[track_caller]
    fn assert_was_held(&self) {
        assert!(self.held.load(Ordering::Relaxed) > 0, "no write was held");
    }

    /// Makes the daemon log until lines are lost.
    #[track_caller]
    fn overflow(&self) {
        let site = self.daemon.site();
        site.cli(&["log", "level", "trace"]).ok();
        lose_lines(site);
        assert_losses(site, &[BLOCKED]);
        self.assert_was_held();
    }
}

/// Round and number of the pool whose creation a line reports.
fn number_of_created_pool(line: &str) -> Option<(u32, u32)> {
    let name = line.split_once("pool created")?.1.split_once("\"p")?.1.split_once('"')?.0;
    let (round, number) = name.split_once('-')?;
    Some((round.parse().ok()?, number.parse().ok()?))
}

#[test]
fn a_file_system_that_hangs_for_a_while() {
    let mut hanging = Hanging::start(Options::new().kv());
    let site = hanging.daemon.site().clone();
    hanging.hang(true);
    hanging.overflow();
    // The file cannot be opened again, and nobody waits for that either.
    let refused = site.cli(&["log", "reopen"]);
    assert!(refused.code == 1 && refused.stderr.contains("takes too long"), "{refused:#?}");
    hanging.hang(false);
    process::until("a line gets through again", || {
        let lost = site.status()["log_lost"].clone();
        site.cli(&["log", "level", "info"]).ok();
        (site.status()["log_lost"] == lost).then_some(())
    });
    hanging.daemon.stop();
    let text = std::fs::read_to_string(hanging.log()).unwrap();
    assert!(text.contains(&format!("lines were lost: {BLOCKED}")), "{text}");
    // The lines are in the order in which they were logged.
    let created: Vec<_> = text.lines().filter_map(number_of_created_pool).collect();
    assert!(created.len() > 20 && created.is_sorted(), "{created:?}");
    assert!(text.lines().last().unwrap().contains("stopped"), "{text}");
}

#[test]
fn a_file_system_that_hangs_until_the_end() {
    for stop in ["stop", "force", "signal"] {
        let mut hanging = Hanging::start(Options::new().kv());
        create_pools(hanging.daemon.site(), "before");
        hanging.hang(true);
        create_pools(hanging.daemon.site(), "after");
        hanging.assert_was_held();
        let code = match stop {
            "stop" => {
                hanging.daemon.cli(&["stop"]).ok();
                0
            }
            "force" => {
                hanging.daemon.cli(&["stop", "--force"]);
                4
            }
            _ => {
                hanging.daemon.signal(Signal::TERM);
                0
            }
        };
        assert_eq!(hanging.daemon.end(), code, "{stop}");
    }
}

#[test]
fn last_words_on_a_file_system_that_hangs() {
    let mut hanging = Hanging::start(Options::new().kv());
    hanging.hang(true);
    hanging.daemon.signal(Signal::ABORT);
    assert_ne!(hanging.daemon.end(), 0);
    hanging.assert_was_held();
    // The file of last words is elsewhere.
    let status = hanging.daemon.cli(&["status"]);
    assert!(status.stderr.contains("SIGABRT"), "{status:#?}");
}
