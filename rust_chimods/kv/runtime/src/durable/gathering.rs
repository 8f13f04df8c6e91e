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

/// Back so that only the number of requests decides.
fn patient(back: Back) -> Back {
    Back { patience: LONG, pause: LONG, ..back }
}

/// Takes what there is, and commits it with those who come meanwhile, one after the other.
fn serve_while(committer: &Committer, back: Back, come: impl FnOnce()) -> Back {
    std::thread::scope(|scope| {
        let serve = scope.spawn(|| {
            let batch = committer.next(&back).unwrap();
            committer.serve_batch(batch, back, CONTAINERS, &mut (0, 0))
        });
        come();
        patient(serve.join().unwrap())
    })
}

fn commits(committer: &Committer) -> u64 {
    committer.commits.load(Ordering::Relaxed)
}

#[test]
fn those_who_come_back_one_by_one_share_a_transaction() {
    let (committer, _module) = empty();
    put(&committer, 16);
    let mut back = serve_while(&committer, Back::default(), || ());
    for round in 1..=10 {
        assert_eq!((back.expected, commits(&committer)), (16, round));
        back = serve_while(&committer, back, || put(&committer, 16));
    }
    assert_eq!((back.expected, commits(&committer)), (16, 11));
    assert_eq!(committer.syncs.load(Ordering::Relaxed), 11);
}

#[test]
fn two_groups_become_one() {
    let (committer, _module) = empty();
    put(&committer, 8);
    let first = committer.next(&Back::default()).unwrap();
    // The others come while the first are committed.
    put(&committer, 8);
    let back = committer.serve_batch(first, Back::default(), CONTAINERS, &mut (0, 0));
    assert_eq!(back.expected, 16);
    serve_while(&committer, patient(back), || put(&committer, 8));
    assert_eq!(commits(&committer), 2);
    assert!(committer.queue().requests.is_empty());
}

#[test]
fn patience_ends_when_it_is_over_or_somebody_waits_for_more() {
    let (committer, _module) = empty();
    let four = |patience| Back { expected: 4, patience, pause: patience };
    put(&committer, 1);
    serve_while(&committer, four(Duration::ZERO), || ());
    assert_eq!(commits(&committer), 1);
    // A flush is served at once, with those before it.
    put(&committer, 2);
    let flush = || committer.put(Change::Flush, &Waiting::new().unwrap()).unwrap();
    serve_while(&committer, four(LONG), flush);
    assert_eq!(commits(&committer), 2);
    // More than are expected are taken together.
    put(&committer, 9);
    serve_while(&committer, four(LONG), || ());
    assert_eq!(commits(&committer), 3);
    // The end is not waited for.
    put(&committer, 1);
    committer.end();
    serve_while(&committer, four(LONG), || ());
    assert!(committer.next(&four(LONG)).is_none());
}

#[test]
fn a_request_for_the_file_is_taken_alone() {
    let (committer, _module) = empty();
    put(&committer, 2);
    committer.put(Change::Compact, &Waiting::new().unwrap()).unwrap();
    put(&committer, 1);
    let taken = || committer.next(&Back::default()).unwrap();
    assert_eq!(taken().len(), 2);
    assert!(matches!(taken()[..], [Request { change: Change::Compact, .. }]));
    assert_eq!(taken().len(), 1);
}
