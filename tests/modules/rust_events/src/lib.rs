//! The container of `test:rust_events`, a module whose tasks wait for what threads set and devices tell.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chimaera::abi::{CHI_INVALID, CHI_NOT_INITIALIZED, CHI_TIMEOUT};
use chimaera::module::{Event, Init, Poll, Poller, RunContext};
use chimaera::{Result, Status};
use chimaera_test_model_client::{events, ValueTask};
use rustix::event::{eventfd, EventfdFlags};

/// The container.
pub struct Runtime {
    event: Event,
    waiting: AtomicU64,
}

fn ns(time: u64) -> Duration {
    Duration::from_nanos(time)
}

/// Whether a wait with a bound was ended by the event.
fn in_time(waited: Result<()>) -> Result<u64> {
    match waited {
        Ok(()) => Ok(1),
        Err(status) if status.code() == CHI_TIMEOUT => Ok(0),
        Err(status) => Err(status),
    }
}

/// What a worker looks at: a descriptor that somebody writes to.
struct Bell {
    fd: OwnedFd,
    failures: u64,
    looks: AtomicU64,
    event: Event,
}

impl Bell {
    fn new(failures: u64) -> Result<Arc<Bell>> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map_err(|error| Status::failed(format!("no eventfd: {error}")))?;
        Ok(Arc::new(Bell { fd, failures, looks: AtomicU64::new(0), event: Event::new()? }))
    }

    fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }
}

impl Poll for Bell {
    fn poll(&self) -> bool {
        assert!(self.looks.fetch_add(1, Ordering::Relaxed) >= self.failures, "told to throw");
        let rung = rustix::io::read(&self.fd, &mut [0; 8]).is_ok();
        if rung {
            self.event.set();
        }
        rung
    }
}

/// 1 when `result` is a refusal with this status.
fn refused<T>(status: i32, result: Result<T>) -> u64 {
    result.is_err_and(|why| why.code() == status).into()
}

/// A task in WAIT, counted.
struct Inside<'c>(&'c AtomicU64);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[chimaera::container(name = "test:rust_events")]
impl Runtime {
    #[create]
    fn create(_: &Init<'_>) -> Result<Self> {
        Ok(Runtime { event: Event::new()?, waiting: AtomicU64::new(0) })
    }

    #[method(events::SIGNALLED, name = "kSignalled")]
    fn signalled(&self, call: &ValueTask) -> Result<()> {
        let event = Arc::new(Event::new()?);
        let (told, after) = (event.clone(), ns(call.value.get()));
        thread::spawn(move || {
            thread::sleep(after);
            told.set();
        });
        match call.width.get() {
            0 => event.wait(),
            1 => event.wait_uninterrupted(),
            _ => event.wait_for(Duration::from_secs(3600)),
        }?;
        call.result.set(1);
        Ok(())
    }

    #[method(events::TIMED, name = "kTimed")]
    fn timed(&self, call: &ValueTask) -> Result<()> {
        let event = Event::new()?;
        let after = ns(call.value.get());
        thread::scope(|scope| {
            scope.spawn(|| {
                if after != Duration::ZERO {
                    thread::sleep(after);
                    event.set();
                }
            });
            call.result.set(in_time(event.wait_for(ns(call.width.get())))?);
            Ok(())
        })
    }

    #[method(events::EARLY, name = "kEarly")]
    fn early(&self, call: &ValueTask) -> Result<()> {
        let event = Event::new()?;
        event.set();
        event.set();
        event.wait()?;
        call.result.set(in_time(event.wait_for(ns(call.value.get())))?);
        Ok(())
    }

    #[method(events::WAIT, name = "kWait")]
    fn wait(&self, call: &ValueTask) -> Result<()> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _inside = Inside(&self.waiting);
        match call.width.get() {
            1 => self.event.wait_uninterrupted(),
            _ => self.event.wait(),
        }
    }

    #[method(events::WAITING, name = "kWaiting")]
    fn waiting(&self, call: &ValueTask) {
        call.result.set(self.waiting.load(Ordering::Relaxed));
    }

    #[method(events::SET, name = "kSet")]
    fn set(&self, call: &ValueTask) {
        match call.width.get() {
            1 => thread::scope(|scope| {
                scope.spawn(|| self.event.set());
            }),
            _ => self.event.set(),
        }
    }

    #[method(events::POLL, name = "kPoll")]
    fn poll(&self, call: &ValueTask) -> Result<()> {
        let bell = Bell::new(call.width.get())?;
        let poller = Poller::new(bell.fd.as_raw_fd(), bell.clone())?;
        poller.arm(true)?;
        let after = ns(call.value.get());
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(after);
                rustix::io::write(&bell.fd, &1_u64.to_ne_bytes()).expect("an eventfd takes a 1");
            });
            bell.event.wait()
        })?;
        call.result.set(bell.looks());
        Ok(())
    }

    #[method(events::ARM, name = "kArm")]
    fn arm(&self, call: &ValueTask, ctx: &RunContext<'_>) -> Result<()> {
        let poller = Poller::new(-1, Bell::new(0)?)?;
        poller.arm(true)?;
        ctx.sleep(ns(call.value.get()))?;
        let looks = poller.target().looks();
        poller.arm(false)?;
        ctx.sleep(ns(call.value.get()))?;
        call.result.set((looks > 0 && poller.target().looks() == looks).into());
        Ok(())
    }

    #[method(events::ELSEWHERE, name = "kElsewhere")]
    fn elsewhere(&self, call: &ValueTask) -> Result<()> {
        let bell = Bell::new(0)?;
        let poller = |fd| Poller::new(fd, bell.clone());
        let own = poller(bell.fd.as_raw_fd())?;
        let on_thread = || {
            refused(CHI_NOT_INITIALIZED, Event::new())
                | refused(CHI_INVALID, self.event.wait()) << 1
                | refused(CHI_INVALID, poller(bell.fd.as_raw_fd())) << 2
                | refused(CHI_INVALID, own.arm(true)) << 3
        };
        let bits = thread::scope(|scope| scope.spawn(on_thread).join());
        let bits = bits.map_err(|_| Status::failed("the thread has panicked"))?;
        let file = File::open("/proc/self/exe")
            .map_err(|error| Status::failed(format!("no file to try: {error}")))?;
        call.result.set(bits | refused(CHI_INVALID, poller(file.as_raw_fd())) << 4);
        Ok(())
    }
}
