//! Makes system calls of a program fail, as an operating system that is short of resources does.
//!
//! The program runs under a seccomp filter that reports the chosen calls, whichever library makes
//! them, to a thread of the test. The thread lets each call pass or answers it itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

/// A system call that the program is about to make.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number, such as `SYS_openat`.
    pub number: i64,
    /// Its arguments.
    pub args: [u64; 6],
    thread: u32,
    /// The address of the instruction that makes it.
    from: u64,
}

impl Call {
    /// The name of the thread that makes the call.
    pub fn thread_name(&self) -> String {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.thread));
        name.map_or(String::new(), |name| name.trim_end().to_owned())
    }

    /// Whether the dynamic linker makes the call.
    fn is_of_linker(&self) -> bool {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.thread));
        let is_its = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16));
            Some((start.ok()?..end.ok()?).contains(&self.from) && rest.contains("/ld-"))
        };
        maps.is_ok_and(|maps| maps.lines().any(|line| is_its(line) == Some(true)))
    }

    /// The file at the descriptor that is the call's first argument.
    pub fn file(&self) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/fd/{}", self.thread, self.args[0])).ok()
    }

    /// Whether the call reads or writes the counter of an eventfd, or wakes threads, which works
    /// whatever state the system is in.
    fn always_works(&self) -> bool {
        let operation = self.args[1] as i32 & libc::FUTEX_CMD_MASK;
        match self.number {
            libc::SYS_read | libc::SYS_write => {
                self.file().is_some_and(|file| file.as_os_str() == "anon_inode:[eventfd]")
            }
            libc::SYS_futex => ![libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET].contains(&operation),
            _ => false,
        }
    }

    /// Writes into the memory of the program.
    pub fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        let from = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let to = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
        // SAFETY: the call reads the bytes, and writes to no memory of this process.
        let done = unsafe { libc::process_vm_writev(self.thread as i32, &from, 1, &to, 1, 0) };
        match usize::try_from(done) {
            Ok(len) if len == bytes.len() => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel executes the call.
    Pass,
    /// The call fails with this `errno`.
    Fail(i32),
    /// The call appears to return 0.
    Success,
    /// The call does not return yet: the same question is asked again soon.
    Wait,
}

/// Decides what happens to the calls of a program.
pub struct Interception {
    supervisor: Option<JoinHandle<()>>,
    given_up: Arc<AtomicBool>,
}

/// What the child tells the supervisor before it executes the program.
struct Shared {
    /// The process, once it has the filter.
    pid: AtomicI32,
    /// The descriptor at which the filter reports, in that process.
    listener: AtomicI32,
    /// Whether the supervisor has a copy of the descriptor.
    taken: AtomicBool,
}

impl Interception {
    /// Lets `decide` choose the outcome of each of `calls` that the program of `command` or a child
    /// of it makes. Call this after adding everything else that is to run before `exec`.
    pub fn of(
        command: &mut Command,
        calls: &[i64],
        decide: impl FnMut(Call) -> Answer + Send + 'static,
    ) -> Interception {
        let (shared, given_up) = (share(), Arc::new(AtomicBool::new(false)));
        let mut filter = filter_of(calls);
        // SAFETY: between fork and exec it only makes system calls and does not allocate; the
        // filter lives as long as the closure.
        unsafe {
            command.pre_exec(move || {
                // Before the filter, which may intercept this very call.
                let pid = libc::getpid();
                let listener = install(&mut filter)?;
                shared.listener.store(listener, Ordering::Relaxed);
                shared.pid.store(pid, Ordering::Release);
                while !shared.taken.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                Ok(())
            });
        }
        let end = given_up.clone();
        let supervisor = std::thread::spawn(move || {
            if let Some(listener) = take_listener(shared, &end) {
                supervise(&listener, &end, decide);
            }
        });
        Interception { supervisor: Some(supervisor), given_up }
    }

    /// Makes calls of one kind fail: those with a number in `which`, counting from 0 and skipping
    /// calls that always work, and those of the dynamic linker before the program begins: it does not check
    /// all of them. Also returns the counter.
    pub fn failing(
        command: &mut Command,
        call: i64,
        errno: i32,
        which: std::ops::Range<u64>,
    ) -> (Interception, Arc<AtomicU64>) {
        let count = Arc::new(AtomicU64::new(0));
        let counter = count.clone();
        let mut begun = false;
        let decide = move |call: Call| {
            begun = begun || !call.is_of_linker();
            let fails = begun
                && !call.always_works()
                && which.contains(&counter.fetch_add(1, Ordering::Relaxed));
            match fails {
                true => Answer::Fail(errno),
                false => Answer::Pass,
            }
        };
        (Interception::of(command, &[call], decide), count)
    }
}

impl Drop for Interception {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        let ended = self.supervisor.take().map(JoinHandle::join);
        assert!(!matches!(ended, Some(Err(_))) || std::thread::panicking(), "it panicked");
    }
}

/// Memory shared with the children of this process. It is not freed: a child may still be
/// starting.
fn share() -> &'static Shared {
    let (prot, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new, zeroed mapping that nothing else refers to, and that is never unmapped.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), size_of::<Shared>(), prot, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        NonNull::new(at.cast::<Shared>()).expect("nothing is mapped at null").as_ref()
    }
}

fn filter_of(calls: &[i64]) -> Vec<libc::sock_filter> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let verdict = |verdict| statement(libc::BPF_RET | libc::BPF_K, verdict);
    // `seccomp_data` begins with the number of the system call.
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for &call in calls {
        let is_it = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32);
        filter.push(libc::sock_filter { jf: 1, ..is_it });
        filter.push(verdict(libc::SECCOMP_RET_USER_NOTIF));
    }
    filter.push(verdict(libc::SECCOMP_RET_ALLOW));
    filter
}

/// Installs the filter in this process. Returns the descriptor at which it reports.
fn install(filter: &mut [libc::sock_filter]) -> io::Result<RawFd> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel copies the program.
    let listener = unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &program)
    };
    match listener {
        -1 => Err(io::Error::last_os_error()),
        listener => Ok(listener as RawFd),
    }
}

/// Copies the child's descriptor to this process. `None` if `given_up` is set before it exists.
fn take_listener(shared: &Shared, given_up: &AtomicBool) -> Option<OwnedFd> {
    while shared.pid.load(Ordering::Acquire) == 0 {
        if given_up.load(Ordering::Relaxed) {
            return None;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    let pid = shared.pid.load(Ordering::Acquire);
    // SAFETY: the calls take numbers, and the descriptors that they return have no other owner.
    let own = unsafe {
        let child = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let theirs = shared.listener.load(Ordering::Relaxed);
        let own = libc::syscall(libc::SYS_pidfd_getfd, child, theirs, 0);
        libc::close(child as RawFd);
        own
    };
    let error = io::Error::last_os_error();
    // Even after a failure, because the child is waiting.
    shared.taken.store(true, Ordering::Release);
    assert!(own >= 0, "cannot take the descriptor of a child: {error}");
    // SAFETY: the descriptor is new.
    Some(unsafe { OwnedFd::from_raw_fd(own as RawFd) })
}

/// Answers calls until the last process with the filter has ended.
fn supervise(listener: &OwnedFd, given_up: &AtomicBool, mut decide: impl FnMut(Call) -> Answer) {
    let mut waiting = Vec::new();
    loop {
        waiting.retain(|(id, call)| !answer(listener, *id, decide(*call)));
        let look = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let mut ready = [PollFd::new(listener, PollFlags::IN)];
        let found = rustix::event::poll(&mut ready, Some(&look)).unwrap_or(0);
        let events = ready[0].revents();
        if events.contains(PollFlags::HUP) || (found == 0 && given_up.load(Ordering::Relaxed)) {
            return;
        }
        if !events.contains(PollFlags::IN) {
            continue;
        }
        // SAFETY: it is plain data, which the kernel requires zeroed and accesses only during the
        // call.
        let asked = unsafe {
            let mut asked: libc::seccomp_notif = std::mem::zeroed();
            if libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut asked) != 0 {
                // A signal has interrupted the call, or ended its thread.
                continue;
            }
            asked
        };
        let (number, args) = (asked.data.nr.into(), asked.data.args);
        let from = asked.data.instruction_pointer;
        let call = Call { number, args, thread: asked.pid, from };
        if !answer(listener, asked.id, decide(call)) {
            waiting.push((asked.id, call));
        }
    }
}

/// Answers a call, unless it is to wait. Returns whether it is no longer pending.
fn answer(listener: &OwnedFd, id: u64, answer: Answer) -> bool {
    // SAFETY: all zero is a valid answer.
    let mut sent: libc::seccomp_notif_resp = unsafe { std::mem::zeroed() };
    sent.id = id;
    match answer {
        Answer::Pass => sent.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        Answer::Fail(errno) => sent.error = -errno,
        Answer::Success => {}
        Answer::Wait => {
            // SAFETY: the kernel only reads the number.
            let pending = unsafe {
                libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &id)
            };
            return pending != 0;
        }
    }
    // SAFETY: the kernel accesses the answer only during the call. It fails only if the intercepted
    // call is no longer pending.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &mut sent) };
    true
}
