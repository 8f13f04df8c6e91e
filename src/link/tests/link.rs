//! Endpoints over real sockets of this machine.

#[allow(dead_code)] // Other test programs use the rest.
mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chimaera_link::{Class, ClusterKey, Config, Endpoint, Error, PeerState, Refused};
use support::{conformance, wait, Seen, Tcp, Transport};

#[test]
fn tcp_conforms() {
    conformance::all(&Tcp { key: None });
}

#[test]
fn tls_conforms() {
    let dir = support::dir("conforms");
    let key = ClusterKey::create(&dir.join("key")).unwrap();
    conformance::all(&Tcp { key: Some(key) });
}

/// An endpoint at which another thread looks, in turns: it looks, it does not look though it has said so, it leaves.
struct Looked {
    endpoint: Arc<Endpoint>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Looked {
    fn new(endpoint: Endpoint) -> Looked {
        let (endpoint, stop) = (Arc::new(endpoint), Arc::<AtomicBool>::default());
        let (own, over) = (endpoint.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut found = 0;
            while !over.load(Relaxed) {
                own.attend();
                for _ in 0..1000 {
                    found += u64::from(own.look());
                }
                std::thread::sleep(Duration::from_millis(3));
                own.leave();
                std::thread::sleep(Duration::from_micros(100));
            }
            found
        });
        Looked { endpoint, stop, thread: Some(thread) }
    }
}

impl Drop for Looked {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let thread = self.thread.take().unwrap();
        LOOKS.fetch_add(thread.join().unwrap(), Relaxed);
    }
}

/// How many looks have found something.
static LOOKS: AtomicU64 = AtomicU64::new(0);

struct TcpLooked;

impl Transport for TcpLooked {
    type Node = Looked;

    fn start(&self, node: u64, boot: u64) -> (Looked, Arc<Seen>) {
        let (endpoint, seen) = Tcp { key: None }.start(node, boot);
        (Looked::new(endpoint), seen)
    }

    fn learn(&self, node: &Looked, id: u64, other: &Looked) {
        node.endpoint.learn(id, other.endpoint.local_addr()).unwrap();
    }

    fn send(&self, node: &Looked, to: u64, class: Class, bytes: &[u8]) -> Result<(), Refused> {
        node.endpoint.send(to, class, &[bytes])
    }

    fn peers(&self, node: &Looked) -> Vec<PeerState> {
        node.endpoint.peers()
    }

    fn longest(&self) -> usize {
        Tcp { key: None }.longest()
    }
}

#[test]
fn tcp_conforms_with_somebody_else_who_looks() {
    conformance::all(&TcpLooked);
    assert!(LOOKS.load(Relaxed) > 0);
}

#[test]
fn beyond_loopback_needs_tls() {
    let mut config = Config::new("c", 1, 1);
    config.listen = "0.0.0.0:0".parse().unwrap();
    let error = Endpoint::start(config, Seen::new()).err().unwrap();
    assert!(matches!(error, Error::Plain(_)) && error.to_string().contains("needs TLS"), "{error}");
    let (one, _) = start(1, |_| {});
    assert!(matches!(one.learn(2, "192.0.2.1:1".parse().unwrap()), Err(Error::Plain(_))));
}

fn start(node: u64, change: impl FnOnce(&mut Config)) -> (Endpoint, std::sync::Arc<Seen>) {
    let mut config = Config::new("a", node, 1);
    change(&mut config);
    let seen = Seen::new();
    (Endpoint::start(config, seen.clone()).unwrap(), seen)
}

#[test]
fn another_cluster_is_refused_on_both_sides() {
    let (one, seen_one) = start(1, |_| {});
    let (two, seen_two) = start(2, |config| config.cluster = "b".to_owned());
    one.connect(two.local_addr()).unwrap();
    let text = "node 1 is of cluster 'a', this is 'b'";
    wait("both sides", || seen_two.has_refused(text) && seen_one.has_refused(text));
}

#[test]
fn another_key_is_refused_by_name() {
    let dir = support::dir("keys");
    let keys = ["a", "b"].map(|name| ClusterKey::create(&dir.join(name)).unwrap());
    let (one, seen_one) = start(1, |c| c.tls = Some(keys[0].identity(1, "one").unwrap()));
    let (two, seen_two) = start(2, |c| c.tls = Some(keys[1].identity(2, "two").unwrap()));
    one.connect(two.local_addr()).unwrap();
    wait("both sides", || {
        seen_one.has_refused("its certificate is not of this cluster's key")
            && seen_two.has_refused("it refused this node's certificate")
    });
    let (plain, seen_plain) = start(3, |_| {});
    plain.connect(one.local_addr()).unwrap();
    wait("plain", || seen_one.has_refused("does not speak TLS") && seen_plain.any_refused());
}

#[test]
fn a_node_cannot_claim_another_id() {
    let dir = support::dir("claims");
    let key = ClusterKey::create(&dir.join("key")).unwrap();
    let (one, _seen) = start(1, |c| c.tls = Some(key.identity(1, "one").unwrap()));
    let mut config = Config::new("a", 3, 1);
    config.tls = Some(key.identity(2, "two").unwrap());
    assert!(matches!(Endpoint::start(config, Seen::new()), Err(Error::Config(_))));
    let (two, seen) = start(2, |c| c.tls = Some(key.identity(2, "two").unwrap()));
    // It is not who it is taken for.
    two.learn(7, one.local_addr()).unwrap();
    two.send(7, Class::Small, &[b"x"]).unwrap();
    wait("refusal", || seen.has_refused("this is node 1, not 7"));
}

#[test]
fn a_key_is_private_and_not_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let dir = support::dir("private");
    let path = dir.join("key");
    ClusterKey::create(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(ClusterKey::create(&path).unwrap_err().to_string().contains("not overwritten"));
    ClusterKey::load(&path).unwrap().identity(5, "five").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(ClusterKey::load(&path).unwrap_err().to_string().contains("chmod 600"));
    std::fs::write(&path, "no key").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(ClusterKey::load(&path).unwrap_err().to_string().contains("does not hold"));
}

static ATTEMPT: AtomicU64 = AtomicU64::new(1);

fn hello(version: u16, minor: u16, node: u64, class: u8) -> Vec<u8> {
    let mut rest = vec![class];
    for number in [node, 1, 0, ATTEMPT.fetch_add(1, Relaxed)] {
        rest.extend_from_slice(&u64::to_le_bytes(number));
    }
    rest.extend_from_slice(&1u16.to_le_bytes());
    for text in ["a", "raw", ""] {
        rest.extend_from_slice(&(text.len() as u16).to_le_bytes());
        rest.extend_from_slice(text.as_bytes());
    }
    // What a later minor may append.
    rest.extend(std::iter::repeat_n(7, minor as usize));
    let mut whole = b"CHIMLINK".to_vec();
    for number in [version, minor, rest.len() as u16] {
        whole.extend_from_slice(&number.to_le_bytes());
    }
    whole.extend(rest);
    whole
}

fn read_all(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        got.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&got).into_owned()
}

#[test]
fn another_major_is_refused_and_another_minor_works() {
    let (one, seen) = start(1, |_| {});
    let mut stream = TcpStream::connect(one.local_addr()).unwrap();
    stream.write_all(&hello(1, 0, 9, 0)).unwrap();
    assert!(read_all(&mut stream).contains("wire version 1.0, this node 2.0"));
    wait("refusal", || seen.has_refused("wire version 1.0, this node 2.0"));
    let mut stream = TcpStream::connect(one.local_addr()).unwrap();
    stream.write_all(&hello(2, 5, 9, 1)).unwrap();
    stream.write_all(&[3, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c']).unwrap();
    wait("the message", || seen.messages() == [(9, Class::Small, b"abc".to_vec())]);
    assert_eq!(one.peers()[0].peer.as_ref().unwrap().version, (2, 5));
}

#[test]
fn garbage_costs_only_its_connection() {
    let seed = std::env::var("CHI_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1u64);
    let mut random = support::Random(seed);
    let (one, seen) = start(1, |_| {});
    for round in 0..200 {
        let mut stream = TcpStream::connect(one.local_addr()).unwrap();
        let mut bytes = hello(2, 0, 9, (round % 3) as u8);
        match round % 4 {
            0 => bytes = random.bytes(300),
            1 => {
                let at = random.next() as usize % bytes.len();
                bytes[at] ^= 1 << (random.next() % 8);
            }
            2 => bytes.truncate(random.next() as usize % bytes.len()),
            _ => bytes.extend(random.bytes(200)),
        }
        // The other side may have closed already.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        read_all(&mut stream);
    }
    assert!(seen.any_refused(), "seed {seed}");
    let mut stream = TcpStream::connect(one.local_addr()).unwrap();
    let mut bytes = hello(2, 0, 77, 1);
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    stream.write_all(&bytes).unwrap();
    wait("the limit", || seen.has_broken("announced 4294967295 bytes"));
    let (two, _) = start(2, |_| {});
    two.learn(1, one.local_addr()).unwrap();
    two.send(1, Class::Small, &[b"still there"]).unwrap();
    wait("a message", || seen.messages().iter().any(|m| m.2 == b"still there"));
}

#[test]
fn strangers_are_bounded_in_number_and_time() {
    let (one, seen) = start(1, |_| {});
    let mut strangers: Vec<_> =
        (0..80).map(|_| TcpStream::connect(one.local_addr()).unwrap()).collect();
    wait("too many", || seen.has_refused("64 handshakes are under way"));
    wait("too slow", || seen.has_refused("not done within 3 s"));
    strangers.iter_mut().for_each(|stream| {
        read_all(stream);
    });
    assert!(one.peers().is_empty());
}

#[test]
fn a_half_open_connection_is_found() {
    let quick = |config: &mut Config| {
        config.ping_every = Duration::from_millis(100);
        config.dead_after = Duration::from_millis(600);
    };
    let (one, seen) = start(1, quick);
    let mut stream = TcpStream::connect(one.local_addr()).unwrap();
    stream.write_all(&hello(2, 0, 9, 1)).unwrap();
    // It never answers, and never closes.
    wait("broken", || seen.has_broken("nothing came for"));
    assert!(one.peers()[0].connected.is_none());
}

#[test]
fn who_cannot_be_reached_is_told() {
    let (one, seen) = start(1, |config| config.give_up = Duration::from_millis(500));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(one.send(4, Class::Small, &[]), Err(Refused::Unknown(4)));
    one.learn(4, nobody).unwrap();
    one.send(4, Class::Small, &[b"lost"]).unwrap();
    wait("unreached", || seen.has_unreached("refused"));
    assert_eq!(one.peers()[0].queued, [0; 3]);
    // Somebody comes there: the same endpoint finds it.
    let (two, seen_two) = start(4, |config| config.listen = nobody);
    one.send(4, Class::Small, &[b"found"]).unwrap();
    wait("found", || seen_two.messages() == [(1, Class::Small, b"found".to_vec())]);
    drop(two);
    wait("broken", || seen.has_broken("closed"));
}

#[test]
fn idle_connections_close_and_open_again() {
    let idle = |config: &mut Config| config.idle_close = Duration::from_millis(100);
    let (one, seen) = start(1, idle);
    let (two, seen_two) = start(2, idle);
    one.learn(2, two.local_addr()).unwrap();
    for round in 1..=3 {
        one.send(2, Class::Small, &[b"x"]).unwrap();
        wait("message", || seen_two.messages().len() == round);
        wait("closed", || {
            [&one, &two].iter().all(|end| end.peers().iter().all(|p| p.connected.is_none()))
        });
    }
    assert!(!seen.has_broken("") && !seen_two.has_broken(""));
}

/// Others see at once that an endpoint has stopped, though its owner still has it.
#[test]
fn a_stop_breaks_the_connections() {
    let net = Tcp { key: None };
    let (one, _) = net.start(1, 1);
    let (two, seen) = net.start(2, 1);
    net.learn(&one, 2, &two);
    net.send(&one, 2, Class::Small, b"x").unwrap();
    wait("a message", || seen.messages().len() == 1);
    one.stop();
    wait("the end of the connection", || seen.has_broken("it closed the connection"));
    drop(one);
}
