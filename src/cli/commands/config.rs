//! `chimaera config`.

use std::path::PathBuf;

use chimaera_config::{candidates, find, File, FILE_VARIABLE};
use serde_json::json;

use crate::context::{Context, Outcome};
use crate::settings::{self, misconfigured};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show the settings that a runtime would start with, and where each comes from
    Show(settings::Args),
    /// Check a configuration file
    Check {
        /// The file [default: the one that a runtime would read]
        file: Option<PathBuf>,
    },
    /// Print a configuration file with every key, its meaning and its default
    Default,
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Show(args) => {
            let settings = args.load(context)?;
            if !context.print_json(&settings.json()) {
                crate::context::write_out(&settings.yaml());
            }
            Ok(())
        }
        Command::Check { file } => check(context, file),
        Command::Default => {
            let file = chimaera_config::default_file();
            if !context.print_json(&json!({ "file": file })) {
                crate::context::write_out(&file);
            }
            Ok(())
        }
        Command::Schema => {
            crate::context::print_document(&chimaera_config::schema());
            Ok(())
        }
    }
}

fn check(context: &Context, file: Option<PathBuf>) -> Outcome {
    let environment = |name: &str| std::env::var_os(name);
    let Some(file) = find(file.as_deref(), &environment) else {
        let all = candidates(&environment);
        let all: Vec<String> = all.iter().map(|file| file.display().to_string()).collect();
        if !context.print_json(&json!({ "file": null, "problems": [] })) {
            crate::context::print(&format!(
                "no configuration file: ${FILE_VARIABLE} is not set, and none of these exists: {}\n",
                all.join(", ")
            ));
        }
        return Ok(());
    };
    let read = File::read(&file).and_then(|file| file.check_machine());
    read.map_err(|found| misconfigured(context, &found))?;
    if !context.print_json(&json!({ "file": file, "problems": [] })) {
        crate::context::print(&format!("{}: no problems\n", file.display()));
    }
    Ok(())
}
