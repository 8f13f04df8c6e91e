//! Taking over from a predecessor: the side of the process that a restart has started.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::layout::Layout;
use chimaera_ipc::ring::Consumer;
use chimaera_ipc::segment::Mapping;

use super::client::{Client, Phase};
use super::quota;
use super::restore::{restore, what_is_done};
use crate::access::Caller;
use crate::config::Progress;
use crate::failure::Failure;
use crate::handover::{
    Channel, Document, Heard, Received, SessionRecord, ToPredecessor, ToSuccessor, FORMAT,
};
use crate::scheduler::{hand_over, Shared};
use crate::session::{Allocated, Parts, Ring, Session, SessionRef, Submission};
use crate::sys::{last_words, lock, Guard, Unshared};

/// How long a predecessor may take to drain and save its pools: longer than it allows itself.
const SAVE_BOUND: Duration = Duration::from_secs(25 * 60 * 60);
/// How long a message, and the answer to the last one, may take.
const BOUND: Duration = Duration::from_secs(60);

/// How long a worker may take to accept the tasks that waited. Less than the predecessor waits for an
/// answer.
const ACCEPT_BOUND: Duration = Duration::from_secs(5);
/// How often to check whether the tasks have been accepted.
const LOOK: Duration = Duration::from_micros(100);

/// The process that is to be succeeded.
pub(crate) struct Predecessor(Channel);

/// Of a session, its own descriptors, and the bells of its completion queues.
type Descriptors = (Vec<OwnedFd>, Vec<OwnedFd>);

/// What it has handed over.
pub(crate) struct Taken {
    document: Document,
    /// The descriptors of each session, in the order of the document.
    sessions: Vec<Descriptors>,
    greeting: Vec<OwnedFd>,
}

/// Clients that have been taken over, and what workers are to do for them once this process serves.
pub(super) struct Adopted {
    pub(super) clients: Vec<(u64, Client)>,
    pub(super) next: u64,
    work: Work,
}

/// The rings, and the tasks that come before all in them.
#[derive(Default)]
pub(crate) struct Work {
    rings: Vec<Ring>,
    held: Vec<(SessionRef, Vec<u64>)>,
}

impl Predecessor {
    pub(crate) fn new(descriptor: OwnedFd) -> std::io::Result<Predecessor> {
        Channel::from_descriptor(descriptor).map(Predecessor)
    }

    fn say(&self, message: &ToPredecessor) -> Result<(), Failure> {
        self.0
            .send(message, &[], Instant::now() + BOUND)
            .map_err(|error| silent(&error.to_string()))
    }

    fn hear(&self, until: Instant) -> Result<Received<ToSuccessor>, Failure> {
        match self.0.wait(until) {
            Ok(Heard::Message(received)) => Ok(received),
            Ok(Heard::End | Heard::Nothing) => Err(silent("it has ended")),
            Err(error) => Err(silent(&error.to_string())),
        }
    }

    /// Says that the modules are loaded, and waits for what the predecessor hands over; apart from that,
    /// the listening socket and the instance's lock.
    pub(crate) fn take(&self, shared: &Shared) -> Result<(Taken, OwnedFd, OwnedFd), Failure> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.say(&ToPredecessor::Ready { format: FORMAT, version })?;
        let Received { message, descriptors } = self.hear(Instant::now() + SAVE_BOUND)?;
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next();
        let (ToSuccessor::Take, Some(document), Some(listener), Some(lock)) =
            (&message, next(), next(), next())
        else {
            return Err(unexpected(&message));
        };
        let document = Document::load(document).map_err(|error| silent(&error.to_string()))?;
        match next() {
            Some(durable) => shared.durable.take_over(durable),
            None if document.has_durable => return Err(unexpected(&message)),
            None => {}
        }
        let until = Instant::now() + BOUND;
        let mut sessions = Vec::new();
        for record in &document.sessions {
            match self.hear(until)? {
                Received { message: ToSuccessor::Session(number), descriptors }
                    if number == record.number =>
                {
                    sessions.push((descriptors, Vec::new()));
                }
                Received { message, .. } => return Err(unexpected(&message)),
            }
            for _ in &record.queues {
                match self.hear(until)? {
                    Received { message: ToSuccessor::Queue, descriptors } => {
                        sessions.last_mut().expect("pushed above").1.extend(descriptors)
                    }
                    Received { message, .. } => return Err(unexpected(&message)),
                }
            }
        }
        let mut greeting = Vec::new();
        for _ in 0..document.greeting {
            match self.hear(until)? {
                Received { message: ToSuccessor::Greeting, descriptors } => {
                    greeting.extend(descriptors)
                }
                Received { message, .. } => return Err(unexpected(&message)),
            }
        }
        Ok((Taken { document, sessions, greeting }, listener, lock))
    }

    /// Says that everything is ready, and waits until this process is to serve.
    pub(crate) fn is_loaded(&self) -> Result<(), Failure> {
        self.say(&ToPredecessor::Loaded)?;
        match self.0.wait(Instant::now() + BOUND) {
            Ok(Heard::Message(Received { message: ToSuccessor::Go, .. })) => Ok(()),
            // It has ended without taking anything back, so nobody else serves.
            Ok(Heard::End) => Ok(()),
            Ok(Heard::Message(Received { message, .. })) => Err(unexpected(&message)),
            Ok(Heard::Nothing) => Err(silent("it says nothing")),
            Err(error) => Err(silent(&error.to_string())),
        }
    }

    /// Says that this process serves.
    pub(crate) fn is_serving(&self) {
        if let Err(failure) = self.say(&ToPredecessor::Serving) {
            tracing::warn!(
                why = failure.message,
                "the predecessor does not hear that this process serves"
            );
        }
    }

    /// Says that this process cannot take over. A predecessor that does not hear it notices the end.
    pub(crate) fn refuse(&self, failure: Failure) {
        let _ = self.say(&ToPredecessor::Failed(failure.into()));
    }

    /// Ends the process, because it cannot take over: its containers are not to be destroyed, since those
    /// of the predecessor go on.
    pub(crate) fn give_up(&self, shared: &Shared, failure: Failure) -> ! {
        tracing::error!(why = failure.message, "cannot take over");
        self.refuse(failure);
        shared.config.flush_log();
        last_words::give_up();
        // SAFETY: the function ends the process, whatever other threads do.
        unsafe { libc::_exit(1) }
    }
}

fn silent(why: &str) -> Failure {
    Failure::new(CHI_UNAVAILABLE, format!("the process to be succeeded: {why}"))
}

fn unexpected(message: &ToSuccessor) -> Failure {
    let why = match message {
        ToSuccessor::Abort => "it goes on".to_owned(),
        other => format!("it says {other:?} at the wrong time"),
    };
    silent(&why)
}

impl Taken {
    /// Makes the pools anew.
    pub(crate) fn restore_pools(
        &self,
        shared: &Shared,
        progress: &Progress,
    ) -> Result<(), Failure> {
        shared.pools.set_next_minor(self.document.next_minor);
        if let Some(base) = self.document.clients {
            shared.clients.begin_adoption(base);
        }
        for record in &self.document.pools {
            progress.begin(shared.page(), what_is_done(record));
            restore(shared, record, CHI_REASON_RESTARTED, c"the runtime was restarted")?;
        }
        progress.end(shared.page());
        Ok(())
    }

    /// Makes the sessions anew.
    pub(super) fn adopt(self, shared: &Shared) -> Result<Adopted, Failure> {
        let mut clients = Vec::new();
        let mut work = Work::default();
        for (record, descriptors) in self.document.sessions.iter().zip(self.sessions) {
            let client = adopt(shared, record, descriptors, &mut work).map_err(|failure| {
                let message = format!("session {}: {}", record.number, failure.message);
                Failure::new(failure.status, message)
            })?;
            clients.push((record.number, client));
        }
        let mut next = self.document.next_session;
        shared.clients.end_adoption(next);
        for socket in self.greeting {
            let client = connected(socket, None, Phase::Greeting)?;
            clients.push((next, client));
            next += 1;
        }
        Ok(Adopted { clients, next, work })
    }
}

impl Adopted {
    /// The clients, and what workers are to do for them.
    pub(super) fn into_parts(self) -> (Vec<(u64, Client)>, Work) {
        (self.clients, self.work)
    }
}

impl Work {
    /// Has the workers accept the held tasks, and then poll the rings.
    pub(crate) fn begin(self, shared: &Shared) {
        let Work { rings, held } = self;
        let accepted = hand_over::accept_held(shared, held);
        let until = Instant::now() + ACCEPT_BOUND;
        while lock(&accepted).workers == 0 && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        if lock(&accepted).workers == 0 {
            tracing::error!(
                "a method blocks the worker that has to accept the tasks that waited: they may start \
                 behind later ones"
            );
        }
        hand_over::add_rings(shared, rings);
    }
}

fn connected(socket: OwnedFd, pidfd: Option<OwnedFd>, phase: Phase) -> Result<Client, Failure> {
    let caller = Caller::of(socket.as_fd()).map_err(|error| {
        Failure::new(CHI_IO, format!("cannot read the client's credentials: {error}"))
    })?;
    Ok(Client { socket: Unshared::new(socket), pidfd, caller, phase, since: Instant::now() })
}

/// Makes a session anew.
fn adopt(
    shared: &Shared,
    record: &SessionRecord,
    (descriptors, bells): Descriptors,
    work: &mut Work,
) -> Result<Client, Failure> {
    let io = |error: std::io::Error| Failure::new(CHI_IO, error.to_string());
    let mut descriptors = descriptors.into_iter();
    let (Some(socket), Some(segment), Some(doorbell)) =
        (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        return Err(Failure::new(CHI_INVALID, "descriptors are missing"));
    };
    let pidfd = descriptors.next();
    let layout = Layout::divided(record.size, record.share);
    let charge = quota::charge(shared.budget, &layout)?;
    let mapping = Mapping::new(segment.as_fd(), layout).map_err(io)?;
    let guard = Guard::new(&mapping, shared.control.as_fd())
        .ok_or_else(|| Failure::new(CHI_NO_SPACE, "segment limit (4096 per process) reached"))?;
    let mut client = connected(socket, pidfd, Phase::Greeting)?;
    let parts = Parts { guard, mapping, segment, doorbell, charge };
    let age = Duration::from_millis(record.age_ms);
    let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
    let caller = client.caller.clone();
    let presence = shared.clients.enter(record.number);
    let mut session = Session::new(presence, caller, record.client_base, parts);
    session.since = since;
    let session = SessionRef::new(session);
    let allocated = Allocated {
        blocks: record.blocks.clone(),
        holds: record.holds.clone(),
        reserved: record.reserved.clone(),
    };
    session.take_over(&allocated)?;
    session.leases.begin_after(record.published);
    if bells.len() != record.queues.len() {
        return Err(Failure::new(CHI_INVALID, "bells of its completion queues are missing"));
    }
    for (queue, bell) in record.queues.iter().zip(bells) {
        session.queues.adopt(&session.mapping, *queue, bell)?;
    }
    if record.rings.len() as u64 > layout.rings {
        return Err(Failure::new(CHI_INVALID, "it has too many rings"));
    }
    let mut workers = Vec::new();
    for (index, (position, postponed)) in record.rings.iter().enumerate() {
        session.charge_ring()?;
        let consumer = Consumer::resume(session.mapping.ring(index as u64), *position);
        let mut ring = Ring::new(session.clone(), consumer);
        postponed.iter().for_each(|offset| ring.postpone(Submission::unmeasured(*offset)));
        work.rings.push(ring);
        workers.push(0);
    }
    work.held.push((session.clone(), record.held.clone()));
    client.phase = Phase::Open { session, workers };
    Ok(client)
}
