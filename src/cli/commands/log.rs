//! `chimaera log`.

use chimaera_ipc::control::Request;

use crate::context::{print, Context, Outcome};
use crate::settings::Level;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show the log level of a running runtime, or change it
    Level {
        /// What to log from now on; each level includes those before it
        level: Option<Level>,
    },
    /// Reopen the log file, after it was renamed or removed; SIGHUP does the same
    Reopen,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    let (request, text, key) = match command {
        Command::Level { level } => (Request::LogLevel, level.map(Level::name), "level"),
        Command::Reopen => (Request::LogReopen, None, "log"),
    };
    let answer = context.ask_with_text(request, text.unwrap_or_default())?;
    if !context.print_json(&answer) {
        print(&format!("{}\n", answer[key].as_str().unwrap_or_default()));
    }
    Ok(())
}
