//! Circles of waits that lead through several nodes. A node whose tasks wait for other nodes asks those for the
//! paths of waits through them, from a call that came there to one that went from there, and joins these to its
//! own waits. All nodes of a circle find it; the one with the lowest id breaks it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::agreed_pools::AgreedPools;
use super::chains::{self, Path};
use super::deadlock::{lasting, say, BETWEEN};
use super::mailbox::WorkerMessage;
use super::questions::Workers;
use super::shared::Shared;
use crate::sync::{find_circle, for_lock, victim, Far, NodeCall, Wait, Waits};

/// How long a node has to answer.
const ANSWER_BOUND: Duration = Duration::from_millis(500);
/// The most paths that a node tells at once. With more, a circle may be found only when some have ended.
const MOST: usize = 2_000;

/// A question to a node.
#[derive(Deserialize, Serialize)]
enum Asked {
    /// Which paths are there?
    Paths,
    /// How does this one read?
    Describe(Ends),
    /// End a wait of it, which is part of this circle.
    Break { path: Ends, circle: String, only_for_lock: bool },
}

/// The answer.
#[derive(Deserialize, Serialize)]
enum Told {
    Paths(Vec<(Ends, u64)>),
    /// The text; nothing if the path is no more.
    Described(Option<String>),
    /// Whether a wait has been ended.
    Broken(bool),
}

/// The ends of a path: the call that came to the node, and the one that went from it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
struct Ends {
    came: NodeCall,
    went: NodeCall,
}

/// The answer to another node's question. `None` if it makes no sense. Takes a while: for a thread of its own.
pub(crate) fn answer(shared: &Shared, question: &[u8]) -> Option<Vec<u8>> {
    let asked = serde_json::from_slice(question).ok()?;
    let workers = Workers::of(shared);
    let waits: Waits = workers.ask(WorkerMessage::ReportWaits);
    let paths = chains::paths(&waits, MOST, Far::call);
    let find = |ends: Ends| paths.iter().find(|path| ends_of(path) == ends);
    let told = match asked {
        Asked::Paths => Told::Paths(paths.iter().map(|path| (ends_of(path), path.sum)).collect()),
        Asked::Describe(ends) => {
            let texts = find(ends).and_then(|path| workers.describe(&path.waits));
            Told::Described(texts.map(|texts| texts.join("; ")))
        }
        Asked::Break { path, circle, only_for_lock } => {
            let waits = find(path).map_or(&[][..], |path| &path.waits);
            Told::Broken(break_one(shared, waits, &circle, only_for_lock))
        }
    };
    serde_json::to_vec(&told).ok()
}

fn ends_of(path: &Path<NodeCall>) -> Ends {
    let (came, went) = path.ends;
    Ends { came, went }
}

/// Ends one of these waits of this node. False if none of them may be ended.
fn break_one(shared: &Shared, waits: &[Wait], circle: &str, only_for_lock: bool) -> bool {
    let wait = if only_for_lock { for_lock(waits) } else { victim(waits) };
    let Some(wait) = wait else { return false };
    let message = WorkerMessage::BreakWait { id: wait.id, circle: circle.to_owned() };
    shared.mailbox(wait.id.worker).send(message);
    true
}

/// What the other nodes have told: their paths, by the call that came.
#[derive(Default)]
struct Others {
    paths: HashMap<NodeCall, Vec<(u64, Ends)>>,
    names: HashMap<u64, String>,
}

type Paths = Vec<(u64, String, Vec<(Ends, u64)>)>;

fn ask_for_paths(cluster: &dyn AgreedPools) -> Paths {
    let question = serde_json::to_vec(&Asked::Paths).unwrap_or_default();
    let told = cluster.ask_about_waits(None, &question, ANSWER_BOUND).into_iter();
    let paths = told.filter_map(|(node, name, answer)| match serde_json::from_slice(&answer) {
        Ok(Told::Paths(paths)) => Some((node, name, paths)),
        _ => None,
    });
    paths.collect()
}

impl Others {
    /// The paths that were there both times.
    fn lasting(before: &Paths, now: Paths) -> Others {
        let before: HashSet<(u64, Ends, u64)> = before
            .iter()
            .flat_map(|(node, _, paths)| paths.iter().map(|(ends, sum)| (*node, *ends, *sum)))
            .collect();
        let mut others = Others::default();
        for (node, name, paths) in now {
            others.names.insert(node, name);
            let lasting =
                paths.into_iter().filter(|(ends, sum)| before.contains(&(node, *ends, *sum)));
            for (ends, _) in lasting {
                others.paths.entry(ends.came).or_default().push((node, ends));
            }
        }
        others
    }

    /// The way over other nodes from a call to each that it leads to, by that one.
    fn ways(&self, went: NodeCall) -> Ways {
        let mut ways = Ways::new();
        let mut ends = vec![(went, Vec::new())];
        while let Some((at, way)) = ends.pop() {
            for step in self.paths.get(&at).into_iter().flatten() {
                ways.entry(step.1.went).or_insert_with(|| {
                    let longer = [&way[..], &[*step]].concat();
                    ends.push((step.1.went, longer.clone()));
                    longer
                });
            }
        }
        ways
    }
}

/// How many circles are looked for at most, of those that are for others to break.
const MOST_CIRCLES: usize = 8;

/// Looks for a circle through other nodes that is for this node to break, and breaks it. True if there was one, and
/// it is no more, or if there was one for another node.
pub(super) fn look(shared: &Arc<Shared>) -> bool {
    let Some(cluster) = shared.agreed_pools.get() else { return false };
    let workers = Workers::of(shared);
    // What is there at both times was there in between, all of it together.
    let before: Waits = workers.ask(WorkerMessage::ReportWaits);
    let theirs_before = ask_for_paths(&**cluster);
    std::thread::sleep(BETWEEN);
    let all = lasting(&before, workers.ask(WorkerMessage::ReportWaits));
    let others = Others::lasting(&theirs_before, ask_for_paths(&**cluster));
    let gone = all.waits.iter().filter_map(|wait| wait.what.far()?.call());
    let ways: HashMap<NodeCall, Ways> = gone.map(|went| (went, others.ways(went))).collect();
    let back = |ways: &Ways| ways.keys().copied().map(Far::Node).collect();
    let beyond: HashMap<Far, Vec<Far>> =
        ways.iter().map(|(went, ways)| (Far::Node(*went), back(ways))).collect();
    let mut waits: Vec<&Wait> = all.waits.iter().collect();
    let mut any = false;
    for _ in 0..MOST_CIRCLES {
        let from = |far: Far| beyond.get(&far).map_or(&[][..], |back| &back[..]);
        let Some(circle) = find_circle(&waits, &all.held, from) else { break };
        let circle: Vec<Wait> = circle.into_iter().copied().collect();
        let steps = steps_of(&circle, &ways);
        // Without other nodes, it is found elsewhere.
        let lowest = steps.iter().map(|(_, node, _)| *node).min();
        if lowest.is_some_and(|lowest| cluster.node() < lowest) {
            return break_circle(shared, &workers, &circle, &steps, &others.names).is_some();
        }
        any |= lowest.is_some();
        waits.retain(|wait| circle.iter().all(|other| other.id != wait.id));
    }
    any
}

/// The ways over other nodes from a call, by the call that comes back.
type Ways = HashMap<NodeCall, Vec<(u64, Ends)>>;

/// The paths through other nodes that a circle has, each behind a wait of this node.
fn steps_of(circle: &[Wait], ways: &HashMap<NodeCall, Ways>) -> Vec<(usize, u64, Ends)> {
    let mut steps = Vec::new();
    for (at, wait) in circle.iter().enumerate() {
        let Some(went) = wait.what.far().and_then(Far::call) else { continue };
        // The task that waits next has come from there.
        let came = circle[(at + 1) % circle.len()].from.and_then(Far::call);
        let way = came.and_then(|came| ways.get(&went)?.get(&came));
        steps.extend(way.into_iter().flatten().map(|(node, ends)| (at, *node, *ends)));
    }
    steps
}

/// Describes a circle through other nodes, and ends one of its waits. `steps` are the paths through them, each
/// behind a wait of this node. `None` if that has to be tried again.
fn break_circle(
    shared: &Shared,
    workers: &Workers<'_>,
    circle: &[Wait],
    steps: &[(usize, u64, Ends)],
    names: &HashMap<u64, String>,
) -> Option<()> {
    let cluster = shared.agreed_pools.get()?;
    let ask = |node: u64, asked: &Asked| -> Option<Told> {
        let question = serde_json::to_vec(asked).ok()?;
        let told = cluster.ask_about_waits(Some(node), &question, ANSWER_BOUND);
        serde_json::from_slice(&told.first()?.2).ok()
    };
    let mut texts = Vec::new();
    for (at, text) in workers.describe(circle)?.into_iter().enumerate() {
        texts.push(text);
        for (_, node, ends) in steps.iter().filter(|step| step.0 == at) {
            let Told::Described(text) = ask(*node, &Asked::Describe(*ends))? else { return None };
            let name = names.get(node).map_or("", String::as_str);
            texts.push(format!("on node '{name}': {}", text?));
        }
    }
    let circle_text = texts.join("; ");
    let is_broken = break_wherever(shared, circle, &circle_text, steps, ask)?;
    is_broken.then(|| say(shared, &circle_text))
}

/// Ends one wait of a circle. `None` if a node does not answer: it may have ended one, so no other node may.
fn break_wherever(
    shared: &Shared,
    circle: &[Wait],
    text: &str,
    steps: &[(usize, u64, Ends)],
    ask: impl Fn(u64, &Asked) -> Option<Told>,
) -> Option<bool> {
    for only_for_lock in [true, false] {
        if break_one(shared, circle, text, only_for_lock) {
            return Some(true);
        }
        for (_, node, ends) in steps {
            let asked = Asked::Break { path: *ends, circle: text.to_owned(), only_for_lock };
            match ask(*node, &asked)? {
                Told::Broken(true) => return Some(true),
                Told::Broken(false) => {}
                _ => return None,
            }
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(node: u64, number: u64) -> NodeCall {
        NodeCall { node, boot: 1, number }
    }

    fn ends(came: NodeCall, went: NodeCall) -> Ends {
        Ends { came, went }
    }

    /// A call of node 1 goes to node 2, and on to node 3 in two ways, one of which comes back to node 1.
    #[test]
    fn ways_lead_over_several_nodes() {
        let first = [ends(call(1, 0), call(2, 0)), ends(call(1, 0), call(2, 1))];
        let second = ends(call(2, 1), call(3, 7));
        let told = |sum| -> Paths {
            vec![
                (2, "two".into(), first.iter().map(|ends| (*ends, sum)).collect()),
                (3, "three".into(), vec![(second, 5), (ends(call(3, 7), call(2, 1)), 6)]),
            ]
        };
        let others = Others::lasting(&told(4), told(4));
        let ways = others.ways(call(1, 0));
        assert_eq!(ways[&call(3, 7)], [(2, first[1]), (3, second)]);
        assert_eq!(ways.len(), 3, "those that lead in a circle end");
        assert!(others.ways(call(1, 1)).is_empty());
        // Those of node 2 are others than before.
        assert!(Others::lasting(&told(4), told(8)).ways(call(1, 0)).is_empty());
    }

    #[test]
    fn steps_lie_between_a_call_and_the_one_that_comes_back() {
        let (gone, back) = (call(1, 0), call(2, 1));
        let wait = |task: usize, what, from| {
            let id = crate::sync::WaitId {
                worker: 0,
                coroutine: task as u32,
                number: Default::default(),
            };
            Wait { id, task, what, lasting: false, from }
        };
        let circle = [
            wait(1, crate::sync::Node::Far(Far::Node(gone)), None),
            wait(2, crate::sync::Node::Lock(8), Some(Far::Node(back))),
        ];
        let way = vec![(2, ends(gone, back))];
        let ways = HashMap::from([(gone, Ways::from([(back, way.clone())]))]);
        assert_eq!(steps_of(&circle, &ways), [(0, 2, ends(gone, back))]);
        assert!(steps_of(&circle[1..], &ways).is_empty());
    }
}
