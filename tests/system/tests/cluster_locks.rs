//! Locks and circles of waits over the nodes of a cluster: real processes on this machine.

use chimaera::abi::{CHI_CANCELLED, CHI_DEADLOCK};
use chimaera::{DomainQuery, NewTask, Pending, PoolId, PoolOptions};
use chimaera_test_locks_client::{Lock, LockTask, Method, RUST};
use chimaera_tests::process::until;
use chimaera_tests::{artefacts, in_client, text_of, Cluster, Options};

/// A pool with one container on each node.
fn pool(cluster: &Cluster) -> PoolId {
    cluster.connect(0);
    let count = cluster.len() as u32;
    let options = PoolOptions::default().containers(count);
    let pool =
        chimaera::ipc().unwrap().create_pool_with(RUST, "locked", b"", options).expect("it is new");
    let mut owners = cluster.owners(0, "locked");
    owners.sort();
    owners.dedup();
    assert_eq!(owners.len(), count as usize, "each node has a container");
    pool
}

fn task(pool: PoolId, container: u32, method: u32, number: u64) -> NewTask<LockTask> {
    let ipc = chimaera::ipc().unwrap();
    let task: NewTask<LockTask> =
        ipc.new_task(pool, DomainQuery::global_id(container), method).unwrap();
    task.lock.set(Lock::MUTEX);
    task.number.set(number);
    task
}

/// No task is left in the mutex of any container.
fn are_free(pool: PoolId, count: u32) {
    for container in 0..count {
        let tried = task(pool, container, Method::TRY, 0).call().unwrap();
        assert_eq!(tried.result.get(), 1, "container {container}");
    }
}

/// A lock is held by a root with all of its tasks, wherever they are: also when one comes back to a node by way
/// of others, or goes there twice.
#[test]
fn a_root_gets_into_its_locks_on_all_nodes() {
    in_client!(Options::new(), |_| {
        let cluster = Cluster::start(3, &[artefacts::rust_locks()]);
        let pool = pool(&cluster);
        for node in 0..3 {
            cluster.connect(node);
            for (first, way) in [(0, "0,1,2,0,1,2,0,1"), (2, "2,0,1,2,0,1,2,0")] {
                let done = task(pool, first, Method::ROUND, 7).call().unwrap();
                assert_eq!(done.text.to_string().unwrap(), way);
            }
            are_free(pool, 3);
        }
    });
}

/// A cancellation follows a task to its node, whether it runs there or waits.
#[test]
fn what_is_cancelled_leaves_its_lock_on_another_node() {
    in_client!(Options::new(), |_| {
        let cluster = Cluster::start(2, &[artefacts::rust_locks()]);
        let pool = pool(&cluster);
        for container in 0..2 {
            let holds = task(pool, container, Method::HOLD, 1).submit().unwrap();
            until("it holds the lock", || {
                let tried = task(pool, container, Method::TRY, 0).call().unwrap();
                (tried.result.get() == 0).then_some(())
            });
            let waits = task(pool, container, Method::COUNT, 1).submit().unwrap();
            for cancelled in [waits, holds] {
                cancelled.cancel().unwrap();
                assert_eq!(text_of(cancelled.wait()).0, CHI_CANCELLED);
            }
            // Whoever cancels a task of another node does not wait until it has ended there.
            until("the lock is free", || {
                let tried = task(pool, container, Method::TRY, 0).call().unwrap();
                (tried.result.get() == 1).then_some(())
            });
        }
    });
}

/// Each task holds the lock of its container, and waits for that of the next one.
fn circle(cluster: &mut Cluster) {
    let count = cluster.len() as u32;
    let pool = pool(cluster);
    for round in 1..3 {
        let tasks: Vec<Pending<LockTask>> = (0..count)
            .map(|container| {
                let task = task(pool, container, Method::CROSS, round);
                task.lane.set((container + 1) % count);
                task.submit().unwrap()
            })
            .collect();
        let expected = (1..=round).map(|it| it.to_string()).collect::<Vec<_>>().join(",");
        for container in 0..count {
            until("each holds its lock", || {
                let noted = task(pool, container, Method::NOTES, 0).call().unwrap();
                (noted.text.to_string().unwrap() == expected).then_some(())
            });
        }
        for container in 0..count {
            task(pool, container, Method::LET_GO, round).call().unwrap();
        }
        let ended = tasks.into_iter().map(Pending::wait);
        let failed: Vec<_> = ended.filter(Result::is_err).map(text_of).collect();
        let [(status, message)] = &failed[..] else { panic!("not one has failed: {failed:?}") };
        assert_eq!(*status, CHI_DEADLOCK, "{message}");
        assert!(message.contains("kCount") && message.contains("on node 'test-"), "{message}");
        are_free(pool, count);
    }
    let logs: Vec<String> = (0..cluster.len()).map(|node| cluster.node(node).log()).collect();
    let told = logs.iter().map(|log| log.matches("wait for each other in a circle").count());
    assert_eq!(told.sum::<usize>(), 2, "each circle is told once: {logs:#?}");
}

#[test]
fn a_circle_over_two_nodes_is_broken() {
    in_client!(Options::new(), |_| {
        circle(&mut Cluster::start(2, &[artefacts::rust_locks()]));
    });
}

#[test]
fn a_circle_over_three_nodes_is_broken() {
    in_client!(Options::new(), |_| {
        circle(&mut Cluster::start(3, &[artefacts::rust_locks()]));
    });
}
