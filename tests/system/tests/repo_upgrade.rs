//! `chimaera repo install --upgrade`: what is installed is what the pools of the running instance run. A
//! script stands in for CMake, and installs one of the two versions of test:life.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chimaera_tests::{artefacts, process, Daemon, Options, Output, Running, Site};
use serde_json::Value;

const LIBRARY: &str = "libtest_life_runtime.so";

/// A repo with the module, and the prefix into which it is installed.
struct Repo {
    site: Site,
    dir: PathBuf,
    prefix: PathBuf,
    /// What the script builds.
    built: PathBuf,
}

impl Repo {
    /// The first version is installed.
    fn new() -> Repo {
        let site = Site::new();
        let [dir, prefix, built] =
            ["repo", "prefix", "built.so"].map(|name| site.path().join(name));
        let tools = site.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        // The arguments: -S DIR -B BUILD ..., --build BUILD, --install BUILD --prefix PREFIX.
        let script = format!(
            "#!/bin/sh -e\n\
             case $1 in\n\
             --build) mkdir -p $2/modules && cp {built} $2/modules/{LIBRARY} ;;\n\
             --install) to=$4/lib/chimaera/modules; mkdir -p $to\n\
             cmp -s {built} $to/{LIBRARY} || cp --remove-destination {built} $to/{LIBRARY} ;;\n\
             esac\n",
            built = built.display()
        );
        let cmake = tools.join("cmake");
        std::fs::write(&cmake, script).unwrap();
        std::fs::set_permissions(&cmake, PermissionsExt::from_mode(0o755)).unwrap();
        let module = dir.join("life");
        std::fs::create_dir_all(&module).unwrap();
        std::fs::write(dir.join("chimaera_repo.yaml"), "namespace: test\n").unwrap();
        std::fs::write(module.join("chimaera_mod.yaml"), "language: cpp\nkCreate: 0\nkAdd: 10\n")
            .unwrap();
        let repo = Repo { site, dir, prefix, built };
        repo.build("life");
        repo.install(&[]).ok();
        repo
    }

    /// Lets the next build give the module in this fixture.
    fn build(&self, fixture: &str) {
        std::fs::copy(artefacts::test_module(fixture), &self.built).unwrap();
    }

    fn install(&self, more: &[&str]) -> Output {
        let mut command = self.site.command(artefacts::chimaera());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.site.path().join("tools").display()));
        command.args(["repo", "install"]).args([&self.prefix, &self.dir]).args(more);
        process::run(&mut command)
    }

    /// Watches the repo.
    fn watch(&self) -> Running {
        let mut command = self.site.command(artefacts::chimaera());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.site.path().join("tools").display()));
        command.args(["--name", self.site.name(), "--json", "module", "watch"]).arg(&self.dir);
        Running::start(&mut command)
    }

    fn installed(&self) -> PathBuf {
        self.prefix.join("lib/chimaera/modules").join(LIBRARY)
    }

    fn start(&self) -> Daemon {
        let directory = self.installed().parent().map(Path::to_owned).unwrap();
        Daemon::start_at(self.site.clone(), &Options::new().repo_path(directory))
    }

    fn version(&self, pool: &str) -> String {
        self.site.pool(pool)["version"].as_str().unwrap().to_owned()
    }
}

#[test]
fn pools_run_what_is_installed() {
    let repo = Repo::new();
    let mut daemon = repo.start();
    for (pool, isolation) in [("one", "none"), ("two", "process")] {
        let create = ["pool", "create", pool, "--module", "test:life", "--isolation", isolation];
        repo.site.cli(&create).ok();
    }
    let same = repo.install(&["--upgrade", "--json"]).ok().json();
    assert_eq!(same["upgrades"][0]["state"], "unchanged", "{same}");

    repo.build("life_2");
    let done = repo.install(&["--upgrade", "--json"]).ok().json();
    assert_eq!(done["installed"][0], repo.installed().to_str().unwrap());
    let life = &done["upgrades"][0];
    assert_eq!((&life["module"], &life["state"]), (&"test:life".into(), &"upgraded".into()));
    assert_eq!((&life["from"], &life["to"]), (&"1.0.0".into(), &"2.0.0".into()));
    assert_eq!(life["containers"], 2);
    assert_eq!([repo.version("one"), repo.version("two")], ["2.0.0", "2.0.0"]);

    let again = repo.install(&["--upgrade"]).ok().stdout;
    assert!(again.ends_with("unchanged  test:life\n"), "{again}");
    repo.build("life");
    let back = repo.install(&["--upgrade"]).ok().stdout;
    assert!(back.contains("upgraded   test:life from 2.0.0 to 1.0.0: 2 containers, "), "{back}");
    daemon.stop();
}

#[test]
fn a_module_that_cannot_be_upgraded_stays_as_it_is() {
    let repo = Repo::new();
    let mut daemon = repo.start();
    repo.site.cli(&["pool", "create", "sound", "--module", "test:life"]).ok();
    let params = ["--params", "fail=save"];
    repo.site
        .cli(&[&["pool", "create", "ill", "--module", "test:life"], &params[..]].concat())
        .ok();
    repo.build("life_2");
    let failed = repo.install(&["--upgrade"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    let why = "failed     test:life: pool 'ill' cannot save its state: saving fails in test:life; its pools go on \
               with version 1.0.0\n";
    assert!(failed.stdout.contains(why), "{failed:?}");
    assert!(failed.stderr.contains("installed, but not upgraded: test:life"), "{failed:?}");
    assert_eq!([repo.version("sound"), repo.version("ill")], ["1.0.0", "1.0.0"]);
    let failed = repo.install(&["--upgrade", "--json"]);
    let document = failed.json();
    assert_eq!(
        (failed.code, &document["upgrades"][0]["state"]),
        (1, &"failed".into()),
        "{document}"
    );
    assert_eq!(document["error"], "installed, but not upgraded: test:life");
    repo.site.cli(&["pool", "destroy", "ill"]).ok();
    repo.install(&["--upgrade"]).ok();
    assert_eq!(repo.version("sound"), "2.0.0");
    daemon.stop();
}

#[test]
fn nothing_is_installed_for_an_instance_that_is_not_running() {
    let repo = Repo::new();
    repo.build("life_2");
    let before = std::fs::read(repo.installed()).unwrap();
    let refused = repo.install(&["--upgrade"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("is not running"), "{refused:?}");
    assert!(std::fs::read(repo.installed()).unwrap() == before);
    let misused = repo.install(&["--timeout", "3"]);
    assert_eq!(misused.code, 2, "{misused:?}");
}

#[test]
fn a_module_that_is_new_is_left_to_the_next_start() {
    let repo = Repo::new();
    std::fs::remove_file(repo.installed()).unwrap();
    let mut daemon = repo.start();
    let absent = repo.install(&["--upgrade"]).ok().stdout;
    assert!(absent.contains("absent     test:life: the instance has not loaded it"), "{absent}");
    daemon.stop();
}

/// While an author edits, the pools run what was built last, with their state; what cannot be built leaves them as they
/// are.
#[test]
fn what_is_watched_is_built_and_run() {
    let repo = Repo::new();
    let mut daemon = repo.start();
    repo.site.cli(&["pool", "create", "one", "--module", "test:life"]).ok();
    let mut watch = repo.watch();
    let mut next = |event: &str| {
        let line = watch.line().expect("it says what happens");
        let found: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(found["event"], event, "{line}");
        found
    };
    assert_eq!(next("watching")["directory"], repo.dir.to_str().unwrap());
    next("built");
    assert_eq!(next("unchanged")["module"], "test:life");
    // An edit.
    repo.build("life_2");
    let source = repo.dir.join("life/life.cc");
    std::fs::write(&source, "// The second version.\n").unwrap();
    next("built");
    let done = next("upgraded");
    assert_eq!((&done["from"], &done["to"]), (&"1.0.0".into(), &"2.0.0".into()), "{done}");
    assert_eq!(repo.version("one"), "2.0.0");
    // A mistake.
    std::fs::remove_file(&repo.built).unwrap();
    std::fs::write(&source, "// No version.\n").unwrap();
    let failed = next("failed");
    assert!(failed["error"].as_str().unwrap().contains("cmake failed"), "{failed}");
    assert_eq!(repo.version("one"), "2.0.0");
    // It is mended, while nobody runs it.
    daemon.stop();
    repo.build("life");
    std::fs::write(&source, "// The first version again.\n").unwrap();
    next("built");
    assert!(next("failed")["error"].as_str().unwrap().contains("is not running"));
}
