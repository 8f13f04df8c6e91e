//! Compares the round trip of a message of 256 bytes, and messages at a depth of 16, with those of a
//! raw TCP connection in the same run. Prints ratios only: `cargo run --release -p chimaera-link
//! --example round_trip`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use chimaera_link::{Bytes, Class, ClusterKey, Config, Endpoint, Handler, Peer};

const ROUNDS: usize = 5_000;
const DEPTH: usize = 16;
const SIZE: usize = 256;

type Fault = Box<dyn std::error::Error>;

/// Sends back what comes.
#[derive(Default)]
struct Echo(OnceLock<Arc<Endpoint>>);

impl Handler for Echo {
    fn received(&self, from: &Peer, class: Class, message: Bytes) {
        if let Some(end) = self.0.get() {
            // A full queue shows as a message that does not come back.
            let _ = end.send(from.node, class, &[&message]);
        }
    }
}

struct Answers(Sender<()>);

impl Handler for Answers {
    fn received(&self, _: &Peer, _: Class, _: Bytes) {
        // Nobody waits for the last ones.
        let _ = self.0.send(());
    }
}

/// Median and 99th percentile of the round trip, and the time for each message at depth.
fn measure(
    mut send: impl FnMut() -> Result<(), Fault>,
    mut answer: impl FnMut() -> Result<(), Fault>,
) -> Result<[f64; 3], Fault> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        send()?;
        answer()?;
        times.push(begin.elapsed());
    }
    times.sort();
    let begin = Instant::now();
    for _ in 0..DEPTH {
        send()?;
    }
    for _ in 0..ROUNDS {
        answer()?;
        send()?;
    }
    let each = begin.elapsed().as_secs_f64() / ROUNDS as f64;
    for _ in 0..DEPTH {
        answer()?;
    }
    Ok([times[ROUNDS / 2].as_secs_f64(), times[ROUNDS * 99 / 100].as_secs_f64(), each])
}

fn raw() -> Result<[f64; 3], Fault> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let echo = thread::spawn(move || -> std::io::Result<()> {
        let mut stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        let mut bytes = [0; SIZE];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes)?;
        }
        Ok(())
    });
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut bytes = [0; SIZE];
    let found =
        measure(|| Ok((&stream).write_all(&[0; SIZE])?), || Ok((&stream).read_exact(&mut bytes)?));
    drop(stream);
    echo.join().map_err(|_| "the echo panicked")??;
    found
}

fn link(key: Option<&ClusterKey>) -> Result<[f64; 3], Fault> {
    let config = |node| -> Result<Config, Fault> {
        let mut config = Config::new("bench", node, 1);
        config.tls = key.map(|key| key.identity(node, "bench")).transpose()?;
        Ok(config)
    };
    let echo = Arc::new(Echo::default());
    let two = Arc::new(Endpoint::start(config(2)?, echo.clone())?);
    // Set once, just above.
    let _ = echo.0.set(two.clone());
    let (give, take): (_, Receiver<()>) = channel();
    let one = Endpoint::start(config(1)?, Arc::new(Answers(give)))?;
    one.learn(2, two.local_addr())?;
    let found = measure(
        || Ok(one.send(2, Class::Small, &[&[0; SIZE]])?),
        || Ok(take.recv_timeout(Duration::from_secs(10))?),
    );
    one.stop();
    two.stop();
    found
}

fn main() -> Result<(), Fault> {
    let path = std::env::temp_dir().join(format!("chimaera-link-bench-{}", std::process::id()));
    let key = ClusterKey::create(&path)?;
    std::fs::remove_file(&path)?;
    println!("ratios to raw TCP: round trip p50, p99, time per message at depth {DEPTH}");
    for _ in 0..3 {
        let base = raw()?;
        for (name, key) in [("plain", None), ("tls", Some(&key))] {
            let found = link(key)?;
            let [p50, p99, each] = std::array::from_fn(|i| found[i] / base[i]);
            println!("{name:>5}  {p50:.2}  {p99:.2}  {each:.2}");
        }
    }
    Ok(())
}
