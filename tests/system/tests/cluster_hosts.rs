//! Clusters of a list of hosts, which all start at once. Real daemons on this machine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_tests::{artefacts, process, Daemon, Options, Site};
use serde_json::{json, Value};

/// Hosts of a cluster, all on this machine, and the file that lists them.
struct Hosts {
    addresses: Vec<String>,
    sites: Vec<Site>,
    file: PathBuf,
    modules: PathBuf,
}

impl Hosts {
    fn new(count: usize) -> Hosts {
        let first = Site::new();
        // All at once, so that they differ.
        let bound: Vec<TcpListener> =
            (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<String> =
            bound.iter().map(|it| it.local_addr().unwrap().to_string()).collect();
        let file = first.path().join("hosts");
        std::fs::write(&file, addresses.join("  # a comment\n") + "\n").unwrap();
        let modules = first.directory_of("modules", &[artefacts::rust_module("chimaera_kv")]);
        let siblings = (1..count).map(|number| first.sibling(&number.to_string()));
        let sites = std::iter::once(first.clone()).chain(siblings).collect();
        Hosts { addresses, sites, file, modules }
    }

    fn options(&self) -> Options {
        let key = self.sites[0].path().join("cluster.key");
        let options = Options::new().workers(1).repo_path(self.modules.clone());
        let options = options.argument("--cluster-key").argument(text(&key));
        options.argument("--hosts").argument(text(&self.file))
    }

    fn start(&self, number: usize) -> Daemon {
        let options = self.options().argument("--listen").argument(&*self.addresses[number]);
        Daemon::start_at(self.sites[number].clone(), &options)
    }

    /// The members that a node knows, in order, once it knows so many.
    #[track_caller]
    fn members(&self, number: usize, count: usize) -> Vec<String> {
        process::until("it knows the members", || {
            let found = described(&self.sites[number]);
            let members = found["members"].as_array()?.iter();
            let present = members.filter(|it| it["standing"] == "member");
            let names = present.map(|it| it["name"].as_str().unwrap_or("?").to_owned());
            let mut names: Vec<String> = names.collect();
            names.sort();
            (names.len() == count).then_some(names)
        })
    }

    fn sorted(&self, numbers: &[usize]) -> Vec<String> {
        let mut names: Vec<_> = numbers.iter().map(|it| self.addresses[*it].clone()).collect();
        names.sort();
        names
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

fn described(site: &Site) -> Value {
    site.cli(&["cluster", "status", "--json"]).ok().json()
}

/// Starts those hosts at once.
fn start_all(hosts: &Hosts, numbers: &[usize]) -> Vec<Daemon> {
    std::thread::scope(|scope| {
        let starting: Vec<_> =
            numbers.iter().map(|number| scope.spawn(|| hosts.start(*number))).collect();
        starting.into_iter().map(|it| it.join().expect("it starts")).collect()
    })
}

/// All have the same options. The first of the list makes the key, for which the others wait, and founds the
/// cluster.
#[test]
fn hosts_of_a_file_become_one_cluster() {
    let hosts = Hosts::new(3);
    let mut daemons = start_all(&hosts, &[2, 1, 0]);
    for number in 0..3 {
        assert_eq!(hosts.members(number, 3), hosts.sorted(&[0, 1, 2]));
    }
    let founds = |daemon: &Daemon| daemon.log().contains("this node has founded the cluster");
    assert_eq!(daemons.iter().map(founds).collect::<Vec<_>>(), [false, false, true]);
    // Started again, it founds none: it has a cluster.
    daemons.pop().expect("it runs").stop();
    let again = hosts.start(0);
    assert_eq!(hosts.members(0, 3), hosts.sorted(&[0, 1, 2]));
    assert_eq!(
        again.log().matches("this node has founded the cluster").count(),
        1,
        "{}",
        again.log()
    );
}

/// One of three founds nothing, for the others may be a cluster that it does not reach. One that is late joins.
#[test]
fn more_than_half_of_the_hosts_are_enough() {
    let hosts = Hosts::new(3);
    let first = hosts.start(0);
    // Longer than it takes to found one.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(described(first.site())["members"].as_array().unwrap().len(), 0);
    let said = first.cli(&["cluster", "status"]).ok().stdout;
    let why = "it founds the cluster once it hears from more than half of the 3 hosts";
    assert!(said.contains(why), "{said}");
    let _second = hosts.start(1);
    assert_eq!(hosts.members(0, 2), hosts.sorted(&[0, 1]));
    let _third = hosts.start(2);
    assert_eq!(hosts.members(2, 3), hosts.sorted(&[0, 1, 2]));
}

/// Pools of the configuration wait until there is a cluster.
#[test]
fn configured_pools_wait_for_the_cluster() {
    let hosts = Hosts::new(2);
    let start = |number: usize| {
        let options = hosts.options().argument("--listen").argument(&*hosts.addresses[number]);
        let pools = "pools: [{name: store, module: \"chimaera:kv\"}]\n";
        Daemon::start_at(hosts.sites[number].clone(), &options.config(pools))
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| start(0));
        process::until("the first waits", || {
            let said = hosts.sites[0].cli(&["status"]).stderr;
            said.contains("is starting (waiting to be let into the cluster)").then_some(())
        });
        // Longer than one attempt to agree on a pool takes.
        std::thread::sleep(Duration::from_secs(11));
        let _second = start(1);
        let first = first.join().expect("it starts");
        assert_eq!(described(first.site())["pools"][0]["name"], "store");
    });
}

/// A node that nobody lets in is told whom to ask.
#[test]
fn a_node_is_told_whom_to_ask() {
    let hosts = Hosts::new(3);
    let lone = hosts.start(0);
    let elsewhere = lone.cli(&["cluster", "join", "127.0.0.1:1", "--timeout", "1"]);
    assert_eq!(elsewhere.code, 1, "{elsewhere:?}");
    let why = "127.0.0.1:1 has not let this node in after 1 s";
    assert!(elsewhere.stderr.contains(why), "{elsewhere:?}");
    let key = hosts.sites[0].path().join("cluster.key");
    let options = Options::new().workers(1).repo_path(hosts.modules.clone());
    let options = options.argument("--cluster-key").argument(text(&key));
    let options = options.argument("--listen").argument("127.0.0.1:0");
    let other = Daemon::start_at(hosts.sites[0].sibling("other"), &options);
    let address = described(other.site())["address"].as_str().unwrap().to_owned();
    let joined = lone.cli(&["cluster", "join", &address, "--json"]).ok().json();
    assert_eq!((&joined["node"], &joined["members"]), (&json!(hosts.addresses[0]), &json!(2)));
    let refused = other.cli(&["cluster", "join", "a b"]);
    assert_eq!(refused.code, 2, "{refused:?}");
}

/// The host that founded the cluster comes back without its log: it joins the others again.
#[test]
fn a_cluster_is_founded_once() {
    let hosts = Hosts::new(3);
    let mut daemons = start_all(&hosts, &[0, 1, 2]);
    hosts.members(1, 3);
    hosts.sites[1].cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    let mut first = daemons.remove(0);
    first.kill();
    std::fs::remove_dir_all(hosts.sites[0].states().join(hosts.sites[0].name())).unwrap();
    let _first = hosts.start(0);
    for number in 0..3 {
        process::until("the first is back, and nothing is lost", || {
            let found = described(&hosts.sites[number]);
            let members = found["members"].as_array()?;
            let is_whole =
                members.len() == 3 && members.iter().all(|it| it["standing"] == "member");
            (is_whole && found["pools"][0]["name"] == "store").then_some(())
        });
    }
}

/// A scheduler says which hosts a job has; nothing else need be said but where the key is.
#[test]
fn a_job_is_a_cluster() {
    let hosts = Hosts::new(1);
    let key = hosts.sites[0].path().join("cluster.key");
    let options = Options::new().workers(1).argument("--cluster-key").argument(text(&key));
    let mut command = options.command(&hosts.sites[0]);
    command.env("PBS_NODEFILE", &hosts.file);
    let _daemon = Daemon::run(hosts.sites[0].clone(), command);
    assert_eq!(hosts.members(0, 1), hosts.addresses);
}

#[test]
fn lists_without_this_host_are_refused() {
    let hosts = Hosts::new(2);
    let refused = |options: &Options| {
        let output = process::run(&mut options.command(&hosts.sites[0]));
        assert_eq!(output.code, 1, "{output:?}");
        output.stdout + &output.stderr
    };
    let elsewhere = refused(&hosts.options().argument("--listen").argument("127.0.0.1:1"));
    assert!(
        elsewhere.contains("none of the hosts is 127.0.0.1:1, where this node listens"),
        "{elsewhere}"
    );
    std::fs::write(&hosts.file, "203.0.113.1\n203.0.113.2\n").unwrap();
    let none = refused(&hosts.options());
    assert!(none.contains("none of the hosts is this machine"), "{none}");
    std::fs::write(&hosts.file, "a b\nc,d\n").unwrap();
    let malformed = refused(&hosts.options());
    assert!(malformed.contains("\"c,d\" is no HOST[:PORT]"), "{malformed}");
}
