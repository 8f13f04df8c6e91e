//! Making pools anew that an earlier runtime had.

use std::ffi::CStr;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::Arc;

use chimaera_abi::*;

use crate::admin::restart;
use crate::config::Progress;
use crate::durable::PoolRecord;
use crate::failure::Failure;
use crate::scheduler::{with_current, Shared, WorkerMessage};
use crate::state::{SavedPool, Storage};

/// Makes all durable pools anew.
pub(crate) fn restore_durable(shared: &Shared, progress: &Progress) -> Result<(), Failure> {
    let found = shared.durable.found()?;
    let Some(last) = found.last() else { return Ok(()) };
    shared.pools.set_next_minor(last.record.id.1.wrapping_add(1));
    for pool in &found {
        progress.begin(shared.page(), what_is_done(&pool.record));
        let (reason, text) = match pool.was_stopped {
            true => (CHI_REASON_RESTARTED, c"the runtime was stopped and started again"),
            false => (CHI_REASON_KILLED, c"the runtime ended without being stopped"),
        };
        restore(shared, &pool.record, reason, text)?;
    }
    progress.end(shared.page());
    Ok(())
}

/// What is done with a pool, as the start reports it.
pub(super) fn what_is_done(record: &PoolRecord) -> String {
    let doing = if record.state.is_some() { "restoring" } else { "recovering" };
    format!("{doing} pool '{}'", record.name)
}

/// Makes a pool anew, on a worker, for this reason: a `CHI_REASON_*`, and in words.
pub(super) fn restore(
    shared: &Shared,
    record: &PoolRecord,
    reason: u32,
    text: &'static CStr,
) -> Result<(), Failure> {
    if let Some(file) = &record.file {
        load_version(shared, record, file)?;
    }
    let storage = Storage::of(shared);
    let states = record
        .state
        .as_ref()
        .map(|file| SavedPool::load(file, &storage, &Arc::default()))
        .transpose()?;
    let (answer, told) = channel();
    let own = record.clone();
    let make = move || {
        let made = with_current(|worker| {
            let worker = worker.expect("messages are read by workers");
            restart::restore(worker, &own, states.as_ref(), (reason, text))
        });
        // It fails only if the start has been abandoned.
        let _ = answer.send(made);
    };
    shared.mailbox(0).send(WorkerMessage::Run(CHI_ADMIN_CREATE_POOL, Box::new(make)));
    let crashed = |_| {
        let message = format!("pool '{}': the code of its module crashed", record.name);
        Err(Failure::new(CHI_FAULT, message))
    };
    told.recv().unwrap_or_else(crashed)
}

/// Loads the version of a module that its pools had, unless it is loaded.
fn load_version(shared: &Shared, record: &PoolRecord, file: &Path) -> Result<(), Failure> {
    let module = &record.module;
    if shared.modules.find(module).is_some_and(|found| found.path.as_deref() == Some(file)) {
        return Ok(());
    }
    let loaded = shared.modules.load_version(file, module).map_err(|why| {
        let message = format!("{}, which pool '{}' runs: {why}", file.display(), record.name);
        Failure::new(CHI_INVALID, message)
    })?;
    shared.modules.replace(loaded);
    Ok(())
}
