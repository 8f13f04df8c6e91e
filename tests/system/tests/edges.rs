//! Clients at the edges: of their process's life, of their session's, of what the system provides.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chimaera::abi::{chi_status, CHI_INVALID, CHI_UNAVAILABLE, CHI_VERSION};
use chimaera::{DomainQuery, NewTask, ShmBytes, ShmString, Task};
use chimaera_kv_client::GetTask;
use chimaera_tests::tasks::{model, throws};
use chimaera_tests::{
    artefacts, connect, in_client, process, text_of, Call, Daemon, Options, Output, Running, Site,
    ValuePool,
};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{kill_process, Pid, Signal};

fn program() -> PathBuf {
    artefacts::program("cpp_edges")
}

#[track_caller]
fn edges(site: &Site, args: &[&str]) -> Output {
    site.run(program(), args)
}

#[track_caller]
fn succeeds(site: &Site, args: &[&str]) {
    let output = edges(site, args);
    assert!(output.code == 0 && output.stdout.ends_with("CHI_OK \n"), "{args:?}: {output:#?}");
}

/// How many keys the clients have put.
#[track_caller]
fn keys(site: &Site) -> u64 {
    edges(site, &["count"]).ok().stdout.trim().parse().expect("it says a number")
}

fn learning(site: &Site, how: &str) -> Running {
    let mut client = Running::start(site.command(program()).args(["learn", how]));
    assert_eq!(client.line().as_deref(), Some("ready"), "{how}");
    client
}

const WAYS: [&str; 5] = ["parked", "bounded", "polling", "asking", "word"];

#[test]
fn whoever_waits_or_polls_learns_of_the_end() {
    for stopped in [false, true] {
        let mut daemon = Daemon::start(&Options::new().kv());
        let site = daemon.site().clone();
        let clients = WAYS.map(|how| (how, learning(&site, how)));
        if stopped {
            daemon.stop();
        } else {
            daemon.kill();
        }
        for (how, mut client) in clients {
            let learnt = client.line().expect("it learns of it");
            let name = learnt.split(' ').next().unwrap();
            // A stop cancels the task, if there is time for that.
            let cancelled = stopped && name == "CHI_CANCELLED";
            assert!(name == "CHI_UNAVAILABLE" || cancelled, "{how}: {learnt}");
            let says_so = learnt.contains("is not available: it has stopped");
            assert!(says_so || how == "word" || cancelled, "{how}: {learnt}");
            assert_eq!(client.end(), 0);
        }
    }
}

#[test]
fn a_parked_client_is_hardly_ever_awake() {
    let daemon = Daemon::start(&Options::new().kv());
    let client = learning(daemon.site(), "parked");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let before = process::switches(client.pid());
    std::thread::sleep(std::time::Duration::from_secs(3));
    let awake = process::switches(client.pid()) - before;
    assert!(awake <= 5, "it was awake {awake} times in 3 s");
}

#[test]
fn destructors_of_the_process_and_of_threads_call() {
    for (how, count) in [("atexit", 2), ("static", 2), ("thread_local", 103), ("key", 3)] {
        let daemon = Daemon::start(&Options::new().kv());
        succeeds(daemon.site(), &["exit", how]);
        assert_eq!(keys(daemon.site()), count, "{how}");
    }
}

/// `main` may end its thread, and the process then ends with its last one.
#[test]
fn the_library_keeps_no_process_alive() {
    let daemon = Daemon::start(&Options::new().kv());
    succeeds(daemon.site(), &["leave"]);
}

#[test]
fn the_library_takes_no_signals() {
    let daemon = Daemon::start(&Options::new().kv());
    succeeds(daemon.site(), &["signal"]);
}

#[test]
fn a_child_forked_without_a_session_may_connect() {
    let daemon = Daemon::start(&Options::new().kv());
    for when in ["none", "failed", "shutdown"] {
        succeeds(daemon.site(), &["fork", when]);
    }
}

#[test]
fn a_client_without_descriptors_is_told_so() {
    let daemon = Daemon::start(&Options::new().kv());
    for left in 0..8 {
        let output = edges(daemon.site(), &["descriptors", &left.to_string()]).ok();
        let refused = output.stdout.starts_with("CHI_IO ")
            && output.stdout.to_lowercase().contains("too many open files");
        assert!(refused || output.stdout == "CHI_OK \n", "{left}: {output:?}");
    }
    succeeds(daemon.site(), &["descriptors", "8"]);
}

/// As programs do that tidy up temporary directories.
#[test]
fn a_runtime_whose_socket_is_removed_says_so() {
    let mut daemon = Daemon::start(&Options::new().kv());
    let lines = |daemon: &Daemon| daemon.log().matches("the socket was removed").count();
    // What others have beside it may go.
    let beside = daemon.site().socket().with_file_name("another.sock");
    std::fs::write(&beside, "").unwrap();
    std::fs::remove_file(&beside).unwrap();
    std::fs::remove_dir_all(beside.parent().unwrap()).unwrap();
    process::until("it says so", || (lines(&daemon) == 1).then_some(()));
    daemon.signal(Signal::TERM);
    assert_eq!((daemon.end(), lines(&daemon)), (0, 1), "{}", daemon.log());
}

/// As programs do that become daemons. The worker is asleep, and cannot be woken any more.
#[test]
fn a_client_that_has_closed_its_descriptors_is_told_so() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(throws::MODULE, "throws", b"").unwrap();
        let task = || ipc.task::<throws::NumberTask>(pool, throws::SLEEP);
        task().call().unwrap();
        // SAFETY: nothing that still runs in this process needs them, but the session.
        unsafe { libc::close_range(3, u32::MAX, 0) };
        // As long as the worker is awake, it needs not be woken.
        let mut failed = false;
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(20));
            match task().call() {
                Ok(_) => {}
                Err(status) => {
                    assert_eq!(status.code(), CHI_UNAVAILABLE, "{status}");
                    failed = true;
                    break;
                }
            }
        }
        assert!(failed, "the worker has never slept");
        // It does not wait for what cannot come.
        chimaera::client::shutdown();
    });
}

#[test]
fn a_task_that_was_refused_is_not_in_flight() {
    let daemon = Daemon::start(&Options::new().kv());
    succeeds(daemon.site(), &["crowd"]);
}

fn connection(socket: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(socket)?)?;
    Ok(fd)
}

/// The process of a runtime may be stopped, by a debugger for example.
#[test]
fn a_runtime_that_does_not_answer_is_given_up() {
    let daemon = Daemon::start(&Options::new().kv());
    let site = daemon.site();
    daemon.signal(Signal::STOP);
    let given_up = |args: &[&str]| {
        let output = edges(site, args).ok();
        let why = "is not available: it is not responding (no answer within 5 s)";
        assert!(output.stdout.starts_with("CHI_UNAVAILABLE "), "{output:?}");
        assert!(output.stdout.contains(why), "{output:?}");
    };
    given_up(&["init"]);
    given_up(&["init", "50"]);
    let backlog: Vec<OwnedFd> = std::iter::from_fn(|| connection(&site.socket()).ok()).collect();
    given_up(&["init"]);
    given_up(&["init", "50"]);
    drop(backlog);
    daemon.signal(Signal::CONT);
    succeeds(site, &["init"]);
}

/// New threads that give up on a runtime that is stopped for a while do not end the session: the tasks of others go on,
/// and so do later threads.
#[test]
fn threads_that_give_up_end_no_task_of_others() {
    in_client!(Options::new().model(), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "sleeps");
        let call = || pool.task(model::TICKS, 0, 0).call().map(drop);
        let sleeps = pool.task(model::SLEEP, 7_000_000_000, 0).submit().unwrap();
        let daemon = site.status()["pid"].as_i64().and_then(|it| Pid::from_raw(it as i32)).unwrap();
        process::pause(daemon);
        let before = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(call)).collect();
            for thread in threads {
                let (status, message) = text_of(thread.join().unwrap());
                assert_eq!(status, CHI_UNAVAILABLE, "{message}");
                assert!(message.contains("no answer within 5 s"), "{message}");
            }
        });
        assert!(before.elapsed() < Duration::from_secs(10), "they have waited one after another");
        kill_process(daemon, Signal::CONT).unwrap();
        for _ in 0..3 {
            std::thread::scope(|scope| scope.spawn(call).join().unwrap().unwrap());
        }
        sleeps.wait().unwrap();
    });
}

#[test]
fn a_wait_does_not_wait_for_another_thread_s_connection() {
    let mut daemon = Daemon::start(&Options::new().kv());
    let mut client = Running::start(daemon.site().command(program()).arg("reconnect"));
    assert_eq!(client.line().as_deref(), Some("ready"));
    daemon.kill();
    let modules = daemon.site().path().join("modules");
    let successor = Daemon::start_at(daemon.site().clone(), &Options::new().repo_path(modules));
    successor.signal(Signal::STOP);
    client.say("go");
    assert_eq!(client.line().as_deref(), Some("first"), "the wait came after the connection");
    assert!(client.line().unwrap().starts_with("CHI_UNAVAILABLE "));
    successor.signal(Signal::CONT);
    assert_eq!(client.end(), 0);
}

#[test]
fn an_instance_that_starts_says_so_until_it_lets_clients_in() {
    let site = Site::new();
    for _ in 0..5 {
        let daemon = {
            let site = site.clone();
            std::thread::spawn(move || Daemon::start_at(site, &Options::new().workers(1)))
        };
        process::until("the start", || {
            let found = site.cli(&["status"]);
            assert!(found.code == 0 || found.code == 3, "{found:?}");
            (found.code == 0).then_some(())
        });
        site.cli(&["modules"]).ok();
        succeeds(&site, &["init"]);
        drop(daemon.join().expect("it starts"));
    }
    // A daemon that was killed leaves its page behind.
    for _ in 0..20 {
        let starting = {
            let site = site.clone();
            std::thread::spawn(move || Daemon::start_at(site, &Options::new().workers(1)))
        };
        let pid = process::until("the start", || {
            let found = site.cli(&["status", "--json"]);
            assert!(found.code == 0 || found.code == 3, "{found:?}");
            (found.code == 0).then(|| found.json()["pid"].as_u64())
        });
        let mut daemon = starting.join().expect("it starts");
        assert_eq!(pid, Some(daemon.pid().into()), "the status of a daemon that is gone");
        daemon.kill();
    }
}

/// Runs a program in its own namespaces. Not every user may.
fn unshared(command: &Command, options: &[&str]) -> Option<Command> {
    let probe = Command::new("unshare").args(options).arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("\n*** SKIPPED: unshare {options:?} is not allowed here ***\n");
        return None;
    }
    let mut inside = Command::new("unshare");
    inside.args(options).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    Some(inside)
}

const DAY: [&str; 3] = ["--time", "--monotonic=86400", "--boottime=86400"];

/// The outcome of a task that would take forever, and of one that takes no time.
#[track_caller]
fn deadlines(client: impl Fn(&[&str]) -> Command) {
    let late = process::run(&mut client(&["deadline", "300", "1000000000000"])).ok();
    assert!(late.stdout.starts_with("CHI_DEADLINE "), "{late:?}");
    let early = process::run(&mut client(&["deadline", "3600000", "3"])).ok();
    assert_eq!(early.stdout, "CHI_OK \n", "{early:?}");
}

#[test]
fn deadlines_are_right_across_time_namespaces() {
    let client = |site: &Site, args: &[&str]| {
        let mut command = site.command(program());
        command.args(args);
        command
    };
    let options = Options::new().throws();
    let outside = Daemon::start(&options);
    deadlines(|args| client(outside.site(), args));
    let site = Site::new();
    let Some(inside) = unshared(&options.command(&site), &DAY) else { return };
    let inside = Daemon::run(site, inside);
    deadlines(|args| client(inside.site(), args));
    deadlines(|args| unshared(&client(outside.site(), args), &DAY).expect("it was allowed"));
}

#[test]
fn a_client_outside_the_pid_namespace_of_the_daemon_is_let_in() {
    let site = Site::new();
    let options = Options::new().kv();
    let namespace = ["--pid", "--fork", "--kill-child=KILL"];
    let Some(mut inside) = unshared(&options.command(&site), &namespace) else { return };
    let mut daemon = Running::start(&mut inside);
    process::until("it is ready", || (site.cli(&["status"]).code == 0).then_some(()));
    succeeds(&site, &["fork", "none"]);
    site.cli(&["stop"]).ok();
    assert_eq!(daemon.end(), 0);
}

/// Every spelling of a directory means the same instance.
#[test]
fn directories_of_every_kind() {
    let site = Site::new();
    let nowhere = site.path().join("nowhere");
    std::os::unix::fs::symlink("/nothing/there", &nowhere).expect("the name is free");
    let mut command = site.command(artefacts::chimaera());
    let refused = process::run(command.env("CHI_RUNTIME_DIR", &nowhere).arg("start"));
    assert_eq!(refused.code, 1, "{refused:?}");
    let why = "it is a link to /nothing/there, which does not exist";
    assert!(refused.stderr.contains(why), "{refused:?}");
    let long = "long".repeat(40);
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff");
    for name in [std::ffi::OsStr::new("plain"), std::ffi::OsStr::new(&long), odd] {
        let directory = site.path().join(name);
        std::fs::create_dir(&directory).expect("the name is free");
        let link = site.path().join("link");
        std::os::unix::fs::symlink(&directory, &link).expect("the name is free");
        let twice = PathBuf::from(directory.to_string_lossy().replace('/', "//"));
        let mut spellings = vec![directory.clone(), link.clone(), PathBuf::from("link")];
        spellings.push(PathBuf::from(".").join(name));
        if directory.to_str().is_some() {
            spellings.push(twice);
        }
        let variables = ["XDG_RUNTIME_DIR", "CHI_RUNTIME_DIR"];
        let ways = spellings.iter().flat_map(|spelling| variables.map(|name| (name, spelling)));
        for (variable, spelling) in ways {
            let at = |program: PathBuf, spelling: &Path| {
                let mut command = site.command(program);
                command.env(variable, spelling).current_dir(site.path());
                command
            };
            let cli = |spelling: &Path, args: &[&str]| {
                process::run(at(artefacts::chimaera(), spelling).args(args))
            };
            cli(spelling, &["start", "--daemon", "--workers", "1"]).ok();
            for other in &spellings {
                cli(other, &["status"]).ok();
                cli(other, &["status", "--json"]).ok().json();
                let found = process::run(at(program(), other).arg("init")).ok();
                assert_eq!(found.stdout, "CHI_OK \n", "{}: {found:?}", other.display());
                let again = cli(other, &["start"]);
                assert!(again.stderr.contains("is already running"), "{again:?}");
            }
            cli(&spellings[0], &["stop"]).ok();
        }
        std::fs::remove_file(link).expect("it is there");
    }
}

/// The flags of a segment's mapping in a process.
fn segment_flags(pid: u32) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).expect("it runs");
    let mut inside = false;
    let mut found = Vec::new();
    for line in maps.lines() {
        if line.split_whitespace().next().is_some_and(|word| word.contains('-')) {
            inside = line.contains("chimaera-segment");
        } else if inside && line.starts_with("VmFlags:") {
            found.push(line.to_owned());
        }
    }
    found
}

#[test]
fn core_files_have_segments_only_if_asked() {
    for asked in [false, true] {
        let value = if asked { "1" } else { "" };
        let site = Site::new();
        let mut command = Options::new().kv().command(&site);
        command.env("CHI_DUMP_SEGMENTS", value);
        let daemon = Daemon::run(site, command);
        let mut command = daemon.site().command(program());
        let mut client =
            Running::start(command.env("CHI_DUMP_SEGMENTS", value).args(["learn", "parked"]));
        assert_eq!(client.line().as_deref(), Some("ready"));
        for pid in [daemon.pid(), client.pid()] {
            let flags = segment_flags(pid);
            assert!(!flags.is_empty());
            let left_out = flags.iter().all(|flags| flags.contains(" dd"));
            assert_eq!(left_out, !asked, "process {pid}: {flags:?}");
        }
    }
}

/// Runs the program `chimaera` in a shell in which each process has few addresses.
#[track_caller]
fn in_narrow_shell(site: &Site, args: &[&str]) -> Output {
    let script = "ulimit -v 300000 && exec \"$0\" \"$@\"";
    let mut shell = site.command("sh");
    shell.arg("-c").arg(script).arg(artefacts::chimaera()).args(["--name", site.name()]);
    process::run(shell.args(args))
}

/// Ends the daemon of a site, whatever the test has found.
struct End<'s>(&'s Site);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut stop = self.0.command(artefacts::chimaera());
        // It fails if there is no daemon.
        let _ = stop.args(["--name", self.0.name(), "stop", "--force"]).output();
    }
}

#[test]
fn all_commands_work_in_a_shell_with_few_addresses() {
    let site = Site::new();
    let _end = End(&site);
    let path = site.directory_of("modules", &[artefacts::rust_module("chimaera_kv")]);
    let path = path.to_str().unwrap();
    let run = |args: &[&str]| in_narrow_shell(&site, args);
    run(&["start", "--daemon", "--workers", "2", "--modules", path]).ok();

    let list = site.path().join("pools.yaml");
    std::fs::write(&list, "pools:\n- {name: listed, module: 'chimaera:kv'}\n").unwrap();
    let list = list.to_str().unwrap();
    // The longest parameters there may be arrive, even if the module has no use for them.
    let params = site.path().join("params");
    std::fs::write(&params, vec![b'x'; 1 << 20]).unwrap();
    let refused = run(&[
        "pool",
        "create",
        "p",
        "--module",
        "chimaera:kv",
        "--params-file",
        params.to_str().unwrap(),
    ]);
    assert!(refused.code == 1 && refused.stderr.contains("parameter"), "{refused:#?}");

    for args in [
        &["status"][..],
        &["modules", "--methods"],
        &["sessions"],
        &["pool", "create", "p", "--module", "chimaera:kv"],
        &["pool", "create", "p", "--module", "chimaera:kv", "--on-crash", "abort"],
        &[
            "pool",
            "create",
            "q",
            "--module",
            "chimaera:kv",
            "--containers",
            "9",
            "--allow-call",
            "",
        ],
        &["pool", "list"],
        &["pool", "migrate", "q"],
        &["pool", "show", "p"],
        &["pool", "destroy", "p"],
        &["compose", "up", list],
        &["compose", "down", list],
        &["log", "level", "debug"],
        &["log", "level"],
        &["log", "reopen"],
    ] {
        run(args).ok();
    }
    for (args, why) in [
        (&["sessions", "kill", "12345"][..], "12345"),
        (&["pool", "reset", "q"], "is not in quarantine"),
        (&["pool", "grow", "q", "1"], "offers no kGrow"),
        (&["pool", "compact", "q"], "create its pool with a path"),
    ] {
        let refused = run(args);
        assert!(refused.code == 1 && refused.stderr.contains(why), "{refused:#?}");
    }
    run(&["stop"]).ok();
    run(&["start", "--daemon", "--workers", "2", "--modules", path]).ok();
    run(&["stop", "--force"]).ok();
}

/// Tasks that authors declare in C++ have a fingerprint, too: a client is refused whose task is as large as
/// the module's, but has another number or other elements in it.
#[test]
fn a_client_with_another_declaration_in_cpp_is_refused() {
    let daemon = Daemon::start(&Options::new().mod_name());
    let output = edges(daemon.site(), &["declared"]).ok();
    let lines: Vec<&str> = output.stdout.lines().collect();
    let [same, number, element] = lines[..] else { panic!("three lines: {lines:?}") };
    assert_eq!(same.trim_end(), "same: CHI_OK");
    let why =
        "CHI_VERSION client built from another description of example:mod_name kCompress; rebuild";
    assert_eq!(number, format!("another number: {why}"));
    assert_eq!(element, format!("another element: {why}"));
}

/// The same in Rust, where the names of the fields count, too. A task with `description = 0` is compared by
/// its size alone.
#[test]
fn a_client_with_another_declaration_in_rust_is_refused() {
    in_client!(Options::new().kv(), |_| {
        let pool = connect().create_pool("chimaera:kv", "edges", b"").unwrap();
        let (same, swapped, unchecked) = (
            tell(connect().new_task::<GetTask>(pool, DomainQuery::dynamic(), 11).unwrap()),
            tell(connect().new_task::<Swapped>(pool, DomainQuery::dynamic(), 11).unwrap()),
            tell(connect().new_task::<Unchecked>(pool, DomainQuery::dynamic(), 11).unwrap()),
        );
        assert_eq!(same.0, CHI_INVALID, "{}", same.1);
        assert_eq!(swapped.0, CHI_VERSION, "{}", swapped.1);
        let why = "client built from another description of chimaera:kv kGet; rebuild";
        assert!(swapped.1.contains(why), "{}", swapped.1);
        assert_eq!(unchecked.0, CHI_INVALID, "{}", unchecked.1);
    });
}

/// `GetTask` as it might have been before: as large.
#[chimaera::task]
struct Swapped {
    #[chi(in)]
    name: ShmString,
    #[chi(out)]
    value: ShmBytes,
}

/// The same, not to be compared.
#[chimaera::task(description = 0)]
struct Unchecked {
    #[chi(in)]
    name: ShmString,
    #[chi(out)]
    value: ShmBytes,
}

fn tell<T: Task>(task: NewTask<T>) -> (chi_status, String) {
    text_of(task.call().map(drop))
}
