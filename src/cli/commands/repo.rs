//! `chimaera repo`.

use std::path::PathBuf;

use chimaera_repo::{Change, Changed, Mode};
use serde_json::json;

use super::repo_build;
use super::repo_output::{problems, shown, written};
use crate::context::{Context, Failed, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Create a repo
    New {
        /// Directory of the repo
        dir: PathBuf,
        /// Namespace of its modules, their code and their CMake targets
        #[arg(long, value_name = "NAME")]
        namespace: String,
    },
    /// Write the code generated from the YAML files to each module's autogen directory
    Refresh {
        /// Directory of a repo, or of one of its modules
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Write nothing, and fail if a file is out of date
        #[arg(long)]
        check: bool,
    },
    /// Build the modules of a repo: C++ with CMake, Rust with cargo
    Build(repo_build::BuildArgs),
    /// Build the modules of a repo, and install them in a prefix, where its chimaera finds them
    Install(repo_build::InstallArgs),
    /// Print the JSON Schema of a file, for editors
    Schema {
        /// The file that the schema is for
        file: File,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum File {
    /// chimaera_repo.yaml
    Repo,
    /// chimaera_mod.yaml
    Module,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::New { dir, namespace } => {
            let made = chimaera_repo::new_repo(&dir, &namespace)
                .map_err(|found| problems(context, &found))?;
            tell_written(context, &made);
            Ok(())
        }
        Command::Refresh { dir, check } => refresh(context, dir, check),
        Command::Build(args) => repo_build::build(context, &args),
        Command::Install(args) => repo_build::install(context, &args),
        Command::Schema { file } => {
            crate::context::print(match file {
                File::Repo => chimaera_repo::REPO_SCHEMA,
                File::Module => chimaera_repo::MODULE_SCHEMA,
            });
            Ok(())
        }
    }
}

fn refresh(context: &Context, dir: PathBuf, check: bool) -> Outcome {
    let mode = if check { Mode::Check } else { Mode::Write };
    let changed = chimaera_repo::refresh(&dir, mode).map_err(|found| problems(context, &found))?;
    let stale = (check && !changed.is_empty()).then(|| {
        format!(
            "{} not up to date: run `chimaera repo refresh {}`",
            if changed.len() == 1 { "a generated file is" } else { "generated files are" },
            dir.display()
        )
    });
    let mut document = json!({ "written": !check, "changed": changed });
    if let Some(why) = &stale {
        document["status"] = json!("CHI_FAILED");
        document["error"] = json!(why);
    }
    if context.print_json(&document) {
        return if stale.is_some() { Err(Failed::Told) } else { Ok(()) };
    }
    let lines: String = changed.iter().map(|changed| line(changed, check)).collect();
    crate::context::print(&lines);
    if let Some(why) = stale {
        return Err(Failed::Message(why));
    }
    Ok(())
}

fn line(changed: &Changed, check: bool) -> String {
    let what = match (changed.change, check) {
        (Change::Created, false) => "created",
        (Change::Updated, false) => "updated",
        (Change::Removed, false) => "removed",
        (Change::Created, true) => "missing",
        (Change::Updated, true) => "stale",
        (Change::Removed, true) => "no longer generated",
    };
    format!("{what}  {}\n", shown(&changed.file))
}

/// Lists the files that were created or changed.
pub(crate) fn tell_written(context: &Context, files: &[PathBuf]) {
    if !context.print_json(&json!({ "written": files })) {
        crate::context::print(&written(files));
    }
}
