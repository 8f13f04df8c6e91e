//! Domain queries: which containers of a pool a task is for.

use std::cell::Cell;

use chimaera_abi::*;

use crate::failure::Failure;
use crate::pool::{Container, Pool};

/// The container that a query selects: the first, if the query selects all of them or the first
/// container's monitor decides (`asks`). Tasks that any container may run are spread round robin.
#[inline]
pub(crate) fn destination<'p>(
    pool: &'p Pool,
    query: chi_domain_query,
    asks: bool,
    next: &Cell<usize>,
) -> Result<&'p Container, Failure> {
    let containers = pool.containers();
    let number = match query.kind_ {
        CHI_DOMAIN_DYNAMIC if containers.len() > 1 && !asks => {
            next.set(next.get().wrapping_add(1));
            next.get() % containers.len()
        }
        CHI_DOMAIN_DYNAMIC | CHI_DOMAIN_GLOBAL_BCAST => return Ok(pool.asked()),
        CHI_DOMAIN_LOCAL_ID | CHI_DOMAIN_GLOBAL_ID => query.value_ as usize,
        CHI_DOMAIN_LOCAL_HASH => pool.here()[query.value_ as usize % pool.here().len()] as usize,
        CHI_DOMAIN_GLOBAL_HASH => query.value_ as usize % containers.len(),
        _ => usize::MAX,
    };
    containers.get(number).map(|found| &**found).ok_or_else(|| nowhere(pool, query))
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
