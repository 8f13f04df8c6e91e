//! Pools with `isolation: process`: a module host runs their containers, and everything that a module can
//! do works there.

use std::time::{Duration, Instant};

use chimaera::abi::{CHI_CANCELLED, CHI_DEADLINE, CHI_DEADLOCK, CHI_FAULT, CHI_REASON_CRASHED};
use chimaera::{DomainQuery, Ipc, NewTask, PoolId, PoolOptions, Task};
use chimaera_test_life_client as life;
use chimaera_test_model_client as model;
use chimaera_test_rust_faults_client as faults;
use chimaera_test_spread_client as spread;
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::{artefacts, bytes, connect, in_client, process, text_of};
use chimaera_tests::{Call, Daemon, Options, Running, Site, ValuePool};
use rustix::process::{kill_process, Pid, Signal};

const SECOND: u64 = 1_000_000_000;

/// Options with pools of these modules in processes of their own.
fn isolated(options: Options, modules: &[&str], more: &str) -> Options {
    let modules: Vec<String> = modules.iter().map(|module| format!("\"{module}\"")).collect();
    let modules = modules.join(", ");
    options.config(format!("workers: 2\nmodule_hosts:\n  modules: [{modules}]\n{more}"))
}

/// The process that runs a pool.
fn host_of(site: &Site, pool: &str) -> i32 {
    let found = site.pool(pool);
    assert_eq!(found["isolation"], "process", "{found}");
    i32::try_from(found["host"]["pid"].as_u64().unwrap_or_else(|| panic!("{found}"))).unwrap()
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn runs(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

fn mortal(daemon: &Daemon, args: &[&str]) -> Running {
    let mut command = daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal"));
    Running::start(command.args(args))
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let bound = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < bound, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn mistake(ipc: Ipc, pool: PoolId, method: u32, mistake: u64) -> NewTask<CrashTask> {
    let task: NewTask<CrashTask> = ipc.task(pool, method);
    task.mistake.set(mistake);
    task
}

#[track_caller]
fn check_health(ipc: Ipc, pool: PoolId) {
    assert_eq!(mistake(ipc, pool, crash::HEALTH, 77).call().unwrap().result.get(), 77);
}

fn echo(ipc: Ipc, pool: PoolId, input: &[u8]) -> Vec<u8> {
    let task: NewTask<faults::EchoTask> = ipc.task(pool, faults::Method::ECHO);
    task.input.set(input).unwrap();
    task.call().unwrap().output.copy_to_vec().unwrap()
}

#[test]
fn strings_and_vectors_of_every_size_come_back() {
    in_client!(isolated(Options::new().rust_faults(), &[faults::MODULE], ""), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "far", b"").unwrap();
        assert!(runs(host_of(site, "far")));
        for len in [0, 1, 7, 8, 63, 64, 65, 4096, 65_536, 1 << 20, 10 << 20] {
            assert_eq!(echo(ipc, pool, &bytes(len)), bytes(len), "{len}");
        }
        let task: NewTask<faults::FaultTask> = ipc.task(pool, faults::Method::ERROR);
        task.text.set("why not").unwrap();
        assert_eq!(text_of(task.call()), (faults::FAULT, "why not".to_owned()));
    });
}

#[test]
fn many_tasks_of_many_threads_are_in_flight_together() {
    in_client!(isolated(Options::new().model(), &[model::RUST, model::MODULE], ""), |_site| {
        let ipc = connect();
        for module in [model::RUST, model::MODULE] {
            let pool = ValuePool::new(ipc, module, module);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(move || {
                        let ticks: Vec<_> =
                            (0..1000).map(|_| pool.submit(model::TICK, 1000)).collect();
                        ticks.into_iter().for_each(|tick| drop(tick.wait().unwrap()));
                    });
                }
            });
            assert_eq!(pool.call(model::TICKS, 0, 0), 4000);
            // Subtasks in the same pool.
            assert_eq!(pool.call(model::TREE, 3, 4), 64);
        }
    });
}

#[test]
fn subtasks_go_both_ways() {
    // The pool that calls is isolated, and the one that is called is not; then both.
    for also in [&[][..], &["chimaera:kv"]] {
        let modules: Vec<&str> = [faults::MODULE].into_iter().chain(also.iter().copied()).collect();
        in_client!(isolated(Options::new().rust_faults().kv(), &modules, ""), |_site| {
            let ipc = connect();
            let pool = ipc.create_pool(faults::MODULE, "caller", b"").unwrap();
            for len in [10_usize, 100_000] {
                let task: NewTask<faults::SubcallTask> = ipc.task(pool, faults::Method::SUBCALL);
                task.pool_name.set("called").unwrap();
                task.key.set(format!("key {len}")).unwrap();
                task.value.set(bytes(len)).unwrap();
                assert_eq!(task.call().unwrap().found.copy_to_vec().unwrap(), bytes(len));
            }
            // The pool that the host has created is the daemon's.
            let kv = chimaera_kv_client::Client::find("called").unwrap();
            assert_eq!(kv.get(b"key 10").unwrap(), bytes(10));
        });
    }
}

#[test]
fn a_pool_of_the_daemon_calls_one_in_a_host() {
    in_client!(isolated(Options::new().model(), &[model::RUST], ""), |_site| {
        let ipc = connect();
        let (here, there) =
            (ValuePool::new(ipc, model::MODULE, "here"), ValuePool::new(ipc, model::RUST, "there"));
        let call = |from: ValuePool, to: ValuePool, method: u32| {
            let task = from.task(model::CALL, 1000, method.into());
            task.other.set(to.id);
            task.call().unwrap();
        };
        for _ in 0..50 {
            call(here, there, model::TICK);
            call(there, here, model::TICK);
        }
        assert_eq!(there.call(model::TICKS, 0, 0), 50);
        assert_eq!(here.call(model::TICKS, 0, 0), 50);
    });
}

#[test]
fn cancellation_and_deadlines_reach_the_method() {
    in_client!(isolated(Options::new().model(), &[model::RUST], ""), |_site| {
        let ipc = connect();
        let pool = ValuePool::new(ipc, model::RUST, "far");
        for method in [model::SLEEP, model::ASK] {
            let task = pool.submit(method, 3600 * SECOND);
            assert!(!task.is_complete());
            task.cancel().unwrap();
            assert_eq!(text_of(task.wait()).0, CHI_CANCELLED);
            let task = pool.task(method, 3600 * SECOND, 0);
            task.base().set_deadline(Duration::from_millis(20));
            let (status, message) = text_of(task.call());
            assert_eq!(status, CHI_DEADLINE, "{message}");
        }
        assert_eq!(pool.call(model::TICK, 0, 0), 1);
    });
}

#[test]
fn a_periodic_task_runs_in_the_host() {
    in_client!(isolated(Options::new().model(), &[model::RUST], ""), |_site| {
        let ipc = connect();
        let pool = ValuePool::new(ipc, model::RUST, "far");
        let task = pool.task(model::TICK, 0, 0);
        task.base().set_period(Duration::from_millis(1));
        let task = task.submit().unwrap();
        wait_until("it runs again and again", || pool.call(model::TICKS, 0, 0) > 20);
        task.cancel().unwrap();
        assert_eq!(text_of(task.wait()).0, CHI_CANCELLED);
    });
}

#[test]
fn a_crash_ends_the_host_only_and_another_takes_its_place() {
    let crashes = isolated(Options::new().crash(), &[crash::MODULE], "  restarts: 100\n");
    let log = in_client!(crashes, |site| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        let mistakes = [
            (crash::FAULTS[0].0, "SIGSEGV at 0x8"),
            (crash::ABORT, "SIGABRT"),
            (crash::EXITS[0], "exit(0) was called"),
            (crash::EXITS[3], "_exit(0) was called"),
        ];
        for (number, (what, words)) in (1..).zip(mistakes) {
            check_health(ipc, pool);
            let before = host_of(site, "fragile");
            let suspended = mistake(ipc, pool, crash::SLEEP, 3600 * SECOND).submit().unwrap();
            let (status, message) = text_of(mistake(ipc, pool, crash::CRASH, what).call());
            assert_eq!(status, CHI_FAULT, "{message}");
            let begin = format!(
                "kCrash of pool 'fragile': its module host (process {before}) ended: {words}"
            );
            assert!(message.starts_with(&begin), "{message}");
            assert!(message.contains("libcrash.so"), "{message}");
            let (status, message) = text_of(suspended.wait());
            assert_eq!(status, CHI_FAULT, "{message}");
            assert!(message.contains(words), "{message}");
            check_health(ipc, pool);
            let found = site.pool("fragile");
            assert_eq!(found["state"], "live", "{found}");
            assert_eq!(found["host"]["restarts"], number, "{found}");
            assert!(!runs(before) && host_of(site, "fragile") != before);
        }
    });
    if let Some(log) = log {
        assert!(log.contains("last words"), "{log}");
    }
}

#[test]
fn a_host_that_is_killed_ends_its_tasks_and_is_started_again() {
    let options = isolated(Options::new().model(), &[model::RUST], "  restarts: 100\n");
    in_client!(options, |site| {
        let ipc = connect();
        let pool = ValuePool::new(ipc, model::RUST, "far");
        for _ in 0..5 {
            let tasks: Vec<_> =
                (0..100).map(|_| pool.submit(model::SLEEP, 3600 * SECOND)).collect();
            // Tasks of one thread for one lane are passed on in order, so the others are there.
            pool.call(model::TICK, 0, 0);
            kill(host_of(site, "far"));
            for task in tasks {
                let (status, message) = text_of(task.wait());
                assert_eq!(status, CHI_FAULT, "{message}");
                assert!(message.contains("was killed by SIGKILL"), "{message}");
            }
            assert_eq!(pool.call(model::TICK, 0, 0), 1, "the container is a new one");
        }
    });
}

#[test]
fn a_host_that_ends_too_often_is_in_quarantine_until_it_is_reset() {
    let options = isolated(Options::new().crash(), &[crash::MODULE], "  restarts: 2\n");
    in_client!(options, |site| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        for _ in 0..2 {
            for _ in 0..3 {
                let failed = mistake(ipc, pool, crash::CRASH, crash::ABORT).call();
                assert_eq!(text_of(failed).0, CHI_FAULT);
            }
            wait_until("it is in quarantine", || site.pool("fragile")["state"] == "quarantined");
            let (status, message) = text_of(mistake(ipc, pool, crash::HEALTH, 1).call());
            assert_eq!(status, CHI_FAULT, "{message}");
            assert!(message.contains("`restarts` allows 2"), "{message}");
            assert!(message.contains("`chimaera pool reset fragile`"), "{message}");
            site.cli(&["pool", "reset", "fragile"]).ok();
            check_health(ipc, pool);
        }
    });
}

#[test]
fn an_endless_method_is_killed() {
    let options = isolated(Options::new().model(), &[model::RUST], "  kill_after: 200ms\n");
    in_client!(options, |_site| {
        let ipc = connect();
        let pool = ValuePool::new(ipc, model::RUST, "far");
        // One that yields may take as long as it likes.
        pool.call(model::SLEEP, SECOND / 2, 0);
        let (status, message) = text_of(pool.task(model::COMPUTE, 3600 * SECOND, 0).call());
        assert_eq!(status, CHI_FAULT);
        assert!(message.contains("kCompute of pool 'far' has kept its worker"), "{message}");
        assert!(message.contains("kill_after"), "{message}");
        assert_eq!(pool.call(model::TICK, 0, 0), 1);
    });
}

/// It cannot end the method that takes too long by itself.
#[test]
fn a_host_that_is_stopped_is_killed() {
    let options = isolated(Options::new().model(), &[model::RUST], "  kill_after: 200ms\n");
    in_client!(options, |site| {
        let ipc = connect();
        let pool = ValuePool::new(ipc, model::RUST, "far");
        let sleeping = pool.submit(model::SLEEP, 3600 * SECOND);
        let host = host_of(site, "far");
        pool.call(model::TICK, 0, 0);
        process::pause(Pid::from_raw(host).unwrap());
        let (status, message) = text_of(sleeping.wait());
        assert_eq!(status, CHI_FAULT, "{message}");
        assert!(
            message.contains("has not answered") && message.contains("kill_after"),
            "{message}"
        );
        assert_eq!(pool.call(model::TICK, 0, 0), 1);
        assert_ne!(host_of(site, "far"), host);
    });
}

#[test]
fn a_host_ends_with_its_pool_and_with_the_daemon() {
    in_client!(isolated(Options::new().kv(), &["chimaera:kv"], ""), |site| {
        let kv = {
            connect();
            chimaera_kv_client::Client::create("far", chimaera_kv_client::Params::default())
                .unwrap()
        };
        kv.put(b"a", b"b").unwrap();
        let first = host_of(site, "far");
        site.cli(&["pool", "destroy", "far"]).ok();
        wait_until("it has ended", || !runs(first));
        chimaera_kv_client::Client::create("far", chimaera_kv_client::Params::default()).unwrap();
        let second = host_of(site, "far");
        assert!(runs(second));
    });
}

/// A daemon with a pool of `chimaera:kv` in a process of its own from the start.
fn with_cache(more: &str) -> Options {
    let pool = "pools:\n  - {name: cache, module: \"chimaera:kv\", isolation: process";
    Options::new().kv().config(format!("workers: 2\n{pool}{more}}}\n"))
}

#[test]
fn a_host_ends_in_order_when_the_daemon_stops() {
    let mut daemon = Daemon::start(&with_cache(""));
    let host = host_of(daemon.site(), "cache");
    assert!(runs(host));
    let status = daemon.cli(&["status", "--json"]).ok().json();
    assert_eq!(status["module_hosts"][0]["pid"], host, "{status}");
    assert!(daemon
        .cli(&["status"])
        .ok()
        .stdout
        .contains(&format!("cache: process {host}, running")));
    let says = format!("module host of cache: process {host}, running");
    for command in [&["modules"][..], &["pool", "show", "cache"], &["pool", "list"]] {
        let output = daemon.cli(command).ok();
        assert!(output.stdout.contains(&says), "{output:?}");
    }
    // A service manager sends this to all processes of a service.
    kill_process(Pid::from_raw(host).unwrap(), Signal::TERM).unwrap();
    let create = ["pool", "create", "far", "--module", "chimaera:kv", "--isolation", "process"];
    daemon.cli(&create).ok();
    assert_eq!(host_of(daemon.site(), "cache"), host);
    daemon.stop();
    assert!(!runs(host));
    assert!(!daemon.log().contains("ended badly"), "{}", daemon.log());
}

#[test]
fn a_host_dies_with_a_daemon_that_is_killed() {
    let mut daemon = Daemon::start(&with_cache(""));
    let host = host_of(daemon.site(), "cache");
    daemon.kill();
    wait_until("it has ended", || !runs(host));
}

#[test]
fn an_idle_host_sleeps() {
    in_client!(with_cache(""), |site| {
        connect();
        // So that there are links.
        let kv = chimaera_kv_client::Client::find("cache").unwrap();
        kv.put(b"a", b"b").unwrap();
        let (host, daemon) = (host_of(site, "cache"), site.status()["pid"].as_u64().unwrap());
        let count = || process::switches(host as u32) + process::switches(daemon as u32);
        wait_until("they sleep", || {
            let before = count();
            std::thread::sleep(Duration::from_millis(300));
            count() - before <= 2
        });
    });
}

#[test]
fn tasks_of_a_killed_client_end_in_the_host() {
    let options = Options::new()
        .throws()
        .config("workers: 2\nmodule_hosts: {modules: [\"test:throws_method\"]}\n");
    let daemon = Daemon::start(&options);
    let mut client = mortal(&daemon, &["ended", "100"]);
    assert_eq!(client.line().as_deref(), Some("ready"));
    wait_until("they are there", || daemon.site().pool("test_throws")["tasks"] != 0);
    client.signal(Signal::KILL);
    client.end();
    wait_until("they end", || daemon.site().pool("test_throws")["tasks"] == 0);
    assert!(runs(host_of(daemon.site(), "test_throws")));
}

#[test]
fn a_host_that_takes_too_much_memory_ends() {
    let options = isolated(Options::new().kv(), &["chimaera:kv"], "  memory_limit: 64MiB\n");
    in_client!(options, |site| {
        connect();
        let kv = chimaera_kv_client::Client::create("far", Default::default()).unwrap();
        let value = vec![7; 1 << 20];
        let failed = (0..1000).find_map(|key: u32| kv.put(key.to_le_bytes(), &value).err());
        let failed = failed.expect("it ends before a gigabyte is there");
        assert_eq!(failed.code(), CHI_FAULT);
        assert!(failed.message().contains("memory_limit"), "{}", failed.message());
        wait_until("another one runs", || site.pool("far")["host"]["state"] == "running");
        assert_eq!(site.pool("far")["host"]["restarts"], 1);
        kv.put(b"a", b"b").unwrap();
    });
}

#[test]
fn containers_recover_in_a_new_host() {
    let files = Options::new().file(artefacts::rust_life(1));
    in_client!(isolated(files, &[life::MODULE], ""), |site| {
        let ipc = connect();
        let options = PoolOptions::default().containers(3);
        let pool = ipc.create_pool_with(life::MODULE, "far", b"", options).unwrap();
        let check = |container| {
            let query = DomainQuery::local_id(container);
            ipc.new_task::<life::CheckTask>(pool, query, life::CHECK).unwrap().call().unwrap()
        };
        assert_eq!(check(2).recovered.get(), 0);
        let objects: Vec<u64> = (0..3).map(|container| check(container).object.get()).collect();
        kill(host_of(site, "far"));
        for container in 0..3 {
            wait_until("it runs again", || site.pool("far")["host"]["restarts"] == 1);
            let found = check(container);
            assert!(!objects.contains(&found.object.get()));
            assert_eq!((found.recovered.get(), found.reason.get()), (1, CHI_REASON_CRASHED));
            let why = found.message_text.to_string().unwrap();
            assert!(why.contains("was killed by SIGKILL"), "{why}");
        }
    });
}

#[test]
fn the_log_level_reaches_hosts() {
    let log = in_client!(isolated(Options::new().model(), &[model::RUST], ""), |site| {
        let ipc = connect();
        let [quiet, loud] = ["quiet", "loud"].map(|name| ValuePool::new(ipc, model::RUST, name));
        site.cli(&["log", "level", "error"]).ok();
        // Longer than a task may keep its worker without a warning.
        quiet.call(model::COMPUTE, SECOND / 2, 0);
        site.cli(&["log", "level", "warn"]).ok();
        loud.call(model::COMPUTE, SECOND / 2, 0);
    });
    if let Some(log) = log {
        let warned = |pool: &str| {
            let names = format!("pool=\"{pool}\"");
            log.lines().any(|line| line.contains("has not yielded") && line.contains(&names))
        };
        assert!(warned("loud") && !warned("quiet"), "{log}");
    }
}

#[test]
fn broadcasts_and_locks_are_the_hosts_business() {
    let modules = [spread::MODULE, spread::RUST_MODULE, model::RUST, model::MODULE];
    in_client!(isolated(Options::new().spread().model(), &modules, ""), |_site| {
        let ipc = connect();
        for module in [spread::MODULE, spread::RUST_MODULE] {
            let options = PoolOptions::default().containers(4);
            let pool = ipc.create_pool_with(module, module, b"", options).unwrap();
            let everywhere = DomainQuery::global_bcast();
            let task: NewTask<spread::GatherTask> =
                ipc.new_task(pool, everywhere, spread::Method::GATHER).unwrap();
            task.text.set("word ").unwrap();
            task.notes.set_all(&["in"]).unwrap();
            task.bytes.set("in").unwrap();
            let done = task.call().unwrap();
            assert_eq!((done.good.get(), done.sum.get()), (4, 6));
            assert_eq!(done.numbers.copy_to_vec().unwrap(), [0, 1, 2, 3]);
            let words = ["word 0", "word 1", "word 2", "word 3"];
            assert_eq!(done.words.to_strings(usize::MAX).unwrap(), words);
            assert_eq!(done.notes.to_strings(usize::MAX).unwrap(), ["in"]);
            assert_eq!(done.bytes.copy_to_vec().unwrap(), b"in");
            let task: NewTask<spread::GatherTask> =
                ipc.new_task(pool, everywhere, spread::Method::GATHER).unwrap();
            task.notes.set_all(&["in"]).unwrap();
            task.bytes.set("in").unwrap();
            task.failing.set(1 << 2);
            assert_eq!(text_of(task.call()).0, spread::FAULT);
        }
        for module in [model::RUST, model::MODULE] {
            let pool = ValuePool::new(ipc, module, module);
            let held: Vec<_> = (0..100).map(|_| pool.submit(model::LOCK, 10_000)).collect();
            let mut ticks: Vec<u64> =
                held.into_iter().map(|task| task.wait().unwrap().result.get()).collect();
            ticks.sort_unstable();
            assert_eq!(ticks, (1..=100).collect::<Vec<_>>());
        }
    });
}

/// Tasks that wait for each other in a circle are told so wherever they are: here the last one waits for the
/// lock that the first one holds.
#[test]
fn circles_through_module_hosts_are_found() {
    // Through the daemon and a host, and through two hosts.
    let pairs = [["here", "there"], ["one", "two"]];
    let log = in_client!(isolated(Options::new().model(), &[model::RUST], ""), |site| {
        let ipc = connect();
        for names in pairs {
            let [first, second] = names.map(|name| {
                let module = if name == "here" { model::MODULE } else { model::RUST };
                ValuePool::new(ipc, module, name)
            });
            let pass = |value: u64| {
                let task = first.task(model::PASS, value, 0);
                task.other.set(second.id);
                task.call()
            };
            pass(1).unwrap();
            for value in [2, 3, 2] {
                let (status, message) = text_of(pass(value));
                assert_eq!(status, CHI_DEADLOCK, "{message}");
            }
            // Nothing is left.
            pass(1).unwrap();
            assert!(names.iter().all(|name| site.pool(name)["tasks"] == 0));
        }
    });
    if let Some(log) = log {
        let circles: Vec<&str> = log.lines().filter(|line| line.contains("in a circle")).collect();
        for names in pairs {
            let is_one = |line: &&str| {
                let named = |name| line.contains(&format!("kPass of pool '{name}'"));
                names.into_iter().all(named) && line.contains("where it runs")
            };
            assert!(circles.iter().any(is_one), "{names:?}: {log}");
        }
    }
}

#[test]
fn what_cannot_be_isolated_is_refused() {
    in_client!(Options::new().kv(), |site| {
        connect();
        let create = |more: &[&str]| {
            let own = ["pool", "create", "x", "--module", "chimaera:kv", "--isolation", "process"];
            site.cli(&[&own, more].concat())
        };
        let refused = create(&["--on-crash", "abort"]);
        assert!(refused.stderr.contains("crash policy `abort`"), "{}", refused.stderr);
        create(&[]).ok();
        assert_eq!(site.pool("x")["isolation"], "process");
        create(&[]).ok();
        site.cli(&["pool", "create", "y", "--module", "chimaera:kv"]).ok();
        assert_eq!(site.pool("y")["isolation"], "none");
        let own = ["pool", "create", "y", "--module", "chimaera:kv", "--isolation", "process"];
        let refused = site.cli(&own);
        assert!(refused.stderr.contains("already exists without isolation"), "{}", refused.stderr);
        let refused = site.cli(&["module-host"]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("no module host"), "{}", refused.stderr);
    });
}

/// Whoever destroys a pool learns that its end was not in order, and the pool is gone.
#[test]
fn a_crash_in_the_end_of_a_pool_is_told() {
    let daemon = Daemon::start(&Options::new().crash());
    for params in ["crash at the end", "crash in the destructor", "abort at the end"] {
        let create = ["pool", "create", "fragile", "--module", crash::MODULE, "--params", params];
        daemon.cli(&[&create[..], &["--isolation", "process"]].concat()).ok();
        let destroyed = daemon.cli(&["pool", "destroy", "fragile"]);
        assert_eq!(destroyed.code, 1, "{destroyed:?}");
        let why = "pool 'fragile' is destroyed, but not in order: its module host";
        assert!(destroyed.stderr.contains(why), "{destroyed:?}");
    }
    daemon.cli(&["pool", "create", "fragile", "--module", crash::MODULE]).ok();
}
