//! Buffers: shared memory that is not owned by a task.

use std::fmt;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chimaera_abi::{chi_buffer, chi_task, CHI_TIMEOUT};

use crate::shm::Ipc;
use crate::status::{Result, Status};

/// A block of shared memory that belongs to the caller and not to a task, from [`Ipc::alloc`].
/// [`NewTask::attach`](crate::NewTask::attach) makes a task refer to it, so that many tasks can use
/// the same data without a copy.
///
/// Clones refer to the same block. It is freed when the last clone is dropped and no task that it
/// is attached to is in flight. Any clone and the runtime may change its bytes at any time, so they
/// are only copied in and out. `[any thread]`
#[derive(Clone)]
pub struct Buffer(Arc<Block>);

struct Block {
    ipc: Ipc,
    raw: chi_buffer,
    /// The requested size, at most `raw.size_`.
    len: usize,
}

// SAFETY: the block is plain memory that is only copied from and to, and the table's functions may
// be called from any thread.
unsafe impl Send for Block {}
// SAFETY: as above; a copy during a write by another thread yields unspecified bytes, as always
// with shared memory.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        let ipc = self.ipc.as_raw();
        // SAFETY: the buffer came from `alloc` without an owner, and this is its only `free`; the
        // handles of tasks that it is attached to hold a clone until those tasks have completed.
        unsafe { ((*ipc).free)(ipc, &self.raw) }
    }
}

impl Buffer {
    pub(crate) fn new(ipc: Ipc, raw: chi_buffer, len: usize) -> Self {
        Buffer(Arc::new(Block { ipc, raw, len }))
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether the size is 0.
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

    /// Copies bytes starting at `offset` into `to`, until either ends. Returns the number of bytes
    /// copied.
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

/// Tasks in flight whose handles have been dropped, with the buffers that must live until they
/// complete.
static DEFERRED: Mutex<Vec<Deferred>> = Mutex::new(Vec::new());

/// The length of that list, so that an empty list costs no lock.
static N_DEFERRED: AtomicUsize = AtomicUsize::new(0);

struct Deferred {
    ipc: Ipc,
    task: *mut chi_task,
    _buffers: Attached,
}

// SAFETY: nothing else refers to the task, and the table's functions may be called from any thread.
unsafe impl Send for Deferred {}

impl Attached {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, buffer: Buffer) {
        self.0.push(buffer);
    }

    /// Takes ownership of a task in flight, to delete it after its completion.
    ///
    /// # Safety
    ///
    /// `task` comes from `ipc`, was submitted and not deleted, and nothing else refers to it.
    pub(crate) unsafe fn defer(&mut self, ipc: Ipc, task: *mut chi_task) {
        let deferred = Deferred { ipc, task, _buffers: mem::take(self) };
        DEFERRED.lock().unwrap_or_else(PoisonError::into_inner).push(deferred);
        N_DEFERRED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Deletes the deferred tasks that have completed, and drops their buffers.
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
        // SAFETY: the task has not been deleted, and is no longer in the list.
        unsafe { ((*ipc).del_task)(ipc, deferred.task) };
    }
}

impl Deferred {
    fn is_pending(&self) -> bool {
        let ipc = self.ipc.as_raw();
        // SAFETY: the task was submitted and not deleted. A timeout of 0 only polls; it also
        // notices when the runtime has stopped.
        unsafe { ((*ipc).wait)(ipc, self.task, 0) == CHI_TIMEOUT }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len()).finish()
    }
}
