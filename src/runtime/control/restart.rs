//! Restarting the runtime without losing pools or clients, on the side of the process that ends: it starts
//! its successor, holds all tasks, has the pools saved, and hands everything over. Until the successor has
//! been told to serve, everything can be taken back.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_ipc::wire::Message;

use super::client::{Client, Phase};
use super::work::{in_thread, on_worker, Slot};
use crate::access::Caller;
use crate::admin::{replacement, restart};
use crate::failure::Failure;
use crate::handover::{
    Channel, Document, Heard, SessionRecord, ToPredecessor, ToSuccessor, FORMAT,
};
use crate::pool::Hold;
use crate::scheduler::{hand_over, hold, GivenUp, Naming, Question, Shared};
use crate::state::SavedPool;
use crate::sys::lock;

/// How often to check how far the successor and the workers are.
const LOOK: Duration = Duration::from_millis(1);
/// The longest bound that a request may set.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the successor may take to serve once it has been told to, or to end.
const ANSWER_BOUND: Duration = Duration::from_secs(10);
/// How long the containers that a successor has taken over may take to be destroyed, and the old ones to
/// take back what they gave up.
const END_BOUND: Duration = Duration::from_secs(3);

/// What the control thread hands over besides the pools.
pub(super) struct Offered<'a> {
    pub(super) clients: &'a HashMap<u64, Client>,
    pub(super) listener: BorrowedFd<'a>,
    pub(super) lock: BorrowedFd<'a>,
    /// The number of the next session.
    pub(super) next: u64,
}

/// How a restart has ended.
pub(super) enum Ended {
    /// This process goes on.
    Failed(Failure),
    /// The successor serves. The document describes it.
    HandedOver(serde_json::Value),
}

/// The steps. What tasks wait for is in the order of the enum.
enum Step {
    /// The successor loads the modules.
    Prepare,
    /// All tasks have to be held, once no hold before this one is left.
    Hold,
    /// The tasks in the pools have to end.
    Drain(Arc<Hold>),
    /// They have not, and the workers name them.
    Name(Arc<Hold>, Naming),
    /// A worker has the containers save their states.
    Save(Held, Slot<Vec<SavedPool>>),
    /// A thread writes the states to files.
    Store(Held, Slot<Vec<(String, PathBuf)>>),
    /// No client may be about to open its session.
    Settle(Held, Vec<(String, PathBuf)>),
    /// The workers give up what they have of clients: so many have been asked.
    Collect(Held, Vec<(String, PathBuf)>, Question<GivenUp>, usize),
    /// The successor makes the pools.
    Load(Held, GivenUp),
    /// The successor begins to serve.
    Serve(Held, Instant),
    /// A worker destroys the containers.
    Destroy(Arc<Mutex<bool>>, Instant),
    /// The successor has to end before this process goes on: it may have files of the pools.
    Leave(Option<Held>, Option<GivenUp>, Failure, Instant),
    /// A worker has the containers take back what they gave up.
    Undo(Held, Arc<Mutex<bool>>, Failure, Instant),
}

/// Pools whose tasks are held, and how far they have been saved.
struct Held {
    hold: Arc<Hold>,
    progress: Arc<Mutex<replacement::Progress>>,
}

/// A restart.
pub(super) struct Restart {
    /// The connection that asked for it.
    pub(super) client: u64,
    at: Instant,
    until: Instant,
    /// Pools that cannot be saved are made anew without their states.
    makes_anew: bool,
    successor: Child,
    channel: Channel,
    version: String,
    /// Where the states are written.
    directory: PathBuf,
    /// Since when tasks wait.
    held: Option<Instant>,
    /// For how long tasks waited.
    pause: Duration,
    /// How the code of a module crashed that saved a state, as a sentence.
    crashed: Option<String>,
    /// This process was told to stop meanwhile.
    stops: bool,
    pools: usize,
    sessions: usize,
    state_bytes: u64,
    step: Step,
}

impl Restart {
    /// Begins a restart that a message asks for: starts the successor.
    pub(super) fn begin(
        shared: &Shared,
        instance: &str,
        client: u64,
        caller: &Caller,
        message: &Message,
    ) -> Result<Restart, Failure> {
        caller.must_be_owner("restart it")?;
        let Some(own) = &shared.config.program else {
            let why = "this runtime is part of an application, and is restarted with it";
            return Err(Failure::new(CHI_DENIED, why));
        };
        if std::process::id() == 1 {
            let why =
                "this runtime is process 1, and its end would be that of its container or machine";
            return Err(Failure::new(CHI_DENIED, why));
        }
        let [_, bound, makes_anew, ..] = message.words;
        let at = Instant::now();
        let program = match &*message.text {
            "" => own.path.clone(),
            path => path.into(),
        };
        let directory = shared
            .config
            .state_directory(instance)
            .map_err(|why| Failure::new(CHI_IO, why))?
            .join(format!("restart-{}", std::process::id()));
        let (channel, theirs) =
            Channel::pair().map_err(|error| cannot("make a socket pair", error))?;
        let successor = start(&program, &own.args, theirs).map_err(|error| {
            Failure::new(CHI_IO, format!("cannot start {}: {error}", program.display()))
        })?;
        tracing::info!(program = %program.display(), pid = successor.id(), "restarting");
        Ok(Restart {
            client,
            at,
            until: at + Duration::from_millis(bound).min(LONGEST),
            makes_anew: makes_anew != 0,
            successor,
            channel,
            version: String::new(),
            directory,
            held: None,
            pause: Duration::ZERO,
            crashed: None,
            stops: false,
            pools: 0,
            sessions: 0,
            state_bytes: 0,
            step: Step::Prepare,
        })
    }

    /// Whether clients must not be served, because they are being handed over.
    pub(super) fn has_clients(&self) -> bool {
        match &self.step {
            Step::Collect(..) | Step::Load(..) | Step::Serve(..) | Step::Destroy(..) => true,
            Step::Leave(_, given, ..) => given.is_some(),
            _ => false,
        }
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Instant {
        Instant::now() + LOOK
    }

    /// The runtime is to stop: the restart is given up, unless the successor has been told to serve; then
    /// that one is to stop.
    pub(super) fn stop(&mut self) {
        self.stops = true;
        if !matches!(self.step, Step::Serve(..) | Step::Destroy(..)) {
            self.until = Instant::now();
        }
    }

    /// Has the successor, which serves by now, stop if this process was told to.
    fn pass_on_stop(&self) {
        if self.stops {
            let pid = rustix::process::Pid::from_child(&self.successor);
            // It fails if the process has just ended.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }

    /// Records that the code that was saving a state crashed; `why` is a sentence about it.
    pub(super) fn abandoned(&mut self, pool: &str, why: &str) {
        if let Step::Save(held, _) | Step::Undo(held, ..) = &self.step {
            if held.hold.pools.iter().any(|held| held.name() == pool) {
                self.crashed = Some(why.to_owned());
            }
        }
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    fn late(&self, what: &str) -> Failure {
        let took = self.at.elapsed();
        Failure::new(CHI_BUSY, format!("not restarted: {what} after {took:.1?}"))
    }

    /// Advances it as far as possible. Returns how it has ended.
    pub(super) fn advance(&mut self, shared: &Shared, offered: &Offered<'_>) -> Option<Ended> {
        match std::mem::replace(&mut self.step, Step::Hold) {
            Step::Prepare => self.prepare(),
            Step::Hold => self.hold(shared),
            Step::Drain(hold) => self.drain(shared, hold),
            Step::Name(hold, naming) => self.name(shared, hold, naming),
            Step::Save(held, saved) => self.save(held, saved),
            Step::Store(held, stored) => self.store(held, stored),
            Step::Settle(held, files) => self.settle(shared, offered, held, files),
            Step::Collect(held, files, given, asked) => {
                self.collect(shared, offered, held, files, given, asked)
            }
            Step::Load(held, given) => self.load(held, given),
            Step::Serve(held, until) => return self.serve(shared, held, until),
            Step::Destroy(done, until) => {
                if *lock(&done) || Instant::now() >= until {
                    self.pass_on_stop();
                    return Some(Ended::HandedOver(self.document()));
                }
                self.step = Step::Destroy(done, until);
            }
            Step::Leave(held, given, failure, until) => {
                return self.await_end(shared, held, given, failure, until);
            }
            Step::Undo(held, done, failure, until) => {
                let is_late = Instant::now() >= until || self.crashed.is_some();
                if *lock(&done)
                    || is_late
                        && replacement::end_undo(
                            shared,
                            &held.hold,
                            &held.progress,
                            self.crashed.as_deref(),
                        )
                {
                    return Some(Ended::Failed(failure));
                }
                self.step = Step::Undo(held, done, failure, until);
            }
        }
        None
    }

    /// Waits until the successor has loaded the modules.
    fn prepare(&mut self) {
        self.step = Step::Prepare;
        match self.channel.take::<ToPredecessor>() {
            Ok(Heard::Message(received)) => match received.message {
                ToPredecessor::Ready { format: FORMAT, version } => {
                    self.version = version;
                    self.step = Step::Hold;
                }
                ToPredecessor::Ready { version, .. } => {
                    let message = format!(
                        "not restarted: version {version} cannot take over from version {}; stop this one, \
                         and start the other",
                        env!("CARGO_PKG_VERSION")
                    );
                    self.leave(None, None, Failure::new(CHI_VERSION, message));
                }
                other => self.leave(None, None, refused_by(other)),
            },
            Ok(Heard::Nothing) if self.is_late() => {
                let failure = self.late("the new process has not loaded its modules");
                self.leave(None, None, failure);
            }
            Ok(Heard::Nothing) => {}
            Ok(Heard::End) => self.leave(None, None, ended_early()),
            Err(error) => self.leave(None, None, cannot("hear from the new process", error)),
        }
    }

    /// Begins to hold all tasks.
    fn hold(&mut self, shared: &Shared) {
        match restart::begin(shared, self.makes_anew) {
            Ok(hold) => {
                self.held.get_or_insert_with(Instant::now);
                self.step = Step::Drain(hold);
            }
            // The workers may not yet have done with a hold before this one.
            Err(failure) if failure.status == CHI_BUSY && !self.is_late() => self.step = Step::Hold,
            Err(failure) => self.leave(None, None, failure),
        }
    }

    fn drain(&mut self, shared: &Shared, hold: Arc<Hold>) {
        if hold.settle() {
            if !restart::is_of_all(shared, &hold) {
                // A pool has been created meanwhile.
                hold::release_on_all(shared, hold.pools.clone());
                self.step = Step::Hold;
                return;
            }
            self.begin_to_save(shared, hold);
        } else if self.is_late() {
            let naming = Naming::ask(shared, &hold.pools);
            self.step = Step::Name(hold, naming);
        } else {
            self.step = Step::Drain(hold);
        }
    }

    fn name(&mut self, shared: &Shared, hold: Arc<Hold>, naming: Naming) {
        let Some(named) = naming.take() else {
            self.step = Step::Name(hold, naming);
            return;
        };
        let took = self.at.elapsed();
        let (pool, why) = replacement::still_in_flight(shared, &hold, took, named);
        let message = format!("not restarted: pool '{pool}': {why}");
        hold::release_on_all(shared, hold.pools.clone());
        self.leave(None, None, Failure::new(CHI_BUSY, message));
    }

    fn begin_to_save(&mut self, shared: &Shared, hold: Arc<Hold>) {
        let held = Held { hold, progress: Arc::default() };
        let result = Slot::<Vec<SavedPool>>::default();
        let (hold, progress, theirs) = (held.hold.clone(), held.progress.clone(), result.clone());
        on_worker(shared, move |worker| {
            *lock(&theirs) = Some(restart::save_all(worker, &hold, &progress));
        });
        self.step = Step::Save(held, result);
    }

    fn save(&mut self, held: Held, result: Slot<Vec<SavedPool>>) {
        let saved = lock(&result).take();
        match saved {
            Some(Ok(saved)) => {
                self.state_bytes = saved.iter().map(SavedPool::bytes).sum();
                let directory = self.directory.clone();
                match in_thread(move || store(&directory, saved)) {
                    Ok(stored) => self.step = Step::Store(held, stored),
                    Err(Failure { status, message }) => {
                        let message = format!("not restarted: {message}");
                        self.leave(Some(held), None, Failure::new(status, message));
                    }
                }
            }
            Some(Err(failure)) => {
                let message = format!("not restarted: {}", failure.message);
                self.leave(Some(held), None, Failure::new(failure.status, message));
            }
            None => {
                if let Some(why) = self.crashed.take() {
                    let message = format!("not restarted: {why}");
                    self.leave(Some(held), None, Failure::new(CHI_FAULT, message));
                } else if self.is_late() {
                    let failure = self.late("a module has not saved its state");
                    self.leave(Some(held), None, failure);
                } else {
                    self.step = Step::Save(held, result);
                }
            }
        }
    }

    fn store(&mut self, held: Held, stored: Slot<Vec<(String, PathBuf)>>) {
        let files = lock(&stored).take();
        match files {
            Some(Ok(files)) => self.step = Step::Settle(held, files),
            Some(Err(failure)) => {
                let message = format!("not restarted: {}", failure.message);
                self.leave(Some(held), None, Failure::new(failure.status, message));
            }
            None if self.is_late() => {
                let failure = self.late("the states have not been written");
                self.leave(Some(held), None, failure);
            }
            None => self.step = Step::Store(held, stored),
        }
    }

    fn settle(
        &mut self,
        shared: &Shared,
        offered: &Offered<'_>,
        held: Held,
        files: Vec<(String, PathBuf)>,
    ) {
        if offered.clients.values().any(|client| matches!(client.phase, Phase::Mapping(_))) {
            if self.is_late() {
                let failure = self.late("a client has not set up its session");
                return self.leave(Some(held), None, failure);
            }
            self.step = Step::Settle(held, files);
            return;
        }
        let given = Question::default();
        let asked = hand_over::ask(shared, &given);
        self.step = Step::Collect(held, files, given, asked);
    }

    fn collect(
        &mut self,
        shared: &Shared,
        offered: &Offered<'_>,
        held: Held,
        files: Vec<(String, PathBuf)>,
        given: Question<GivenUp>,
        asked: usize,
    ) {
        let mut answers = lock(&given);
        let sessions = || offered.clients.values().filter_map(Client::session);
        if answers.workers < asked {
            drop(answers);
            if self.is_late() {
                let found = GivenUp::close(&mut lock(&given).found);
                let failure = self.late("a worker has not given up its clients");
                return self.leave(Some(held), Some(found), failure);
            }
            self.step = Step::Collect(held, files, given, asked);
            return;
        }
        let counted = sessions().map(|(session, rings)| (session, rings.len()));
        if !answers.found.is_all_of(counted) {
            // Some of it was on its way between workers.
            drop(answers);
            if self.is_late() {
                let found = GivenUp::close(&mut lock(&given).found);
                let failure = self.late("the workers have not given up all clients");
                return self.leave(Some(held), Some(found), failure);
            }
            let more = hand_over::ask(shared, &given);
            self.step = Step::Collect(held, files, given, asked + more);
            return;
        }
        let found = GivenUp::close(&mut answers.found);
        drop(answers);
        self.pools = held.hold.pools.len() - 1;
        self.sessions = sessions().count();
        match self.offer(shared, offered, &files, &found) {
            Ok(()) => self.step = Step::Load(held, found),
            Err(error) => {
                let failure = cannot("hand over to the new process", error);
                self.leave(Some(held), Some(found), failure);
            }
        }
    }

    /// Sends the successor everything.
    fn offer(
        &self,
        shared: &Shared,
        offered: &Offered<'_>,
        files: &[(String, PathBuf)],
        given: &GivenUp,
    ) -> io::Result<()> {
        let file =
            |name: &str| files.iter().find(|(of, _)| of == name).map(|(_, file)| file.clone());
        let clients = || offered.clients.values();
        let sessions = clients().filter_map(|client| {
            let (session, workers) = client.session()?;
            let layout = session.mapping.layout();
            let allocated = session.allocated();
            let ring = |index: usize| {
                let at = session.mapping.ring(index as u64).address();
                let ring = given.rings.iter().find(|ring| ring.consumer.memory().address() == at);
                let ring = ring.expect("all rings have been given up");
                (ring.consumer.position(), ring.postponed.offsets())
            };
            Some(SessionRecord {
                number: session.number,
                size: layout.size,
                share: layout.share(),
                client_base: session.client_base,
                age_ms: session.since.elapsed().as_millis() as u64,
                rings: (0..workers.len()).map(ring).collect(),
                held: given.held_of(session.number),
                blocks: allocated.blocks,
                holds: allocated.holds,
                queues: session.queues.all().iter().map(|(record, _)| *record).collect(),
                reserved: allocated.reserved,
                published: session.leases.numbers(),
            })
        });
        let durable = shared.durable.lock_for_successor()?;
        let greeting = || clients().filter(|client| matches!(client.phase, Phase::Greeting));
        let document = Document {
            next_session: offered.next,
            next_minor: shared.pools.next_minor(),
            pools: restart::records(shared, file),
            sessions: sessions.collect(),
            greeting: greeting().count(),
            has_durable: durable.is_some(),
            clients: Some(shared.clients.base()),
        };
        let stored = document.store()?;
        let descriptors = [stored.as_fd(), offered.listener, offered.lock].into_iter();
        let descriptors: Vec<BorrowedFd<'_>> =
            descriptors.chain(durable.as_ref().map(|lock| lock.as_fd())).collect();
        self.channel.send(&ToSuccessor::Take, &descriptors, self.until)?;
        for client in clients() {
            let Some((session, _)) = client.session() else { continue };
            let own = [client.socket.as_fd(), session.segment.as_fd(), session.doorbell.as_fd()];
            let all = own.into_iter().chain(client.pidfd.as_ref().map(|process| process.as_fd()));
            let all: Vec<BorrowedFd<'_>> = all.collect();
            self.channel.send(&ToSuccessor::Session(session.number), &all, self.until)?;
            for (_, bell) in session.queues.all() {
                self.channel.send(&ToSuccessor::Queue, &[bell], self.until)?;
            }
        }
        for client in greeting() {
            self.channel.send(&ToSuccessor::Greeting, &[client.socket.as_fd()], self.until)?;
        }
        Ok(())
    }

    /// Waits until the successor has made the pools, and tells it to serve.
    fn load(&mut self, held: Held, given: GivenUp) {
        let failure = match self.channel.take::<ToPredecessor>() {
            Ok(Heard::Message(received)) => match received.message {
                ToPredecessor::Loaded => {
                    // From here on, this process must not serve anybody.
                    match self.channel.send(&ToSuccessor::Go, &[], self.until.max(soon())) {
                        Ok(()) => {
                            self.step = Step::Serve(held, Instant::now() + ANSWER_BOUND);
                            return drop(given);
                        }
                        Err(error) => cannot("tell the new process to serve", error),
                    }
                }
                other => refused_by(other),
            },
            Ok(Heard::Nothing) if self.is_late() => {
                self.late("the new process has not loaded the states")
            }
            Ok(Heard::Nothing) => {
                self.step = Step::Load(held, given);
                return;
            }
            Ok(Heard::End) => ended_early(),
            Err(error) => cannot("hear from the new process", error),
        };
        self.leave(Some(held), Some(given), failure);
    }

    /// Waits until the successor serves.
    fn serve(&mut self, shared: &Shared, held: Held, until: Instant) -> Option<Ended> {
        match self.channel.take::<ToPredecessor>() {
            Ok(Heard::Nothing) if Instant::now() < until => {
                self.step = Step::Serve(held, until);
                None
            }
            Ok(Heard::Message(received)) if matches!(received.message, ToPredecessor::Serving) => {
                self.pause = self.held.map_or(Duration::ZERO, |at| at.elapsed());
                tracing::info!(pid = self.successor.id(), pause = ?self.pause, "the new process serves");
                if let Some(manager) = &shared.config.manager {
                    manager.succeeded_by(self.successor.id());
                }
                let done = Arc::<Mutex<bool>>::default();
                let theirs = done.clone();
                let hold = held.hold.clone();
                on_worker(shared, move |worker| {
                    restart::discard_all(worker, &hold);
                    *lock(&theirs) = true;
                });
                self.step = Step::Destroy(done, Instant::now() + END_BOUND);
                None
            }
            // It had everything; this process has nothing to go on with.
            _ => Some(Ended::HandedOver(serde_json::json!({
                "error": "the new process has ended, or does not serve, although it had taken over: see the log"
            }))),
        }
    }

    fn document(&self) -> serde_json::Value {
        serde_json::json!({
            "pid": self.successor.id(),
            "version": self.version,
            "pools": self.pools,
            "sessions": self.sessions,
            "state_bytes": self.state_bytes,
            "pause_ms": self.pause.as_micros() as f64 / 1000.0,
        })
    }

    // Back ----------------------------------------------------------------------------------------------

    /// Gives up the restart. The successor has to end first.
    fn leave(&mut self, held: Option<Held>, given: Option<GivenUp>, failure: Failure) {
        tracing::warn!(why = failure.message, "not restarted");
        // It fails if the successor has ended by itself.
        let _ = self.channel.send(&ToSuccessor::Abort, &[], soon());
        self.step = Step::Leave(held, given, failure, Instant::now() + END_BOUND);
    }

    fn await_end(
        &mut self,
        shared: &Shared,
        held: Option<Held>,
        given: Option<GivenUp>,
        failure: Failure,
        until: Instant,
    ) -> Option<Ended> {
        let is_late = Instant::now() >= until;
        if is_late {
            // It fails if the process has just ended.
            let _ = self.successor.kill();
        }
        // A killed process ends at once, but for what the kernel does with its memory.
        let ended =
            if is_late { self.successor.wait().map(Some) } else { self.successor.try_wait() };
        if matches!(ended, Ok(None)) {
            self.step = Step::Leave(held, given, failure, until);
            return None;
        }
        self.remove_files();
        let Some(held) = held else { return Some(Ended::Failed(failure)) };
        if let Some(given) = given {
            hand_over::give_back(shared, given);
        }
        replacement::abandon(&held.progress);
        let done = Arc::<Mutex<bool>>::default();
        let (hold, progress, theirs) = (held.hold.clone(), held.progress.clone(), done.clone());
        let why = failure.message.clone();
        on_worker(shared, move |worker| {
            replacement::undo(worker, &hold, &progress, &format!("was given up ({why})"));
            *lock(&theirs) = true;
        });
        self.step = Step::Undo(held, done, failure, Instant::now() + END_BOUND);
        None
    }

    /// Removes the files with the states.
    fn remove_files(&self) {
        match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let directory = self.directory.display();
                tracing::warn!(%directory, %error, "cannot remove the states of pools");
            }
            _ => {}
        }
        // It fails if something else is in it.
        let _ = self.directory.parent().map(std::fs::remove_dir);
    }
}

impl Drop for Restart {
    fn drop(&mut self) {
        // The successor has read them, or has ended.
        self.remove_files();
    }
}

/// Writes the states to files. Returns the file of each pool.
fn store(directory: &Path, saved: Vec<SavedPool>) -> Result<Vec<(String, PathBuf)>, Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| {
        Failure::new(CHI_IO, format!("cannot make {}: {error}", directory.display()))
    })?;
    let stored = saved.into_iter().enumerate().map(|(number, pool)| {
        let file = directory.join(format!("{number}.pool"));
        pool.store(&file)?;
        Ok((pool.name, file))
    });
    stored.collect()
}

/// Starts the successor: the program with these arguments, and its end of the channel.
fn start(program: &Path, arguments: &[OsString], channel: Channel) -> io::Result<Child> {
    let descriptor = channel.descriptor().as_raw_fd();
    let mut command = Command::new(program);
    command.args(arguments).arg("--succeeds").arg(descriptor.to_string()).stdin(Stdio::null());
    // By this variable, systemd says which process is to tell it that it is alive: that will be the new one.
    command.env_remove("WATCHDOG_PID");
    // SAFETY: the closure only makes a system call, for a descriptor that is open until the child runs
    // the program.
    unsafe {
        command.pre_exec(move || {
            let descriptor = BorrowedFd::borrow_raw(descriptor);
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?;
            Ok(())
        });
    }
    command.spawn()
}

/// Until when a message has to be sent that must not take long.
fn soon() -> Instant {
    Instant::now() + END_BOUND
}

fn cannot(what: &str, error: io::Error) -> Failure {
    Failure::new(CHI_IO, format!("not restarted: cannot {what}: {error}"))
}

fn ended_early() -> Failure {
    let message = "not restarted: the new process has ended without a word: the log says why, unless the program \
                   is something else than Chimaera";
    Failure::new(CHI_FAILED, message)
}

fn refused_by(message: ToPredecessor) -> Failure {
    match message {
        ToPredecessor::Failed(refused) => {
            let Failure { status, message } = refused.into();
            Failure::new(status, format!("not restarted: the new process says: {message}"))
        }
        other => Failure::new(
            CHI_INVALID,
            format!("not restarted: the new process says {other:?} too early"),
        ),
    }
}
