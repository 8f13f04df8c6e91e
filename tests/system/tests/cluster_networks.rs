//! Clusters whose nodes are in networks of their own, whose cables are pulled: every call ends, and what callers are told of
//! it is true. Real processes, interfaces and routes on this machine; where it does not allow them, the tests say so.

use std::time::Duration;

use chimaera_tests::{elapsed_time, Cluster, Trial, Wires};

const CALLER: &str = env!("CARGO_BIN_EXE_chi-test-caller");
/// How long calls to a node that cannot be reached may take to end at most, however loaded the machine is.
const BOUND: Duration = Duration::from_secs(15);

/// A trial with a node in each of `count` networks, unless this machine allows none.
fn trial(count: usize) -> Option<Trial> {
    match Wires::new(count) {
        Ok(wires) => Some(Trial::over(Cluster::start_over(count, &Trial::modules(), wires))),
        Err(why) => {
            println!("SKIPPED: this machine allows no networks for the test: {why}");
            None
        }
    }
}

/// Lets `cut` happen to the networks while clients of all nodes call, and `mend` after 6 s, and has all end well.
#[track_caller]
fn survive(
    what: &str,
    trial: &mut Trial,
    lost: &[usize],
    cut: impl Fn(&Wires),
    mend: impl Fn(&Wires),
) {
    let nodes: Vec<usize> = (0..trial.cluster.len()).collect();
    let asked = nodes.iter().copied().find(|node| !lost.contains(node)).expect("one is left");
    let containers: Vec<u32> =
        lost.iter().flat_map(|node| trial.containers_of(asked, *node)).collect();
    trial.call_from(CALLER, &nodes);
    trial.go_on(500);
    let since = elapsed_time();
    cut(trial.cluster.wires());
    trial.go_on(6000);
    mend(trial.cluster.wires());
    trial.cluster.until_all_are_members();
    trial.go_on(1500);
    let record = trial.finish();
    println!(
        "{what}: calls under way to it ended after {:?}, the longest call of others to it took {:?}, the longest of \
         all {:?}; {}",
        record.times(since, &containers).0,
        record.longest_to(&containers, lost),
        record.longest(),
        record.counts()
    );
    record.check();
    record.check_one_at_a_time();
    assert!(record.longest() < BOUND, "{:?}", record.longest());
}

#[track_caller]
fn is_pulled(of_leader: bool) {
    let Some(mut trial) = trial(3) else { return };
    let leader = trial.cluster.leader(0);
    let node = if of_leader { leader } else { (leader + 1) % 3 };
    let what = format!("the cable of {}", if of_leader { "the leader" } else { "a follower" });
    survive(&what, &mut trial, &[node], |wires| wires.pull(node), |wires| wires.plug(node));
}

#[test]
fn the_cable_of_a_node_is_pulled() {
    is_pulled(false);
}

#[test]
fn the_cable_of_the_leader_is_pulled() {
    is_pulled(true);
}

/// Two nodes cannot reach each other, and the third one reaches both.
#[test]
fn two_nodes_cannot_reach_each_other() {
    let Some(mut trial) = trial(3) else { return };
    let leader = trial.cluster.leader(0);
    let other = (leader + 1) % 3;
    let (some, others) = ([leader], [other]);
    survive(
        "the leader and a follower apart",
        &mut trial,
        &[],
        |wires| wires.part(&some, &others),
        |wires| wires.join(&some, &others),
    );
}

/// The leader and another one of five are on one side, and the majority is on the other.
#[test]
fn a_network_falls_in_two() {
    let Some(mut trial) = trial(5) else { return };
    let leader = trial.cluster.leader(0);
    let few = [leader, (leader + 1) % 5];
    let many: Vec<usize> = (0..5).filter(|node| !few.contains(node)).collect();
    survive(
        "two of five apart, with the leader",
        &mut trial,
        &few,
        |wires| wires.part(&few, &many),
        |wires| wires.join(&few, &many),
    );
}

/// What all nodes send comes late, and some of it gets lost: nobody counts as lost, and all calls run.
#[test]
fn a_network_is_slow_and_loses_some() {
    let Some(mut trial) = trial(3) else { return };
    if let Err(why) = trial.cluster.wires().disturb(0, 20, 1) {
        println!("SKIPPED: this machine cannot disturb a network: {why}");
        return;
    }
    (1..3).for_each(|node| trial.cluster.wires().disturb(node, 20, 1).unwrap());
    trial.call_from(CALLER, &[0, 1, 2]);
    trial.go_on(8000);
    let record = trial.finish();
    println!(
        "slow, with losses: the longest call took {:?}; {}",
        record.longest(),
        record.counts()
    );
    record.check();
    assert!(record.calls.iter().all(|call| call.outcome == "ran"), "{}", record.counts());
}
