//! The definitions of durable pools follow what becomes of the pools.

use std::path::PathBuf;

use chimaera_abi::*;

use crate::config::{Isolation, OnCrash, Policy};
use crate::durable::PoolRecord;
use crate::failure::Failure;
use crate::pool::Pool;
use crate::scheduler::Shared;

/// What it takes to make a pool anew. `state` is the file with the states of its containers, if any.
pub(super) fn record(
    pool: &Pool,
    durable: bool,
    on_crash: OnCrash,
    state: Option<PathBuf>,
) -> PoolRecord {
    let module = pool.module().itself();
    let (mut flags, grants) = pool.rights.access.grants();
    let isolation = match pool.module().is_proxy {
        true => Isolation::Process,
        false => Isolation::None,
    };
    flags |= Policy { on_crash: OnCrash::default(), isolation, durable }.flags();
    let grant = |grant: &chi_grant| (grant.right_, grant.is_group_, grant.number_);
    PoolRecord {
        id: (pool.id.major_, pool.id.minor_),
        name: pool.name().to_owned(),
        module: module.name.clone(),
        file: module.path.clone().filter(|_| module.is_other_version),
        params: pool.params.clone(),
        containers: pool.count(),
        aborts: on_crash == OnCrash::Abort,
        creator: pool.rights.creator,
        flags,
        grants: grants.iter().map(grant).collect(),
        state,
    }
}

/// Writes the definition of a pool, if it is durable.
pub(crate) fn define(shared: &Shared, pool: &Pool) -> Result<(), Failure> {
    match shared.durable.has(pool.id) {
        true => shared.durable.define(&record(pool, true, pool.on_crash().get(), None)),
        false => Ok(()),
    }
}

/// Fails if a durable pool depends on one that is not: the next runtime could not make it anew.
pub(super) fn check_dependencies(shared: &Shared, name: &str) -> Result<(), Failure> {
    let (needed, _) = shared.pools.dependencies(name);
    let lasts = |name: &String| match shared.pools.named(name) {
        Some(pool) => shared.durable.has(pool.id),
        // It has been destroyed meanwhile: whoever opens it is told so.
        None => true,
    };
    match needed.iter().find(|needed| !lasts(needed)) {
        None => Ok(()),
        Some(other) => {
            let message = format!(
                "pool '{name}' cannot be durable, because it depends on pool '{other}', which is not"
            );
            Err(Failure::new(CHI_INVALID, message))
        }
    }
}
