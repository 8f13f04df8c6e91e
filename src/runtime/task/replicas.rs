//! Replicas: the copies of a task for all containers of its pool, one for each.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use chimaera_abi::*;

use super::block::PrivateBlock;
use super::record::Record;
use crate::failure::Failure;
use crate::module::{Field, Method};

/// What the replicas of all broadcasts under way may take, in bytes.
const MAX_REPLICAS: u64 = 256 << 20;
/// What a replica takes besides its body and its blocks, about.
const REPLICA_COST: u64 = 1024;
/// What a block takes besides its bytes, at most.
const BLOCK_COST: u64 = 192;

/// Bytes that replicas take.
#[derive(Default)]
pub(crate) struct ReplicaBudget(AtomicU64);

impl ReplicaBudget {
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

/// The replicas of a broadcast, by container.
#[derive(Default)]
pub(crate) struct Replicas {
    /// Each is this list's own, as long as it is idle or complete.
    records: Vec<*mut Record>,
    /// Counted in the runtime's budget.
    bytes: u64,
}

impl Replicas {
    pub(crate) fn records(&self) -> &[*mut Record] {
        &self.records
    }

    /// Gives all of them up, which must be idle or complete, and what they counted for.
    pub(crate) fn give_back(self, budget: &ReplicaBudget) -> impl Iterator<Item = Box<Record>> {
        budget.give_back(self.bytes);
        // SAFETY: made from boxes in `add`, and nobody else's while they are not in flight.
        self.records.into_iter().map(|record| unsafe { Box::from_raw(record) })
    }

    fn take(&mut self, budget: &ReplicaBudget, bytes: u64) -> Result<(), Failure> {
        budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Adds the copy of `task` for the container of this number, which is made of `fresh`, a record with an
    /// empty body. On a cluster, the serialisers do it for those elsewhere.
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
        let room = fresh.make_room(size);
        let body = fresh.body();
        // From here on it is in the list, whatever fails.
        let record = Box::into_raw(fresh);
        self.records.push(record);
        counted?;
        if !room {
            return Err(Failure::new(CHI_NO_SPACE, "the runtime has no memory for the task"));
        }
        let header = std::mem::size_of::<chi_task>();
        // SAFETY: both bodies are private and hold `size` bytes.
        unsafe {
            (*body).pool_ = (*task).pool_;
            (*body).method_ = (*task).method_;
            // It is part of the task, which is periodic, forgotten or late as a whole.
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

    /// Parts a copy's strings and vectors from the original's: bytes stay shared until the method
    /// assigns new ones, blocks with strings or vectors in them are copied into `blocks`.
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
            // SAFETY: the field lies inside what `base` holds, aligned to 8.
            let vector = unsafe { &mut *base.add(field.offset).cast::<chi_shm_vector>() };
            // Without a capacity, whoever assigns takes a block of the replica's own.
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
            let Some(block) = PrivateBlock::new(bytes as usize) else {
                return Err(Failure::new(CHI_NO_SPACE, "the runtime has no memory for the task"));
            };
            let data = block.data();
            // SAFETY: the vector has `bytes` bytes in private memory, the block as many.
            unsafe {
                ptr::copy_nonoverlapping(vector.data_.cast::<u8>(), data, bytes as usize);
            }
            vector.data_ = data.cast();
            vector.capacity_ = bytes;
            blocks.push(block);
            for index in 0..bytes / field.elem_size {
                // SAFETY: the element lies inside the block.
                unsafe {
                    let element = data.add((index * field.elem_size) as usize);
                    self.part(budget, blocks, element, &field.inner)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes the first replica's results those of the task.
///
/// # Safety
/// Both must have private bodies of the method's layout, and nobody else may use them; the replica must be
/// complete.
pub(crate) unsafe fn adopt(task: *mut Record, replica: *mut Record, method: &Method) {
    let header = std::mem::size_of::<chi_task>();
    // SAFETY: by the caller's promise. The replica's blocks go over to the task with what refers to
    // them.
    unsafe {
        let (to, from) = ((*task).body().cast::<u8>(), (*replica).body().cast::<u8>());
        settle(from, &method.fields);
        ptr::copy_nonoverlapping(from.add(header), to.add(header), method.task_size - header);
        (*task).private.append(&mut (*replica).private);
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
