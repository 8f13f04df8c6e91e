//! Restrictions that an operating system may impose on a daemon, imposed by the tests themselves.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes every `io_uring_setup` of the program fail with this error, as `kernel.io_uring_disabled`
/// and the filters of container engines do. Needs no privileges.
pub(crate) fn refuse_io_uring(command: &mut Command, errno: i32) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut filter = [
        // `seccomp_data` begins with the number of the system call.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter {
            jf: 1,
            ..statement(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                libc::SYS_io_uring_setup as u32,
            )
        },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: the program is on this stack, and the kernel copies it.
        unsafe {
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program))
        }
    };
    // SAFETY: between fork and exec it only makes two system calls, and does not allocate.
    unsafe { command.pre_exec(install) };
}

/// Limits a resource of the program, as `ulimit` does.
pub(crate) fn limit(command: &mut Command, what: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the limit is valid; between fork and exec it only makes one system call.
    unsafe { command.pre_exec(move || check(libc::setrlimit(what, &limit))) };
}

fn check(result: i32) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
