//! The protections of the protocol, by name, so that the simulation can take one away and see what breaks.
//! Outside of tests they are constants.

/// One protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The margin for clocks of different pace in the wait for a lost node's lease.
    DriftMargin,
    /// A successor starts only after the lease of the lost owner.
    WaitForLease,
    /// A new leader assumes that its predecessor granted a lease just before.
    WaitForPredecessor,
    /// A lease counts from when its renewal was sent, not from when it arrived.
    LeaseFromSending,
    /// A leader makes sure that it still leads before it grants a lease.
    ConfirmedLeader,
    /// A lease is used only by a node that knows what was taken from it.
    LeaseWaitsForLog,
    /// A lease that was lost stops the start of tasks.
    CheckAtStart,
    /// And answers from leaving.
    CheckBeforeAnswer,
    /// Messages of another epoch are refused.
    EpochCheck,
    /// A server knows the calls that it has taken.
    RememberCalls,
    /// A call that its caller has given up is refused when it comes late.
    Turns,
    /// A proposal that comes twice is applied once.
    ApplyOnce,
    /// What is lost with a node's memory ends the node's life.
    NewLifeNewEpoch,
    /// A vote is on the disk before it is sent.
    SyncBeforeVote,
    /// Nodes ask whether they could win before they stand for election.
    PreVote,
    /// Who is to found the cluster asks others first whether there is one.
    AskBeforeFounding,
    /// What is stored on one node is not made by another.
    StoredOnOneNode,
    /// The state of a container whose new owner cannot make it goes back to the former one.
    StateGoesBack,
}

#[cfg(test)]
impl Guard {
    pub(crate) const ALL: [Guard; 18] = [
        Guard::DriftMargin,
        Guard::WaitForLease,
        Guard::WaitForPredecessor,
        Guard::LeaseFromSending,
        Guard::ConfirmedLeader,
        Guard::LeaseWaitsForLog,
        Guard::CheckAtStart,
        Guard::CheckBeforeAnswer,
        Guard::EpochCheck,
        Guard::RememberCalls,
        Guard::Turns,
        Guard::ApplyOnce,
        Guard::NewLifeNewEpoch,
        Guard::SyncBeforeVote,
        Guard::PreVote,
        Guard::AskBeforeFounding,
        Guard::StoredOnOneNode,
        Guard::StateGoesBack,
    ];
}

#[cfg(not(test))]
pub(crate) const fn holds(_: Guard) -> bool {
    true
}

#[cfg(test)]
pub(crate) use broken::{break_one, holds};

#[cfg(test)]
mod broken {
    use super::Guard;
    use std::cell::Cell;

    thread_local!(static BROKEN: Cell<Option<Guard>> = const { Cell::new(None) });

    pub(crate) fn holds(guard: Guard) -> bool {
        BROKEN.get() != Some(guard)
    }

    /// Takes away one protection on this thread, or none.
    pub(crate) fn break_one(guard: Option<Guard>) {
        BROKEN.set(guard);
    }
}
