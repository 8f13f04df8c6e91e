//! What one container made of a broadcast.

use std::ops::Deref;

use chimaera_abi::CHI_OK;
use chimaera_task::{Result, Status, Task};

/// What one container made of a broadcast, for an aggregation: the method's task as it left it, which
/// this is a reference to, and how it ended.
///
/// Afterwards the first container's failure that was not [forgiven](Self::forgive) makes the broadcast
/// fail.
pub struct Replica<'a, T: Task>(pub(crate) &'a T);

impl<T: Task> Replica<'_, T> {
    /// Which container it ran in.
    pub fn container_id(&self) -> u32 {
        self.0.base().domain_query().value()
    }

    /// Whether it is the first that is added. A task that was submitted before may still have the
    /// results of that time.
    pub fn is_first(&self) -> bool {
        self.container_id() == 0
    }

    /// How it ended.
    pub fn outcome(&self) -> Result<()> {
        let task = self.0.base().as_ptr();
        // SAFETY: the task is complete, and lent to this thread.
        match unsafe { (*task).status_ } {
            CHI_OK => Ok(()),
            code => {
                let ipc = chimaera_task::ipc()?.as_raw();
                let mut len = 0;
                // SAFETY: the task is one of the runtime's and complete; its message has `len` bytes
                // and stays as it is while the task is lent.
                let text = unsafe {
                    let text = ((*ipc).task_message)(ipc, task, &mut len);
                    std::slice::from_raw_parts(text.cast::<u8>(), len as usize)
                };
                Err(Status::new(code, String::from_utf8_lossy(text)))
            }
        }
    }

    /// Lets its failure pass: the broadcast does not fail because of it.
    pub fn forgive(&self) {
        // SAFETY: as in `outcome`; the field is not lent to anyone by reference.
        unsafe { (*self.0.base().as_ptr()).status_ = CHI_OK }
    }
}

impl<T: Task> Deref for Replica<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0
    }
}
