//! What the machine can do: a cache line, a bare ring, a futex.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use chimaera_ipc::futex;
use chimaera_ipc::layout::Layout;
use chimaera_ipc::ring::{Consumer, Entry, Producer};
use chimaera_ipc::segment::{self, Mapping};
use rustix::process::{Pid, Signal};

use crate::measure::{bind, Cores, Peer};
use crate::Result;

/// A process that answers. It ends with this one.
pub(crate) struct Answerer(Pid);

impl Answerer {
    /// Forks a process that runs `serve` on the core of those that answer. Must be called before this process has other
    /// threads.
    pub(crate) fn fork(cores: Cores, serve: impl FnOnce() -> Result<()>) -> Result<Answerer> {
        // SAFETY: there is only this thread.
        match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error().into()),
            0 => {
                // SAFETY: it only asks for a signal.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let ended = bind(cores.answerer).and_then(|()| serve());
                if let Err(why) = &ended {
                    eprintln!("peers: {why}");
                }
                // SAFETY: the process ends here, without what belongs to its parent.
                unsafe { libc::_exit(ended.is_err().into()) }
            }
            pid => Ok(Answerer(Pid::from_raw(pid).expect("it is a child"))),
        }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = rustix::process::kill_process(self.0, Signal::KILL);
        let _ = rustix::process::waitpid(Some(self.0), rustix::process::WaitOptions::empty());
    }
}

/// What the caller says between rounds: the answerer sleeps on it.
const REST: u64 = 0;
const WORK: u64 = 1;

/// Memory that both have.
struct Shared {
    mapping: Mapping,
    at: u64,
}

impl Shared {
    fn pair() -> Result<(Shared, impl FnOnce() -> Result<Shared>)> {
        let layout = Layout::of(0);
        let fd = segment::create(&layout)?;
        let of = move |mapping: Mapping| Shared { at: mapping.layout().client_arena, mapping };
        let own = of(Mapping::new(fd.as_fd(), layout)?);
        Ok((own, move || Ok(of(Mapping::new(fd.as_fd(), layout)?))))
    }

    fn word(&self, number: u64) -> &AtomicU64 {
        // SAFETY: aligned to a cache line, and inside the arena.
        unsafe { self.mapping.double_word(self.at + 64 * number) }
    }

    fn futex(&self, number: u64) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.mapping.word(self.at + 64 * number) }
    }

    /// Has the answerer spin, or sleep.
    fn set(&self, mode: u64) {
        self.futex(9).store(mode as u32, Ordering::Release);
        futex::wake_all(self.futex(9));
    }

    fn rests(&self) -> bool {
        self.futex(9).load(Ordering::Relaxed) == REST as u32
    }

    fn sleep(&self) {
        futex::wait(self.futex(9), REST as u32, Duration::from_secs(1));
    }
}

/// One cache line, to and fro.
pub(crate) struct Line(Shared, u64, #[expect(dead_code)] Answerer);

impl Line {
    pub(crate) fn start(cores: Cores) -> Result<Line> {
        let (own, theirs) = Shared::pair()?;
        let answerer = Answerer::fork(cores, || {
            let (shared, mut last) = (theirs()?, 0);
            loop {
                while shared.rests() {
                    shared.sleep();
                }
                let now = shared.word(0).load(Ordering::Acquire);
                if now != last && now % 2 == 1 {
                    last = now + 1;
                    shared.word(0).store(last, Ordering::Release);
                }
            }
        })?;
        Ok(Line(own, 0, answerer))
    }
}

impl Peer for Line {
    fn begin(&mut self) -> Result<()> {
        self.0.set(WORK);
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        self.0.word(0).store(self.1 + 1, Ordering::Release);
        self.1 += 2;
        while self.0.word(0).load(Ordering::Acquire) != self.1 {
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.0.set(REST);
        Ok(())
    }
}

/// An entry through a ring of Chimaera's, and back through another.
pub(crate) struct Ring {
    shared: Shared,
    there: Producer,
    back: Consumer,
    _answerer: Answerer,
}

impl Ring {
    pub(crate) fn start(cores: Cores) -> Result<Ring> {
        let (own, theirs) = Shared::pair()?;
        let answerer = Answerer::fork(cores, || {
            let shared = theirs()?;
            let mut there = Consumer::new(shared.mapping.ring(0));
            let mut back = Producer::new(shared.mapping.ring(1));
            loop {
                while shared.rests() {
                    shared.sleep();
                }
                if let Some(Some(entry)) = there.pop() {
                    there.show_progress();
                    let _ = back.push(entry);
                }
            }
        })?;
        let there = Producer::new(own.mapping.ring(0));
        let back = Consumer::new(own.mapping.ring(1));
        Ok(Ring { there, back, shared: own, _answerer: answerer })
    }
}

impl Peer for Ring {
    fn begin(&mut self) -> Result<()> {
        self.shared.set(WORK);
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let _ = self.there.push(Entry::Submit { offset: 64 });
        while self.back.pop().is_none() {
            std::hint::spin_loop();
        }
        self.back.show_progress();
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.shared.set(REST);
        Ok(())
    }
}

/// Two futexes: each side sleeps until the other wakes it.
pub(crate) struct Futex(Shared, #[expect(dead_code)] Answerer);

impl Futex {
    pub(crate) fn start(cores: Cores) -> Result<Futex> {
        let (own, theirs) = Shared::pair()?;
        let answerer = Answerer::fork(cores, || {
            let shared = theirs()?;
            loop {
                take(shared.futex(0));
                give(shared.futex(1));
            }
        })?;
        Ok(Futex(own, answerer))
    }
}

fn give(word: &AtomicU32) {
    word.store(1, Ordering::Release);
    futex::wake_all(word);
}

fn take(word: &AtomicU32) {
    while word.swap(0, Ordering::Acquire) == 0 {
        futex::wait(word, 0, Duration::from_secs(1));
    }
}

impl Peer for Futex {
    fn call(&mut self) -> Result<()> {
        give(self.0.futex(0));
        take(self.0.futex(1));
        Ok(())
    }
}
