//! Domain queries: which containers of a pool a task is for.

use chimaera_abi::*;

use crate::container::Container;
use crate::method::Method;
use crate::pool::Pool;
use crate::record::Record;
use crate::route::destroyed;
use crate::worker::Worker;
use crate::Failure;

impl Worker {
    /// The container that a query leads to; the first for one that leads to all containers, or to
    /// wherever the first one's monitor says (`asks`).
    #[inline]
    pub(crate) fn destination<'p>(
        &self,
        pool: &'p Pool,
        query: chi_domain_query,
        asks: bool,
    ) -> Result<&'p Container, Failure> {
        let containers = pool.containers();
        let number = match query.kind_ {
            CHI_DOMAIN_DYNAMIC if containers.len() > 1 && !asks => {
                self.next_container(containers.len())
            }
            CHI_DOMAIN_DYNAMIC | CHI_DOMAIN_GLOBAL_BCAST => 0,
            CHI_DOMAIN_LOCAL_ID | CHI_DOMAIN_GLOBAL_ID => query.value_ as usize,
            CHI_DOMAIN_LOCAL_HASH | CHI_DOMAIN_GLOBAL_HASH => {
                query.value_ as usize % containers.len()
            }
            _ => usize::MAX,
        };
        containers.get(number).ok_or_else(|| nowhere(pool, query))
    }

    /// Asks a method's monitor which containers a task is for, and counts the task over to the one that
    /// it names. A task that it leaves alone goes to the containers in turn.
    ///
    /// The task must be counted in the first container of the pool.
    pub(crate) fn ask_where(
        &self,
        record: &mut Record,
        pool: &Pool,
        method: &Method,
    ) -> Result<(), Failure> {
        let first = &pool.containers()[0];
        debug_assert!(std::ptr::eq(record.container, first));
        self.ask_monitor(record, first, method, CHI_MONITOR_GLOBAL_SCHEDULE)?;
        // What the caller of a task inside the runtime asked for stays there for the next time.
        // SAFETY: the body is private, and has at least a header.
        let query = unsafe {
            let dynamic = chi_domain_query { kind_: CHI_DOMAIN_DYNAMIC, value_: 0 };
            std::mem::replace(&mut (*record.body()).dom_query_, dynamic)
        };
        let chosen = self.destination(pool, query, false).map_err(|failure| {
            let (name, why) = (&method.name, failure.message);
            let message = format!("the monitor of {name} sent the task nowhere: {why}");
            Failure::new(failure.status, message)
        })?;
        if !std::ptr::eq(chosen, first) {
            if !chosen.admit() {
                return Err(destroyed(chosen));
            }
            record.container = chosen;
            first.leave();
        }
        record.everywhere = query.kind_ == CHI_DOMAIN_GLOBAL_BCAST;
        Ok(())
    }

    /// The containers of a pool in turn.
    fn next_container(&self, count: usize) -> usize {
        let turn = self.container_turn.get();
        self.container_turn.set(turn.wrapping_add(1));
        turn % count
    }
}

#[cold]
fn nowhere(pool: &Pool, query: chi_domain_query) -> Failure {
    let (name, count) = (pool.name(), pool.count());
    let what = match query {
        chi_domain_query { kind_, .. } if kind_ > CHI_DOMAIN_GLOBAL_BCAST => {
            format!("no domain query has the kind {kind_}")
        }
        chi_domain_query { value_, .. } if count == 1 => {
            format!("pool '{name}' has no container {value_}, only container 0")
        }
        chi_domain_query { value_, .. } => {
            format!("pool '{name}' has no container {value_}: it has {count}, from 0")
        }
    };
    Failure::new(CHI_INVALID, what)
}
