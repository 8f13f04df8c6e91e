//! What a check has found.

use serde::Serialize;

/// How a check has ended.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// All is as it should be.
    Ok,
    /// It works, but not as well as it could, or not up to its limits.
    Warning,
    /// It does not work.
    Failed,
}

/// What a check has found.
#[derive(Serialize)]
pub(super) struct Check {
    /// What was looked at.
    pub(super) what: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) found: String,
    /// What to do about it; nothing if all is well.
    pub(super) todo: Option<String>,
}

impl Check {
    pub(super) fn ok(what: &'static str, found: impl Into<String>) -> Check {
        Check { what, state: State::Ok, found: found.into(), todo: None }
    }

    pub(super) fn warning(
        what: &'static str,
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Check {
        Check { what, state: State::Warning, found: found.into(), todo: Some(todo.into()) }
    }

    pub(super) fn failed(
        what: &'static str,
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Check {
        Check { state: State::Failed, ..Check::warning(what, found, todo) }
    }
}
