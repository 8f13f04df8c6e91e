//! Roots of other nodes. A task that came from another node belongs to the root that it has there: it gets into
//! the locks that its root holds here, also when it has come back by way of other nodes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use chimaera_cluster::Life;

use crate::sys::lock;

/// A root, as all nodes know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Root {
    /// The node whose root it is.
    pub(super) home: Life,
    /// Its number there.
    pub(super) number: u64,
}

/// The numbers that roots of other nodes have here have these bits set. Those of this node's own have the number
/// of a worker there, which is smaller.
const FOREIGN: u64 = 0x3ff << 54;

#[derive(Default)]
struct Table {
    /// The number here, and how many tasks of the root have come.
    here: HashMap<Root, (u64, usize)>,
    roots: HashMap<u64, Root>,
    given: u64,
}

/// The roots of other nodes that have tasks here.
pub(super) struct Roots {
    own: Life,
    table: Mutex<Table>,
}

impl Roots {
    pub(super) fn new(own: Life) -> Roots {
        Roots { own, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Notes that a task of a root has come. The root's number here is the same for all of its tasks that are here
    /// at one time.
    pub(super) fn enter(&self, root: Root) -> Visit<'_> {
        if root.home == self.own {
            return Visit { roots: self, number: root.number, root: None };
        }
        let mut table = self.table();
        let table = &mut *table;
        let here = table.here.entry(root).or_insert_with(|| {
            table.given += 1;
            (FOREIGN | table.given, 0)
        });
        here.1 += 1;
        table.roots.insert(here.0, root);
        Visit { roots: self, number: here.0, root: Some(root) }
    }

    /// Notes that a task of a root has gone, whose visit nobody ends.
    pub(super) fn leave(&self, root: Root) {
        let mut table = self.table();
        let Some((number, tasks)) = table.here.get_mut(&root) else { return };
        let number = *number;
        *tasks -= 1;
        if *tasks == 0 {
            table.here.remove(&root);
            table.roots.remove(&number);
        }
    }

    /// The root that has this number here.
    pub(super) fn known_as(&self, number: u64) -> Root {
        // A root that has no task here any more may have left some behind, for which nobody waits.
        let own = Root { home: self.own, number };
        match number >= FOREIGN {
            true => self.table().roots.get(&number).copied().unwrap_or(own),
            false => own,
        }
    }
}

/// As long as this exists, a root has a task here.
pub(super) struct Visit<'r> {
    roots: &'r Roots,
    /// The root's number here.
    pub(super) number: u64,
    /// Nothing if it is at home.
    root: Option<Root>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if let Some(root) = self.root {
            self.roots.leave(root);
        }
    }
}

#[cfg(test)]
mod tests {
    use chimaera_cluster::{BootId, NodeId};

    use super::*;

    fn life(node: u64) -> Life {
        Life { node: NodeId(node), boot: BootId(1) }
    }

    #[test]
    fn a_root_has_one_number_while_it_has_tasks_here() {
        let roots = Roots::new(life(1));
        let root = Root { home: life(2), number: 7 };
        let other = roots.enter(Root { home: life(3), number: 7 });
        let first = roots.enter(root);
        let second = roots.enter(root);
        assert_eq!(first.number, second.number);
        assert_ne!(first.number, other.number, "it is another node's");
        assert_eq!(roots.known_as(first.number), root);
        let number = first.number;
        drop((first, second));
        assert_ne!(roots.enter(root).number, number, "no number is used again");
        drop(other);
        assert!(roots.table().here.is_empty() && roots.table().roots.is_empty());
    }

    #[test]
    fn a_root_that_comes_home_is_the_one_that_left() {
        let roots = Roots::new(life(1));
        let number = 3 << 54 | 5;
        let root = roots.known_as(number);
        assert_eq!(root, Root { home: life(1), number });
        assert_eq!(roots.enter(root).number, number);
    }
}
