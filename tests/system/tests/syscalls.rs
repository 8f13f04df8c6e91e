//! An operating system that refuses requests of the daemon: each system call fails in turn. The
//! daemon keeps serving, or ends with a message and an exit code that says so.

use std::fmt;
use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_tests::raw::{seed, Random};
use chimaera_tests::syscalls::{Answer, Interception};
use chimaera_tests::{process, rounds, Daemon, Options, Output, Running, Site};
use rustix::process::Signal;

/// A system call and the errors that it can return when the system is in trouble.
type Fallible = (&'static str, i64, &'static [i32]);

macro_rules! fallible {
    ($($call:ident: $($errno:ident)*;)*) => {
        &[$((stringify!($call), libc::$call, &[$(libc::$errno),*])),*]
    };
}

const MEMORY: &[Fallible] = fallible! {
    SYS_mmap: ENOMEM;
    SYS_mprotect: ENOMEM;
    SYS_munmap: ENOMEM;
    SYS_mremap: ENOMEM;
    SYS_madvise: ENOMEM EAGAIN;
    SYS_memfd_create: EMFILE ENOMEM;
    SYS_ftruncate: ENOSPC EINTR;
    SYS_fallocate: ENOSPC EINTR;
    SYS_sigaltstack: ENOMEM;
    SYS_clone3: EAGAIN ENOMEM;
    SYS_membarrier: ENOMEM EPERM ENOSYS;
};

const FILES: &[Fallible] = fallible! {
    SYS_openat: EMFILE ENOMEM EIO EINTR EPERM;
    SYS_read: EIO EINTR ENOMEM;
    SYS_write: ENOSPC EIO EINTR EPERM;
    SYS_pread64: EIO EINTR;
    SYS_pwrite64: ENOSPC EIO EINTR;
    SYS_fsync: ENOSPC EIO EINTR;
    SYS_fdatasync: ENOSPC EIO EINTR;
    SYS_renameat: ENOSPC EIO EPERM;
    SYS_renameat2: ENOSPC EIO EINVAL;
    SYS_lseek: EIO;
    SYS_fstat: EIO ENOMEM;
    SYS_newfstatat: EIO ENOMEM;
    SYS_statx: EIO ENOMEM;
    SYS_fcntl: EMFILE EPERM;
    SYS_flock: EINTR ENOLCK EIO;
    SYS_dup3: EMFILE EINTR;
    SYS_fchmodat: EIO EPERM;
    SYS_unlinkat: EIO EPERM;
    SYS_mkdirat: ENOSPC EIO;
    SYS_symlinkat: ENOSPC EIO;
    SYS_getdents64: EIO ENOMEM;
    SYS_readlinkat: EIO ENOMEM;
    SYS_getrandom: EINTR ENOSYS;
};

/// System calls that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLD: &[Fallible] = fallible! {
    SYS_epoll_wait: EINTR;
    SYS_poll: EINTR ENOMEM;
    SYS_dup2: EMFILE EINTR;
    SYS_chmod: EIO EPERM;
    SYS_open: EMFILE ENOMEM EIO EINTR EPERM;
    SYS_rename: ENOSPC EIO EPERM;
    SYS_symlink: ENOSPC EIO;
    SYS_unlink: EIO EPERM;
    SYS_mkdir: ENOSPC EIO;
    SYS_readlink: EIO ENOMEM;
    SYS_access: EIO ENOMEM;
};
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[Fallible] = &[];

const EVENTS: &[Fallible] = fallible! {
    SYS_epoll_create1: EMFILE ENOMEM;
    SYS_epoll_ctl: ENOMEM ENOSPC EPERM;
    SYS_epoll_pwait: EINTR;
    SYS_epoll_pwait2: EINTR ENOSYS EPERM;
    SYS_eventfd2: EMFILE ENOMEM;
    SYS_ppoll: EINTR ENOMEM;
    SYS_futex: EINTR;
    SYS_clock_nanosleep: EINTR;
    SYS_pidfd_open: EMFILE ENOMEM EPERM ENOSYS;
};

const PROCESS: &[Fallible] = fallible! {
    SYS_prlimit64: EPERM;
    SYS_prctl: EPERM;
    SYS_sched_getaffinity: EPERM;
    SYS_sched_setaffinity: EINVAL EPERM;
};

const SOCKETS: &[Fallible] = fallible! {
    SYS_socket: EMFILE ENOMEM;
    SYS_socketpair: EMFILE ENOMEM;
    SYS_bind: ENOMEM ENOSPC EIO;
    SYS_listen: EADDRINUSE;
    SYS_accept4: EMFILE ENFILE ENOMEM EINTR EPERM;
    SYS_sendmsg: ENOMEM ENOBUFS EINTR EPERM;
    SYS_sendto: ENOMEM ENOBUFS EINTR EPERM;
    SYS_recvmsg: ENOMEM EINTR EIO;
    SYS_recvfrom: ENOMEM EINTR EIO;
    SYS_getsockopt: ENOMEM EPERM;
    SYS_setsockopt: ENOMEM ENOPROTOOPT;
    SYS_shutdown: EIO;
};

/// Which calls of a kind fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    None,
    Only(u64),
    From(u64),
}

/// A life of a daemon during which some calls fail.
#[derive(Clone, Copy)]
struct Life {
    name: &'static str,
    call: i64,
    errno: i32,
    which: Which,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = std::io::Error::from_raw_os_error(self.errno);
        write!(f, "{}, {:?}, fails with \"{error}\"", self.name, self.which)
    }
}

/// Messages of a process that ends for lack of memory.
const ENDS: [&str; 4] = [
    "last words: SIGABRT",
    "memory allocation of",
    "failed to allocate an alternative stack",
    "failed to set up alternative stack guard page",
];

impl Life {
    /// Runs the daemon. Returns how many calls there were, or what went wrong.
    fn live(self) -> Result<u64, String> {
        let site = Site::new();
        let mut command = options(&site).command(&site);
        command.stderr(File::create(site.path().join("stderr")).expect("the site is ours"));
        let which = match self.which {
            Which::None => 0..0,
            Which::Only(number) => number..number + 1,
            Which::From(number) => number..u64::MAX,
        };
        let (interception, count) =
            Interception::failing(&mut command, self.call, self.errno, which);
        let mut daemon = Running::start(&mut command);
        let mut said = String::new();
        let ready = is_ready(&site, &mut daemon, &mut said);
        let used = if ready { self.use_it(&site, &mut daemon) } else { Ok(()) };
        let asked = daemon.ended().is_none() && ready;
        if asked {
            daemon.signal(Signal::TERM);
        }
        let code = daemon.end();
        let log = read(&site);
        said += &log;
        let why = match code {
            0 if !asked => "it ended by itself, as if nothing had happened",
            1.. if log.is_empty() && !said.contains("error") && !self.is_mute() => {
                "it ended without a word"
            }
            0.. => "",
            // An allocation of the daemon has failed, or one of the Rust library: for a thread, or
            // for the signal stack that it creates before `main`.
            _ if self.is_about_memory() && ENDS.iter().any(|words| log.contains(words)) => "",
            _ => "a signal ended it",
        };
        drop(interception);
        used.and(if why.is_empty() { Ok(()) } else { Err(why.to_owned()) })
            .map(|()| count.load(Ordering::Relaxed))
            .map_err(|why| format!("{self}: {why} ({code}):\n{said}"))
    }

    /// Whether the daemon cannot write anything.
    fn is_mute(&self) -> bool {
        self.call == libc::SYS_write && matches!(self.which, Which::From(_))
    }

    fn is_about_memory(self) -> bool {
        [libc::SYS_mmap, libc::SYS_mremap, libc::SYS_mprotect].contains(&self.call)
    }

    /// Makes clients use the daemon: while it is alive, it serves them sooner or later, unless the
    /// calls go on failing. If a module could not be loaded, or a store not be written, the log says
    /// so.
    fn use_it(self, site: &Site, daemon: &mut Running) -> Result<(), String> {
        let until = Instant::now() + process::BOUND;
        loop {
            let found = work(site);
            let is_said = || {
                let log = read(site);
                ["module refused", "takes no more changes"].iter().any(|words| log.contains(words))
            };
            let served = found.code == 0
                && (found.lines().iter().all(|line| line["status"] == 0) || is_said());
            if served || matches!(self.which, Which::From(_)) || daemon.ended().is_some() {
                return Ok(());
            }
            // The daemon may just be ending.
            std::thread::sleep(Duration::from_millis(20));
            if Instant::now() >= until {
                return Err(format!("it does not serve: {found:?}"));
            }
        }
    }
}

/// Waits until the daemon is ready, or has ended. It may be unable to say that it is ready.
fn is_ready(site: &Site, daemon: &mut Running, said: &mut String) -> bool {
    let mut silent_until = None;
    loop {
        while let Some(line) = daemon.try_line() {
            *said += &line;
        }
        let document = serde_json::from_str::<serde_json::Value>(said);
        if document.is_ok_and(|document| document["pid"].is_number()) {
            return true;
        }
        if daemon.ended().is_some() {
            return false;
        }
        if site.socket().exists() {
            let until = silent_until.get_or_insert_with(|| Instant::now() + Duration::from_secs(3));
            if Instant::now() >= *until {
                return true;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A daemon that uses most of the system: it rotates its log, keeps a pool and its data in files,
/// and pins its workers.
fn options(site: &Site) -> Options {
    let at = |name| site.path().join(name);
    // The first line has no room there.
    std::fs::write(at("own.log"), vec![b'\n'; 64 << 10]).expect("the site is ours");
    std::fs::write(at("own.log.1"), "older\n").expect("the site is ours");
    let config = format!(
        "workers: {{low_latency: {{count: 2, cores: [{}]}}}}\n\
         log: {{file: own.log, max_size: 64KiB, keep: 2}}\n\
         pools:\n  - {{name: test_kv, module: chimaera:kv, durable: true, params: {{path: {}}}}}\n",
        a_core(),
        at("store").display()
    );
    Options::new().kv().mod_name().throws().config(config)
}

/// A core that this process may use.
fn a_core() -> usize {
    // SAFETY: all zero is an empty set, which the call fills, and the numbers are below its size.
    unsafe {
        let mut cores: libc::cpu_set_t = std::mem::zeroed();
        let failed = libc::sched_getaffinity(0, size_of_val(&cores), &mut cores);
        assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
        let mut all = 0..libc::CPU_SETSIZE as usize;
        all.find(|core| libc::CPU_ISSET(*core, &cores)).expect("this thread runs somewhere")
    }
}

/// What the daemon has written to its log and to its standard error.
fn read(site: &Site) -> String {
    let files = ["stderr", "own.log.1", "own.log"].map(|name| site.path().join(name));
    // A log that could not be opened, or was not rotated, does not exist.
    let texts = files.map(|file| std::fs::read_to_string(file).unwrap_or_default());
    texts.concat().trim_start().to_owned()
}

fn work(site: &Site) -> Output {
    let mut command: Command = site.command(env!("CARGO_BIN_EXE_chi-test-client"));
    process::run(command.args("roundtrip 100000 -- put a b -- get a -- count".split(' ')))
}

/// Makes calls of each kind fail, one at a time, and all from some call on.
#[track_caller]
fn walk(calls: &[Fallible], few: usize) {
    let mut random = Random::new(seed());
    let mut wrong = Vec::new();
    for &(name, call, errors) in calls {
        let none = Life { name, call, errno: 0, which: Which::None };
        let most = none.live().expect("nothing fails");
        println!("{name}: {most} calls");
        let times = rounds(few, 40) as u64;
        for &errno in errors {
            // All calls, or a sample.
            let mut numbers: Vec<u64> = (0..most).collect();
            while numbers.len() as u64 > times {
                numbers.swap_remove(random.below(numbers.len() as u64) as usize);
            }
            for number in numbers {
                let mut lives = vec![Which::Only(number)];
                // EINTR occurs now and then, not for every call.
                let may_last = errno != libc::EINTR && random.below(3) == 0;
                lives.extend(may_last.then_some(Which::From(number)));
                for which in lives {
                    let life = Life { errno, which, ..none };
                    println!("{life}");
                    wrong.extend(life.live().err());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn memory_may_be_refused() {
    walk(MEMORY, 2);
}

#[test]
fn files_may_fail() {
    walk(FILES, 1);
    walk(OLD, 1);
}

#[test]
fn events_may_fail() {
    walk(EVENTS, 2);
    walk(PROCESS, 2);
}

#[test]
fn sockets_may_fail() {
    walk(SOCKETS, 1);
}

/// The daemon runs out of memory for itself while running: it ends, and reports why.
#[test]
fn a_failed_allocation_has_last_words() {
    let site = Site::new();
    let mut command = Options::new().kv().command(&site);
    let is_short = Arc::new(AtomicBool::new(false));
    let short = is_short.clone();
    let calls = [libc::SYS_mmap, libc::SYS_mremap, libc::SYS_brk];
    let interception = Interception::of(&mut command, &calls, move |call| {
        // The daemon survives a lack of memory for a segment or a stack.
        let other = (libc::MAP_SHARED | libc::MAP_STACK) as u64;
        match (short.load(Ordering::Relaxed), call.number) {
            (false, _) => Answer::Pass,
            // brk returns the end of the heap, and so has no errors.
            (true, libc::SYS_brk) => Answer::Success,
            (true, libc::SYS_mmap) if call.args[3] & other != 0 => Answer::Pass,
            (true, _) => Answer::Fail(libc::ENOMEM),
        }
    });
    let mut daemon = Daemon::run(site, command);
    is_short.store(true, Ordering::Relaxed);
    let site = daemon.site().clone();
    // Each pool takes some memory.
    for number in 0..1000 {
        let pool = format!("pool{number}");
        site.cli(&["pool", "create", &pool, "--module", "chimaera:kv", "--containers", "4096"]);
        if !daemon.is_alive() {
            break;
        }
    }
    assert_eq!(daemon.end(), -libc::SIGABRT);
    let log = daemon.log();
    assert!(log.contains("last words: SIGABRT"), "{log}");
    // The message is Rust's or the C library's.
    let is_why = |words| log.contains(words);
    assert!(["memory allocation of ", "out of memory"].into_iter().any(is_why), "{log}");
    drop(daemon);
    drop(interception);
}
