//! What nodes say to each other.

use crate::agree::Packet;
use crate::calls::{Answer, Call, Place};
use crate::ids::{Index, Life};
use crate::state::Proposal;

/// A message between two nodes. It may be lost, come twice, late, or out of order.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Of the engine of agreement.
    Packet(Packet),
    /// A node wants to be a member, or to be one again. For the leader; others pass it on.
    Join {
        /// Who.
        life: Life,
        /// What people call it.
        name: String,
        /// Where others reach it.
        address: String,
        /// How often it has been passed on.
        hops: u8,
    },
    /// Something to agree on. For the leader.
    Propose(Proposal),
    /// A member wants its lease renewed. For the leader.
    Renew {
        /// Who.
        life: Life,
        /// Which of its questions.
        number: u64,
    },
    /// The lease is granted, from when the question was asked.
    Grant {
        /// Whom.
        life: Life,
        /// Which of its questions.
        number: u64,
        /// What the member must have applied to use the lease.
        needs: Index,
    },
    /// A node that was a member, and never will be again under this id.
    Removed {
        /// Who.
        life: Life,
    },
    /// A node cannot be a member now, because another one has its name.
    NameTaken {
        /// Who.
        life: Life,
    },
    /// Whether a node that was asked to pass on a [`Message::Join`] knows of a cluster. For one that founds a
    /// cluster if there is none.
    Known {
        /// Who asked.
        life: Life,
        /// Whether it is a member, or was.
        of_cluster: bool,
    },
    /// A call.
    Call(Call),
    /// A word on a call.
    Answer(Answer),
    /// A caller has no more use for a call.
    Cancel(Place),
}
