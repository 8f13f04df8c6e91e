//! The graph of which task waits for what, and the search for circles in it.

use std::collections::{HashMap, HashSet};

use super::waiter::WaitNumber;

/// What a task is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// A task, by its record's address.
    Task(usize),
    /// A lock, by its number.
    Lock(u64),
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
    /// A broadcast's wait for its replicas, which must last until they have ended.
    pub(crate) lasting: bool,
}

/// Unbounded waits, and which task holds which lock.
#[derive(Default)]
pub(crate) struct Waits {
    pub(crate) waits: Vec<Wait>,
    pub(crate) held: Vec<(u64, usize)>,
}

/// The wait of a circle that should be ended: preferably one for a lock, because a task that waits
/// for another has lent it memory. There is always one that is not lasting: a broadcast waits only
/// for its replicas, which are not broadcasts.
pub(crate) fn victim(circle: &[Wait]) -> Option<&Wait> {
    let for_lock = circle.iter().find(|wait| matches!(wait.what, Node::Lock(_)));
    for_lock.or_else(|| circle.iter().find(|wait| !wait.lasting))
}

/// Finds a circle of waits, if there is one.
pub(crate) fn find_circle<'w>(waits: &[&'w Wait], held: &[(u64, usize)]) -> Option<Vec<&'w Wait>> {
    let by_task: HashMap<usize, &Wait> = waits.iter().map(|wait| (wait.task, *wait)).collect();
    let mut holders: HashMap<u64, Vec<usize>> = HashMap::new();
    for (number, task) in held {
        holders.entry(*number).or_default().push(*task);
    }
    let mut done: HashSet<usize> = HashSet::new();
    for wait in waits {
        // A depth-first search from this wait. `path` leads to the current wait; each step has the
        // edges that have not been followed yet.
        let mut path: Vec<(&Wait, Vec<usize>)> = Vec::new();
        let next = |wait: &Wait| match wait.what {
            Node::Task(task) => vec![task],
            Node::Lock(number) => holders.get(&number).cloned().unwrap_or_default(),
        };
        let mut on_path: HashSet<usize> = HashSet::new();
        if done.insert(wait.task) {
            on_path.insert(wait.task);
            path.push((wait, next(wait)));
        }
        while let Some((_, ways)) = path.last_mut() {
            let Some(task) = ways.pop() else {
                let left = path.pop().map(|(wait, _)| wait.task);
                left.map(|task| on_path.remove(&task));
                continue;
            };
            if on_path.contains(&task) {
                let at = path.iter().position(|(wait, _)| wait.task == task)?;
                return Some(path[at..].iter().map(|(wait, _)| *wait).collect());
            }
            if let Some(wait) = by_task.get(&task).filter(|wait| done.insert(wait.task)) {
                on_path.insert(task);
                path.push((wait, next(wait)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(task: usize, what: Node) -> Wait {
        let id = WaitId { worker: 0, coroutine: task as u32, number: WaitNumber::default() };
        Wait { id, task, what, lasting: false }
    }

    fn circle(waits: &[Wait], held: &[(u64, usize)]) -> Option<Vec<usize>> {
        let waits: Vec<&Wait> = waits.iter().collect();
        let mut found: Vec<usize> =
            find_circle(&waits, held)?.iter().map(|wait| wait.task).collect();
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
}
