//! Answers to the program's requests. The control thread gives them without involving a worker.

use chimaera_abi::*;
use chimaera_ipc::control::Request;
use chimaera_ipc::wire::Message;

use super::log_control;
use crate::access::Caller;
use crate::admin::container::SET_ON_CRASH;
use crate::admin::{
    definition, describe, describe_one, describe_page, measure_all, obstacles, slow_tasks,
};
use crate::config::OnCrash;
use crate::failure::Failure;
use crate::scheduler::{ControlCommand, Shared};
use crate::sys::ends;

/// What to do once the answer has been sent.
pub(super) enum Then {
    /// Nothing.
    Nothing,
    /// Stop the runtime.
    Stop,
    /// End the process at once.
    End,
    /// End this session.
    EndSession(u64),
}

impl Then {
    pub(super) fn run(self, shared: &Shared) {
        match self {
            Then::Nothing => {}
            Then::Stop => shared.command(ControlCommand::Stop),
            Then::EndSession(session) => {
                let reason = "ended by `chimaera sessions kill`".to_owned();
                shared.command(ControlCommand::EndSession { session, reason });
            }
            Then::End => end_process(shared, false, "asked to stop by force"),
        }
    }
}

/// What a request does, in words, if only the owner may send it. Requests that only return
/// information are open to all.
fn owners_only(request: Request, message: &Message) -> Option<&'static str> {
    match request {
        Request::Stop => Some("stop it"),
        Request::SetOnCrash => Some(SET_ON_CRASH),
        Request::LogLevel if !message.text.is_empty() => Some("change the log level"),
        Request::LogReopen => Some("reopen the log"),
        Request::EndSession => Some("end a session"),
        // The pool's rights decide who may destroy it.
        Request::DestroyPool => None,
        // `replacement` and `restart` check it.
        Request::MigratePool
        | Request::UpgradeModule
        | Request::SavePool
        | Request::LoadPool
        | Request::Restart => None,
        // `orders` checks it.
        Request::Cluster => None,
        Request::AwaitEnd => None,
        Request::Slow if message.words[1] != 0 || message.words[3] != 0 => {
            Some("change what is measured")
        }
        // `questions` checks it.
        Request::Trace => None,
        Request::Pool | Request::Metrics | Request::Tasks | Request::Slow => None,
        Request::LogLevel | Request::Describe | Request::Status | Request::Progress => None,
    }
}

/// Returns the answer to a message of kind `Request`, a JSON document, and what to do afterwards.
pub(super) fn answer(
    shared: &Shared,
    caller: &Caller,
    message: &Message,
) -> Result<(String, Then), Failure> {
    let [request, argument, more @ ..] = message.words;
    let request_of_owner = Request::of(request).and_then(|known| owners_only(known, message));
    if let Some(what) = request_of_owner {
        caller.must_be_owner(what)?;
    }
    let (document, then) = match Request::of(request) {
        Some(Request::Slow) => {
            match more[1] {
                1 => measure_all(shared, true),
                2 => measure_all(shared, false),
                _ => {}
            }
            if argument == 1 {
                shared.metrics.slow.set_threshold_ns(more[0]);
            }
            let slow = serde_json::to_value(slow_tasks(shared));
            let failed =
                |error| Failure::new(CHI_INTERNAL, format!("writing the slow tasks: {error}"));
            (slow.map_err(failed)?, Then::Nothing)
        }
        Some(Request::Pool) => {
            // They may name files, or contain secrets.
            (describe_one(shared, &message.text, caller.is_owner())?, Then::Nothing)
        }
        Some(Request::Describe) => (describe(shared, argument as u32)?, Then::Nothing),
        Some(Request::Stop) if argument == 0 => {
            // A daemon's process ends with it.
            let process = shared.config.daemon.then(std::process::id);
            (serde_json::json!({ "stopping": true, "process": process }), Then::Stop)
        }
        Some(Request::Stop) if !shared.config.daemon => {
            let message = "this runtime is part of an application, and ends with it or by `stop`";
            return Err(Failure::new(CHI_DENIED, message));
        }
        Some(Request::Stop) => (serde_json::json!({ "abandoned": obstacles(shared) }), Then::End),
        Some(Request::SetOnCrash) => {
            let id = chi_pool_id { major_: argument as u32, minor_: more[0] as u32 };
            let on_crash = if more[1] == 0 { OnCrash::Quarantine } else { OnCrash::Abort };
            let table = shared.table();
            let Some(pool) = table.get(id) else {
                let message = format!("there is no pool {}.{}", id.major_, id.minor_);
                return Err(Failure::new(CHI_NO_POOL, message));
            };
            let before = pool.on_crash().get();
            pool.on_crash().set(on_crash);
            definition::define(shared, pool).inspect_err(|_| pool.on_crash().set(before))?;
            let done = serde_json::json!({ "name": pool.name(), "on_crash": on_crash.name() });
            (done, Then::Nothing)
        }
        Some(Request::LogLevel) => (log_control::level(shared, &message.text)?, Then::Nothing),
        Some(Request::LogReopen) => (log_control::reopen(shared)?, Then::Nothing),
        Some(Request::Status) => (describe_page(shared.page()), Then::Nothing),
        Some(Request::EndSession) => {
            let sessions = shared.sessions();
            let Some(session) = sessions.iter().find(|session| session.number == argument) else {
                let message = format!("there is no session {argument}");
                return Err(Failure::new(CHI_INVALID, message));
            };
            let (pid, uid) = (session.caller.pid, session.caller.uid);
            tracing::info!(session = argument, pid, uid, "ending a session as asked");
            let ended = serde_json::json!({ "session": argument, "pid": pid, "uid": uid });
            (ended, Then::EndSession(argument))
        }
        // Requests to destroy or migrate a pool are answered by `destroy` and `replace`, once that is done, those whose
        // answers take time by `questions`, and the last by whoever ends the runtime.
        None
        | Some(
            Request::DestroyPool
            | Request::MigratePool
            | Request::UpgradeModule
            | Request::SavePool
            | Request::LoadPool
            | Request::Restart
            | Request::Progress
            | Request::Metrics
            | Request::Tasks
            | Request::Trace
            | Request::AwaitEnd
            | Request::Cluster,
        ) => {
            let message = format!("this runtime does not know request {request}; it may be older");
            return Err(Failure::new(CHI_UNSUPPORTED, message));
        }
    };
    Ok((document.to_string(), then))
}

/// Ends the process of a daemon at once, with exit code [`ends::ABANDONED`], or 1 if a fault has it stop.
pub(crate) fn end_process(shared: &Shared, is_fault: bool, why: &str) -> ! {
    tracing::error!("{why}: the process ends now");
    for obstacle in obstacles(shared) {
        tracing::error!("abandoned: {obstacle}");
    }
    shared.config.flush_log();
    // Not `exit`: destructors of modules must not run while threads still run their code.
    let is_fault = is_fault || shared.broken().is_some();
    ends::leave(if is_fault { 1 } else { ends::ABANDONED })
}
