//! The replica of a broadcast that one container ran.

use std::ops::Deref;

use chimaera_abi::CHI_OK;
use chimaera_task::{Result, Status, Task};

/// The result of one container for a broadcast, passed to an aggregation. It dereferences to the
/// complete task that the container ran; [`outcome`](Self::outcome) is how that task ended.
///
/// After the aggregation, the broadcast fails with the first replica that failed and was not
/// [forgiven](Self::forgive).
pub struct Replica<'a, T: Task>(pub(crate) &'a T);

impl<T: Task> Replica<'_, T> {
    /// The number of the container that ran it.
    pub fn container_id(&self) -> u32 {
        self.0.base().domain_query().value()
    }

    /// Whether this is the first replica of the broadcast. Use it to reset the results: a task that
    /// is submitted again still contains those of its last run.
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
                // SAFETY: the task is one of the runtime's and complete; its message has `len`
                // bytes and stays as it is while the task is lent.
                let text = unsafe {
                    let text = ((*ipc).task_message)(ipc, task, &mut len);
                    std::slice::from_raw_parts(text.cast::<u8>(), len as usize)
                };
                Err(Status::new(code, String::from_utf8_lossy(text)))
            }
        }
    }

    /// Ignores its failure: the broadcast does not fail because of it.
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
