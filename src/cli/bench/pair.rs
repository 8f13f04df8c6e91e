//! Two daemons that are a cluster on loopback.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chimaera_abi::CHI_DESCRIBE_CLUSTER;
use serde_json::{json, Value};

use super::daemon::Daemon;
use super::setup::Modules;
use crate::context::{Context, Failed};

/// The names of the nodes.
const NODES: [&str; 2] = ["near", "far"];
/// How long they may take to become a cluster.
const FORM_BOUND: Duration = Duration::from_secs(30);
/// The pause between two looks at that.
const LOOK: Duration = Duration::from_millis(20);

/// A directory for what the nodes agree on, which is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Directory, Failed> {
        let path = std::env::temp_dir().join(format!("chimaera-bench-{}", std::process::id()));
        let cannot = |error| Failed::Message(format!("{}: {error}", path.display()));
        std::fs::create_dir(&path).map_err(cannot)?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It may already have been removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The two daemons. Clients of the first one are measured.
pub(super) struct Pair {
    daemons: Vec<Daemon>,
    // Dropped after the daemons, which write there.
    directory: Directory,
}

impl Pair {
    /// Starts both, with a worker each, and waits until they are members of one cluster.
    pub(super) fn start(modules: &Modules) -> Result<Pair, Failed> {
        let mut pair = Pair { daemons: Vec::new(), directory: Directory::new()? };
        let mut seeds = Vec::new();
        for node in NODES {
            let cluster = json!({
                "node": node,
                "listen": "127.0.0.1:0",
                "seeds": seeds,
                "directory": pair.directory.0.join(node),
            });
            // JSON is YAML, too.
            let config = json!({ "workers": 1, "cluster": cluster }).to_string();
            let daemon = Daemon::start_configured(modules, None, &config)?;
            let found = described(&daemon)?;
            seeds.extend(
                members(&found).filter_map(|member| member["address"].as_str().map(str::to_owned)),
            );
            pair.daemons.push(daemon);
        }
        let until = Instant::now() + FORM_BOUND;
        for daemon in &pair.daemons {
            loop {
                let found = described(daemon)?;
                let joined = members(&found).filter(|member| member["standing"] == "member");
                if joined.count() == NODES.len() {
                    break;
                }
                if Instant::now() >= until {
                    let why = format!(
                        "the two nodes have not become a cluster in {FORM_BOUND:?}: {found}"
                    );
                    return Err(Failed::Message(why));
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(pair)
    }

    /// The daemon whose clients are measured.
    pub(super) fn near(&self) -> &Daemon {
        &self.daemons[0]
    }

    /// A container of a pool on the near node, and one on the far node.
    pub(super) fn containers(&self, pool: &str) -> Result<[u32; 2], Failed> {
        let found = described(self.near())?;
        let pools = found["pools"].as_array().into_iter().flatten();
        let owned = pools
            .filter(|it| it["name"] == *pool)
            .flat_map(|it| it["containers"].as_array().into_iter().flatten());
        let owned: Vec<&Value> = owned.collect();
        let on = |node: &str| {
            let container = owned.iter().find(|it| it["owner"] == *node);
            let number = container.and_then(|it| it["container"].as_u64());
            number.map(|number| number as u32).ok_or_else(|| {
                Failed::Message(format!("node '{node}' has no container of pool '{pool}': {found}"))
            })
        };
        Ok([on(NODES[0])?, on(NODES[1])?])
    }
}

fn described(daemon: &Daemon) -> Result<Value, Failed> {
    let context = Context { name: daemon.name.clone(), named: None, json: false };
    context.describe(CHI_DESCRIBE_CLUSTER)
}

fn members(document: &Value) -> impl Iterator<Item = &Value> {
    document["members"].as_array().into_iter().flatten()
}
