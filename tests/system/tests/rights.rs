//! What users other than the owner of a runtime may do. These tests need root to switch users.

use std::path::{Path, PathBuf};
use std::process::Command;

use chimaera_tests::other_user::{allow, alone_as_root, as_user, reachable, NOBODY};
use chimaera_tests::{artefacts, process, Daemon, Options, Output, Running, Site};
use serde_json::{json, Value};
use tempfile::TempDir;

/// Two users besides root and nobody, and their groups; every Unix has them.
const DAEMON: u32 = 1;
const BIN: u32 = 2;

/// Programs and a directory for instances that all users can reach.
struct Place {
    directory: TempDir,
    site: Site,
    client: PathBuf,
    program: PathBuf,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().expect("a place for files");
        allow(directory.path(), 0o755);
        let client = reachable(artefacts::rust_client(), directory.path());
        let program = reachable(artefacts::chimaera(), directory.path());
        Place { site: Site::new(), client, program, directory }
    }

    fn instances(&self) -> PathBuf {
        self.directory.path().join("instances")
    }

    /// Starts root's daemon in that directory.
    fn start(&self, options: &Options) -> Daemon {
        let mut command = options.command(&self.site);
        command.env("CHI_RUNTIME_DIR", self.instances());
        Daemon::run(self.site.clone(), command)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = self.site.command(program);
        command.env("CHI_RUNTIME_DIR", self.instances()).env_remove("XDG_CONFIG_HOME");
        command
    }

    /// The client's output when it runs as this user.
    #[track_caller]
    fn call_as(&self, user: u32, groups: &[u32], words: &[&str]) -> Value {
        let mut command = as_user(self.command(&self.client), user, groups);
        let output = process::run(command.args(words));
        output.lines().pop().unwrap_or_else(|| panic!("no line in {output:#?}"))
    }

    /// The program's output when it runs as this user.
    #[track_caller]
    fn cli_as(&self, user: u32, words: &[&str]) -> Output {
        let mut command = as_user(self.command(&self.program), user, &[user]);
        process::run(command.args(["--name", self.site.name()]).args(words))
    }

    #[track_caller]
    fn call_by_root(&self, words: &[&str]) -> Value {
        process::run(self.command(&self.client).args(words)).lines().pop().expect("a line")
    }
}

#[track_caller]
fn denied(said: &Value, why: &str) {
    assert!(
        said["name"] == "CHI_DENIED" && said["message"].as_str().unwrap().contains(why),
        "{said}"
    );
}

#[track_caller]
fn done(said: &Value) {
    assert_eq!(said["name"], "CHI_OK", "{said}");
}

#[test]
fn the_configuration_lets_users_and_groups_in() {
    let Some(_alone) = alone_as_root() else { return };
    let place = Place::new();
    let config = format!("access:\n  connect: [daemon, \"group:bin\"]\nworkers: {}\n", 1);
    let mut daemon = place.start(&Options::new().kv().config(config));
    done(&place.call_as(DAEMON, &[DAEMON], &["put", "key", "value"]));
    // By its primary group, and by one of its supplementary groups.
    let found = place.call_as(BIN, &[BIN], &["get", "key"]);
    assert_eq!(found["value"], "value", "{found}");
    done(&place.call_as(NOBODY, &[NOBODY, 4711, BIN], &["get", "key"]));
    done(&place.call_by_root(&["get", "key"]));
    let why =
        format!("this runtime belongs to user 0; user {NOBODY} may not use it: access.connect");
    denied(&place.call_as(NOBODY, &[NOBODY], &["get", "key"]), &why);
    let status = place.cli_as(NOBODY, &["status"]);
    assert!(status.code != 0 && status.stderr.contains(&why), "{status:?}");
    // A user's name does not stand for the group of that name.
    denied(&place.call_as(4711, &[DAEMON], &["get", "key"]), "access.connect");
    let status = place.cli_as(DAEMON, &["status", "--json"]).ok().json();
    assert!(status["running"] == true && status["ready"] == true, "{status}");
    place.cli_as(DAEMON, &["pool", "list"]).ok();
    // The users cannot read the daemon's files.
    for file in ["lock", "log", "crash"] {
        let path = place.instances().join(format!("{}.{file}", place.site.name()));
        let mut cat = Command::new("cat");
        cat.arg(path);
        assert_ne!(process::run(&mut as_user(cat, DAEMON, &[DAEMON])).code, 0, "{file}");
    }
    assert!(daemon.is_alive());
}

#[test]
fn a_client_trusts_whom_its_environment_names() {
    let Some(_alone) = alone_as_root() else { return };
    let place = Place::new();
    std::fs::create_dir(place.instances()).expect("the name is free");
    std::os::unix::fs::chown(place.instances(), Some(BIN), Some(BIN)).expect("root may");
    allow(place.instances(), 0o700);
    let config = place.directory.path().join("chimaera.yaml");
    std::fs::write(&config, "access: {connect: daemon}\n").expect("there is room");
    let mut start = place.command(&place.program);
    start.args(["--json", "--name", place.site.name(), "start", "--workers", "1", "--config"]);
    let daemon = Daemon::run(
        place.site.clone(),
        as_user(
            {
                start.arg(&config);
                start
            },
            BIN,
            &[BIN],
        ),
    );
    let call = |owner: &str, user: u32| {
        let mut command = place.command(&place.program);
        command.env("CHI_OWNER", owner).args(["--name", place.site.name(), "pool", "list"]);
        process::run(&mut as_user(command, user, &[user]))
    };
    let untrusted = call("", DAEMON);
    assert!(untrusted.stderr.contains("belongs to another user (2)"), "{untrusted:?}");
    let other = call("nobody", DAEMON);
    assert!(other.stderr.contains("belongs to another user (2)"), "{other:?}");
    let nonsense = call("no-such-user", DAEMON);
    assert!(nonsense.stderr.contains("CHI_OWNER: there is no user 'no-such-user'"), "{nonsense:?}");
    call("bin", DAEMON).ok();
    call("2", DAEMON).ok();
    // Root may do so without being named, but does not trust others, either.
    assert_ne!(call("", 0).code, 0);
    call("bin", 0).ok();
    drop(daemon);
}

/// Whichever way it is attempted.
#[test]
fn only_the_owner_stops_and_changes_the_runtime() {
    let Some(_alone) = alone_as_root() else { return };
    let place = Place::new();
    let options = Options::new().kv().rust_faults().config("access: {connect: daemon}\n");
    let mut daemon = place.start(&options);
    done(&place.call_as(DAEMON, &[DAEMON], &["count"]));
    let owner = "only the owner of this runtime (user 0) and root may";
    let user = "; this is user 1";
    for (words, what) in [
        (&["stop"][..], "stop it"),
        (&["stop", "--force"], "stop it"),
        (&["log", "level", "debug"], "change the log level"),
        (&["log", "reopen"], "reopen the log"),
        (&["trace", "record", "/tmp/of-another-user"], "record a trace"),
        (&["pool", "reset", "test_kv"], "reset a pool"),
        (&["pool", "migrate", "test_kv"], "migrate pools"),
        (&["pool", "save", "test_kv", "/tmp/of-another-user"], "save pools"),
        (
            &["pool", "create", "x", "--module", "chimaera:kv", "--on-crash", "abort"],
            "say what becomes of it when a method crashes",
        ),
    ] {
        let refused = place.cli_as(DAEMON, words);
        let why = format!("{owner} {what}{user}");
        assert!(refused.code == 1 && refused.stderr.contains(&why), "{words:?}: {refused:?}");
    }
    place.cli_as(DAEMON, &["log", "level"]).ok();
    denied(&place.call_as(DAEMON, &[DAEMON], &["stop"]), "may stop it; this is user 1");
    denied(&place.call_as(DAEMON, &[DAEMON], &["stop-by-method"]), "may stop it; this is user 1");
    assert!(daemon.is_alive());
    done(&place.call_by_root(&["stop-by-method"]));
    assert_eq!(daemon.end(), 0);
}

#[test]
fn pools_are_created_by_whom_the_configuration_names_and_destroyed_by_their_creators() {
    let Some(_alone) = alone_as_root() else { return };
    let place = Place::new();
    let config = "\
access: {connect: [daemon, \"group:bin\"], create: \"group:bin\"}
pools: [{name: first, module: \"chimaera:kv\"}]
";
    let mut daemon = place.start(&Options::new().kv().config(config));
    let by = |user: u32, words: &[&str]| place.call_as(user, &[user], words);
    let refused = "user 1 may not create pools: access.create";
    denied(&by(DAEMON, &["create", "mine"]), refused);
    // Finding a pool is not creating it.
    done(&by(BIN, &["create", "bins"]));
    done(&by(DAEMON, &["create", "bins"]));
    done(&by(DAEMON, &["call", "bins"]));
    done(&by(DAEMON, &["call", "first"]));
    let who = "only whoever created it, whom its access.destroy names, the owner of the runtime and root \
               may destroy it; this is user 1";
    denied(&by(DAEMON, &["destroy", "bins"]), &format!("pool 'bins' was created by user 2; {who}"));
    denied(
        &by(DAEMON, &["destroy", "first"]),
        &format!("pool 'first' is the runtime's own; {who}"),
    );
    denied(&by(BIN, &["destroy", "first"]), "pool 'first' is the runtime's own");
    done(&by(BIN, &["destroy", "bins"]));
    done(&by(BIN, &["create", "bins"]));
    done(&place.call_by_root(&["destroy", "bins"]));
    done(&place.call_by_root(&["destroy", "first"]));
    assert!(daemon.is_alive());
}

fn no_call(user: u32, pool: &str) -> String {
    let what = "access.call of the pool names neither the user nor a group of it";
    format!("user {user} may not call pool '{pool}': {what}")
}

/// The names of all pools, and the description of this one.
fn pools(place: &Place, pool: &str) -> (Vec<String>, Value) {
    let listed = place.cli_as(0, &["pool", "list", "--json"]).ok().json();
    let listed = listed.as_array().expect("a list");
    let names = listed.iter().map(|one| one["name"].as_str().expect("it is text").to_owned());
    let found = listed.iter().find(|one| one["name"] == pool);
    (names.collect(), found.cloned().unwrap_or_default())
}

#[test]
fn each_pool_of_the_configuration_says_who_may_call_and_destroy_it() {
    let Some(_alone) = alone_as_root() else { return };
    let place = Place::new();
    let config = "\
access: {connect: [daemon, bin, nobody]}
pools:
  - {name: open, module: \"chimaera:kv\"}
  - {name: daemons, module: \"chimaera:kv\", access: {call: daemon}}
  - {name: bins, module: \"chimaera:kv\", access: {call: [\"group:bin\"], destroy: [nobody]}}
  - {name: closed, module: \"chimaera:kv\", access: {call: []}}
";
    let mut daemon = place.start(&Options::new().kv().rust_faults().config(config));
    let by = |user: u32, words: &[&str]| place.call_as(user, &[user], words);
    for user in [DAEMON, BIN, NOBODY] {
        done(&by(user, &["call", "open"]));
        denied(&by(user, &["call", "closed"]), &no_call(user, "closed"));
    }
    done(&by(DAEMON, &["call", "daemons"]));
    denied(&by(BIN, &["call", "daemons"]), &no_call(BIN, "daemons"));
    done(&by(BIN, &["call", "bins"]));
    done(&place.call_as(NOBODY, &[NOBODY, BIN], &["call", "bins"]));
    denied(&by(NOBODY, &["call", "bins"]), &no_call(NOBODY, "bins"));
    // In one session, again and again, among pools that it may call.
    let words =
        ["call", "daemons", "--", "call", "bins", "--", "call", "daemons", "--", "call", "bins"];
    let mut command = as_user(place.command(&place.client), DAEMON, &[DAEMON]);
    let lines = process::run(command.args(words)).lines();
    let statuses: Vec<_> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["CHI_OK", "CHI_DENIED", "CHI_OK", "CHI_DENIED"], "{lines:?}");
    for pool in ["open", "daemons", "bins", "closed"] {
        done(&place.call_by_root(&["call", pool]));
    }
    // A module may call any pool, whichever user's task its method runs.
    let found = by(DAEMON, &["call-by-method", "closed"]);
    assert_eq!(found["found"], "value", "{found}");
    // The right to call does not include the right to destroy, nor vice versa.
    let who = "whom its access.destroy names, the owner of the runtime and root may destroy it";
    denied(&by(BIN, &["destroy", "bins"]), who);
    denied(&by(DAEMON, &["destroy", "daemons"]), who);
    let (_, bins) = pools(&place, "bins");
    let group = format!("group:{BIN}");
    let access = json!({ "call": [group], "destroy": [NOBODY.to_string()] });
    assert_eq!((&bins["access"], &bins["creator"]), (&access, &Value::Null), "{bins}");
    let (_, open) = pools(&place, "open");
    assert_eq!(open["access"], json!({ "call": null, "destroy": [] }), "{open}");
    done(&by(NOBODY, &["destroy", "bins"]));
    assert!(daemon.is_alive());
}

#[test]
fn whoever_creates_a_pool_says_who_may_use_it() {
    let Some(_alone) = alone_as_root() else { return };
    let place = Place::new();
    let _daemon = place.start(&Options::new().kv().config("access: {connect: [daemon, bin]}\n"));
    let by = |user: u32, words: &[&str]| place.call_as(user, &[user], words);
    let create = |pool: &str, more: &[&str]| {
        let words = [&["pool", "create", pool, "--module", "chimaera:kv"], more].concat();
        place.cli_as(DAEMON, &words)
    };
    create("own", &["--allow-call", ""]).ok();
    create("shared", &["--allow-call", "group:bin", "--allow-destroy", "bin"]).ok();
    create("all", &[]).ok();
    for pool in ["own", "shared", "all"] {
        done(&by(DAEMON, &["call", pool]));
        done(&place.call_by_root(&["call", pool]));
    }
    denied(&by(BIN, &["call", "own"]), &no_call(BIN, "own"));
    done(&by(BIN, &["call", "shared"]));
    done(&by(BIN, &["call", "all"]));
    let (_, own) = pools(&place, "own");
    assert_eq!(own["creator"], DAEMON, "{own}");
    assert_eq!(own["access"], json!({ "call": [], "destroy": [] }), "{own}");
    // The same arguments find the same pool; other access rights do not.
    assert_eq!(create("own", &["--allow-call", "", "--json"]).ok().json()["existed"], true);
    assert_eq!(create("own", &["--json"]).ok().json()["existed"], true);
    let other = create("own", &["--allow-call", "bin"]);
    let why = "pool 'own' already exists with other access";
    assert!(other.code == 1 && other.stderr.contains(why), "{other:?}");
    let unknown = create("new", &["--allow-call", "no-such-user"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("there is no user"), "{unknown:?}");
    let (names, _) = pools(&place, "new");
    assert!(!names.contains(&"new".to_owned()), "{names:?}");
    done(&by(BIN, &["destroy", "shared"]));
    done(&by(DAEMON, &["destroy", "own"]));
}

#[test]
fn users_and_members_of_groups_have_quotas_of_their_own() {
    let Some(_alone) = alone_as_root() else { return };
    let place = Place::new();
    let config = "\
access: {connect: [daemon, bin, nobody]}
limits:
  per_user: {pools: 1}
  users:
    - {who: daemon, pools: 2, tasks_in_flight: 300}
    - {who: [\"group:bin\"], segments: 16MiB}
";
    let _daemon = place.start(&Options::new().kv().throws().config(config));
    let by = |user: u32, words: &[&str]| place.call_as(user, &[user], words);
    let no_space = |said: &Value, why: &str| {
        let message = said["message"].as_str().expect("it is text");
        assert!(said["name"] == "CHI_NO_SPACE" && message.contains(why), "{said}");
    };
    done(&by(NOBODY, &["create", "n1"]));
    no_space(
        &by(NOBODY, &["create", "n2"]),
        "pool limit (1 per user) reached: raise limits.per_user.pools",
    );
    done(&by(DAEMON, &["create", "d1"]));
    done(&by(DAEMON, &["create", "d2"]));
    no_space(
        &by(DAEMON, &["create", "d3"]),
        "pool limit (2 per user) reached: raise limits.users[0].pools",
    );
    let segments =
        "segment limit (16777216 bytes per user) reached: raise limits.users[1].segments";
    no_space(&by(BIN, &["call", "d1"]), segments);
    no_space(&place.call_as(NOBODY, &[NOBODY, BIN], &["call", "d1"]), segments);
    done(&by(NOBODY, &["call", "d1"]));
    // Tasks in flight: one user's limit is not another's.
    place.cli_as(0, &["pool", "destroy", "d1"]).ok();
    let mortal = reachable(env!("CARGO_BIN_EXE_chi-test-mortal").into(), place.directory.path());
    let crowds = [DAEMON, 0].map(|user| {
        let mut command = as_user(place.command(&mortal), user, &[user]);
        let mut client = Running::start(command.args(["crowd", "1600"]));
        assert_eq!(client.line().as_deref(), Some("ready"));
        client
    });
    process::until("each has what it may", || {
        let sessions = place.cli_as(0, &["sessions", "--json"]).ok().json();
        let sessions = sessions.as_array().expect("a list");
        let of = |index: usize| {
            let pid = crowds[index].pid();
            let session = sessions.iter().find(|session| session["pid"] == pid).expect("open");
            let in_flight = session["tasks_in_flight"].as_u64().expect("a number");
            (in_flight, session["throttled"] == true)
        };
        assert!(of(0).0 <= 300, "{sessions:#?}");
        (of(0).0 >= 290 && of(0).1 && of(1) == (1600, false)).then_some(())
    });
}

/// A command that the user may not complete has no effect at all.
#[test]
fn what_is_refused_leaves_nothing_behind() {
    let Some(_alone) = alone_as_root() else { return };
    let place = Place::new();
    let _daemon = place.start(&Options::new().kv().config("access: {connect: daemon}\n"));
    let file = place.directory.path().join("compose.yaml");
    let compose = |text: &str, command: &str| {
        std::fs::write(&file, text).expect("there is room");
        allow(&file, 0o644);
        place.cli_as(DAEMON, &["compose", command, file.to_str().expect("it is text")])
    };
    let owner =
        "only the owner of this runtime (user 0) and root may say what becomes of it when a \
                 method crashes; this is user 1";
    let create = ["pool", "create", "x", "--module", "chimaera:kv", "--on-crash", "abort"];
    let refused = place.cli_as(DAEMON, &create);
    assert!(refused.code == 1 && refused.stderr.contains(owner), "{refused:?}");
    let aborts = "pools: [{name: x, module: \"chimaera:kv\", on_crash: abort}]\n";
    let refused = compose(aborts, "up");
    assert!(refused.code == 1 && refused.stderr.contains(owner), "{refused:?}");
    assert_eq!(pools(&place, "x").0, ["admin"]);
    // Any user may state the default explicitly.
    let create = ["pool", "create", "x", "--module", "chimaera:kv", "--on-crash", "quarantine"];
    place.cli_as(DAEMON, &create).ok();
    place.cli_as(DAEMON, &["pool", "destroy", "x"]).ok();
    let plain = "pools: [{name: x, module: \"chimaera:kv\", access: {call: []}}]\n";
    let made = compose(plain, "up").ok();
    assert!(made.stdout.contains("created"), "{made:?}");
    assert!(compose(plain, "up").ok().stdout.contains("unchanged"));
    assert_eq!(pools(&place, "x").1["access"]["call"], json!([]));
    assert!(compose(plain, "down").ok().stdout.contains("destroyed"));
    // For the owner, the creation is one step, too.
    std::fs::write(&file, aborts).expect("there is room");
    place.cli_as(0, &["compose", "up", file.to_str().expect("it is text")]).ok();
    assert_eq!(pools(&place, "x").1["on_crash"], "abort");
    let refused = place.cli_as(DAEMON, &create);
    assert!(refused.code == 1 && refused.stderr.contains(owner), "{refused:?}");
    assert_eq!(pools(&place, "x").1["on_crash"], "abort");
    let create = ["pool", "create", "x", "--module", "chimaera:kv", "--on-crash", "quarantine"];
    place.cli_as(0, &create).ok();
    assert_eq!(pools(&place, "x").1["on_crash"], "quarantine");
}

#[test]
fn an_unknown_user_in_the_configuration_is_named() {
    let site = Site::new();
    let file = site.path().join("chimaera.yaml");
    let text = "access:\n  connect: [root, no-such-user, \"group:no-such-group\"]\n";
    std::fs::write(&file, text).expect("the site is ours");
    let file = file.to_str().expect("the path is text");
    for command in [&["start", "--config", file][..], &["config", "check", file]] {
        let refused = site.cli(command);
        assert_eq!(refused.code, 2, "{refused:?}");
        for name in ["user 'no-such-user'", "group 'no-such-group'"] {
            let why = format!(":2:12: there is no {name}");
            assert!(refused.stderr.contains(&why), "{refused:?}");
        }
    }
    let text = "pools:\n  - {name: x, module: \"chimaera:kv\", access: {call: [no-such-user]}}\n";
    std::fs::write(file, text).expect("the site is ours");
    for command in [&["start", "--config", file][..], &["config", "check", file]] {
        let refused = site.cli(command);
        let why = ":2:53: there is no user 'no-such-user'";
        assert!(refused.code == 2 && refused.stderr.contains(why), "{refused:?}");
    }
}

/// The reason for which `chimaera modules` refuses a file or directory.
fn refused(daemon: &Daemon, path: &Path) -> String {
    let modules = daemon.cli(&["modules", "--json"]).ok().json();
    let refused = modules["refused"].as_array().expect("a list");
    let found = refused.iter().find(|one| one["path"] == path.to_str().expect("it is text"));
    let found = found.unwrap_or_else(|| panic!("{} is not refused: {modules}", path.display()));
    assert_eq!(found["is_module"], true, "{found}");
    let shown = daemon.cli(&["modules"]).ok().stdout;
    let reason = found["reason"].as_str().expect("a reason");
    assert!(shown.contains(reason), "{shown}");
    reason.to_owned()
}

#[test]
fn modules_come_only_from_where_nobody_else_can_write() {
    let Some(_alone) = alone_as_root() else { return };
    let site = Site::new();
    let directory = |name: &str, module: PathBuf| {
        let directory = site.path().join(name);
        std::fs::create_dir(&directory).expect("the name is free");
        let copy = directory.join(module.file_name().expect("it is a file"));
        std::fs::copy(module, &copy).expect("there is room");
        allow(&copy, 0o644);
        (directory, copy)
    };
    let kv = || artefacts::rust_module("chimaera_kv");
    let (good, _) = directory("good", kv());
    let (open, _) = directory("open", kv());
    allow(&open, 0o777);
    let (sticky, _) = directory("sticky", kv());
    allow(&sticky, 0o1777);
    let (by_group, _) = directory("by_group", kv());
    std::os::unix::fs::chown(&by_group, None, Some(BIN)).expect("root may");
    allow(&by_group, 0o775);
    let (writable, file) = directory("writable", artefacts::rust_faults());
    allow(&file, 0o666);
    let (owned, others) = directory("owned", artefacts::rust_model());
    std::os::unix::fs::chown(&others, Some(DAEMON), None).expect("root may");
    let (outer, _) = directory("outer", artefacts::rust_events());
    let inner = outer.join("inner");
    std::fs::create_dir(&inner).expect("the name is free");
    allow(&outer, 0o777);
    let (private, _) = directory("private", artefacts::rust_locks());
    allow(&private, 0o775);
    let mut options = Options::new();
    for one in [&good, &open, &sticky, &by_group, &writable, &owned, &inner, &private] {
        options = options.repo_path(one.clone());
    }
    let daemon = Daemon::start_at(site.clone(), &options);
    let modules = daemon.cli(&["modules", "--json"]).ok().json();
    let loaded: Vec<_> = modules["loaded"].as_array().expect("a list").iter().collect();
    let names: Vec<_> = loaded.iter().map(|module| module["name"].as_str().unwrap()).collect();
    // Root's own group does not count as another user.
    assert_eq!(names, ["chimaera:kv", "test:rust_locks"], "{modules}");
    let rule = "; modules are loaded only from where no other user but root can write";
    for (path, why) in [
        (&open, format!("every user can write to {}", open.display())),
        (&sticky, "every user can add files to it".to_owned()),
        (&by_group, format!("group {BIN} can write to {}", by_group.display())),
        (&file, format!("every user can write to {}", file.display())),
        (&others, format!("{} belongs to user {DAEMON}, who can change it", others.display())),
        (&inner, format!("every user can write to {}", outer.display())),
    ] {
        assert_eq!(refused(&daemon, path), why + rule);
    }
    let inspected = site.cli(&["module", "inspect", file.to_str().expect("it is text")]);
    assert!(inspected.code == 1 && inspected.stderr.contains(rule), "{inspected:?}");
}

#[test]
fn a_library_path_that_depends_on_the_working_directory_is_warned_of() {
    for (path, what) in [
        (".", Some("the entry '.', which depends on the working directory")),
        ("/usr/lib:", Some("an empty entry, which means the working directory")),
        ("/usr/lib;lib", Some("the entry 'lib', which depends on the working directory")),
        ("/usr/lib", None),
    ] {
        let site = Site::new();
        let mut command = Options::new().command(&site);
        command.env("LD_LIBRARY_PATH", path).current_dir(site.path());
        let daemon = Daemon::run(site.clone(), command);
        assert_eq!(
            daemon.log().contains("LD_LIBRARY_PATH has"),
            what.is_some(),
            "{}",
            daemon.log()
        );
        assert!(daemon.log().contains(what.unwrap_or_default()), "{path}: {}", daemon.log());
    }
}
