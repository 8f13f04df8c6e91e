//! Which pools depend on which. A pool depends on those that its parameters name, by name, and on those
//! that its containers open while they are created, until those are destroyed. Pools never depend on each
//! other in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chimaera_abi::{chi_pool_id, CHI_INVALID};

use crate::failure::Failure;

/// Pools that a container opened: its number, and their names.
type Opened = BTreeSet<(u32, String)>;

struct Node {
    id: chi_pool_id,
    /// Those that its parameters name.
    named: Vec<String>,
    opened: Opened,
    /// While containers of it are created: what they have opened so far, and what the parameters name
    /// in the version of the module that they run.
    new_named: Option<Vec<String>>,
    new_opened: Opened,
}

impl Node {
    /// The pools that it depends on, or will once its containers are created.
    fn all(&self) -> impl Iterator<Item = &str> {
        let named = self.named.iter().chain(self.new_named.iter().flatten());
        let opened = self.opened.iter().chain(&self.new_opened).map(|(_, name)| name);
        named.chain(opened).map(String::as_str)
    }
}

/// The dependencies of all pools, including those that are being created or destroyed.
#[derive(Default)]
pub(super) struct Dependencies {
    pools: BTreeMap<String, Node>,
}

impl Dependencies {
    /// Adds a pool whose parameters name these. Fails if there would be a circle.
    pub(super) fn add(
        &mut self,
        name: &str,
        id: chi_pool_id,
        named: Vec<String>,
    ) -> Result<(), Failure> {
        self.check(name, named.iter().map(String::as_str))?;
        let (opened, new_opened) = (Opened::new(), Opened::new());
        let node = Node { id, named, opened, new_named: None, new_opened };
        self.pools.insert(name.to_owned(), node);
        Ok(())
    }

    /// Removes a pool that is gone, and all that its dependants know of it but the name.
    pub(super) fn remove(&mut self, name: &str) {
        self.pools.remove(name);
        for node in self.pools.values_mut() {
            node.opened.retain(|(_, other)| other != name);
            node.new_opened.retain(|(_, other)| other != name);
        }
    }

    /// Notes that a container of this pool, which is being created, opens another. Fails if there would
    /// be a circle.
    pub(super) fn open(
        &mut self,
        id: chi_pool_id,
        container: u32,
        other: &str,
    ) -> Result<(), Failure> {
        let Some((name, _)) = self.pools.iter().find(|(_, node)| node.id == id) else {
            return Ok(());
        };
        let name = name.clone();
        self.check(&name, [other])?;
        if let Some(node) = self.pools.get_mut(&name) {
            node.new_opened.insert((container, other.to_owned()));
        }
        Ok(())
    }

    /// Notes what the parameters of a pool name in another version of its module, of which containers are
    /// about to be created. Fails if there would be a circle.
    pub(super) fn rename(&mut self, name: &str, named: Vec<String>) -> Result<(), Failure> {
        self.check(name, named.iter().map(String::as_str))?;
        if let Some(node) = self.pools.get_mut(name) {
            node.new_named = Some(named);
        }
        Ok(())
    }

    /// Ends the creation of these containers of a pool, which are in use from now on. What they looked for
    /// and is not there, they do not depend on.
    pub(super) fn settle(
        &mut self,
        name: &str,
        containers: impl Fn(u32) -> bool,
        exists: impl Fn(&str) -> bool,
    ) {
        let Some(node) = self.pools.get_mut(name) else { return };
        node.opened.retain(|(container, _)| !containers(*container));
        let new = std::mem::take(&mut node.new_opened);
        let (own, others) = new.into_iter().partition(|(container, _)| containers(*container));
        node.new_opened = others;
        let own: Opened = own;
        node.opened.extend(own.into_iter().filter(|(_, other)| exists(other)));
        if let Some(named) = node.new_named.take() {
            node.named = named;
        }
    }

    /// Ends the creation of containers that are not used.
    pub(super) fn abandon(&mut self, name: &str) {
        if let Some(node) = self.pools.get_mut(name) {
            node.new_opened.clear();
            node.new_named = None;
        }
    }

    /// The names of the pools that this one depends on.
    pub(super) fn of(&self, name: &str) -> BTreeSet<String> {
        self.pools.get(name).into_iter().flat_map(Node::all).map(str::to_owned).collect()
    }

    /// The names of the pools that depend on this one.
    pub(super) fn dependants(&self, name: &str) -> Vec<String> {
        let depends = |(_, node): &(&String, &Node)| node.all().any(|other| other == name);
        self.pools.iter().filter(depends).map(|(name, _)| name.clone()).collect()
    }

    /// Brings pools into an order in which each comes after all that it depends on, and otherwise stays
    /// where it is.
    pub(super) fn in_order<T>(&self, pools: Vec<(String, T)>) -> Vec<T> {
        let names: Vec<String> = pools.iter().map(|(name, _)| name.clone()).collect();
        let mut left: HashMap<String, T> = pools.into_iter().collect();
        let mut ordered = Vec::with_capacity(names.len());
        for name in &names {
            // Those to take next, the first last; a pool stays until what it depends on has been taken.
            let mut waiting = vec![name.as_str()];
            while let Some(&next) = waiting.last() {
                let node = self.pools.get(next).filter(|_| left.contains_key(next));
                let first = node.and_then(|node| {
                    node.all().find(|other| *other != next && left.contains_key(*other))
                });
                match first {
                    Some(first) => waiting.push(first),
                    None => {
                        waiting.pop();
                        ordered.extend(left.remove(next));
                    }
                }
            }
        }
        ordered
    }

    /// Fails if this pool would depend on itself once it depends on these.
    fn check<'a>(&self, name: &str, on: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
        let Some(path) = on.into_iter().find_map(|first| self.path(first, name)) else {
            return Ok(());
        };
        let mut steps = vec![format!("'{name}' on '{}'", path[0])];
        steps.extend(path.windows(2).map(|two| format!("'{}' on '{}'", two[0], two[1])));
        let steps = steps.join(", ");
        let message = format!("pool '{name}' would depend on itself: {steps}");
        Err(Failure::new(CHI_INVALID, message))
    }

    /// The names from one pool to another that it depends on, both included.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut reached: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = vec![from];
        while let Some(name) = next.pop() {
            if name == to {
                let mut path = vec![name];
                while path[path.len() - 1] != from {
                    path.push(reached[path[path.len() - 1]]);
                }
                return Some(path.into_iter().rev().map(str::to_owned).collect());
            }
            for other in self.pools.get(name).into_iter().flat_map(Node::all) {
                if other != from && !reached.contains_key(other) {
                    reached.insert(other, name);
                    next.push(other);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> chi_pool_id {
        chi_pool_id { major_: number, minor_: 1 }
    }

    fn add(pools: &mut Dependencies, number: u32, named: &[&str]) -> Result<(), Failure> {
        let named = named.iter().map(|&name| name.to_owned()).collect();
        pools.add(&number.to_string(), id(number), named)
    }

    fn of(pools: &Dependencies, name: &str) -> Vec<String> {
        pools.of(name).into_iter().collect()
    }

    #[test]
    fn a_circle_is_refused_and_its_pools_are_named() {
        let mut pools = Dependencies::default();
        add(&mut pools, 1, &["2", "7"]).unwrap();
        add(&mut pools, 2, &["3"]).unwrap();
        let why = |failed: Result<(), Failure>| failed.unwrap_err().message;
        let own = why(add(&mut pools, 4, &["9", "4"]));
        assert_eq!(own, "pool '4' would depend on itself: '4' on '4'");
        let circle = why(add(&mut pools, 3, &["8", "1"]));
        assert_eq!(circle, "pool '3' would depend on itself: '3' on '1', '1' on '2', '2' on '3'");
        add(&mut pools, 3, &["8"]).unwrap();
        let opened = why(pools.open(id(3), 0, "2"));
        assert_eq!(opened, "pool '3' would depend on itself: '3' on '2', '2' on '3'");
        assert_eq!(of(&pools, "3"), ["8"], "what is refused leaves nothing behind");
        let renamed = why(pools.rename("2", vec!["1".into()]));
        assert_eq!(renamed, "pool '2' would depend on itself: '2' on '1', '1' on '2'");
    }

    #[test]
    fn what_is_opened_counts_while_a_container_is_created_and_then_if_it_is_used() {
        let mut pools = Dependencies::default();
        (1..=3).for_each(|number| add(&mut pools, number, &[]).unwrap());
        pools.open(id(1), 0, "2").unwrap();
        pools.open(id(1), 1, "9").unwrap();
        assert!(pools.open(id(2), 0, "1").is_err(), "the first is still being created");
        let exists = |name: &str| name != "9";
        pools.settle("1", |_| true, exists);
        assert_eq!((of(&pools, "1"), pools.dependants("2")), (vec!["2".into()], vec!["1".into()]));

        // A successor of one container opens another pool, and is then not used.
        pools.open(id(1), 0, "3").unwrap();
        assert_eq!(of(&pools, "1"), ["2", "3"]);
        pools.abandon("1");
        assert_eq!(of(&pools, "1"), ["2"]);
        pools.open(id(1), 0, "3").unwrap();
        pools.settle("1", |container| container == 0, exists);
        assert_eq!(of(&pools, "1"), ["3"], "and here it is");

        pools.remove("3");
        assert!(of(&pools, "1").is_empty());
        // A name in the parameters means whatever pool has it.
        pools.rename("1", vec!["3".into()]).unwrap();
        pools.settle("1", |_| true, exists);
        add(&mut pools, 3, &[]).unwrap();
        pools.remove("3");
        assert_eq!(pools.dependants("3"), ["1"]);
    }

    #[test]
    fn pools_come_after_those_that_they_depend_on() {
        let mut pools = Dependencies::default();
        add(&mut pools, 1, &["4"]).unwrap();
        add(&mut pools, 2, &[]).unwrap();
        add(&mut pools, 3, &["absent", "2"]).unwrap();
        add(&mut pools, 4, &["5", "3"]).unwrap();
        add(&mut pools, 5, &[]).unwrap();
        let all = (1..=6).map(|number| (number.to_string(), number)).collect();
        assert_eq!(pools.in_order(all), [5, 2, 3, 4, 1, 6]);
    }
}
