//! Buffers: shared memory that outlives a task.

use std::fmt;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chimaera_abi::{chi_buffer, chi_task, CHI_TIMEOUT};

use crate::shm::Ipc;
use crate::status::{Result, Status};

/// Shared memory of the caller's, not of a task's, from [`Ipc::alloc`]. A task refers to it with
/// [`NewTask::attach`](crate::NewTask::attach), so that one filling serves many tasks.
///
/// Clones are the same buffer. It is given back when the last clone is gone and no task that it is
/// attached to is in flight. Its bytes may be changed by any clone and by the runtime, so they are
/// copied in and out. `[any thread]`
#[derive(Clone)]
pub struct Buffer(Arc<Block>);

struct Block {
    ipc: Ipc,
    raw: chi_buffer,
    /// As many bytes as were asked for, at most `raw.size_`.
    len: usize,
}

// SAFETY: the block is plain memory that is only copied from and to, and the table's functions may be
// called from any thread.
unsafe impl Send for Block {}
// SAFETY: as above; what is copied while another thread writes is unspecified bytes, as with shared
// memory always.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        let ipc = self.ipc.as_raw();
        // SAFETY: the buffer came from `alloc` without an owner, and this is its only `free`; handles
        // of tasks that it is attached to hold a clone until they are over.
        unsafe { ((*ipc).free)(ipc, &self.raw) }
    }
}

impl Buffer {
    pub(crate) fn new(ipc: Ipc, raw: chi_buffer, len: usize) -> Self {
        Buffer(Arc::new(Block { ipc, raw, len }))
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies `bytes` to `offset`. Errors: `CHI_INVALID` when they do not fit.
    pub fn write_at(&self, offset: usize, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = bytes.as_ref();
        if offset > self.len() || bytes.len() > self.len() - offset {
            return Err(Status::invalid(format!(
                "{} bytes at {offset} do not fit into {}",
                bytes.len(),
                self.len()
            )));
        }
        if !bytes.is_empty() {
            // SAFETY: within the block, which lives as long as `self`; no reference covers it.
            unsafe {
                let to = self.0.raw.data_.cast::<u8>().add(offset);
                ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            }
        }
        Ok(())
    }

    /// Copies bytes from `offset` on into `to`, as many as there are and fit. Returns how many.
    pub fn copy_to(&self, offset: usize, to: &mut [u8]) -> usize {
        let n = self.len().saturating_sub(offset).min(to.len());
        if n > 0 {
            // SAFETY: within the block, which lives as long as `self`; `to` is private memory.
            unsafe {
                let from = self.0.raw.data_.cast::<u8>().add(offset);
                ptr::copy_nonoverlapping(from, to.as_mut_ptr(), n);
            }
        }
        n
    }

    pub(crate) fn raw(&self) -> &chi_buffer {
        &self.0.raw
    }
}

/// The buffers that a task refers to.
#[derive(Default)]
pub(crate) struct Attached(Vec<Buffer>);

/// Tasks in flight whose handles are gone, with the buffers that have to stay until they are over.
static DEFERRED: Mutex<Vec<Deferred>> = Mutex::new(Vec::new());

/// How many there are, so that nobody takes the lock for nothing.
static N_DEFERRED: AtomicUsize = AtomicUsize::new(0);

struct Deferred {
    ipc: Ipc,
    task: *mut chi_task,
    _buffers: Attached,
}

// SAFETY: nobody else has the task, and the table's functions may be called from any thread.
unsafe impl Send for Deferred {}

impl Attached {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, buffer: Buffer) {
        self.0.push(buffer);
    }

    /// Takes over a task in flight, to be deleted when it is over.
    ///
    /// # Safety
    ///
    /// `task` is one of `ipc`'s that was submitted and not deleted, and nobody else has it.
    pub(crate) unsafe fn defer(&mut self, ipc: Ipc, task: *mut chi_task) {
        let deferred = Deferred { ipc, task, _buffers: mem::take(self) };
        DEFERRED.lock().unwrap_or_else(PoisonError::into_inner).push(deferred);
        N_DEFERRED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Deletes the deferred tasks that are over, and lets go of their buffers.
pub(crate) fn sweep() {
    if N_DEFERRED.load(Ordering::Relaxed) == 0 {
        return;
    }
    let over: Vec<Deferred> = {
        let mut all = DEFERRED.lock().unwrap_or_else(PoisonError::into_inner);
        let (pending, over) = mem::take(&mut *all).into_iter().partition(Deferred::is_pending);
        *all = pending;
        over
    };
    N_DEFERRED.fetch_sub(over.len(), Ordering::Relaxed);
    for deferred in &over {
        let ipc = deferred.ipc.as_raw();
        // SAFETY: the task was not deleted before, and is not in the list any more.
        unsafe { ((*ipc).del_task)(ipc, deferred.task) };
    }
}

impl Deferred {
    fn is_pending(&self) -> bool {
        let ipc = self.ipc.as_raw();
        // SAFETY: the task was submitted and is not deleted. Without a bound to wait for, this only
        // asks, also whether the runtime has ended.
        unsafe { ((*ipc).wait)(ipc, self.task, 0) == CHI_TIMEOUT }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len()).finish()
    }
}
