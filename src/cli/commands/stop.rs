//! `chimaera stop`.

use std::time::{Duration, Instant};

use chimaera_ipc::control::Request;
use serde_json::json;

use crate::context::{Context, Failed, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to wait for it to stop, in seconds
    #[arg(long, value_name = "S", default_value_t = 30)]
    timeout: u64,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let instance = context.instance()?;
    if !instance.is_running()? {
        return Err(Failed::NotRunning(format!("instance '{}' is not running", context.name)));
    }
    context.ask(Request::Stop, &[])?;
    let until = Instant::now() + Duration::from_secs(args.timeout);
    while instance.is_running()? {
        if Instant::now() >= until {
            return Err(Failed::Message(format!(
                "instance '{}' is still running after {} s; its log says what it is waiting for",
                context.name, args.timeout
            )));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    if !context.print_json(&json!({ "name": context.name, "stopped": true })) {
        crate::context::print(&format!("stopped '{}'\n", context.name));
    }
    Ok(())
}
