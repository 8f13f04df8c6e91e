//! The functions of `chi_host` for pollers.

use std::ffi::c_void;
use std::sync::Arc;

use crate::coroutine::{current_poller, Poller, PollerOwner, Target};
use crate::scheduler::with_current;
use chimaera_abi::*;

pub(super) unsafe extern "C" fn poller_add(
    _: *const chi_host,
    fd: i32,
    poll: chi_poll_fn,
    context: *mut c_void,
    poller: *mut *mut chi_poller,
) -> chi_status {
    with_current(|worker| {
        let Some(worker) = worker else { return CHI_INVALID };
        let epoll = worker.run_queue().shared_epoll();
        let owner = match worker.container() {
            Some(container) => Some(PollerOwner {
                pool: container.id,
                container: container.number,
                name: container.name().to_owned(),
                file: container.module.path.clone(),
                on_crash: container.on_crash.clone(),
            }),
            None => current_poller(worker.context()).and_then(|poller| poller.owner.clone()),
        };
        let Ok(made) = worker.pollers.add(epoll, fd, Target { poll, context, rest: None }, owner)
        else {
            return CHI_INVALID;
        };
        // SAFETY: by the contract, the pointer may be written.
        unsafe { *poller = Arc::into_raw(made).cast_mut().cast() };
        CHI_OK
    })
}

pub(super) unsafe extern "C" fn poller_remove(_: *const chi_host, poller: *mut chi_poller) {
    if !poller.is_null() {
        // SAFETY: the module passes what `poller_add` returned, and removes it once.
        unsafe { Arc::from_raw(poller.cast::<Poller>()) }.remove();
    }
}

pub(super) unsafe extern "C" fn poller_arm(
    _: *const chi_host,
    poller: *mut chi_poller,
    armed: bool,
) -> chi_status {
    // SAFETY: by the contract, the pointer is null, or was returned by `poller_add` and is not
    // removed yet.
    let Some(poller) = (unsafe { poller.cast::<Poller>().as_ref() }) else { return CHI_INVALID };
    with_current(|worker| {
        let arm = |worker: &crate::scheduler::worker::Worker| {
            worker.pollers.arm(worker.run_queue().shared_epoll(), poller, armed)
        };
        match worker.is_some_and(arm) {
            true => CHI_OK,
            false => CHI_INVALID,
        }
    })
}
