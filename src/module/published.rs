//! Published memory: bytes that a container keeps where clients can read them.

use std::fmt;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::{Arc, OnceLock};

use chimaera_abi::{
    chi_host, chi_published, chi_published_block, chi_publishing, CHI_EXT_PUBLISHING, CHI_NO_SPACE,
    CHI_OK, CHI_UNSUPPORTED,
};
use chimaera_task::{Result, ShmBytes, Status};

use crate::host::{extension_table, host};

/// Bytes that a container keeps, and that it can lend as results of tasks instead of copying them: a client whose task
/// [takes leases](crate::TaskBase::set_takes_leases) reads them where they are. They are written once, when they are
/// published, and never change; clones are the same bytes. To change a value, publish a new one and drop this one: it is
/// freed when nobody has it on lease any more. `[any thread]`
///
/// Where bytes cannot be published, they are in the container's own memory, and [`lend`](Self::lend) copies them: less
/// than [`Published::LEAST`] bytes, in a module host, outside of methods, when the memory budget (`limits.memory`) has no
/// room for published memory, and in older runtimes.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
///
/// use chimaera::module::Published;
/// use chimaera::{Result, ShmBytes, Status};
///
/// struct Store(Mutex<HashMap<Vec<u8>, Published>>);
///
/// impl Store {
///     fn put(&self, key: Vec<u8>, value: &ShmBytes) -> Result<()> {
///         let value = Published::copy_of(value)?;
///         self.0.lock().unwrap().insert(key, value);
///         Ok(())
///     }
///
///     fn get(&self, key: &[u8], result: &ShmBytes) -> Result<()> {
///         let value = self.0.lock().unwrap().get(key).cloned();
///         value.ok_or_else(|| Status::not_found("no such key"))?.lend(result)
///     }
/// }
/// # let published = Published::from(b"a value".to_vec());
/// # assert_eq!(&published[..], b"a value");
/// ```
#[derive(Clone)]
pub struct Published(Memory);

#[derive(Clone)]
enum Memory {
    Published(Block),
    Own(Arc<Vec<u8>>),
}

/// A reference to a block of published memory.
struct Block {
    reference: NonNull<chi_published>,
    data: NonNull<u8>,
    len: usize,
}

// SAFETY: the functions of the table may be called from any thread, and nobody writes to the bytes any more.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

fn table() -> Option<&'static chi_publishing> {
    static TABLE: OnceLock<Option<chi_publishing>> = OnceLock::new();
    // SAFETY: the extension with this id is a `chi_publishing`.
    TABLE.get_or_init(|| unsafe { extension_table(CHI_EXT_PUBLISHING) }).as_ref()
}

fn host_table() -> *const chi_host {
    host().unwrap_or(ptr::null())
}

impl Published {
    /// Fewer bytes are kept in the container's own memory: copying them costs no more than a lease.
    pub const LEAST: usize = 1024;

    /// Publishes a copy of a task's bytes. Errors: `CHI_NO_SPACE` when this process is out of memory.
    pub fn copy_of(bytes: &ShmBytes) -> Result<Self> {
        if bytes.len() < Published::LEAST {
            return Ok(Published::from(bytes.copy_to_vec()?));
        }
        Published::with_len(bytes.len(), |copy| {
            bytes.copy_to(0, copy);
        })
    }

    /// Publishes `len` bytes, which `fill` writes: it gets memory with unspecified contents. Errors: `CHI_NO_SPACE` when
    /// this process is out of memory.
    pub fn with_len(len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Self> {
        if let Some(block) = Block::new(len) {
            // SAFETY: the block has `len` bytes of memory, which are initialised as all memory of a mapping is, and nobody else
            // knows it yet.
            fill(unsafe { std::slice::from_raw_parts_mut(block.data.as_ptr(), len) });
            return Ok(Published(Memory::Published(block)));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| {
            Status::new(CHI_NO_SPACE, format!("out of memory for a copy of {len} bytes"))
        })?;
        bytes.resize(len, 0);
        fill(&mut bytes);
        Ok(Published(Memory::Own(Arc::new(bytes))))
    }

    /// Makes bytes of the task that the method runs these ones. A client, or a method, whose task takes leases gets them
    /// without a copy; for others they are copied. Afterwards they can be replaced, but not written to.
    ///
    /// Errors: `CHI_INVALID` for an element of a vector; those of [`ShmBytes::set`].
    pub fn lend(&self, to: &ShmBytes) -> Result<()> {
        let (Memory::Published(block), Some(table)) = (&self.0, table()) else {
            return to.set(self);
        };
        let (task, vector) = chimaera_task::__private::place_of(to)?;
        let (host, reference, len) = (host_table(), block.reference.as_ptr(), block.len as u64);
        // SAFETY: the reference is this block's; the vector is in the task.
        match unsafe { (table.lend)(host, reference, 0, len, task, vector) } {
            CHI_OK => Ok(()),
            CHI_UNSUPPORTED => to.set(self),
            status => Err(Status::new(status, "published bytes could not be lent")),
        }
    }

    /// Whether clients can have them on lease.
    pub fn is_published(&self) -> bool {
        matches!(self.0, Memory::Published(_))
    }
}

/// Bytes in the container's own memory.
impl From<Vec<u8>> for Published {
    fn from(bytes: Vec<u8>) -> Self {
        Published(Memory::Own(Arc::new(bytes)))
    }
}

impl Deref for Published {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: the block lives as long as the reference to it, and nobody writes to it since it was published.
            Memory::Published(block) => unsafe {
                std::slice::from_raw_parts(block.data.as_ptr(), block.len)
            },
            Memory::Own(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Published {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("len", &self.len())
            .field("is_published", &self.is_published())
            .finish()
    }
}

impl Block {
    fn new(len: usize) -> Option<Block> {
        if len < Published::LEAST {
            return None;
        }
        let table = table()?;
        let mut block =
            chi_published_block { reference_: ptr::null_mut(), data_: ptr::null_mut(), size_: 0 };
        // SAFETY: the block may be written; the function finds out by itself whether a container may publish here.
        match unsafe { (table.alloc)(host_table(), len as u64, &mut block) } {
            CHI_OK => Some(Block {
                reference: NonNull::new(block.reference_)?,
                data: NonNull::new(block.data_.cast())?,
                len,
            }),
            _ => None,
        }
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        let table = table().expect("the block came from it");
        // SAFETY: the reference has not been released.
        unsafe { (table.retain)(host_table(), self.reference.as_ptr()) };
        Block { reference: self.reference, data: self.data, len: self.len }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let table = table().expect("the block came from it");
        // SAFETY: the reference has not been released, and is not used again.
        unsafe { (table.release)(host_table(), self.reference.as_ptr()) };
    }
}
