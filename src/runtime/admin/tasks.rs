//! Which tasks there are, and which took long.

use chimaera_metrics::{Silent, SlowTask, SlowTasks, Tasks, Wanted, SLOW_FORMAT};

use crate::host::Phase;
use crate::scheduler::chains::ask_for_tasks;
use crate::scheduler::task_list::{keep_oldest, own_tasks};
use crate::scheduler::Shared;

/// The oldest of the tasks of this process and its module hosts. The calling thread waits for the answers.
pub(crate) fn tasks(shared: &Shared, wanted: &Wanted) -> Tasks {
    let mut all = own_tasks(shared, wanted);
    for host in shared.hosts.all() {
        let Phase::Running(peer) = host.phase() else { continue };
        match ask_for_tasks(&peer, wanted) {
            Some(mut theirs) => {
                all.tasks.append(&mut theirs.tasks);
                let sum = |own: Option<u64>, their: Option<u64>| Some(own?.saturating_add(their?));
                all.suspended = sum(all.suspended, theirs.suspended);
                all.queued = sum(all.queued, theirs.queued);
                all.silent.append(&mut theirs.silent);
            }
            None => all.silent.push(Silent { process: peer.pid, worker: None }),
        }
    }
    let sessions = shared.sessions();
    for task in &mut all.tasks {
        let is_client = |number| Some(number) == task.session;
        let client = sessions.iter().find(|client| is_client(client.number));
        task.pid = client.map(|client| client.caller.pid);
    }
    keep_oldest(&mut all.tasks, wanted.most);
    all
}

/// The tasks of late that took long.
pub(crate) fn slow_tasks(shared: &Shared) -> SlowTasks {
    let metrics = &shared.metrics;
    let (noted, last) = metrics.slow.last();
    let ended = |(ago, task)| SlowTask { ago_ns: metrics.ns(ago), ..task };
    SlowTasks {
        format: SLOW_FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        threshold_ns: metrics.slow.threshold_ns(),
        measures_all: metrics.measures_all(),
        tasks: last.into_iter().map(ended).collect(),
        noted,
    }
}

/// Has every task be measured, or a sample.
pub(crate) fn measure_all(shared: &Shared, all: bool) {
    shared.metrics.measure_all(all);
    shared.tell_measured();
}
