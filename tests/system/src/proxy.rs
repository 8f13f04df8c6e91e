//! Stands between two nodes of a cluster, and delays, stops or cuts what they say to each other.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct State {
    /// How late everything comes, in milliseconds.
    delay: AtomicU64,
    /// What comes to the target, and what comes from it, is kept here.
    holds: [AtomicBool; 2],
    /// New connections are refused.
    refuses: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
    /// How many bytes have passed.
    passed: AtomicU64,
}

/// A TCP proxy on this machine.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    /// Starts one that passes everything on to `target`.
    pub fn start(target: &str) -> Proxy {
        let target: SocketAddr = target.parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens");
        let state = Arc::<State>::default();
        let own = state.clone();
        std::thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                if own.over.load(Ordering::Relaxed) {
                    return;
                }
                if own.refuses.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(to) = TcpStream::connect(target) else { continue };
                for stream in [&from, &to] {
                    // It fails if the other end has gone already.
                    let _ = stream.set_nodelay(true);
                }
                let again = |stream: &TcpStream| stream.try_clone().expect("descriptors are left");
                own.open.lock().expect("nothing panics").extend([again(&from), again(&to)]);
                for (way, from, to) in [(0, again(&from), again(&to)), (1, to, from)] {
                    let own = own.clone();
                    std::thread::spawn(move || pass(&own, way, from, to));
                }
            }
        });
        Proxy { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Lets everything come so many milliseconds late.
    pub fn delay(&self, milliseconds: u64) {
        self.state.delay.store(milliseconds, Ordering::Relaxed);
    }

    /// Passes nothing on, in either direction or one, while the connections stay open; or goes on.
    pub fn hold(&self, to_target: bool, from_target: bool) {
        self.state.holds[0].store(to_target, Ordering::Relaxed);
        self.state.holds[1].store(from_target, Ordering::Relaxed);
    }

    /// Cuts all connections, and refuses new ones while `refuses`.
    pub fn cut(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Relaxed);
        for stream in self.state.open.lock().expect("nothing panics").drain(..) {
            // It fails if the connection is over already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many bytes have passed so far.
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        self.cut(true);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(state: &State, way: usize, mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        let delay = state.delay.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(delay));
        while state.holds[way].load(Ordering::Relaxed) && !state.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
        state.passed.fetch_add(length as u64, Ordering::Relaxed);
    }
    for stream in [&from, &to] {
        // It fails if the connection is over already.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
