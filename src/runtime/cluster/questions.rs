//! Questions of one node to others about the waits of their tasks, and the answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_cluster::NodeId;
use chimaera_link::Class;

use super::handle::Cluster;
use super::states;
use crate::scheduler::{between_nodes, Shared};
use crate::sys::lock;

type Answers = Sender<(NodeId, Vec<u8>)>;

/// The questions that wait for answers, and those that are being answered.
#[derive(Default)]
pub(super) struct Questions {
    asked: AtomicU64,
    waiting: Mutex<HashMap<u64, Answers>>,
    /// How many questions of each node are being answered.
    answering: Mutex<HashMap<NodeId, usize>>,
}

/// How many questions of a node are answered at a time: it asks another one when it has an answer, or has given up.
const MOST_OF_ONE: usize = 4;
/// An answer with more bytes than this goes as values do, so that it holds up nothing.
const LARGE: usize = 16 << 10;

/// While this exists, a question is being answered.
struct Answering {
    cluster: Arc<Cluster>,
    from: NodeId,
}

impl Answering {
    fn new(cluster: &Arc<Cluster>, from: NodeId) -> Option<Answering> {
        let mut answering = lock(&cluster.questions.answering);
        let count = answering.entry(from).or_default();
        (*count < MOST_OF_ONE).then(|| {
            *count += 1;
            Answering { cluster: cluster.clone(), from }
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut answering = lock(&self.cluster.questions.answering);
        if let Some(count) = answering.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                answering.remove(&self.from);
            }
        }
    }
}

impl Questions {
    /// Takes an answer, if somebody waits for it.
    pub(super) fn answered(&self, from: NodeId, number: u64, answer: &[u8]) {
        if let Some(waiting) = lock(&self.waiting).get(&number) {
            // Whoever asked may have given up just now.
            let _ = waiting.send((from, answer.to_vec()));
        }
    }

    fn begin(&self) -> (u64, Receiver<(NodeId, Vec<u8>)>) {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let (answers, told) = channel();
        lock(&self.waiting).insert(number, answers);
        (number, told)
    }

    fn end(&self, number: u64) {
        lock(&self.waiting).remove(&number);
    }
}

impl Cluster {
    /// Asks one node, or all that are connected; see `AgreedPools::ask_about_waits`.
    pub(super) fn ask(
        &self,
        node: Option<u64>,
        question: &[u8],
        bound: Duration,
    ) -> Vec<(u64, String, Vec<u8>)> {
        let until = Instant::now() + bound;
        let peers = self.endpoint().peers().into_iter();
        let names: HashMap<u64, String> = peers
            .filter(|peer| peer.connected.is_some() && node.is_none_or(|node| node == peer.node))
            .map(|peer| (peer.node, peer.peer.map(|peer| peer.name).unwrap_or_default()))
            .collect();
        let (number, told) = self.questions.begin();
        let head = states::question(number);
        let mut missing = 0;
        for node in names.keys() {
            // A node that cannot be asked does not answer.
            missing += usize::from(
                self.endpoint().send(*node, class(question), &[&head, question]).is_ok(),
            );
        }
        let mut answers = HashMap::new();
        while answers.len() < missing {
            let Ok((from, answer)) =
                told.recv_timeout(until.saturating_duration_since(Instant::now()))
            else {
                break;
            };
            if names.contains_key(&from.0) {
                answers.insert(from.0, answer);
            }
        }
        self.questions.end(number);
        let named = |(node, answer)| (node, names[&node].clone(), answer);
        answers.into_iter().map(named).collect()
    }

    /// Answers the question of a node, on a thread of its own: the workers have to be asked.
    pub(super) fn answer(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        from: NodeId,
        number: u64,
        question: &[u8],
    ) {
        // It asks again.
        let Some(answering) = Answering::new(self, from) else { return };
        let (shared, question) = (shared.clone(), question.to_vec());
        let work = move || match between_nodes::answer(&shared, &question) {
            Some(answer) => {
                let head = states::answer(number);
                let endpoint = answering.cluster.endpoint();
                // If it is lost, the other node asks again.
                let _ = endpoint.send(from.0, class(&answer), &[&head, &answer]);
            }
            None => tracing::warn!(node = from.0, "a question of another node makes no sense"),
        };
        // As above, if there is no thread for it.
        let _ = std::thread::Builder::new().name("chi-circles".into()).spawn(work);
    }
}

fn class(bytes: &[u8]) -> Class {
    match bytes.len() > LARGE {
        true => Class::Bulk,
        false => Class::Small,
    }
}
