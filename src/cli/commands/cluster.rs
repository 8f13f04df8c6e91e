//! `chimaera cluster`.

use std::ffi::OsString;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use chimaera_abi::CHI_DESCRIBE_CLUSTER;
use chimaera_ipc::control::Request;
use chimaera_ipc::instance::Instance;
use chimaera_runtime::{ends, Config};
use serde_json::{json, Value};

use crate::context::{complain, print, Context, Failed, Outcome};
use crate::number::{counted, number};
use crate::table;

/// How long the cluster may take to agree.
const AGREE_BOUND: Duration = Duration::from_secs(15);
/// The pause between two looks at what has been agreed on.
const LOOK: Duration = Duration::from_millis(20);
/// How long all nodes may take to be members of each other's cluster.
const FORM_BOUND: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the members of the cluster, what they own, and how this node sees them
    Status,
    /// Have this node ask to be let into the cluster of nodes at other addresses
    ///
    /// It must have been started as a node (`chimaera start --listen`, `--join` or `--hosts`). It may be one that
    /// nobody lets in, or a member that does not find the others any more, because their addresses have changed.
    Join {
        /// Where nodes of the cluster are
        #[arg(required = true, value_name = "HOST[:PORT]", value_parser = chimaera_config::address)]
        nodes: Vec<String>,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = number::<u32>(1..=86_400))]
        timeout: u32,
    },
    /// Have a node own nothing: its containers go to others, and it gets no more
    Drain {
        /// Name of the node
        node: String,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = number::<u32>(1..=86_400))]
        timeout: u32,
    },
    /// Remove a node that owns nothing, or is lost, from the cluster for good
    ///
    /// Its daemon may go on running, but is no member any more. Started again, it can join as a new node.
    Remove {
        /// Name of the node
        node: String,
    },
    /// Leave the cluster: this node is drained and removed
    Leave {
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = number::<u32>(1..=86_400))]
        timeout: u32,
    },
    /// Start a cluster of several daemons on this machine
    ///
    /// They are instances PREFIX-1, PREFIX-2 and so on. What comes after `--` is passed to each
    /// `chimaera start`. Nodes that run already are left as they are.
    Up {
        /// How many
        #[arg(long, value_name = "N", value_parser = number::<u32>(1..=64))]
        local: u32,
        /// What the names of the instances begin with
        #[arg(long, value_name = "PREFIX", default_value = "node")]
        prefix: String,
        /// Arguments for `chimaera start`
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Stop the daemons that `cluster up` has started
    ///
    /// Their logs stay: the next `cluster up` with the same prefix starts the same cluster.
    Down {
        /// What the names of the instances begin with
        #[arg(long, value_name = "PREFIX", default_value = "node")]
        prefix: String,
    },
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    match args.command {
        Command::Status => status(context),
        Command::Join { nodes, timeout } => join(context, &nodes, timeout),
        Command::Drain { node, timeout } => {
            drain(context, &node, timeout)?;
            if !context.print_json(&json!({ "node": node, "drained": true })) {
                print(&format!("'{node}' owns nothing any more\n"));
            }
            Ok(())
        }
        Command::Remove { node } => {
            remove(context, &node)?;
            if !context.print_json(&json!({ "node": node, "removed": true })) {
                print(&format!("'{node}' is no member any more\n"));
            }
            Ok(())
        }
        Command::Leave { timeout } => {
            let document = context.describe(CHI_DESCRIBE_CLUSTER)?;
            let node = text(&document["node"]);
            drain(context, &node, timeout)?;
            remove(context, &node)?;
            if !context.print_json(&json!({ "node": node, "removed": true })) {
                print(&format!(
                    "'{node}' has left the cluster; its daemon still runs (`chimaera stop`)\n"
                ));
            }
            Ok(())
        }
        Command::Up { local, prefix, arguments } => up(context, local, &prefix, &arguments),
        Command::Down { prefix } => down(context, &prefix),
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn status(context: &Context) -> Outcome {
    let document = context.describe(CHI_DESCRIBE_CLUSTER)?;
    if context.print_json(&document) {
        return Ok(());
    }
    if let Some(why) = document["stopped"].as_str() {
        return Err(Failed::Message(format!("this node takes no part in the cluster: {why}")));
    }
    if let Some(why) = document["kept_out"].as_str() {
        return Err(Failed::Message(format!("this node is not let into the cluster: {why}")));
    }
    if array(&document["members"]).next().is_none() {
        let why = match document["founds_for"].as_u64() {
            Some(hosts) => format!(
                "it founds the cluster once it hears from more than half of the {hosts} hosts, and none of them knows \
                 of one"
            ),
            None => "none of the nodes that it asks has let it in".to_owned(),
        };
        print(&format!("no member yet: {why}\n"));
        return Ok(());
    }
    let leader = array(&document["members"]).find(|member| member["leads"] == true);
    let leader = leader.map_or_else(|| "none known".to_owned(), |member| text(&member["name"]));
    print(&format!("leader: {leader}, term {}\n", document["term"]));
    let head = ["NODE", "ADDRESS", "STANDING", "VOTES", "CONTAINERS", "LAST BYTE", "ROUND TRIP"];
    let row = |member: &Value| {
        let age = member["last_byte_ms"].as_u64().map(|ms| format!("{ms} ms ago"));
        let trip = member["round_trip_us"].as_u64().map(|us| format!("{us} us"));
        let own = member["own"] == true;
        let of_peer = |found: Option<String>| match own {
            true => "(this node)".to_owned(),
            false => found.unwrap_or_else(|| "-".to_owned()),
        };
        [
            text(&member["name"]),
            text(&member["address"]),
            text(&member["standing"]),
            if member["voter"] == true { "yes" } else { "no" }.to_owned(),
            text(&member["containers"]),
            of_peer(age),
            of_peer(trip),
        ]
    };
    print(&table::lines(head, array(&document["members"]).map(row)).concat());
    for pool in array(&document["pools"]) {
        let owners = array(&pool["containers"]).map(|container| {
            let number = &container["container"];
            match (container["owner"].as_str(), container["stored_on"].as_str()) {
                (Some(owner), _) => format!("{number} on {owner}"),
                (None, Some(node)) => format!("{number} on nobody (stored on {node})"),
                (None, None) => format!("{number} on nobody"),
            }
        });
        let owners: Vec<_> = owners.collect();
        print(&format!(
            "pool '{}' ({}): {}\n",
            text(&pool["name"]),
            text(&pool["module"]),
            owners.join(", ")
        ));
    }
    Ok(())
}

fn order(context: &Context, words: &[&str]) -> Result<Value, Failed> {
    context.ask_long(Request::Cluster, &words.join("\0"), AGREE_BOUND)
}

/// Has this node ask at these addresses, and waits until it is a member of a cluster that has a leader.
fn join(context: &Context, nodes: &[String], timeout: u32) -> Outcome {
    let until = Instant::now() + Duration::from_secs(timeout.into());
    for node in nodes {
        let address = chimaera_config::resolve(node).map_err(Failed::Message)?;
        order(context, &["join", &address.to_string()])?;
    }
    loop {
        let document = context.describe(CHI_DESCRIBE_CLUSTER)?;
        let members = || array(&document["members"]);
        let own = members().find(|member| member["own"] == true);
        let is_member = own.is_some_and(|own| own["standing"] == "member");
        if is_member && members().any(|member| member["leads"] == true) {
            let node = text(&document["node"]);
            let count = members().count();
            if !context.print_json(&json!({ "node": node, "members": count })) {
                print(&format!("'{node}' is a member of a cluster of {count}\n"));
            }
            return Ok(());
        }
        if Instant::now() >= until {
            let why = document["kept_out"].as_str().map_or(String::new(), |why| format!(": {why}"));
            let nodes = nodes.join(", ");
            return Err(Failed::Message(format!(
                "{nodes} has not let this node in after {timeout} s{why}; it goes on asking: see its log"
            )));
        }
        std::thread::sleep(LOOK);
    }
}

/// Has a node own nothing, and waits until it does.
fn drain(context: &Context, node: &str, timeout: u32) -> Outcome {
    let until = Instant::now() + Duration::from_secs(timeout.into());
    order(context, &["drain", node])?;
    loop {
        let document = context.describe(CHI_DESCRIBE_CLUSTER)?;
        let found = array(&document["members"]).find(|member| member["name"] == *node);
        let left = found.and_then(|member| member["containers"].as_u64()).unwrap_or(0);
        // It may still have the state of one that is not yet made elsewhere.
        let is_needed =
            found.is_some_and(|it| it["needed"] == true && it["standing"] == "draining");
        if left == 0 && !is_needed {
            return Ok(());
        }
        if Instant::now() >= until {
            let count = counted(&left.into(), "container");
            return Err(Failed::Message(format!(
                "'{node}' still has {count} after {timeout} s, and goes on giving them away: see its log, and \
                 `chimaera cluster status`"
            )));
        }
        std::thread::sleep(LOOK);
    }
}

fn remove(context: &Context, node: &str) -> Outcome {
    order(context, &["remove", node]).map(drop)
}

/// Has a container go to another node, and waits until it is there.
pub(super) fn move_container(
    context: &Context,
    pool: &str,
    container: u32,
    node: &str,
    timeout: u32,
) -> Outcome {
    let until = Instant::now() + Duration::from_secs(timeout.into());
    order(context, &["move", pool, &container.to_string(), node])?;
    loop {
        let document = context.describe(CHI_DESCRIBE_CLUSTER)?;
        let found = array(&document["pools"]).find(|found| found["name"] == *pool);
        let found = found.and_then(|pool| pool["containers"].get(container as usize));
        let Some(found) = found else {
            return Err(Failed::Message(format!("pool '{pool}' has been destroyed meanwhile")));
        };
        let moving = !found["moving_to"].is_null() || found["arriving"] == true;
        if found["owner"] == *node && !moving {
            if !context.print_json(&json!({ "name": pool, "container": container, "node": node })) {
                print(&format!("container {container} of '{pool}' is on '{node}'\n"));
            }
            return Ok(());
        }
        if !moving || Instant::now() >= until {
            let owner = text(&found["owner"]);
            return Err(Failed::Message(format!(
                "container {container} of pool '{pool}' was not moved, and is on '{owner}': its log says why"
            )));
        }
        std::thread::sleep(LOOK);
    }
}

/// Has containers of a pool that no node has made anew, and waits until they are.
pub(super) fn recover(
    context: &Context,
    pool: &str,
    number: Option<u32>,
    force: bool,
    timeout: u32,
) -> Outcome {
    let until = Instant::now() + Duration::from_secs(timeout.into());
    let find = || {
        let document = context.describe(CHI_DESCRIBE_CLUSTER)?;
        let found = array(&document["pools"]).find(|found| found["name"] == *pool).cloned();
        found.ok_or_else(|| Failed::Message(format!("there is no pool '{pool}' in the cluster")))
    };
    let before = find()?;
    let wanted: Vec<&Value> = array(&before["containers"])
        .filter(|it| it["owner"].is_null())
        .filter(|it| number.is_none_or(|number| it["container"] == number))
        .collect();
    if wanted.is_empty() {
        let what = number.map_or("every container".to_owned(), |it| format!("container {it}"));
        let message = format!("nothing to recover: {what} of pool '{pool}' is on a node");
        return Err(Failed::Message(message));
    }
    if !force {
        let each = wanted.iter().map(|it| match it["stored_on"].as_str() {
            Some(node) => format!("what container {} stores is on node '{node}'", it["container"]),
            None => format!("what container {} had in memory is lost", it["container"]),
        });
        let each: Vec<String> = each.collect();
        return Err(Failed::Message(format!(
            "pool '{pool}' was not recovered: {}; start the node again, or give that up with \
             `chimaera pool recover {pool} --force`",
            each.join(", ")
        )));
    }
    let numbers: Vec<u64> = wanted.iter().filter_map(|it| it["container"].as_u64()).collect();
    for number in &numbers {
        order(context, &["recover", pool, &number.to_string()])?;
    }
    loop {
        let now = find()?;
        let found = |number: &u64| &now["containers"][*number as usize];
        let on = |number: &u64| found(number)["owner"].as_str();
        if numbers.iter().all(|number| found(number)["made"] == true) {
            let list: Vec<Value> = numbers
                .iter()
                .map(|number| json!({ "container": number, "node": on(number) }))
                .collect();
            if !context.print_json(&json!({ "name": pool, "containers": list })) {
                for number in &numbers {
                    let node = on(number).unwrap_or_default();
                    print(&format!("container {number} of '{pool}' is on '{node}'\n"));
                }
            }
            return Ok(());
        }
        if Instant::now() >= until {
            let why: Vec<&str> = array(&now["refused"]).filter_map(Value::as_str).collect();
            let why =
                if why.is_empty() { "no node can have it".to_owned() } else { why.join("; ") };
            return Err(Failed::Message(format!("pool '{pool}' was not recovered: {why}")));
        }
        std::thread::sleep(LOOK);
    }
}

/// Another instance, for the same commands.
fn other(context: &Context, name: String) -> Context {
    Context { name, ..context.clone() }
}

/// What an instance says of its cluster; `None` if it is not running.
fn described(context: &Context, name: &str) -> Option<Value> {
    other(context, name.to_owned()).describe(CHI_DESCRIBE_CLUSTER).ok()
}

fn members(document: &Value) -> usize {
    array(&document["members"]).filter(|member| member["standing"] == "member").count()
}

fn up(context: &Context, local: u32, prefix: &str, arguments: &[OsString]) -> Outcome {
    let key =
        Config::default().state_directory(prefix).map_err(Failed::Message)?.join("cluster.key");
    let names: Vec<String> = (1..=local).map(|number| format!("{prefix}-{number}")).collect();
    let mut seed: Option<String> = None;
    for name in &names {
        if let Some(document) = described(context, name) {
            complain(&format!("'{name}' is running already"));
            seed = seed.or_else(|| own_address(&document));
            continue;
        }
        let mut start = Process::new(std::env::current_exe()?);
        start.args(["start", "--daemon", "--name", name, "--listen", "127.0.0.1:0"]);
        start.arg("--cluster-key").arg(&key);
        if let Some(seed) = &seed {
            start.args(["--join", seed]);
        }
        let output = start.args(arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failed::Message(format!("'{name}' has not started: {}", said.trim())));
        }
        if seed.is_none() {
            seed = described(context, name).as_ref().and_then(own_address);
        }
    }
    let until = Instant::now() + FORM_BOUND;
    let formed = loop {
        let found = described(context, &names[0]);
        if found.as_ref().map_or(0, members) >= names.len() {
            break found;
        }
        if Instant::now() >= until {
            return Err(Failed::Message(format!(
                "the nodes run, but have not become one cluster in {FORM_BOUND:?}: see `chimaera cluster status \
                 --name {}`",
                names[0]
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if !context.print_json(&json!({ "instances": names, "cluster": formed })) {
        let count = counted(&local.into(), "node");
        print(&format!("a cluster of {count}: {}\n", names.join(", ")));
    }
    Ok(())
}

/// Where a node listens, which others may not have agreed on yet.
fn own_address(document: &Value) -> Option<String> {
    Some(document["address"].as_str()?.to_owned())
}

fn down(context: &Context, prefix: &str) -> Outcome {
    let (mut stopped, mut abandoned, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=64 {
        let name = format!("{prefix}-{number}");
        let Ok(instance) = Instance::new(Some(&name)) else { break };
        if !instance.socket().exists() {
            continue;
        }
        let mut stop = Process::new(std::env::current_exe()?);
        let output = stop.args(["stop", "--name", &name]).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            complain(String::from_utf8_lossy(&output.stderr).trim());
        }
        match output.status.code() {
            Some(0) => stopped.push(name),
            Some(ends::ABANDONED) => abandoned.push(name),
            _ => left.push(name),
        }
    }
    let mut document = json!({ "stopped": stopped, "abandoned": abandoned, "left": left });
    let failed = match (left.is_empty(), abandoned.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Failed::Abandoned),
        (false, _) => Some(Failed::Told),
    };
    if failed.is_some() {
        document["status"] = json!("CHI_FAILED");
    }
    if !context.print_json(&document) {
        let all = stopped.len() + abandoned.len();
        print(&format!("stopped {}\n", counted(&all.into(), "node")));
    }
    failed.map_or(Ok(()), Err)
}
