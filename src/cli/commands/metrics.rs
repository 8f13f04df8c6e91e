//! `chimaera metrics`.

use chimaera_ipc::control::Request;
use chimaera_metrics::{openmetrics, Snapshot};

use crate::context::{write_out, Context, Failed, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also print the metrics of each session, whose labels are new for each client
    ///
    /// With --json, they are always there.
    #[arg(long)]
    sessions: bool,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let document = context.ask(Request::Metrics, &[])?;
    let snapshot = Snapshot::read(&document).map_err(Failed::Message)?;
    if !context.print_json(&document) {
        write_out(&openmetrics(&snapshot, args.sessions));
    }
    Ok(())
}
