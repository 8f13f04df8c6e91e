//! Restrictions that an operating system may impose on a daemon, imposed by the tests themselves.

use std::ffi::CStr;
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
pub(crate) fn limit(command: &mut Command, what: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the limit is valid; between fork and exec it only makes one system call.
    unsafe { command.pre_exec(move || check(libc::setrlimit(what, &limit))) };
}

/// Gives the program a `/dev/shm` of its own that is full.
pub(crate) fn fill_shared_memory(command: &mut Command) {
    let fill = || {
        mount_over(c"/dev/shm")?;
        let page = [1_u8; 4096];
        // SAFETY: the name and the bytes live through the calls.
        unsafe {
            let file = libc::open(c"/dev/shm/all".as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600);
            while libc::write(file, page.as_ptr().cast(), page.len()) > 0 {}
            check(libc::close(file))
        }
    };
    // SAFETY: between fork and exec it makes system calls, and allocates nothing.
    unsafe { command.pre_exec(fill) };
}

/// Gives the program an empty `/dev`, in which nothing can be created.
pub(crate) fn hide_shared_memory(command: &mut Command) {
    // SAFETY: between fork and exec it makes system calls, and allocates nothing.
    unsafe { command.pre_exec(|| mount_over(c"/dev")) };
}

/// Mounts an empty file system of one page at `place`, visible only to this process and its
/// children.
fn mount_over(place: &CStr) -> io::Result<()> {
    let (root, kind) = (c"/".as_ptr(), c"tmpfs".as_ptr());
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the texts live through the calls.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        check(libc::mount(std::ptr::null(), root, std::ptr::null(), private, std::ptr::null()))?;
        let size = c"size=4k".as_ptr().cast();
        check(libc::mount(kind, place.as_ptr(), kind, 0, size))
    }
}

fn check(result: i32) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
