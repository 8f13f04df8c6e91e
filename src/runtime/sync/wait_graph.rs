//! The graph of which task waits for what, and the search for circles in it.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::waiter::WaitNumber;

/// What a task is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// A task, by its record's address.
    Task(usize),
    /// A lock, by its number.
    Lock(u64),
    /// A task that went to another process or node.
    Far(Far),
}

impl Node {
    /// The task that went to another process or node.
    pub(crate) fn far(self) -> Option<Far> {
        match self {
            Node::Far(far) => Some(far),
            Node::Task(_) | Node::Lock(_) => None,
        }
    }
}

/// A task that goes from here to where others cannot be looked at, or comes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Far {
    /// To another process of this node, or from there.
    Process(Passage),
    /// To another node, or from there: both know the call by the same name.
    Node(NodeCall),
}

impl Far {
    /// How it goes to another process of this node, or came from there.
    pub(crate) fn passage(self) -> Option<Passage> {
        match self {
            Far::Process(passage) => Some(passage),
            Far::Node(_) => None,
        }
    }

    /// How it goes to another node, or came from there.
    pub(crate) fn call(self) -> Option<NodeCall> {
        match self {
            Far::Node(call) => Some(call),
            Far::Process(_) => None,
        }
    }
}

/// The call of a node for a task that runs on another one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct NodeCall {
    /// The node that calls.
    pub(crate) node: u64,
    /// Which of its lives.
    pub(crate) boot: u64,
    /// The number of the call in that life.
    pub(crate) number: u64,
}

/// How a task goes from a worker of one process to another process over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Passage {
    /// The process at the other end.
    pub(crate) process: i32,
    /// The sender's worker.
    pub(crate) worker: u32,
    /// The task's offset in the link's segment.
    pub(crate) task: u64,
}

/// Identifies a wait of a coroutine of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WaitId {
    pub(crate) worker: u32,
    pub(crate) coroutine: u32,
    pub(crate) number: WaitNumber,
}

/// An unbounded wait of a suspended task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) id: WaitId,
    /// The waiting task, by its record's address.
    pub(crate) task: usize,
    pub(crate) what: Node,
    /// A broadcast's wait for its replicas, or the wait that serves a call of another node: they must last until
    /// what they are for has ended.
    pub(crate) lasting: bool,
    /// Where the waiting task came from, if that is another process or node.
    pub(crate) from: Option<Far>,
}

/// Unbounded waits, and which task holds which lock.
#[derive(Default)]
pub(crate) struct Waits {
    pub(crate) waits: Vec<Wait>,
    pub(crate) held: Vec<(u64, usize)>,
}

/// The wait of these that should be ended: preferably one for a lock, because a task that waits for another
/// has lent it memory. A broadcast waits until its replicas have ended, and a task that has gone to another
/// process until it is back.
pub(crate) fn victim(waits: &[Wait]) -> Option<&Wait> {
    let may_end = |wait: &&Wait| !wait.lasting && wait.what.far().is_none();
    for_lock(waits).or_else(|| waits.iter().find(may_end))
}

/// One of these waits that is for a lock.
pub(crate) fn for_lock(waits: &[Wait]) -> Option<&Wait> {
    waits.iter().find(|wait| matches!(wait.what, Node::Lock(_)))
}

/// Which wait leads to which.
pub(crate) struct Graph<'w> {
    by_task: HashMap<usize, &'w Wait>,
    by_from: HashMap<Far, usize>,
    holders: HashMap<u64, Vec<usize>>,
}

impl<'w> Graph<'w> {
    pub(crate) fn new(waits: &[&'w Wait], held: &[(u64, usize)]) -> Graph<'w> {
        let mut holders: HashMap<u64, Vec<usize>> = HashMap::new();
        for (number, task) in held {
            holders.entry(*number).or_default().push(*task);
        }
        Graph {
            by_task: waits.iter().map(|wait| (wait.task, *wait)).collect(),
            by_from: waits.iter().filter_map(|wait| Some((wait.from?, wait.task))).collect(),
            holders,
        }
    }

    /// The tasks that this wait is for. `beyond` tells which tasks come back from the process that one has
    /// gone to.
    fn next<'b>(&self, wait: &Wait, beyond: &impl Fn(Far) -> &'b [Far]) -> Vec<usize> {
        match wait.what {
            Node::Task(task) => vec![task],
            Node::Lock(number) => self.holders.get(&number).cloned().unwrap_or_default(),
            Node::Far(far) => {
                beyond(far).iter().filter_map(|back| self.by_from.get(back).copied()).collect()
            }
        }
    }

    /// Walks, depth first, over the waits that can be reached from `first` and are not in `done`, to which
    /// they are added. Calls `visit` with the path to each, and with the path and a place on it when the
    /// path's end leads back there, until that returns true.
    fn walk<'b>(
        &self,
        first: &'w Wait,
        done: &mut HashSet<usize>,
        beyond: impl Fn(Far) -> &'b [Far],
        mut visit: impl FnMut(&[&'w Wait], Option<usize>) -> bool,
    ) {
        // The path to the current wait, the place of each task on it, and for each of its waits the tasks
        // that have not been looked at.
        let (mut path, mut places, mut ways) = (Vec::new(), HashMap::new(), Vec::new());
        let mut enter = Some(first).filter(|first| done.insert(first.task));
        loop {
            if let Some(wait) = enter.take() {
                places.insert(wait.task, path.len());
                path.push(wait);
                ways.push(self.next(wait, &beyond));
                if visit(&path, None) {
                    return;
                }
            }
            let Some(way) = ways.last_mut() else { return };
            let Some(task) = way.pop() else {
                ways.pop();
                path.pop().map(|left| places.remove(&left.task));
                continue;
            };
            if let Some(at) = places.get(&task) {
                if visit(&path, Some(*at)) {
                    return;
                }
            }
            enter = self.by_task.get(&task).copied().filter(|wait| done.insert(wait.task));
        }
    }

    /// The paths that lead from a wait to those for tasks which have gone to another process.
    pub(crate) fn ways_out(&self, first: &'w Wait) -> Vec<Vec<&'w Wait>> {
        let mut found = Vec::new();
        self.walk(
            first,
            &mut HashSet::new(),
            |_| &[],
            |path, back| {
                if back.is_none() && path.last().is_some_and(|wait| wait.what.far().is_some()) {
                    found.push(path.to_vec());
                }
                false
            },
        );
        found
    }
}

/// Finds a circle of waits, if there is one. `beyond` tells which tasks come back from the process that one
/// has gone to.
pub(crate) fn find_circle<'w, 'b>(
    waits: &[&'w Wait],
    held: &[(u64, usize)],
    beyond: impl Fn(Far) -> &'b [Far],
) -> Option<Vec<&'w Wait>> {
    let graph = Graph::new(waits, held);
    let mut done: HashSet<usize> = HashSet::new();
    let mut circle = None;
    for first in waits {
        graph.walk(first, &mut done, &beyond, |path, back| {
            circle = back.map(|at| path[at..].to_vec());
            circle.is_some()
        });
        if circle.is_some() {
            break;
        }
    }
    circle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(task: usize, what: Node) -> Wait {
        let id = WaitId { worker: 0, coroutine: task as u32, number: WaitNumber::default() };
        Wait { id, task, what, lasting: false, from: None }
    }

    fn circle(waits: &[Wait], held: &[(u64, usize)]) -> Option<Vec<usize>> {
        let waits: Vec<&Wait> = waits.iter().collect();
        let mut found: Vec<usize> =
            find_circle(&waits, held, |_| &[])?.iter().map(|wait| wait.task).collect();
        found.sort_unstable();
        Some(found)
    }

    #[test]
    fn circles_of_tasks_and_locks_are_found() {
        assert_eq!(circle(&[wait(1, Node::Task(1))], &[]), Some(vec![1]));
        let chain = [wait(1, Node::Task(2)), wait(2, Node::Task(3))];
        assert_eq!(circle(&chain, &[]), None);
        let crossed = [wait(1, Node::Lock(8)), wait(2, Node::Lock(9)), wait(3, Node::Task(1))];
        assert_eq!(circle(&crossed, &[(8, 2), (9, 1)]), Some(vec![1, 2]));
        assert_eq!(circle(&crossed, &[(8, 2), (9, 4)]), None, "4 runs");
        let mixed = [wait(1, Node::Lock(8)), wait(2, Node::Task(3)), wait(3, Node::Lock(7))];
        assert_eq!(circle(&mixed, &[(8, 5), (8, 2), (7, 1)]), Some(vec![1, 2, 3]));
    }

    fn far(task: u64) -> Far {
        Far::Process(Passage { process: 1, worker: 0, task })
    }

    /// Task 1 waits for 2, which has gone to another process, from where 3 has come, which waits for a lock
    /// that task 1 holds.
    #[test]
    fn circles_lead_through_other_processes() {
        let came = Wait { from: Some(far(9)), ..wait(3, Node::Lock(8)) };
        let all = [wait(1, Node::Task(2)), wait(2, Node::Far(far(5))), came];
        let waits: Vec<&Wait> = all.iter().collect();
        let back = [far(9)];
        let beyond = |gone: Far| if gone == far(5) { &back[..] } else { &[] };
        let held = [(8, 1)];
        assert!(find_circle(&waits, &held, |_| &[]).is_none(), "nothing is known to come back");
        assert_eq!(find_circle(&waits, &held, beyond).unwrap().len(), 3);
        assert!(find_circle(&waits, &[(8, 4)], beyond).is_none(), "4 runs");
        assert_eq!(victim(&all).unwrap().task, 3);
        assert_eq!(victim(&all[..2]).unwrap().task, 1);
        assert!(victim(&all[1..2]).is_none(), "it has gone to another process");
    }

    #[test]
    fn chains_lead_out_of_the_process() {
        let came = Wait { from: Some(far(9)), ..wait(3, Node::Lock(8)) };
        let all = [wait(1, Node::Far(far(5))), wait(2, Node::Task(7)), came];
        let waits: Vec<&Wait> = all.iter().collect();
        let ends = |held: &[(u64, usize)]| -> Vec<Vec<usize>> {
            let paths = Graph::new(&waits, held).ways_out(&all[2]);
            paths.iter().map(|path| path.iter().map(|wait| wait.task).collect()).collect()
        };
        assert_eq!(ends(&[(8, 1), (8, 2)]), [[3, 1]]);
        assert!(ends(&[(8, 2)]).is_empty());
    }

    #[test]
    fn a_broadcast_does_not_leave_a_circle_and_other_parents_only_if_they_must() {
        let victim = |circle: &[Wait]| victim(circle).map(|wait| wait.task);
        let broadcast = Wait { lasting: true, ..wait(1, Node::Task(2)) };
        let (parent, locked) = (wait(2, Node::Task(3)), wait(3, Node::Lock(8)));
        assert_eq!(victim(&[broadcast, parent, locked]), Some(3));
        assert_eq!(victim(&[broadcast, parent]), Some(2));
    }

    #[test]
    fn many_waits_without_a_circle_take_little() {
        let waits: Vec<Wait> = (0..20_000).map(|task| wait(task, Node::Task(task + 1))).collect();
        assert_eq!(circle(&waits, &[]), None);
    }

    #[test]
    fn many_tasks_that_came_and_went_take_little() {
        let came = |task: usize| Wait {
            from: Some(far(task as u64)),
            ..wait(task, Node::Far(far(100_000 + task as u64)))
        };
        let all: Vec<Wait> = (0..20_000).map(came).collect();
        let waits: Vec<&Wait> = all.iter().collect();
        let graph = Graph::new(&waits, &[]);
        assert!(waits.iter().all(|first| graph.ways_out(first).len() == 1));
    }
}
