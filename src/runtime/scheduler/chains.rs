//! Chains of waits in a module host, for the search for circles that lead through several processes: a task
//! that came over a link waits, over any number of tasks and locks of this process, for one that went over a
//! link. The daemon asks for them, and has one described or broken.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chimaera_abi::CHI_INVALID;
use chimaera_ipc::wire::Kind;
use chimaera_metrics::{Tasks, Wanted};
use serde::{Deserialize, Serialize};

use super::mailbox::WorkerMessage;
use super::questions::Workers;
use super::shared::Shared;
use super::task_list::own_tasks;
use crate::failure::Failure;
use crate::host::Peer;
use crate::sync::{victim, Far, Graph, Passage, Wait, Waits};

/// How long a host has to answer.
const ANSWER_BOUND: Duration = Duration::from_millis(500);
/// The most chains that are told at once. With more, a circle may be found only when some have ended.
const MOST: usize = 10_000;

/// A question of the daemon.
#[derive(Deserialize, Serialize)]
pub(super) enum Asked {
    /// Which chains are there?
    Chains,
    /// How does this one read?
    Describe(Ends),
    /// End a wait of it, which is part of this circle.
    Break(Ends, String),
    /// Which tasks are there?
    Tasks(Wanted),
}

/// The answer.
#[derive(Deserialize, Serialize)]
pub(super) enum Told {
    Chains(Vec<Chain>),
    /// The text; nothing if the chain is no more.
    Described(Option<String>),
    /// Whether a wait has been ended.
    Broken(bool),
    Tasks(Tasks),
}

/// The ends of a chain: the tasks at the links, as both processes know them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(super) struct Ends {
    /// The task that came.
    pub(super) came: At,
    /// The task that went.
    pub(super) went: At,
}

/// A task at a link: the worker of the sender, and the task's offset in the link's segment.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(super) struct At {
    pub(super) worker: u32,
    pub(super) task: u64,
}

impl At {
    pub(super) fn of(passage: Passage) -> At {
        At { worker: passage.worker, task: passage.task }
    }
}

/// A chain.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(super) struct Chain {
    pub(super) ends: Ends,
    /// Tells the same waits from others between the same ends.
    pub(super) waits: u64,
}

/// Asks a host. `None` if it does not answer in time, or with nonsense.
pub(super) fn ask(peer: &Peer, asked: &Asked) -> Option<Told> {
    let question = serde_json::to_vec(asked).ok()?;
    serde_json::from_slice(&peer.ask_and_wait(Kind::Waits, &question, ANSWER_BOUND)?).ok()
}

/// Asks a host for the oldest of its tasks. `None` if it does not answer in time, or with nonsense.
pub(crate) fn ask_for_tasks(peer: &Peer, wanted: &Wanted) -> Option<Tasks> {
    match ask(peer, &Asked::Tasks(wanted.clone()))? {
        Told::Tasks(tasks) => Some(tasks),
        Told::Chains(_) | Told::Described(_) | Told::Broken(_) => None,
    }
}

/// The answer of a module host.
pub(crate) fn answer_in_text(shared: &Shared, question: &[u8]) -> Result<Vec<u8>, Failure> {
    let garbled =
        |error| Failure::new(CHI_INVALID, format!("a question about chains of waits: {error}"));
    let asked = serde_json::from_slice(question).map_err(garbled)?;
    serde_json::to_vec(&answer(shared, asked)).map_err(garbled)
}

fn answer(shared: &Shared, asked: Asked) -> Told {
    let workers = Workers::of(shared);
    let look = || chains(&workers.ask(WorkerMessage::ReportWaits));
    let find = |ends: Ends| look().into_iter().find(|(chain, _)| chain.ends == ends);
    match asked {
        Asked::Tasks(wanted) => Told::Tasks(own_tasks(shared, &wanted)),
        Asked::Chains => Told::Chains(look().into_iter().map(|(chain, _)| chain).collect()),
        Asked::Describe(ends) => {
            let texts = find(ends).and_then(|(_, path)| workers.describe(&path));
            Told::Described(texts.map(|texts| texts.join("; ")))
        }
        Asked::Break(ends, circle) => {
            let path = find(ends).map_or(Vec::new(), |(_, path)| path);
            let Some(victim) = victim(&path) else { return Told::Broken(false) };
            let message = WorkerMessage::BreakWait { id: victim.id, circle };
            shared.mailbox(victim.id.worker).send(message);
            Told::Broken(true)
        }
    }
}

/// The chains in these waits from one process to another, each with its waits.
fn chains(waits: &Waits) -> Vec<(Chain, Vec<Wait>)> {
    let chain = |Path { ends: (came, went), waits, sum }| {
        let ends = Ends { came: At::of(came), went: At::of(went) };
        (Chain { ends, waits: sum }, waits)
    };
    paths(waits, MOST, Far::passage).into_iter().map(chain).collect()
}

/// A path of waits from a task that came to one that went.
pub(super) struct Path<T> {
    /// The one that came, and the one that went.
    pub(super) ends: (T, T),
    pub(super) waits: Vec<Wait>,
    /// Tells the same waits from others between the same ends.
    pub(super) sum: u64,
}

/// At most `most` of the paths through this process that these waits are, of those whose ends are `of` a kind.
pub(super) fn paths<T>(
    waits: &Waits,
    most: usize,
    of: impl Fn(Far) -> Option<T> + Copy,
) -> Vec<Path<T>> {
    let mut found = Vec::new();
    let all: Vec<&Wait> = waits.waits.iter().collect();
    let graph = Graph::new(&all, &waits.held);
    for first in &all {
        if first.from.and_then(of).is_none() {
            continue;
        }
        for path in graph.ways_out(first) {
            let went = path.last().and_then(|last| last.what.far());
            let ends = first.from.and_then(of).zip(went.and_then(of));
            let Some(ends) = ends else { continue };
            let mut hasher = DefaultHasher::new();
            path.iter().for_each(|wait| wait.id.hash(&mut hasher));
            let waits = path.into_iter().copied().collect();
            found.push(Path { ends, waits, sum: hasher.finish() });
            if found.len() >= most {
                return found;
            }
        }
    }
    found
}

/// The chains of module hosts, by host and by the task that came.
#[derive(Default)]
pub(super) struct Beyond(HashMap<Far, Vec<Far>>);

impl Beyond {
    /// The chains of these hosts that were there both times.
    pub(super) fn lasting(before: &[(i32, Vec<Chain>)], now: &[(i32, Vec<Chain>)]) -> Beyond {
        let at =
            |process, at: At| Far::Process(Passage { process, worker: at.worker, task: at.task });
        let before: HashSet<(i32, Chain)> =
            before.iter().flat_map(|(host, chains)| chains.iter().map(|c| (*host, *c))).collect();
        let mut beyond = Beyond::default();
        for (host, chain) in
            now.iter().flat_map(|(host, chains)| chains.iter().map(|c| (*host, *c)))
        {
            if before.contains(&(host, chain)) {
                let [came, went] = [at(host, chain.ends.came), at(host, chain.ends.went)];
                beyond.0.entry(came).or_default().push(went);
            }
        }
        beyond
    }

    /// What a task that went to a host waits for there: tasks that have come from it.
    pub(super) fn from(&self, far: Far) -> &[Far] {
        self.0.get(&far).map_or(&[], Vec::as_slice)
    }
}
