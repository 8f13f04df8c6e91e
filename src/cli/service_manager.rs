//! Telling the service manager how the daemon fares, as sd_notify(3) does, from a thread of its own: a manager that does
//! not listen holds up nothing else.

use std::io;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chimaera_ipc::control::{self, Request};
use chimaera_ipc::instance::Instance;
use chimaera_runtime::ServiceManager;
use sd_notify::NotifyState;

/// How long a process that is about to end waits until the manager has been told.
const TOLD_BOUND: Duration = Duration::from_secs(1);

/// The variable with the manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

#[derive(Debug)]
enum Message {
    Ready,
    Stopping,
    /// Another process is the main one now. Whoever waits is told when that has been passed on.
    SucceededBy(u32, Sender<()>),
}

/// The manager that has started this process.
#[derive(Debug)]
pub(crate) struct Manager(Mutex<Sender<Message>>);

impl Manager {
    /// The manager, if there is one that wants to be told.
    pub(crate) fn find(instance: &Instance) -> io::Result<Option<Manager>> {
        if std::env::var_os(SOCKET).is_none_or(|socket| socket.is_empty()) {
            return Ok(None);
        }
        let (sender, receiver) = channel();
        let instance = instance.clone();
        let thread = std::thread::Builder::new().name("chi-manager".into());
        thread.spawn(move || tell_all(&instance, &receiver))?;
        Ok(Some(Manager(Mutex::new(sender))))
    }

    /// Clients are let in.
    pub(crate) fn ready(&self) {
        self.send(Message::Ready);
    }

    fn send(&self, message: Message) {
        let sender = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The thread lives as long as the sender.
        let _ = sender.send(message);
    }
}

impl ServiceManager for Manager {
    fn stopping(&self) {
        self.send(Message::Stopping);
    }

    fn succeeded_by(&self, process: u32) {
        let (told, is_told) = channel();
        self.send(Message::SucceededBy(process, told));
        if is_told.recv_timeout(TOLD_BOUND).is_err() {
            tracing::warn!(
                process,
                "the service manager does not listen, and may not know the new main process"
            );
        }
    }
}

/// Passes messages on, and between them, if the manager wants that, that the runtime answers requests.
fn tell_all(instance: &Instance, messages: &Receiver<Message>) {
    let mut watchdog: Option<Watchdog> = None;
    loop {
        let next = match &watchdog {
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(watchdog) => {
                messages.recv_timeout(watchdog.next.saturating_duration_since(Instant::now()))
            }
        };
        match next {
            Ok(Message::Ready) => {
                tell(&[NotifyState::Ready, NotifyState::Status("serving clients")]);
                watchdog = Watchdog::wanted();
            }
            Ok(Message::Stopping) => {
                tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
                // How long that takes is bounded by the manager's own limit.
                watchdog = None;
            }
            Ok(Message::SucceededBy(process, told)) => {
                tell(&[NotifyState::MainPid(process)]);
                watchdog = None;
                // Whoever waited may have gone on.
                let _ = told.send(());
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(watchdog) = &mut watchdog {
                    watchdog.look(instance);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Tells the manager again and again that the runtime answers.
struct Watchdog {
    interval: Duration,
    next: Instant,
}

impl Watchdog {
    /// `None` if the manager does not want to be told.
    fn wanted() -> Option<Watchdog> {
        // A third of the manager's own limit: so one answer may be late.
        let interval = sd_notify::watchdog_enabled()? / 3;
        Some(Watchdog { interval, next: Instant::now() })
    }

    fn look(&mut self, instance: &Instance) {
        let answer = control::ask(instance, Request::Status, &[], "", self.interval);
        match answer {
            Ok(_) => tell(&[NotifyState::Watchdog]),
            Err(error) => {
                tracing::error!(%error, "the runtime does not answer: the service manager is not told that it does");
            }
        }
        self.next = Instant::now() + self.interval;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, ?state, "cannot tell the service manager");
    }
}
