//! `chimaera restart`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::context::{print, Context, Failed, Outcome};
use crate::number::{counted, number};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The program of the new process [default: the file that the running one was started from,
    /// which may have been replaced since]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Also restart if pools cannot save their states: make those anew without them
    ///
    /// These are pools of modules that do not save their state, and pools in quarantine. They keep
    /// their ids and parameters. The modules are told (kRecover).
    #[arg(long)]
    recover: bool,
    /// How long it may take, in seconds; after that, the running process goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = number::<u64>(1..=86_400))]
    timeout: u64,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let program = match &args.program {
        None => String::new(),
        Some(path) => {
            let path = std::path::absolute(path)?;
            let shown = path.display().to_string();
            path.into_os_string().into_string().map_err(|_| {
                Failed::Usage(format!("the name of the program is not UTF-8: {shown}"))
            })?
        }
    };
    let bound = Duration::from_secs(args.timeout);
    let done = context.restart(&program, args.recover, bound)?;
    if let Some(why) = done["error"].as_str() {
        return Err(Failed::Message(why.to_owned()));
    }
    let document = json!({
        "name": context.name,
        "pid": done["pid"],
        "version": done["version"],
        "pools": done["pools"],
        "sessions": done["sessions"],
        "state_bytes": done["state_bytes"],
        "pause_ms": done["pause_ms"],
    });
    if !context.print_json(&document) {
        let pools = counted(&done["pools"], "pool");
        let sessions = counted(&done["sessions"], "session");
        print(&format!(
            "restarted '{}' (process {}, version {}): {pools} and {sessions} go on; tasks \
             waited for {} ms\n",
            context.name,
            done["pid"],
            done["version"].as_str().unwrap_or_default(),
            done["pause_ms"],
        ));
    }
    Ok(())
}
