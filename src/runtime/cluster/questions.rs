//! Questions of one node to others about the waits of their tasks, and the answers.

use std::collections::{HashMap, HashSet};
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

/// The questions that wait for answers, and whose are being answered.
#[derive(Default)]
pub(super) struct Questions {
    asked: AtomicU64,
    waiting: Mutex<HashMap<u64, Answers>>,
    /// The nodes whose question is being answered: one of each at a time.
    answering: Mutex<HashSet<NodeId>>,
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
            missing +=
                usize::from(self.endpoint().send(*node, Class::Bulk, &[&head, question]).is_ok());
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

    /// Answers the question of a node, on a thread of its own: the workers have to be asked. A node asks again
    /// only once it has an answer, or has given up.
    pub(super) fn answer(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        from: NodeId,
        number: u64,
        question: &[u8],
    ) {
        if !lock(&self.questions.answering).insert(from) {
            return;
        }
        let (cluster, shared, question) = (self.clone(), shared.clone(), question.to_vec());
        let work = move || {
            match between_nodes::answer(&shared, &question) {
                Some(answer) => {
                    let head = states::answer(number);
                    // If it is lost, the other node asks again.
                    let _ = cluster.endpoint().send(from.0, Class::Bulk, &[&head, &answer]);
                }
                None => tracing::warn!(node = from.0, "a question of another node makes no sense"),
            }
            lock(&cluster.questions.answering).remove(&from);
        };
        if std::thread::Builder::new().name("chi-circles".into()).spawn(work).is_err() {
            lock(&self.questions.answering).remove(&from);
        }
    }
}
