//! The log: if it cannot be written, nothing else fails and the loss is reported; it is bounded;
//! its lines cannot be forged; and its level and file can be changed while the daemon runs.

use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;

use chimaera_test_rust_faults_client as faults;
use chimaera_tests::{
    artefacts, connect, in_client, process, Call, Daemon, Options, Running, SharedMemory, Site,
};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde_json::{json, Value};

/// The configuration of a daemon that logs to a file beside its configuration, with `more` settings
/// of the log.
fn logging(more: &str) -> String {
    format!("workers: 2\nlog: {{file: own.log{more}}}\n")
}

fn file(site: &Site) -> PathBuf {
    site.path().join("own.log")
}

fn text(site: &Site) -> String {
    std::fs::read_to_string(file(site)).expect("there is a log")
}

/// Makes a daemon do things that it logs.
#[track_caller]
fn create_pools(site: &Site, prefix: &str) {
    for number in 0..20 {
        let name = format!("{prefix}{number}");
        site.cli(&["pool", "create", &name, "--module", "chimaera:kv"]).ok();
    }
}

/// `chimaera status` reports lines that were lost, and why.
#[track_caller]
fn assert_losses(site: &Site, why: &str) {
    // A thread of its own writes the log.
    let status = process::until("a line is lost", || {
        let status = site.status();
        status["log_lost"].as_u64().is_some_and(|lost| lost > 0).then_some(status)
    });
    assert_eq!(status["log_error"], why, "{status:#}");
    let text = site.cli(&["status"]).ok().stdout;
    assert!(text.contains(&format!("lines lost: {why}")), "{text}");
}

const FORMATS: [&str; 2] = ["text", "json"];

/// The options of a daemon that logs to its standard error, in this format.
fn logging_as(format: &str, level: &str) -> Options {
    Options::new().kv().config(format!("workers: 2\nlog: {{format: {format}, level: {level}}}\n"))
}

/// A daemon that logs to its standard error, `stderr`.
fn logging_to(stderr: impl Into<Stdio>, format: &str, level: &str) -> Daemon {
    let site = Site::new();
    let command = logging_as(format, level).command(&site);
    Daemon::run_with_stderr(site, command, stderr)
}

#[test]
fn a_log_on_a_full_disk() {
    for format in FORMATS {
        let config = format!("workers: 2\nlog: {{file: /dev/full, format: {format}}}\n");
        let mut daemon = Daemon::start(&Options::new().kv().config(config));
        create_pools(daemon.site(), "p");
        assert_losses(daemon.site(), "No space left on device");
        daemon.stop();
    }
}

#[test]
fn a_standard_error_on_a_full_disk() {
    for format in FORMATS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut daemon = logging_to(full, format, "info");
        create_pools(daemon.site(), "p");
        assert_losses(daemon.site(), "No space left on device");
        daemon.stop();
    }
}

#[test]
fn a_standard_error_that_nobody_can_read_any_more() {
    for format in FORMATS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut daemon = logging_to(writer, format, "info");
        create_pools(daemon.site(), "p");
        assert_losses(daemon.site(), "Broken pipe");
        daemon.stop();
    }
}

/// `chimaera start | head -1`, with and without the log in the pipe.
#[test]
fn an_output_of_which_only_the_first_line_is_read() {
    for format in FORMATS {
        for (log, script) in
            [(false, "\"$0\" \"$@\" | head -n 1"), (true, "\"$0\" \"$@\" 2>&1 | head -n 1")]
        {
            let site = Site::new();
            let start = logging_as(format, "info").command(&site);
            let mut shell = site.command("sh");
            shell.arg("-c").arg(script).arg(start.get_program()).args(start.get_args());
            for (name, value) in start.get_envs() {
                value.map(|value| shell.env(name, value));
            }
            let mut pipeline = Running::start(shell.stderr(Stdio::null()));
            process::until("it runs", || (site.cli(&["status"]).code == 0).then_some(()));
            create_pools(&site, "p");
            if log {
                assert_losses(&site, "Broken pipe");
            }
            site.cli(&["stop"]).ok();
            // That of `head`, which has shown a line.
            assert_eq!(pipeline.end(), 0);
            assert!(pipeline.line().is_some_and(|line| !line.is_empty()));
        }
    }
}

/// Limits the capacity of a pipe to one page.
fn narrow(pipe: &PipeReader) {
    // SAFETY: the descriptor is open.
    let room = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    assert!(room >= 4096, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_standard_error_that_nobody_reads() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    narrow(&reader);
    let mut daemon = logging_to(writer, "text", "trace");
    create_pools(daemon.site(), "p");
    assert_losses(daemon.site(), "its reader does not keep up");
    // Once the pipe is read, the log reports what is missing.
    let reads = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    process::until("a line gets through again", || {
        daemon.cli(&["log", "level", "info"]).ok();
        daemon.cli(&["log", "level", "trace"]).ok();
        let lost = daemon.site().status()["log_lost"].as_u64();
        daemon.cli(&["log", "level", "info"]).ok();
        (daemon.site().status()["log_lost"].as_u64() == lost).then_some(())
    });
    daemon.stop();
    let text = reads.join().unwrap().unwrap();
    assert!(text.contains("lines were lost: its reader does not keep up"), "{text}");
}

/// Limits the size of the files that a process can write.
fn limit_files(pid: u32, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: None };
    let pid = Pid::from_raw(pid as i32).expect("it runs");
    rustix::process::prlimit(Some(pid), Resource::Fsize, limit).expect("the process is ours");
}

#[test]
fn a_disk_that_has_room_again() {
    let daemon = Daemon::start(&Options::new().config(logging("")));
    let site = daemon.site();
    let size = std::fs::metadata(file(site)).unwrap().size();
    // The limit is in the middle of the next line.
    limit_files(daemon.pid(), Some(size + 10));
    for level in ["warn", "info", "warn", "info"] {
        site.cli(&["log", "level", level]).ok();
    }
    assert_losses(site, "File too large");
    let lost = process::until("all four are lost", || {
        let lost = site.status()["log_lost"].as_u64().unwrap();
        (lost >= 4).then_some(lost)
    });
    assert_eq!(lost, 4);
    limit_files(daemon.pid(), None);
    site.cli(&["log", "level", "warn"]).ok();
    let text = text(site);
    assert!(text.contains(&format!("{lost} lines were lost: File too large")), "{text}");
    assert!(text.lines().last().unwrap().contains("level"), "{text}");
    assert_eq!(site.status()["log_lost"], lost);
}

#[test]
fn a_log_that_is_moved_away_is_opened_again() {
    let daemon = Daemon::start(&Options::new().config(logging("")));
    let site = daemon.site();
    let move_away = |to: &str| std::fs::rename(file(site), site.path().join(to)).unwrap();
    move_away("first.log");
    let told = site.cli(&["log", "reopen", "--json"]).ok().json();
    assert_eq!(told["log"], json!(std::fs::canonicalize(file(site)).unwrap()));
    let said = site.cli(&["log", "reopen"]).ok().stdout;
    assert!(said.contains("own.log"), "{said}");
    site.cli(&["log", "level", "debug"]).ok();
    assert!(text(site).contains("level"), "{}", text(site));
    // What modules write to their standard error goes there, too.
    let stderr = std::fs::read_link(format!("/proc/{}/fd/2", daemon.pid())).unwrap();
    assert_eq!(stderr, std::fs::canonicalize(file(site)).unwrap());

    move_away("second.log");
    daemon.signal(Signal::HUP);
    process::until("the log is there again", || file(site).exists().then_some(()));
    // If the file cannot be opened, the open one stays in use.
    move_away("third.log");
    std::fs::create_dir(file(site)).unwrap();
    let refused = site.cli(&["log", "reopen"]);
    assert!(refused.code == 1 && refused.stderr.contains("own.log"), "{refused:#?}");
    site.cli(&["log", "level", "info"]).ok();
    let third = std::fs::read_to_string(site.path().join("third.log")).unwrap();
    assert!(third.contains("cannot be reopened") && third.contains("level"), "{third}");
}

#[test]
fn standard_error_is_not_opened_again() {
    let daemon = Daemon::start(&Options::new());
    let refused = daemon.cli(&["log", "reopen"]);
    assert!(refused.code == 1 && refused.stderr.contains("standard error"), "{refused:#?}");
}

#[test]
fn without_a_log_file_sighup_ends_it_unless_it_is_ignored() {
    // The tests may have been started by nohup, too.
    let with = |handler: libc::sighandler_t| {
        let site = Site::new();
        let mut command = Options::new().command(&site);
        let set = move || {
            // SAFETY: the call takes two numbers.
            let before = unsafe { libc::signal(libc::SIGHUP, handler) };
            if before == libc::SIG_ERR {
                Err(std::io::Error::last_os_error())
            } else {
                Ok(())
            }
        };
        // SAFETY: between fork and exec it makes one system call.
        unsafe { command.pre_exec(set) };
        Daemon::run(site, command)
    };
    let mut daemon = with(libc::SIG_DFL);
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.end(), 0, "{}", daemon.log());

    // As nohup does.
    let mut daemon = with(libc::SIG_IGN);
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.cli(&["log", "level"]).ok().stdout, "info\n");
    daemon.stop();
}

#[test]
fn a_log_that_nobody_can_read_prevents_the_start() {
    let site = Site::new();
    let fifo = site.path().join("own.log");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for more in [&[][..], &["--daemon"]] {
        let mut options = Options::new().config(logging(""));
        for argument in more {
            options = options.argument(*argument);
        }
        let output = process::run(&mut options.command(&site));
        assert!(output.code == 1 && output.stderr.contains("own.log"), "{output:#?}");
    }
}

#[test]
fn the_level_changes_while_the_daemon_runs() {
    let options = Options::new().rust_faults().config(logging(""));
    in_client!(options, |site| {
        let level = |args: &[&str]| site.cli(&[&["log", "level"], args].concat()).ok();
        assert_eq!(level(&[]).stdout, "info\n");
        assert_eq!(level(&["--json"]).json(), json!({ "level": "info", "status": "CHI_OK" }));
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "faults", b"").unwrap();
        let call = || {
            let task = ipc.task::<faults::LogTask>(pool, faults::Method::LOG);
            task.text.set("a module's line").unwrap();
            task.times.set(1);
            task.call().unwrap();
        };
        let count = |what: &str| text(site).matches(what).count();
        call();
        assert_eq!((count("a module's line"), count("a task started")), (1, 0));
        level(&["trace"]);
        assert_eq!(level(&[]).stdout, "trace\n");
        call();
        assert_eq!((count("a module's line"), count("a task started")), (2, 1));
        assert_eq!(
            level(&["error", "--json"]).json(),
            json!({ "level": "error", "status": "CHI_OK" })
        );
        call();
        assert_eq!((count("a module's line"), count("a task started")), (2, 1));
        // Of a single target.
        assert_eq!(level(&["error,module=info"]).stdout, "error,module=info\n");
        call();
        assert_eq!((count("a module's line"), count("a task started")), (3, 1));
        level(&["trace,module=off"]);
        call();
        assert_eq!((count("a module's line"), count("a task started")), (3, 2));
        assert!(text(site)
            .contains("log level changed from=\"error,module=info\" to=\"trace,module=off\""));
        for (wrong, help) in [
            ("noisy", "write one of error, warn, info, debug, trace"),
            ("off", "is not a log level"),
            ("info,module", "write `TARGET=LEVEL`"),
            ("info, module=debug", "without blanks"),
            ("module=debug", "write that of all other targets first"),
            (&format!("info,{}=debug", "a".repeat(2000)), "at most 1024"),
            ("info,module=debag", "did you mean `debug`?"),
        ] {
            let output = site.cli(&["log", "level", wrong]);
            assert!(output.code == 2 && output.stderr.contains(help), "{wrong}: {output:#?}");
        }
        assert_eq!(level(&[]).stdout, "trace,module=off\n");
        // It takes no session, and so no worker and no segment.
        assert_eq!(site.status()["sessions_total"], 1);
    });
}

#[test]
fn a_log_in_json() {
    let mut daemon = Daemon::start(&Options::new().kv().config(logging(", format: json")));
    let site = daemon.site().clone();
    site.cli(&["pool", "create", "p", "--module", "chimaera:kv"]).ok();
    daemon.stop();
    let lines: Vec<Value> =
        text(&site).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let created = lines.iter().find(|line| line["message"] == "pool created").unwrap();
    assert_eq!((&created["pool"], &created["level"]), (&json!("p"), &json!("INFO")), "{created}");
    assert!(created["timestamp"].is_string() && created["target"].is_string(), "{created}");
}

/// Text that, logged as it is, would be two lines, the second of which looks like the runtime's
/// own, and would clear a terminal.
const FORGED: &str =
    "x'\n2001-01-01T00:00:00.000000Z ERROR chimaera_runtime: FORGED\r\u{1b}[2J\u{9b}1m\
    \u{2028}\u{202e}";

/// Makes a daemon log text from a client and from a module.
fn forge() {
    let ipc = connect();
    let pool = ipc.create_pool(faults::MODULE, "faults", b"").unwrap();
    for method in [faults::Method::ERROR, faults::Method::PANIC] {
        let task = ipc.task::<faults::FaultTask>(pool, method);
        task.text.set(FORGED).unwrap();
        task.submit_and_forget().unwrap();
    }
    let task = ipc.task::<faults::LogTask>(pool, faults::Method::LOG);
    task.text.set(FORGED).unwrap();
    task.times.set(1);
    task.call().unwrap();
    // Such a name is refused, whether to create or to find a pool.
    for name in ["two\nlines", "an escape \u{1b}[2J", "a zero\0"] {
        assert!(ipc.create_pool(faults::MODULE, name, b"").is_err());
        assert!(ipc.find_pool(name).is_err());
    }
    assert!(ipc.create_pool(FORGED, "p", b"").is_err());
}

#[test]
fn nobody_forges_a_line() {
    in_client!(Options::new().rust_faults().config(logging("")), |site| {
        forge();
        let text = process::until("all three are there", || {
            Some(text(site)).filter(|text| text.matches("FORGED").count() >= 3)
        });
        let odd = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}'));
        assert!(!text.contains(odd), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("2001")), "{text}");
        assert!(text.contains(r"x'\n2001"), "{text}");
    });
}

#[test]
fn nobody_forges_a_line_in_json() {
    let options = Options::new().rust_faults().config(logging(", format: json"));
    in_client!(options, |site| {
        forge();
        let text = process::until("all three are there", || {
            Some(text(site)).filter(|text| text.matches("FORGED").count() >= 3)
        });
        let said: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let says = |key: &str, what: &str| said.iter().any(|line| line[key] == what);
        assert!(says("message", FORGED) && says("why", FORGED), "{text}");
    });
}

#[test]
fn a_log_is_divided_into_files_of_which_few_are_kept() {
    let options = Options::new().rust_faults().config(logging(", max_size: 64KiB, keep: 2"));
    in_client!(options, |site| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "faults", b"").unwrap();
        let task = ipc.task::<faults::LogTask>(pool, faults::Method::LOG);
        task.text.set("much to say ".repeat(30)).unwrap();
        task.times.set(800);
        task.call().unwrap();
        let path = |end: &str| site.path().join(format!("own.log{end}"));
        for end in ["", ".1", ".2"] {
            let size = std::fs::metadata(path(end)).unwrap().size();
            assert!((1..=64 << 10).contains(&size), "own.log{end}: {size}");
        }
        assert!(!path(".3").exists());
        let pid = site.status()["pid"].clone();
        let stderr = std::fs::read_link(format!("/proc/{pid}/fd/2")).unwrap();
        assert_eq!(stderr, std::fs::canonicalize(file(site)).unwrap());
    });
}

/// A client that asks for what cannot be, again and again, does not hide what another asks for.
#[test]
fn a_flood_of_one_client_hides_no_line_about_another() {
    in_client!(Options::new().rust_faults().config(logging("")), |site| {
        for _ in 0..200 {
            let made = connect().create_pool(faults::MODULE, "flood", faults::PARAMS_FAIL);
            assert!(made.is_err());
        }
        let fail = std::str::from_utf8(faults::PARAMS_FAIL).unwrap();
        let create = ["pool", "create", "other", "--module", faults::MODULE, "--params", fail];
        assert_eq!(site.cli(&create).code, 1);
        let lines = |pool: &str| {
            let about = format!("pool not created pool=\"{pool}\"");
            text(site).matches(&about).count()
        };
        process::until("there is a line about the other client", || {
            (lines("other") == 1).then_some(())
        });
        assert!((1..100).contains(&lines("flood")), "{}", lines("flood"));
    });
}

#[test]
fn what_modules_say_is_bounded() {
    let options = Options::new().rust_faults().config(logging(""));
    in_client!(options, |site| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "faults", b"").unwrap();
        let task = ipc.task::<faults::LogTask>(pool, faults::Method::LOG);
        task.text.set("flood").unwrap();
        task.times.set(200_000);
        task.call().unwrap();
        let lines = text(site).matches("flood").count();
        assert!((1..100_000).contains(&lines), "{lines}");
    });
}

#[test]
fn what_a_client_causes_again_and_again_is_bounded() {
    let options = Options::new().rust_faults().config(logging(""));
    in_client!(options, |site| {
        let ipc = connect();
        for _ in 0..200 {
            assert!(ipc.create_pool(faults::MODULE, "p", faults::PARAMS_FAIL).is_err());
        }
        let lines = text(site).matches("pool not created").count();
        assert!((1..100).contains(&lines), "{lines}");
    });
}

/// Whether this process may mount file systems for its children. Prints a notice if not.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("\n*** SKIPPED: tests without shared memory need root ***\n");
    }
    root
}

#[test]
fn without_room_or_a_place_for_named_shared_memory() {
    if !is_root() {
        return;
    }
    for found in [SharedMemory::Full, SharedMemory::Absent] {
        let mut daemon = Daemon::start(&Options::new().kv().shared_memory(found));
        let site = daemon.site().clone();
        assert!(site.status_page().is_none(), "{found:?}");
        assert!(daemon.log().contains("status page"), "{found:?}: {}", daemon.log());
        let status = site.status();
        assert_eq!(
            (&status["running"], &status["modules"]),
            (&json!(true), &json!(1)),
            "{found:?}"
        );
        assert_eq!(status["pid"], daemon.pid(), "{found:?}");
        assert!(site.cli(&["status"]).ok().stdout.contains("worker 1"));
        create_pools(&site, "p");
        assert_eq!(site.status()["pools"], 21, "{found:?}");
        daemon.stop();
    }
}

fn create(daemon: &Daemon, pool: &str) {
    daemon.cli(&["pool", "create", pool, "--module", "chimaera:kv"]).ok();
}

#[test]
fn the_log_is_shown_with_what_was_rotated_and_as_asked() {
    for format in ["text", "json"] {
        let config = logging(&format!(", format: {format}"));
        let daemon = Daemon::start(&Options::new().kv().config(config));
        let file = file(daemon.site());
        create(&daemon, "first");
        std::fs::rename(&file, file.with_file_name("own.log.1")).unwrap();
        daemon.cli(&["log", "reopen"]).ok();
        create(&daemon, "second");
        let text = daemon.cli(&["logs"]).ok().stdout;
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
        assert!(place("first") < place("second"));
        let of = |args: &[&str]| daemon.cli(&[&["logs", "--json"], args].concat()).ok().json();
        let pools = of(&["--pool", "second"]);
        assert_eq!(pools.as_array().unwrap().len(), 1, "{pools}");
        assert_eq!((&pools[0]["pool"], &pools[0]["level"]), (&"second".into(), &"INFO".into()));
        assert_eq!(of(&["--level", "error"]), json!([]));
        assert_eq!(of(&["--since", "2200-01-01"]), json!([]));
        assert_eq!(of(&["--since", "1h"]), of(&[]));
        let output = daemon.cli(&["logs", "--since", "soon"]);
        assert!(output.code == 2 && output.stderr.contains("write a time in UTC"), "{output:?}");
    }
}

#[test]
fn the_log_is_followed_into_a_new_file() {
    let daemon = Daemon::start(&Options::new().kv().config(logging("")));
    let file = file(daemon.site());
    let mut command = daemon.site().command(artefacts::chimaera());
    let mut following =
        Running::start(command.args(["--name", daemon.site().name(), "logs", "-f"]));
    let mut until = |what: &str| while !following.line().expect("it goes on").contains(what) {};
    until("ready");
    create(&daemon, "before");
    until("before");
    std::fs::rename(&file, file.with_file_name("own.log.1")).unwrap();
    daemon.cli(&["log", "reopen"]).ok();
    create(&daemon, "after");
    until("after");
    following.signal(Signal::INT);
    following.end();
}

#[test]
fn a_log_that_is_no_file_is_said_so() {
    let daemon = Daemon::start(&Options::new());
    let output = daemon.cli(&["logs"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("logs to its standard error"), "{output:?}");
    assert_eq!(Site::new().cli(&["logs"]).code, 3);
}
