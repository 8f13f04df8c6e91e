//! Systems that lack something: the daemon does without it, and refuses no client because of it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_ipc::wire::{self, Kind, Message};
use chimaera_tests::syscalls::{Answer, Call, Interception};
use chimaera_tests::{artefacts, process, Daemon, Options, Running, Site};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::Signal;

/// From the kernel's include/uapi/asm-generic/socket.h; libc does not have it yet.
const SO_PASSRIGHTS: u64 = 83;

/// A daemon that is denied something by the system.
struct Denied {
    daemon: Daemon,
    /// How often it was denied.
    times: Arc<AtomicU64>,
    /// Dropped last: the daemon makes calls until its end.
    _interception: Interception,
}

impl Denied {
    /// Starts a daemon, and lets `decide` answer these calls.
    #[track_caller]
    fn start(
        options: &Options,
        calls: &[i64],
        mut decide: impl FnMut(Call) -> Answer + Send + 'static,
    ) -> Denied {
        let site = Site::new();
        let mut command = options.command(&site);
        let times = Arc::new(AtomicU64::new(0));
        let count = times.clone();
        let interception = Interception::of(&mut command, calls, move |call| {
            let answer = decide(call);
            if answer != Answer::Pass {
                count.fetch_add(1, Ordering::Relaxed);
            }
            answer
        });
        Denied { daemon: Daemon::run(site, command), times, _interception: interception }
    }

    /// Starts a daemon for which a call fails.
    #[track_caller]
    fn without(call: i64, errno: i32) -> Denied {
        Denied::start(&options(), &[call], move |_| Answer::Fail(errno))
    }

    #[track_caller]
    fn assert_was_denied(&self) {
        assert!(self.times.load(Ordering::Relaxed) > 0, "it asked for nothing");
    }

    /// Runs a client, which must be served.
    #[track_caller]
    fn serve(&self) {
        let program = env!("CARGO_BIN_EXE_chi-test-client");
        let words = "roundtrip 100000 -- put a b -- get a";
        let found = self.daemon.site().run(program, &words.split(' ').collect::<Vec<_>>()).ok();
        assert!(found.lines().iter().all(|line| line["status"] == 0), "{found:?}");
    }

    fn sessions(&self) -> u64 {
        self.daemon.site().status()["sessions"].as_u64().expect("a number")
    }

    /// Starts a client, and waits until it is ready.
    #[track_caller]
    fn client(&self, args: &[&str]) -> Running {
        let mut command = self.daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal"));
        let mut client = Running::start(command.args(args));
        assert_eq!(client.line().as_deref(), Some("ready"));
        client
    }

    /// Kills a client, and waits until its session is gone.
    #[track_caller]
    fn notice_a_death(&self) {
        let mut client = self.client(&["waiting"]);
        assert_eq!(self.sessions(), 1);
        client.signal(Signal::KILL);
        assert_eq!(client.end(), -libc::SIGKILL);
        process::until("the session is gone", || (self.sessions() == 0).then_some(()));
    }
}

fn options() -> Options {
    Options::new().kv().mod_name().throws()
}

#[test]
fn without_pidfds() {
    for errno in [libc::ENOSYS, libc::EPERM, libc::EMFILE] {
        let denied = Denied::without(libc::SYS_pidfd_open, errno);
        denied.serve();
        denied.notice_a_death();
        denied.assert_was_denied();
    }
}

/// As with a client in a PID namespace that is not visible from the daemon's.
#[test]
fn without_process_ids() {
    let is_asked = |call: Call| call.args[2] == libc::SO_PEERCRED as u64;
    let denied = Denied::start(&options(), &[libc::SYS_getsockopt], move |call| {
        if !is_asked(call) {
            return Answer::Pass;
        }
        let uid = rustix::process::getuid().as_raw();
        let credentials: Vec<u8> = [0, uid, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        call.write(call.args[3], &credentials).expect("the daemon waits for the answer");
        Answer::Success
    });
    denied.serve();
    denied.notice_a_death();
    denied.assert_was_denied();
}

/// One of two workers is blocked, and the other one has to take over its clients.
#[test]
fn without_membarrier() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        let denied = Denied::without(libc::SYS_membarrier, errno);
        let _blocking = denied.client(&["blocking", "blocked", "2"]);
        (0..4).for_each(|_| denied.serve());
        denied.assert_was_denied();
    }
}

/// The call is available, and then fails for lack of memory.
#[test]
fn with_membarrier_that_fails_at_times() {
    let mut calls = 0;
    let denied = Denied::start(&options(), &[libc::SYS_membarrier], move |_| {
        calls += 1;
        match calls {
            1 => Answer::Pass,
            calls if calls % 2 == 0 => Answer::Fail(libc::ENOMEM),
            _ => Answer::Pass,
        }
    });
    let _blocking = denied.client(&["blocking", "blocked", "2"]);
    (0..4).for_each(|_| denied.serve());
    process::until("it steals", || (denied.times.load(Ordering::Relaxed) > 0).then_some(()));
    denied.serve();
}

#[test]
fn without_accurate_timeouts() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        let denied = Denied::without(libc::SYS_epoll_pwait2, errno);
        denied.serve();
        // Its workers park meanwhile.
        std::thread::sleep(Duration::from_millis(50));
        denied.serve();
        denied.assert_was_denied();
    }
}

#[test]
fn without_reserved_memory_for_the_status_page() {
    let denied = Denied::without(libc::SYS_fallocate, libc::EOPNOTSUPP);
    assert!(denied.daemon.site().status_page().is_some());
    denied.serve();
    denied.assert_was_denied();
}

/// A stand-by worker is needed when there are no resources for one. It starts later.
#[test]
fn without_memory_for_a_stand_by_worker() {
    for (call, errno) in [(libc::SYS_clone3, libc::EAGAIN), (libc::SYS_sigaltstack, libc::ENOMEM)] {
        let short = Arc::new(AtomicBool::new(false));
        let is_short = short.clone();
        let denied = Denied::start(&options().workers(1), &[call], move |call| {
            let for_worker = ["chi-watchdog", "chi-worker-1"].contains(&&*call.thread_name());
            match for_worker && is_short.load(Ordering::Relaxed) {
                true => Answer::Fail(errno),
                false => Answer::Pass,
            }
        });
        short.store(true, Ordering::Relaxed);
        let blocking = denied.client(&["blocking", "blocked", "5"]);
        process::until("it says so", || {
            denied.daemon.log().contains("cannot start a stand-by worker").then_some(())
        });
        denied.assert_was_denied();
        short.store(false, Ordering::Relaxed);
        denied.serve();
        drop(blocking);
    }
}

/// A pool is migrated while a stand-by worker is being started, and that then fails: nothing waits for a
/// worker that never was.
#[test]
fn without_the_stand_by_worker_that_was_being_started() {
    let [asks, fails] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (has_asked, may_fail) = (asks.clone(), fails.clone());
    let options = options().workers(1).file(artefacts::test_module("life"));
    let denied = Denied::start(&options, &[libc::SYS_clone3], move |call| {
        if call.thread_name() != "chi-watchdog" {
            return Answer::Pass;
        }
        // The watchdog stays in the call until the pool has been migrated.
        has_asked.store(true, Ordering::Relaxed);
        let until = Instant::now() + Duration::from_secs(60);
        while !may_fail.load(Ordering::Relaxed) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        Answer::Fail(libc::EAGAIN)
    });
    let site = denied.daemon.site();
    site.cli(&["pool", "create", "life", "--module", "test:life"]).ok();
    let blocking = denied.client(&["blocking", "blocked", "1"]);
    process::until("it is started", || asks.load(Ordering::Relaxed).then_some(()));
    site.cli(&["pool", "migrate", "life"]).ok();
    fails.store(true, Ordering::Relaxed);
    process::until("it has failed", || {
        denied.daemon.log().contains("cannot start a stand-by worker").then_some(())
    });
    process::until("what was held is released", || {
        let pool = site.pool("life");
        (pool["state"] == "live").then_some(())
    });
    denied.serve();
    drop(blocking);
}

/// A stand-by worker takes over, and has no memory to watch the doorbells of the rings that rest. It polls
/// those rings until it has, and no session ends.
#[test]
fn without_memory_for_doorbells_that_are_taken_over() {
    let is_short = Arc::new(AtomicBool::new(true));
    let short = is_short.clone();
    let config = "workers: {low_latency: {count: 1}, standby: 1}\n";
    let options = options().config(config);
    let mut denied = Denied::start(&options, &[libc::SYS_epoll_ctl], move |call| {
        let adds = call.args[1] == libc::EPOLL_CTL_ADD as u64;
        match adds && call.thread_name() == "chi-worker-1" && short.load(Ordering::Relaxed) {
            true => Answer::Fail(libc::ENOMEM),
            false => Answer::Pass,
        }
    });
    let mut idle: Vec<Running> = (0..3).map(|_| denied.client(&["counting"])).collect();
    // Until their rings rest.
    std::thread::sleep(Duration::from_millis(50));
    let blocking = denied.client(&["blocking", "blocked", "600"]);
    let says = |text: &str| denied.daemon.log().contains(text).then_some(());
    process::until("it says so", || says("cannot watch the doorbells of clients"));
    denied.assert_was_denied();
    for is_short_now in [true, false] {
        is_short.store(is_short_now, Ordering::Relaxed);
        let mut other = denied.client(&["counting"]);
        for client in idle.iter_mut().chain([&mut other]) {
            for _ in 0..3 {
                client.say("");
                assert_eq!(client.line().as_deref(), Some("0"));
            }
        }
        idle.push(other);
    }
    assert_eq!(denied.sessions(), idle.len() as u64 + 1);
    assert_eq!(denied.daemon.site().status()["each_worker"][0]["running"]["pool"], "blocked");
    process::until("it polls no longer", || {
        let before = denied.daemon.site().cpu_time();
        std::thread::sleep(Duration::from_millis(500));
        let spent = denied.daemon.site().cpu_time() - before;
        (spent < Duration::from_millis(250)).then_some(())
    });
    drop((blocking, idle));
    denied.daemon.cli(&["stop", "--force"]).ok();
    assert_eq!(denied.daemon.end(), 4);
}

/// Before Linux 6.16, descriptors that clients send are received. Closing one may take as long as
/// its sender likes: here a minute, because its data is never read.
#[test]
fn without_a_way_to_refuse_descriptors() {
    let denied = Denied::start(&options(), &[libc::SYS_setsockopt], |call| match call.args[2] {
        SO_PASSRIGHTS => Answer::Fail(libc::ENOPROTOOPT),
        _ => Answer::Pass,
    });
    denied.assert_was_denied();
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let mut readers = Vec::new();
    let hello = Message::new(Kind::Ring, &[]);
    for is_queued in [false, true] {
        let stream = TcpStream::connect(listener.local_addr().expect("it is bound"));
        let stream = stream.expect("it listens");
        readers.push(listener.accept().expect("one connects").0);
        linger(&stream, 60);
        fill(&stream);
        // Stopped, so that the daemon comes to own the last descriptor.
        denied.daemon.signal(Signal::STOP);
        let socket = dial(denied.daemon.site());
        if is_queued {
            // The stream is closed only when the last descriptor of `queue` is.
            let (queue, other) = UnixDatagram::pair().expect("there are descriptors");
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let streams = [stream.as_fd()];
            assert!(control.push(SendAncillaryMessage::ScmRights(&streams)));
            let bytes = [IoSlice::new(b"x")];
            rustix::net::sendmsg(&other, &bytes, &mut control, SendFlags::empty())
                .expect("the queue is empty");
            wire::send(socket.as_fd(), &hello, &[queue.as_fd()]).expect("the daemon reads");
        } else {
            wire::send(socket.as_fd(), &hello, &[stream.as_fd()]).expect("the daemon reads");
        }
        drop(stream);
        denied.daemon.signal(Signal::CONT);
        let began = Instant::now();
        denied.serve();
        denied.daemon.cli(&["pool", "list"]).ok();
        assert!(began.elapsed() < Duration::from_secs(30), "the control thread was stalled");
    }
    drop(readers);
}

/// Makes closing the last descriptor of this socket wait up to `seconds` for the data to be read.
fn linger(stream: &TcpStream, seconds: i32) {
    let linger = libc::linger { l_onoff: 1, l_linger: seconds };
    let size = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value lives until the call returns.
    let done = unsafe {
        let value = (&raw const linger).cast();
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, size)
    };
    assert_eq!(done, 0);
}

/// Writes until there is no more room.
fn fill(stream: &TcpStream) {
    use std::io::Write;
    stream.set_nonblocking(true).expect("it is open");
    let mut stream = stream;
    while stream.write(&[0; 65536]).is_ok() {}
}

fn dial(site: &Site) -> rustix::fd::OwnedFd {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None);
    let socket = socket.expect("there are descriptors");
    let address = SocketAddrUnix::new(site.socket()).expect("it is short enough");
    rustix::net::connect(&socket, &address).expect("the daemon listens");
    socket
}
