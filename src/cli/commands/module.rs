//! `chimaera module`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_repo::{Added, Language, Left, Tasks};
use serde_json::json;

use super::inspect;
use super::pool::DESTROY_BOUND;
use super::repo_output::{problems, written};
use super::watch;
use crate::context::{Context, Failed, Outcome};
use crate::number::{counted, number};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Create a module with one working method in a repo
    New {
        /// Name of the module and of its directory
        name: String,
        /// The module's language
        #[arg(long)]
        lang: Lang,
        /// Describe its tasks in chimaera_mod.yaml, and generate them and clients for C, C++ and
        /// Rust
        #[arg(long)]
        described: bool,
        /// Directory of the repo
        #[arg(long, value_name = "DIR", default_value = ".")]
        repo: PathBuf,
        /// The checkout of Chimaera whose crates Rust modules depend on [default: the
        /// installation of this program, or the checkout that contains it]
        #[arg(long, value_name = "DIR", env = "CHIMAERA_SOURCE_DIR")]
        source: Option<PathBuf>,
    },
    /// Add a method to a module: its number, and a stub for its code
    AddMethod {
        /// Name of the method, for example kCompress
        name: String,
        /// Directory of the module
        #[arg(long, value_name = "DIR", default_value = ".")]
        module: PathBuf,
    },
    /// Let all pools of a module run another version of it, without losing their state or a task
    ///
    /// The file is loaded beside the one that is running. Tasks for the pools of the module wait, those in
    /// them end, their containers save their states, and containers of the new version load them. If
    /// anything fails, all pools go on with the old version. New pools have the new version from then on,
    /// until the runtime is started again: it then loads what its directories have.
    Upgrade {
        /// Name of the module, `repo:module`
        module: String,
        /// The shared library of the new version: a new file, not the old one overwritten
        file: PathBuf,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(0..=86_400))]
        timeout: u32,
    },
    /// Build the modules of a repo whenever a source changes, and upgrade them in the running instance
    ///
    /// It builds as `repo build` does, at once and then again and again, and does as `module upgrade` does with each module
    /// that the instance has loaded and that has changed: their pools keep their state, and tasks only wait. A build or
    /// an upgrade that fails is told, and the pools go on with what they have. What is in `autogen`, `build` and `target`, and
    /// what begins with a dot, is no source. With --json, each event is a document in a line.
    Watch(watch::Args),
    /// Show a module's contract as a runtime sees it, or why a runtime would refuse it
    Inspect {
        /// The shared library
        file: PathBuf,
        /// Time limit for loading it, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = number::<u64>(1..=86_400))]
        timeout: u64,
        /// Used by inspect: load the file in this process and print its contract
        #[arg(long, hide = true)]
        load: bool,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Lang {
    /// C++
    Cpp,
    /// Rust
    Rust,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::New { name, lang, described, repo, source } => {
            let language = match lang {
                Lang::Cpp => Language::Cpp,
                Lang::Rust => Language::Rust,
            };
            let crates = match source {
                Some(dir) => Some(check_crates(std::path::absolute(dir)?)?),
                None => own_crates(&std::env::current_exe()?),
            };
            let tasks = if described { Tasks::Described } else { Tasks::ByHand };
            let made = chimaera_repo::new_module(&repo, &name, language, tasks, crates.as_deref())
                .map_err(|found| problems(context, &found))?;
            crate::repo::tell_written(context, &made);
            Ok(())
        }
        Command::AddMethod { name, module } => {
            let added = chimaera_repo::add_method(&module, &name)
                .map_err(|found| problems(context, &found))?;
            tell_added(context, &added)
        }
        Command::Upgrade { module, file, timeout } => upgrade(context, &module, &file, timeout),
        Command::Watch(args) => watch::run(context, args),
        Command::Inspect { file, load: true, .. } => inspect::load_here(&file),
        Command::Inspect { file, timeout, load: false } => {
            inspect::inspect(context, &file, Duration::from_secs(timeout))
        }
    }
}

fn upgrade(context: &Context, name: &str, file: &Path, timeout: u32) -> Outcome {
    let file = std::fs::canonicalize(file)
        .map_err(|error| Failed::Message(format!("{}: {error}", file.display())))?;
    let Some(file) = file.to_str() else {
        return Err(Failed::Message(format!("{}: the path is not UTF-8", file.display())));
    };
    let document = context.upgrade_module(name, file, Duration::from_secs(timeout.into()))?;
    if !context.print_json(&document) {
        let (from, to) = (&document["from"], &document["to"]);
        let (from, to) = (from.as_str().unwrap_or_default(), to.as_str().unwrap_or_default());
        let (count, bytes) =
            (counted(&document["containers"], "container"), &document["state_bytes"]);
        let pause = document["pause_ms"].as_f64().unwrap_or_default();
        crate::context::print(&format!(
            "upgraded {name} from {from} to {to}: {count}, {bytes} bytes of state; tasks \
             waited {pause:.1} ms\n"
        ));
    }
    Ok(())
}

/// A file that both a checkout of Chimaera and the crates of an installation contain.
const CRATES_MARK: &str = "src/repo/build_script.rs";

/// Refuses a directory without the crates of Chimaera.
fn check_crates(source: PathBuf) -> Result<PathBuf, Failed> {
    match source.join(CRATES_MARK).is_file() {
        true => Ok(source),
        false => Err(Failed::Usage(format!(
            "{} is not a checkout of Chimaera: it has no {CRATES_MARK} (--source, or \
             CHIMAERA_SOURCE_DIR)",
            source.display()
        ))),
    }
}

/// The directory of the crate `chimaera` that belongs to this program: in the prefix where it is
/// installed, or the checkout that contains it.
fn own_crates(program: &Path) -> Option<PathBuf> {
    program
        .ancestors()
        .skip(1)
        .flat_map(|dir| [dir.join("share/chimaera/crate"), dir.to_owned()])
        .find(|dir| dir.join(CRATES_MARK).exists())
}

/// Reports what was added. A file left unchanged is a failure: the module does not build yet.
fn tell_added(context: &Context, added: &Added) -> Outcome {
    let left: Vec<_> = added
        .left
        .iter()
        .map(|left| json!({ "file": left.file, "reason": left.reason, "code": left.code }))
        .collect();
    let mut document = json!({
        "name": added.name, "number": added.number, "written": added.files, "left": left,
    });
    if !added.left.is_empty() {
        document["status"] = json!("CHI_FAILED");
        document["error"] = json!("files are left to change by hand");
    }
    if !context.print_json(&document) {
        let mut text = format!("{} is method {}\n", added.name, added.number);
        text += &written(&added.files);
        for Left { file, reason, code } in &added.left {
            text +=
                &format!("could not change {}: {reason}; add this to it:\n{code}", file.display());
        }
        crate::context::print(&text);
    }
    match added.left.len() {
        0 => Ok(()),
        _ if context.json => Err(Failed::Told),
        1 => Err(Failed::Message("a file is left to change by hand; see above".into())),
        count => {
            Err(Failed::Message(format!("{count} files are left to change by hand; see above")))
        }
    }
}
