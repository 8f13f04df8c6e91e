//! What the kernel offers.

use chimaera_ipc::ticks;

use super::check::Check;

const WHAT: &str = "kernel";

pub(super) fn checks() -> Vec<Check> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut missing = vec![];
    let mut lacks = |has: bool, what: &str, so: &str| {
        if !has {
            missing.push(Check::warning(
                WHAT,
                format!("{release} has no {what}, or a sandbox refuses it"),
                so,
            ));
        }
    };
    lacks(
        has_pidfd(),
        "pidfd",
        "the end of a client is noticed only when its socket is closed, by its children, too",
    );
    lacks(
        has_membarrier(),
        "membarrier",
        "each task costs a fence more; allow the system call membarrier in the sandbox",
    );
    lacks(
        has_io_uring(),
        "io_uring",
        "`chimaera:bdev` uses threads instead; allow it with `sysctl kernel.io_uring_disabled=0`, or in the sandbox",
    );
    lacks(
        ticks::are_cheap(),
        "steady processor clock",
        "the times that tasks wait in rings, and their totals, are not measured",
    );
    if let Err(error) = sealed_memory() {
        missing.push(Check::failed(
            WHAT,
            format!("{release} does not give sealed shared memory: {error}"),
            "clients cannot have segments: allow memfd_create in the sandbox",
        ));
    }
    if missing.is_empty() {
        missing.push(Check::ok(WHAT, format!("{release}, with all that is used")));
    }
    missing
}

/// The kernel's version: 5.12 is `(5, 12)`.
pub(super) fn version() -> Option<(u32, u32)> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn has_pidfd() -> bool {
    let own = rustix::process::getpid();
    rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).is_ok()
}

fn has_membarrier() -> bool {
    // SAFETY: the call takes two numbers and writes nothing.
    let known =
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_QUERY, 0_u32, 0) };
    known > 0 && known as libc::c_int & libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED != 0
}

/// Whether a ring could be set up: the kernel looks whether it may be before it looks at how it is to be.
fn has_io_uring() -> bool {
    // SAFETY: with a null pointer for the parameters, the call only fails.
    let result =
        unsafe { libc::syscall(libc::SYS_io_uring_setup, 1_u32, std::ptr::null_mut::<u8>()) };
    result >= 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

fn sealed_memory() -> rustix::io::Result<()> {
    use rustix::fs::{fcntl_add_seals, ftruncate, memfd_create, MemfdFlags, SealFlags};
    let memory = memfd_create("chimaera-doctor", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&memory, 4096)?;
    fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
}
