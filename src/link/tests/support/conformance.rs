//! What every transport must do.

use chimaera_link::{Class, Refused};

use super::{wait, Transport};

pub(crate) fn all<T: Transport>(net: &T) {
    sizes(net);
    many_small(net);
    back_pressure(net);
    at_once(net);
    new_life(net);
}

/// All sizes arrive whole, in order, with their class.
fn sizes<T: Transport>(net: &T) {
    let (one, _) = net.start(1, 1);
    let (two, seen) = net.start(2, 1);
    net.learn(&one, 2, &two);
    let longest = net.longest();
    let sizes = [0, 1, 7, 8, 9, 255, 4096, 65_535, 65_536, 65_537, 300_000, longest];
    for class in Class::ALL {
        for (round, size) in sizes.iter().enumerate() {
            let bytes = content(round, *size);
            while let Err(refused) = net.send(&one, 2, class, &bytes) {
                assert!(matches!(refused, Refused::Full { .. }), "{refused}");
                std::thread::yield_now();
            }
        }
    }
    let long = vec![0; longest + 1];
    assert!(matches!(net.send(&one, 2, Class::Bulk, &long), Err(Refused::TooLong { .. })));
    wait("all sizes", || seen.count() == 3 * sizes.len());
    for class in Class::ALL {
        let got: Vec<_> = seen.messages().into_iter().filter(|m| m.1 == class).collect();
        for (round, (message, size)) in got.iter().zip(sizes).enumerate() {
            assert_eq!((message.0, message.2.len()), (1, size));
            assert!(message.2 == content(round, size), "{size} bytes");
        }
    }
}

/// Bytes that differ from message to message, and inside of one.
fn content(round: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at ^ at >> 8 ^ at >> 16) as u8 ^ round as u8).collect()
}

/// 100,000 small messages of two threads arrive once each, in the order of their thread.
fn many_small<T: Transport>(net: &T) {
    let (one, _) = net.start(1, 1);
    let (two, seen) = net.start(2, 1);
    net.learn(&one, 2, &two);
    std::thread::scope(|scope| {
        for thread in 0..2u32 {
            let one = &one;
            scope.spawn(move || {
                for number in 0..50_000u32 {
                    let mut bytes = thread.to_le_bytes().to_vec();
                    bytes.extend(number.to_le_bytes());
                    while net.send(one, 2, Class::Small, &bytes).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    wait("all messages", || seen.count() == 100_000);
    let mut next = [0u32; 2];
    for (_, _, bytes) in seen.messages() {
        let (thread, number) = bytes.split_first_chunk::<4>().unwrap();
        let next = &mut next[u32::from_le_bytes(*thread) as usize];
        assert_eq!(number, next.to_le_bytes());
        *next += 1;
    }
}

/// A node that does not read fills only what is for it.
fn back_pressure<T: Transport>(net: &T) {
    let (one, _) = net.start(1, 1);
    let (two, stuck) = net.start(2, 1);
    let (three, reads) = net.start(3, 1);
    net.learn(&one, 2, &two);
    net.learn(&one, 3, &three);
    let gate = stuck.gate.lock().unwrap();
    let bytes = vec![0; 100_000];
    let mut sent = 0;
    loop {
        match net.send(&one, 2, Class::Bulk, &bytes) {
            Ok(()) => sent += 1,
            // Until its connection is made, and the kernel's buffers are full, the queue empties.
            Err(Refused::Full { .. }) if sent > 0 && full_for_long(net, &one) => break,
            Err(Refused::Full { .. }) => std::thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
        assert!(sent < 10_000, "it is never full");
    }
    net.send(&one, 2, Class::Control, b"other class").unwrap();
    net.send(&one, 3, Class::Bulk, b"other node").unwrap();
    wait("the other node", || reads.count() == 1);
    drop(gate);
    wait("everything", || stuck.count() == sent + 1);
}

fn full_for_long<T: Transport>(net: &T, node: &T::Node) -> bool {
    let queued = || net.peers(node)[0].queued;
    let before = queued();
    std::thread::sleep(std::time::Duration::from_millis(300));
    before == queued()
}

/// Nodes that send to each other at once lose nothing, and end with one connection a class.
fn at_once<T: Transport>(net: &T) {
    for _ in 0..20 {
        let (one, seen_one) = net.start(1, 1);
        let (two, seen_two) = net.start(2, 1);
        net.learn(&one, 2, &two);
        net.learn(&two, 1, &one);
        std::thread::scope(|scope| {
            for (node, to) in [(&one, 2), (&two, 1)] {
                scope.spawn(move || {
                    for number in 0..300u32 {
                        for class in Class::ALL {
                            net.send(node, to, class, &number.to_le_bytes()).unwrap();
                        }
                    }
                });
            }
        });
        for seen in [&seen_one, &seen_two] {
            wait("all messages", || seen.count() == 900);
            assert!(!seen.has_broken(""), "{:?}", seen.texts());
            assert_eq!(seen.connected.lock().unwrap().len(), 1);
            for class in Class::ALL {
                let got = seen.messages().into_iter().filter(|m| m.1 == class);
                assert!(got.enumerate().all(|(n, m)| m.2 == (n as u32).to_le_bytes()));
            }
        }
        assert_eq!((net.peers(&one)[0].open, net.peers(&two)[0].open), ([true; 3], [true; 3]));
    }
}

/// A node that starts again is seen in its new life; messages go on to it.
fn new_life<T: Transport>(net: &T) {
    let (one, seen) = net.start(1, 1);
    for boot in 1..=3 {
        let (two, seen_two) = net.start(2, boot);
        net.learn(&one, 2, &two);
        net.send(&one, 2, Class::Control, b"hello").unwrap();
        wait("the message", || seen_two.count() == 1);
        wait("the round trip", || net.peers(&one)[0].round_trip.is_some());
        drop(two);
        wait("the end", || net.peers(&one)[0].connected.is_none());
        assert_eq!(seen.connected.lock().unwrap().last().unwrap().boot, boot);
    }
    assert!(seen.has_broken(""));
}
