//! `chimaera sessions`.

use chimaera_abi::CHI_DESCRIBE_RUNTIME;
use chimaera_ipc::control::Request;
use serde_json::Value;

use crate::context::{Context, Outcome};
use crate::number::{age, bytes, number};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// End a session: its tasks are cancelled, and its client's calls fail with CHI_UNAVAILABLE
    ///
    /// The client's process keeps running. Its next connection is a new session.
    Kill {
        /// Number of the session, as `chimaera sessions` shows it
        #[arg(value_parser = number::<u64>(0..=u64::MAX))]
        id: u64,
    },
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    match args.command {
        None => list(context),
        Some(Command::Kill { id }) => {
            let ended = context.ask(Request::EndSession, &[id])?;
            if !context.print_json(&ended) {
                let pid = &ended["pid"];
                crate::context::print(&format!("ended session {id} of process {pid}\n"));
            }
            Ok(())
        }
    }
}

fn list(context: &Context) -> Outcome {
    let mut sessions = context.describe(CHI_DESCRIBE_RUNTIME)?["sessions"].take();
    if let Value::Array(sessions) = &mut sessions {
        sessions.sort_by_key(|session| session["session"].as_u64());
    }
    if !context.print_json(&sessions) {
        let rows = sessions.as_array().into_iter().flatten().map(row);
        let head = [
            "SESSION",
            "PID",
            "USER",
            "SINCE",
            "SEGMENT",
            "RESULTS",
            "IN FLIGHT",
            "TASKS",
            "FAILED",
            "IN",
            "OUT",
            "THROTTLED",
        ];
        crate::context::print(&table::lines(head, rows).concat());
    }
    Ok(())
}

fn row(session: &Value) -> [String; 12] {
    let text = |key: &str| session[key].to_string();
    let size = |key: &str| bytes(session[key].as_u64().unwrap_or_default());
    let throttled = if session["throttled"] == true { "yes" } else { "no" };
    [
        text("session"),
        text("pid"),
        text("uid"),
        format!("{} ago", age(session["age_ms"].as_u64().unwrap_or_default() / 1000)),
        size("segment_bytes"),
        size("runtime_arena_used_bytes"),
        text("tasks_in_flight"),
        text("tasks"),
        text("tasks_failed"),
        size("bytes_in"),
        size("bytes_out"),
        throttled.to_owned(),
    ]
}
