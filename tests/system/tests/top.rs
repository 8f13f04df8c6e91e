//! `chimaera top`.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use chimaera_tests::process::{self, until};
use chimaera_tests::tasks::model;
use chimaera_tests::{artefacts, connect, in_client, Cluster, Daemon, Options, ValuePool};
use rustix::process::{Pid, Signal};
use serde_json::Value;

const MS: u64 = 1_000_000;

fn row<'a>(view: &'a Value, table: &str, key: &str, value: &str) -> &'a Value {
    let rows = view[table].as_array().unwrap();
    rows.iter().find(|row| row[key] == value).unwrap_or(&Value::Null)
}

/// What it shows of a load whose rates are known.
#[test]
fn rates_are_those_of_the_load() {
    in_client!(
        Options::new().model().config("workers: {low_latency: {count: 1}, standby: 0}\n"),
        |site| {
            let pool = ValuePool::new(connect(), model::MODULE, "one");
            let stop = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                // Half of the time, and a hundred times a second.
                scope.spawn(|| {
                    let mut next = Instant::now();
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        pool.call(model::COMPUTE, 5 * MS, 0);
                        next += Duration::from_millis(10);
                        std::thread::sleep(next.saturating_duration_since(Instant::now()));
                    }
                });
                until("its times are known", || {
                    let found = site.cli(&["top", "--json", "-n", "1", "-i", "1"]).ok().json();
                    let method = row(&found, "methods", "method", "kCompute");
                    let calls = method["calls_per_s"].as_f64()?;
                    let busy = found["workers"][0]["busy"].as_f64()?;
                    let p50 = method["p50_ns"].as_u64()?;
                    // A busy machine makes all of it slower, but never faster.
                    (calls > 5.0 && calls < 102.0 && busy > 0.025 && busy < 0.75 && p50 > 4 * MS)
                        .then_some(())
                });
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            let found = site.cli(&["top", "--json", "-n", "1", "-i", "0.3"]).ok().json();
            let method = row(&found, "methods", "method", "kCompute");
            assert!(method["calls_per_s"] == 0.0 && method["p50_ns"].is_null(), "{method}");
            let long = pool.submit(model::COMPUTE, 1000 * MS);
            until("it runs", || {
                let found = site.cli(&["top", "--json", "-n", "1", "-i", "0.2"]).ok().json();
                let worker = &found["workers"][0];
                (worker["busy"] == 1.0 && worker["running"]["method"] == "kCompute").then_some(())
            });
            long.wait().unwrap();
            let text = site.cli(&["top", "--batch", "-n", "2", "-i", "0.1"]).ok().stdout;
            assert_eq!(text.matches("kCompute").count(), 2, "{text}");
            let refused = site.cli(&["top"]);
            assert_eq!(refused.code, 2, "{refused:#?}");
            assert!(refused.stderr.contains("use --batch"), "{refused:#?}");
        }
    );
}

/// Each write has 8192 bytes, and each read half of that.
#[test]
fn devices_are_shown_with_their_load() {
    in_client!(Options::new().bdev(), |site| {
        use chimaera_bdev_client::{Client, Params};
        connect();
        let params = Params { blocks: 64, ..Params::default() };
        let (disk, unused) = (Client::create("disk", params.clone()), Client::create("b", params));
        let (disk, _) = (disk.unwrap(), unused.unwrap());
        let start = disk.allocate(2).unwrap()[0].block;
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                connect();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    disk.write(start, [7; 8192]).unwrap();
                    disk.read(start, 1).unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            until("its rates are known", || {
                let found = site.cli(&["top", "--json", "-n", "1", "-i", "1"]).ok().json();
                let device = row(&found, "devices", "pool", "disk");
                let of = |name: &str| device[name].as_f64();
                let writes = of("writes_per_s").filter(|rate| *rate > 10.0)?;
                let reads = of("reads_per_s").filter(|rate| *rate > 10.0)?;
                // The rest of a task is in it, too, and one may be counted before its bytes are.
                let (written, read) = (of("written_bytes_per_s")?, of("read_bytes_per_s")?);
                let is_so = (8000.0..8400.0).contains(&(written / writes))
                    && (3900.0..4300.0).contains(&(read / reads))
                    && device["write_p99_ns"].is_u64()
                    && device["flush_p99_ns"].is_null();
                is_so.then_some(())
            });
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let found = site.cli(&["top", "--json", "-n", "1", "-i", "0.1"]).ok().json();
        assert_eq!(row(&found, "devices", "pool", "b")["writes_per_s"], 0.0, "{found}");
        let text = site.cli(&["top", "--batch", "-n", "1", "-i", "0.1"]).ok().stdout;
        assert!(text.contains("DEVICE") && !text.contains("NODE "), "{text}");
    });
}

#[test]
fn nodes_are_shown_as_this_one_sees_them() {
    let mut cluster = Cluster::start(2, &[]);
    cluster.until_all_are_members();
    let names = [0, 1].map(|node| cluster.site(node).name().to_owned());
    let view = |cluster: &Cluster| {
        cluster.site(0).cli(&["top", "--json", "-n", "1", "-i", "0.1"]).ok().json()
    };
    let other = until("the other one answers", || {
        let found = view(&cluster);
        let other = row(&found, "nodes", "name", &names[1]);
        other["round_trip_us"].is_u64().then(|| other.clone())
    });
    assert_eq!((&other["standing"], &other["own"]), (&"member".into(), &false.into()), "{other}");
    assert!(other["connected_ms"].is_u64() && other["last_byte_ms"].is_u64(), "{other}");
    let found = view(&cluster);
    assert_eq!(row(&found, "nodes", "name", &names[0])["own"], true, "{found}");
    let leading = found["nodes"].as_array().unwrap().iter().filter(|node| node["leads"] == true);
    assert_eq!(leading.count(), 1, "{found}");
    let metric = |cluster: &Cluster, name: &str| {
        let text = cluster.site(0).cli(&["metrics"]).ok().stdout;
        let start = format!("{name}{{node=\"{}\"}} ", names[1]);
        text.lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
    };
    assert_eq!(metric(&cluster, "chimaera_node_connected").unwrap(), "1");
    cluster.kill(1);
    until("it is away", || {
        let found = view(&cluster);
        row(&found, "nodes", "name", &names[1])["connected_ms"].is_null().then_some(())
    });
    assert_eq!(metric(&cluster, "chimaera_node_connected").unwrap(), "0");
    let text = cluster.site(0).cli(&["top", "--batch", "-n", "1", "-i", "0.1"]).ok().stdout;
    assert!(text.contains("not connected") && text.contains("this node"), "{text}");
}

/// It ends when nobody reads what it prints.
#[test]
fn a_reader_that_goes_away_ends_it() {
    let daemon = Daemon::start(&Options::new());
    for format in ["--batch", "--json"] {
        let mut command = daemon.site().command(artefacts::chimaera());
        command.args(["top", format, "-i", "0.01"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut byte = [0];
        child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
        let ended = process::wait(&mut child, Duration::from_secs(20)).expect("it ends");
        assert!(ended.success(), "{ended}");
    }
    let other = daemon.site().sibling("none");
    let output = other.cli(&["top", "--json"]);
    assert_eq!((output.code, output.lines().len()), (3, 1), "{output:#?}");
}

/// A program on a terminal of its own.
struct Terminal {
    keys: File,
    shown: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
    child: std::process::Child,
}

impl Terminal {
    fn start(mut command: Command) -> Terminal {
        let size = libc::winsize { ws_row: 40, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut own, mut theirs, any) = (0, 0, ptr::null_mut());
        // SAFETY: the numbers and the size outlive the call; the name and the settings may be left out.
        let made = unsafe { libc::openpty(&mut own, &mut theirs, any, ptr::null(), &size) };
        assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the call has made them, and nobody else has them.
        let [own, theirs] = [own, theirs].map(|end| unsafe { File::from_raw_fd(end) });
        // Otherwise the child keeps the other end open.
        rustix::io::fcntl_setfd(&own, rustix::io::FdFlags::CLOEXEC).unwrap();
        let end = |file: &File| Stdio::from(OwnedFd::from(file.try_clone().unwrap()));
        command.stdin(end(&theirs)).stdout(end(&theirs)).stderr(end(&theirs)).env("TERM", "xterm");
        let child = command.spawn().unwrap();
        drop((theirs, command));
        let mut output = own.try_clone().unwrap();
        let (send, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It fails once the other end is closed.
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let of = |count| NonZero::new(count).unwrap();
        let screen = vt100::Parser::new(of(size.ws_row), of(size.ws_col), 0);
        Terminal { keys: own, shown, screen, child }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    fn wait_until(&mut self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !is_so(self.screen.screen()) {
            let left = until.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(more) => self.screen.process(&more),
                Err(error) => panic!("{what} ({error}):\n{}", self.screen.screen().contents()),
            }
        }
    }

    /// Waits until this is shown.
    #[track_caller]
    fn wait_for(&mut self, part: &str) {
        self.wait_until(part, |screen| screen.contents().contains(part));
    }

    /// Waits until this is shown no more.
    #[track_caller]
    fn wait_without(&mut self, part: &str) {
        self.wait_until(part, |screen| !screen.contents().contains(part));
    }
}

#[test]
fn it_is_used_by_keys() {
    let mut daemon = Daemon::start(&Options::new().kv());
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    daemon.cli(&["call", "store", "put", "key=a", "value=b"]).ok();
    let mut command = daemon.site().command(artefacts::chimaera());
    command.args(["top", "-i", "0.2"]);
    let mut terminal = Terminal::start(command);
    terminal.wait_for("kPut");
    terminal.wait_for("worker 0");
    terminal.press("/");
    terminal.press("kCreate\r");
    terminal.wait_for("only rows with \"kCreate\"");
    terminal.wait_without("kPut");
    terminal.press("\x1b");
    terminal.wait_for("kPut");
    terminal.press("<<");
    terminal.wait_for("POOL v");
    terminal.press("2");
    terminal.wait_for("THROTTLED");
    terminal.press("3");
    terminal.wait_for("low latency");
    terminal.press("?");
    terminal.wait_for("another table");
    terminal.press("x");
    terminal.wait_without("another table");
    // It stays when the runtime ends: that may be started again.
    daemon.stop();
    terminal.wait_for("is not running");
    terminal.press("q");
    terminal.wait_until("the screen is as before", |screen| !screen.alternate_screen());
    assert!(terminal.child.wait().unwrap().success());
}

#[test]
fn whoever_ends_it_finds_the_screen_as_before() {
    let daemon = Daemon::start(&Options::new());
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut command = daemon.site().command(artefacts::chimaera());
        command.arg("top");
        let mut terminal = Terminal::start(command);
        terminal.wait_for("worker 0");
        let pid = Pid::from_child(&terminal.child);
        rustix::process::kill_process(pid, signal).unwrap();
        terminal.wait_until("the screen is as before", |screen| !screen.alternate_screen());
        terminal.child.wait().unwrap();
    }
}

/// A runtime that does not answer keeps nobody from leaving.
#[test]
fn keys_are_read_while_the_runtime_is_silent() {
    let daemon = Daemon::start(&Options::new());
    let mut command = daemon.site().command(artefacts::chimaera());
    command.args(["top", "-i", "0.2"]);
    let mut terminal = Terminal::start(command);
    terminal.wait_for("worker 0");
    process::pause(Pid::from_raw(daemon.pid() as i32).unwrap());
    terminal.wait_for("it has not answered for");
    terminal.press("3");
    terminal.wait_for("low latency");
    terminal.press("q");
    terminal.wait_until("the screen is as before", |screen| !screen.alternate_screen());
    terminal.child.wait().unwrap();
    daemon.signal(Signal::CONT);
}
