//! `chimaera repo build` and `chimaera repo install`: builds the modules of a repo, in both
//! languages, and puts them where a runtime finds them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chimaera_repo::{Language, Mode, Module, Repo, MODULE_FILE};
use serde_json::json;

use super::pool::DESTROY_BOUND;
use super::repo_output::problems;
use super::repo_upgrade::{self, Installed};
use crate::context::{Context, Failed, Outcome};
use crate::number::number;

#[derive(clap::Args)]
pub(crate) struct BuildArgs {
    /// Directory of the repo
    #[arg(default_value = ".")]
    pub(super) dir: PathBuf,
    /// Build directory [default: build in the repo]; modules end up in its subdirectory modules
    #[arg(long, value_name = "DIR")]
    build_dir: Option<PathBuf>,
    /// The checkout of Chimaera against which to build C++ modules [default: the installation of
    /// this program, else the checkout of the last build, else the one that contains this program]
    #[arg(long, value_name = "DIR", env = "CHIMAERA_SOURCE_DIR")]
    source: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct InstallArgs {
    /// Prefix to install into: modules go to lib/chimaera/modules, headers to include
    prefix: PathBuf,
    #[command(flatten)]
    build: BuildArgs,
    /// Then let the pools of the running instance run the modules that have changed
    ///
    /// As `chimaera module upgrade` does for one: tasks wait while the containers of a module's pools are
    /// replaced by such of the new version, which load their states. If that fails for a module, all its
    /// pools go on with the old version, and the command fails; other modules are upgraded all the same.
    /// Modules that the instance has not loaded are left to its next start.
    #[arg(long)]
    upgrade: bool,
    /// How long the upgrade of one module may take, in seconds
    #[arg(long, value_name = "SECONDS", requires = "upgrade", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(0..=86_400))]
    timeout: u32,
}

/// Where a runtime finds installed modules, relative to the prefix.
const INSTALLED: &str = "lib/chimaera/modules";

pub(crate) fn build(context: &Context, args: &BuildArgs) -> Outcome {
    let modules = build_all(context, args)?;
    let directory = build_dir(args)?.join("modules");
    let document = json!({ "modules": modules, "directory": directory });
    if !context.print_json(&document) {
        let lines: String = modules.iter().map(|file| format!("{}\n", file.display())).collect();
        crate::context::print(&format!(
            "{lines}to load them: CHI_REPO_PATH={}\n",
            directory.display()
        ));
    }
    Ok(())
}

pub(crate) fn install(context: &Context, args: &InstallArgs) -> Outcome {
    if args.upgrade {
        repo_upgrade::check(context)?;
    }
    let modules = build_all(context, &args.build)?;
    let to = args.prefix.join(INSTALLED);
    if modules.iter().any(|module| !is_rust(module, &args.build)) {
        // CMake also installs the clients and the package of the repo, and adjusts the library
        // paths.
        let build_dir = build_dir(&args.build)?;
        let mut cmake = Command::new("cmake");
        cmake
            .arg("--install")
            .arg(build_dir)
            .arg("--prefix")
            .arg(std::path::absolute(&args.prefix)?);
        run(&mut cmake)?;
    }
    std::fs::create_dir_all(&to).map_err(|error| at(&to, &error))?;
    let mut installed = Vec::new();
    for module in &modules {
        let name = module.file_name().expect("a module has a file name");
        let target = to.join(name);
        if is_rust(module, &args.build) && !repo_upgrade::same_contents(module, &target) {
            replace(module, &target)?;
        }
        installed.push(target);
    }
    let (repo, own) = Repo::open(&args.build.dir).map_err(|found| problems(context, &found))?;
    installed.extend(install_headers(&repo, &own, args)?);
    let lines: String =
        installed.iter().map(|file| format!("installed  {}\n", file.display())).collect();
    let mut document = json!({ "installed": installed });
    if !args.upgrade {
        if !context.print_json(&document) {
            crate::context::print(&lines);
        }
        return Ok(());
    }
    let to = std::path::absolute(&to)?;
    let own = own.iter().map(|module| Installed {
        name: format!("{}:{}", module.namespace, module.name),
        file: to.join(library(module)),
    });
    if !context.json {
        crate::context::print(&lines);
    }
    let upgrades = repo_upgrade::upgrade(context, &own.collect::<Vec<_>>(), args.timeout)?;
    let (lines, failure) = (upgrades.lines(), upgrades.failure());
    document["upgrades"] = upgrades.document();
    if let Some(why) = &failure {
        document["error"] = why.as_str().into();
        document["status"] = "CHI_FAILED".into();
    }
    if !context.print_json(&document) {
        crate::context::print(&lines);
    }
    match failure {
        None => Ok(()),
        Some(_) if context.json => Err(Failed::Told),
        Some(why) => Err(Failed::Message(why)),
    }
}

/// Installs the generated C and C++ headers of Rust modules where CMake installs those of C++
/// modules.
fn install_headers(
    repo: &Repo,
    modules: &[Module],
    args: &InstallArgs,
) -> Result<Vec<PathBuf>, Failed> {
    let to = args.prefix.join(format!("include/{}_chimods", repo.namespace));
    let mut installed = Vec::new();
    for module in modules.iter().filter(|module| module.language == Language::Rust) {
        let autogen = module.dir.join("autogen");
        for entry in std::fs::read_dir(&autogen).map_err(|error| at(&autogen, &error))? {
            let header = entry?.path();
            if header.extension().is_some_and(|extension| extension == "h") {
                std::fs::create_dir_all(&to).map_err(|error| at(&to, &error))?;
                let target = to.join(header.file_name().expect("an entry has a name"));
                std::fs::copy(&header, &target).map_err(|error| at(&target, &error))?;
                installed.push(target);
            }
        }
    }
    installed.sort();
    Ok(installed)
}

/// Whether a built module is in Rust: if so, it is a link to cargo's output.
fn is_rust(module: &Path, args: &BuildArgs) -> bool {
    std::fs::read_link(module).is_ok_and(|target| target.starts_with(cargo_dir(args)))
}

/// Where it is built.
pub(super) fn build_dir(args: &BuildArgs) -> Result<PathBuf, Failed> {
    let default = args.dir.join("build");
    Ok(std::path::absolute(args.build_dir.as_ref().unwrap_or(&default))?)
}

fn cargo_dir(args: &BuildArgs) -> PathBuf {
    build_dir(args).unwrap_or_default().join("cargo")
}

/// Builds every module of the repo. Returns their files.
pub(super) fn build_all(context: &Context, args: &BuildArgs) -> Result<Vec<PathBuf>, Failed> {
    if args.dir.join(MODULE_FILE).exists() {
        return Err(Failed::Message(format!(
            "{} is a module: give the directory of its repo",
            args.dir.display()
        )));
    }
    if let Some(source) = &args.source {
        check_source(source)?;
    }
    chimaera_repo::refresh(&args.dir, Mode::Write).map_err(|found| problems(context, &found))?;
    let (_, modules) = Repo::open(&args.dir).map_err(|found| problems(context, &found))?;
    let directory = build_dir(args)?.join("modules");
    std::fs::create_dir_all(&directory).map_err(|error| at(&directory, &error))?;
    let of = |language: Language| modules.iter().filter(move |module| module.language == language);
    if of(Language::Cpp).next().is_some() {
        build_cpp(args, &directory)?;
    }
    let mut files: Vec<PathBuf> =
        of(Language::Cpp).map(|module| directory.join(library(module))).collect();
    for module in of(Language::Rust) {
        files.push(build_rust(args, module, &directory)?);
    }
    if let Some(absent) = files.iter().find(|file| !file.exists()) {
        return Err(Failed::Message(format!("the build did not create {}", absent.display())));
    }
    files.sort();
    Ok(files)
}

/// The names of the modules of the repo that has been built, `repo:module`, each with its file.
pub(super) fn names(args: &BuildArgs, files: &[PathBuf]) -> Result<Vec<(String, PathBuf)>, Failed> {
    let opened = Repo::open(&args.dir);
    let (_, modules) = opened.map_err(|found| Failed::Message(found.to_string()))?;
    let file = |module: &Module| {
        let library = library(module);
        files.iter().find(|file| file.file_name().is_some_and(|name| *name == *library))
    };
    let named = |module: &Module| {
        Some((format!("{}:{}", module.namespace, module.name), file(module)?.clone()))
    };
    Ok(modules.iter().filter_map(named).collect())
}

/// The file name that the CMake functions and cargo give to a module.
fn library(module: &Module) -> String {
    format!("lib{}_{}_runtime.so", module.namespace, module.name)
}

fn build_cpp(args: &BuildArgs, directory: &Path) -> Outcome {
    let build = build_dir(args)?;
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&args.dir).arg("-B").arg(&build);
    configure.arg(format!("-DCHIMAERA_MODULE_DIR={}", directory.display()));
    if !build.join("CMakeCache.txt").exists() {
        configure.arg("-DCMAKE_BUILD_TYPE=Release");
    }
    let before = cached_source(&build);
    let installed = own_prefix();
    let source = match (&args.source, &installed) {
        (Some(source), _) => Some(std::path::absolute(source)?),
        (None, Some(_)) => None,
        // Keeps the checkout of the last build.
        (None, None) if before.as_deref().is_some_and(|before| check_source(before).is_ok()) => {
            None
        }
        (None, None) => own_checkout(),
    };
    if let Some(source) = source {
        configure.arg(format!("-DCHIMAERA_SOURCE_DIR={}", source.display()));
        if before.is_some_and(|before| before != source) {
            // The cached default of this variable is inside the previous checkout.
            configure.arg("-UCHIMAERA_CARGO_TARGET_DIR");
        }
    } else if let Some(prefix) = installed {
        configure.arg(format!("-Dchimaera_ROOT={}", prefix.display()));
        configure.arg("-UCHIMAERA_SOURCE_DIR");
    } else if before.is_some_and(|before| check_source(&before).is_err()) {
        configure.arg("-UCHIMAERA_SOURCE_DIR");
    }
    run(&mut configure)?;
    run(Command::new("cmake").arg("--build").arg(&build))
}

/// The checkout that contains this program.
fn own_checkout() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let mut dirs = program.ancestors().skip(1);
    dirs.find(|dir| check_source(dir).is_ok()).map(Path::to_owned)
}

/// Refuses a directory that is not a checkout of Chimaera: CMake would keep it for later builds.
fn check_source(source: &Path) -> Outcome {
    let wanted = ["CMakeLists.txt", "cmake/ChimaeraModule.cmake", "include/chimaera/abi.h"];
    match wanted.iter().find(|file| !source.join(file).is_file()) {
        None => Ok(()),
        Some(file) => Err(Failed::Usage(format!(
            "{} is not a checkout of Chimaera: it has no {file} (--source, or CHIMAERA_SOURCE_DIR)",
            source.display()
        ))),
    }
}

/// The checkout that an earlier build used.
fn cached_source(build: &Path) -> Option<PathBuf> {
    let cache = std::fs::read_to_string(build.join("CMakeCache.txt")).ok()?;
    let line = cache.lines().find(|line| line.starts_with("CHIMAERA_SOURCE_DIR:"))?;
    line.split_once('=').map(|(_, path)| PathBuf::from(path))
}

/// The prefix into which this program is installed together with its CMake package.
fn own_prefix() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let prefix = program.parent()?.parent()?;
    prefix.join("include/chimaera/abi.h").exists().then(|| prefix.to_owned())
}

/// Builds one module with cargo, and links to it from the directory.
fn build_rust(args: &BuildArgs, module: &Module, directory: &Path) -> Result<PathBuf, Failed> {
    let manifest = module.dir.join("runtime/Cargo.toml");
    let target = cargo_dir(args);
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--manifest-path"]).arg(&manifest);
    cargo.arg("--target-dir").arg(&target);
    run(&mut cargo)?;
    let file = directory.join(library(module));
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(at(&file, &error))
        }
        _ => {}
    }
    let built = target.join("release").join(library(module));
    std::os::unix::fs::symlink(&built, &file).map_err(|error| at(&file, &error))?;
    Ok(file)
}

/// Runs a tool with its output redirected to standard error, because standard output belongs to
/// this program.
fn run(command: &mut Command) -> Outcome {
    let tool = command.get_program().to_string_lossy().into_owned();
    let stderr = std::io::stderr();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::os::fd::AsFd::as_fd(&stderr).try_clone_to_owned()?));
    let ended = command.status().map_err(|error| {
        Failed::Message(format!("cannot run {tool}: {error}; is it installed?"))
    })?;
    if ended.success() {
        Ok(())
    } else {
        Err(Failed::Message(format!("{tool} failed ({ended}); see its output above")))
    }
}

/// Replaces a file atomically: a runtime that has loaded the old one keeps it.
fn replace(from: &Path, to: &Path) -> Outcome {
    let beside = to.with_extension("so.new");
    std::fs::copy(from, &beside).map_err(|error| at(&beside, &error))?;
    std::fs::rename(&beside, to).map_err(|error| at(to, &error))
}

fn at(path: &Path, error: &std::io::Error) -> Failed {
    Failed::Message(format!("{}: {error}", path.display()))
}
