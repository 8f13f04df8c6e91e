//! Crashes: a fault in a module's own code costs one task and puts its container in quarantine; a
//! fault that may leave something half done that others depend on ends the daemon.

use std::time::{Duration, Instant};

use chimaera::abi::{CHI_CANCELLED, CHI_FAULT, CHI_UNAVAILABLE};
use chimaera::{Ipc, NewTask, PoolId};
use chimaera_test_rust_faults_client as faults;
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::{connect, in_client, in_client_that_may_end_it, rounds, text_of};
use chimaera_tests::{Call, Daemon, Options, Site};

const HOUR: u64 = 3600 * 1_000_000_000;

fn task(ipc: Ipc, pool: PoolId, method: u32, mistake: u64) -> NewTask<CrashTask> {
    let task: NewTask<CrashTask> = ipc.task(pool, method);
    task.mistake.set(mistake);
    task
}

fn fragile(ipc: Ipc) -> PoolId {
    ipc.create_pool(crash::MODULE, "fragile", b"").unwrap()
}

#[track_caller]
fn check_health(ipc: Ipc, pool: PoolId) {
    assert_eq!(task(ipc, pool, crash::HEALTH, 77).call().unwrap().result.get(), 77);
}

/// Waits until the pool is in quarantine, which may be after the client has its answer.
fn wait_for_quarantine(site: &Site, pool: &str) {
    let bound = Instant::now() + Duration::from_secs(60);
    while site.pool(pool)["state"] != "quarantined" {
        assert!(Instant::now() < bound, "{}", site.pool(pool));
    }
}

#[track_caller]
fn check_refusal(ipc: Ipc, pool: PoolId, why: &str) {
    let (status, message) = text_of(task(ipc, pool, crash::HEALTH, 1).call());
    assert_eq!(status, CHI_FAULT);
    assert!(message.starts_with("pool 'fragile' is in quarantine: "), "{message}");
    assert!(message.contains(why), "{message}");
    assert!(message.contains("`chimaera pool reset fragile`"), "{message}");
}

fn reset(site: &Site) {
    site.cli(&["pool", "reset", "fragile"]).ok();
}

#[test]
fn a_method_that_crashes_costs_its_task_and_its_container() {
    let log = in_client!(Options::new().crash(), |site| {
        let ipc = connect();
        let (pool, other) = (fragile(ipc), ipc.create_pool(crash::MODULE, "other", b"").unwrap());
        let neighbour = task(ipc, other, crash::SLEEP, 1_000_000_000).submit().unwrap();
        for (mistake, signal) in crash::FAULTS {
            check_health(ipc, pool);
            let suspended = task(ipc, pool, crash::SLEEP, HOUR).submit().unwrap();
            let (status, message) = text_of(task(ipc, pool, crash::CRASH, mistake).call());
            assert_eq!(status, CHI_FAULT, "{message}");
            assert!(message.starts_with(&format!("kCrash crashed: {signal}")), "{message}");
            assert!(message.contains("::Make+0x"), "{message}");
            assert!(message.contains("libcrash.so"), "{message}");
            assert!(message.ends_with("pool 'fragile' is in quarantine"), "{message}");
            check_refusal(ipc, pool, signal);
            let (status, message) = text_of(suspended.wait());
            assert_eq!(status, CHI_CANCELLED);
            assert!(message.contains("quarantine"), "{message}");
            let found = site.pool("fragile");
            assert_eq!(found["state"], "quarantined", "{found}");
            assert!(found["quarantined"][0]["why"].as_str().unwrap().contains(signal), "{found}");
            check_health(ipc, other);
            reset(site);
            assert_eq!(site.pool("fragile")["state"], "live");
        }
        check_health(ipc, pool);
        neighbour.wait().unwrap();
    });
    if let Some(log) = log {
        assert!(log.contains("in quarantine"), "{log}");
        assert!(!log.contains("last words"), "{log}");
    }
}

#[test]
fn monitors_and_del_and_pollers_crash_alike() {
    in_client!(Options::new().crash(), |site| {
        let ipc = connect();
        let pool = fragile(ipc);
        for (mistake, signal) in crash::FAULTS {
            let (status, message) = text_of(task(ipc, pool, crash::MONITORED, mistake).call());
            assert_eq!(status, CHI_FAULT, "{message}");
            let begin = format!("the monitor of kMonitored crashed: {signal}");
            assert!(message.starts_with(&begin), "{message}");
            check_refusal(ipc, pool, "the monitor of kMonitored crashed");
            reset(site);
            // The clients of these tasks have their answers before the crash.
            for (method, what) in [(crash::DELETED, "Del of kDeleted"), (crash::POLLED, "a poller")]
            {
                task(ipc, pool, method, mistake).call().unwrap();
                wait_for_quarantine(site, "fragile");
                check_refusal(ipc, pool, &format!("{what} crashed: {signal}"));
                reset(site);
                check_health(ipc, pool);
            }
        }
    });
}

/// A poller may add pollers and send tasks, whose code may crash while the poller is running.
#[test]
fn what_a_poller_does_crashes_alike() {
    in_client!(Options::new().crash().workers(1), |site| {
        let ipc = connect();
        let pool = fragile(ipc);
        let cases = [
            (crash::IN_POLLER, "a poller crashed: SIGSEGV"),
            (crash::IN_MONITOR, "the monitor of kMonitored crashed: SIGSEGV"),
        ];
        for (through, why) in cases {
            for mistake in [0, 1] {
                let call = task(ipc, pool, crash::POLLED, mistake);
                call.through.set(through);
                call.call().unwrap();
                if mistake == 0 {
                    check_health(ipc, pool);
                    continue;
                }
                wait_for_quarantine(site, "fragile");
                check_refusal(ipc, pool, why);
                reset(site);
                check_health(ipc, pool);
            }
        }
    });
}

/// The container's state may be damaged, so its `kDestroy` is not called; nor after an overflow.
#[test]
fn a_container_in_quarantine_is_never_entered_again() {
    let log = in_client!(Options::new().crash(), |_| {
        let ipc = connect();
        for (method, mistake) in [(crash::CRASH, 1), (crash::RECURSE, crash::PLAIN)] {
            let pool = fragile(ipc);
            let call = task(ipc, pool, method, mistake);
            call.depth.set(if method == crash::CRASH { 0 } else { 1 << 40 });
            assert_eq!(text_of(call.call()).0, CHI_FAULT);
            check_refusal(ipc, pool, "");
            ipc.destroy_pool(pool).unwrap();
        }
        let sound = ipc.create_pool(crash::MODULE, "sound", b"").unwrap();
        ipc.destroy_pool(sound).unwrap();
    });
    if let Some(log) = log {
        assert!(log.contains("kDestroy of sound"), "{log}");
        assert!(!log.contains("kDestroy of fragile"), "{log}");
    }
}

const CRASHES_AT_ITS_END: &str = "crash at the end";

/// The caller that requested the destruction is told, and the name is free again.
#[test]
fn a_pool_whose_end_crashes_is_abandoned() {
    let log = in_client!(Options::new().crash(), |site| {
        let ipc = connect();
        let create = || ipc.create_pool(crash::MODULE, "fragile", CRASHES_AT_ITS_END.as_bytes());
        let pool = create().unwrap();
        let output = site.cli(&["pool", "destroy", "fragile"]);
        assert_eq!(output.code, 1, "{output:?}");
        let why = "kDestroy of pool 'fragile' crashed: SIGSEGV at 0x8 in ";
        assert!(output.stderr.contains(why), "{output:?}");
        let another = create().unwrap();
        assert_ne!(another, pool);
        let (status, message) = text_of(ipc.destroy_pool(another));
        assert_eq!(status, CHI_FAULT, "{message}");
        let fragile =
            ipc.create_pool(crash::MODULE, "fragile", b"crash in the destructor").unwrap();
        let (status, message) = text_of(ipc.destroy_pool(fragile));
        let why = "the destructor of a container of pool 'fragile' crashed: SIGSEGV at 0x8 in ";
        assert!(status == CHI_FAULT && message.starts_with(why), "{message}");
        ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
    });
    if let Some(log) = log {
        let words =
            "the pool is abandoned pool=\"fragile\" why=\"kDestroy of pool 'fragile' crashed";
        assert_eq!(log.matches(words).count(), 2, "{log}");
    }
}

/// A stop does not wait for that pool, destroys the others, and reports that something was
/// abandoned.
#[test]
fn a_stop_goes_on_behind_a_pool_whose_end_crashes() {
    let mut daemon = Daemon::start(&Options::new().crash().config("stop_grace: 600s\n"));
    for (pool, params) in [("below", ""), ("fragile", CRASHES_AT_ITS_END), ("above", "")] {
        let create = ["pool", "create", pool, "--module", crash::MODULE, "--params", params];
        daemon.cli(&create).ok();
    }
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.end(), 4);
    let log = daemon.log();
    for pool in ["above", "below"] {
        assert!(log.contains(&format!("pool destroyed pool=\"{pool}\"")), "{log}");
    }
}

#[test]
fn only_a_pool_in_quarantine_is_reset() {
    in_client!(Options::new().crash(), |site| {
        let ipc = connect();
        let pool = fragile(ipc);
        let output = site.cli(&["pool", "reset", "fragile"]);
        assert_eq!(output.code, 1);
        assert!(output.stderr.contains("pool 'fragile' is not in quarantine"), "{output:#?}");
        let output = site.cli(&["pool", "reset", "nobody"]);
        assert!(output.stderr.contains("there is no pool 'nobody'"), "{output:#?}");
        check_health(ipc, pool);
    });
}

/// The kernel would end the daemon at once if the signal were blocked.
#[test]
fn a_method_that_has_blocked_all_signals_crashes_alike() {
    in_client!(Options::new().crash(), |site| {
        let ipc = connect();
        let pool = fragile(ipc);
        for mistake in
            [crash::BLOCKED_FAULT, crash::IGNORED_FAULT].into_iter().chain(crash::HELD_FAULTS)
        {
            let (status, message) = text_of(task(ipc, pool, crash::CRASH, mistake).call());
            assert!(
                status == CHI_FAULT && message.contains("SIGSEGV at 0x8"),
                "{mistake}: {message}"
            );
            reset(site);
            check_health(ipc, pool);
        }
    });
}

/// The log may be a pipe that nobody reads any more.
#[test]
fn sigpipe_stays_ignored() {
    in_client!(Options::new().crash(), |_| {
        let ipc = connect();
        let pool = fragile(ipc);
        task(ipc, pool, crash::CRASH, crash::PIPE_SIGNAL).call().unwrap();
        check_health(ipc, pool);
    });
}

#[test]
fn a_module_in_rust_crashes_alike() {
    in_client!(Options::new().rust_faults(), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "fragile", b"").unwrap();
        for _ in 0..3 {
            let call = ipc.task::<faults::FaultTask>(pool, faults::Method::CRASH);
            let (status, message) = text_of(call.call());
            assert_eq!(status, CHI_FAULT, "{message}");
            assert!(message.starts_with("kCrash crashed: SIGSEGV at 0x8 in "), "{message}");
            assert!(message.contains(".so+0x"), "{message}");
            reset(site);
            let call = ipc.task::<faults::EchoTask>(pool, faults::Method::ECHO);
            call.input.set("still here").unwrap();
            assert_eq!(call.call().unwrap().output.copy_to_vec().unwrap(), b"still here");
        }
    });
}

/// The pool is abandoned, and named.
#[test]
fn a_crash_in_a_creation_names_the_pool() {
    in_client!(Options::new().crash(), |_| {
        let ipc = connect();
        let refused = ipc.create_pool(crash::MODULE, "stillborn", b"crash at once").unwrap_err();
        assert_eq!(refused.code(), CHI_FAULT, "{refused}");
        let how = "kCreate of pool 'stillborn' crashed: SIGSEGV";
        assert!(refused.message().starts_with(how), "{refused}");
        ipc.create_pool(crash::MODULE, "stillborn", b"").unwrap();
    });
}

/// Other containers of the pool go on.
#[test]
fn a_crash_concerns_one_container() {
    in_client!(Options::new().crash(), |site| {
        let ipc = connect();
        let create = ["pool", "create", "fragile", "--module", crash::MODULE, "--containers", "3"];
        site.cli(&create).ok();
        let pool = ipc.find_pool("fragile").unwrap();
        let call = |number, method, mistake| {
            let query = chimaera::DomainQuery::local_id(number);
            let task = ipc.new_task::<CrashTask>(pool, query, method).unwrap();
            task.mistake.set(mistake);
            task.call()
        };
        let (_, message) = text_of(call(1, crash::CRASH, 1));
        assert!(message.ends_with("container 1 of pool 'fragile' is in quarantine"), "{message}");
        for number in [0, 2] {
            assert_eq!(call(number, crash::HEALTH, 5).unwrap().result.get(), 5);
        }
        let (status, message) = text_of(call(1, crash::HEALTH, 5));
        assert_eq!(status, CHI_FAULT);
        assert!(message.starts_with("container 1 of pool 'fragile' is in quarantine"), "{message}");
        assert_eq!(site.pool("fragile")["quarantined"].as_array().unwrap().len(), 1);
        reset(site);
        assert_eq!(call(1, crash::HEALTH, 5).unwrap().result.get(), 5);
    });
}

#[test]
fn a_pool_that_is_to_abort_ends_the_daemon() {
    let daemon = in_client_that_may_end_it!(Options::new().crash(), |site| {
        let ipc = connect();
        let create =
            ["pool", "create", "fragile", "--module", crash::MODULE, "--on-crash", "abort"];
        site.cli(&create).ok();
        assert_eq!(site.pool("fragile")["on_crash"], "abort");
        let pool = ipc.find_pool("fragile").unwrap();
        check_health(ipc, pool);
        assert_eq!(text_of(task(ipc, pool, crash::CRASH, 1).call()).0, CHI_UNAVAILABLE);
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), -libc::SIGSEGV);
    assert!(daemon.log().contains("last words: SIGSEGV at 0x8 in kCrash"), "{}", daemon.log());
}

/// Creates a pool that is to abort and makes a mistake in its life, destroys it, and returns the log of the
/// daemon, which that has ended.
#[track_caller]
fn aborted(mistake: &str) -> String {
    let mut daemon = Daemon::start(&Options::new().crash());
    let create = ["pool", "create", "fragile", "--module", crash::MODULE, "--on-crash", "abort"];
    let created = daemon.cli(&[&create[..], &["--params", mistake]].concat());
    if created.code == 0 {
        assert_ne!(daemon.cli(&["pool", "destroy", "fragile"]).code, 0);
    }
    assert_eq!(daemon.end(), -libc::SIGSEGV);
    daemon.log()
}

#[test]
fn a_crash_in_the_life_of_a_pool_that_is_to_abort_ends_the_daemon() {
    let end = aborted(CRASHES_AT_ITS_END);
    assert!(end.contains("last words: SIGSEGV at 0x8 in kDestroy of pool 'fragile'"), "{end}");
    let begin = aborted("crash at once");
    assert!(begin.contains("last words: SIGSEGV at 0x0 in kCreate of pool 'fragile'"), "{begin}");
    let destructor = aborted("crash in the destructor");
    let words =
        "last words: SIGSEGV at 0x8 in the destructor of a container of pool 'fragile', module ";
    assert!(destructor.contains(words), "{destructor}");
}

/// It ends by itself, and the daemon's log says nothing untrue.
#[test]
fn a_crash_of_a_forked_child_is_its_own() {
    let log = in_client!(Options::new().crash(), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        task(ipc, pool, crash::CRASH, crash::FORK_AND_FAULT).call().unwrap();
        assert_eq!(site.pool("fragile")["state"], "live");
    });
    let Some(log) = log else { return };
    assert!(!log.contains("crashed") && !log.contains("quarantine"), "{log}");
}

#[test]
fn a_pool_of_the_configuration_that_is_to_abort_ends_the_daemon() {
    let pools =
        "workers: 2\npools:\n  - name: fragile\n    module: test:crash\n    on_crash: abort\n";
    let daemon = in_client_that_may_end_it!(Options::new().crash().config(pools), |_| {
        let ipc = connect();
        let pool = ipc.find_pool("fragile").unwrap();
        let call = task(ipc, pool, crash::RECURSE, crash::PLAIN);
        call.depth.set(1 << 40);
        assert_eq!(text_of(call.call()).0, CHI_UNAVAILABLE);
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), -libc::SIGSEGV);
    assert!(daemon.log().contains("last words"), "{}", daemon.log());
}

/// Picks a fault, the method that causes it, and its depth; the same for the same seed.
struct Injector(u64);

impl Injector {
    /// Of xorshift64: G. Marsaglia, "Xorshift RNGs", 2003.
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn inject(&mut self, ipc: Ipc, pool: PoolId, through: u64) -> (String, (i32, String)) {
        let (mistake, signal) = crash::FAULTS[self.next(7) as usize];
        let depth = self.next(300);
        let method = [crash::CRASH, crash::MONITORED][self.next(2) as usize];
        let call = task(ipc, pool, method, mistake);
        call.depth.set(depth);
        call.through.set(through);
        let plan =
            format!("method {method}, {signal} by {mistake}, {depth} deep, through {through}");
        (plan, text_of(call.call()))
    }
}

/// Any number of faults in the module alone, and finally one through code of another library.
macro_rules! injected {
    ($($name:ident = $seed:literal;)*) => {$(
        #[test]
        fn $name() {
            let daemon = in_client_that_may_end_it!(Options::new().crash(), |site| {
                let ipc = connect();
                let (pool, mut injector) = (fragile(ipc), Injector($seed));
                let other = ipc.create_pool(crash::MODULE, "other", b"").unwrap();
                for _ in 0..rounds(20, 1000) {
                    let (plan, (status, message)) = injector.inject(ipc, pool, crash::IN_MODULE);
                    assert_eq!(status, CHI_FAULT, "{plan}: {message}");
                    assert!(message.contains(" crashed: SIG"), "{plan}: {message}");
                    check_refusal(ipc, pool, "crashed");
                    check_health(ipc, other);
                    reset(site);
                    check_health(ipc, pool);
                }
                let through = [crash::IN_LINKED, crash::IN_LIBC][injector.next(2) as usize];
                let (plan, (status, message)) = injector.inject(ipc, pool, through);
                assert_eq!(status, CHI_UNAVAILABLE, "{plan}: {message}");
            });
            let Some(mut daemon) = daemon else { return };
            assert!(daemon.end() < 0);
            assert!(daemon.log().contains("last words: SIG"), "{}", daemon.log());
        }
    )*};
}

injected! {
    injected_faults_1 = 0x9e37_79b9_7f4a_7c15;
    injected_faults_2 = 0xbf58_476d_1ce4_e5b9;
    injected_faults_3 = 0x94d0_49bb_1331_11eb;
    injected_faults_4 = 0x2545_f491_4f6c_dd1d;
}
