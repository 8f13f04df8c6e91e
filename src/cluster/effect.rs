//! What the shell around a node is to do.

use crate::agree::Write;
use crate::bounds::Instant;
use crate::calls::{CallNumber, Outcome, Payload, Place, TaskNumber};
use crate::ids::{ContainerId, Epoch, NodeId};
use crate::message::Message;
use crate::state::Reply;

/// A task to start at once: the right to start it has been checked, and is not for later.
#[derive(Clone, Debug)]
pub struct Start {
    /// For [`crate::Node::finished`].
    pub task: TaskNumber,
    /// Which call it is.
    pub place: Place,
    /// Where it runs.
    pub container: ContainerId,
    /// As whose; for durable writes.
    pub epoch: Epoch,
    /// Until when it is worth anything.
    pub deadline: Option<Instant>,
    /// What is called.
    pub payload: Payload,
}

/// One thing to do, in the order in which they come.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a message. It may get lost.
    Send {
        /// To whom. Never the node itself.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Change the disk, then call [`crate::Node::written`].
    Write(Write),
    /// Make a container, from nothing or from what its last owner left, then call [`crate::Node::opened`], or
    /// [`crate::Node::cannot_open`] if this node cannot.
    Open {
        /// Which.
        container: ContainerId,
        /// As whose.
        epoch: Epoch,
    },
    /// The container is not this node's any more: destroy it, if it was made. What it still does has no effect.
    Drop {
        /// Which.
        container: ContainerId,
    },
    /// No call of another node runs in the container any more: give its state to another node, then call
    /// [`crate::Node::closed`], or [`crate::Node::cannot_close`] if it stays as it was.
    Close {
        /// Which.
        container: ContainerId,
        /// As whose.
        epoch: Epoch,
        /// To whom.
        to: NodeId,
    },
    /// Run a task, then call [`crate::Node::finished`].
    Start(Start),
    /// Nobody waits for a task any more, or its result has no effect. It ends as any other.
    CancelTask(TaskNumber),
    /// A call has ended.
    CallEnded(CallNumber, Outcome),
    /// A proposal was agreed on; `None` if nothing was heard of it in time. It may be agreed on yet.
    ProposalEnded(u64, Option<Reply>),
    /// The node cannot be a member for now, because another one has its name. It goes on trying.
    NameTaken,
    /// The node is no member any more, and never will be under its id.
    Removed,
}
