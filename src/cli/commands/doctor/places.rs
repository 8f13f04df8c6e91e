//! Directories: of the sockets, the states, the log and the modules.

use std::path::{Path, PathBuf};

use chimaera_config::Settings;
use chimaera_ipc::instance::{Instance, OWNER_VARIABLE};
use chimaera_runtime::{check_module_directory, check_module_file, library_path_warning, Config};
use rustix::fs::{access, statvfs, Access};

use super::check::Check;
use crate::number::{bytes, counted};

/// With less, a status page or a log hardly fits.
const LITTLE: u64 = 1 << 20;

pub(super) fn checks(instance: &Instance, settings: &Settings, config: &Config) -> Vec<Check> {
    let mut checks = vec![sockets(instance), states(instance, config), shared_memory()];
    checks.extend(settings.log_file().map(log));
    checks.append(&mut modules(config));
    checks
}

fn sockets(instance: &Instance) -> Check {
    const WHAT: &str = "sockets";
    const SO: &str = "a runtime does not start without it";
    let directory = instance.directory();
    // It is not made here: it would belong to whoever looks.
    let found = match directory.symlink_metadata() {
        Ok(_) => instance.prepare_directory().map_err(|error| error.to_string()),
        // Only the last directory of the path is made.
        Err(_) => match directory.parent() {
            Some(parent) if !parent.is_dir() => {
                Err(format!("{}: there is no such directory", parent.display()))
            }
            parent => parent.map_or(Ok(()), can_be_written),
        },
    };
    match found {
        Ok(()) => Check::ok(WHAT, directory.display().to_string()),
        // A client of another user's runtime makes nothing there.
        Err(_) if std::env::var_os(OWNER_VARIABLE).is_some_and(|owner| !owner.is_empty()) => {
            Check::ok(WHAT, format!("{}, of the user in {OWNER_VARIABLE}", directory.display()))
        }
        Err(why) => Check::failed(WHAT, why, SO),
    }
}

fn states(instance: &Instance, config: &Config) -> Check {
    const WHAT: &str = "states";
    const SO: &str = "pools cannot be durable, nor outlive a restart: set state_dir to a directory of the runtime's user";
    let directory = match config.state_directory(instance.name()) {
        Ok(directory) => directory,
        Err(error) => return Check::warning(WHAT, error.to_string(), SO),
    };
    match can_be_written(&directory) {
        Ok(()) => Check::ok(WHAT, directory.display().to_string()),
        Err(why) => Check::warning(WHAT, why, SO),
    }
}

fn log(file: &Path) -> Check {
    const WHAT: &str = "log";
    let shown = file.display().to_string();
    let directory =
        std::path::absolute(file).ok().and_then(|file| file.parent().map(Path::to_owned));
    let in_directory = directory.map_or(Ok(()), |directory| can_be_written(&directory));
    match (file.exists(), in_directory) {
        (true, of_directory) => match (access(file, Access::WRITE_OK), of_directory) {
            (Err(error), _) => Check::failed(WHAT, format!("{shown}: {error}"), NO_LOG),
            (Ok(()), Err(why)) => Check::warning(
                WHAT,
                why,
                "the log cannot be rotated: let the runtime's user write there",
            ),
            (Ok(()), Ok(())) => Check::ok(WHAT, shown),
        },
        (false, Err(why)) => Check::failed(WHAT, why, NO_LOG),
        (false, Ok(())) => Check::ok(WHAT, shown),
    }
}

const NO_LOG: &str = "a runtime does not start without its log: change log.file";

/// Whether files can be made in a directory, or in the nearest one on its path that exists.
fn can_be_written(directory: &Path) -> Result<(), String> {
    let mut nearest = directory;
    while !nearest.exists() {
        nearest =
            nearest.parent().ok_or_else(|| format!("{} does not exist", directory.display()))?;
    }
    if !nearest.is_dir() {
        return Err(format!("{} is no directory", nearest.display()));
    }
    access(nearest, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{}: {error}", nearest.display()))?;
    match statvfs(nearest) {
        Ok(found) if found.f_blocks == 0 => {
            Err(format!("{}: no files can be made there", nearest.display()))
        }
        Ok(found) if found.f_bavail.saturating_mul(found.f_frsize) < LITTLE => {
            Err(format!("{}: the file system is full", nearest.display()))
        }
        _ => Ok(()),
    }
}

fn shared_memory() -> Check {
    const WHAT: &str = "/dev/shm";
    const SO: &str = "`chimaera status` asks the runtime instead of looking at its page: in a container, give it --shm-size";
    let path = Path::new("/dev/shm");
    match access(path, Access::WRITE_OK).and_then(|()| statvfs(path)) {
        Err(error) => Check::warning(WHAT, error.to_string(), SO),
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            match free < LITTLE {
                true => Check::warning(WHAT, format!("only {} are free", bytes(free)), SO),
                false => Check::ok(WHAT, format!("{} are free", bytes(free))),
            }
        }
    }
}

fn modules(config: &Config) -> Vec<Check> {
    const WHAT: &str = "modules";
    let mut checks: Vec<Check> = Vec::new();
    let (mut libraries, mut directories) = (0_usize, 0);
    for directory in &config.module_paths {
        let warn = |found: String, todo: &str| Check::warning(WHAT, found, todo);
        let shown = directory.display();
        if !directory.is_dir() {
            let found = format!("{shown}: there is no such directory");
            checks.push(warn(found, "make it, or do not name it"));
            continue;
        }
        match check_module_directory(directory).and_then(|()| libraries_in(directory)) {
            Ok(found) => {
                directories += 1;
                for file in found {
                    match check_module_file(&file) {
                        Ok(()) => libraries += 1,
                        Err(why) => checks.push(warn(
                            format!("{}: {why}", file.display()),
                            "it is not loaded: change its mode or owner, or remove it",
                        )),
                    }
                }
            }
            Err(why) => checks.push(warn(
                format!("{shown}: {why}"),
                "nothing from there is loaded: change its mode or owner, or do not name it",
            )),
        }
    }
    if let Some(why) = library_path_warning() {
        checks.push(Check::warning(WHAT, why, "change LD_LIBRARY_PATH"));
    }
    let none = libraries == 0;
    if checks.is_empty() {
        let libraries = counted(&libraries.into(), "library file");
        let found = match directories {
            1 => format!("{libraries} in 1 directory"),
            _ => format!("{libraries} in {directories} directories"),
        };
        checks.push(match none {
            true => Check::warning(
                WHAT,
                found,
                "a runtime that is started from here has none: set CHI_REPO_PATH or module_paths, or use --modules",
            ),
            false => Check::ok(WHAT, found),
        });
    }
    checks
}

fn libraries_in(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(directory).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|kind| kind == "so")).collect())
}
