//! Which proposals have been applied, so that one that was sent twice is applied once.

use std::collections::BTreeMap;

use super::command::{Proposal, Reply};
use crate::guard::{holds, Guard};
use crate::ids::{BootId, NodeId};
use crate::wire::wire_struct;

/// The applied proposals of one node whose replies it may not have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    boot: BootId,
    floor: u64,
    replies: BTreeMap<u64, Reply>,
}

/// The applied proposals of all nodes. Each node has a bounded number under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    origins: BTreeMap<NodeId, Origin>,
}

impl Applied {
    /// Whether a proposal is to be applied now.
    pub(super) fn is_new(&mut self, proposal: &Proposal) -> bool {
        if proposal.number == 0 || !holds(Guard::ApplyOnce) {
            return true;
        }
        let (node, boot) = (proposal.origin.node, proposal.origin.boot);
        let fresh = || Origin { boot, floor: 0, replies: BTreeMap::new() };
        let origin = self.origins.entry(node).or_insert_with(fresh);
        if boot < origin.boot {
            return false;
        }
        if boot > origin.boot {
            *origin = fresh();
        }
        origin.floor = origin.floor.max(proposal.floor);
        origin.replies = origin.replies.split_off(&origin.floor);
        proposal.number >= origin.floor && !origin.replies.contains_key(&proposal.number)
    }

    /// A proposal was applied.
    pub(super) fn note(&mut self, proposal: &Proposal, reply: Reply) {
        if let Some(origin) = self.origins.get_mut(&proposal.origin.node) {
            if proposal.number != 0 {
                origin.replies.insert(proposal.number, reply);
            }
        }
    }

    /// What came of a proposal, if it was applied.
    pub(super) fn reply(&self, node: NodeId, boot: BootId, number: u64) -> Option<Reply> {
        let origin = self.origins.get(&node).filter(|origin| origin.boot == boot)?;
        origin.replies.get(&number).copied()
    }

    /// A node is no member any more.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.origins.remove(&node);
    }
}

wire_struct!(Origin { boot, floor, replies });
wire_struct!(Applied { origins });
