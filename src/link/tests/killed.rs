//! Nodes in processes of their own that are killed, stopped and continued.

#[allow(dead_code)] // Other test programs use the rest.
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chimaera_link::{Bytes, Class, Config, Endpoint, Refused};
use support::{wait, Seen};

fn config(node: u64, boot: u64) -> Config {
    let mut config = Config::new("a", node, boot);
    config.ping_every = Duration::from_millis(200);
    config.dead_after = Duration::from_secs(2);
    config
}

/// Not a test by itself: what the other process runs. It sends back what it gets.
#[test]
#[ignore = "run by the others"]
fn other_process() {
    struct Echo(std::sync::mpsc::Sender<(u64, Vec<u8>)>);
    impl chimaera_link::Handler for Echo {
        fn received(&self, from: &chimaera_link::Peer, _: Class, message: Bytes) {
            let _ = self.0.send((from.node, message.to_vec()));
        }
    }
    let boot = std::env::var("CHI_BOOT").unwrap().parse().unwrap();
    let (give, take) = std::sync::mpsc::channel();
    let end = Endpoint::start(config(2, boot), Arc::new(Echo(give))).unwrap();
    println!("\naddr {}", end.local_addr());
    for (node, message) in take {
        let _ = end.send(node, Class::Small, &[&message]);
    }
}

struct Other {
    child: Child,
    addr: std::net::SocketAddr,
}

impl Other {
    fn start(boot: u64) -> Other {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "other_process", "--ignored", "--nocapture"])
            .env("CHI_BOOT", boot.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addr = lines
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("addr ").map(|addr| addr.parse().unwrap()))
            .unwrap();
        Other { child, addr }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_process_is_noticed_and_its_next_life_found() {
    let seen = Seen::new();
    let one = Endpoint::start(config(1, 1), seen.clone()).unwrap();
    for boot in 1..=3 {
        let other = Other::start(boot);
        one.learn(2, other.addr).unwrap();
        let before = seen.count();
        one.send(2, Class::Small, &[b"echo"]).unwrap();
        wait("echo", || seen.count() == before + 1);
        let broken = seen.texts().len();
        other.signal("-KILL");
        wait("broken", || seen.texts().len() > broken && one.peers()[0].connected.is_none());
        assert_eq!(seen.connected.lock().unwrap().last().unwrap().boot, boot);
    }
}

#[test]
fn a_stopped_process_is_given_up_and_comes_back() {
    let seen = Seen::new();
    let one = Endpoint::start(config(1, 1), seen.clone()).unwrap();
    let other = Other::start(1);
    one.learn(2, other.addr).unwrap();
    one.send(2, Class::Small, &[b"echo"]).unwrap();
    wait("echo", || seen.count() == 1);
    other.signal("-STOP");
    // What is for it is refused at a bound, and what is for others goes on.
    let piece = vec![0; 1 << 20];
    let refused = (0..100).find_map(|_| one.send(2, Class::Bulk, &[&piece]).err());
    assert!(matches!(refused, Some(Refused::Full { node: 2, .. })), "{refused:?}");
    let third_seen = Seen::new();
    let third = Endpoint::start(config(3, 1), third_seen.clone()).unwrap();
    one.learn(3, third.local_addr()).unwrap();
    one.send(3, Class::Bulk, &[b"others go on"]).unwrap();
    wait("the other node", || third_seen.count() == 1);
    wait("silence is noticed", || seen.has_broken("nothing came for"));
    other.signal("-CONT");
    let echoed = |bytes: &[u8]| seen.messages().iter().filter(|m| m.2 == bytes).count();
    wait("echo", || {
        // It may break once more: the other side, too, has to find out.
        std::thread::sleep(Duration::from_millis(50));
        one.send(2, Class::Small, &[b"again"]).unwrap();
        echoed(b"again") > 0
    });
    assert_eq!(echoed(b"echo"), 1);
}

#[test]
fn a_short_pause_breaks_nothing() {
    let seen = Seen::new();
    let one = Endpoint::start(config(1, 1), seen.clone()).unwrap();
    let other = Other::start(1);
    one.learn(2, other.addr).unwrap();
    one.send(2, Class::Small, &[b"echo"]).unwrap();
    wait("echo", || seen.count() == 1);
    other.signal("-STOP");
    std::thread::sleep(Duration::from_millis(300));
    other.signal("-CONT");
    one.send(2, Class::Small, &[b"again"]).unwrap();
    wait("echo", || seen.count() == 2);
    assert!(!seen.has_broken(""), "{:?}", seen.texts());
}
