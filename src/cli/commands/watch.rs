//! `chimaera module watch`: builds the modules of a repo whenever a source changes, and lets the pools of the running
//! instance run them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use chimaera_repo::{MODULE_FILE, REPO_FILE};
use chimaera_runtime::log::displayed;
use serde_json::{json, Value};

use super::pool::DESTROY_BOUND;
use super::repo_build::{self, BuildArgs};
use super::repo_upgrade::{self, Installed};
use crate::context::{complain, try_print, Context, Failed, Outcome};
use crate::number::number;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    build: BuildArgs,
    /// How long the upgrade of one module may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(0..=86_400))]
    timeout: u32,
}

/// How often it looks, and for how long nothing may have changed before it builds: editors write several files.
const LOOK: Duration = Duration::from_millis(200);

/// Directories that builds, the generator and version control write to, and files that builds write.
const NOT_SOURCES: [&str; 4] = ["autogen", "build", "target", "Cargo.lock"];

/// When each source was changed, and how long it is.
type Sources = BTreeMap<PathBuf, (SystemTime, u64)>;

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let Args { mut build, timeout } = args;
    if !build.dir.join(REPO_FILE).exists() && build.dir.join(MODULE_FILE).exists() {
        // Of a module, its repo is built.
        build.dir = std::path::absolute(&build.dir)?.parent().map_or(build.dir, Path::to_owned);
    }
    let copies = repo_build::build_dir(&build)?.join("watch");
    let say = |event: &Value| tell(context, event);
    let mut number = 0;
    let mut built: Option<Sources> = None;
    say(&json!({ "event": "watching", "directory": build.dir }))?;
    loop {
        // What is changed while it is built is built again.
        let now = settled(&build)?;
        if built.as_ref() != Some(&now) {
            number += 1;
            let begun = Instant::now();
            match repo_build::build_all(context, &build) {
                Ok(modules) => {
                    let ms = begun.elapsed().as_millis() as u64;
                    say(&json!({ "event": "built", "modules": modules, "ms": ms }))?;
                    upgrade(context, &build, &copies.join(number.to_string()), &modules, timeout)?
                        .iter()
                        .try_for_each(&say)?;
                }
                Err(Failed::Message(why) | Failed::Usage(why)) => {
                    say(&json!({ "event": "failed", "error": why }))?;
                }
                // It has said why.
                Err(Failed::Told | Failed::Misconfigured) => {}
                Err(other) => return Err(other),
            }
            built = Some(now);
        }
        std::thread::sleep(LOOK);
    }
}

/// The sources, once they have not changed for a moment.
fn settled(build: &BuildArgs) -> Result<Sources, Failed> {
    let mut before = sources(build)?;
    loop {
        std::thread::sleep(LOOK);
        let now = sources(build)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}

fn sources(build: &BuildArgs) -> Result<Sources, Failed> {
    let mut found = Sources::new();
    collect(&build.dir, &repo_build::build_dir(build)?, &mut found)
        .map_err(|error| Failed::Message(format!("{}: {error}", build.dir.display())))?;
    Ok(found)
}

fn collect(directory: &Path, build_dir: &Path, into: &mut Sources) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_source = !NOT_SOURCES.contains(&&*name) && !name.starts_with('.');
        if !is_source || std::path::absolute(&path)? == build_dir {
            continue;
        }
        // One that is removed meanwhile is gone.
        let found = match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found?,
        };
        if found.is_dir() {
            match collect(&path, build_dir, into) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                collected => collected?,
            }
        } else {
            into.insert(path, (found.modified()?, found.len()));
        }
    }
    Ok(())
}

/// Upgrades the modules that the instance has loaded, from copies in a directory of their own: the next build
/// overwrites what it has built. Returns what became of each.
fn upgrade(
    context: &Context,
    build: &BuildArgs,
    copies: &Path,
    modules: &[PathBuf],
    timeout: u32,
) -> Result<Vec<Value>, Failed> {
    match repo_upgrade::check(context) {
        Ok(()) => {}
        Err(Failed::NotRunning(why)) => {
            return Ok(vec![json!({ "event": "failed", "error": why })])
        }
        Err(other) => return Err(other),
    }
    let at = |path: &Path, error| Failed::Message(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(copies).map_err(|error| at(copies, error))?;
    let mut own = Vec::new();
    for (name, file) in repo_build::names(build, modules)? {
        let copy = copies.join(file.file_name().unwrap_or_default());
        std::fs::copy(&file, &copy).map_err(|error| at(&copy, error))?;
        own.push(Installed { name, file: copy });
    }
    let done = repo_upgrade::upgrade(context, &own, timeout)?.document();
    // The runtime has copies of its own of what it has loaded.
    std::fs::remove_dir_all(copies).map_err(|error| at(copies, error))?;
    let each = done.as_array().cloned().unwrap_or_default().into_iter();
    Ok(each
        .map(|mut one| {
            one["event"] = one["state"].take();
            one
        })
        .collect())
}

/// Says what has happened: in a line, or with --json as a document in a line. Ends when nobody reads any more.
fn tell(context: &Context, event: &Value) -> Outcome {
    let line = match context.json {
        true => format!("{event}\n"),
        false => {
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            match text("event") {
                "watching" => format!("watching {}: Ctrl-C ends that\n", text("directory")),
                "built" => format!("built in {} ms\n", event["ms"]),
                "failed" if event["module"].is_null() => {
                    complain(&format!("chimaera: {}", text("error")));
                    return Ok(());
                }
                _ => displayed(&repo_upgrade::line(event, "event")).into_owned(),
            }
        }
    };
    match try_print(&line) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        printed => Ok(printed?),
    }
}
