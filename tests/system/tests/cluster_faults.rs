//! Clusters whose nodes are killed and stopped while clients call: every call ends, and what callers are told of it is
//! true. Real processes on this machine.
//!
//! What has run is known from a file that outlives the daemons (`test:witness`), so it is known of killed nodes, too.

use std::time::Duration;

use chimaera_tests::{elapsed_time, Cluster, Daemon, Proxy, Record, Trial};
use rustix::process::Signal;

const CALLER: &str = env!("CARGO_BIN_EXE_chi-test-caller");
/// How long calls to a lost node may take to end at most, however loaded the machine is.
const BOUND: Duration = Duration::from_secs(15);

/// What happens to a node.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is killed.
    Kill,
    /// It is stopped for so many milliseconds.
    Stop(u64),
}

/// Which nodes it happens to.
#[derive(Clone, Copy, Debug)]
enum Who {
    Leader,
    Follower,
    /// The leader, and another one.
    Two,
    /// The one of this number.
    Node(usize),
}

fn chosen(trial: &Trial, count: usize, who: Who) -> Vec<usize> {
    let leader = trial.cluster.leader(0);
    let mut others = (0..count).rev().filter(|node| *node != leader);
    match who {
        Who::Leader => vec![leader],
        Who::Follower => others.next().into_iter().collect(),
        Who::Two => vec![leader, others.next().expect("there are more")],
        Who::Node(number) => vec![number],
    }
}

/// Lets a fault happen while clients of all other nodes call, and has all end well.
#[track_caller]
fn survive(count: usize, who: Who, fault: Fault) -> Record {
    let mut trial = Trial::start(count);
    let victims = chosen(&trial, count, who);
    let others: Vec<usize> = (0..count).filter(|node| !victims.contains(node)).collect();
    let asked = others[0];
    let containers: Vec<u32> =
        victims.iter().flat_map(|victim| trial.containers_of(asked, *victim)).collect();
    trial.call_from(CALLER, &others);
    trial.go_on(500);
    let since = elapsed_time();
    match fault {
        Fault::Kill => {
            victims.iter().for_each(|victim| trial.cluster.kill(*victim));
            victims.iter().for_each(|victim| trial.cluster.until_standing(asked, *victim, "lost"));
            trial.go_on(3000);
            victims.iter().for_each(|victim| trial.cluster.start_again(*victim));
        }
        Fault::Stop(milliseconds) => {
            victims.iter().for_each(|victim| trial.cluster.signal(*victim, Signal::STOP));
            trial.go_on(milliseconds);
            victims.iter().for_each(|victim| trial.cluster.signal(*victim, Signal::CONT));
        }
    }
    trial.cluster.until_all_are_members();
    let again = elapsed_time();
    trial.go_on(1500);
    let record = trial.finish();
    let (ended, served) = record.times(since, &containers);
    println!(
        "{count} nodes, {who:?}, {fault:?}: calls under way to it ended after {ended:?}, others ran there after \
         {served:?}; the longest call took {:?}; {}",
        record.longest(),
        record.counts()
    );
    record.check();
    record.check_one_at_a_time();
    assert!(ended < BOUND, "{ended:?}");
    assert!(record.longest() < BOUND, "{:?}", record.longest());
    // In the end, every container serves every client.
    for container in 0..count as u32 {
        let ran = record.calls.iter().filter(|it| it.pool == "witness" && it.started >= again);
        let ran = ran.filter(|it| it.container == container && it.outcome == "ran").count();
        assert!(ran > 0, "container {container} serves nobody in the end");
    }
    record
}

#[test]
fn a_node_is_killed_and_comes_back() {
    survive(3, Who::Follower, Fault::Kill);
}

/// Whichever it is: the one that founded the cluster, and those that joined.
#[test]
fn each_node_is_killed_and_comes_back() {
    (0..3).for_each(|node| drop(survive(3, Who::Node(node), Fault::Kill)));
}

#[test]
fn the_leader_is_killed_and_comes_back() {
    survive(3, Who::Leader, Fault::Kill);
}

#[test]
fn two_of_five_nodes_are_killed_and_come_back() {
    survive(5, Who::Two, Fault::Kill);
}

/// It is not noticed but by those who call it.
#[test]
fn a_node_is_stopped_for_a_second() {
    survive(3, Who::Follower, Fault::Stop(1000));
}

#[test]
fn the_leader_is_stopped_for_a_second() {
    survive(3, Who::Leader, Fault::Stop(1000));
}

/// Others have taken over its containers when it goes on.
#[test]
fn a_node_is_stopped_for_long() {
    survive(3, Who::Follower, Fault::Stop(8000));
}

#[test]
fn the_leader_is_stopped_for_long() {
    survive(3, Who::Leader, Fault::Stop(8000));
}

#[test]
fn the_leader_is_stopped_for_half_a_minute() {
    survive(3, Who::Leader, Fault::Stop(30_000));
}

#[test]
fn two_of_five_nodes_are_stopped_for_long() {
    survive(5, Who::Two, Fault::Stop(8000));
}

/// A cluster of three, whose last node has reached the first through a proxy. That is the connection between the two as
/// long as it stands; then each finds the other by the address at which it listens, which no proxy can have.
fn with_proxy() -> (Trial, Proxy) {
    let mut cluster = Cluster::start(2, &Trial::modules());
    let proxy = Proxy::start(&cluster.address(0));
    let site = cluster.site(0).sibling("far");
    let daemon = Daemon::start_at(site, &cluster.options(&proxy.address()));
    cluster.add(daemon);
    cluster.until_all_are_members();
    (Trial::over(cluster), proxy)
}

/// What comes late is not lost: nobody counts as lost, and all calls run.
#[test]
fn a_connection_is_slow() {
    let (mut trial, proxy) = with_proxy();
    trial.call_from(CALLER, &[0, 1, 2]);
    let before = proxy.passed();
    proxy.delay(100);
    trial.go_on(4000);
    assert!(proxy.passed() > before, "nothing goes through the proxy");
    proxy.delay(0);
    let record = trial.finish();
    println!(
        "a slow connection: the longest call took {:?}; {}",
        record.longest(),
        record.counts()
    );
    record.check();
    assert!(record.calls.iter().all(|call| call.outcome == "ran"), "{}", record.counts());
}

/// Nothing passes, in both directions or one, although the connection stands: the calls over it end, and when it goes on,
/// all are members.
#[test]
fn a_connection_is_half_open() {
    for (to_target, from_target) in [(true, true), (true, false), (false, true)] {
        let (mut trial, proxy) = with_proxy();
        trial.call_from(CALLER, &[0, 1]);
        trial.go_on(500);
        let since = elapsed_time();
        proxy.hold(to_target, from_target);
        trial.go_on(6000);
        proxy.hold(false, false);
        trial.cluster.until_all_are_members();
        trial.go_on(1000);
        let record = trial.finish();
        println!(
            "half-open {to_target} {from_target}: calls under way ended after {:?}, the longest took {:?}; {}",
            record.times(since, &[2]).0,
            record.longest(),
            record.counts()
        );
        record.check();
        record.check_one_at_a_time();
        assert!(record.longest() < BOUND, "{:?}", record.longest());
    }
}

/// The connection is cut again and again: what was under way over it has perhaps run, and all go on.
#[test]
fn a_connection_is_cut() {
    let (mut trial, proxy) = with_proxy();
    trial.call_from(CALLER, &[0, 1]);
    for _ in 0..3 {
        trial.go_on(700);
        proxy.cut(false);
    }
    trial.cluster.until_all_are_members();
    trial.go_on(1500);
    let record = trial.finish();
    println!("cut: the longest call took {:?}; {}", record.longest(), record.counts());
    record.check();
    record.check_one_at_a_time();
    assert!(record.longest() < BOUND, "{:?}", record.longest());
}

/// Clients of a node that was stopped for so long that others have its containers: they are told the truth, and what was
/// its own is not served by two.
#[test]
fn clients_of_a_stopped_node_are_told_the_truth() {
    let mut trial = Trial::start(3);
    let victim = chosen(&trial, 3, Who::Follower)[0];
    let other = (0..3).find(|node| *node != victim).expect("there are three");
    trial.call_from(CALLER, &[0, 1, 2]);
    trial.go_on(500);
    trial.cluster.signal(victim, Signal::STOP);
    trial.cluster.until_standing(other, victim, "lost");
    trial.go_on(3000);
    trial.cluster.signal(victim, Signal::CONT);
    trial.cluster.until_all_are_members();
    trial.go_on(1500);
    let record = trial.finish();
    println!("clients of a stopped node: {}", record.counts());
    record.check();
    record.check_one_at_a_time();
}
