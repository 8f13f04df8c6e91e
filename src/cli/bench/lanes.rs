//! `chimaera bench lanes`.

use chimaera_bench_client as bench;
use serde_json::{json, Value};

use super::busy::Busy;
use super::daemon::Daemon;
use super::setup::{bind, progress, Setup};
use super::task::{open_bench, Pool, RUST};
use super::times::{self, Kind};
use crate::context::{Context, Failed, Outcome};
use crate::number::number;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of idle containers
    #[arg(long, default_value_t = 1000, value_parser = number::<u32>(1..=4096))]
    containers: u32,
    /// Lanes of each container
    #[arg(long, default_value_t = 10, value_parser = number::<u32>(1..=1000))]
    lanes: u32,
    /// Number of rounds; each measures with and without the idle containers
    #[arg(long, default_value_t = 20, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Tasks of each kind in a round
    #[arg(long, default_value_t = 20_000, value_parser = number::<u32>(1000..=u32::MAX))]
    count: u32,
    #[command(flatten)]
    setup: Setup,
}

/// Creates the idle containers, and runs one task on each of their lanes.
fn make_idle(args: &Args) -> Result<bench::Client, Failed> {
    let idle = open_bench("bench_idle", args.containers, args.lanes)?;
    for container in 0..args.containers {
        let start = |lane| idle.compute_async(container, lane, 1);
        let tasks = (0..args.lanes).map(start).collect::<Result<Vec<_>, _>>()?;
        tasks.into_iter().try_for_each(|task| task.wait().map(drop))?;
    }
    Ok(idle)
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let cores = args.setup.cores()?;
    let daemon = Daemon::start(&args.setup.modules, 1, Some(cores.worker))?;
    bind([cores.client])?;
    daemon.connect()?;
    let pool = Pool::open(RUST, "bench_busy")?;
    let mut without = Busy {
        one: Kind::new("without_ns", "one at a time, without")?,
        many: Kind::new("without_64_ns", "64 at a time, without")?,
    };
    let mut with = Busy {
        one: Kind::new("with_ns", "one at a time, with")?,
        many: Kind::new("with_64_ns", "64 at a time, with")?,
    };
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        without.measure(pool, args.count)?;
        let idle = make_idle(args)?;
        with.measure(pool, args.count)?;
        chimaera::ipc()?.destroy_pool(idle.pool_id())?;
    }
    progress("");
    let kinds = [&without.one, &with.one, &without.many, &with.many];
    let mut document = times::document(&kinds);
    document.insert("with_per_without".into(), json!(with.one.per(&without.one)));
    document.insert("with_64_per_without_64".into(), json!(with.many.per(&without.many)));
    document.insert("containers".into(), json!(args.containers));
    document.insert("lanes".into(), json!(args.containers * args.lanes));
    document.insert("samples".into(), json!(with.one.len()));
    document.insert("cores".into(), json!([cores.client, cores.worker]));
    if context.print_json(&Value::Object(document)) {
        return Ok(());
    }
    let table = |kinds: &[&Kind; 2]| times::table(kinds, &[("per without", kinds[0])]);
    crate::context::print(&format!(
        "empty tasks of one pool without and with {} other containers that have {} lanes and are idle, \
         between cores {} and {}, in nanoseconds\n\n{}\n{}",
        args.containers,
        args.containers * args.lanes,
        cores.client,
        cores.worker,
        table(&[&without.one, &with.one]),
        table(&[&without.many, &with.many])
    ));
    Ok(())
}
