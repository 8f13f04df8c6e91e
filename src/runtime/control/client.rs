//! A connection and what its client has set up so far, up to a session with rings.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use chimaera_abi::*;
use chimaera_ipc::clock;
use chimaera_ipc::layout::{Layout, MOST_RINGS};
use chimaera_ipc::ring::Consumer;
use chimaera_ipc::segment::{self, Mapping};
use chimaera_ipc::wire::{
    self, Kind, Message, HAS_COMPLETIONS, LAYOUTS_ARE_COMPARED, WIRE_VERSION,
};
use rustix::event::EventfdFlags;

use super::quota::{self, Footprint};
use crate::access::Caller;
use crate::failure::Failure;
use crate::scheduler::{RunQueue, Shared, WorkerMessage};
use crate::session::{Parts, Ring, Session, SessionRef};
use crate::sys::{Guard, Unshared};

/// How far a client has come.
pub(super) enum Phase {
    /// Connected; the client's first message, a hello or a request, is due.
    Greeting,
    /// The client's request will be answered later.
    Asking,
    /// The segment was sent to the client, which must confirm that it has mapped it.
    Mapping(Box<Parts>),
    Open {
        session: SessionRef,
        /// The worker to which each of its rings was assigned.
        workers: Vec<u32>,
    },
}

/// A connected client.
pub(super) struct Client {
    pub(super) socket: Unshared,
    /// Reports the death of the process even if a forked child keeps the socket open.
    pub(super) pidfd: Option<OwnedFd>,
    pub(super) caller: Caller,
    pub(super) phase: Phase,
    pub(super) since: Instant,
}

impl Client {
    /// A session of this client, with a segment of this many bytes.
    fn with_segment(&self, segment: u64) -> Footprint {
        Footprint { pid: self.caller.pid, uid: self.caller.uid, segment }
    }

    /// The client's session, if it has one or is setting one up.
    pub(super) fn footprint(&self) -> Option<Footprint> {
        let mapping = match &self.phase {
            Phase::Greeting | Phase::Asking => return None,
            Phase::Mapping(parts) => &parts.mapping,
            Phase::Open { session, .. } => &session.mapping,
        };
        Some(self.with_segment(mapping.layout().size))
    }

    /// The client's open session, and the worker to which each of its rings was assigned.
    pub(super) fn session(&self) -> Option<(&SessionRef, &[u32])> {
        match &self.phase {
            Phase::Open { session, workers } => Some((session, workers)),
            _ => None,
        }
    }

    /// Sends the client a message, with descriptors.
    pub(super) fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<(), Failure> {
        wire::send(self.socket.as_fd(), message, fds)
            .map_err(|error| Failure::new(CHI_IO, format!("sending to the client failed: {error}")))
    }

    /// Answers the client's hello with a segment, which becomes its session's once the client has
    /// mapped it. `others` are the existing sessions, and `number` is the number of the new one.
    pub(super) fn greet(
        &mut self,
        number: u64,
        hello: &Message,
        others: &[Footprint],
        shared: &Shared,
    ) -> Result<(), Failure> {
        let config = &shared.config;
        let layout = requested_layout(hello, shared)?;
        let wanted = self.with_segment(layout.size);
        quota::check(others.iter().copied(), wanted, config.limits_of(&self.caller), config)?;
        let charge = quota::charge(shared.budget, &layout)?;
        let io =
            |error: std::io::Error| Failure::new(CHI_IO, format!("creating a segment: {error}"));
        let fd = segment::create(&layout).map_err(io)?;
        let mapping = Mapping::new(fd.as_fd(), layout).map_err(io)?;
        let doorbell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| io(error.into()))?;
        quota::check_descriptors(&doorbell, quota::KEPT_FROM_SESSIONS)?;
        let guard = Guard::new(&mapping, shared.control.as_fd()).ok_or_else(|| {
            Failure::new(
                CHI_NO_SPACE,
                "segment limit (4096 per process) reached: close some sessions",
            )
        })?;
        let welcome = Message::new(
            Kind::Welcome,
            &[
                number,
                layout.size,
                u64::from(std::process::id()) | HAS_COMPLETIONS,
                config.runtime_share,
                clock::ahead_ns() as u64,
                LAYOUTS_ARE_COMPARED,
            ],
        );
        self.send(&welcome, &[fd.as_fd(), doorbell.as_fd()])?;
        self.phase =
            Phase::Mapping(Box::new(Parts { guard, mapping, segment: fd, doorbell, charge }));
        Ok(())
    }

    /// The session of a client that has mapped its segment at `base`. `None` in another phase.
    pub(super) fn open(&mut self, number: u64, base: u64, shared: &Shared) -> Option<SessionRef> {
        match std::mem::replace(&mut self.phase, Phase::Greeting) {
            Phase::Mapping(parts) => {
                let presence = shared.clients.enter(number);
                let session = Session::new(presence, self.caller.clone(), base, *parts);
                let session = SessionRef::new(session);
                self.phase = Phase::Open { session: session.clone(), workers: Vec::new() };
                Some(session)
            }
            other => {
                self.phase = other;
                None
            }
        }
    }
}

/// The layout of the segment that a hello asks for, if its wire and ABI versions match.
fn requested_layout(hello: &Message, shared: &Shared) -> Result<Layout, Failure> {
    let [wire, major, minor, wanted, ..] = hello.words;
    if wire != WIRE_VERSION || major != u64::from(CHI_ABI_MAJOR) {
        return Err(Failure::new(
            CHI_VERSION,
            format!(
                "the client speaks wire {wire}, ABI {major}.{minor}; this runtime speaks wire \
                 {WIRE_VERSION}, ABI {CHI_ABI_MAJOR}.{CHI_ABI_MINOR}"
            ),
        ));
    }
    let most = shared.config.max_segment;
    if wanted > most {
        return Err(Failure::new(
            CHI_TOO_LARGE,
            format!("segment size limit ({most} bytes) exceeded by a request for {wanted} bytes: raise segment.max"),
        ));
    }
    let size = if wanted == 0 { shared.config.default_segment } else { wanted };
    Ok(Layout::divided(size, shared.config.runtime_share))
}

/// Gives a session a completion queue. Returns the answer to the client, and the descriptor to send with it.
pub(super) fn add_queue(
    session: &SessionRef,
    message: &Message,
) -> Result<(Message, OwnedFd), Failure> {
    let [number, offset, places, ..] = message.words;
    let small = |word: u64| u32::try_from(word).unwrap_or(u32::MAX);
    let record = (small(number), offset, small(places));
    let check = |bell: &OwnedFd| quota::check_descriptors(bell, quota::KEPT_FROM_SESSIONS);
    let bell = session.queues.add(&session.mapping, record, check)?;
    Ok((Message::new(Kind::Completions, &[number]), bell))
}

/// Tells a client which published memory to map next. Returns the answer, and the descriptor to send with it.
pub(super) fn show_published(
    session: &SessionRef,
    message: &Message,
) -> Result<(Message, Option<OwnedFd>), Failure> {
    let [has_mapped, base, ..] = message.words;
    Ok(match session.leases.next((has_mapped != 0).then_some(base))? {
        Some((number, size, segment)) => {
            (Message::new(Kind::Published, &[number, size]), Some(segment))
        }
        None => (Message::new(Kind::Published, &[0, 0]), None),
    })
}

/// Gives a session another ring, which the least loaded worker polls. `workers` are those to which
/// its rings were assigned, and `load` is how many each worker has. Returns the answer to the
/// client.
pub(super) fn add_ring(
    session: &SessionRef,
    workers: &mut Vec<u32>,
    shared: &Shared,
    load: &mut [u32],
) -> Result<Message, Failure> {
    let index = workers.len() as u64;
    let (there, allowed) = (session.mapping.layout().rings, shared.config.max_rings);
    let most = allowed.min(there);
    if index >= most {
        let or = match most {
            MOST_RINGS => "",
            _ if allowed <= there => ", or raise limits.rings",
            _ => ", or open the session with a larger segment",
        };
        let why = format!(
            "thread limit ({most} per session) reached: end a thread that has submitted tasks{or}"
        );
        return Err(Failure::new(CHI_NO_SPACE, why));
    }
    session.charge_ring()?;
    let rings_of = |worker: u32, _: &RunQueue| load[worker as usize];
    let worker = shared.least_loaded(false, rings_of).unwrap_or(0);
    load[worker as usize] += 1;
    workers.push(worker);
    let consumer = Consumer::new(session.mapping.ring(index));
    let message = WorkerMessage::AddRing(Box::new(Ring::new(session.clone(), consumer)));
    shared.mailbox(worker).send(message);
    Ok(Message::new(Kind::Ring, &[index]))
}
