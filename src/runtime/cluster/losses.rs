//! Containers that were lost with other nodes: who has to be told of that, and that they have owners again.

use std::collections::BTreeMap;
use std::sync::Arc;

use chimaera_abi::{CHI_REASON_LOST, CHI_REASON_RECOVERED};
use chimaera_cluster::{Agreed, ContainerId, Life, NodeId, PoolId};

use super::handle::id_of;
use crate::pool::Loss;
use crate::scheduler::{loss, Shared};

/// What is known of the containers of other nodes.
pub(super) struct Losses {
    own: NodeId,
    /// Who had each container when it was looked at last.
    owners: BTreeMap<ContainerId, Life>,
    /// Those of which it was told that they are lost, and with whom.
    lost: BTreeMap<ContainerId, Life>,
    /// What members are called, and those that are none any more and whose containers are still lost.
    names: BTreeMap<NodeId, String>,
}

/// Containers, by their pool and the node that they were lost with.
type Changes = BTreeMap<(PoolId, NodeId), Vec<u32>>;

impl Losses {
    pub(super) fn new(own: NodeId) -> Losses {
        Losses { own, owners: BTreeMap::new(), lost: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// Has the pools' own containers on this node, and those of their dependants, told what has become of others
    /// since the last look.
    pub(super) fn follow(&mut self, shared: &Arc<Shared>, agreed: &Agreed) {
        let (lost, back) = self.changes(agreed);
        self.tell(shared, agreed, CHI_REASON_LOST, &lost);
        self.tell(shared, agreed, CHI_REASON_RECOVERED, &back);
    }

    /// What is lost since the last look, and what has an owner again. Both if that went quickly.
    fn changes(&mut self, agreed: &Agreed) -> (Changes, Changes) {
        let (mut lost, mut back) = (Changes::new(), Changes::new());
        self.names.extend(agreed.members().iter().map(|(node, it)| (*node, it.name.clone())));
        self.lost.retain(|container, _| agreed.containers().contains_key(container));
        let before = std::mem::take(&mut self.owners);
        for (container, owned) in agreed.containers() {
            let had = before.get(container).or(owned.owner.as_ref());
            if let Some(had) = had.filter(|had| had.node != self.own && agreed.is_gone(**had)) {
                if self.lost.get(container) != Some(had) {
                    self.lost.insert(*container, *had);
                    lost.entry((container.pool, had.node)).or_default().push(container.number);
                }
            }
            if let Some(owner) = owned.owner {
                self.owners.insert(*container, owner);
                if agreed.is_present(owner) && !owned.lost {
                    if let Some(had) = self.lost.remove(container) {
                        back.entry((container.pool, had.node)).or_default().push(container.number);
                    }
                }
            }
        }
        let told = &self.lost;
        self.names.retain(|node, _| {
            agreed.members().contains_key(node) || told.values().any(|had| had.node == *node)
        });
        (lost, back)
    }

    fn tell(&self, shared: &Shared, agreed: &Agreed, reason: u32, changes: &Changes) {
        for ((pool, node), containers) in changes {
            let (id, name) = (id_of(shared, *pool), agreed.pools()[pool].name.clone());
            let mut dependants = shared.pools.dependencies(&name).1;
            dependants.push(name.clone());
            let numbers: Vec<String> = containers.iter().map(u32::to_string).collect();
            let which = format!("containers {} of pool '{name}'", numbers.join(", "));
            let of = self.names.get(node).map_or("?", |name| name);
            let why = match reason {
                CHI_REASON_LOST => format!("node '{of}' was lost with the {which}"),
                _ => format!("the {which}, which were lost with node '{of}', have owners again"),
            };
            let (node, containers) = (node.0, containers.clone());
            loss::tell(shared, Loss { reason, pool: id, node, containers, name, why, dependants });
        }
    }
}

#[cfg(test)]
mod tests {
    use chimaera_cluster::{BootId, Command, Epoch, Proposal, Standing};

    use super::*;

    const OWN: Life = Life { node: NodeId(1), boot: BootId(1) };
    const OTHER: Life = Life { node: NodeId(2), boot: BootId(1) };

    fn apply(agreed: &mut Agreed, command: Command) {
        let proposal = Proposal { origin: OWN, number: 0, floor: 0, command };
        agreed.apply(agreed.applied() + 1, &proposal);
    }

    fn enter(agreed: &mut Agreed, life: Life) {
        let (name, address) = (format!("n{}", life.node.0), "a".to_owned());
        apply(agreed, Command::Enter { life, name, address });
        apply(agreed, Command::Settle { life });
    }

    /// Two nodes and a pool of four containers, and what was looked at by then.
    fn cluster() -> (Agreed, Losses) {
        let mut agreed = Agreed::founded_by(OWN, "n1", "a");
        enter(&mut agreed, OTHER);
        let (name, module) = ("pool".to_owned(), "kv".to_owned());
        let params = Vec::new();
        let (containers, nodes, flags) = (4, 0, 0);
        let command = Command::CreatePool { name, module, params, containers, nodes, flags };
        apply(&mut agreed, command);
        let mut losses = Losses::new(OWN.node);
        assert_eq!(losses.changes(&agreed), (Changes::new(), Changes::new()));
        (agreed, losses)
    }

    /// The containers that a life has.
    fn of(agreed: &Agreed, life: Life) -> Changes {
        let owned = agreed.containers().iter().filter(|(_, owned)| owned.owner == Some(life));
        let numbers = owned.map(|(container, _)| container.number).collect();
        [((PoolId(1), life.node), numbers)].into()
    }

    fn lose(agreed: &mut Agreed) {
        apply(agreed, Command::Lose { life: OTHER });
    }

    fn take_over(agreed: &mut Agreed) {
        let Standing::Lost { at, .. } = agreed.members()[&OTHER.node].standing else {
            panic!("it is lost")
        };
        apply(agreed, Command::TakeOver { life: OTHER, lost_at: at });
    }

    fn made(agreed: &mut Agreed) {
        let lost = agreed.containers().iter().filter(|(_, owned)| owned.lost);
        let lost: Vec<(ContainerId, Epoch)> = lost.map(|(it, owned)| (*it, owned.epoch)).collect();
        for (container, epoch) in lost {
            apply(agreed, Command::Made { container, epoch });
        }
    }

    #[test]
    fn a_loss_is_told_once_and_its_end_when_others_have_made_the_containers() {
        let (mut agreed, mut losses) = cluster();
        let (had, none) = (of(&agreed, OTHER), Changes::new());
        lose(&mut agreed);
        assert_eq!(losses.changes(&agreed), (had.clone(), none.clone()));
        assert_eq!(losses.changes(&agreed), (none.clone(), none.clone()));
        take_over(&mut agreed);
        assert_eq!(losses.changes(&agreed), (none.clone(), none.clone()));
        made(&mut agreed);
        assert_eq!(losses.changes(&agreed), (none.clone(), had));
        assert_eq!(losses.changes(&agreed), (none.clone(), none));
    }

    #[test]
    fn who_looks_late_learns_of_both() {
        let (mut agreed, mut losses) = cluster();
        let had = of(&agreed, OTHER);
        lose(&mut agreed);
        take_over(&mut agreed);
        made(&mut agreed);
        assert_eq!(losses.changes(&agreed), (had.clone(), had));
    }

    #[test]
    fn a_node_that_was_cut_off_is_back_with_what_it_had() {
        let (mut agreed, mut losses) = cluster();
        let (had, none) = (of(&agreed, OTHER), Changes::new());
        for _ in 0..2 {
            lose(&mut agreed);
            assert_eq!(losses.changes(&agreed), (had.clone(), none.clone()));
            apply(&mut agreed, Command::Return { life: OTHER });
            assert_eq!(losses.changes(&agreed), (none.clone(), had.clone()));
        }
    }

    #[test]
    fn a_node_that_has_started_again_has_lost_what_it_had() {
        let (mut agreed, mut losses) = cluster();
        let (had, none) = (of(&agreed, OTHER), Changes::new());
        enter(&mut agreed, Life { boot: BootId(2), ..OTHER });
        assert_eq!(losses.changes(&agreed), (had.clone(), none.clone()));
        made(&mut agreed);
        assert_eq!(losses.changes(&agreed), (none, had));
    }

    #[test]
    fn a_container_that_moves_and_one_of_a_pool_that_is_gone_are_not_lost() {
        let (mut agreed, mut losses) = cluster();
        let none = (Changes::new(), Changes::new());
        let container = ContainerId { pool: PoolId(1), number: 0 };
        for to in [OTHER.node, OWN.node, OTHER.node] {
            apply(&mut agreed, Command::Move { container, to });
            let epoch = agreed.containers()[&container].epoch;
            apply(&mut agreed, Command::HandOver { container, epoch });
            assert_eq!(losses.changes(&agreed), none);
        }
        lose(&mut agreed);
        apply(&mut agreed, Command::DestroyPool { pool: PoolId(1) });
        assert_eq!(losses.changes(&agreed), none);
        assert!(losses.lost.is_empty() && losses.owners.is_empty());
    }
}
