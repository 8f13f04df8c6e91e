//! Several daemons on this machine that are one cluster.

use std::path::PathBuf;

use serde_json::Value;

use crate::{connect, process, Daemon, Options, Site};

/// Daemons that are nodes of one cluster, the first of which founded it.
pub struct Cluster {
    nodes: Vec<Option<Daemon>>,
    options: Options,
    sites: Vec<Site>,
}

impl Cluster {
    /// Starts a cluster of so many nodes, and waits until each is a member.
    #[track_caller]
    pub fn start(count: usize, modules: &[PathBuf]) -> Cluster {
        let first = Site::new();
        let options = Options::new().repo_path(first.directory_of("modules", modules));
        let sites: Vec<Site> = (0..count)
            .map(|number| match number {
                0 => first.clone(),
                number => first.sibling(&number.to_string()),
            })
            .collect();
        let mut cluster = Cluster { nodes: Vec::new(), options, sites };
        for number in 0..count {
            let daemon = cluster.run(number);
            cluster.nodes.push(Some(daemon));
        }
        cluster.until_all_are_members();
        cluster
    }

    fn run(&self, number: usize) -> Daemon {
        let key = self.sites[0].path().join("cluster.key");
        let options = self.options.clone().argument("--listen").argument("127.0.0.1:0");
        let options =
            options.argument("--cluster-key").argument(key.to_str().expect("it is UTF-8"));
        let up = self.nodes.iter().flatten().next();
        let options = match up {
            None => options,
            Some(other) => {
                let members = described(other.site());
                let own = members["members"]
                    .as_array()
                    .and_then(|all| all.iter().find(|it| it["own"] == true));
                let address =
                    own.and_then(|own| own["address"].as_str()).expect("it has an address");
                options.argument("--join").argument(address)
            }
        };
        Daemon::start_at(self.sites[number].clone(), &options)
    }

    /// Waits until every node that runs sees every other one as a member.
    #[track_caller]
    pub fn until_all_are_members(&self) {
        let up = self.nodes.iter().flatten().count();
        for daemon in self.nodes.iter().flatten() {
            process::until("all are members", || {
                let found = described(daemon.site());
                let members = found["members"].as_array()?;
                let present = members.iter().filter(|it| it["standing"] == "member").count();
                (present >= up).then_some(())
            });
        }
    }

    /// A node that runs.
    #[track_caller]
    pub fn node(&mut self, number: usize) -> &mut Daemon {
        self.nodes[number].as_mut().expect("the node runs")
    }

    /// Where a node is.
    pub fn site(&self, number: usize) -> &Site {
        &self.sites[number]
    }

    /// Kills a node at once.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].take().expect("the node runs").kill();
    }

    /// Starts a node again that was killed or has ended.
    #[track_caller]
    pub fn start_again(&mut self, number: usize) {
        let daemon = self.run(number);
        self.nodes[number] = Some(daemon);
    }

    /// What a node says of the cluster.
    pub fn described(&self, number: usize) -> Value {
        described(&self.sites[number])
    }

    /// Makes this process a client of a node, and of no other. For tests in a process of their own.
    #[track_caller]
    pub fn connect(&self, number: usize) {
        chimaera::client::shutdown();
        let site = &self.sites[number];
        std::env::set_var("XDG_RUNTIME_DIR", site.path());
        std::env::set_var("CHI_INSTANCE", site.name());
        connect();
    }

    /// The nodes that own containers of a pool, by name.
    pub fn owners(&self, number: usize, pool: &str) -> Vec<String> {
        let found = self.described(number);
        let pools = found["pools"].as_array().expect("a list");
        let pool = pools.iter().find(|it| it["name"] == pool).expect("it exists");
        let owners = pool["containers"].as_array().expect("a list").iter();
        owners.map(|it| it["owner"].as_str().unwrap_or("nobody").to_owned()).collect()
    }
}

fn described(site: &Site) -> Value {
    site.cli(&["cluster", "status", "--json"]).ok().json()
}
