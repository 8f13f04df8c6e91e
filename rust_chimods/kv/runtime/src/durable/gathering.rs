//! Gathering: changes of those who come back together share a transaction. The tests play the thread, and
//! wait for so long that only the number of requests decides.

use super::cuts::{committer, Disk};
use super::*;
use crate::durable::file::{database_over, lay_out};
use crate::tests::host::Module;

const CONTAINERS: u32 = 1;
const LONG: Duration = Duration::from_secs(600);

/// An empty store, and what makes events.
fn empty() -> (Committer, Module) {
    let module = Module::created();
    let disk = Disk::default();
    lay_out(&database_over(disk.clone()).unwrap(), CONTAINERS, 1).unwrap();
    (committer(&disk), module)
}

fn put(committer: &Committer, count: usize) {
    for number in 0..count {
        let key = number.to_string().into_bytes();
        let change = Change::Put { container: 0, key, value: b"value".to_vec() };
        committer.put(change, &Waiting::new().unwrap()).unwrap();
    }
}

fn serve(committer: &Committer, batch: Vec<Request>) -> Back {
    Back { patience: LONG, pause: LONG, ..committer.serve_batch(batch, CONTAINERS, &mut (0, 0)) }
}

fn commits(committer: &Committer) -> u64 {
    committer.commits.load(Ordering::Relaxed)
}

/// What the thread takes while these requests come, one after the other.
fn next_while(committer: &Committer, back: Back, come: impl FnOnce()) -> Vec<Request> {
    std::thread::scope(|scope| {
        let next = scope.spawn(|| committer.next(back));
        come();
        next.join().unwrap()
    })
}

#[test]
fn those_who_come_back_one_by_one_share_a_transaction() {
    let (committer, _module) = empty();
    put(&committer, 16);
    let mut back = serve(&committer, committer.next(Back::default()));
    for round in 1..=10 {
        assert_eq!((back.expected, commits(&committer)), (16, round));
        let batch = next_while(&committer, back, || put(&committer, 16));
        assert_eq!(batch.len(), 16);
        back = serve(&committer, batch);
    }
    assert_eq!(committer.syncs.load(Ordering::Relaxed), 11);
}

#[test]
fn two_groups_become_one() {
    let (committer, _module) = empty();
    put(&committer, 8);
    let first = committer.next(Back::default());
    // The others come while the first are committed.
    put(&committer, 8);
    let back = serve(&committer, first);
    assert_eq!(back.expected, 16);
    let batch = next_while(&committer, back, || put(&committer, 8));
    assert_eq!(batch.len(), 16);
    serve(&committer, batch);
    assert_eq!(commits(&committer), 2);
}

#[test]
fn patience_ends_when_it_is_over_or_somebody_waits_for_more() {
    let (committer, _module) = empty();
    let four = |patience| Back { expected: 4, patience, pause: patience };
    put(&committer, 1);
    assert_eq!(committer.next(four(Duration::ZERO)).len(), 1);
    // A flush is served at once, with those before it.
    let flush = || committer.put(Change::Flush, &Waiting::new().unwrap()).unwrap();
    let batch = next_while(&committer, four(LONG), || {
        put(&committer, 2);
        flush();
    });
    assert_eq!(batch.len(), 3);
    // More than are expected are taken together.
    put(&committer, 9);
    assert_eq!(committer.next(four(LONG)).len(), 9);
    // The end is not waited for.
    put(&committer, 1);
    committer.end();
    assert_eq!(committer.next(four(LONG)).len(), 1);
    assert!(committer.next(four(LONG)).is_empty());
}
