//! `chimaera compose`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_abi::CHI_DESCRIBE_POOLS;
use chimaera_config::{File, Pool};
use chimaera_yaml::{Position, Problem, Problems};
use serde_json::{json, Value};

use super::pool::{self, Wanted};
use crate::context::{complain, Context, Failed, Outcome};
use crate::settings::misconfigured;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Create the pools listed in a file, in order; existing ones are left as they are
    Up {
        /// A configuration file, or a file with only the key `pools`
        file: PathBuf,
    },
    /// Destroy the pools listed in a file in reverse order; missing ones are skipped
    Down {
        /// A configuration file, or a file with only the key `pools`
        file: PathBuf,
    },
}

pub(crate) fn run(context: Context, command: Command) -> Outcome {
    let (Command::Up { file: path } | Command::Down { file: path }) = &command;
    let file = read(path).map_err(|found| misconfigured(&context, &found))?;
    let said = context.named.is_some() || std::env::var_os("CHI_INSTANCE").is_some();
    let context = match file.instance() {
        Some(name) if !said => Context { name: name.to_owned(), ..context },
        _ => context,
    };
    let mut steps = Steps::default();
    let outcome = match command {
        Command::Up { .. } => {
            file.check_pools().map_err(|found| misconfigured(&context, &found))?;
            context.connect()?;
            steps.take(file.pools.iter(), create)
        }
        Command::Down { .. } => {
            let found = context.describe(CHI_DESCRIBE_POOLS)?;
            steps.take(file.pools.iter().rev(), |pool| remove(&context, &found, pool))
        }
    };
    let failed = outcome.err().map(|(Position { line, column }, why)| {
        format!("{}:{line}:{column}: {why}", path.display())
    });
    steps.tell(&context, failed.as_deref());
    match failed {
        None => Ok(()),
        Some(why) => {
            complain(&format!("chimaera: {why}"));
            Err(Failed::Told)
        }
    }
}

/// Reads a file that must list pools.
fn read(path: &Path) -> Result<File, Problems> {
    let file = File::read(path)?;
    if file.has_pools {
        return Ok(file);
    }
    Err(Problem {
        file: path.to_owned(),
        position: Some(Position::START),
        message: "the file has no `pools`".into(),
        help: "add `pools:` with an item for each pool: `- name: NAME` and `module: REPO:MODULE`"
            .into(),
    }
    .into())
}

/// The outcome for each pool.
#[derive(Default)]
struct Steps(Vec<(String, &'static str)>);

impl Steps {
    /// Applies `step` to each pool until one fails, and records the outcomes. A failure points to
    /// the pool's position in the file.
    fn take<'p>(
        &mut self,
        pools: impl Iterator<Item = &'p Pool>,
        step: impl Fn(&Pool) -> Result<&'static str, String>,
    ) -> Result<(), (Position, String)> {
        let mut outcome = Ok(());
        for pool in pools {
            let what = match outcome {
                Err(_) => "not tried",
                Ok(()) => step(pool).unwrap_or_else(|why| {
                    outcome = Err((pool.at, why));
                    "failed"
                }),
            };
            self.0.push((pool.name.clone(), what));
        }
        outcome
    }

    fn tell(&self, context: &Context, failed: Option<&str>) {
        let pools: Vec<Value> =
            self.0.iter().map(|(name, what)| json!({ "name": name, "state": what })).collect();
        let mut document = json!({ "pools": pools });
        if let Some(why) = failed {
            document["error"] = why.into();
            document["status"] = "CHI_FAILED".into();
        }
        if !context.print_json(&document) {
            let lines = self.0.iter().map(|(name, what)| format!("{what:<10} {name}\n"));
            crate::context::print(&lines.collect::<String>());
        }
    }
}

/// Creates a pool unless it exists.
fn create(pool: &Pool) -> Result<&'static str, String> {
    if pool.limits_host() {
        let name = &pool.name;
        return Err(format!(
            "pool '{name}': `kill_after`, `memory_limit` and `restarts` of a pool are for those that a \
             runtime creates when it starts; others have what `module_hosts` of its configuration says"
        ));
    }
    let wanted = Wanted {
        module: &pool.module,
        name: &pool.name,
        params: &pool.params,
        containers: pool.containers,
        nodes: pool.nodes,
        on_crash: pool.on_crash,
        isolation: pool.isolation,
        durable: pool.durable,
        access: &pool.access(),
    };
    match wanted.create() {
        Ok((_, true)) => Ok("unchanged"),
        Ok((_, false)) => Ok("created"),
        Err(failure) => Err(failure.message.into_owned()),
    }
}

/// The message with which a request failed.
fn message_of(outcome: Outcome) -> Result<(), String> {
    match outcome {
        Ok(()) | Err(Failed::Told | Failed::Abandoned | Failed::Misconfigured) => Ok(()),
        Err(
            Failed::Message(message)
            | Failed::Refused(_, message)
            | Failed::Silent(message)
            | Failed::NotRunning(message)
            | Failed::Usage(message),
        ) => Err(message),
    }
}

/// Destroys a pool if it is among those found and belongs to the expected module.
fn remove(context: &Context, found: &Value, pool: &Pool) -> Result<&'static str, String> {
    let mut found = found.as_array().into_iter().flatten();
    match found.find(|found| found["name"] == *pool.name) {
        None => Ok("absent"),
        Some(found) if found["module"] != *pool.module => Err(format!(
            "pool '{}' was not destroyed: it belongs to module {}, not {}",
            pool.name,
            found["module"].as_str().unwrap_or_default(),
            pool.module
        )),
        Some(_) => {
            let bound = Duration::from_secs(pool::DESTROY_BOUND.into());
            message_of(context.destroy_pool(&pool.name, bound, false)).map(|()| "destroyed")
        }
    }
}
