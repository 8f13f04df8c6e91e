//! Completion queues: one thread waits for the first of many tasks.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_front::{Failure, Result, Waited};
use chimaera_ipc::marks;
use chimaera_ipc::word::{is_complete, queue, unqueue, Queueing};
use rustix::event::{epoll, EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;

use crate::ipc_tasks::{look, Spin};
use crate::owner::check_alignment;
use crate::process;
use crate::session::{lock, Board, Session};

/// A completion queue.
pub(crate) struct Completions {
    /// What the application polls: it watches the bell and the nudge.
    epoll: OwnedFd,
    /// Makes `epoll` readable from within this process.
    nudge: Arc<OwnedFd>,
    capacity: u32,
    /// That of the process that has made it.
    generation: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The tasks, by their places.
    tasks: Vec<Option<Queued>>,
    places: HashMap<NonNull<chi_task>, u32>,
    free: Vec<u32>,
    /// The places of tasks that are complete.
    ready: VecDeque<u32>,
    /// The session of the tasks, and what its runtime knows of the queue.
    board: Option<(Arc<Session>, Board)>,
    /// The nudge has been rung since somebody found nothing.
    is_nudged: bool,
}

#[derive(Clone, Copy)]
struct Queued {
    task: NonNull<chi_task>,
    argument: *mut c_void,
    /// Its place is in `ready`.
    is_ready: bool,
}

// SAFETY: the pointers are the application's, which may use tasks and arguments on any thread.
unsafe impl Send for State {}

fn io(what: &str) -> impl FnOnce(rustix::io::Errno) -> Failure + '_ {
    move |error| Failure::new(CHI_IO, format!("cannot {what}: {error}"))
}

fn watch(epoll: &OwnedFd, fd: &OwnedFd) -> Result<()> {
    let data = epoll::EventData::new_u64(fd.as_raw_fd() as u64);
    epoll::add(epoll, fd.as_fd(), data, epoll::EventFlags::IN)
        .map_err(io("watch a completion queue"))
}

impl Completions {
    pub(crate) fn new(capacity: u32) -> Result<Completions> {
        let made = Completions::unknown(capacity)?;
        // That there can be one is known now, and not with the first task.
        made.board_in(&mut lock(&made.state), process::current()?.0)?;
        Ok(made)
    }

    /// One that no runtime knows yet.
    fn unknown(capacity: u32) -> Result<Completions> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io("make an epoll set"))?;
        let nudge = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(io("make an eventfd"))?;
        watch(&epoll, &nudge)?;
        let (nudge, generation) = (Arc::new(nudge), process::generation());
        Ok(Completions { epoll, nudge, capacity, generation, state: Mutex::default() })
    }

    /// Fails in a forked child, whose descriptors are the same as the parent's.
    fn check(&self) -> Result<()> {
        process::check_fork()?;
        match self.generation == process::generation() {
            true => Ok(()),
            false => Err(Failure::new(CHI_FORKED, "the completion queue was made before a fork")),
        }
    }

    pub(crate) fn descriptor(&self) -> i32 {
        self.epoll.as_raw_fd()
    }

    /// Makes the queue known to the runtime of a session, unless it is.
    fn board_in(&self, state: &mut State, session: Arc<Session>) -> Result<()> {
        match &state.board {
            Some((before, _)) if Arc::ptr_eq(before, &session) => return Ok(()),
            // Its runtime has stopped, which has ended its tasks.
            Some((before, _)) if before.is_dead() => self.take_all(state),
            Some(_) => {
                let why = "the task is of another session than those in the completion queue";
                return Err(Failure::new(CHI_INVALID, why));
            }
            None => {}
        }
        let board = session.board(self.capacity, &self.nudge)?;
        if let Err(failure) = watch(&self.epoll, &board.bell) {
            session.give_board(board);
            return Err(failure);
        }
        // Also for who polls the descriptor first. Marks that are left of an earlier queue say nothing.
        let _ = session.marks(&board).rest();
        state.board = Some((session, board));
        Ok(())
    }

    /// Gives back what the runtime knows of the queue, which has no tasks.
    fn release(&self, state: &mut State) {
        if let Some((session, board)) = state.board.take() {
            // A descriptor that a forked child has, too, would stay in the set.
            let _ = epoll::delete(&self.epoll, &board.bell);
            session.give_board(board);
        }
    }

    /// The session has ended, and with it all of its tasks.
    fn take_all(&self, state: &mut State) {
        if let Some((session, _)) = &state.board {
            session.end();
        }
        self.release(state);
        for (queued, place) in state.tasks.iter_mut().zip(0..) {
            if let Some(queued) = queued.as_mut().filter(|queued| !queued.is_ready) {
                queued.is_ready = true;
                state.ready.push_back(place);
            }
        }
        self.tell(state);
    }

    /// Makes the descriptor readable, if there is something to return, until somebody finds nothing.
    fn tell(&self, state: &mut State) {
        if !state.ready.is_empty() && !std::mem::replace(&mut state.is_nudged, true) {
            self.ring();
        }
    }

    fn ring(&self) {
        // It fails only if the counter is full, and then it is readable anyway.
        let _ = rustix::io::write(&*self.nudge, &1_u64.to_ne_bytes());
    }

    /// # Safety
    /// As `chi_ipc.completions_add`.
    pub(crate) unsafe fn add(&self, task: NonNull<chi_task>, argument: *mut c_void) -> Result<()> {
        self.check()?;
        let (session, offset) =
            process::find(task.as_ptr().cast()).ok_or_else(crate::owner::in_no_segment)?;
        check_alignment(offset)?;
        let state = &mut *lock(&self.state);
        if state.places.contains_key(&task) {
            return Err(busy());
        }
        let place = match state.free.pop() {
            Some(place) => place,
            None if state.tasks.len() < self.capacity as usize => {
                state.tasks.push(None);
                state.tasks.len() as u32 - 1
            }
            None => {
                let why =
                    format!("the completion queue is full: it is for {} tasks", self.capacity);
                return Err(Failure::new(CHI_NO_SPACE, why));
            }
        };
        match self.queue(state, session, offset, place) {
            Ok(is_ready) => {
                state.tasks[place as usize] = Some(Queued { task, argument, is_ready });
                state.places.insert(task, place);
                if is_ready {
                    state.ready.push_back(place);
                    self.tell(state);
                }
                Ok(())
            }
            Err(failure) => {
                state.free.push(place);
                Err(failure)
            }
        }
    }

    /// Notes in the task's word where it is. True if it is complete.
    fn queue(
        &self,
        state: &mut State,
        session: Arc<Session>,
        offset: u64,
        place: u32,
    ) -> Result<bool> {
        let word = session.state(offset);
        if word.load(Ordering::Acquire) & (CHI_TASK_IN_FLIGHT | CHI_TASK_COMPLETE) == 0 {
            return Err(Failure::never_submitted());
        }
        if session.is_dead() {
            session.end();
        }
        if is_complete(word) {
            return Ok(true);
        }
        self.board_in(state, session.clone())?;
        let (_, board) = state.board.as_ref().expect("made above");
        match queue(word, marks::join(board.number, place)) {
            Queueing::Queued => {
                // If the runtime has stopped meanwhile, nobody else ends the task.
                if session.is_dead() {
                    session.end();
                }
                Ok(is_complete(word))
            }
            Queueing::Complete => Ok(true),
            Queueing::Idle => Err(Failure::never_submitted()),
            Queueing::Busy => Err(busy()),
        }
    }

    /// # Safety
    /// As `chi_ipc.completions_remove`.
    pub(crate) unsafe fn remove(&self, task: NonNull<chi_task>) -> Result<()> {
        self.check()?;
        let state = &mut *lock(&self.state);
        let Some(&place) = state.places.get(&task) else {
            return Err(Failure::new(CHI_INVALID, "the task is not in this completion queue"));
        };
        if state.leave(place) {
            state.ready.retain(|ready| *ready != place);
        }
        Ok(())
    }

    /// Takes all tasks out.
    fn clear(&self, state: &mut State) {
        for place in 0..state.tasks.len() as u32 {
            state.leave(place);
        }
        state.ready.clear();
    }

    /// # Errors
    /// `CHI_IO`.
    pub(crate) fn next(
        &self,
        done: &mut [MaybeUninit<chi_completed>],
        timeout_ns: u64,
    ) -> Result<usize> {
        self.check()?;
        let start = Instant::now();
        let timeout = Duration::from_nanos(timeout_ns);
        loop {
            let mut guard = lock(&self.state);
            let state = &mut *guard;
            let taken = state.give(done);
            if taken > 0 {
                // Others may sleep, and there may be more.
                if !std::mem::replace(&mut state.is_nudged, true) {
                    self.ring();
                }
                return Ok(taken);
            }
            drop(guard);
            let waited = start.elapsed();
            let is_over = timeout_ns != CHI_WAIT_FOREVER && waited >= timeout;
            if !is_over && Spin::pause(waited) {
                continue;
            }
            let mut guard = lock(&self.state);
            let state = &mut *guard;
            // What rings from here on is for those who look from here on.
            self.silence(state);
            if !state.rest() {
                continue;
            }
            if is_over {
                return Ok(0);
            }
            drop(guard);
            let rest = (timeout_ns != CHI_WAIT_FOREVER).then(|| timeout.saturating_sub(waited));
            self.sleep(rest)?;
        }
    }

    /// Makes the descriptor unreadable.
    fn silence(&self, state: &mut State) {
        let _ = rustix::io::read(&*self.nudge, &mut [0_u8; 8]);
        state.is_nudged = false;
        let Some((session, board)) = &state.board else { return };
        let mut bytes = [0; 64];
        // That there is nothing is no error.
        let received = rustix::net::recv(&board.bell, &mut bytes, RecvFlags::DONTWAIT);
        if session.is_dead() || matches!(received, Ok((0, _))) {
            // The runtime has hung up.
            self.take_all(state);
        }
    }

    fn sleep(&self, rest: Option<Duration>) -> Result<()> {
        let rest = rest.map(|rest| Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: rest.subsec_nanos().into(),
        });
        let mut sets = [PollFd::new(&self.epoll, PollFlags::IN)];
        match rustix::event::poll(&mut sets, rest.as_ref()) {
            Ok(_) if sets[0].revents().contains(PollFlags::NVAL) => {
                Err(Failure::new(CHI_IO, "the descriptor of the completion queue was closed"))
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(io("wait for the completion queue")(error)),
        }
    }
}

fn busy() -> Failure {
    Failure::new(CHI_BUSY, "the task is in a completion queue already")
}

impl State {
    /// Takes note of the tasks that workers have marked.
    fn take(&mut self) {
        let State { tasks, ready, board, .. } = self;
        let Some((session, board)) = board else { return };
        session.marks(board).take(|place| {
            let Some(Some(queued)) = tasks.get_mut(place as usize) else { return };
            // A mark may be left of a task that was taken out before it was complete.
            if !queued.is_ready && is_over(session, queued.task) {
                queued.is_ready = true;
                ready.push_back(place);
            }
        });
    }

    /// Moves tasks that are complete to the caller.
    fn give(&mut self, done: &mut [MaybeUninit<chi_completed>]) -> usize {
        if self.ready.is_empty() {
            self.take();
        }
        let mut given = 0;
        while given < done.len() {
            let Some(place) = self.ready.pop_front() else { break };
            if let Some(Queued { task, argument, .. }) = self.tasks[place as usize].take() {
                done[given].write(chi_completed { task: task.as_ptr(), argument });
                self.places.remove(&task);
                self.free.push(place);
                given += 1;
            }
        }
        given
    }

    /// Has the workers ring. False if there is something to take.
    fn rest(&mut self) -> bool {
        let rests = self.board.as_ref().is_none_or(|(session, board)| session.marks(board).rest());
        rests && self.ready.is_empty()
    }

    /// Takes a task out. True if its place is in `ready`.
    fn leave(&mut self, place: u32) -> bool {
        let Some(queued) = self.tasks[place as usize].take() else { return false };
        self.places.remove(&queued.task);
        self.free.push(place);
        if let Some((session, _)) = self.board.as_ref().filter(|_| !queued.is_ready) {
            if let Some(offset) = session.mapping().offset_of(queued.task.as_ptr().cast()) {
                unqueue(session.state(offset));
            }
        }
        queued.is_ready
    }
}

fn is_over(session: &Session, task: NonNull<chi_task>) -> bool {
    let offset = session.mapping().offset_of(task.as_ptr().cast());
    offset.is_some_and(|offset| is_complete(session.state(offset)))
}

impl Drop for Completions {
    fn drop(&mut self) {
        if self.check().is_err() {
            // The lock may be held by a thread that does not exist here, and the segment is not mapped.
            return std::mem::forget(std::mem::take(&mut self.state));
        }
        let state = &mut *lock(&self.state);
        self.clear(state);
        self.release(state);
    }
}

thread_local! {
    /// What `wait_any` sleeps with. No runtime knows it meanwhile.
    static OWN: Cell<Option<Completions>> = const { Cell::new(None) };
}

/// How long `wait_any` sleeps at first, and at most, if it cannot have a completion queue.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// # Safety
/// As `chi_ipc.wait_any`.
pub(crate) unsafe fn wait_any(
    tasks: &[NonNull<chi_task>],
    timeout_ns: u64,
) -> Result<Option<usize>> {
    let (start, mut pause) = (Instant::now(), FIRST_PAUSE);
    let timeout = Duration::from_nanos(timeout_ns);
    loop {
        for (index, &task) in tasks.iter().enumerate() {
            if look(task)? == Waited::Complete {
                return Ok(Some(index));
            }
        }
        let waited = start.elapsed();
        if timeout_ns != CHI_WAIT_FOREVER && waited >= timeout {
            return Ok(None);
        }
        if Spin::pause(waited) {
            continue;
        }
        let rest = timeout.saturating_sub(waited);
        let rest_ns = match timeout_ns {
            CHI_WAIT_FOREVER => CHI_WAIT_FOREVER,
            _ => rest.as_nanos() as u64,
        };
        // SAFETY: by the caller's promise.
        match unsafe { sleep_for_any(tasks, rest_ns) } {
            Ok(()) => {}
            // Others have all queues, or one of the tasks is in one, or this runtime has none.
            Err(failure)
                if [CHI_NO_SPACE, CHI_TOO_LARGE, CHI_BUSY, CHI_VERSION, CHI_INVALID, CHI_IO]
                    .contains(&failure.status) =>
            {
                std::thread::sleep(pause.min(rest));
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// # Safety
/// As `wait_any`.
unsafe fn sleep_for_any(tasks: &[NonNull<chi_task>], timeout_ns: u64) -> Result<()> {
    let most = 1 << CHI_COMPLETIONS_PLACE_BITS;
    let count = u32::try_from(tasks.len()).ok().filter(|count| *count <= most);
    let count = count.ok_or_else(|| Failure::new(CHI_TOO_LARGE, "too many tasks for a queue"))?;
    // None is left when the thread ends.
    let own = OWN.try_with(Cell::take).ok().flatten();
    let queue = match own.filter(|queue| queue.capacity >= count && queue.check().is_ok()) {
        Some(queue) => queue,
        None => Completions::unknown(count.next_power_of_two())?,
    };
    let mut result = Ok(());
    for &task in tasks {
        // SAFETY: by the caller's promise.
        result = result.and_then(|()| unsafe { queue.add(task, std::ptr::null_mut()) });
    }
    let mut first = [MaybeUninit::uninit()];
    result.and_then(|()| queue.next(&mut first, timeout_ns))?;
    {
        let state = &mut *lock(&queue.state);
        queue.clear(state);
        queue.release(state);
        queue.silence(state);
    }
    let _ = OWN.try_with(|own| own.set(Some(queue)));
    Ok(())
}
