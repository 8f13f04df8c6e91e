//! Faults on a segment's pages: if the kernel has no page left, the access raises SIGBUS. The
//! handler maps a private page of zeros there, marks the segment, and lets the access continue; the
//! session is ended soon after.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::Once;

use chimaera_ipc::segment::Mapping;

use super::fault::Fault;
use super::signal;

const SLOTS: usize = 4096;

struct Slot {
    base: AtomicUsize,
    len: AtomicUsize,
    faulted: AtomicBool,
    /// The eventfd to write to on a fault, which wakes the control thread.
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

/// Guards a segment's range of addresses until it is dropped.
pub(crate) struct Guard {
    slot: usize,
}

impl Guard {
    /// Guards a mapping. A fault in it writes to `tell`, an eventfd that must stay open for as long
    /// as the guard lives. `None` if all [`SLOTS`] are taken.
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

/// Installs the handler, once per process. Faults elsewhere go to the handler that was installed
/// before.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| signal::handle(libc::SIGBUS, on_segment_fault));
}

/// Maps a page of zeros where the kernel could not provide a segment's page. False if the fault is
/// elsewhere.
unsafe fn on_segment_fault(fault: &mut Fault) -> bool {
    let Some(address) = fault.address() else { return false };
    // SAFETY: everything called here may be called in a signal handler. The page that is replaced
    // belongs to a guarded segment, whose mapping outlives its guard.
    unsafe {
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
                    return true;
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use chimaera_ipc::layout::Layout;
    use chimaera_ipc::segment;
    use rustix::event::EventfdFlags;
    use rustix::fs::MemfdFlags;
    use rustix::mm::{MapFlags, ProtFlags};
    use std::os::fd::{AsFd, OwnedFd};

    const PAGE: u64 = 4096;

    /// A segment, its guard, and the eventfd that a fault writes to.
    fn guarded() -> (Mapping, Guard, OwnedFd) {
        install();
        let layout = Layout::of(0);
        let fd = segment::create(&layout).unwrap();
        let mapping = Mapping::new(fd.as_fd(), layout).unwrap();
        let tell = rustix::event::eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        let guard = Guard::new(&mapping, tell.as_fd()).unwrap();
        (mapping, guard, tell)
    }

    /// Maps pages that have no memory behind them at an address, or anywhere if it is null.
    fn map_nothing(at: *mut u8, len: u64) -> *mut u8 {
        let fd = rustix::fs::memfd_create("nothing", MemfdFlags::CLOEXEC).unwrap();
        let fixed = if at.is_null() { MapFlags::empty() } else { MapFlags::FIXED };
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses free addresses, or the pages replace part of a segment that
        // the caller owns.
        unsafe {
            let flags = MapFlags::SHARED | fixed;
            rustix::mm::mmap(at.cast(), len as usize, prot, flags, &fd, 0).unwrap().cast()
        }
    }

    fn told(tell: &OwnedFd) -> bool {
        rustix::io::read(tell, &mut [0_u8; 8]).is_ok()
    }

    #[test]
    fn a_page_that_cannot_be_had_is_zeroes_and_marks_its_segment_alone() {
        let (mapping, guard, tell) = guarded();
        let (_other_mapping, other, other_tell) = guarded();
        let at = mapping.layout().client_arena;
        map_nothing(mapping.find(at, 3 * PAGE).unwrap().as_ptr(), 3 * PAGE);
        assert!(!guard.has_faulted() && !told(&tell));
        // SAFETY: mapped; the last bytes of the first page and the first ones of the next.
        unsafe {
            *libc::__errno_location() = 77;
            let word = mapping.address(at + PAGE - 8).as_ptr().cast::<u64>();
            assert_eq!(word.read_volatile(), 0);
            assert_eq!(*libc::__errno_location(), 77, "the handler leaves errno alone");
            word.add(1).write_volatile(5);
            assert_eq!(word.add(1).read_volatile(), 5);
        }
        assert!(guard.has_faulted() && told(&tell));
        assert!(!other.has_faulted() && !told(&other_tell));
    }

    #[test]
    fn a_fault_in_a_library_s_copy_is_survived() {
        let (mapping, guard, _tell) = guarded();
        let at = mapping.layout().runtime_arena;
        let nothing = mapping.find(at, 64 * PAGE).unwrap().as_ptr();
        map_nothing(nothing, 64 * PAGE);
        let mut copy = vec![1_u8; 32 * PAGE as usize];
        // SAFETY: 64 pages are mapped at `nothing`, and `copy` has room for the 32 that are copied.
        unsafe { std::ptr::copy_nonoverlapping(nothing, copy.as_mut_ptr(), copy.len()) };
        assert!(copy.iter().all(|byte| *byte == 0) && guard.has_faulted());
    }

    /// Runs in a child process, because the fault kills it.
    #[test]
    fn a_fault_anywhere_else_still_kills() {
        let (_mapping, _guard, _tell) = guarded();
        let nothing = map_nothing(std::ptr::null_mut(), PAGE);
        // SAFETY: the child does nothing but fault.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: mapped.
            unsafe {
                nothing.write_volatile(1);
                libc::_exit(0);
            }
        }
        let mut status = 0;
        // SAFETY: the child belongs to this process, and `status` may be written.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGBUS, "{status:#x}");
    }
}
