//! The acceptor: it accepts clients, sets up their sessions, and ends them.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::control::Request;
use chimaera_ipc::wire::{self, Kind, Message, Received};
use chimaera_ipc::{control, instance};
use rustix::event::epoll;
use rustix::net::SocketFlags;
use rustix::process::{Pid, PidfdFlags};

use super::address::Address;
use super::client::{add_queue, add_ring, show_published, Client, Phase};
use super::close::close_pools;
use super::descriptors::Closer;
use super::destroy::Destructions;
use super::orders::{self, Orders};
use super::questions::{self, Questions};
use super::quota::{self, Footprint};
use super::replace::{self, Replacements};
use super::requests;
use super::restart::{Ended, Offered, Restart};
use super::take_over::{Taken, Work};
use crate::access::Caller;
use crate::admin::notice;
use crate::failure::Failure;
use crate::isolation::{end_session_of_host, tell_of_faults};
use crate::log::{LeftOut, LineKind, Subject};
use crate::scheduler::{ControlCommand, Shared, WorkerMessage};
use crate::session::parked;
use crate::sys::Unshared;

/// How often to look whether processes have ended that had something on lease when their sessions ended.
const PARKED_LOOK: Duration = Duration::from_secs(1);
/// How long a client may take to set up its session.
const SETUP_BOUND: Duration = Duration::from_secs(5);
/// How long to wait before accepting again after a failure, for example because the process is out
/// of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often to look while clients are handed over to a successor.
const HAND_OVER_LOOK: Duration = Duration::from_millis(1);

/// How many connections are accepted beyond the session limit, so that the program's requests are
/// answered even when all sessions are in use.
const MORE_CONNECTIONS: usize = 16;

/// Up to this many connections without a session do not crowd out others.
const FEW_SILENT: usize = 4;

const CONTROL: u64 = 0;
const LISTENER: u64 = 1;
const ADDRESS: u64 = u64::MAX;

pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    /// The name of the instance.
    instance: String,
    listener: Unshared,
    /// Where clients find the runtime, if it is watched.
    address: Option<Address>,
    /// The instance's lock, for a successor.
    lock: Unshared,
    closer: Closer,
    epoll: OwnedFd,
    clients: HashMap<u64, Client>,
    destructions: Destructions,
    replacements: Replacements,
    orders: Orders,
    questions: Questions,
    restart: Option<Restart>,
    /// The connections that wait for the end of the runtime.
    await_end: Vec<u64>,
    /// Commands that wait while clients are handed over.
    deferred: Vec<ControlCommand>,
    next: u64,
    accept_again: Option<Instant>,
    /// When to look next whether processes have ended that had something on lease.
    parked_look: Instant,
    /// How many rings of open sessions were assigned to each worker.
    load: Vec<u32>,
    /// Descriptors are scarce, and there are connections without a session: each new connection
    /// ends the oldest of them.
    crowded: bool,
}

impl Acceptor {
    /// Accepts clients of an instance, whose lock is held, and which listens on this socket.
    pub(crate) fn new(
        shared: Arc<Shared>,
        (instance, socket): (&str, Option<&Path>),
        listener: OwnedFd,
        lock: OwnedFd,
    ) -> std::io::Result<Acceptor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &shared.control,
            epoll::EventData::new_u64(CONTROL),
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        )?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        let address = socket.and_then(Address::watch);
        if let Some(address) = &address {
            let data = epoll::EventData::new_u64(ADDRESS);
            epoll::add(&epoll, address, data, epoll::EventFlags::IN)?;
        }
        quota::warn_of_few_descriptors(&epoll);
        shared.descriptors.add(&listener, "the listening socket".into());
        shared.descriptors.add(&epoll, "what the control thread waits for".into());
        let watch = "what wakes the control thread, or what it waits for";
        shared.descriptors.add_watch(&epoll, &shared.control, watch.into());
        let watch = "the listening socket, or what the control thread waits for";
        shared.descriptors.add_watch(&epoll, &listener, watch.into());
        let load = vec![0; shared.config.all_workers()];
        Ok(Acceptor {
            shared,
            closer: Closer::new(&listener),
            instance: instance.to_owned(),
            listener: Unshared::new(listener),
            address,
            lock: Unshared::new(lock),
            epoll,
            clients: HashMap::new(),
            destructions: Destructions::default(),
            replacements: Replacements::default(),
            orders: Orders::default(),
            questions: Questions::default(),
            restart: None,
            await_end: Vec::new(),
            deferred: Vec::new(),
            next: 1,
            accept_again: None,
            parked_look: Instant::now(),
            load,
            crowded: false,
        })
    }

    /// Adds the clients of a predecessor. They are served once `begin` has been called.
    pub(crate) fn adopt(&mut self, taken: Taken) -> Result<Work, Failure> {
        let adopted = taken.adopt(&self.shared)?;
        self.next = adopted.next;
        let (clients, work) = adopted.into_parts();
        for (number, mut client) in clients {
            if let Phase::Open { workers, .. } = &mut client.phase {
                for worker in workers {
                    let (least, load) = (0..self.shared.config.workers)
                        .map(|worker| (worker, self.load[worker]))
                        .min_by_key(|(_, load)| *load)
                        .expect("there is a worker");
                    self.load[least] = load + 1;
                    *worker = least as u32;
                }
            }
            self.watch(number, &client).map_err(|error| {
                Failure::new(CHI_IO, format!("cannot watch session {number}: {error}"))
            })?;
            if let Some((session, _)) = client.session() {
                self.shared.add_session(session.clone());
            }
            self.clients.insert(number, client);
        }
        Ok(work)
    }

    /// Serves until the runtime is told to stop, and then closes the pools; or until a successor serves.
    /// Returns what had to be abandoned. The sessions end when the acceptor is dropped, unless they are a
    /// successor's.
    pub(crate) fn serve(&mut self) -> Vec<String> {
        while !self.serve_once(None).iter().any(|one| matches!(one, ControlCommand::Stop)) {
            if self.shared.is_handed_over() {
                return Vec::new();
            }
        }
        if let Some(manager) = &self.shared.config.manager {
            manager.stopping();
        }
        // The lines of a module host are in the daemon's log, where they would look like the daemon's own.
        if self.shared.config.orders.is_none() {
            tracing::info!("stopping");
        }
        while let Some(restart) = &mut self.restart {
            restart.stop();
            self.serve_once(None);
        }
        if self.shared.is_handed_over() {
            return Vec::new();
        }
        let shared = self.shared.clone();
        close_pools(&shared, &mut |rest| self.serve_once(Some(rest)))
    }

    /// Waits for work, for at most `bound`, and does it. Returns the commands that are not about
    /// sessions.
    fn serve_once(&mut self, bound: Option<Duration>) -> Vec<ControlCommand> {
        let hands_over = self.restart.as_ref().is_some_and(Restart::has_clients);
        if hands_over {
            // Whatever clients say meanwhile is for the successor, if it takes them.
            std::thread::sleep(HAND_OVER_LOOK);
        } else {
            self.poll(self.timeout().into_iter().chain(bound).min());
            self.overdue();
            self.look_at_parked();
            self.faulted();
        }
        let mut others = Vec::new();
        let mut commands = match hands_over {
            true => Vec::new(),
            false => std::mem::take(&mut self.deferred),
        };
        commands.extend(std::iter::from_fn(|| self.shared.take_command()));
        for command in commands {
            match command {
                ControlCommand::EndSession { .. } if hands_over => self.deferred.push(command),
                ControlCommand::EndSession { session, reason } => {
                    end_session_of_host(&self.shared, session, &reason);
                    self.end(session, &reason);
                }
                ControlCommand::Tell(loss) => notice::tell(&self.shared, loss),
                other => {
                    if let ControlCommand::PoolAbandoned { pool, why } = &other {
                        self.destructions.abandoned(pool, why);
                        self.replacements.abandoned(pool, why);
                    }
                    if let ControlCommand::ReplacementAbandoned { pool, why } = &other {
                        self.replacements.abandoned(pool, why);
                        if let Some(restart) = &mut self.restart {
                            restart.abandoned(pool, why);
                        }
                    }
                    others.push(other);
                }
            }
        }
        self.change_pools();
        self.go_on_restarting();
        self.shared.count_control_round();
        others
    }

    /// Advances a restart, and answers the client that requested it once it has ended.
    fn go_on_restarting(&mut self) {
        let Some(mut restart) = self.restart.take() else { return };
        let offered = Offered {
            clients: &self.clients,
            listener: self.listener.as_fd(),
            lock: self.lock.as_fd(),
            next: self.next,
        };
        let Some(ended) = restart.advance(&self.shared, &offered) else {
            self.restart = Some(restart);
            return;
        };
        let number = restart.client;
        drop(restart);
        match ended {
            Ended::Failed(failure) => self.refuse(number, failure),
            Ended::HandedOver(document) => {
                if let Some(why) = document["error"].as_str() {
                    // So that this process does not end as if all were well.
                    self.shared.set_broken(why.to_owned());
                }
                if let Some(client) = self.clients.get(&number) {
                    // It fails only if whoever asked for it is gone.
                    let _ = control::answer(&client.socket, &document.to_string());
                }
                // Their sockets are the successor's; shutting them down would end them there.
                self.clients.clear();
                self.shared.set_handed_over();
            }
        }
    }

    /// Fails while the runtime is restarting.
    fn must_not_restart(&self) -> Result<(), Failure> {
        match self.restart {
            None => Ok(()),
            Some(_) => Err(Failure::new(CHI_BUSY, "the runtime is restarting: try again")),
        }
    }

    fn begin_restart(&mut self, number: u64, message: &Message) -> Result<(), Failure> {
        self.must_not_restart()?;
        if self.shared.agreed_pools.get().is_some() {
            let why =
                "a node of a cluster cannot be restarted in place: stop it, and start it again";
            return Err(Failure::new(CHI_UNSUPPORTED, why));
        }
        if !self.destructions.is_empty() || !self.replacements.is_empty() {
            let why = "pools are being changed: try again once that has ended";
            return Err(Failure::new(CHI_BUSY, why));
        }
        let client = self.clients.get_mut(&number).expect("the caller has it");
        let caller = client.caller.clone();
        let begun = Restart::begin(&self.shared, &self.instance, number, &caller, message)?;
        client.phase = Phase::Asking;
        self.restart = Some(begun);
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let setups = self.clients.values().filter_map(|client| match client.phase {
            Phase::Open { .. } | Phase::Asking => None,
            _ => Some(client.since + SETUP_BOUND),
        });
        let next = setups.chain(self.accept_again).chain(self.destructions.next_look());
        let next = next.chain(self.replacements.next_look()).chain(self.orders.next_look());
        let next = next.chain(self.questions.next_look());
        let next = next.chain(parked::any().then_some(self.parked_look));
        let next = next.chain(self.restart.as_ref().map(Restart::next_look)).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Now and then, frees what processes had on lease that have ended since.
    fn look_at_parked(&mut self) {
        let now = Instant::now();
        if parked::any() && now >= self.parked_look {
            parked::look();
            self.parked_look = now + PARKED_LOOK;
        }
    }

    fn poll(&mut self, timeout: Option<Duration>) {
        let timeout = timeout.map(|rest| rustix::event::Timespec {
            tv_sec: rest.as_secs() as i64,
            tv_nsec: rest.subsec_nanos().into(),
        });
        let mut space = [const { std::mem::MaybeUninit::uninit() }; 64];
        // An interrupted wait returns as if there had been an event.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut space, timeout.as_ref()) else {
            return;
        };
        let tokens: Vec<u64> = events.iter().map(|event| event.data.u64()).collect();
        for token in tokens {
            match token {
                CONTROL => {}
                LISTENER => self.accept(),
                ADDRESS => self.address.iter_mut().for_each(Address::look),
                token if token % 2 == 1 => self.end(token / 2, "the client's process exited"),
                token => self.hear(token / 2),
            }
        }
    }

    /// Accepts no more clients for a while.
    fn pause_accepting(&mut self) {
        self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
        self.watch_listener(epoll::EventFlags::empty());
    }

    fn watch_listener(&mut self, flags: epoll::EventFlags) {
        let data = epoll::EventData::new_u64(LISTENER);
        if let Err(error) = epoll::modify(&self.epoll, &self.listener, data, flags) {
            self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
            if let Some(left_out) = may_log(&self.shared, LineKind::Refused, Subject::Runtime) {
                tracing::error!(%error, left_out, "cannot watch the listening socket");
            }
        }
    }

    fn accept(&mut self) {
        let accepted =
            rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        match accepted {
            Ok(socket) => {
                if self.clients.len() >= self.most_connections() {
                    self.end_silent();
                }
                let caller = match self.admit(&socket) {
                    Ok(caller) => caller,
                    Err(failure) => {
                        let caller = Caller::of(socket.as_fd());
                        let caller = caller.map_or(Subject::Runtime, |caller| subject_of(&caller));
                        self.report_refusal(caller, &failure.message);
                        let refusal = Message::refused(failure.status, failure.message);
                        // Sending fails only if the client is already gone.
                        let _ = wire::send(socket.as_fd(), &refusal, &[]);
                        return self.closer.close(socket);
                    }
                };
                let subject = subject_of(&caller);
                if let Err(error) = self.welcome(socket, caller) {
                    self.report_refusal(subject, &error.to_string());
                }
            }
            Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM) => {
                self.report_refusal(Subject::Runtime, "out of descriptors or memory");
                self.pause_accepting();
            }
            // The client is already gone.
            Err(
                rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED,
            ) => {}
            Err(error) => {
                self.report_refusal(Subject::Runtime, &format!("cannot accept: {error}"));
                self.pause_accepting();
            }
        }
    }

    /// Logs that a client was refused. Clients may retry as often as they like, hence the rate
    /// limit.
    fn report_refusal(&self, client: Subject, why: &str) {
        if let Some(left_out) = may_log(&self.shared, LineKind::Refused, client) {
            tracing::warn!(why, left_out, "client refused");
        }
    }

    /// Checks that the process may connect, and that there is room for its connection.
    fn admit(&self, socket: &OwnedFd) -> Result<Caller, Failure> {
        let caller = Caller::of(socket.as_fd()).map_err(|error| {
            Failure::new(CHI_IO, format!("cannot read the client's credentials: {error}"))
        })?;
        if !caller.is_owner() && !self.shared.config.may_connect.name(&caller) {
            let (theirs, own) = (caller.uid, instance::uid());
            return Err(Failure::new(
                CHI_DENIED,
                format!(
                    "this runtime belongs to user {own}; user {theirs} may not use it: \
                     access.connect names neither the user nor a group of it"
                ),
            ));
        }
        if self.clients.len() >= self.most_connections() {
            return Err(self.session_limit());
        }
        Ok(caller)
    }

    fn most_connections(&self) -> usize {
        self.shared.config.max_sessions + MORE_CONNECTIONS
    }

    /// Ends the oldest connection that has no session, so that there is room for another.
    fn end_silent(&mut self) {
        // A destruction that an unanswered request has begun continues.
        let silent = |client: &Client| matches!(client.phase, Phase::Greeting | Phase::Asking);
        let silent = self.clients.iter().filter(|(_, client)| silent(client));
        let silent: Vec<u64> = silent.map(|(number, _)| *number).collect();
        self.crowded &= silent.len() > FEW_SILENT;
        if let Some(&oldest) = silent.iter().min() {
            let why = "the runtime has too many connections, and this one has no session";
            self.refuse(oldest, Failure::new(CHI_NO_SPACE, why));
        }
    }

    fn session_limit(&self) -> Failure {
        let most = self.shared.config.max_sessions;
        let message = format!("session limit ({most}) reached: raise limits.sessions");
        Failure::new(CHI_NO_SPACE, message)
    }

    fn welcome(&mut self, socket: OwnedFd, caller: Caller) -> std::io::Result<()> {
        // Without a pidfd, for example if the process is in another pid namespace, the hang-up has
        // to suffice.
        let open = |pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
        let pidfd = Pid::from_raw(caller.pid).and_then(open);
        let last = |fd| quota::check_descriptors(fd, quota::KEPT_FROM_SILENT).is_err();
        // Closed descriptors leave low numbers for new ones, so a number alone does not tell how
        // many are open.
        self.crowded |= last(&socket) || pidfd.as_ref().is_some_and(last);
        if self.crowded {
            self.end_silent();
        }
        let number = self.next;
        self.next += 1;
        let (phase, since) = (Phase::Greeting, Instant::now());
        let client = Client { socket: Unshared::new(socket), pidfd, caller, phase, since };
        self.watch(number, &client)?;
        self.clients.insert(number, client);
        Ok(())
    }

    /// Watches for what a client says, and for its end.
    fn watch(&self, number: u64, client: &Client) -> std::io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        epoll::add(&self.epoll, &client.socket, epoll::EventData::new_u64(number * 2), flags)?;
        if let Some(pidfd) = &client.pidfd {
            let data = epoll::EventData::new_u64(number * 2 + 1);
            epoll::add(&self.epoll, pidfd, data, epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    fn hear(&mut self, number: u64) {
        let Some(client) = self.clients.get(&number) else { return };
        let mut sent = Vec::new();
        let received = wire::receive_apart(client.socket.as_fd(), &mut sent);
        sent.into_iter().for_each(|descriptor| self.closer.close(descriptor));
        match received {
            Ok(Received::Message(message, _) | Received::CutShort(message)) => {
                if let Err(failure) = self.handle(number, &message) {
                    self.refuse(number, failure);
                }
            }
            Ok(Received::Closed) => self.end(number, "the client hung up"),
            Ok(Received::Garbage) => self.refuse(
                number,
                Failure::new(CHI_INVALID, "this is the socket of a Chimaera runtime; the message is not part of its protocol"),
            ),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => self.end(number, &format!("the client's socket failed: {error}")),
        }
    }

    fn refuse(&mut self, number: u64, failure: Failure) {
        if let Some(client) = self.clients.get(&number) {
            // Sending fails only if the client is already gone.
            let _ = client.send(&refusal(failure.clone()), &[]);
        }
        self.end(number, &failure.message);
    }

    fn handle(&mut self, number: u64, message: &Message) -> Result<(), Failure> {
        if message.kind == Kind::Request && message.words[0] == Request::Restart as u64 {
            let client = self.clients.get(&number).expect("the caller has it");
            if matches!(client.phase, Phase::Greeting) {
                return self.begin_restart(number, message);
            }
        }
        let changes_pools = message.kind == Kind::Request
            && (message.words[0] == Request::DestroyPool as u64 || replace::is_asked_for(message));
        if changes_pools {
            self.must_not_restart()?;
        }
        let client = self.clients.get_mut(&number).expect("the caller has it");
        match (&mut client.phase, message.kind) {
            (Phase::Greeting, Kind::Hello) => self.greet(number, message),
            (Phase::Greeting, Kind::Request) if orders::is_asked_for(&self.shared, message) => {
                client.phase = Phase::Asking;
                self.orders.add(number, &self.shared, &client.caller, message)
            }
            (Phase::Greeting, Kind::Request) if message.words[0] == Request::DestroyPool as u64 => {
                client.phase = Phase::Asking;
                let [_, bound, forced, ..] = message.words;
                let (caller, name) = (&client.caller, &message.text);
                self.destructions.add(number, caller, name, bound, forced != 0);
                Ok(())
            }
            (Phase::Greeting, Kind::Request) if questions::is_asked(message) => {
                client.phase = Phase::Asking;
                self.questions.add(number, &client.caller, message)
            }
            (Phase::Greeting, Kind::Request) if replace::is_asked_for(message) => {
                client.phase = Phase::Asking;
                self.replacements.add(number, &client.caller, message)
            }
            (Phase::Greeting, Kind::Request) if message.words[0] == Request::AwaitEnd as u64 => {
                client.phase = Phase::Asking;
                self.await_end.push(number);
                Ok(())
            }
            (Phase::Greeting, Kind::Request) if message.words[0] == Request::Progress as u64 => {
                let document = self.replacements.describe().to_string();
                control::answer(&client.socket, &document).map_err(cannot_answer)?;
                self.end(number, "its request was answered");
                Ok(())
            }
            (Phase::Greeting, Kind::Request) => {
                let (document, then) = requests::answer(&self.shared, &client.caller, message)?;
                let answered = control::answer(&client.socket, &document);
                then.run(&self.shared);
                answered.map_err(cannot_answer)?;
                self.end(number, "its request was answered");
                Ok(())
            }
            (Phase::Mapping(_), Kind::Mapped) => {
                let session = client.open(number, message.words[0], &self.shared);
                let (pid, subject) = (client.caller.pid, subject_of(&client.caller));
                self.shared.add_session(session.expect("its segment was mapped"));
                if let Some(left_out) = may_log(&self.shared, LineKind::Session, subject) {
                    tracing::debug!(session = number, pid, left_out, "session opened");
                }
                Ok(())
            }
            (Phase::Open { session, workers }, Kind::Ring) => {
                let added = add_ring(session, workers, &self.shared, &mut self.load);
                client.send(&added.unwrap_or_else(refusal), &[])
            }
            (Phase::Open { session, .. }, Kind::Completions) => match add_queue(session, message) {
                Ok((answer, bell)) => client.send(&answer, &[bell.as_fd()]),
                Err(why) => client.send(&refusal(why), &[]),
            },
            (Phase::Open { session, .. }, Kind::Published) => {
                match show_published(session, message) {
                    Ok((answer, segment)) => {
                        let descriptors: Vec<_> = segment.iter().map(|fd| fd.as_fd()).collect();
                        client.send(&answer, &descriptors)
                    }
                    Err(why) => client.send(&refusal(why), &[]),
                }
            }
            _ => Err(Failure::new(CHI_INVALID, "unexpected message for the state of the session")),
        }
    }

    /// Advances the destructions of pools and the replacements of containers, and answers the clients
    /// that requested those that have ended.
    fn change_pools(&mut self) {
        let clients = &self.clients;
        let is_there = |number: u64| clients.contains_key(&number);
        let mut ended = self.destructions.advance(&self.shared, is_there);
        ended.append(&mut self.replacements.advance(&self.shared, is_there));
        ended.append(&mut self.orders.advance());
        ended.append(&mut self.questions.advance(&self.shared, is_there));
        for (number, outcome) in ended {
            let Some(client) = self.clients.get(&number) else { continue };
            let answered = outcome.and_then(|document| {
                control::answer(&client.socket, &document).map_err(cannot_answer)
            });
            match answered {
                Ok(()) => self.end(number, "its request was answered"),
                Err(failure) => self.refuse(number, failure),
            }
        }
    }

    fn greet(&mut self, number: u64, hello: &Message) -> Result<(), Failure> {
        let others: Vec<Footprint> = self.clients.values().filter_map(Client::footprint).collect();
        if others.len() >= self.shared.config.max_sessions {
            return Err(self.session_limit());
        }
        let client = self.clients.get_mut(&number).expect("the caller has it");
        client.greet(number, hello, &others, &self.shared)
    }

    /// Ends a client's session, if it has one, and forgets the client.
    fn end(&mut self, number: u64, reason: &str) {
        let Some(client) = self.clients.remove(&number) else { return };
        self.await_end.retain(|other| *other != number);
        let subject = subject_of(&client.caller);
        if let Some(left_out) = may_log(&self.shared, LineKind::Session, subject) {
            let pid = client.caller.pid;
            tracing::debug!(session = number, pid, reason, left_out, "session ended");
        }
        // Closing a descriptor removes it from the epoll set, unless a forked child holds it as
        // well.
        let _ = epoll::delete(&self.epoll, &client.socket);
        if let Some(pidfd) = &client.pidfd {
            let _ = epoll::delete(&self.epoll, pidfd);
        }
        // Before the client learns of it: what is told of results after that is soon not true any more.
        if let Some((session, _)) = client.session() {
            session.set_dead();
        }
        let _ = rustix::net::shutdown(&client.socket, rustix::net::Shutdown::Both);
        if let Some((session, _)) = client.session() {
            session.queues.hang_up();
        }
        self.closer.close(client.socket.into_inner());
        if let Phase::Open { workers, .. } = client.phase {
            self.shared.remove_session(number);
            workers.iter().for_each(|&worker| self.load[worker as usize] -= 1);
            // Sent to all workers: rings move between them, and the session's tasks may be
            // suspended on any.
            for mailbox in self.shared.mailboxes() {
                mailbox.send(WorkerMessage::DropSession { session: number });
            }
        }
    }

    /// Ends clients that take too long to set up their sessions, and accepts again after a pause.
    fn overdue(&mut self) {
        let now = Instant::now();
        let late = |client: &Client| {
            !matches!(client.phase, Phase::Open { .. } | Phase::Asking)
                && now >= client.since + SETUP_BOUND
        };
        let numbers: Vec<u64> =
            self.clients.iter().filter(|(_, client)| late(client)).map(|(n, _)| *n).collect();
        for number in numbers {
            self.end(number, "the client did not set up its session within 5 s");
        }
        if self.accept_again.is_some_and(|at| now >= at) {
            self.accept_again = None;
            self.watch_listener(epoll::EventFlags::IN);
        }
    }

    /// Ends sessions for which a page of the segment could not be allocated.
    fn faulted(&mut self) {
        tell_of_faults(&self.shared);
        for session in self.shared.sessions() {
            if session.has_faulted() {
                let why = "no memory for a page of the segment";
                let subject = subject_of(&session.caller);
                if let Some(left_out) = may_log(&self.shared, LineKind::Faulted, subject) {
                    tracing::warn!(session = session.number, left_out, "{why}");
                }
                end_session_of_host(&self.shared, session.number, why);
                self.end(session.number, why);
            }
        }
    }
}

/// The message that refuses what a client asked for.
fn refusal(failure: Failure) -> Message {
    Message::refused(failure.status, failure.message)
}

/// A client, as the subject of lines about what it does.
fn subject_of(caller: &Caller) -> Subject {
    Subject::Process { pid: caller.pid, uid: caller.uid }
}

/// Whether one more line of this kind may be logged; if so, how many were left out.
fn may_log(shared: &Shared, kind: LineKind, subject: Subject) -> Option<LeftOut> {
    shared.rate_limit.pass(kind, subject)
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        for number in std::mem::take(&mut self.await_end) {
            if let Some(client) = self.clients.remove(&number) {
                self.shared.tell_at_end(client.socket.into_inner());
            }
        }
        let numbers: Vec<u64> = self.clients.keys().copied().collect();
        for number in numbers {
            self.end(number, "the runtime is stopping");
        }
        self.shared.page().sessions.store(0, Ordering::Relaxed);
    }
}

fn cannot_answer(error: std::io::Error) -> Failure {
    Failure::new(CHI_IO, format!("cannot answer the request: {error}"))
}
