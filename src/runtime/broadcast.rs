//! Broadcasts: one task for all containers of a pool.
//!
//! The task itself runs in the first container. There it is copied once for each container; the copies,
//! its replicas, are its subtasks. When all have ended, their outcomes become its own.

use std::sync::atomic::{AtomicU64, Ordering};

use chimaera_abi::*;

use crate::aside::What;
use crate::container::Container;
use crate::desk::Running;
use crate::host;
use crate::ipc_table::worker_ipc;
use crate::method::{Field, Method};
use crate::record::{PrivateBlock, Record};
use crate::route::module_failure;
use crate::worker::Worker;
use crate::Failure;

/// What the replicas of all broadcasts under way may take, in bytes.
const MAX_REPLICAS: u64 = 256 << 20;
/// What a replica takes besides its body and its blocks, about.
const REPLICA_COST: u64 = 1024;
/// What a block takes besides its bytes, at most.
const BLOCK_COST: u64 = 192;

/// Bytes that replicas take.
#[derive(Default)]
pub(crate) struct ReplicaBytes(AtomicU64);

impl ReplicaBytes {
    fn take(&self, bytes: u64) -> Result<(), Failure> {
        if self.0.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_REPLICAS {
            return Ok(());
        }
        self.0.fetch_sub(bytes, Ordering::Relaxed);
        Err(Failure::new(
            CHI_NO_SPACE,
            format!(
                "the broadcasts under way take more than {} MiB; let some of them end, or send less \
                 with each",
                MAX_REPLICAS >> 20
            ),
        ))
    }

    fn give_back(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The replicas of a broadcast, by container. They are idle or complete when this is dropped, and then
/// deleted.
struct Replicas<'w> {
    worker: &'w Worker,
    tasks: Vec<*mut chi_task>,
    /// Counted in the runtime's `ReplicaBytes`.
    bytes: u64,
}

impl<'w> Replicas<'w> {
    /// Copies a task once for each container. On a cluster, the serialisers do it for those elsewhere.
    fn make(
        worker: &'w Worker,
        task: *mut chi_task,
        method: &Method,
        count: u32,
    ) -> Result<Replicas<'w>, Failure> {
        let mut replicas = Replicas { worker, tasks: Vec::new(), bytes: 0 };
        for number in 0..count {
            replicas.add(task, method, number)?;
        }
        Ok(replicas)
    }

    fn take(&mut self, bytes: u64) -> Result<(), Failure> {
        self.worker.shared.replicas.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    fn add(&mut self, task: *mut chi_task, method: &Method, number: u32) -> Result<(), Failure> {
        let size = method.task_size;
        self.take(REPLICA_COST + size as u64)?;
        let ipc = worker_ipc();
        let mut replica = std::ptr::null_mut();
        // SAFETY: this is a worker, on which the broadcast runs; a new task has `size` bytes, as has the
        // broadcast's body.
        unsafe {
            check(ipc, ((*ipc).new_task)(ipc, size as u32, &mut replica))?;
            self.tasks.push(replica);
            (*replica).pool_ = (*task).pool_;
            (*replica).method_ = (*task).method_;
            // It is part of the task, which is periodic, forgotten or late as a whole.
            (*replica).task_flags_.bits_ = (*task).task_flags_.bits_ & CHI_TASK_HIGH_LATENCY;
            (*replica).dom_query_ =
                chi_domain_query { kind_: CHI_DOMAIN_GLOBAL_ID, value_: number };
            let header = std::mem::size_of::<chi_task>();
            std::ptr::copy_nonoverlapping(
                task.cast::<u8>().add(header),
                replica.cast::<u8>().add(header),
                size - header,
            );
            let record = Record::of(replica);
            self.part(&mut (*record).private, replica.cast(), &method.fields)
        }
    }

    /// Parts a copy's strings and vectors from the original's: bytes stay shared until the method
    /// assigns new ones, blocks with strings or vectors in them are copied into `blocks`.
    ///
    /// # Safety
    /// `base` must be private memory that holds the element or body that `fields` describe.
    unsafe fn part(
        &mut self,
        blocks: &mut Vec<PrivateBlock>,
        base: *mut u8,
        fields: &[Field],
    ) -> Result<(), Failure> {
        for field in fields {
            // SAFETY: the field lies inside what `base` holds, aligned to 8.
            let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
            // Without a capacity, whoever assigns takes a block of the replica's own.
            vector.capacity_ = 0;
            if vector.data_.is_null() || vector.size_ == 0 {
                vector.shm_ = CHI_SHM_NULL;
                (vector.data_, vector.size_) = (std::ptr::null_mut(), 0);
                continue;
            }
            if field.inner.is_empty() {
                continue;
            }
            let bytes = vector.size_;
            self.take(bytes + BLOCK_COST)?;
            let Some(block) = PrivateBlock::new(bytes as usize) else {
                return Err(Failure::new(CHI_NO_SPACE, "the runtime has no memory for the task"));
            };
            let data = block.data();
            // SAFETY: the vector has `bytes` bytes in private memory, the block as many.
            unsafe {
                std::ptr::copy_nonoverlapping(vector.data_.cast::<u8>(), data, bytes as usize);
            }
            vector.data_ = data.cast();
            vector.capacity_ = bytes;
            blocks.push(block);
            for index in 0..bytes / field.elem_size {
                // SAFETY: the element lies inside the block.
                unsafe {
                    let element = data.add((index * field.elem_size) as usize);
                    self.part(blocks, element, &field.inner)?;
                }
            }
        }
        Ok(())
    }

    /// Sends all of them off and waits until they have ended, whatever happens meanwhile: they share
    /// bytes with the task.
    fn run(&self) {
        let ipc = worker_ipc();
        for &replica in &self.tasks {
            // SAFETY: the table is this worker's, the task its own and idle.
            let status = unsafe { ((*ipc).enqueue)(ipc, replica) };
            assert_eq!(status, CHI_OK, "a task that is idle can be sent off");
        }
        for &replica in &self.tasks {
            // SAFETY: the table is this worker's, the task its own and submitted.
            let status = unsafe { ((*ipc).wait)(ipc, replica, CHI_WAIT_FOREVER) };
            assert_eq!(status, CHI_OK, "a task that was sent off ends");
        }
    }
}

impl Drop for Replicas<'_> {
    fn drop(&mut self) {
        let ipc = worker_ipc();
        for &replica in &self.tasks {
            // SAFETY: the table is this worker's, and the task is deleted once.
            unsafe { ((*ipc).del_task)(ipc, replica) };
        }
        self.worker.shared.replicas.give_back(self.bytes);
    }
}

fn check(ipc: *const chi_ipc, status: chi_status) -> Result<(), Failure> {
    if status == CHI_OK {
        return Ok(());
    }
    // SAFETY: the table is this worker's; its last message is a C string.
    let message = unsafe { std::ffi::CStr::from_ptr(((*ipc).last_error)(ipc)) };
    Err(Failure::new(status, message.to_string_lossy()))
}

impl Worker {
    /// Runs a task, whose private body this is, in all containers of its pool. The message of a failure goes where a module's goes.
    pub(crate) fn broadcast(
        &self,
        task: *mut chi_task,
        container: &Container,
        method: &Method,
        rctx: &mut chi_run_context,
    ) -> chi_status {
        if let Some(record) = self.running() {
            self.desk().show(record);
        }
        match self.run_everywhere(task, container, method, rctx) {
            Ok(()) => CHI_OK,
            Err(failure) => {
                host::set_own_error(failure.message);
                failure.status
            }
        }
    }

    fn run_everywhere(
        &self,
        task: *mut chi_task,
        container: &Container,
        method: &Method,
        rctx: &mut chi_run_context,
    ) -> Result<(), Failure> {
        let replicas = Replicas::make(self, task, method, container.count)?;
        replicas.run();
        let mut outcome = Ok(());
        for (number, &replica) in replicas.tasks.iter().enumerate() {
            let added = self.aggregate(container, method, task, replica, rctx);
            // SAFETY: the replica is complete, and this task's own.
            let ended = unsafe { outcome_of(replica) }.map_err(|failure| {
                let name = container.name();
                let message = format!("container {number} of pool '{name}': {}", failure.message);
                Failure::new(failure.status, message)
            });
            outcome = outcome.and(ended);
            if let Err(failure) = added {
                return outcome.and(Err(failure));
            }
        }
        if outcome.is_ok() && !method.aggregated {
            // SAFETY: all replicas are complete, and like the task itself of the method's layout.
            unsafe { adopt(task, replicas.tasks[0], method) };
        }
        outcome
    }

    /// Has the module add a replica's results to the task's, when it does that.
    fn aggregate(
        &self,
        container: &Container,
        method: &Method,
        task: *mut chi_task,
        replica: *mut chi_task,
        rctx: &mut chi_run_context,
    ) -> Result<(), Failure> {
        if !method.aggregated {
            return Ok(());
        }
        let aggregate = container.ops().aggregate;
        let aggregate = aggregate.expect("a container without it is not made of such a module");
        // SAFETY: the container is live and counted; both bodies are private and of the method's layout, and
        // the replica is complete.
        let status = unsafe {
            self.desk().enter_module(Running::method(container.id.major_, method.number));
            let status = self.aside(What::Aggregation, || {
                aggregate(container.object(), method.number, task, replica, rctx)
            });
            self.desk().leave_module();
            status
        };
        match status {
            CHI_OK => Ok(()),
            status => Err(module_failure(status, || {
                let name = container.name();
                format!("the aggregation of {} of pool '{name}' failed", method.name)
            })),
        }
    }
}

/// # Safety
/// `replica` must be complete.
unsafe fn outcome_of(replica: *mut chi_task) -> Result<(), Failure> {
    let ipc = worker_ipc();
    // SAFETY: by the caller's promise; a message has `len` bytes of UTF-8.
    unsafe {
        let status = (*replica).status_;
        if status == CHI_OK {
            return Ok(());
        }
        let mut len = 0;
        let text = ((*ipc).task_message)(ipc, replica, &mut len);
        let text = std::slice::from_raw_parts(text.cast::<u8>(), len as usize);
        Err(Failure::new(status, String::from_utf8_lossy(text)))
    }
}

/// Makes the first replica's results those of the task.
///
/// # Safety
/// Both must be private bodies of the method's layout, the replica complete.
unsafe fn adopt(task: *mut chi_task, replica: *mut chi_task, method: &Method) {
    let header = std::mem::size_of::<chi_task>();
    // SAFETY: by the caller's promise. The replica's blocks go over to the task with what refers to
    // them.
    unsafe {
        settle(replica.cast(), &method.fields);
        std::ptr::copy_nonoverlapping(
            replica.cast::<u8>().add(header),
            task.cast::<u8>().add(header),
            method.task_size - header,
        );
        let (from, to) = (Record::of(replica), Record::of(task));
        (*to).private.append(&mut (*from).private);
    }
}

/// Gives strings and vectors that are as they came a capacity again: their bytes.
///
/// # Safety
/// As `Replicas::part`.
unsafe fn settle(base: *mut u8, fields: &[Field]) {
    for field in fields {
        // SAFETY: the field lies inside what `base` holds, aligned to 8.
        let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
        vector.capacity_ = vector.capacity_.max(vector.size_);
        if field.inner.is_empty() || vector.data_.is_null() {
            continue;
        }
        for index in 0..vector.size_ / field.elem_size {
            // SAFETY: the element lies inside the vector's block, which is private.
            unsafe {
                let element = vector.data_.cast::<u8>().add((index * field.elem_size) as usize);
                settle(element, &field.inner);
            }
        }
    }
}
