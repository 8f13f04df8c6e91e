//! Publishing memory, and lending it to tasks.

use std::sync::Arc;

use chimaera_abi::*;

use super::here::current_container;
use super::ipc::keep_last_error;
use crate::failure::Failure;
use crate::published::Block;
use crate::scheduler::{with_current, Worker};
use crate::task::Record;

/// Keeps why a call fails, and returns its status.
fn fail_with(why: &Failure) -> chi_status {
    keep_last_error(&why.message);
    why.status
}

/// `chi_publishing.alloc`.
pub(super) unsafe extern "C" fn alloc(
    _: *const chi_host,
    size: u64,
    block: *mut chi_published_block,
) -> chi_status {
    with_current(|worker| {
        let found = worker.and_then(|worker| Some((worker, current_container(worker)?)));
        let Some((worker, container)) = found else {
            return fail_with(&Failure::new(
                CHI_INVALID,
                "there is no container to publish memory for",
            ));
        };
        if worker.shared.hosts.daemon().is_some() {
            let why = "a module host publishes nothing: its daemon copies results out of it";
            return fail_with(&Failure::new(CHI_UNSUPPORTED, why));
        }
        match container.published(worker.shared.budget).alloc(size) {
            Ok(made) => {
                let (data, size_) = (made.data().as_ptr().cast(), made.size());
                let reference_ = Arc::into_raw(Arc::new(made)).cast_mut().cast();
                // SAFETY: by the contract, the pointer may be written.
                unsafe { block.write(chi_published_block { reference_, data_: data, size_ }) };
                CHI_OK
            }
            Err(why) => fail_with(&why),
        }
    })
}

/// `chi_publishing.retain`.
pub(super) unsafe extern "C" fn retain(_: *const chi_host, reference: *mut chi_published) {
    // SAFETY: by the contract, it is a reference from `alloc` that has not been released.
    unsafe { Arc::increment_strong_count(reference.cast::<Block>().cast_const()) };
}

/// `chi_publishing.release`.
pub(super) unsafe extern "C" fn release(_: *const chi_host, reference: *mut chi_published) {
    if !reference.is_null() {
        // SAFETY: by the contract, it is a reference from `alloc` that has not been released, and is not used again.
        drop(unsafe { Arc::from_raw(reference.cast::<Block>().cast_const()) });
    }
}

/// `chi_publishing.lend`.
pub(super) unsafe extern "C" fn lend(
    _: *const chi_host,
    reference: *mut chi_published,
    offset: u64,
    len: u64,
    task: *mut chi_task,
    vector: *mut chi_shm_vector,
) -> chi_status {
    with_current(|worker| {
        let running = worker.and_then(Worker::running).map(|record| record.body());
        if running != Some(task) {
            return CHI_UNSUPPORTED;
        }
        // SAFETY: by the contract, it is a reference from `alloc` that has not been released; the task runs, so it has a record,
        // and the vector is in it.
        let lent = unsafe {
            let record = &mut *Record::of(task);
            if !record.may_be_lent() {
                return CHI_UNSUPPORTED;
            }
            let block = reference.cast::<Block>().cast_const();
            Arc::increment_strong_count(block);
            record.lend(Arc::from_raw(block), offset, len, &mut *vector)
        };
        match lent {
            true => CHI_OK,
            false => {
                let why = format!("{len} bytes at {offset} are not in the published block");
                fail_with(&Failure::new(CHI_INVALID, why))
            }
        }
    })
}
