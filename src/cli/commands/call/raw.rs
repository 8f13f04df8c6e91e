//! A task of any layout.

use std::ffi::CStr;
use std::ptr;
use std::time::Duration;

use chimaera_abi::*;
use chimaera_client_rs as client;
use chimaera_description::{Block, Memory};

/// A task that this process made, with the session that it is connected with.
pub(super) struct RawTask {
    ipc: *const chi_ipc,
    task: *mut chi_task,
    size: usize,
    /// It was submitted and has not been seen to end.
    in_flight: bool,
    /// There was no memory for a block.
    has_failed: bool,
}

/// To which method a task goes, and how.
#[derive(Clone, Copy)]
pub(super) struct Address {
    pub(super) pool: chi_pool_id,
    pub(super) method: u32,
    pub(super) query: chi_domain_query,
    /// What the module says of the task's layout, for `chi_task.status_`.
    pub(super) layout: chi_status,
    /// `CHI_TASK_DEADLINE` or `CHI_TASK_PERIODIC`, with nanoseconds.
    pub(super) bound: Option<(u32, u64)>,
}

impl RawTask {
    /// Makes a task of `size` bytes, all zero but for its header.
    pub(super) fn new(size: usize, to: Address) -> Result<RawTask, String> {
        let ipc = client::ipc_manager();
        let mut task = ptr::null_mut();
        // SAFETY: the table lives as long as the process; the function stores an address.
        let status = unsafe { ((*ipc).new_task)(ipc, size as u32, &mut task) };
        if status != CHI_OK {
            return Err(last_error(ipc));
        }
        let new = RawTask { ipc, task, size, in_flight: false, has_failed: false };
        // SAFETY: a new task, which nobody else knows.
        let header = unsafe { &mut *task };
        header.pool_ = to.pool;
        header.method_ = to.method;
        header.dom_query_ = to.query;
        header.status_ = to.layout;
        if let Some((flag, ns)) = to.bound {
            header.task_flags_.bits_ |= flag;
            header.period_ns_ = ns;
        }
        Ok(new)
    }

    /// A copy of the task, header included.
    pub(super) fn copy(&self) -> Vec<u8> {
        debug_assert!(!self.in_flight);
        // SAFETY: the task has that many bytes, and is not in flight: only this process writes it.
        unsafe { std::slice::from_raw_parts(self.task.cast::<u8>(), self.size) }.to_vec()
    }

    /// Writes what follows the header, from such a copy.
    pub(super) fn fill(&mut self, copy: &[u8]) {
        debug_assert!(!self.in_flight && copy.len() == self.size);
        let header = size_of::<chi_task>();
        // SAFETY: as for `copy`.
        unsafe {
            let body = self.task.cast::<u8>().add(header);
            ptr::copy_nonoverlapping(copy[header..].as_ptr(), body, self.size - header);
        }
    }

    /// Whether there was no memory for a block.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub(super) fn submit(&mut self) -> Result<(), String> {
        // SAFETY: the task is this process's own, and not in flight.
        match unsafe { ((*self.ipc).enqueue)(self.ipc, self.task) } {
            CHI_OK => {
                self.in_flight = true;
                Ok(())
            }
            _ => Err(last_error(self.ipc)),
        }
    }

    /// Waits until the task has ended, for so long at most. Returns whether it has.
    pub(super) fn wait(&mut self, timeout: Duration) -> Result<bool, String> {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(CHI_WAIT_FOREVER);
        // SAFETY: the task is this process's own.
        match unsafe { ((*self.ipc).wait)(self.ipc, self.task, timeout) } {
            CHI_OK => {
                self.in_flight = false;
                Ok(true)
            }
            CHI_TIMEOUT => Ok(false),
            _ => Err(last_error(self.ipc)),
        }
    }

    /// Asks for the task's end.
    pub(super) fn cancel(&self) -> Result<(), String> {
        // SAFETY: the task is this process's own.
        match unsafe { ((*self.ipc).cancel)(self.ipc, self.task) } {
            CHI_OK => Ok(()),
            _ => Err(last_error(self.ipc)),
        }
    }

    /// How the task has ended, and the message if it has failed.
    pub(super) fn ended(&self) -> (chi_status, String) {
        debug_assert!(!self.in_flight);
        let mut length = 0;
        // SAFETY: the task has ended; its message has that many bytes.
        unsafe {
            let text = ((*self.ipc).task_message)(self.ipc, self.task, &mut length);
            let text = std::slice::from_raw_parts(text.cast::<u8>(), length as usize);
            ((*self.task).status_, String::from_utf8_lossy(text).into_owned())
        }
    }
}

impl Drop for RawTask {
    fn drop(&mut self) {
        // SAFETY: the task is this process's own. If it is in flight, it is deleted when it ends.
        unsafe { ((*self.ipc).del_task)(self.ipc, self.task) };
    }
}

impl Memory for RawTask {
    fn place(&mut self, bytes: &[u8], elements: bool) -> Result<Block, String> {
        let mut buffer = chi_buffer { shm_: CHI_SHM_NULL, data_: ptr::null_mut(), size_: 0 };
        // SAFETY: the task is not in flight; the block that is allocated has at least so many bytes.
        unsafe {
            let alloc = if elements { (*self.ipc).alloc_elements } else { (*self.ipc).alloc };
            if alloc(self.ipc, self.task, bytes.len() as u64, &mut buffer) != CHI_OK {
                self.has_failed = true;
                return Err(last_error(self.ipc));
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.data_.cast(), bytes.len());
        }
        let address = buffer.data_.addr() as u64;
        Ok(Block { shm: buffer.shm_, address, capacity: buffer.size_ })
    }

    fn read(&self, shm: u64, size: u64) -> Result<Vec<u8>, String> {
        let malformed = || format!("{size} bytes at {shm:#x} are not in the session's segment");
        let last = shm.checked_add(size.saturating_sub(1)).ok_or_else(malformed)?;
        // The number of the segment must not change within the bytes.
        if shm >> CHI_SHM_OFFSET_BITS != last >> CHI_SHM_OFFSET_BITS {
            return Err(malformed());
        }
        // SAFETY: the function takes any number.
        let ends = unsafe {
            [((*self.ipc).resolve)(self.ipc, shm), ((*self.ipc).resolve)(self.ipc, last)]
        };
        if ends.iter().any(|end| end.is_null()) {
            return Err(malformed());
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(size as usize).map_err(|_| format!("no memory for {size} bytes"))?;
        // SAFETY: both ends are in the one mapping that is this segment, so all between is; the copy has room.
        unsafe {
            ptr::copy_nonoverlapping(ends[0].cast::<u8>(), copy.as_mut_ptr(), size as usize);
            copy.set_len(size as usize);
        }
        Ok(copy)
    }
}

fn last_error(ipc: *const chi_ipc) -> String {
    // SAFETY: the text is a C string that is valid until the next call on this thread.
    unsafe { CStr::from_ptr(((*ipc).last_error)(ipc)) }.to_string_lossy().into_owned()
}
