//! Telling the service manager how the daemon fares, as sd_notify(3) describes it. Nothing waits for a manager that does not
//! listen, but for a second at the end of a restart.

use std::ffi::OsString;
use std::io;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chimaera_runtime::ServiceManager;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

/// The variable with the manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";
/// The variables that say how often the manager wants to be told, in microseconds, and by which process.
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// For how long something is said again if the manager has no room for it.
const TOLD_BOUND: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);
/// What a stop may take beyond the runtime's own bound.
const BEYOND_GRACE: Duration = Duration::from_secs(5);

/// Whether the runtime answers within a time.
type Pulse = Box<dyn Fn(Duration) -> bool + Send>;

enum Message {
    /// Say from now on that the runtime is alive.
    Alive(Pulse),
    /// The runtime stops, or another process goes on.
    Over,
}

/// The manager that has started this process.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: OsString,
    grace: Duration,
    watchdog: Mutex<Option<Sender<Message>>>,
}

impl Manager {
    /// The manager, if there is one that wants to be told. A runtime may take `grace` to stop.
    pub(crate) fn find(grace: Duration) -> io::Result<Option<Manager>> {
        let Some(socket) = std::env::var_os(SOCKET).filter(|socket| !socket.is_empty()) else {
            return Ok(None);
        };
        let watchdog = match interval() {
            None => None,
            Some(interval) => {
                let (sender, receiver) = channel();
                let to = socket.clone();
                let thread = std::thread::Builder::new().name("chi-manager".into());
                thread.spawn(move || say_alive(&to, interval, &receiver))?;
                Some(sender)
            }
        };
        Ok(Some(Manager { socket, grace, watchdog: Mutex::new(watchdog) }))
    }

    /// Clients are let in, by the successor of a process that has said so if it `succeeds` one. `pulse` says whether the
    /// runtime answers.
    pub(crate) fn ready(&self, succeeds: bool, pulse: impl Fn(Duration) -> bool + Send + 'static) {
        if !succeeds {
            self.tell("READY=1\nSTATUS=serving clients\n");
        }
        self.send(Message::Alive(Box::new(pulse)));
    }

    fn send(&self, message: Message) {
        let watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watchdog) = &*watchdog {
            // The thread lives as long as the sender, unless it has panicked, and said so.
            let _ = watchdog.send(message);
        }
    }

    fn tell(&self, text: &str) {
        tell(&self.socket, text);
    }
}

impl ServiceManager for Manager {
    fn stopping(&self) {
        self.send(Message::Over);
        let grace = (self.grace + BEYOND_GRACE).as_micros();
        // As the configuration has it, which may be another than that from which a unit was made.
        self.tell(&format!("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC={grace}\n"));
    }

    fn succeeded_by(&self, process: u32) {
        self.send(Message::Over);
        self.tell(&format!("MAINPID={process}\n"));
    }
}

/// How often the manager is told that the runtime is alive, if it wants to be: a third of its own limit, so that it may be
/// a little late, and once not at all.
fn interval() -> Option<Duration> {
    let is_own = std::env::var(WATCHDOG_PID)
        .map_or(true, |process| process == std::process::id().to_string());
    let limit = std::env::var(WATCHDOG_USEC).ok()?.parse::<u64>().ok()?;
    (is_own && limit > 0).then(|| Duration::from_micros(limit / 3).max(PAUSE))
}

/// Says that the runtime is alive, again and again while that is so, until it is over.
fn say_alive(socket: &OsString, interval: Duration, messages: &Receiver<Message>) {
    let mut pulse: Option<Pulse> = None;
    let mut next = Instant::now();
    loop {
        let message = match &pulse {
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => messages.recv_timeout(next.saturating_duration_since(Instant::now())),
        };
        match message {
            Ok(Message::Alive(given)) => {
                (pulse, next) = (Some(given), Instant::now());
            }
            // How long a stop takes is bounded in other ways.
            Ok(Message::Over) => pulse = None,
            Err(RecvTimeoutError::Timeout) => {
                let begun = Instant::now();
                match pulse.as_ref().is_some_and(|answers| answers(interval)) {
                    true => tell(socket, "WATCHDOG=1\n"),
                    false => tracing::error!(
                        bound = ?interval,
                        "the control thread does nothing: the service manager is not told that it is alive"
                    ),
                }
                next = begun + interval;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Sends the manager this text. If it has no room, that is tried again for a while.
fn tell(socket: &OsString, text: &str) {
    let until = Instant::now() + TOLD_BOUND;
    let told = loop {
        match send(socket, text) {
            Err(Errno::AGAIN | Errno::NOBUFS) if Instant::now() < until => {
                std::thread::sleep(PAUSE)
            }
            told => break told,
        }
    };
    if let Err(error) = told {
        let text = text.trim_end();
        tracing::warn!(%error, socket = %socket.display(), "cannot tell the service manager {text}");
    }
}

fn send(socket: &OsString, text: &str) -> Result<(), Errno> {
    let own = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let address = match socket.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(socket)?,
    };
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendto(&own, text.as_bytes(), flags, &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::Arc;

    #[test]
    fn what_does_nothing_is_not_said_to_be_alive() {
        let directory = std::env::temp_dir().join(format!("chi-manager-{}", std::process::id()));
        // A test before this one that was killed may have left it.
        let _ = std::fs::remove_file(&directory);
        let manager = UnixDatagram::bind(&directory).expect("the directory can be written");
        manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        let alive = Arc::new(AtomicBool::new(true));
        let (sender, receiver) = channel();
        let socket = directory.clone().into_os_string();
        let thread =
            std::thread::spawn(move || say_alive(&socket, Duration::from_millis(5), &receiver));
        let theirs = alive.clone();
        let pulse = move |_| theirs.load(Ordering::SeqCst);
        sender.send(Message::Alive(Box::new(pulse))).expect("it listens");
        let mut heard = [0; 20];
        for _ in 0..3 {
            let length = manager.recv(&mut heard).expect("it is alive");
            assert_eq!(&heard[..length], b"WATCHDOG=1\n");
        }
        alive.store(false, Ordering::SeqCst);
        manager.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
        // What was said before.
        while manager.recv(&mut heard).is_ok() {}
        assert!(manager.recv(&mut heard).is_err(), "it says nothing more");
        alive.store(true, Ordering::SeqCst);
        manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        assert!(manager.recv(&mut heard).is_ok());
        drop(sender);
        thread.join().expect("it ends with its sender");
        std::fs::remove_file(&directory).expect("it is there");
    }
}
