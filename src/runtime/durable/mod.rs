//! Durable pools: their definitions, in files, by which the next runtime of the instance makes them anew. It
//! imports `failure` and `sys`.
//!
//! ```text
//! STATE_DIR/INSTANCE/pools/
//!   lock                      held by the runtime
//!   MAJOR.MINOR/              one directory for each pool, by its id
//!     definition.json         what it takes to create it
//!     state                   of its containers, if the runtime was stopped in order and they save it
//!     ended                   the runtime was stopped in order
//!     files/NUMBER/           for the files of each container
//!   new-MAJOR.MINOR/          one that is being made
//!   removed-MAJOR.MINOR/      a destroyed pool, until its files are removed
//! ```

mod definition;
mod store;

pub(crate) use self::definition::PoolRecord;
pub(crate) use self::store::DurablePools;
