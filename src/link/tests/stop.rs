//! Endpoints end in bounded time and leave nothing. A program of its own: it counts descriptors.

#[allow(dead_code)] // Other test programs use the rest.
mod support;

use std::time::{Duration, Instant};

use chimaera_link::{Class, Refused};
use support::{wait, Tcp, Transport};

#[test]
fn stopping_is_bounded_and_leaks_nothing() {
    let before = support::descriptors();
    for _ in 0..20 {
        let net = Tcp { key: None };
        let (one, _) = net.start(1, 1);
        let (two, seen) = net.start(2, 1);
        net.learn(&one, 2, &two);
        for class in Class::ALL {
            net.send(&one, 2, class, b"x").unwrap();
        }
        wait("messages", || seen.messages().len() == 3);
        let begin = Instant::now();
        one.stop();
        two.stop();
        assert!(begin.elapsed() < Duration::from_secs(10));
        assert_eq!(one.send(2, Class::Small, &[]), Err(Refused::Stopped));
    }
    assert_eq!(support::descriptors(), before);
}
