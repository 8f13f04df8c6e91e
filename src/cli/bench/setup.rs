//! The setup of a measurement: its modules and cores, and how it shows its progress.

use std::path::PathBuf;

use crate::context::Failed;

#[derive(clap::Args)]
pub(super) struct Modules {
    /// A directory with modules to measure (chimaera:empty, chimaera:bench, chimaera:bdev,
    /// chimaera:kv, example:empty), scanned before those of CHI_REPO_PATH; can be repeated
    #[arg(long = "modules", value_name = "DIR")]
    pub(super) directories: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Setup {
    #[command(flatten)]
    pub(super) modules: Modules,
    /// The cores of the client and of the runtime's worker
    #[arg(long, num_args = 2, value_names = ["CLIENT", "WORKER"])]
    pub(super) cores: Option<Vec<usize>>,
}

/// The two cores of a measurement.
#[derive(Clone, Copy)]
pub(super) struct Cores {
    pub(super) client: usize,
    pub(super) worker: usize,
}

impl Setup {
    pub(super) fn cores(&self) -> Result<Cores, Failed> {
        let [client, worker] = match &self.cores {
            Some(given) => [check_core(given[0])?, check_core(given[1])?],
            None => match allowed_cores()?[..] {
                [client, worker, ..] => [client, worker],
                _ => return Err(two_cores()),
            },
        };
        Ok(Cores { client, worker })
    }
}

pub(super) fn two_cores() -> Failed {
    Failed::Message("this measurement needs two cores, but this process may use only one".into())
}

/// The cores that this process may use.
pub(super) fn allowed_cores() -> Result<Vec<usize>, Failed> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect())
}

/// Checks that this process may use the given core.
pub(super) fn check_core(given: usize) -> Result<usize, Failed> {
    let cores = allowed_cores()?;
    match cores.contains(&given) {
        true => Ok(given),
        false => Err(Failed::Message(format!(
            "this process may not use core {given}; choose one of {cores:?}"
        ))),
    }
}

/// The other cores that this process may use, or all if there are no others.
pub(super) fn others(these: &[usize]) -> Result<Vec<usize>, Failed> {
    let cores = allowed_cores()?;
    let others: Vec<usize> = cores.iter().copied().filter(|core| !these.contains(core)).collect();
    Ok(if others.is_empty() { cores } else { others })
}

/// Binds the calling thread, and the processes that it starts, to cores.
pub(super) fn bind(cores: impl IntoIterator<Item = usize>) -> rustix::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    cores.into_iter().for_each(|core| set.set(core));
    rustix::thread::sched_setaffinity(None, &set)
}

/// Shows a line of progress if standard error is a terminal.
pub(super) fn progress(text: &str) {
    use std::io::{IsTerminal, Write};
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        // Failing to show progress is not an error.
        let _ = write!(terminal, "\r\x1b[K{text}");
    }
}
