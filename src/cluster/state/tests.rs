use super::{Agreed, Command, Epoch, Ownership, Proposal, Reply, TooLarge};
use crate::ids::{BootId, ContainerId, Life, NodeId, PoolId};
use crate::wire::{from_bytes, to_bytes, Malformed};

const FIRST: Life = Life { node: NodeId(1), boot: BootId(1) };

fn create(name: &str, containers: u32, nodes: u32) -> Command {
    let (name, module, params) = (name.to_owned(), "kv".to_owned(), b"size: 1".to_vec());
    Command::CreatePool { name, module, params, containers, nodes, flags: 0 }
}

fn proposal(number: u64, command: Command) -> Proposal {
    Proposal { origin: FIRST, number, floor: 1, command }
}

fn some() -> Agreed {
    let mut agreed = Agreed::founded_by(FIRST, "one", "10.0.0.1:1");
    let create = create("store", 3, 0);
    let reply = agreed.apply(2, &proposal(1, create.clone()));
    assert_eq!(reply, Some(Reply::Pool { id: PoolId(1), created: true }));
    let again = agreed.apply(3, &proposal(2, create));
    assert_eq!(again, Some(Reply::Pool { id: PoolId(1), created: false }));
    agreed
}

#[test]
fn a_snapshot_is_the_state() {
    let agreed = some();
    assert_eq!(Agreed::from_bytes(&agreed.to_bytes()), Ok(agreed));
}

#[test]
fn what_is_not_a_snapshot_is_refused() {
    let bytes = some().to_bytes();
    for length in 0..bytes.len() {
        assert_eq!(Agreed::from_bytes(&bytes[..length]), Err(Malformed), "{length} bytes");
    }
    assert_eq!(Agreed::from_bytes(&[&bytes[..], &[0]].concat()), Err(Malformed));
}

#[test]
fn a_proposal_is_applied_once() {
    let mut agreed = some();
    let destroy = proposal(3, Command::DestroyPool { pool: PoolId(1) });
    assert_eq!(agreed.apply(4, &destroy), Some(Reply::Done {}));
    let create = create("store", 3, 0);
    assert_eq!(agreed.apply(5, &proposal(1, create)), None);
    assert!(agreed.pools().is_empty());
    assert_eq!(agreed.reply(FIRST, 3), Some(Reply::Done {}));
}

#[test]
fn commands_have_one_form() {
    let command = Command::TakeOver { life: FIRST, lost_at: 7 };
    let bytes = to_bytes(&proposal(9, command.clone()));
    assert_eq!(from_bytes(&bytes), Ok(proposal(9, command)));
    let mut unknown = bytes;
    unknown[32] = 200;
    assert_eq!(from_bytes::<Proposal>(&unknown), Err(Malformed));
}

/// A cluster of that many members.
fn members(count: u64) -> Agreed {
    let mut agreed = Agreed::founded_by(FIRST, "n1", "a");
    for node in 2..=count {
        let life = Life { node: NodeId(node), boot: BootId(1) };
        let (name, address) = (format!("n{node}"), "a".to_owned());
        apply(&mut agreed, Command::Enter { life, name, address });
        apply(&mut agreed, Command::Settle { life });
    }
    agreed
}

fn apply(agreed: &mut Agreed, command: Command) -> Reply {
    let proposal = Proposal { origin: FIRST, number: 0, floor: 0, command };
    agreed.apply(agreed.applied() + 1, &proposal).expect("it may come as often as it likes")
}

fn pool(agreed: &mut Agreed, containers: u32, nodes: u32) -> PoolId {
    let name = format!("pool-{}", agreed.pools().len());
    match apply(agreed, create(&name, containers, nodes)) {
        Reply::Pool { id, created: true } => id,
        reply => panic!("{reply:?}"),
    }
}

/// How many containers of a pool each node has, in increasing order.
fn shares(agreed: &Agreed, pool: PoolId) -> Vec<usize> {
    let mut shares = std::collections::BTreeMap::new();
    for (_, owned) in agreed.containers().iter().filter(|(container, _)| container.pool == pool) {
        *shares.entry(owned.owner.expect("somebody has it").node).or_insert(0) += 1;
    }
    let mut shares: Vec<usize> = shares.into_values().collect();
    shares.sort_unstable();
    shares
}

fn lose(agreed: &mut Agreed, node: u64) {
    let life = agreed.members()[&NodeId(node)].life;
    apply(agreed, Command::Lose { life });
    let lost_at = agreed.applied();
    assert_eq!(apply(agreed, Command::TakeOver { life, lost_at }), Reply::Done {});
}

#[test]
fn a_pool_is_spread_evenly_over_its_nodes() {
    let mut agreed = members(7);
    for (containers, nodes, expected) in [
        (7, 0, vec![1; 7]),
        (3, 3, vec![1; 3]),
        (8, 3, vec![2, 3, 3]),
        (2, 5, vec![1; 2]),
        (9, 100, vec![1, 1, 1, 1, 1, 2, 2]),
        (0, 0, vec![1; 7]),
        (0, 4, vec![1; 4]),
        (0, 40, vec![1; 7]),
    ] {
        for _ in 0..5 {
            let id = pool(&mut agreed, containers, nodes);
            assert_eq!(shares(&agreed, id), expected, "{containers} on {nodes}");
        }
    }
}

#[test]
fn a_lost_node_leaves_only_its_own_and_the_pool_stays_even() {
    let mut agreed = members(6);
    let ids: Vec<PoolId> = (0..20).map(|_| pool(&mut agreed, 6, 3)).collect();
    let before = agreed.containers().clone();
    lose(&mut agreed, 3);
    for (container, owned) in agreed.containers() {
        if before[container].owner.is_some_and(|owner| owner.node != NodeId(3)) {
            assert_eq!(*owned, before[container]);
        }
    }
    for id in ids {
        assert_eq!(shares(&agreed, id), [2, 2, 2]);
    }
}

#[test]
fn what_was_lost_is_so_until_its_owner_has_made_it() {
    let mut agreed = members(3);
    let id = pool(&mut agreed, 3, 3);
    lose(&mut agreed, 3);
    let lost: Vec<_> = agreed.containers().iter().filter(|(_, owned)| owned.lost).collect();
    let [(container, Ownership { owner: Some(_), epoch, .. })] = lost[..] else {
        panic!("{lost:?}")
    };
    let (container, epoch) = (*container, *epoch);
    let made = |epoch| Command::Made { container, epoch };
    assert_eq!(apply(&mut agreed, made(Epoch(epoch.0 - 1))), Reply::Outdated {}, "another owner");
    assert!(agreed.containers()[&container].lost);
    assert_eq!(apply(&mut agreed, made(epoch)), Reply::Done {});
    assert!(!agreed.containers()[&container].lost);
    apply(&mut agreed, Command::DestroyPool { pool: id });
    assert_eq!(apply(&mut agreed, made(epoch)), Reply::NoSuchContainer {});
}

/// What is stored on a node waits for that, until a person gives it up, and goes along when it moves.
#[test]
fn what_is_stored_on_a_node_is_made_by_no_other() {
    let mut agreed = members(3);
    let id = pool(&mut agreed, 3, 3);
    let life = |node| Life { node: NodeId(node), boot: BootId(1) };
    let mut all = agreed.containers().iter();
    let (container, owned) = all.find(|it| it.1.owner == Some(life(3))).expect("each has one");
    let (container, epoch) = (*container, owned.epoch);
    let store = |epoch| Command::Store { container, epoch };
    assert_eq!(apply(&mut agreed, store(Epoch(epoch.0 - 1))), Reply::Outdated {});
    assert_eq!(apply(&mut agreed, store(epoch)), Reply::Done {});
    // A new owner that cannot store it gives it back; one that does keeps it.
    let to = NodeId(2);
    let hand_over = |agreed: &mut Agreed, next: Life| {
        let epoch = agreed.containers()[&container].epoch;
        assert_eq!(apply(agreed, Command::Move { container, to }), Reply::Done {});
        assert_eq!(apply(agreed, Command::HandOver { container, epoch }), Reply::Done {});
        let owned = agreed.containers()[&container];
        assert_eq!((owned.owner, owned.stored_on), (Some(next), Some(NodeId(3))));
        assert_eq!(owned.arriving, Some(life(3)));
        owned.epoch
    };
    let epoch = hand_over(&mut agreed, life(2));
    let refuse = Command::Refuse { container, epoch, why: "its disk is full".to_owned() };
    assert_eq!(apply(&mut agreed, refuse), Reply::Done {});
    assert_eq!(agreed.containers()[&container].owner, Some(life(3)));
    let (again, address) = (Life { node: to, boot: BootId(2) }, "a".to_owned());
    apply(&mut agreed, Command::Enter { life: again, name: "n2".to_owned(), address });
    let life = |node| Life { node: NodeId(node), boot: BootId(if node == 2 { 2 } else { 1 }) };
    let epoch = hand_over(&mut agreed, again);
    assert_eq!(apply(&mut agreed, store(epoch)), Reply::Done {});
    assert_eq!(agreed.containers()[&container].stored_on, Some(to));

    lose(&mut agreed, 2);
    let owned = agreed.containers()[&container];
    assert_eq!((owned.owner, owned.lost, owned.stored_on), (None, true, Some(to)));
    assert_eq!(apply(&mut agreed, Command::Remove { node: to }), Reply::Outdated {});
    assert!(agreed.is_taken("n2", NodeId(9)), "it has what nobody else has");
    // Back, it gets what it has stored.
    let returns = Command::Return { life: life(2) };
    assert_eq!(apply(&mut agreed, returns), Reply::Done {});
    assert_eq!(agreed.containers()[&container].owner, Some(life(2)));

    let give_up = |number| Command::GiveUp { pool: id, number };
    assert_eq!(apply(&mut agreed, give_up(None)), Reply::Outdated {}, "all have owners");
    lose(&mut agreed, 2);
    let other = (container.number + 1) % 3;
    assert_eq!(apply(&mut agreed, give_up(Some(other))), Reply::Outdated {}, "it has an owner");
    assert_eq!(apply(&mut agreed, give_up(Some(3))), Reply::NoSuchContainer {});
    assert_eq!(apply(&mut agreed, give_up(Some(container.number))), Reply::Done {});
    let owned = agreed.containers()[&container];
    assert!(owned.lost && owned.given_up && owned.stored_on.is_none(), "{owned:?}");
    assert!(owned.owner.is_some_and(|owner| owner.node != to));
    let made = Command::Made { container, epoch: owned.epoch };
    assert_eq!(apply(&mut agreed, made), Reply::Done {});
    let owned = agreed.containers()[&container];
    assert!(!owned.lost && !owned.given_up);
    assert_eq!(apply(&mut agreed, Command::Remove { node: to }), Reply::Done {});
}

#[test]
fn one_name_is_one_pool() {
    let mut agreed = members(3);
    let id = pool(&mut agreed, 0, 0);
    let same = Reply::Pool { id, created: false };
    assert_eq!(apply(&mut agreed, create("pool-0", 0, 0)), same);
    assert_eq!(apply(&mut agreed, create("pool-0", 3, 0)), same);
    let other = Reply::OtherPool { id };
    assert_eq!(apply(&mut agreed, create("pool-0", 4, 0)), other);
    for (module, params) in [("kv", b"size: 2"), ("kw", b"size: 1")] {
        let (module, params) = (module.to_owned(), params.to_vec());
        let (name, containers, nodes, flags) = ("pool-0".to_owned(), 0, 0, 0);
        let command = Command::CreatePool { name, module, params, containers, nodes, flags };
        assert_eq!(apply(&mut agreed, command), other);
    }
}

#[test]
fn what_a_node_cannot_make_goes_to_others() {
    let mut agreed = members(3);
    let id = pool(&mut agreed, 2, 2);
    let container = ContainerId { pool: id, number: 0 };
    let refuse = |agreed: &mut Agreed| {
        let Ownership { owner, epoch, .. } = agreed.containers()[&container];
        let why = "no module \"kv\"".to_owned();
        let command = Command::Refuse { container, epoch, why };
        assert_eq!(apply(agreed, command.clone()), Reply::Done {});
        assert_eq!(apply(agreed, command), Reply::Outdated {});
        owner.expect("somebody has it").node
    };
    let mut refused: Vec<NodeId> = (0..3).map(|_| refuse(&mut agreed)).collect();
    let nobody = agreed.containers()[&container];
    assert_eq!(nobody, Ownership::fresh(Epoch(agreed.applied() - 1)));
    let last = refused[2];
    refused.sort_unstable();
    assert_eq!(refused, [1, 2, 3].map(NodeId));
    assert!(agreed.pools()[&id].refused.keys().eq(&refused));
    assert_eq!(agreed.pools()[&id].refused[&last], "no module \"kv\"");

    let other = ContainerId { pool: id, number: 1 };
    assert!(agreed.containers()[&other].owner.is_some(), "it was not refused");
    assert_eq!(apply(&mut agreed, Command::Move { container: other, to: last }), Reply::Refused {});

    // A node that starts again may have been given the module.
    let life = Life { node: last, boot: BootId(2) };
    let (name, address) = (format!("n{}", last.0), "a".to_owned());
    assert_eq!(apply(&mut agreed, Command::Enter { life, name, address }), Reply::Done {});
    assert_eq!(agreed.containers()[&container].owner, Some(life));
    assert_eq!(agreed.pools()[&id].refused.len(), 2);
}

#[test]
fn bounds_are_kept() {
    let large = |name: usize, params: usize, containers: u32| {
        let (name, module, params) = ("n".repeat(name), String::new(), vec![0; params]);
        Command::CreatePool { name, module, params, containers, nodes: 0, flags: 0 }
    };
    assert_eq!(large(255, 64 << 10, 1 << 15).check(), Ok(()));
    assert_eq!(large(256, 0, 1).check(), Err(TooLarge::Name));
    assert_eq!(large(1, (64 << 10) + 1, 1).check(), Err(TooLarge::Params));
    assert_eq!(large(1, 0, (1 << 15) + 1).check(), Err(TooLarge::Containers));

    let mut agreed = members(2);
    let all = (1 << 15) - 1;
    let id = pool(&mut agreed, all, 0);
    assert_eq!(apply(&mut agreed, large(1, 0, 2)), Reply::Full {});
    for count in 0..15 {
        assert!(matches!(apply(&mut agreed, large(100 + count, 64 << 10, 0)), Reply::Full {}));
    }
    apply(&mut agreed, Command::DestroyPool { pool: id });
    let created = (1..=20).filter(|count| {
        matches!(apply(&mut agreed, large(100 + count, 64 << 10, 1)), Reply::Pool { .. })
    });
    assert_eq!(created.count(), 15);
    pool(&mut agreed, all - 15, 0);
    assert!(agreed.to_bytes().len() < crate::Message::MAX_WORD);
}
