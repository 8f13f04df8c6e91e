//! What is to be done for pools of the cluster on this node: one step after the other for each.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use chimaera_cluster::{ContainerId, Epoch, NodeId, PoolId};

use crate::config::Policy;
use crate::failure::Failure;
use crate::sys::lock;

/// A pool, as it was agreed on.
#[derive(Clone)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) module: String,
    pub(super) params: Vec<u8>,
    pub(super) containers: u32,
    pub(super) policy: Policy,
}

/// What there is of a container that begins.
#[derive(Clone, Copy, Default)]
pub(super) struct Remains {
    /// Its last owner was lost, with what it had in memory.
    pub(super) lost: bool,
    /// A person has said that it may begin without that.
    pub(super) given_up: bool,
    /// It was handed over, so its state is here, unless this node has started again since.
    pub(super) arriving: bool,
    /// What it stores is on this node.
    pub(super) is_stored_here: bool,
}

/// A step.
pub(super) enum Step {
    /// The pool exists.
    Install(Definition),
    /// A container is this node's.
    Open { container: ContainerId, epoch: Epoch, remains: Remains },
    /// A container is to go to another node.
    Close { container: ContainerId, epoch: Epoch, to: NodeId },
    /// A container is not this node's any more.
    Drop(ContainerId),
    /// The pool is no more.
    Remove,
}

#[derive(Default)]
struct Job {
    steps: VecDeque<Step>,
    runs: bool,
    /// Why the pool is not here, although it was agreed on.
    failure: Option<Failure>,
}

/// The steps that are to be done.
#[derive(Default)]
pub(super) struct PoolJobs(Mutex<HashMap<PoolId, Job>>);

impl PoolJobs {
    /// Why a pool is not here, if that is known.
    pub(super) fn failure(&self, pool: PoolId) -> Option<Failure> {
        let jobs = lock(&self.0);
        let failure = jobs.get(&pool)?.failure.as_ref()?;
        Some(Failure::new(failure.status, failure.message.clone()))
    }

    /// Adds a step. True if somebody does the steps of this pool already.
    pub(super) fn add(&self, pool: PoolId, step: Step) -> bool {
        let mut jobs = lock(&self.0);
        let job = jobs.entry(pool).or_default();
        job.steps.push_back(step);
        std::mem::replace(&mut job.runs, true)
    }

    /// The next step of a pool, for whoever does them.
    pub(super) fn next(&self, pool: PoolId) -> Option<Step> {
        let mut jobs = lock(&self.0);
        let job = jobs.get_mut(&pool)?;
        let next = job.steps.pop_front();
        if next.is_none() {
            job.runs = false;
            if job.failure.is_none() {
                jobs.remove(&pool);
            }
        }
        next
    }

    /// Notes why a pool is not here.
    pub(super) fn fail(&self, pool: PoolId, failure: Failure) {
        lock(&self.0).entry(pool).or_default().failure = Some(failure);
    }
}
