//! Durable pools outlive the runtime, however it ends.

use std::path::PathBuf;
use std::time::Duration;

use chimaera::abi::{CHI_NOT_FOUND, CHI_REASON_KILLED, CHI_REASON_RESTARTED};
use chimaera::{Done, PoolId};
use chimaera_kv_client::Client;
use chimaera_test_depends_client as depends;
use chimaera_test_life_client::{self as life, CheckTask, Fail};
use chimaera_tests::raw::{seed, Random};
use chimaera_tests::{
    artefacts, connect, in_client_that_may_end_it, process, rounds, tally, Daemon, LifePool,
    Options, Site,
};
use rustix::process::{kill_process, Pid, Signal};

/// The module in C++.
fn options() -> Options {
    Options::new().file(artefacts::test_module("life"))
}

/// The same module in Rust.
fn rust_options() -> Options {
    Options::new().file(artefacts::rust_life(1))
}

/// The daemon that serves this client, and those that come after it.
struct Lives<'s> {
    site: &'s Site,
    now: Option<Daemon>,
}

impl Lives<'_> {
    /// Kills the runtime, as `kill -9` does.
    fn kill(&mut self) {
        let pid = self.site.status()["pid"].as_i64().expect("it is running") as i32;
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        self.await_end();
    }

    fn stop(&mut self) {
        self.site.cli(&["stop"]).ok();
        self.await_end();
    }

    fn await_end(&mut self) {
        match self.now.take() {
            Some(mut daemon) => drop(daemon.end()),
            None => process::until("it has ended", || {
                (self.site.cli(&["status", "--json"]).code == 3).then_some(())
            }),
        }
    }

    /// What the next runtime starts with: the modules of the first.
    fn options(&self) -> Options {
        Options::new().repo_path(self.site.path().join("modules"))
    }

    fn start(&mut self) {
        self.start_with(&self.options());
    }

    fn start_with(&mut self, options: &Options) {
        self.now = Some(Daemon::start_at(self.site.clone(), options));
    }

    fn create(&self, name: &str, more: &[&str]) -> PoolId {
        let create = ["pool", "create", name, "--module", life::MODULE, "--durable", "--json"];
        let made = self.site.cli(&[&create, more].concat()).ok().json();
        let (major, minor) = made["id"].as_str().unwrap().split_once('.').unwrap();
        PoolId::new(major.parse().unwrap(), minor.parse().unwrap())
    }

    /// The directory of a container.
    fn directory(&self, name: &str, container: u32) -> PathBuf {
        let files =
            PathBuf::from(self.site.pool(name)["directory"].as_str().expect("it is durable"));
        files.join(container.to_string())
    }

    /// How many containers of this number have been made, according to the file that they keep.
    fn made(&self, name: &str, container: u32) -> usize {
        let file = self.directory(name, container).join("created");
        std::fs::read_to_string(file).unwrap().lines().count()
    }
}

/// Runs a test as a client of a daemon, and of those that come after it.
macro_rules! with_lives {
    ($options:expr, $body:expr) => {
        let daemon = in_client_that_may_end_it!($options, |site| {
            let body: fn(&mut Lives<'_>) = $body;
            body(&mut Lives { site, now: None });
        });
        if let Some(mut daemon) = daemon {
            daemon.end();
        }
    };
}

/// Tests of the module in either language.
macro_rules! in_both_languages {
    ($($(#[$doc:meta])* fn $name:ident($lives:ident) $body:block)*) => {
        mod cpp {
            use super::*;
            $($(#[$doc])* #[test] fn $name() { with_lives!(options(), |$lives| $body); })*
        }
        mod rust {
            use super::*;
            $($(#[$doc])* #[test] fn $name() { with_lives!(rust_options(), |$lives| $body); })*
        }
    };
}

fn add(pool: PoolId, key: &str, value: u64) -> u64 {
    LifePool { ipc: connect(), id: pool }.add(key, value)
}

/// What `kCheck` of a container says.
fn check(pool: PoolId, container: u32) -> Done<CheckTask> {
    LifePool { ipc: connect(), id: pool }.check(container)
}

in_both_languages! {
    /// Killed, the containers are made anew, under the same id; their states are gone, and their files
    /// are there.
    fn a_killed_runtime_leaves_definitions_and_files(lives) {
        let pool = lives.create("lasting", &["--containers", "2"]);
        connect().create_pool(life::MODULE, "other", b"").unwrap();
        add(pool, "a", 3);
        let shown = lives.site.pool("lasting");
        assert_eq!(shown["durable"], true);
        for round in 2..5 {
            lives.kill();
            lives.start();
            assert_eq!(lives.site.pool("lasting")["id"], shown["id"]);
            for container in 0..2 {
                let checked = check(pool, container);
                assert_eq!(checked.count.get(), 0);
                assert_eq!(checked.recovered.get(), 1);
                assert_eq!(checked.reason.get(), CHI_REASON_KILLED);
                let directory = lives.directory("lasting", container);
                assert_eq!(checked.directory.to_string().unwrap(), directory.to_str().unwrap());
                assert_eq!(lives.made("lasting", container), round);
            }
            add(pool, "a", 3);
        }
        assert_eq!(lives.site.cli(&["pool", "show", "other"]).code, 1);
        lives.stop();
    }

    /// Stopped, the containers get their states back, once.
    fn a_stopped_runtime_leaves_states(lives) {
        let pool = lives.create("lasting", &[]);
        for round in 1..4 {
            assert_eq!(add(pool, "a", 3), 3 * round);
            lives.stop();
            lives.start();
            let checked = check(pool, 0);
            assert_eq!((checked.count.get(), checked.recovered.get()), (3 * round, 0));
            assert_eq!(checked.reason.get(), CHI_REASON_RESTARTED);
        }
        lives.kill();
        lives.start();
        let checked = check(pool, 0);
        assert_eq!((checked.count.get(), checked.recovered.get()), (0, 1));
        assert_eq!(checked.reason.get(), CHI_REASON_KILLED);
        lives.stop();
    }

    /// A pool that is loaded from a file has the policy that the command says.
    fn a_loaded_pool_is_durable_if_asked(lives) {
        let pool = lives.create("lasting", &[]);
        add(pool, "a", 3);
        let file = lives.site.path().join("saved");
        let file = file.to_str().unwrap();
        lives.site.cli(&["pool", "save", "lasting", file]).ok();
        let load = |more: &[&str]| lives.site.cli(&[&["pool", "load", file], more].concat());
        load(&["--pool", "brief"]).ok();
        let abort = ["--pool", "x", "--isolation", "process", "--on-crash", "abort"];
        assert!(load(&abort).stderr.contains("cannot have the crash policy `abort`"));
        let asked = ["--json", "--pool", "copy", "--durable", "--isolation", "process"];
        let answer = load(&asked).ok().json();
        assert!(answer["durable"] == true && answer["isolation"] == "process", "{answer}");
        assert_eq!(answer["on_crash"], "quarantine");
        let copy = lives.site.pool("copy");
        assert!(copy["durable"] == true && copy["isolation"] == "process", "{copy}");
        let copy = connect().find_pool("copy").unwrap();
        assert_eq!(add(copy, "a", 1), 4);
        lives.stop();
        lives.start();
        assert_eq!((check(pool, 0).count.get(), check(copy, 0).count.get()), (3, 4));
        assert_eq!(lives.site.pool("copy")["isolation"], "process");
        assert_eq!(lives.site.cli(&["pool", "show", "brief"]).code, 1);
        lives.stop();
    }

    /// What `kSave` refuses does not keep the runtime from stopping.
    fn a_module_that_cannot_save_is_recovered(lives) {
        let pool = lives.create("lasting", &[]);
        add(pool, "a", 3);
        LifePool { ipc: connect(), id: pool }.fail(life::Fail::Save as u64);
        lives.stop();
        lives.start();
        let checked = check(pool, 0);
        assert_eq!((checked.count.get(), checked.recovered.get()), (0, 1));
        assert_eq!(checked.reason.get(), CHI_REASON_RESTARTED);
        lives.stop();
    }

    /// Over `chimaera restart`, a durable pool is as others, and durable afterwards.
    fn a_restart_keeps_it_durable(lives) {
        let pool = lives.create("lasting", &[]);
        add(pool, "a", 3);
        lives.site.cli(&["restart"]).ok();
        assert_eq!(check(pool, 0).count.get(), 3);
        assert_eq!(lives.site.pool("lasting")["durable"], true);
        lives.kill();
        lives.start();
        assert_eq!(check(pool, 0).reason.get(), CHI_REASON_KILLED);
        assert_eq!(lives.made("lasting", 0), 3);
        lives.stop();
    }

    /// Destroyed, nothing is left of it.
    fn a_destroyed_pool_stays_away(lives) {
        let pool = lives.create("lasting", &[]);
        let kept = lives.create("kept", &[]);
        let directory = lives.directory("lasting", 0);
        assert!(directory.is_dir());
        lives.site.cli(&["pool", "destroy", "lasting"]).ok();
        process::until("its files are gone", || (!directory.exists()).then_some(()));
        lives.kill();
        lives.start();
        assert_eq!(lives.site.cli(&["pool", "show", "lasting"]).code, 1);
        assert_eq!(check(kept, 0).recovered.get(), 1);
        // The name is free, and the id is another.
        let again = lives.create("lasting", &[]);
        assert_ne!(again, pool);
        assert_eq!(lives.made("lasting", 0), 1);
        lives.stop();
    }

    /// Another version of its module stays.
    fn an_upgrade_stays(lives) {
        let pool = lives.create("lasting", &[]);
        let name = std::fs::read_dir(lives.site.path().join("modules")).unwrap().next().unwrap();
        let is_rust = name.unwrap().file_name().to_str().unwrap().contains("chimaera_test");
        let file = match is_rust {
            true => artefacts::rust_life(2),
            false => artefacts::test_module("life_2"),
        };
        lives.site.cli(&["module", "upgrade", life::MODULE, file.to_str().unwrap()]).ok();
        assert_eq!(check(pool, 0).version.get(), 2);
        lives.kill();
        lives.start();
        assert_eq!(check(pool, 0).version.get(), 2);
        lives.stop();
    }
}

/// In a process of its own, a pool is recovered alike, and finds its files.
#[test]
fn an_isolated_pool_may_be_durable() {
    with_lives!(options(), |lives| {
        let pool = lives.create("lasting", &["--isolation", "process"]);
        add(pool, "a", 3);
        lives.kill();
        lives.start();
        assert_eq!(lives.site.pool("lasting")["isolation"], "process");
        let checked = check(pool, 0);
        assert_eq!((checked.count.get(), checked.recovered.get()), (0, 1));
        assert_eq!(checked.reason.get(), CHI_REASON_KILLED);
        let directory = lives.directory("lasting", 0);
        assert_eq!(checked.directory.to_string().unwrap(), directory.to_str().unwrap());
        assert_eq!(lives.made("lasting", 0), 2);
        add(pool, "a", 3);
        lives.stop();
        lives.start();
        let checked = check(pool, 0);
        assert_eq!((checked.count.get(), checked.recovered.get()), (3, 0));
        assert_eq!(checked.reason.get(), CHI_REASON_RESTARTED);
        lives.stop();
    });
}

/// A store in memory has its keys after a stop, one in a file also after a kill.
#[test]
fn stores_last() {
    with_lives!(Options::new().kv(), |lives| {
        let file = lives.site.path().join("store.redb");
        let in_file = format!("path={},sync=always", file.display());
        for (name, params) in [("memory", ""), ("file", in_file.as_str())] {
            let create = ["pool", "create", name, "--module", "chimaera:kv", "--durable"];
            lives.site.cli(&[&create, &["--params", params][..]].concat()).ok();
        }
        connect();
        let [memory, stored] = ["memory", "file"].map(|name| Client::find(name).unwrap());
        for store in [&memory, &stored] {
            store.put("key", "value").unwrap();
        }
        lives.stop();
        lives.start();
        for store in [&memory, &stored] {
            assert_eq!(store.get("key").unwrap(), b"value");
        }
        lives.kill();
        lives.start();
        assert_eq!(memory.get("key").unwrap_err().code(), CHI_NOT_FOUND);
        assert_eq!(stored.get("key").unwrap(), b"value");
        lives.stop();
    });
}

/// A configured pool may be durable: then its definition stays, whatever the configuration says later.
#[test]
fn a_configured_pool_may_be_durable() {
    const CONFIG: &str = "pools: [{name: lasting, module: 'test:life', durable: true}]\n";
    with_lives!(options().config(CONFIG), |lives| {
        let id = lives.site.pool("lasting")["id"].clone();
        lives.kill();
        lives.start_with(&lives.options().config(CONFIG));
        assert_eq!(lives.site.pool("lasting")["id"], id);
        lives.stop();
        lives.start();
        assert_eq!(lives.site.pool("lasting")["id"], id);
        // With other containers, the runtime does not start.
        lives.stop();
        let more = CONFIG.replace("durable", "containers: 2, durable");
        let refused = process::run(&mut lives.options().config(more).command(lives.site));
        assert_ne!(refused.code, 0);
        let why = "pool 'lasting' already exists with 1 container, not 2; it is durable";
        assert!(refused.stdout.contains(why), "{refused:?}");
        // Nor with an entry that takes it for one that ends with its runtime.
        for plain in [CONFIG.replace("true", "false"), CONFIG.replace(", durable: true", "")] {
            let refused = process::run(&mut lives.options().config(plain).command(lives.site));
            assert_ne!(refused.code, 0);
            assert!(refused.stdout.contains("it is durable"), "{refused:?}");
        }
        lives.start();
        assert_eq!(lives.site.pool("lasting")["durable"], true);
        lives.stop();
    });
}

/// What depends on a pool that is not durable cannot be.
#[test]
fn requests_that_cannot_be_kept_are_refused() {
    with_lives!(options(), |lives| {
        connect().create_pool(life::MODULE, "plain", b"").unwrap();
        let create = ["pool", "create", "plain", "--module", life::MODULE, "--durable"];
        let refused = lives.site.cli(&create);
        assert!(refused.stderr.contains("already exists and is not durable"), "{refused:?}");
        let saved = lives.site.path().join("saved");
        let saved = saved.to_str().unwrap();
        lives.site.cli(&["pool", "save", "plain", saved]).ok();
        lives.stop();
        // The directory of the states is that of another runtime.
        lives.start();
        lives.create("lasting", &[]);
        let mut other = lives.options().command(lives.site);
        other.env("XDG_RUNTIME_DIR", lives.site.directory_of("elsewhere", &[]));
        let refused = process::run(&mut other);
        assert_ne!(refused.code, 0);
        assert!(refused.stdout.contains("another runtime uses it"), "{refused:?}");
        lives.stop();
    });
}

/// Files that were changed by others are named, and nothing is lost for them.
#[test]
fn damaged_files_are_named() {
    with_lives!(options(), |lives| {
        lives.create("lasting", &[]);
        let shown = lives.site.pool("lasting");
        let files = PathBuf::from(shown["directory"].as_str().unwrap());
        let directory = files.parent().unwrap().to_owned();
        lives.stop();
        for name in ["definition.json", "state"] {
            let file = directory.join(name);
            let whole = std::fs::read(&file).unwrap();
            let bit = |at: usize| {
                let mut flipped = whole.clone();
                flipped[at] ^= 1;
                flipped
            };
            let mut all = vec![whole[..whole.len() / 2].to_vec(), vec![], b"{}".to_vec()];
            all.extend((0..whole.len()).step_by(whole.len().div_ceil(12)).map(bit));
            let pool = whole.windows(7).position(|bytes| bytes == b"lasting");
            all.extend(pool.map(bit));
            for damaged in all {
                std::fs::write(&file, damaged).unwrap();
                let refused = process::run(&mut lives.options().command(lives.site));
                assert_ne!(refused.code, 0);
                assert!(refused.stdout.contains(file.to_str().unwrap()), "{refused:?}");
            }
            std::fs::write(&file, whole).unwrap();
        }
        lives.start();
        assert_eq!(lives.site.pool("lasting")["id"], shown["id"]);
        lives.stop();
    });
}

/// Kills at random moments of all that changes a durable pool: each leaves the old or the new.
#[test]
fn kills_leave_the_old_or_the_new() {
    let mut random = Random::new(seed());
    let file = artefacts::test_module("life_2");
    let modules = tempfile::tempdir().unwrap();
    let link = modules.path().join("liblife.so");
    std::os::unix::fs::symlink(artefacts::test_module("life"), link).unwrap();
    let options = Options::new().repo_path(modules.path().to_owned());
    for round in 0..rounds(12, 400) {
        let site = Site::new();
        let mut daemon = Daemon::start_at(site.clone(), &options);
        let create = ["pool", "create", "lasting", "--module", life::MODULE, "--durable"];
        if round % 6 != 0 {
            site.cli(&create).ok();
        }
        let saved = site.path().join("saved");
        let change: &[&str] = match round % 6 {
            0 => &create,
            1 => &["module", "upgrade", life::MODULE, file.to_str().unwrap()],
            2 => &["pool", "migrate", "lasting"],
            3 => &["restart"],
            4 => &["pool", "destroy", "lasting"],
            _ => &["pool", "save", "lasting", saved.to_str().unwrap()],
        };
        let changing = std::thread::scope(|scope| {
            let changing = scope.spawn(|| site.cli(change));
            std::thread::sleep(Duration::from_micros(random.below(40_000)));
            daemon.signal(Signal::KILL);
            tally("kills", 1);
            changing.join().unwrap()
        });
        daemon.end();
        // A successor may serve, or be about to end.
        let serving = process::until("it is decided", || {
            let status = site.cli(&["status", "--json"]);
            match status.code {
                0 => Some(true),
                3 if status.stdout.contains("starting") => None,
                3 => Some(false),
                _ => panic!("{status:?}"),
            }
        });
        let mut next = (!serving).then(|| Daemon::start_at(site.clone(), &options));
        let pools = site.cli(&["pool", "list", "--json"]).ok().json();
        let lasting = pools.as_array().unwrap().iter().find(|pool| pool["name"] == "lasting");
        let told = changing.code == 0;
        match (round % 6, lasting) {
            (0, found) => assert!(found.is_some() || !told, "a pool is lost: {changing:?}"),
            (4, found) => assert!(found.is_none() || !told, "a pool is back: {changing:?}"),
            (_, Some(_)) => {}
            (_, None) => panic!("a pool is lost: {change:?} {changing:?}"),
        }
        if let Some(pool) = lasting {
            assert_eq!(
                (&pool["state"], &pool["durable"]),
                (&"live".into(), &true.into()),
                "{pool}"
            );
        }
        site.cli(&["stop"]).ok();
        if let Some(next) = &mut next {
            assert_eq!(next.end(), 0, "{}", next.log());
        }
    }
}

/// The directories of durable pools whose creation has not ended.
fn unfinished(site: &Site) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![site.path().join("states")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if std::fs::read_to_string(&path)
                .is_ok_and(|text| text.contains(r#""is_complete":false"#))
            {
                found.push(directory.clone());
            }
        }
    }
    found
}

/// A runtime that is killed while a durable pool is being created leaves files of it, which the next one
/// removes: the pool has never been.
#[test]
fn a_runtime_that_is_killed_within_a_creation_leaves_nothing_for_good() {
    let options = options().file(artefacts::test_module("depends")).file(artefacts::rust_depends());
    with_lives!(options, |lives| {
        for module in [depends::CPP, depends::RUST] {
            let kept = lives.create("kept", &[]);
            // Whoever looks for a pool waits while it is being destroyed.
            let gone = LifePool { ipc: connect(), id: lives.create("gone", &[]) };
            gone.fail(Fail::HangDestructor as u64);
            let create = ["pool", "create", "lasting", "--module", module, "--durable"];
            let create =
                |params: &str| lives.site.cli(&[&create[..], &["--params", params]].concat());
            assert_eq!(unfinished(lives.site), [""; 0].map(PathBuf::from));
            lives.site.cli(&["pool", "destroy", "gone", "--timeout", "1"]);
            std::thread::scope(|scope| {
                let creating = scope.spawn(|| create("opens=gone"));
                process::until("it is being created", || {
                    (unfinished(lives.site).len() == 1).then_some(())
                });
                let pid = lives.site.status()["pid"].as_i64().unwrap() as i32;
                kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
                assert_eq!(creating.join().unwrap().code, 1);
            });
            assert_eq!(unfinished(lives.site).len(), 1);
            lives.await_end();
            lives.start();
            assert_eq!(unfinished(lives.site), [""; 0].map(PathBuf::from));
            assert_eq!(lives.site.cli(&["pool", "show", "lasting"]).code, 1);
            assert_eq!(check(kept, 0).reason.get(), CHI_REASON_KILLED);
            let create = ["pool", "create", "lasting", "--module", module, "--durable"];
            lives.site.cli(&create).ok();
            assert_eq!(lives.site.pool("lasting")["durable"], true);
            for pool in ["lasting", "kept"] {
                lives.site.cli(&["pool", "destroy", pool]).ok();
            }
        }
        lives.stop();
    });
}
