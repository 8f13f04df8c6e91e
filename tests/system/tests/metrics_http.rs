//! Metrics over HTTP, and what others can make that do.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use chimaera_tests::http::{ask, get, status};
use chimaera_tests::process::until;
use chimaera_tests::{Daemon, Options};

/// An address that nobody has at the moment. It is one of its own: clients on the machine, such as those of other tests,
/// take ports of 127.0.0.1 for themselves.
fn free_address() -> SocketAddr {
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = [127, high | 1, low, NUMBER.fetch_add(1, Ordering::Relaxed)];
    TcpListener::bind((IpAddr::from(ip), 0)).unwrap().local_addr().unwrap()
}

fn serving(at: SocketAddr) -> Daemon {
    Daemon::start(&Options::new().kv().config(format!("metrics: {{listen: \"{at}\"}}\n")))
}

#[test]
fn metrics_are_served_to_whoever_asks_by_the_right_name() {
    let at = free_address();
    let mut daemon = serving(at);
    daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    let answer = get(at, "/metrics", "localhost");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0;"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n") && body.contains("chimaera_pools 2\n"), "{body}");
    // A count that is known moves.
    (0..3).for_each(|_| drop(daemon.cli(&["call", "store", "put", "key=a", "value=b"]).ok()));
    let line = "chimaera_calls_total{pool=\"store\",module=\"chimaera:kv\",method=\"kPut\"} 3\n";
    until("it is counted", || get(at, "/metrics", "127.0.0.1:1").contains(line).then_some(()));
    let head = ask(at, b"HEAD /metrics HTTP/1.0\r\nHost: [::1]\r\n\r\n");
    assert!(status(&head) == 200 && head.ends_with("\r\n\r\n"), "{head}");
    for (host, path, expected) in [
        ("evil.example", "/metrics", 421),
        ("", "/metrics", 421),
        ("10.0.0.1", "/metrics", 421),
        ("localhost", "/", 200),
        ("localhost", "/metrics/", 404),
        ("localhost", "/../../etc/passwd", 404),
        ("localhost", "/%2e%2e/metrics", 404),
    ] {
        let answer = get(at, path, host);
        assert_eq!(status(&answer), expected, "{host} {path}: {answer}");
    }
    assert_eq!(status(&ask(at, b"GET /metrics HTTP/1.0\r\n\r\n")), 421, "it names no host");
    let answer = ask(at, b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(status(&answer), 421, "{answer}");
    let answer = ask(at, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n");
    assert_eq!(status(&answer), 400, "{answer}");
    let answer = ask(at, b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert!(status(&answer) == 405 && answer.contains("allow: GET, HEAD"), "{answer}");
    daemon.stop();
    TcpListener::bind(at).expect("the address is free again");
}

#[test]
fn those_who_are_slow_keep_others_waiting_no_longer_than_their_bound() {
    let at = free_address();
    let daemon = serving(at);
    let long =
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let lines = "A: b\r\n".repeat(100_000);
    let many = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    for (what, refused) in [
        ("a long line", long.as_bytes()),
        ("many lines", many.as_bytes()),
        ("rubbish", &[0xff, 0, b'\r', b'\n', b'\r', b'\n'][..]),
        ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let answer = ask(at, refused);
        assert!(answer.is_empty() || (400..500).contains(&status(&answer)), "{what}: {answer}");
    }
    let fds = daemon.fds();
    // More than it has places for: of those that ask slowly, and of those that do not read.
    let begun = Instant::now();
    let slow: Vec<TcpStream> = (0..40)
        .map(|number| {
            let mut stream = TcpStream::connect(at).unwrap();
            let part = if number % 2 == 0 { "GET /metrics HTTP/1.1\r\nHo" } else { "" };
            stream.write_all(part.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(status(&get(at, "/metrics", "localhost")), 200);
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    drop(slow);
    until("its descriptors are closed", || (daemon.fds() <= fds + 1).then_some(()));
    assert_eq!(daemon.cli(&["status", "--json"]).ok().json()["answers"], true);
}

#[test]
fn an_address_that_is_taken_prevents_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let daemon = Daemon::start(&Options::new());
    let port = at.port().to_string();
    let site = daemon.site().sibling("other");
    let output = site.cli(&["start", "--no-config", "--metrics-listen", &port]);
    assert_eq!(output.code, 1, "{output:#?}");
    let why = format!("cannot listen for metrics at {at}: Address already in use");
    assert!(
        output.stderr.contains(&why) && output.stderr.contains("metrics.listen"),
        "{output:#?}"
    );
}

/// The new process of a restart takes the address over.
#[test]
fn a_restart_keeps_the_address() {
    let at = free_address();
    let mut daemon = serving(at);
    let process = || {
        let stream = TcpStream::connect(at).ok()?;
        drop(stream);
        let answer = get(at, "/metrics", "localhost");
        let line = answer.lines().find(|line| line.starts_with("process_start_time_seconds "))?;
        Some(line.to_owned())
    };
    let before = process().unwrap();
    daemon.cli(&["restart"]).ok();
    let after = until("the new process serves", || process().filter(|now| *now != before));
    assert_ne!(before, after);
    assert_eq!(daemon.end(), 0, "{}", daemon.log());
    daemon.cli(&["stop"]).ok();
}

#[test]
fn names_can_be_added() {
    let at = free_address();
    let text = format!("metrics: {{listen: \"{at}\", names: [proxy.example]}}\n");
    let daemon = Daemon::start(&Options::new().config(text));
    assert_eq!(status(&get(at, "/metrics", "proxy.example:80")), 200);
    let answer = get(at, "/metrics", "other.example");
    assert!(status(&answer) == 421 && answer.contains("metrics.names"), "{answer}");
    drop(daemon);
}

/// A runtime that is running is what prevents another start, and not its address.
#[test]
fn a_second_start_says_that_it_is_running() {
    let at = free_address();
    let daemon = serving(at);
    let address = at.to_string();
    let output = daemon.cli(&["start", "--no-config", "--metrics-listen", &address]);
    assert!(output.code == 1 && output.stderr.contains("already running"), "{output:#?}");
    let site = daemon.site().sibling("daemon");
    for wrong in ["nobody.invalid", "99999"] {
        let output = site.cli(&["start", "--no-config", "--daemon", "--metrics-listen", wrong]);
        let why = format!("metrics.listen: {wrong}");
        assert!(output.code == 1 && output.stderr.contains(&why), "{output:#?}");
    }
}
