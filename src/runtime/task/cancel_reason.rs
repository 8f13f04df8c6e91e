//! Why tasks are cancelled, which tasks a cancellation applies to, and the status and message that
//! they end with.

use chimaera_abi::*;

use crate::failure::Failure;

/// Why a task is cancelled. A record keeps the number; there, 0 means that the task is not
/// cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum CancelReason {
    /// Its client asked for the cancellation, or has deleted the task.
    Asked = 1,
    /// Its client is gone.
    Gone,
    /// Its pool is being destroyed.
    Destroyed,
    /// Its deadline has passed.
    Deadline,
    /// The task that waits for it is cancelled.
    Parent,
    /// It is part of a deadlock.
    Deadlock,
    /// A client submitted it, and the runtime is stopping.
    Stopping,
    /// Its container is in quarantine.
    Quarantined,
}

impl CancelReason {
    const ALL: [CancelReason; 8] = [
        CancelReason::Asked,
        CancelReason::Gone,
        CancelReason::Destroyed,
        CancelReason::Deadline,
        CancelReason::Parent,
        CancelReason::Deadlock,
        CancelReason::Stopping,
        CancelReason::Quarantined,
    ];

    pub(super) fn from_number(number: u32) -> Option<CancelReason> {
        CancelReason::ALL.into_iter().find(|reason| *reason as u32 == number)
    }

    /// The outcome of a task that is cancelled for this reason.
    pub(crate) fn failure(self) -> Failure {
        let (status, text) = match self {
            CancelReason::Asked => (CHI_CANCELLED, "the task was cancelled"),
            CancelReason::Gone => (CHI_CANCELLED, "the task's client has gone"),
            CancelReason::Destroyed => (CHI_CANCELLED, "the task's pool was destroyed"),
            CancelReason::Deadline => (CHI_DEADLINE, "the task's deadline has passed"),
            CancelReason::Parent => {
                (CHI_CANCELLED, "the task that waits for this one was cancelled")
            }
            CancelReason::Stopping => (CHI_CANCELLED, "the runtime is stopping"),
            CancelReason::Deadlock => (CHI_DEADLOCK, "the task waited in a circle of tasks"),
            CancelReason::Quarantined => {
                (CHI_CANCELLED, "another task of the container crashed, which is in quarantine")
            }
        };
        Failure::new(status, text)
    }

    /// The outcome of a task whose method ended because the task was cancelled and failed with
    /// `text`, which cannot name the reason: the method does not know it. `circle` describes the
    /// waits of the deadlock that the task was part of, if any.
    pub(crate) fn outcome(
        self,
        circle: Option<String>,
        text: Option<&str>,
        is_broadcast: bool,
    ) -> Failure {
        let mut failure = self.failure();
        if let Some(circle) = circle {
            failure.message = format!("the task waited in a circle: {circle}");
        }
        if let Some(own) = text.and_then(|text| own_words(text, is_broadcast)) {
            failure.message = format!("{}: {own}", failure.message);
        }
        failure
    }
}

/// The message with which `sleep` and `yield_now` fail when their task is cancelled.
pub(crate) const IT_SHOULD_END: &str = "the task is cancelled: it should end";

/// Messages with which a method's wait fails when its task is cancelled. Some are spelled out in
/// the SDKs of both languages, and a module may be built with another version of its SDK.
const WAIT_ENDED: [&str; 4] = [
    IT_SHOULD_END,
    "the task was cancelled while it waited for a lock",
    "the task was cancelled while it waited for an event",
    "the runtime is stopping, or the client has gone",
];

/// The method's own part of the message of a cancelled task, without the message of the call that
/// told it of the cancellation.
fn own_words(text: &str, is_broadcast: bool) -> Option<String> {
    let reasons = CancelReason::ALL.map(|reason| reason.failure().message);
    let mut told = WAIT_ENDED.into_iter().chain(reasons.iter().map(String::as_str));
    let own = match told.find_map(|told| text.strip_suffix(told)) {
        None => text,
        // The text before a replica's reason only names the replica.
        Some(_) if is_broadcast => "",
        Some(before) => before.trim_end_matches([':', ' ']),
    };
    (!own.is_empty()).then(|| own.to_owned())
}

/// Which tasks a cancellation applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CancelScope {
    /// All tasks that clients submitted.
    Clients,
    /// All tasks of a session.
    Session(u64),
    /// All tasks of a pool.
    Pool(chi_pool_id),
    /// All tasks of the quarantined container with this number in a pool.
    Container(chi_pool_id, u32),
}
