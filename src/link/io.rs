//! The I/O: polls, accepts, connects, and looks at what is due. A thread of its own does that; others may look for
//! messages in its place.

use std::cell::Cell;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use rustix::event::{epoll, Timespec};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::conn::{Aim, Conn, End, Phase, CONNECT, HANDSHAKE};
use crate::hello::Kind;
use crate::lanes::{lock, Entry, State};
use crate::queue::Queue;
use crate::shared::Shared;
use crate::wire::{Fill, Sock, READ};
use crate::{Class, Error};

const WAKE: u64 = 0;
const LISTENER: u64 = 1;
/// How many may have connected without a finished handshake.
const STRANGERS: usize = 64;
/// How often a connection is read before others have their turn.
const TURNS: usize = 8;
/// How often what is due is looked at, while there is something that may be at any time.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// The longest time between two looks.
const LONG_TICK: Duration = Duration::from_secs(1);
/// The shortest, and the time between two while a connection is being made.
pub(crate) const SHORT_TICK: Duration = Duration::from_millis(10);
/// A thread that is late by more did not run, and does not hold it against others.
const LATE: Duration = Duration::from_millis(500);

pub(crate) struct Io {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conns: HashMap<u64, Conn>,
    /// When to look next at what is due.
    pub(crate) scan_at: Instant,
    listener: TcpListener,
    /// Accepting failed, for want of descriptors; not tried before.
    deaf_until: Option<Instant>,
    poll: Arc<OwnedFd>,
    next: u64,
    /// The number of this side's last attempt to connect.
    pub(crate) attempt: u64,
    /// Connections of which more can be read.
    hot: Vec<u64>,
    buffer: Vec<u8>,
}

/// The node's I/O, for its own thread and for those who look in its place. Nothing once it has ended.
pub(crate) type Place = Mutex<Option<Io>>;

thread_local! {
    /// This thread has the I/O, but is not its own.
    static LOOKS: Cell<bool> = const { Cell::new(false) };
}

/// Whether a call of the handler comes from a look of this thread.
pub(crate) fn is_looking() -> bool {
    LOOKS.get()
}

/// Whoever sends is told when there is nobody any more to do it, and all connections end, which others see at once.
struct Over<'p>(&'p Shared, &'p Place);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Release);
        if let Some(io) = lock(self.1).take() {
            // Lanes have them as well.
            io.conns.values().for_each(|conn| conn.sock.sever());
        }
    }
}

/// Waits for events; none if a signal came.
fn ready(
    poll: &OwnedFd,
    wait: Option<Duration>,
) -> rustix::io::Result<Vec<(u64, epoll::EventFlags)>> {
    let mut events = [MaybeUninit::uninit(); 64];
    // Rounded up by the kernel's own grain only, so no turn is spent waiting for nothing.
    let time = wait.map(|wait| Timespec {
        tv_sec: wait.as_secs() as i64,
        tv_nsec: wait.subsec_nanos().into(),
    });
    match epoll::wait(poll, &mut events[..], time.as_ref()) {
        Ok((ready, _)) => Ok(ready.iter().map(|e| (e.data.u64(), e.flags)).collect()),
        Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Runs the I/O thread.
pub(crate) fn run(place: &Place, shared: &Shared) {
    let _over = Over(shared, place);
    let Some(poll) = lock(place).as_ref().map(|io| io.poll.clone()) else { return };
    let mut expected = Instant::now();
    let mut busy = true;
    while !shared.stop.load(Acquire) {
        let (wait, scan_at) = match &*lock(place) {
            Some(io) if io.hot.is_empty() => {
                let wait = io.scan_at.saturating_duration_since(Instant::now());
                (busy.then_some(wait), io.scan_at)
            }
            Some(io) => (Some(Duration::ZERO), io.scan_at),
            None => return,
        };
        // Nothing that is passed to it can be wrong; without it nothing goes on.
        let Ok(ready) = ready(&poll, wait) else { return };
        if !ready.is_empty() && ready.iter().all(|(token, _)| *token > LISTENER) {
            shared.stay_aside(scan_at);
        }
        let mut io = lock(place);
        let Some(io) = &mut *io else { return };
        let now = Instant::now();
        if let Some(late) = busy.then(|| now.saturating_duration_since(expected)) {
            if late > LATE {
                io.forgive(late, now);
            }
        }
        io.serve_all(ready);
        let now = Instant::now();
        if now >= io.scan_at {
            busy = io.scan(now);
        }
        expected = io.scan_at.max(now);
    }
}

/// Looks for messages once, in place of the I/O thread; whether there was anything.
pub(crate) fn look(place: &Place, shared: &Shared) -> bool {
    let mut place = match place.try_lock() {
        Ok(place) => place,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return false,
    };
    let Some(io) = &mut *place else { return false };
    shared.count_look();
    let Ok(mut ready) = ready(&io.poll, Some(Duration::ZERO)) else { return false };
    if ready.iter().any(|(token, _)| *token == LISTENER) {
        shared.wake();
    }
    ready.retain(|(token, _)| *token > LISTENER);
    if ready.is_empty() && io.hot.is_empty() {
        return false;
    }
    LOOKS.set(true);
    let served = catch_unwind(AssertUnwindSafe(|| io.serve_all(ready)));
    LOOKS.set(false);
    let is_due = io.scan_at <= Instant::now();
    if served.is_err() {
        // As when its own thread panics, which has said so by now: that one closes everything.
        shared.stop.store(true, Release);
    }
    if served.is_err() || is_due {
        shared.wake();
    }
    true
}

impl Io {
    pub(crate) fn new(shared: Arc<Shared>, listener: TcpListener) -> Result<Io, Error> {
        let system = |e: rustix::io::Errno| Error::System("make an epoll instance", e.into());
        let poll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system)?);
        let flags = epoll::EventFlags::IN;
        epoll::add(&*poll, &shared.wake, epoll::EventData::new_u64(WAKE), flags).map_err(system)?;
        epoll::add(&*poll, &listener, epoll::EventData::new_u64(LISTENER), flags)
            .map_err(system)?;
        Ok(Io {
            shared,
            conns: HashMap::new(),
            scan_at: Instant::now(),
            listener,
            deaf_until: None,
            poll,
            next: LISTENER + 1,
            attempt: 0,
            hot: Vec::new(),
            buffer: vec![0; 64 << 10],
        })
    }

    fn serve_all(&mut self, ready: Vec<(u64, epoll::EventFlags)>) {
        for token in std::mem::take(&mut self.hot) {
            self.serve(token, epoll::EventFlags::IN);
        }
        for (token, flags) in ready {
            match token {
                WAKE => self.woken(),
                LISTENER => self.accept(),
                _ => self.serve(token, flags),
            }
        }
    }

    fn woken(&mut self) {
        let mut count = [0; 8];
        // Nothing to read means that it was read already.
        let _ = rustix::io::read(&self.shared.wake, &mut count);
        self.scan_at = Instant::now();
    }

    /// Time for which this thread did not run counts for nothing.
    fn forgive(&mut self, late: Duration, now: Instant) {
        for conn in self.conns.values_mut() {
            conn.heard = now;
            conn.deadline += late;
        }
    }

    fn accept(&mut self) {
        // No more at once than may be under way; for the rest the poll tells again.
        for _ in 0..STRANGERS {
            let (stream, addr) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(e) => match e.kind() {
                    std::io::ErrorKind::WouldBlock => return,
                    std::io::ErrorKind::Interrupted | std::io::ErrorKind::ConnectionAborted => {
                        continue
                    }
                    _ => return self.listen(false),
                },
            };
            let strangers = |conn: &&Conn| matches!(conn.phase, Phase::Incoming | Phase::Farewell);
            if self.conns.values().filter(strangers).count() >= STRANGERS {
                let why = format!("{STRANGERS} handshakes are under way already");
                self.shared.handler.refused(addr, &why);
                continue;
            }
            if let Err(why) = self.register(stream, addr, Phase::Incoming, HANDSHAKE) {
                self.shared.handler.refused(addr, &why);
            }
        }
    }

    /// Has the listener polled, or lets it rest: what it cannot accept would be told again at once.
    fn listen(&mut self, on: bool) {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, on);
        let data = epoll::EventData::new_u64(LISTENER);
        // Fails for want of memory; then it is told again, and tried again.
        let _ = epoll::modify(&*self.poll, &self.listener, data, flags);
        self.deaf_until = (!on).then(|| Instant::now() + TICK);
        self.scan_at = Instant::now();
    }

    fn register(
        &mut self,
        stream: TcpStream,
        addr: SocketAddr,
        phase: Phase,
        time: Duration,
    ) -> Result<u64, String> {
        let incoming = matches!(phase, Phase::Incoming);
        stream.set_nonblocking(true).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let tls = match &self.shared.config.tls {
            None => None,
            Some(identity) if incoming => Some(identity.accepting().map_err(|e| e.to_string())?),
            Some(identity) => Some(identity.connecting().map_err(|e| e.to_string())?),
        };
        let token = self.next;
        self.next += 1;
        let sock = Sock::new(token, stream, tls, self.poll.clone()).map_err(|e| e.to_string())?;
        let now = Instant::now();
        let conn = Conn {
            sock: Arc::new(sock),
            addr,
            phase,
            got: Vec::new(),
            large: None,
            deadline: now + time,
            heard: now,
        };
        self.conns.insert(token, conn);
        self.scan_at = now;
        Ok(token)
    }

    fn dial(&mut self, addr: SocketAddr, aim: Aim) -> Result<u64, String> {
        let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)
            .map_err(|e| e.to_string())?;
        match rustix::net::connect(&socket, &addr) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(e) => return Err(e.to_string()),
        }
        self.register(TcpStream::from(socket), addr, Phase::Dialing(aim), CONNECT)
    }

    /// Ends a connection, if there still is one.
    pub(crate) fn end(&mut self, token: u64, end: End) {
        if let Some(conn) = self.conns.remove(&token) {
            self.ended(conn, end);
        }
    }

    /// Reads and writes.
    fn serve(&mut self, token: u64, flags: epoll::EventFlags) {
        self.with(token, |io, conn| io.exchange(conn, flags));
    }

    fn with(&mut self, token: u64, work: impl FnOnce(&mut Io, &mut Conn) -> Result<(), End>) {
        // Not in the table meanwhile, so that the work can end others.
        let Some(mut conn) = self.conns.remove(&token) else { return };
        match work(self, &mut conn) {
            Ok(()) => {
                self.conns.insert(token, conn);
            }
            Err(end) => self.ended(conn, end),
        }
    }

    fn exchange(&mut self, conn: &mut Conn, flags: epoll::EventFlags) -> Result<(), End> {
        if matches!(conn.phase, Phase::Dialing(_)) {
            if let Some(e) = conn.sock.stream().take_error().map_err(End::why)? {
                return Err(End::why(e));
            }
            if !flags.contains(epoll::EventFlags::OUT) {
                return Ok(());
            }
            let Phase::Dialing(aim) = std::mem::replace(&mut conn.phase, Phase::Farewell) else {
                return Ok(());
            };
            let (kind, to) = match &aim {
                Aim::Open(entry, class) => (Kind::Open(class.index() as u8), entry.node),
                Aim::Probe => (Kind::Probe, 0),
            };
            conn.phase = Phase::Asking(aim);
            conn.deadline = Instant::now() + HANDSHAKE;
            self.attempt += 1;
            let hello = self.hello(kind, to, "");
            conn.sock.put_raw(&hello, Queue::default()).map_err(End::why)?;
        }
        if flags.contains(epoll::EventFlags::OUT) {
            // If it fails, what the other side has said before is still read.
            if let Err(e) = conn.sock.flush() {
                if !matches!(conn.phase, Phase::Asking(_) | Phase::Up(_)) {
                    return Err(End::why(e));
                }
            }
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.read(conn, &mut buffer);
        self.buffer = buffer;
        read?;
        conn.sock.flush_tls().map_err(End::why)
    }

    fn read(&mut self, conn: &mut Conn, buffer: &mut [u8]) -> Result<(), End> {
        for _ in 0..TURNS {
            let filled = match &mut conn.large {
                None => conn.sock.fill(buffer),
                Some(large) => {
                    let missing = large.missing();
                    conn.sock.fill_message(&mut large.bytes, missing, buffer)
                }
            };
            match filled {
                Ok(Fill::Bytes(count) | Fill::Last(count)) => {
                    conn.heard = Instant::now();
                    match conn.large.is_some() {
                        true => self.take_large(conn)?,
                        false => self.take(conn, &buffer[..count])?,
                    }
                    if count >= READ {
                        break;
                    }
                    // The poll tells of more.
                    if matches!(filled, Ok(Fill::Last(_))) {
                        return Ok(());
                    }
                }
                Ok(Fill::Nothing) => return Ok(()),
                Ok(Fill::End) => {
                    return Err(match &conn.phase {
                        Phase::Up(up) if up.closing && conn.sock.queued() == 0 => End::Done,
                        // An attempt that was given up.
                        Phase::Incoming if conn.got.is_empty() => End::Done,
                        _ => End::why("it closed the connection"),
                    });
                }
                Err(why) => return Err(End::Why(why)),
            }
        }
        self.hot.push(conn.sock.token);
        Ok(())
    }

    fn take_large(&mut self, conn: &mut Conn) -> Result<(), End> {
        if let Phase::Up(up) = &conn.phase {
            lock(&up.entry.life).heard = Some(conn.heard);
        }
        if let Some(large) = &mut conn.large {
            large.grown();
        }
        self.large(conn)
    }

    fn take(&mut self, conn: &mut Conn, bytes: &[u8]) -> Result<(), End> {
        match &conn.phase {
            Phase::Up(up) => {
                lock(&up.entry.life).heard = Some(conn.heard);
                self.frames(conn, bytes)
            }
            Phase::Farewell => Ok(()),
            _ => {
                self.greet(conn, bytes)?;
                let rest = std::mem::take(&mut conn.got);
                match conn.phase {
                    Phase::Up(_) => self.frames(conn, &rest),
                    _ => {
                        conn.got = rest;
                        Ok(())
                    }
                }
            }
        }
    }

    /// Looks at what is due; whether something may become due without an event.
    fn scan(&mut self, now: Instant) -> bool {
        self.scan_at = now + LONG_TICK;
        let mut wanted = false;
        if self.deaf_until.is_some_and(|until| until <= now) {
            self.listen(true);
        }
        let tokens: Vec<u64> = self.conns.keys().copied().collect();
        for token in tokens {
            self.with(token, |io, conn| io.tend(conn, now));
        }
        for entry in self.shared.all() {
            for class in Class::ALL {
                wanted |= self.want(&entry, class, now);
            }
        }
        wanted |= self.ask_seeds(now);
        if wanted {
            self.scan_at = self.scan_at.min(now + SHORT_TICK);
        }
        if let Some(until) = self.deaf_until {
            self.scan_at = self.scan_at.min(until);
        }
        wanted || !self.conns.is_empty() || self.deaf_until.is_some()
    }

    /// Connects if something waits; whether it does.
    fn want(&mut self, entry: &Arc<Entry>, class: Class, now: Instant) -> bool {
        let mut lane = entry.lane(class);
        let Some(since) = lane.since else { return false };
        if !matches!(lane.state, State::Down) {
            return true;
        }
        if now.saturating_duration_since(since) >= self.shared.config.give_up {
            lane.since = None;
            lane.waiting = Default::default();
            let why = std::mem::take(&mut lane.why);
            drop(lane);
            let time = self.shared.config.give_up.as_secs_f64();
            let why = format!("no connection within {time:.1} s; the last attempt: {why}");
            self.shared.handler.unreached(entry.node, class, &why);
            return false;
        }
        if !lane.backoff.over(now) {
            return true;
        }
        let Some(addr) = *lock(&entry.addr) else { return true };
        match self.dial(addr, Aim::Open(entry.clone(), class)) {
            Ok(token) => lane.state = State::Dialing(token),
            Err(why) => {
                lane.backoff.fail(now);
                lane.why = why;
            }
        }
        true
    }

    fn ask_seeds(&mut self, now: Instant) -> bool {
        let shared = self.shared.clone();
        let mut failed = Vec::new();
        let mut seeds = lock(&shared.seeds);
        for seed in seeds.iter_mut().filter(|seed| !seed.asking && seed.backoff.over(now)) {
            match self.dial(seed.addr, Aim::Probe) {
                Ok(_) => seed.asking = true,
                Err(why) => {
                    seed.backoff.fail(now);
                    failed.push((seed.addr, why));
                }
            }
        }
        let any = !seeds.is_empty();
        // The handler may call the endpoint, which takes the lock.
        drop(seeds);
        for (addr, why) in failed {
            shared.handler.refused(addr, &why);
        }
        any
    }
}
