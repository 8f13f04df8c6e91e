//! `chimaera log`.

use chimaera_ipc::control::Request;

use clap_complete::engine::ArgValueCompleter;

use crate::complete;
use crate::context::{print, Context, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show the log level of a running runtime, or change it
    Level {
        /// What to log from now on: error, warn, info, debug or trace, each with those before it; behind commas,
        /// levels of single targets, which can be off, too: `info,module=debug`
        #[arg(value_parser = chimaera_config::log_level, add = ArgValueCompleter::new(complete::levels))]
        level: Option<String>,
    },
    /// Reopen the log file, after it was renamed or removed; SIGHUP does the same
    Reopen,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    let (request, text, key) = match command {
        Command::Level { level } => (Request::LogLevel, level, "level"),
        Command::Reopen => (Request::LogReopen, None, "log"),
    };
    let answer = context.ask_with_text(request, &text.unwrap_or_default())?;
    if !context.print_json(&answer) {
        print(&format!("{}\n", answer[key].as_str().unwrap_or_default()));
    }
    Ok(())
}
