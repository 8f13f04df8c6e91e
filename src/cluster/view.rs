//! What a node may serve, and where its calls go, by what it has applied and the lease that it holds.

use std::collections::BTreeSet;

use crate::calls::{Admit, Gate, NoSuchContainer, Release, Route};
use crate::guard::{holds, Guard};
use crate::holding::Holdings;
use crate::ids::{ContainerId, Epoch, Life, NodeId};
use crate::state::{Agreed, Ownership};

/// A node's view of the moment.
pub(crate) struct View<'a> {
    pub(crate) me: Life,
    pub(crate) agreed: &'a Agreed,
    pub(crate) has_lease: bool,
    pub(crate) holdings: &'a Holdings,
    /// Nodes whose connections broke and were not made again.
    pub(crate) broken: &'a BTreeSet<NodeId>,
}

impl View<'_> {
    fn owned(&self, container: ContainerId) -> Option<&Ownership> {
        self.agreed.containers().get(&container)
    }
}

impl Gate for View<'_> {
    fn admit(&self, container: ContainerId, epoch: Epoch) -> Admit {
        let Some(owned) = self.owned(container) else {
            // Perhaps its creation has not been applied here yet.
            let is_known = epoch.0 <= self.agreed.applied();
            return if is_known { Admit::NoSuchContainer } else { Admit::Wait };
        };
        if holds(Guard::EpochCheck) && epoch > owned.epoch {
            return Admit::Wait;
        }
        let is_other = epoch != owned.epoch && holds(Guard::EpochCheck);
        if owned.owner != Some(self.me) || is_other {
            return Admit::Moved(owned.owner, owned.epoch);
        }
        let serves = self.holdings.admits(container, owned.epoch);
        let has_lease = self.has_lease || !holds(Guard::CheckAtStart);
        if serves && has_lease {
            Admit::Now
        } else {
            Admit::Wait
        }
    }

    fn release(&self, container: ContainerId, epoch: Epoch) -> Release {
        let is_mine = self.owned(container).is_some_and(|owned| {
            owned.owner == Some(self.me) && (owned.epoch == epoch || !holds(Guard::EpochCheck))
        });
        match (is_mine, self.has_lease) {
            (true, true) => Release::Now,
            (true, false) => Release::Wait,
            (false, _) => Release::Never,
        }
    }
}

impl Route for View<'_> {
    fn owner(&self, container: ContainerId) -> Result<(Option<Life>, Epoch), NoSuchContainer> {
        let owned = self.owned(container).ok_or(NoSuchContainer)?;
        Ok((owned.owner, owned.epoch))
    }

    fn is_reachable(&self, life: Life) -> bool {
        if life.node == self.me.node {
            return life == self.me;
        }
        !self.agreed.is_gone(life) && !self.broken.contains(&life.node)
    }

    fn is_over(&self, life: Life) -> bool {
        match self.agreed.members().get(&life.node) {
            Some(member) => member.life.boot > life.boot,
            None => self.agreed.is_removed(life.node),
        }
    }
}
