//! The container of `test:rust_locks`, a module for the tests of locks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Duration;

use chimaera::module::{CoMutex, CoRwLock, Init, MonitorContext, MonitorMode, Queue, RunContext};
use chimaera::{DomainQuery, NewTask, Result, Status};
use chimaera_test_locks_client::{How, Lock, LockTask, Method, BROKEN, LANES};

/// What the locks guard. Every access on its own is sound; only the lock keeps them together.
#[derive(Default)]
struct Counter {
    first: AtomicU64,
    second: AtomicU64,
}

static COMMON: CoMutex<()> = CoMutex::new(());

/// The container.
pub struct Runtime {
    queue: Queue,
    counter: Counter,
    mutex: CoMutex<()>,
    lock: CoRwLock<()>,
    let_go: AtomicU64,
    notes: Mutex<Vec<u64>>,
}

/// A guard of any kind: it only has to be dropped, or not.
trait Guard {}
impl<T> Guard for T {}

impl Runtime {
    fn take(&self, lock: u32) -> Result<Box<dyn Guard + '_>> {
        Ok(match lock {
            Lock::MUTEX => Box::new(self.mutex.lock()?),
            Lock::READ => Box::new(self.lock.read()?),
            Lock::WRITE => Box::new(self.lock.write()?),
            Lock::COMMON => Box::new(COMMON.lock()?),
            _ => Box::new(()),
        })
    }

    fn add(&self, ctx: &RunContext<'_>) -> Result<()> {
        let number = self.counter.first.load(Ordering::Relaxed);
        ctx.yield_now()?;
        self.counter.first.store(number + 1, Ordering::Relaxed);
        ctx.yield_now()?;
        self.counter.second.store(number + 1, Ordering::Relaxed);
        Ok(())
    }

    fn look(&self, ctx: &RunContext<'_>) -> Result<()> {
        let number = self.counter.first.load(Ordering::Relaxed);
        ctx.yield_now()?;
        match self.counter.second.load(Ordering::Relaxed) == number {
            true => Ok(()),
            false => Err(Status::new(BROKEN, "a writer was there together with a reader")),
        }
    }
}

#[chimaera::container(name = "test:rust_locks")]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        Ok(Runtime {
            queue: init.create_queue(0, LANES)?,
            counter: Counter::default(),
            mutex: CoMutex::default(),
            lock: CoRwLock::default(),
            let_go: AtomicU64::new(0),
            notes: Mutex::default(),
        })
    }

    #[destroy]
    fn destroy(&self, _ctx: &RunContext<'_>) {
        drop(self.mutex.lock().expect("nobody else is left"));
    }

    #[method(Method::COUNT, name = "kCount")]
    fn count(&self, task: &LockTask, ctx: &RunContext<'_>) -> Result<()> {
        for _ in 0..task.number.get() {
            let _guard = self.take(task.lock.get())?;
            match task.lock.get() {
                Lock::READ => self.look(ctx)?,
                _ => self.add(ctx)?,
            }
        }
        task.result.set(self.counter.second.load(Ordering::Relaxed));
        Ok(())
    }

    #[method(Method::NEST, name = "kNest")]
    fn nest(&self, task: &LockTask, ctx: &RunContext<'_>) -> Result<()> {
        let _guard = self.take(task.lock.get())?;
        let mut text = ctx.worker_id().to_string();
        if task.number.get() > 0 {
            let child: NewTask<LockTask> =
                chimaera::ipc()?.new_task(ctx.pool_id(), DomainQuery::dynamic(), Method::NEST)?;
            child.lock.set(task.lock.get());
            child.lane.set(task.lane.get() + 1);
            child.number.set(task.number.get() - 1);
            text = format!("{text},{}", child.call()?.text.to_string()?);
        }
        self.add(ctx)?;
        task.text.set(text)
    }

    #[method(Method::HOLD, name = "kHold")]
    fn hold(&self, task: &LockTask, ctx: &RunContext<'_>) -> Result<()> {
        let guard = self.take(task.lock.get())?;
        self.notes.lock().unwrap().push(task.number.get());
        while self.let_go.load(Ordering::Relaxed) < task.number.get() {
            ctx.yield_now()?;
        }
        if task.how.get() != How::GUARD {
            std::mem::forget(guard);
        }
        assert!(task.how.get() != How::THROW, "told to panic");
        Ok(())
    }

    #[method(Method::LET_GO, name = "kLetGo")]
    fn let_go(&self, task: &LockTask) {
        self.let_go.store(task.number.get(), Ordering::Relaxed);
    }

    #[method(Method::NOTES, name = "kNotes")]
    fn notes(&self, task: &LockTask) -> Result<()> {
        let notes: Vec<String> =
            self.notes.lock().unwrap().iter().map(|number| number.to_string()).collect();
        task.text.set(notes.join(","))
    }

    #[method(Method::TIMED, name = "kTimed")]
    fn timed(&self, task: &LockTask) -> Result<()> {
        self.mutex.lock_for(Duration::from_nanos(task.number.get())).map(drop)
    }

    #[method(Method::TRY, name = "kTry")]
    fn try_it(&self, task: &LockTask) -> Result<()> {
        let taken = match task.lock.get() {
            Lock::MUTEX => self.mutex.try_lock()?.is_some(),
            Lock::READ => self.lock.try_read()?.is_some(),
            Lock::WRITE => self.lock.try_write()?.is_some(),
            _ => COMMON.try_lock()?.is_some(),
        };
        task.result.set(taken.into());
        Ok(())
    }

    #[monitor(Method::COUNT)]
    fn place_count(&self, _: MonitorMode, task: &LockTask, ctx: &mut MonitorContext<'_>) {
        ctx.set_lane(self.queue.lane_by_hash(task.lane.get()));
    }

    #[monitor(Method::NEST)]
    fn place_nest(&self, _: MonitorMode, task: &LockTask, ctx: &mut MonitorContext<'_>) {
        ctx.set_lane(self.queue.lane_by_hash(task.lane.get()));
    }

    #[monitor(Method::HOLD)]
    fn place_hold(&self, _: MonitorMode, task: &LockTask, ctx: &mut MonitorContext<'_>) {
        ctx.set_lane(self.queue.lane_by_hash(task.lane.get()));
    }
}
