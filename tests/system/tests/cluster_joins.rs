//! Nodes that come, go, and cannot: their disks, their names, their modules. Real daemons on this machine.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use chimaera_tests::{artefacts, process, Cluster, Daemon, Options, Output, Site};

fn kv() -> [PathBuf; 1] {
    [artefacts::rust_module("chimaera_kv")]
}

fn create(site: &Site, name: &str, parameters: &[&str]) -> Output {
    let arguments = ["pool", "create", name, "--module", "chimaera:kv", "--json"];
    site.cli(&[&arguments[..], parameters].concat())
}

/// Starts a daemon that is to end with a message. Returns that.
#[track_caller]
fn refused(options: &Options, site: &Site) -> String {
    let output = process::run(&mut options.command(site));
    assert_eq!(output.code, 1, "{output:?}");
    output.stdout + &output.stderr
}

fn journal(site: &Site) -> PathBuf {
    let found =
        process::run(Command::new("find").arg(site.states()).args(["-name", "journal.redb"]));
    let of_it = |line: &&str| Path::new(line).components().any(|it| it.as_os_str() == site.name());
    found.stdout.lines().find(of_it).expect("it has a journal").into()
}

/// The disk under the log of one node fills: it says so and takes no part, and the others go on. Started again with
/// room, it is a member again.
#[test]
fn a_disk_is_full() {
    let mut cluster = Cluster::start(3, &kv());
    let site = cluster.site(0).sibling("small");
    let address = cluster.address(0);
    let directory = site.path().join("small");
    std::fs::create_dir(&directory).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(&directory)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("SKIPPED: this machine mounts no file system for the test");
        return;
    }
    let small = Mount(directory.clone());
    let text = format!("cluster:\n  directory: {}\n", directory.join("log").display());
    let options = cluster.options(&address).config(text);
    let number = cluster.add(Daemon::start_at(site, &options));
    cluster.until_all_are_members();
    let filler = directory.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    drop(file);
    // What is agreed on makes the log grow.
    process::until("the node says so", || {
        create(cluster.site(0), "a", &[]);
        cluster.site(0).cli(&["pool", "destroy", "a"]);
        cluster
            .node(number)
            .log()
            .contains("the log of the cluster cannot be written")
            .then_some(())
    });
    let said = cluster.site(number).cli(&["cluster", "status"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("takes no part in the cluster"), "{said:?}");
    cluster.until_standing(0, number, "lost");
    create(cluster.site(1), "others-go-on", &[]).ok();
    std::fs::remove_file(&filler).unwrap();
    cluster.kill(number);
    let options = cluster
        .options(&address)
        .config(format!("cluster:\n  directory: {}\n", directory.join("log").display()));
    let daemon = Daemon::start_at(cluster.site(number).clone(), &options);
    cluster.until_standing(0, number, "member");
    drop(daemon);
    drop(small);
}

/// A file system that is unmounted when this is dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a daemon that did not end keeps it busy, and fails the test by itself.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A node whose log is damaged says so and does not start, and the others go on. Without the log it is a new node.
#[test]
fn a_log_is_damaged() {
    let mut cluster = Cluster::start(3, &kv());
    create(cluster.site(0), "store", &[]).ok();
    cluster.kill(2);
    let path = journal(cluster.site(2));
    let file = std::fs::File::options().write(true).read(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    for place in (4096..length).step_by(512) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 0x40], place).unwrap();
    }
    let address = cluster.address(0);
    let said = refused(&cluster.options(&address), cluster.site(2));
    assert!(said.contains("is damaged") && said.contains("move it away"), "{said}");
    cluster.until_standing(0, 2, "lost");
    create(cluster.site(1), "another", &[]).ok();
    std::fs::remove_file(&path).unwrap();
    // Its name is free once its containers are elsewhere.
    cluster.start_again(2);
    cluster.until_all_are_members();
}

/// A log of another cluster is refused, and the cluster is as before.
#[test]
fn the_log_of_another_cluster_is_refused() {
    let red = Cluster::start_named(1, &kv(), "red");
    let mut blue = Cluster::start_named(2, &kv(), "blue");
    blue.kill(1);
    let said = refused(&red.options(&red.address(0)), blue.site(1));
    assert!(said.contains("of the cluster \"blue\", not \"red\""), "{said}");
    assert_eq!(red.described(0)["members"].as_array().unwrap().len(), 1);
    create(red.site(0), "store", &[]).ok();
}

/// A node with a name that is taken is told so, and is no member.
#[test]
fn a_name_that_is_taken_is_refused() {
    let cluster = Cluster::start(2, &kv());
    let name = cluster.site(1).name();
    let text = format!("cluster:\n  node: {name}\n");
    let options = cluster.options(&cluster.address(0)).config(text);
    let second = Daemon::start_at(cluster.site(0).sibling("second"), &options);
    process::until("it is told", || {
        let said = second.cli(&["cluster", "status"]);
        (said.code == 1 && said.stderr.contains("name")).then_some(())
    });
    assert!(second.log().contains(name), "{}", second.log());
    assert_eq!(cluster.described(0)["members"].as_array().unwrap().len(), 2);
}

/// Two clients of two nodes create a pool of one name at once.
#[test]
fn one_name_is_one_pool() {
    let cluster = Cluster::start(3, &kv());
    let sites = [cluster.site(0).clone(), cluster.site(1).clone()];
    for round in 0..5 {
        let name = format!("same-{round}");
        let outputs = both(|node| create(&sites[node], &name, &[]));
        let ids: Vec<_> = outputs.map(|output| output.ok().json()["id"].clone()).into();
        assert_eq!(ids[0], ids[1], "one id over the cluster");
        let name = format!("different-{round}");
        let parameters = ["max_bytes=1000000", "max_bytes=2000000"];
        let outputs = both(|node| create(&sites[node], &name, &["--params", parameters[node]]));
        let refused: Vec<_> = outputs.iter().filter(|output| output.code != 0).collect();
        assert_eq!(refused.len(), 1, "{outputs:?}");
        let said = format!("{}{}", refused[0].stdout, refused[0].stderr);
        assert!(said.contains("already exists"), "{said}");
    }
}

fn both(run: impl Fn(usize) -> Output + Sync) -> [Output; 2] {
    std::thread::scope(|scope| {
        let run = &run;
        [0, 1].map(|node| scope.spawn(move || run(node))).map(|thread| thread.join().unwrap())
    })
}

/// A node without the module has nothing of the pool; its own clients are told why, and the others serve.
#[test]
fn a_node_lacks_the_module() {
    let mut cluster = Cluster::start(2, &kv());
    let options = cluster.member(Options::new()).argument("--join").argument(cluster.address(0));
    let number = cluster.add(Daemon::start_at(cluster.site(0).sibling("bare"), &options));
    cluster.until_all_are_members();
    create(cluster.site(0), "store", &["--containers", "6"]).ok();
    let bare = cluster.site(number).name().to_owned();
    assert!(!cluster.owners(0, "store").contains(&bare), "{:?}", cluster.owners(0, "store"));
    let found = cluster.described(0);
    let refused = found["pools"][0]["refused"].to_string();
    assert!(refused.contains("chimaera:kv") || refused.contains(&bare), "{refused}");
    let told = create(cluster.site(number), "store", &["--containers", "6"]);
    assert_eq!(told.code, 1, "{told:?}");
    let said = told.stdout + &told.stderr;
    assert!(said.contains("there is no module 'chimaera:kv'"), "{said}");
}

/// A node leaves, a killed one is removed, and both come again, as new nodes.
#[test]
fn nodes_leave_and_join_again() {
    let mut cluster = Cluster::start(4, &kv());
    create(cluster.site(0), "store", &[]).ok();
    let identity = |cluster: &Cluster, name: &str| {
        let found = cluster.described(0);
        let members = found["members"].as_array().unwrap();
        members.iter().find(|it| it["name"] == name).map(|it| it["node"].clone())
    };
    let [leaves, lost] = [3, 2].map(|number| cluster.site(number).name().to_owned());
    let before = [&leaves, &lost].map(|name| identity(&cluster, name).expect("a member"));
    cluster.site(3).cli(&["cluster", "leave"]).ok();
    cluster.until_standing(0, 3, "");
    cluster.node(3).stop();
    cluster.kill(2);
    cluster.until_standing(0, 2, "lost");
    process::until("its containers are elsewhere", || {
        (!cluster.owners(0, "store").contains(&lost)).then_some(())
    });
    cluster.site(0).cli(&["cluster", "remove", &lost]).ok();
    cluster.until_standing(0, 2, "");
    // Who was removed while it was away learns that first, and forgets its log.
    cluster.start_again(2);
    process::until("it is told", || cluster.node(2).log().contains("was removed").then_some(()));
    for number in [3, 2] {
        cluster.restart(number);
        cluster.until_standing(0, number, "member");
    }
    let after = [&leaves, &lost].map(|name| identity(&cluster, name).expect("a member"));
    assert_ne!(before[0], after[0], "it is a new node");
    assert_ne!(before[1], after[1], "it is a new node");
    create(cluster.site(3), "another", &[]).ok();
}

/// All nodes are killed at once, and start again, with other addresses.
#[test]
fn a_cluster_that_was_killed_starts_again() {
    let mut cluster = Cluster::start(3, &kv());
    create(cluster.site(0), "store", &[]).ok();
    (0..3).for_each(|number| cluster.kill(number));
    (0..3).for_each(|number| cluster.start_again(number));
    cluster.until_all_are_members();
    let owners = cluster.owners(0, "store");
    assert!(!owners.contains(&"nobody".to_owned()), "{owners:?}");
    create(cluster.site(2), "another", &[]).ok();
}
