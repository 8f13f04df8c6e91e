//! The runtime as a node of a cluster. The node of `chimaera-cluster` is told what happens, and what it wants is
//! done (`driver`), by whoever has something to tell it (`handle`, `combiner`); its log is on the disk (`chimaera-journal`), its messages go over `chimaera-link`.
//! Pools are followed as they are agreed on (`pools`): containers of other nodes are stood for by such that pass
//! tasks on (`remote`, `flat`), states of those that move go from node to node (`states`), those that are here are served while the node
//! holds its lease (`guard`); tasks of other nodes run as tasks of the runtime's own (`serve`), for the roots that they
//! have there (`roots`). Monitors learn where containers are (`places`). Nodes ask each other about the waits of their tasks (`questions`). It imports the
//! admin pool and every room below it.

mod attend;
mod clock;
mod combiner;
mod driver;
mod flat;
mod guard;
mod handle;
mod jobs;
mod join;
mod losses;
mod places;
mod pools;
mod questions;
mod remote;
mod roots;
mod serve;
mod states;
mod waiting;

pub(crate) use self::join::join;
