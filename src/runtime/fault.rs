//! Faults on a segment's pages: when the kernel has no page to give, the access raises SIGBUS. The
//! handler puts a private page of zeros there, marks the segment, and lets the access go on; the
//! session is ended soon after.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::Once;

use chimaera_ipc::segment::Mapping;

const SLOTS: usize = 4096;

struct Slot {
    base: AtomicUsize,
    len: AtomicUsize,
    faulted: AtomicBool,
    /// The eventfd of the control thread to tell.
    tell: AtomicI32,
}

static RANGES: [Slot; SLOTS] = [const {
    Slot {
        base: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        faulted: AtomicBool::new(false),
        tell: AtomicI32::new(-1),
    }
}; SLOTS];

static mut PREVIOUS: std::mem::MaybeUninit<libc::sigaction> = std::mem::MaybeUninit::zeroed();

/// Keeps a segment's range guarded.
pub(crate) struct Guard {
    slot: usize,
}

impl Guard {
    /// Guards a mapping; `tell`, an eventfd that stays open longer than the guard lives, is raised at a
    /// fault. `None` when too many are guarded.
    pub(crate) fn new(mapping: &Mapping, tell: BorrowedFd<'_>) -> Option<Guard> {
        let base = mapping.base() as usize;
        for (slot, range) in RANGES.iter().enumerate() {
            let taken = range.len.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
            if taken.is_ok() {
                range.faulted.store(false, Ordering::Relaxed);
                range.tell.store(tell.as_raw_fd(), Ordering::Relaxed);
                range.base.store(base, Ordering::Relaxed);
                range.len.store(mapping.layout().size as usize, Ordering::Release);
                return Some(Guard { slot });
            }
        }
        None
    }

    pub(crate) fn has_faulted(&self) -> bool {
        RANGES[self.slot].faulted.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        RANGES[self.slot].base.store(0, Ordering::Relaxed);
        RANGES[self.slot].len.store(0, Ordering::Release);
    }
}

/// Installs the handler, once for the process. Faults anywhere else go to the handler that was there
/// before.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    // SAFETY: the handler does only what a signal handler may, and `PREVIOUS` is written before it
    // can run, under the `Once`.
    ONCE.call_once(|| unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, (&raw mut PREVIOUS).cast());
    });
}

extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes valid pointers; everything called here may be called in a handler.
    unsafe {
        let address = (*info).si_addr() as usize;
        for range in &RANGES {
            let len = range.len.load(Ordering::Acquire);
            let base = range.base.load(Ordering::Relaxed);
            if len > 1 && address.wrapping_sub(base) < len {
                let page = address & !4095;
                let mapped = libc::mmap(
                    page as *mut libc::c_void,
                    4096,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                );
                if mapped != libc::MAP_FAILED {
                    range.faulted.store(true, Ordering::Relaxed);
                    let one = 1_u64;
                    let tell = range.tell.load(Ordering::Relaxed);
                    libc::write(tell, (&raw const one).cast(), 8);
                    return;
                }
            }
        }
        let previous = (&raw const PREVIOUS).cast::<libc::sigaction>();
        match (*previous).sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                // Without a handler, the access faults again and ends the process.
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(libc::SIGBUS, &default, std::ptr::null_mut());
            }
            handler if (*previous).sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(libc::c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}
