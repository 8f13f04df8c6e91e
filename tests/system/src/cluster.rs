//! Several daemons on this machine that are one cluster.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::{connect, process, Daemon, Options, Site, Wires};

/// Daemons that are nodes of one cluster, the first of which founded it.
pub struct Cluster {
    nodes: Vec<Option<Daemon>>,
    options: Options,
    sites: Vec<Site>,
    /// The networks that its nodes are in, unless that is this machine's.
    wires: Option<Wires>,
}

impl Cluster {
    /// Starts a cluster of so many nodes, and waits until each is a member.
    #[track_caller]
    pub fn start(count: usize, modules: &[PathBuf]) -> Cluster {
        Cluster::start_with(count, modules, Options::new(), None)
    }

    /// Starts a cluster with a node in each of these networks.
    #[track_caller]
    pub fn start_over(count: usize, modules: &[PathBuf], wires: Wires) -> Cluster {
        Cluster::start_with(count, modules, Options::new(), Some(wires))
    }

    /// The networks that its nodes are in.
    #[track_caller]
    pub fn wires(&self) -> &Wires {
        self.wires.as_ref().expect("it was started over some")
    }

    /// Starts a cluster of this name.
    #[track_caller]
    pub fn start_named(count: usize, modules: &[PathBuf], name: &str) -> Cluster {
        let options = Options::new().config(format!("cluster:\n  name: {name}\n")).workers(2);
        Cluster::start_with(count, modules, options, None)
    }

    #[track_caller]
    fn start_with(
        count: usize,
        modules: &[PathBuf],
        options: Options,
        wires: Option<Wires>,
    ) -> Cluster {
        let first = Site::new();
        let options = options.repo_path(first.directory_of("modules", modules));
        let sites: Vec<Site> = (0..count)
            .map(|number| match number {
                0 => first.clone(),
                number => first.sibling(&number.to_string()),
            })
            .collect();
        let mut cluster = Cluster { nodes: Vec::new(), options, sites, wires };
        for number in 0..count {
            let daemon = cluster.run(number);
            cluster.nodes.push(Some(daemon));
        }
        cluster.until_all_are_members();
        cluster
    }

    fn run(&self, number: usize) -> Daemon {
        let options = self.member_at(number, self.options.clone());
        let up = self.nodes.iter().flatten().next();
        let options = match up {
            None => options,
            Some(other) => {
                let found = described(other.site());
                let address = found["address"].as_str().expect("it has an address");
                options.argument("--join").argument(address)
            }
        };
        let site = self.sites[number].clone();
        match &self.wires {
            None => Daemon::start_at(site, &options),
            Some(wires) => {
                let command = wires.inside(number, &options.command(&site));
                Daemon::run(site, command)
            }
        }
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

    /// How many nodes it has, of which some may not run.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.nodes.len()
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

    /// Starts a node again that has been stopped.
    #[track_caller]
    pub fn restart(&mut self, number: usize) {
        self.nodes[number] = None;
        self.start_again(number);
    }

    /// Starts a node again that was killed or has ended.
    #[track_caller]
    pub fn start_again(&mut self, number: usize) {
        let daemon = self.run(number);
        self.nodes[number] = Some(daemon);
    }

    /// Sends a node a signal.
    #[track_caller]
    pub fn signal(&mut self, number: usize, signal: Signal) {
        self.node(number).signal(signal);
    }

    /// The node of a name.
    #[track_caller]
    pub fn number_of(&self, name: &str) -> usize {
        let found = self.sites.iter().position(|site| site.name() == name);
        found.unwrap_or_else(|| panic!("there is no node '{name}'"))
    }

    /// Who leads, as a node says, once it knows.
    #[track_caller]
    pub fn leader(&self, asked: usize) -> usize {
        process::until("somebody leads", || {
            let found = self.described(asked);
            let leader = found["members"].as_array()?.iter().find(|it| it["leads"] == true)?;
            Some(self.number_of(leader["name"].as_str()?))
        })
    }

    /// Waits until a node sees another one with this standing; "" if it is no member.
    #[track_caller]
    pub fn until_standing(&self, asked: usize, node: usize, standing: &str) {
        let name = self.sites[node].name();
        process::until(standing, || {
            let found = self.described(asked);
            let member = found["members"].as_array()?.iter().find(|it| it["name"] == name);
            let is = member.map_or("", |member| member["standing"].as_str().unwrap_or("?"));
            (is == standing).then_some(())
        });
    }

    /// The address of a node.
    #[track_caller]
    pub fn address(&self, number: usize) -> String {
        self.described(number)["address"].as_str().expect("it has an address").to_owned()
    }

    /// The options with which a node that is to join starts.
    pub fn options(&self, seed: &str) -> Options {
        self.member(self.options.clone()).argument("--join").argument(seed)
    }

    /// These options, and those with which a node of this cluster starts.
    pub fn member(&self, options: Options) -> Options {
        self.member_at(self.sites.len(), options)
    }

    fn member_at(&self, number: usize, options: Options) -> Options {
        let key = self.sites[0].path().join("cluster.key");
        let address = match &self.wires {
            None => "127.0.0.1".to_owned(),
            Some(_) => Wires::address(number),
        };
        let options = options.argument("--listen").argument(format!("{address}:0"));
        options.argument("--cluster-key").argument(key.to_str().expect("it is UTF-8"))
    }

    /// Adds a node that was started by the test.
    pub fn add(&mut self, daemon: Daemon) -> usize {
        self.sites.push(daemon.site().clone());
        self.nodes.push(Some(daemon));
        self.nodes.len() - 1
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
