//! `chimaera repo` and `chimaera module` from the outside: what they refuse, and what they ask
//! CMake for. What they write is tested with the crate `chimaera-repo`.

use std::path::{Path, PathBuf};

use chimaera_tests::{artefacts, process, Output, Site};

/// A repo with a module in C++, and a `cmake` that writes its arguments to a file.
struct Repo {
    site: Site,
    dir: PathBuf,
}

impl Repo {
    fn new() -> Repo {
        let site = Site::new();
        let dir = site.path().join("repo");
        let repo = Repo { dir, site };
        let dir = repo.dir.to_str().unwrap();
        repo.run(&["repo", "new", dir, "--namespace", "tools"]).ok();
        repo.run(&["module", "new", "blocks", "--lang", "cpp", "--repo", dir]).ok();
        repo
    }

    fn run(&self, args: &[&str]) -> Output {
        process::run(command(&self.site, artefacts::chimaera()).args(args))
    }

    /// The arguments that `repo build` passes to CMake when it configures.
    fn configures(&self, args: &[&str]) -> String {
        self.configures_by(artefacts::chimaera(), args)
    }

    /// Like [`configures`](Self::configures), with the program in another place.
    fn configures_by(&self, program: PathBuf, args: &[&str]) -> String {
        let tools = self.site.path().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        let told = tools.join("arguments");
        let script = tools.join("cmake");
        let text = format!("#!/bin/sh\necho \"$@\" >> {}\nexit 1\n", told.display());
        std::fs::write(&script, text).unwrap();
        let runnable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, runnable).unwrap();
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let mut command = command(&self.site, program);
        command.env("PATH", path).args(["repo", "build"]).arg(&self.dir).args(args);
        let output = process::run(&mut command);
        assert_eq!(output.code, 1, "{output:#?}");
        let text = std::fs::read_to_string(&told).unwrap();
        std::fs::remove_file(told).unwrap();
        text
    }

    /// Leaves the CMake cache of a build with this checkout.
    fn has_been_built_with(&self, source: &Path) {
        let build = self.dir.join("build");
        std::fs::create_dir_all(&build).unwrap();
        let line = format!("CHIMAERA_SOURCE_DIR:UNINITIALIZED={}\n", source.display());
        std::fs::write(build.join("CMakeCache.txt"), line).unwrap();
    }
}

fn command(site: &Site, program: PathBuf) -> std::process::Command {
    let mut command = site.command(program);
    command.env_remove("CHIMAERA_SOURCE_DIR");
    command
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn a_source_that_is_no_checkout_is_refused_before_cmake_keeps_it() {
    let repo = Repo::new();
    let dir = repo.dir.to_str().unwrap();
    for args in [
        &["repo", "build", dir, "--source", "/nope"][..],
        &["module", "new", "m", "--lang", "rust", "--repo", dir, "--source", "/nope"],
    ] {
        let output = repo.run(args);
        assert_eq!(output.code, 2, "{output:#?}");
        assert!(output.stderr.contains("/nope is not a checkout of Chimaera"), "{output:#?}");
    }
    assert!(!repo.dir.join("build").exists() && !repo.dir.join("m").exists());
}

#[test]
fn a_build_can_change_its_source() {
    let repo = Repo::new();
    let source = checkout();
    let with_source = ["--source", source.to_str().unwrap()];
    let wanted = format!("-DCHIMAERA_SOURCE_DIR={}", source.display());
    let first = repo.configures(&with_source);
    assert!(first.contains(&wanted) && !first.contains("-U"), "{first}");

    // Without an explicit checkout, the one that contains the program is used, if any.
    let elsewhere = repo.site.path().join("chimaera-elsewhere");
    std::fs::copy(artefacts::chimaera(), &elsewhere).unwrap();
    assert_eq!(repo.configures(&[]), first);
    let none = repo.configures_by(elsewhere.clone(), &[]);
    assert!(!none.contains("CHIMAERA_SOURCE_DIR"), "{none}");

    // A checkout that is gone is forgotten, and so is what was found there.
    repo.has_been_built_with(Path::new("/nope"));
    let none = repo.configures_by(elsewhere.clone(), &[]);
    assert!(none.contains("-UCHIMAERA_SOURCE_DIR"), "{none}");
    for args in [&[][..], &with_source] {
        let other = repo.configures(args);
        assert!(other.contains(&wanted), "{other}");
        assert!(other.contains("-UCHIMAERA_CARGO_TARGET_DIR"), "{other}");
    }

    // A checkout that exists is still used, and not replaced by the one that contains the program.
    repo.has_been_built_with(&source);
    let again =
        [repo.configures(&[]), repo.configures(&with_source), repo.configures_by(elsewhere, &[])];
    assert!(again.iter().all(|asked| !asked.contains("-U")), "{again:?}");
    assert!(!again[0].contains("CHIMAERA_SOURCE_DIR"), "{again:?}");
}

#[test]
fn a_method_without_a_place_is_a_failure() {
    let repo = Repo::new();
    let module = repo.dir.join("blocks");
    let source = module.join("src/blocks_runtime.cc");
    std::fs::remove_file(&source).unwrap();
    let module = module.to_str().unwrap();
    let output = repo.run(&["module", "add-method", "kFree", "--module", module]);
    assert_eq!(output.code, 1, "{output:#?}");
    let why = format!("could not change {}: there is no such file", source.display());
    assert!(output.stdout.contains("kFree is method 11"), "{output:#?}");
    assert!(output.stdout.contains(&why), "{output:#?}");
    assert!(output.stderr.contains("a file is left to change by hand"), "{output:#?}");
    let output = repo.run(&["module", "add-method", "kUse", "--module", module, "--json"]);
    assert_eq!(output.code, 1, "{output:#?}");
    let left = &output.json()["left"][0];
    assert_eq!(left["reason"], "there is no such file", "{left:#}");
    assert!(left["code"].as_str().unwrap().contains("Use"), "{left:#}");
}
