//! A device in a file that can be closed and opened again: its container leaves the file to a successor,
//! and takes it back if there is none after all.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use chimaera::abi::{CHI_BUSY, CHI_NO_POOL};
use chimaera::{PoolId, Result, Status};
use chimaera_bdev_client::Params;

use crate::disk::NO_WORKER;
use crate::file::{File, Files};
use crate::map::{Map, Run};
use crate::volume::{show, Volume};

/// The files of the pools of this process. Each runtime begins to number its pools at a moment's
/// nanosecond, so those of several runtimes in one process have different ids.
static FILES: LazyLock<Mutex<HashMap<PoolId, Weak<Files>>>> = LazyLock::new(Mutex::default);

fn files() -> MutexGuard<'static, HashMap<PoolId, Weak<Files>>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device in a file.
pub(crate) struct Backing {
    params: Params,
    pool: PoolId,
    /// Written only while no task is in the container.
    opened: UnsafeCell<Option<Box<Opened>>>,
    /// What was closed.
    left: Mutex<Option<Left>>,
}

/// A device that was closed.
#[derive(Clone)]
struct Left {
    uuid: String,
    /// The blocks that had an owner. The file does not say so.
    owned: Vec<Run>,
}

// SAFETY: all threads only read `opened`, except when no task is in the container, as the callers of
// `close`, `reopen` and `take_over` guarantee; the runtime orders that before and after all tasks. What is
// in it, and the other fields, can be used by several threads at once.
unsafe impl Sync for Backing {}

/// A file that is open.
pub(crate) struct Opened {
    pub(crate) volume: Volume<File>,
    pub(crate) map: Map,
}

impl Backing {
    /// Opens the file, unless a container of the same pool has it open: one that has crashed, to be
    /// succeeded by `take_over`, or a predecessor that goes on after all. Errors: those of the file and of
    /// what it contains.
    pub(crate) fn new(params: Params, pool: PoolId, worker: u32) -> Result<Backing> {
        let (opened, left) = (UnsafeCell::new(None), Mutex::default());
        let backing = Backing { params, pool, opened, left };
        let is_in_use = files().get(&pool).is_some_and(|files| files.strong_count() > 0);
        if !is_in_use {
            let opened = backing.open(&backing.params, false, worker)?;
            // SAFETY: nobody else has seen it.
            unsafe { *backing.opened.get() = Some(opened) };
        }
        Ok(backing)
    }

    /// `again` if the file must be a device already.
    fn open(&self, params: &Params, again: bool, worker: u32) -> Result<Box<Opened>> {
        let file = File::open(params, worker)?;
        if again && !Volume::is_in(&file, worker)? {
            let text = format!("{} is not the device that it was: put that back", params.path);
            return Err(Status::invalid(text));
        }
        let known = Arc::downgrade(file.files());
        let (volume, map) = Volume::open(file, params, worker)?;
        let mut files = files();
        files.retain(|_, files| files.strong_count() > 0);
        files.insert(self.pool, known);
        Ok(Box::new(Opened { volume, map }))
    }

    /// What is open. Errors: `CHI_BUSY` if a predecessor has the file, `CHI_NO_POOL` if it was closed.
    pub(crate) fn opened(&self) -> Result<&Opened> {
        // SAFETY: nobody writes it while a task is in the container, or while its code saves or loads it.
        let opened = unsafe { &*self.opened.get() };
        opened.as_deref().ok_or_else(|| {
            let path = &self.params.path;
            match files().get(&self.pool).is_some_and(|files| files.strong_count() > 0) {
                true => Status::new(CHI_BUSY, format!("{path} is still used by another container")),
                false => Status::new(CHI_NO_POOL, format!("{path} is closed")),
            }
        })
    }

    pub(crate) fn path(&self) -> &str {
        &self.params.path
    }

    /// Writes everything, and closes the file. Errors: those of the disk; then it is still open.
    ///
    /// # Safety
    /// No task may be in the container.
    pub(crate) unsafe fn close(&self) -> Result<()> {
        // SAFETY: by the caller's promise, nobody else uses it.
        let opened = unsafe { &mut *self.opened.get() };
        if let Some(Opened { volume, map }) = opened.as_deref() {
            volume.flush(NO_WORKER, map)?;
            let uuid = show(volume.uuid());
            *self.left() = Some(Left { uuid, owned: map.owned() });
        }
        *opened = None;
        Ok(())
    }

    /// Opens the file that was closed. Errors: as for `new`; also if it is another device now.
    ///
    /// # Safety
    /// No task may be in the container.
    pub(crate) unsafe fn reopen(&self) -> Result<()> {
        // SAFETY: by the caller's promise, nobody else uses it.
        let opened = unsafe { &mut *self.opened.get() };
        let left = self.left().clone();
        if let (None, Some(Left { uuid, owned })) = (&opened, left) {
            let params = Params { uuid, overwrite: false, ..self.params.clone() };
            let again = self.open(&params, true, NO_WORKER)?;
            again.map.take(&owned)?;
            *opened = Some(again);
        }
        Ok(())
    }

    /// Opens the file that a container of the pool had when it crashed.
    ///
    /// # Safety
    /// No task may be in the container, nor ever again in the other one.
    pub(crate) unsafe fn take_over(&self) -> Result<()> {
        // Nothing of the other container uses it any more. What it had allocated since its last flush is
        // free again, as after a crash of the runtime.
        let crashed = files().get(&self.pool).and_then(Weak::upgrade);
        // SAFETY: by the caller's promise.
        let opened = unsafe { &mut *self.opened.get() };
        if opened.is_none() {
            if let Some(crashed) = crashed {
                crashed.unlock();
            }
            *opened = Some(self.open(&self.params, true, NO_WORKER)?);
        }
        Ok(())
    }

    fn left(&self) -> MutexGuard<'_, Option<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
