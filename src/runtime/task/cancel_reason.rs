//! Why tasks are cancelled, which ones, and what they are told.

use chimaera_abi::*;

use crate::failure::Failure;

/// Why a task is cancelled. The number is what a record keeps; 0 means that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum CancelReason {
    /// Its client asked for it, or has deleted it.
    Asked = 1,
    /// Its client has gone.
    Gone,
    /// Its pool is being destroyed.
    Destroyed,
    /// Its deadline has passed.
    Deadline,
    /// The task that waits for it is cancelled.
    Parent,
    /// It waits in a circle.
    Deadlock,
}

impl CancelReason {
    const ALL: [CancelReason; 6] = [
        CancelReason::Asked,
        CancelReason::Gone,
        CancelReason::Destroyed,
        CancelReason::Deadline,
        CancelReason::Parent,
        CancelReason::Deadlock,
    ];

    pub(crate) fn from_number(number: u32) -> Option<CancelReason> {
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
            CancelReason::Deadlock => (CHI_DEADLOCK, "the task waited in a circle of tasks"),
        };
        Failure::new(status, text)
    }

    /// The outcome of a task whose method ended because the task is cancelled, and said `text`. Why it is
    /// cancelled, the method cannot know. `circle` are the waits of a circle that the task was in.
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

/// How `sleep` and `yield_now` tell a method that its task is cancelled.
pub(crate) const IT_SHOULD_END: &str = "the task is cancelled: it should end";

/// How a wait that ends early in a method says so. The SDKs of both languages have some of these words,
/// and a module brings its own SDK along.
const WAIT_ENDED: [&str; 4] = [
    IT_SHOULD_END,
    "the task was cancelled while it waited for a lock",
    "the task was cancelled while it waited for an event",
    "the runtime is stopping, or the client has gone",
];

/// What the method of a cancelled task says of its end besides what it was told itself.
fn own_words(text: &str, is_broadcast: bool) -> Option<String> {
    let reasons = CancelReason::ALL.map(|reason| reason.failure().message);
    let mut told = WAIT_ENDED.into_iter().chain(reasons.iter().map(String::as_str));
    let own = match told.find_map(|told| text.strip_suffix(told)) {
        None => text,
        // What comes before a replica's reason only says which replica it was.
        Some(_) if is_broadcast => "",
        Some(before) => before.trim_end_matches([':', ' ']),
    };
    (!own.is_empty()).then(|| own.to_owned())
}

/// Which tasks a cancellation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CancelScope {
    /// All of a session.
    Session(u64),
    /// All of a pool.
    Pool(chi_pool_id),
}
