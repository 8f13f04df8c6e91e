//! Replicas: the copies of a broadcast task, one for each container of its pool.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use chimaera_abi::*;

use super::block::PrivateBlock;
use super::lent::is_published;
use super::record::Record;
use crate::failure::Failure;
use crate::module::{Field, Method};
use crate::sys::{Budget, Use};

/// The limit on the replicas of all broadcasts in flight, in bytes.
const MAX_REPLICAS: u64 = 256 << 20;
/// The overhead that a replica is charged besides its body and its blocks; approximate.
const REPLICA_COST: u64 = 1024;
/// The overhead that a block is charged besides its bytes; an upper bound.
const BLOCK_COST: u64 = 192;

/// The bytes that all replicas together take.
pub(crate) struct ReplicaBudget {
    bytes: AtomicU64,
    memory: &'static Budget,
}

impl ReplicaBudget {
    /// Starts without replicas. They are charged to `memory` as well.
    pub(crate) fn new(memory: &'static Budget) -> ReplicaBudget {
        ReplicaBudget { bytes: AtomicU64::new(0), memory }
    }

    fn take(&self, bytes: u64) -> Result<(), Failure> {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= MAX_REPLICAS {
            return Ok(());
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Err(Failure::new(
            CHI_NO_SPACE,
            format!(
                "the broadcasts in flight take more than {} MiB; wait for some of them, or send less \
                 with each",
                MAX_REPLICAS >> 20
            ),
        ))
    }

    fn give_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The replicas of a broadcast, by container.
#[derive(Default)]
pub(crate) struct Replicas {
    /// Owned by this list while they are idle or complete.
    records: Vec<*mut Record>,
    /// Bytes that are charged to the runtime's budget.
    bytes: u64,
}

impl Replicas {
    pub(crate) fn records(&self) -> &[*mut Record] {
        &self.records
    }

    /// Returns all replicas, which must be idle or complete, to the caller, and their bytes to the
    /// budget.
    pub(crate) fn give_back(self, budget: &ReplicaBudget) -> impl Iterator<Item = Box<Record>> {
        budget.give_back(self.bytes);
        // SAFETY: `add` made them from boxes, and this list owns them while they are not in flight.
        self.records.into_iter().map(|record| unsafe { Box::from_raw(record) })
    }

    fn take(&mut self, budget: &ReplicaBudget, bytes: u64) -> Result<(), Failure> {
        budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Adds the copy of `task` for the container with this number. It is made from `fresh`, a
    /// record with an empty body.
    pub(crate) fn add(
        &mut self,
        budget: &ReplicaBudget,
        task: *const chi_task,
        method: &Method,
        number: u32,
        mut fresh: Box<Record>,
    ) -> Result<(), Failure> {
        let size = method.task_size;
        let counted = self.take(budget, REPLICA_COST + size as u64);
        let room = fresh.make_room(size, Use::Modules);
        let body = fresh.body();
        // From here on the list owns the replica, even if a later step fails.
        let record = Box::into_raw(fresh);
        self.records.push(record);
        counted?;
        room?;
        let header = std::mem::size_of::<chi_task>();
        // SAFETY: both bodies are private and hold `size` bytes.
        unsafe {
            (*body).pool_ = (*task).pool_;
            (*body).method_ = (*task).method_;
            // The replica is part of the task: period, deadline and fire-and-forget apply to the
            // task as a whole.
            (*body).task_flags_.bits_ = (*task).task_flags_.bits_ & CHI_TASK_HIGH_LATENCY;
            (*body).dom_query_ = chi_domain_query { kind_: CHI_DOMAIN_GLOBAL_ID, value_: number };
            ptr::copy_nonoverlapping(
                task.cast::<u8>().add(header),
                body.cast::<u8>().add(header),
                size - header,
            );
            self.part(budget, &mut (*record).private, body.cast(), &method.fields)
        }
    }

    /// Separates a copy's strings and vectors from those of the original: leaf bytes stay shared
    /// until the method assigns new ones; blocks that hold strings or vectors are copied into
    /// `blocks`.
    ///
    /// # Safety
    /// `base` must be private memory that holds the element or body that `fields` describe.
    unsafe fn part(
        &mut self,
        budget: &ReplicaBudget,
        blocks: &mut Vec<PrivateBlock>,
        base: *mut u8,
        fields: &[Field],
    ) -> Result<(), Failure> {
        for field in fields {
            // SAFETY: the field is inside what `base` holds, aligned to 8.
            let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
            // With a capacity of 0, an assignment allocates a block of the replica's own.
            vector.capacity_ = 0;
            if vector.data_.is_null() || vector.size_ == 0 {
                vector.shm_ = CHI_SHM_NULL;
                (vector.data_, vector.size_) = (ptr::null_mut(), 0);
                continue;
            }
            if field.inner.is_empty() {
                continue;
            }
            let bytes = vector.size_;
            self.take(budget, bytes + BLOCK_COST)?;
            let block = PrivateBlock::new(bytes as usize, budget.memory, Use::Modules)?;
            let data = block.data();
            // SAFETY: the vector has `bytes` bytes in private memory, and the block has as many.
            unsafe {
                ptr::copy_nonoverlapping(vector.data_.cast::<u8>(), data, bytes as usize);
            }
            vector.data_ = data.cast();
            vector.capacity_ = bytes;
            blocks.push(block);
            for index in 0..bytes / field.elem_size {
                // SAFETY: the element is inside the block.
                unsafe {
                    let element = data.add((index * field.elem_size) as usize);
                    self.part(budget, blocks, element, &field.inner)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes a replica's results those of the task.
///
/// # Safety
/// Both must have private bodies of the method's layout, and nothing else may use them; the replica
/// must be complete.
pub(crate) unsafe fn adopt(task: *mut Record, replica: *mut Record, method: &Method) {
    let header = std::mem::size_of::<chi_task>();
    // SAFETY: by the caller's promise. The replica's blocks move to the task together with what
    // refers to them.
    unsafe {
        let (to, from) = ((*task).body().cast::<u8>(), (*replica).body().cast::<u8>());
        settle(from, &method.fields);
        ptr::copy_nonoverlapping(from.add(header), to.add(header), method.task_size - header);
        (*task).private.append(&mut (*replica).private);
        (*task).lent.append(&mut (*replica).lent);
    }
}

/// Makes the capacity of strings and vectors that the method has not assigned equal their size.
///
/// # Safety
/// As `Replicas::part`.
unsafe fn settle(base: *mut u8, fields: &[Field]) {
    for field in fields {
        // SAFETY: the field is inside what `base` holds, aligned to 8.
        let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
        if is_published(vector.shm_) {
            continue;
        }
        vector.capacity_ = vector.capacity_.max(vector.size_);
        if field.inner.is_empty() || vector.data_.is_null() {
            continue;
        }
        for index in 0..vector.size_ / field.elem_size {
            // SAFETY: the element is inside the vector's block, which is private.
            unsafe {
                let element = vector.data_.cast::<u8>().add((index * field.elem_size) as usize);
                settle(element, &field.inner);
            }
        }
    }
}
