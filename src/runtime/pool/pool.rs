//! A pool: its containers on this node.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::Instant;

use chimaera_abi::chi_pool_id;

use super::container::{Container, CrashPolicy};
use super::method::PoolMethods;
use crate::access::PoolRights;
use crate::module::Module;

/// A pool. Its containers and methods do not move as long as it lives.
pub(crate) struct Pool {
    pub(crate) id: chi_pool_id,
    /// Whether only some clients may call it; `rights` then says which.
    pub(crate) restricted: bool,
    /// Boxed, because tasks do not need them: the fields that tasks use stay close together.
    pub(crate) rights: Box<PoolRights>,
    pub(crate) params: Vec<u8>,
    /// The parameters that the creator gave, as messages show them; `None` if they are too long or
    /// not text.
    pub(crate) shown: Option<String>,
    pub(crate) methods: PoolMethods,
    /// Since when it runs this version of the module.
    pub(crate) since: Instant,
    /// At least one, by number.
    containers: Box<[Arc<Container>]>,
    /// The number of the container whose monitors are asked.
    asked: usize,
    here: Box<[u32]>,
}

/// The numbers of the containers that are not passed on to others, or of all.
fn here(containers: &[Arc<Container>]) -> Box<[u32]> {
    let numbers = |all: bool| -> Box<[u32]> {
        let found = containers.iter().filter(|it| all || !it.module.is_proxy);
        found.map(|container| container.number).collect()
    };
    let found = numbers(false);
    if found.is_empty() {
        numbers(true)
    } else {
        found
    }
}

impl Pool {
    /// A pool of `count` containers, at least one, whose objects are not constructed yet.
    pub(crate) fn new(
        id: chi_pool_id,
        rights: PoolRights,
        name: Arc<CStr>,
        params: Vec<u8>,
        shown: Option<String>,
        module: &Arc<Module>,
        count: u32,
    ) -> Pool {
        assert!(count > 0, "a pool has a container");
        let on_crash = Arc::<CrashPolicy>::default();
        let container = |number| {
            let (name, module, on_crash) = (name.clone(), module.clone(), on_crash.clone());
            Arc::new(Container::new(id, number, count, name, module, on_crash))
        };
        let methods = PoolMethods::of(&module.methods);
        let containers: Box<[_]> = (0..count).map(container).collect();
        let here = here(&containers);
        Pool {
            id,
            restricted: rights.restrict_calls(),
            rights: Box::new(rights),
            params,
            shown,
            methods,
            since: Instant::now(),
            containers,
            asked: here[0] as usize,
            here,
        }
    }

    /// Its containers, by number.
    #[inline]
    pub(crate) fn containers(&self) -> &[Arc<Container>] {
        &self.containers
    }

    /// How many containers it has.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.containers.len() as u32
    }

    /// Its id as people write it: `3.0`.
    pub(crate) fn shown_id(&self) -> String {
        format!("{}.{}", self.id.major_, self.id.minor_)
    }

    pub(crate) fn name(&self) -> &str {
        self.containers[0].name()
    }

    #[inline]
    pub(crate) fn module(&self) -> &Arc<Module> {
        &self.containers[0].module
    }

    /// The policy for crashes of its methods.
    pub(crate) fn on_crash(&self) -> &CrashPolicy {
        &self.containers[0].on_crash
    }

    /// Opens the pool for tasks.
    pub(crate) fn publish(&self) {
        self.containers.iter().for_each(|container| container.publish());
    }

    /// The container whose monitors decide where tasks go: the first that is not elsewhere, or else the first.
    #[inline]
    pub(crate) fn asked(&self) -> &Arc<Container> {
        &self.containers[self.asked]
    }

    /// Its containers that are here, or all if none is.
    pub(crate) fn here(&self) -> &[u32] {
        &self.here
    }

    /// Closes the pool for new tasks.
    pub(crate) fn close(&self) {
        self.containers.iter().for_each(|container| container.admission.close());
    }

    /// Opens the pool again after a destruction that failed.
    pub(crate) fn reopen(&self) {
        self.containers.iter().for_each(|container| container.admission.open());
    }

    /// A pool of the same id that replaces this one: with new containers of `module` for those numbers
    /// for which `replaces` is true, and these for the others.
    pub(crate) fn successor(
        &self,
        module: &Arc<Module>,
        params: Vec<u8>,
        replaces: impl Fn(&Container) -> bool,
    ) -> Pool {
        let container = |old: &Arc<Container>| match replaces(old) {
            false => old.clone(),
            true => Arc::new(Container::new(
                self.id,
                old.number,
                old.count,
                old.name.clone(),
                module.clone(),
                old.on_crash.clone(),
            )),
        };
        self.with_containers(module, params, container)
    }

    /// A pool of the same id that replaces this one, with this container in the place of the one of its number.
    pub(crate) fn with(&self, container: Arc<Container>) -> Pool {
        let one = |old: &Arc<Container>| match old.number == container.number {
            true => container.clone(),
            false => old.clone(),
        };
        self.with_containers(self.module(), self.params.clone(), one)
    }

    fn with_containers(
        &self,
        module: &Arc<Module>,
        params: Vec<u8>,
        container: impl Fn(&Arc<Container>) -> Arc<Container>,
    ) -> Pool {
        let containers: Box<[_]> = self.containers.iter().map(container).collect();
        let here = here(&containers);
        Pool {
            id: self.id,
            restricted: self.restricted,
            rights: self.rights.clone(),
            params,
            shown: self.shown.clone(),
            methods: self.methods.successor(&module.methods),
            since: Instant::now(),
            containers,
            asked: here[0] as usize,
            here,
        }
    }

    /// Opens the containers that take the place of others in `old`, whose tasks are held.
    pub(crate) fn replace(&self, old: &Pool) {
        for (new, old) in self.containers.iter().zip(&old.containers) {
            if !Arc::ptr_eq(new, old) {
                new.publish_releasing();
                old.admission.replace();
                old.set_hold(None);
            }
        }
    }

    /// The number of tasks that have been admitted to its containers and have not ended. Once it is
    /// 0 for a closed pool, it stays 0.
    pub(crate) fn in_flight(&self) -> u64 {
        self.containers.iter().map(|container| container.admission.in_flight()).sum()
    }
}
