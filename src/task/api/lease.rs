//! Results that are read where a module has published them.

use std::fmt;
use std::ops::Deref;

use super::handle::Done;
use super::task::Task;
use crate::shm::ShmBytes;
use crate::status::Result;

/// The bytes of a result, as a slice: on lease where a module has published them, without a copy, or a private copy where
/// they are not published. The lease ends when this is dropped. Until then the memory stays as it is, whatever happens to
/// the value, the pool or the runtime; so keep it no longer than needed. `[any thread]`
///
/// ```no_run
/// # #[chimaera::task]
/// # pub struct GetTask {
/// #     #[chi(in)]
/// #     key: chimaera::ShmString,
/// #     #[chi(out)]
/// #     value: chimaera::ShmBytes,
/// # }
/// # fn main() -> chimaera::Result<()> {
/// # let (pool, method, query) = (chimaera::PoolId::new(3, 1), 10, chimaera::DomainQuery::dynamic());
/// let task: chimaera::NewTask<GetTask> = chimaera::ipc()?.new_task(pool, query, method)?;
/// task.key.set("a key")?;
/// task.base().set_takes_leases();
/// let value = chimaera::Lease::of(task.call()?, |task| &task.value)?;
/// println!("{} bytes begin with {:?}", value.len(), value.first());
/// # Ok(())
/// # }
/// # use chimaera::Task;
/// ```
pub struct Lease<T: Task>(Bytes<T>);

enum Bytes<T: Task> {
    /// The bytes, as long as the task is there.
    Published {
        data: *const u8,
        len: usize,
        _task: Done<T>,
    },
    Copied(Vec<u8>),
}

// SAFETY: the task may be used from any thread, and nobody writes to published bytes.
unsafe impl<T: Task> Send for Lease<T> {}
// SAFETY: as above; only the bytes are shared.
unsafe impl<T: Task> Sync for Lease<T> {}

impl<T: Task> Lease<T> {
    /// Takes the bytes of a field from a complete task. The task is deleted with the lease.
    ///
    /// Errors: `CHI_NO_SPACE` when this process is out of memory for a copy.
    pub fn of(task: Done<T>, field: impl FnOnce(&T) -> &ShmBytes) -> Result<Self> {
        let bytes = field(&task);
        let published = bytes.0.published();
        let is_in_task = {
            let (start, at) =
                (std::ptr::from_ref::<T>(&task).addr(), std::ptr::from_ref(bytes).addr());
            (start..start + size_of::<T>()).contains(&at)
        };
        match published.filter(|_| is_in_task) {
            Some((data, len)) => Ok(Lease(Bytes::Published { data, len, _task: task })),
            None => Ok(Lease(Bytes::Copied(bytes.copy_to_vec()?))),
        }
    }

    /// Whether the bytes are on lease. If not, they were copied.
    pub fn is_on_lease(&self) -> bool {
        matches!(self.0, Bytes::Published { .. })
    }
}

impl<T: Task> Deref for Lease<T> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: the task, which is complete and not used otherwise, keeps the bytes as they are.
            Bytes::Published { data, len, .. } => unsafe {
                std::slice::from_raw_parts(*data, *len)
            },
            Bytes::Copied(bytes) => bytes,
        }
    }
}

impl<T: Task> AsRef<[u8]> for Lease<T> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<T: Task> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("len", &self.len())
            .field("is_on_lease", &self.is_on_lease())
            .finish()
    }
}
