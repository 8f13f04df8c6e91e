//! `chimaera pool`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_abi::{chi_pool_id, CHI_DESCRIBE_POOLS, CHI_MAX_CONTAINERS, CHI_METHOD_CUSTOM};
use chimaera_client_rs as client;
use chimaera_description::Description;
use chimaera_ipc::control::Request;
use chimaera_metrics::Method;
use chimaera_runtime::{Accounts, Isolation, OnCrash, PoolAccess};
use clap_complete::engine::ArgValueCompleter;
use serde::Deserialize;
use serde_json::{json, Map, Value};

use super::offered;
use super::policy::{policy_flags, PolicyArgs};
use crate::commands::status::host_in_words;
use crate::complete;
use crate::context::{complain, Context, Failed, Outcome};
use crate::number::{age, bytes, counted, duration, number};
use crate::progress;
use crate::table;

/// How many seconds the tasks of a destroyed pool may take to end, by default.
pub(crate) const DESTROY_BOUND: u32 = 30;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the pools
    List,
    /// Create a pool, or find an existing one with the same module, parameters and containers
    Create {
        /// Name of the pool
        pool: String,
        /// Module of the pool, `repo:module`
        #[arg(long, add = ArgValueCompleter::new(complete::modules))]
        module: String,
        /// Parameters to pass to the module: those that differ from its defaults, as NAME=VALUE
        /// separated by commas, for example blocks=65536,direct=true. Put text that contains commas
        /// in double quotes
        #[arg(long, value_name = "NAME=VALUE,...", conflicts_with = "params_file")]
        params: Option<String>,
        /// A file with parameters to pass to the module, in the same form
        #[arg(long, value_name = "FILE")]
        params_file: Option<PathBuf>,
        /// Number of containers
        ///
        /// Of a node of a cluster, all its nodes have these together, and 1 stands for one on each.
        #[arg(
            long,
            value_name = "N",
            default_value_t = 1,
            value_parser = number::<u32>(1..=CHI_MAX_CONTAINERS)
        )]
        containers: u32,
        /// Number of nodes of the cluster on which it is kept [default: all]
        #[arg(long, value_name = "N", value_parser = number::<u32>(1..=u32::MAX))]
        nodes: Option<u32>,
        #[command(flatten)]
        policy: PolicyArgs,
        /// Users and groups that may call the pool, for example alice,1001,group:staff
        ///
        /// The user who creates it, the user of the runtime and root may always call it. With an
        /// empty list, no one else may. [default: all who may connect]
        #[arg(long, value_name = "WHO,...", value_parser = chimaera_config::listed)]
        allow_call: Option<Accounts>,
        /// Users and groups that may destroy the pool, besides the user who creates it, the user of
        /// the runtime and root
        #[arg(long, value_name = "WHO,...", value_parser = chimaera_config::listed)]
        allow_destroy: Option<Accounts>,
    },
    /// Replace the containers that are in quarantine because a method crashed
    Reset {
        /// Name of the pool
        #[arg(add = ArgValueCompleter::new(complete::pools))]
        pool: String,
    },
    /// Replace containers by new ones of the same module, which load what the old ones saved
    ///
    /// Tasks wait meanwhile, and then go to the new containers. Those in the pool end first, and those
    /// that they wait for. If anything fails, the old containers go on. The module must be able to save
    /// its state.
    Migrate {
        /// Name of the pool
        #[arg(add = ArgValueCompleter::new(complete::pools))]
        pool: String,
        /// Number of the container to replace [default: all]
        #[arg(long, value_name = "N", value_parser = number::<u32>(0..=CHI_MAX_CONTAINERS - 1))]
        container: Option<u32>,
        /// Move it to this node of the cluster
        #[arg(long, value_name = "NODE", requires = "container")]
        to: Option<String>,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(0..=86_400))]
        timeout: u32,
    },
    /// Let other nodes make containers of a pool of the cluster that no node has
    ///
    /// Such are those whose node was lost and that store something on it, and those whose module cannot
    /// recover what was lost with their node. Each begins with what it finds on its new node. If the old node
    /// comes back, it does not get them back.
    Recover {
        /// Name of the pool
        #[arg(add = ArgValueCompleter::new(complete::pools))]
        pool: String,
        /// Number of the container [default: all that no node has]
        #[arg(long, value_name = "N", value_parser = number::<u32>(0..=CHI_MAX_CONTAINERS - 1))]
        container: Option<u32>,
        /// Give up what only the lost node has
        #[arg(long)]
        force: bool,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(0..=86_400))]
        timeout: u32,
    },
    /// Save a pool to a file: what it was created with, and the states of its containers
    ///
    /// Tasks wait while the containers save their states to memory, and go on while the file is
    /// written. The file is written by the runtime, and appears when it is complete. The module must be
    /// able to save its state.
    Save {
        /// Name of the pool
        #[arg(add = ArgValueCompleter::new(complete::pools))]
        pool: String,
        /// The file, which is replaced if it exists
        file: PathBuf,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(0..=86_400))]
        timeout: u32,
    },
    /// Create a pool with the states in a file that `pool save` has written
    Load {
        /// The file
        file: PathBuf,
        /// Name of the new pool [default: the one of the pool that was saved]
        #[arg(long, value_name = "NAME")]
        pool: Option<String>,
        #[command(flatten)]
        policy: PolicyArgs,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(0..=86_400))]
        timeout: u32,
    },
    /// Make a pool larger, if its module offers that
    ///
    /// What the size counts is up to the module, and so is whether the pool may be used meanwhile: for
    /// chimaera:bdev, it is blocks, and it may. A module offers it by a method kGrow.
    Grow {
        /// Name of the pool
        #[arg(add = ArgValueCompleter::new(complete::pools))]
        pool: String,
        /// The size that it shall have; 0 for as much as there is room for
        #[arg(value_parser = number::<u64>(0..=u64::MAX))]
        size: u64,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(1..=86_400))]
        timeout: u32,
    },
    /// Have a pool give back space that it does not need, if its module offers that
    ///
    /// For chimaera:kv with a path, the file becomes as short as its contents allow; tasks of the pool
    /// wait meanwhile. A module offers it by a method kCompact.
    Compact {
        /// Name of the pool
        #[arg(add = ArgValueCompleter::new(complete::pools))]
        pool: String,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(1..=86_400))]
        timeout: u32,
    },
    /// Show one pool, with its methods
    Show {
        /// Name or id of the pool
        #[arg(add = ArgValueCompleter::new(complete::pools))]
        pool: String,
    },
    /// Destroy a pool: queued tasks are cancelled, running ones at their next wait
    ///
    /// The pool accepts no more tasks from now on, even while methods block all workers. If its
    /// tasks have not ended in time, the pool is opened again. A pool on which others depend is not
    /// destroyed, unless it is forced; their modules are then told (kNodeFailure).
    Destroy {
        /// Name of the pool
        #[arg(add = ArgValueCompleter::new(complete::pools))]
        pool: String,
        /// How long its tasks may take to end, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = DESTROY_BOUND, value_parser = number::<u32>(0..=86_400))]
        timeout: u32,
        /// Destroy it even if other pools depend on it
        #[arg(long)]
        force: bool,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::List => list(context),
        Command::Show { pool } => show(context, &pool),
        Command::Grow { pool, size, timeout } => {
            offered::grow(context, &pool, size, Duration::from_secs(timeout.into()))
        }
        Command::Compact { pool, timeout } => {
            offered::compact(context, &pool, Duration::from_secs(timeout.into()))
        }
        Command::Create {
            pool,
            module,
            params,
            params_file,
            containers,
            nodes,
            policy: PolicyArgs { on_crash, isolation, durable },
            allow_call,
            allow_destroy,
        } => {
            let params = match params_file {
                Some(path) => std::fs::read(&path)
                    .map_err(|error| Failed::Message(format!("{}: {error}", path.display())))?,
                None => params.unwrap_or_default().into_bytes(),
            };
            let access =
                PoolAccess { call: allow_call, destroy: allow_destroy.unwrap_or_default() };
            let policy = on_crash.map(OnCrash::from);
            context.connect()?;
            let wanted = Wanted {
                module: &module,
                name: &pool,
                params: &params,
                containers,
                nodes: nodes.unwrap_or(0),
                on_crash: policy.unwrap_or_default(),
                isolation: isolation.map(Isolation::from).unwrap_or_default(),
                durable,
                access: &access,
            };
            let (id, existed) = wanted.create()?;
            if let (true, Some(on_crash)) = (existed, policy) {
                set_on_crash(context, id, on_crash)?;
            }
            let id = format!("{}.{}", id.major_, id.minor_);
            let document = json!({ "name": pool, "id": id, "existed": existed });
            if !context.print_json(&document) {
                crate::context::print(&match existed {
                    true => format!("'{pool}' already exists ({id})\n"),
                    false => format!("created '{pool}' ({id})\n"),
                });
            }
            Ok(())
        }
        Command::Reset { pool } => {
            context.connect()?;
            client::reset_pool(&pool)?;
            if !context.print_json(&json!({ "name": pool, "reset": true })) {
                crate::context::print(&format!("reset '{pool}'\n"));
            }
            Ok(())
        }
        Command::Migrate { pool, container: Some(container), to: Some(node), timeout } => {
            super::cluster::move_container(context, &pool, container, &node, timeout)
        }
        Command::Migrate { pool, container, timeout, .. } => {
            let bound = Duration::from_secs(timeout.into());
            let document = context.migrate_pool(&pool, container, bound)?;
            if !context.print_json(&document) {
                let (count, bytes) =
                    (counted(&document["containers"], "container"), &document["state_bytes"]);
                let pause = document["pause_ms"].as_f64().unwrap_or_default();
                crate::context::print(&format!(
                    "migrated {count} of '{pool}': {bytes} bytes of state; tasks waited \
                     {pause:.1} ms\n"
                ));
            }
            Ok(())
        }
        Command::Recover { pool, container, force, timeout } => {
            super::cluster::recover(context, &pool, container, force, timeout)
        }
        Command::Save { pool, file, timeout } => {
            let file = absolute(&file)?;
            let bound = Duration::from_secs(timeout.into());
            let ask = || context.pool_file(Request::SavePool, &pool, &file, bound, 0);
            let document = progress::of_file(context, &file, ask)?;
            if !context.print_json(&document) {
                let (bytes, pause) = (&document["state_bytes"], &document["pause_ms"]);
                crate::context::print(&format!(
                    "saved '{pool}' to {file}: {bytes} bytes of state; tasks waited {pause} ms\n"
                ));
            }
            Ok(())
        }
        Command::Load { file, pool, policy, timeout } => {
            let asked = policy;
            let file = absolute(&file)?;
            let pool = pool.unwrap_or_default();
            let bound = Duration::from_secs(timeout.into());
            let policy = asked.flags();
            let ask = || context.pool_file(Request::LoadPool, &pool, &file, bound, policy);
            let document = progress::of_file(context, &file, ask)?;
            asked.check_given(&document, &context.name)?;
            if !context.print_json(&document) {
                let name = document["name"].as_str().unwrap_or_default();
                let bytes = &document["state_bytes"];
                crate::context::print(&format!(
                    "created '{name}' from {file}: {bytes} bytes of state\n"
                ));
            }
            Ok(())
        }
        Command::Destroy { pool, timeout, force } => {
            context.destroy_pool(&pool, Duration::from_secs(timeout.into()), force)?;
            if !context.print_json(&json!({ "name": pool, "destroyed": true })) {
                crate::context::print(&format!("destroyed '{pool}'\n"));
            }
            Ok(())
        }
    }
}

/// The path as the runtime finds it, whatever its working directory.
fn absolute(file: &Path) -> Result<String, Failed> {
    let path = std::path::absolute(file)
        .map_err(|error| Failed::Message(format!("{}: {error}", file.display())))?;
    let not_utf8 =
        |path: PathBuf| Failed::Message(format!("{}: the path is not UTF-8", path.display()));
    path.into_os_string().into_string().map_err(|path| not_utf8(path.into()))
}

/// A pool to create.
pub(crate) struct Wanted<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
    pub(crate) params: &'a [u8],
    pub(crate) containers: u32,
    /// On how many nodes of a cluster; 0 for all.
    pub(crate) nodes: u32,
    pub(crate) on_crash: OnCrash,
    pub(crate) access: &'a PoolAccess,
    pub(crate) isolation: Isolation,
    pub(crate) durable: bool,
}

impl Wanted<'_> {
    /// Creates the pool with all its settings at once, or finds it; the flag is true if it already
    /// existed.
    pub(crate) fn create(&self) -> client::Result<(chi_pool_id, bool)> {
        let Wanted {
            module,
            name,
            params,
            containers,
            nodes,
            on_crash,
            access,
            isolation,
            durable,
        } = *self;
        let plain = (OnCrash::default(), Isolation::default());
        if (on_crash, isolation) == plain
            && !durable
            && nodes == 0
            && *access == PoolAccess::default()
        {
            // Runtimes of every version support this request.
            return client::create_pool(module, name, params, containers);
        }
        let (flags, grants) = access.grants();
        let policy = policy_flags(on_crash, isolation, durable);
        let flags = flags | policy;
        client::create_pool_with(module, name, params, (containers, nodes), flags, &grants)
    }
}

/// Sets how an existing pool handles crashes of its methods.
fn set_on_crash(context: &Context, id: chi_pool_id, on_crash: OnCrash) -> Outcome {
    let aborts = u64::from(on_crash == OnCrash::Abort);
    context.ask(Request::SetOnCrash, &[id.major_.into(), id.minor_.into(), aborts]).map(|_| ())
}

fn list(context: &Context) -> Outcome {
    let document = context.describe(CHI_DESCRIBE_POOLS)?;
    if !context.print_json(&document) {
        table(document.as_array().into_iter().flatten());
    }
    Ok(())
}

fn show(context: &Context, name: &str) -> Outcome {
    let mut pool = context.ask_with_text(Request::Pool, name)?;
    let params = params(&pool);
    if let Ok(Some(params)) = &params {
        pool["params"] = Value::from(params.clone());
    }
    if !context.print_json(&pool) {
        table(std::iter::once(&pool));
        let since = pool["since_ms"].as_u64().unwrap_or_default() / 1000;
        let version = pool["version"].as_str().unwrap_or_default();
        crate::context::print(&format!("version {version}, for {}\n", age(since)));
        print_params(&params);
        let methods = pool["methods"].as_array().into_iter().flatten();
        let own = methods.filter(|method| {
            let number = method["number"].as_u64().unwrap_or_default();
            method["supported"] == true && number >= u64::from(CHI_METHOD_CUSTOM)
        });
        let names: Vec<&str> = own.filter_map(|method| method["name"].as_str()).collect();
        crate::context::print(&format!("methods: {}\n", names.join(", ")));
        print_numbers(&pool["metrics"]);
        for (key, what) in [("depends_on", "depends on"), ("dependants", "needed by")] {
            let names = pool[key].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names: Vec<_> = names.collect();
            if !names.is_empty() {
                crate::context::print(&format!("{what}: {}\n", names.join(", ")));
            }
        }
    }
    Ok(())
}

/// The parameters of a pool, if its module describes them and whoever asks may see them.
fn params(pool: &Value) -> Result<Option<Map<String, Value>>, String> {
    let (description, hex) = (&pool["description"], pool["params_hex"].as_str());
    let Some(hex) = hex.filter(|_| !description.is_null()) else { return Ok(None) };
    let Some(params) = Description::from_json(&description.to_string())?.params else {
        return Ok(None);
    };
    let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(digit).collect();
    params.values(&bytes.ok_or("they are no bytes")?).map(Some)
}

fn print_params(params: &Result<Option<Map<String, Value>>, String>) {
    match params {
        Ok(None) => {}
        Ok(Some(params)) => {
            let all: Vec<String> =
                params.iter().map(|(name, value)| format!("{name}={value}")).collect();
            crate::context::print(&format!("parameters: {}\n", all.join(", ")));
        }
        Err(why) => complain(&format!("chimaera: the parameters are left out: {why}")),
    }
}

/// Prints what has been counted and measured of a pool's methods, if it is known.
fn print_numbers(metrics: &Value) {
    if metrics.is_null() {
        return;
    }
    let methods = match Vec::<Method>::deserialize(metrics) {
        Ok(methods) if methods.is_empty() => return,
        Ok(methods) => methods,
        Err(error) => {
            let of = "the numbers of its methods are those of another version of Chimaera";
            return complain(&format!("chimaera: {of}, and are left out: {error}"));
        }
    };
    let time = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), duration);
    let rows = methods.iter().map(|method| {
        let total = &method.latency.total;
        [
            method.name.clone(),
            method.calls.to_string(),
            method.failed.to_string(),
            method.queued.to_string(),
            method.running.to_string(),
            method.suspended.to_string(),
            bytes(method.bytes_in),
            bytes(method.bytes_out),
            time(total.quantile(0.5)),
            time(total.quantile(0.99)),
            time(total.longest()),
        ]
    });
    let head = [
        "METHOD",
        "CALLS",
        "FAILED",
        "QUEUED",
        "RUNNING",
        "SUSPENDED",
        "IN",
        "OUT",
        "P50",
        "P99",
        "MAX",
    ];
    crate::context::print(&table::lines(head, rows).concat());
    for method in methods.iter().filter(|method| !method.statuses.is_empty()) {
        let failures = method.statuses.iter().map(|(status, count)| format!("{status} {count}"));
        let failures: Vec<String> = failures.collect();
        crate::context::print(&format!("failures of {}: {}\n", method.name, failures.join(", ")));
    }
}

/// Prints pools, one per line.
fn table<'a>(pools: impl Iterator<Item = &'a Value>) {
    const KEYS: [&str; 7] = ["name", "id", "module", "containers", "lanes", "tasks", "state"];
    let pools: Vec<&Value> = pools.collect();
    let rows = pools.iter().map(|pool| {
        KEYS.map(|key| match &pool[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    });
    let head = ["POOL", "ID", "MODULE", "CONTAINERS", "LANES", "TASKS", "STATE"];
    let mut text = table::lines(head, rows).concat();
    for host in pools.iter().map(|pool| &pool["host"]).filter(|host| host.is_object()) {
        text += &format!("module host of {}\n", host_in_words(host));
    }
    crate::context::print(&text);
}
