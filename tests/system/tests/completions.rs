//! Completion queues: one thread serves many tasks.

use std::collections::HashSet;
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_CANCELLED, CHI_INVALID, CHI_NO_SPACE, CHI_UNAVAILABLE};
use chimaera::{wait_any, Completions, Status};
use chimaera_test_life_client as life;
use chimaera_tests::process::until;
use chimaera_tests::tasks::model;
use chimaera_tests::{
    artefacts, connect, in_client, in_client_that_may_end_it, text_of, Daemon, LifePool, Options,
    Site, ValuePool,
};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{kill_process, Pid, Signal};

const MS: u64 = 1_000_000;

fn pool() -> ValuePool {
    ValuePool::new(connect(), model::MODULE, "one")
}

/// Kills the daemon of a site: this one, or the one that was there at first.
fn kill(site: &Site, daemon: &mut Option<Daemon>) {
    match daemon {
        Some(daemon) => daemon.kill(),
        None => {
            let pid = site.status()["pid"].as_i64().unwrap();
            kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        }
    }
}

/// Starts another daemon at a site where one was killed just now.
fn start_again(site: &Site) -> Daemon {
    let lock = site.path().join("chimaera").join(format!("{}.lock", site.name()));
    until("the lock is free", || {
        let lock = std::fs::File::options().read(true).write(true).open(&lock).unwrap();
        rustix::fs::fcntl_lock(lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok()
    });
    Daemon::start_at(site.clone(), &Options::new().repo_path(site.path().join("modules")))
}

/// Whether the descriptor becomes readable within this time.
fn is_readable(queue: impl AsFd, within: Duration) -> bool {
    let within =
        Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
    let mut fds = [PollFd::new(&queue, PollFlags::IN)];
    poll(&mut fds, Some(&within)).unwrap() > 0
}

/// One thread has thousands of tasks in flight, each of which is sent again, and answers a socket meanwhile.
#[test]
fn one_thread_serves_thousands_of_tasks_beside_a_socket() {
    const AT_ONCE: u64 = 3000;
    const ALL: u64 = 20_000;
    in_client!(Options::new().model(), |_| {
        let pool = pool();
        let queue = Completions::new(AT_ONCE as u32).unwrap();
        let (mut socket, other) = UnixStream::pair().unwrap();
        let peer = std::thread::spawn(move || {
            let mut other = other;
            for number in 0_u8..100 {
                other.write_all(&[number]).unwrap();
                let mut answer = [0];
                other.read_exact(&mut answer).unwrap();
                assert_eq!(answer[0], number.wrapping_add(1));
            }
        });
        let (results, done) = mpsc::channel();
        let mut next = 0;
        let mut send = || {
            let results = results.clone();
            // 0 to 20 ms; the result is the argument.
            let task = pool.submit(model::SLEEP, next % 97 * MS / 5);
            let number = next;
            queue
                .add(task, move |outcome| results.send((number, outcome.map(drop))).unwrap())
                .unwrap();
            next += 1;
        };
        (0..AT_ONCE).for_each(|_| send());
        let (mut seen, mut answered) = (HashSet::new(), 0);
        while seen.len() < ALL as usize || answered < 100 {
            let mut fds = [PollFd::new(&queue, PollFlags::IN), PollFd::new(&socket, PollFlags::IN)];
            poll(&mut fds, None).unwrap();
            let [tasks, bytes] = fds.map(|fd| !fd.revents().is_empty());
            if bytes {
                let mut byte = [0];
                if socket.read(&mut byte).unwrap() == 1 {
                    socket.write_all(&[byte[0].wrapping_add(1)]).unwrap();
                    answered += 1;
                }
            }
            if tasks {
                queue.run(Some(Duration::ZERO)).unwrap();
            }
            for (number, outcome) in done.try_iter() {
                outcome.unwrap();
                assert!(seen.insert(number), "{number} twice");
                if (seen.len() as u64) + AT_ONCE <= ALL {
                    send();
                }
            }
        }
        assert!(queue.is_empty());
        peer.join().unwrap();
    });
}

#[test]
fn the_first_of_several_is_returned() {
    in_client!(Options::new().model(), |_| {
        let pool = pool();
        let mut tasks: Vec<_> =
            [400, 3000, 5].iter().map(|ms| pool.submit(model::SLEEP, ms * MS)).collect();
        let mut next =
            |timeout| wait_any(&mut tasks, timeout).unwrap().map(|(at, it)| (at, it.is_ok()));
        assert_eq!(next(None), Some((2, true)));
        assert_eq!(next(Some(Duration::from_millis(1))), None);
        assert_eq!(next(Some(Duration::from_secs(60))), Some((0, true)));
        assert_eq!(next(Some(Duration::ZERO)), None);
        tasks[0].cancel().unwrap();
        assert_eq!(
            wait_any(&mut tasks, None).unwrap().map(|(at, it)| (at, it.is_ok())),
            Some((0, false))
        );
        assert!(wait_any(&mut tasks, None).unwrap().is_none());
        // More than a queue was made for before, many times, on several threads.
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let pool = ValuePool { ipc: connect(), ..pool };
                    for count in [1, 70, 300] {
                        let mut tasks: Vec<_> =
                            (0..count).map(|ms| pool.submit(model::SLEEP, ms * MS / 4)).collect();
                        while !tasks.is_empty() {
                            wait_any(&mut tasks, None).unwrap().unwrap().1.unwrap();
                        }
                    }
                });
            }
        });
    });
}

/// More threads than a session can have queues wait at the same time, for overlapping tasks, too.
#[test]
fn many_threads_wait_for_the_first_of_several() {
    in_client!(Options::new().model(), |_| {
        let pool = pool();
        std::thread::scope(|scope| {
            for number in 0..40 {
                scope.spawn(move || {
                    let pool = ValuePool { ipc: connect(), ..pool };
                    let mut tasks: Vec<_> = [200 + number, 100, 400]
                        .map(|ms| pool.submit(model::SLEEP, ms * MS))
                        .into_iter()
                        .collect();
                    let first = wait_any(&mut tasks, None).unwrap().unwrap();
                    assert_eq!((first.0, first.1.is_ok()), (1, true));
                });
            }
        });
        // None of them has kept a queue.
        let all: Vec<_> = (0..16).map(|_| Completions::new(64).unwrap()).collect();
        assert_eq!(text_of(Completions::new(64)).0, CHI_NO_SPACE);
        let mut tasks: Vec<_> =
            [60_000, 20].iter().map(|ms| pool.submit(model::SLEEP, ms * MS)).collect();
        assert_eq!(wait_any(&mut tasks, None).unwrap().unwrap().0, 1);
        drop(all);
    });
}

/// Each task is returned to one thread.
#[test]
fn several_threads_serve_one_queue() {
    in_client!(Options::new().model(), |_| {
        let pool = pool();
        let queue = Completions::new(1000).unwrap();
        let left = AtomicUsize::new(3000);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while left.load(Ordering::Relaxed) > 0 {
                        let ran = queue.run(Some(Duration::from_millis(100))).unwrap();
                        left.fetch_sub(ran, Ordering::Relaxed);
                    }
                });
            }
            for number in 0..3000 {
                let pause = Duration::from_micros(number % 50 * 20);
                std::thread::sleep(pause);
                let task = pool.submit(model::SLEEP, number % 7 * MS / 10);
                let mut task = Some(task);
                while let Some(one) = task.take() {
                    if let Err(full) = queue.add(one, |it| drop(it.unwrap())) {
                        task = Some(full.task);
                        std::thread::yield_now();
                    }
                }
            }
        });
    });
}

/// Tasks of an earlier runtime are told of at once when one of the next is added, and those that were never sent do no
/// harm. Nothing is left of the earlier sessions.
#[test]
fn tasks_of_earlier_runtimes_are_told_of() {
    let daemon = in_client_that_may_end_it!(Options::new().model(), |site| {
        let mut pool = pool();
        let queue = Completions::new(100).unwrap();
        let ended = Arc::new(AtomicUsize::new(0));
        let counts = || {
            let ended = ended.clone();
            move |_: Result<chimaera::Done<model::ValueTask>, Status>| {
                ended.fetch_add(1, Ordering::Relaxed);
            }
        };
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let mut daemon: Option<Daemon> = None;
        let mut before = None;
        for _ in 0..4 {
            queue.add(pool.submit(model::SLEEP, 60_000 * MS), counts()).unwrap();
            kill(site, &mut daemon);
            assert!(is_readable(&queue, Duration::from_secs(60)));
            drop(daemon.take());
            daemon = Some(start_again(site));
            pool = until("it is connected again", || {
                let ipc = pool.ipc;
                let id = ipc.create_pool(model::MODULE, "one", b"").ok()?;
                Some(ValuePool { ipc, id })
            });
            let long = pool.submit(model::SLEEP, 300 * MS);
            queue.add(long, counts()).unwrap();
            assert!(is_readable(&queue, Duration::ZERO));
            let was = ended.load(Ordering::Relaxed);
            assert_eq!(queue.run(Some(Duration::ZERO)).unwrap(), 1);
            assert_eq!(queue.run(None).unwrap(), 1);
            assert_eq!(ended.load(Ordering::Relaxed), was + 2);
            // The session before this one is gone when the next task is made.
            let now = descriptors();
            assert!(before.is_none_or(|before| now <= before + 4), "{before:?} {now}");
            before.get_or_insert(now);
        }
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), -(Signal::KILL.as_raw()), "{}", daemon.log());
    }
}

/// A method waits for the first of its subtasks, and can be cancelled then; it has no completion queue.
#[test]
fn a_method_waits_for_the_first_of_several() {
    in_client!(Options::new().model(), |_| {
        for (module, name) in [(model::MODULE, "cpp"), (model::RUST, "rust")] {
            let pool = ValuePool::new(connect(), module, name);
            assert_eq!(pool.call(model::FIRST, 20 * MS, 5), 4, "{module}");
            let endless = pool.task(model::FIRST, 1_000_000 * MS, 2).submit().unwrap();
            pool.call(model::TICK, 0, 8);
            endless.cancel().unwrap();
            assert_eq!(text_of(endless.wait()).0, CHI_CANCELLED, "{module}");
        }
    });
}

/// A queue tells of tasks that are complete when they are added, too, and is silent otherwise.
#[test]
fn the_descriptor_says_when_there_is_something() {
    in_client!(Options::new().model(), |_| {
        let pool = pool();
        let queue = Completions::new(10).unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counts = || {
            let count = count.clone();
            move |outcome: Result<chimaera::Done<model::ValueTask>, Status>| {
                outcome.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        assert_eq!(queue.run(Some(Duration::ZERO)).unwrap(), 0);
        assert!(!is_readable(&queue, Duration::from_millis(20)));
        let done = pool.submit(model::SLEEP, 0);
        until("it is complete", || done.is_complete().then_some(()));
        queue.add(done, counts()).unwrap();
        assert!(is_readable(&queue, Duration::from_secs(60)));
        assert_eq!(queue.run(None).unwrap(), 1);
        assert!(!is_readable(&queue, Duration::from_millis(20)));
        for _ in 0..3 {
            queue.add(pool.submit(model::SLEEP, 20 * MS), counts()).unwrap();
            assert!(!is_readable(&queue, Duration::ZERO));
            assert!(is_readable(&queue, Duration::from_secs(60)));
            assert_eq!(queue.run(Some(Duration::ZERO)).unwrap(), 1);
            assert!(!is_readable(&queue, Duration::from_millis(20)));
        }
        // Another thread adds while this one sleeps.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                let pool = ValuePool { ipc: connect(), ..pool };
                queue.add(pool.submit(model::SLEEP, MS), counts()).unwrap();
            });
            assert_eq!(queue.run(None).unwrap(), 1);
        });
        let start = Instant::now();
        assert_eq!(queue.run(Some(Duration::from_millis(30))).unwrap(), 0);
        assert!(start.elapsed() >= Duration::from_millis(30));
        assert_eq!(count.load(Ordering::Relaxed), 5);
    });
}

#[test]
fn limits_are_told() {
    in_client!(Options::new().model(), |_| {
        let pool = pool();
        for capacity in [0, (1 << 20) + 1] {
            assert_eq!(text_of(Completions::new(capacity)).0, CHI_INVALID);
        }
        let small = Completions::new(2).unwrap();
        let add = || small.add(pool.submit(model::SLEEP, 50 * MS), |it| drop(it.unwrap()));
        add().unwrap();
        add().unwrap();
        let full = add().unwrap_err();
        let why = "the completion queue is full: it is for 2 tasks";
        assert_eq!((full.status.code(), full.status.message()), (CHI_NO_SPACE, why));
        // It goes on by itself.
        full.task.wait().unwrap();
        // A queue that is dropped is there for the next, and its tasks run.
        for _ in 0..100 {
            let queue = Completions::new(100).unwrap();
            queue.add(pool.submit(model::TICK, MS), |_| panic!("it was dropped")).unwrap();
        }
        until("all have run", || (pool.call(model::TICKS, 0, 0) == 100).then_some(()));
        let mut queues = Vec::new();
        let why = loop {
            match Completions::new(64) {
                Ok(queue) => queues.push(queue),
                Err(why) => break why,
            }
        };
        assert_eq!((why.code(), queues.len()), (CHI_NO_SPACE, 15), "{why}");
        assert!(why.message().contains("limit (16 per session) reached"), "{why}");
        queues.pop();
        let again = Completions::new(64).unwrap();
        again.add(pool.submit(model::SLEEP, MS), |it| drop(it.unwrap())).unwrap();
        assert_eq!(again.run(None).unwrap(), 1);
        let mut left = 2;
        while left > 0 {
            left -= small.run(None).unwrap();
        }
    });
}

/// A queue goes on when its runtime is killed, and another one is started.
#[test]
fn a_queue_outlives_its_runtime() {
    let daemon = in_client_that_may_end_it!(Options::new().model(), |site| {
        let queue = Completions::new(100).unwrap_err();
        assert!(queue.message().contains("connect first"), "{queue}");
        let mut pool = pool();
        let queue = Completions::new(100).unwrap();
        let mut daemon: Option<Daemon> = None;
        for round in 0..3 {
            let outcomes = Arc::new(Mutex::new(Vec::new()));
            for ms in [0, 60_000, 60_000] {
                let outcomes = outcomes.clone();
                let then = move |it: Result<_, Status>| {
                    outcomes.lock().unwrap().push(it.map(drop).map_err(|it| it.code()))
                };
                queue.add(pool.submit(model::SLEEP, ms * MS), then).unwrap();
            }
            assert_eq!(queue.run(None).unwrap(), 1);
            assert_eq!(queue.run(Some(Duration::ZERO)).unwrap(), 0);
            assert!(!is_readable(&queue, Duration::ZERO));
            kill(site, &mut daemon);
            assert!(is_readable(&queue, Duration::from_secs(60)));
            assert_eq!(queue.run(Some(Duration::from_secs(60))).unwrap(), 2);
            let mut outcomes = outcomes.lock().unwrap();
            assert_eq!(*outcomes, [Ok(()), Err(CHI_UNAVAILABLE), Err(CHI_UNAVAILABLE)], "{round}");
            outcomes.clear();
            assert!(!is_readable(&queue, Duration::from_millis(20)), "round {round}");
            drop(daemon.take());
            daemon = Some(start_again(site));
            pool = ValuePool::new(pool.ipc, model::MODULE, "one");
        }
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), -(Signal::KILL.as_raw()), "{}", daemon.log());
    }
}

/// Tasks that wait while the runtime is replaced are told of by the new process.
#[test]
fn a_queue_outlives_a_restart() {
    let options = Options::new().file(artefacts::rust_life(1));
    let daemon = in_client_that_may_end_it!(options, |site| {
        let pool = LifePool::new(connect(), "");
        let queue = Completions::new(100).unwrap();
        for _ in 0..2 {
            let slow = pool.submit_slow(site, 500);
            queue.add(slow, |it| drop(it.unwrap())).unwrap();
            std::thread::scope(|scope| {
                let restarts = scope.spawn(|| site.cli(&["restart"]).ok());
                until("the pool is draining", || {
                    (site.pool("life")["state"] == "draining").then_some(())
                });
                for _ in 0..50 {
                    let held = pool.key(life::ADD, "held", 1, 0).submit().unwrap();
                    queue.add(held, |it| drop(it.unwrap())).unwrap();
                }
                let mut left = 51;
                while left > 0 {
                    left -= queue.run(Some(Duration::from_secs(60))).unwrap();
                }
                restarts.join().unwrap();
            });
        }
        site.cli(&["stop"]).ok();
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), 0, "{}", daemon.log());
    }
}

/// An application that has closed all descriptors, as one that becomes a daemon does, is told so.
#[test]
fn who_has_closed_all_descriptors_is_told() {
    in_client!(Options::new().model(), |_| {
        let pool = pool();
        let mut tasks: Vec<_> = (0..2).map(|_| pool.submit(model::SLEEP, 60_000 * MS)).collect();
        // SAFETY: only what Chimaera has opened in this process is closed, and what nobody uses any more.
        unsafe { libc::close_range(3, u32::MAX, 0) };
        assert_eq!(text_of(Completions::new(64)).0, CHI_UNAVAILABLE);
        assert_eq!(text_of(wait_any(&mut tasks, None)).0, CHI_UNAVAILABLE);
        tasks.into_iter().for_each(std::mem::forget);
    });
}

/// Polls futures on one thread, whose event loop waits for the queue.
struct Ready(Mutex<Vec<usize>>, usize);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().push(self.1);
    }
}

#[test]
fn futures_are_ready_when_their_tasks_are() {
    in_client!(Options::new().model(), |_| {
        let pool = pool();
        let queue = Completions::new(16).unwrap();
        let sum = async {
            let slow = queue.outcome(pool.submit(model::SLEEP, 30 * MS)).unwrap();
            let quick = queue.outcome(pool.submit(model::SLEEP, 0)).unwrap();
            drop(queue.outcome(pool.submit(model::SLEEP, 10 * MS)).unwrap());
            quick.await.unwrap();
            slow.await.unwrap();
            let failed = queue.outcome(pool.submit(model::FAIL, 0)).unwrap().await;
            failed.unwrap_err().code()
        };
        let ready = Arc::new(Ready(Mutex::default(), 1));
        let waker = Waker::from(ready.clone());
        let mut sum = pin!(sum);
        let (mut polls, mut due) = (0, true);
        let code = loop {
            if due {
                polls += 1;
                if let Poll::Ready(code) = sum.as_mut().poll(&mut Context::from_waker(&waker)) {
                    break code;
                }
            }
            queue.run(None).unwrap();
            due = !std::mem::take(&mut *ready.0.lock().unwrap()).is_empty();
        };
        assert_ne!(code, 0);
        let left = Completions::new(16).unwrap();
        let outcome = left.outcome(pool.submit(model::SLEEP, 50 * MS)).unwrap();
        drop(left);
        let mut outcome = pin!(outcome);
        match outcome.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => assert_eq!(text_of(outcome).0, CHI_CANCELLED),
            Poll::Pending => panic!("it would be pending for ever"),
        }
        assert!((2..=4).contains(&polls), "{polls}");
        assert!(queue.is_empty());
    });
}
