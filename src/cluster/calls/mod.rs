//! Calls from one node to another: each ends once, and runs at most once.
//!
//! A caller has a fixed number of *slots* at each life of each other node, and a slot has one call at a time, its
//! *turn*. A server remembers the last turn of each slot, and so recognises what comes twice or late, with a
//! memory whose size both know.

mod caller;
mod server;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use caller::{Caller, NoSuchContainer, Route};
pub(crate) use server::{Admit, Gate, Release, Server};

use crate::bounds::Instant;
use crate::ids::{ContainerId, Epoch, Life};

/// Bytes of a call or of its result, which are shared when it is cloned.
pub type Payload = bytes::Bytes;

/// A call, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallNumber(pub u64);

/// A call that runs, for its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskNumber(pub u64);

/// What to call.
#[derive(Clone, Debug)]
pub struct Request {
    /// The container.
    pub container: ContainerId,
    /// Whether the call may run twice, also after later ones.
    pub idempotent: bool,
    /// Until when it is worth anything.
    pub deadline: Option<Instant>,
    /// What is called.
    pub payload: Payload,
}

/// How a call has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran.
    Done(Payload),
    /// The node that it went to, or the one it should have gone to, does not answer.
    NodeLost {
        /// Whether it may have run.
        may_have_run: bool,
    },
    /// Its deadline has passed.
    TimedOut {
        /// Whether it may have run.
        may_have_run: bool,
    },
    /// Its caller wanted no more of it.
    Cancelled {
        /// Whether it may have run.
        may_have_run: bool,
    },
    /// Too many calls wait for the same node. It did not run.
    Busy,
    /// There is no such container, or no longer. It did not run.
    NoSuchContainer,
}

/// Where a call is remembered: by the caller's and the server's life, the caller's slot there, and its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The caller.
    pub caller: Life,
    /// The server.
    pub server: Life,
    /// The slot, below [`crate::Bounds::window`].
    pub slot: u32,
    /// The turn, from 1.
    pub turn: u64,
}

/// A call, as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Where it is remembered.
    pub place: Place,
    /// What is called.
    pub container: ContainerId,
    /// As whose the server is called.
    pub epoch: Epoch,
    /// How much of its time is left.
    pub remaining: Option<Duration>,
    /// What is called.
    pub payload: Payload,
}

/// A server's word on a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Which call.
    pub place: Place,
    /// The epoch that the call named.
    pub epoch: Epoch,
    /// The word.
    pub verdict: Verdict,
}

/// What a server says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It waits or runs.
    Working,
    /// It ran.
    Done(Payload),
    /// It did not run: the container is another node's, or at another epoch.
    Moved {
        /// Whose it is now.
        owner: Option<Life>,
        /// Since when.
        epoch: Epoch,
    },
    /// It did not run: too much runs for its caller.
    Busy,
    /// It did not run: there is no such container.
    NoSuchContainer,
    /// It did not run: its time was over, or it was cancelled, or the server could not serve for too long.
    NotRun,
    /// The server cannot answer for it: it lost its memory, or its right to answer while the call ran.
    MayHaveRun,
}
