//! `chimaera slow`.

use chimaera_ipc::control::Request;
use chimaera_metrics::{SlowTask, SlowTasks};

use crate::context::{print, status_in_words, Context, Failed, Outcome};
use crate::number::{age, bytes, counted, duration, milliseconds, number};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Note tasks that take so many milliseconds from now on
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    threshold: Option<u64>,
    /// Measure every task from now on, or only a sample
    ///
    /// Of those that are in no sample, only those are noted that keep their worker busy for some milliseconds, or
    /// have been suspended. To measure every task makes each a few hundred nanoseconds slower.
    #[arg(long, value_name = "WHICH")]
    measure: Option<Measure>,
    /// Show so many of them, the slowest first
    #[arg(long, short = 'n', value_name = "N", default_value = "20", value_parser = number::<usize>(1..=256))]
    most: usize,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Measure {
    All,
    Sample,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let measure = match args.measure {
        Some(Measure::All) => 1,
        Some(Measure::Sample) => 2,
        None => 0,
    };
    let threshold = [u64::from(args.threshold.is_some()), args.threshold.unwrap_or(0)];
    let mut document = context.ask(Request::Slow, &[threshold[0], threshold[1], measure])?;
    let mut slow = SlowTasks::read(&document).map_err(Failed::Message)?;
    // Some were noted with a lower threshold.
    slow.tasks.retain(|task| task.total_ns >= slow.threshold_ns);
    let last = slow.tasks.len();
    slow.tasks.sort_by_key(|task| std::cmp::Reverse(task.total_ns));
    slow.tasks.truncate(args.most);
    document["tasks"] = serde_json::to_value(&slow.tasks)?;
    if context.print_json(&document) {
        return Ok(());
    }
    if !slow.tasks.is_empty() {
        let head = [
            "TOTAL",
            "RING",
            "LANE",
            "RUNNING",
            "SUSPENDED",
            "IN",
            "POOL",
            "METHOD",
            "SESSION",
            "STATUS",
            "ENDED",
        ];
        print(&table::lines(head, slow.tasks.iter().map(row)).concat());
    }
    let measures = match slow.measures_all {
        true => "every task is measured",
        false => "a sample of the tasks is measured, and what is noticed to take long",
    };
    print(&format!(
        "{} of late took {} or longer, of {} noted since the start; {measures}\n",
        counted(&last.into(), "task"),
        duration(slow.threshold_ns),
        slow.noted
    ));
    Ok(())
}

fn row(task: &SlowTask) -> [String; 11] {
    let about = if task.is_about { "~" } else { "" };
    [
        format!("{about}{}", duration(task.total_ns)),
        task.ring_ns.map_or_else(|| "-".to_owned(), duration),
        duration(task.lane_ns),
        duration(task.running_ns),
        duration(task.suspended_ns),
        bytes(task.bytes_in),
        task.pool.clone(),
        task.method.clone(),
        task.session.map_or_else(|| "-".to_owned(), |session| session.to_string()),
        task.status.map_or_else(|| "-".to_owned(), status_in_words),
        format!("{} ago", age(task.ago_ns / 1_000_000_000)),
    ]
}
