//! Completion queues: one thread waits for the first of many tasks.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_front::{Failure, Result, Waited};
use chimaera_ipc::marks;
use chimaera_ipc::word::{is_complete, queue, unqueue, Queueing};
use rustix::event::{epoll, EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;

use crate::ipc_tasks::{self, Spin};
use crate::owner::check_alignment;
use crate::process;
use crate::session::{lock, Board, Session};

/// A completion queue.
pub(crate) struct Completions {
    /// What the application polls: it watches the bell and the nudge.
    epoll: OwnedFd,
    /// Makes `epoll` readable from within this process.
    nudge: OwnedFd,
    capacity: u32,
    state: Mutex<State>,
}

struct State {
    /// The tasks, by their places.
    tasks: Vec<Option<Queued>>,
    free: Vec<u32>,
    /// The places of tasks that are complete.
    ready: VecDeque<u32>,
    /// The session of the tasks, and what its runtime knows of the queue.
    board: Option<(Arc<Session>, Board)>,
    /// Nobody has looked since nothing was found: who adds a task that is complete nudges.
    resting: bool,
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

impl Completions {
    pub(crate) fn new(capacity: u32) -> Result<Completions> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io("make an epoll set"))?;
        let nudge = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(io("make an eventfd"))?;
        watch(&epoll, &nudge)?;
        let state = State {
            tasks: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            board: None,
            resting: true,
        };
        let made = Completions { epoll, nudge, capacity, state: Mutex::new(state) };
        // That there can be one is known now, and not with the first task.
        made.board_in(&mut lock(&made.state), process::current()?.0)?;
        Ok(made)
    }

    pub(crate) fn descriptor(&self) -> i32 {
        self.epoll.as_raw_fd()
    }

    /// Makes the queue known to the runtime of a session.
    fn board_in(&self, state: &mut State, session: Arc<Session>) -> Result<()> {
        if let Some((before, _)) = &state.board {
            if Arc::ptr_eq(before, &session) {
                return Ok(());
            }
            // Its runtime has stopped, which has ended its tasks.
            state.take_all();
        }
        let board = session.board(self.capacity)?;
        watch(&self.epoll, &board.bell)?;
        // Also for who polls the descriptor first. Marks that are left of an earlier queue say nothing.
        let _ = session.marks(&board).rest();
        state.board = Some((session, board));
        Ok(())
    }

    /// # Safety
    /// As `chi_ipc.completions_add`.
    pub(crate) unsafe fn add(&self, task: NonNull<chi_task>, argument: *mut c_void) -> Result<()> {
        process::check_fork()?;
        let (session, offset) =
            process::find(task.as_ptr().cast()).ok_or_else(crate::owner::in_no_segment)?;
        check_alignment(offset)?;
        let state = &mut *lock(&self.state);
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
        let queued = self.queue(state, session, offset, place);
        match queued {
            Ok(is_ready) => {
                state.tasks[place as usize] = Some(Queued { task, argument, is_ready });
                if is_ready {
                    state.ready.push_back(place);
                    if std::mem::take(&mut state.resting) {
                        self.nudge();
                    }
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
                Ok(false)
            }
            Queueing::Complete => Ok(true),
            Queueing::Idle => Err(Failure::never_submitted()),
            Queueing::Busy => {
                Err(Failure::new(CHI_BUSY, "the task is in a completion queue already"))
            }
        }
    }

    /// # Safety
    /// As `chi_ipc.completions_remove`.
    pub(crate) unsafe fn remove(&self, task: NonNull<chi_task>) -> Result<()> {
        process::check_fork()?;
        let state = &mut *lock(&self.state);
        let is_it = |queued: &Option<Queued>| queued.is_some_and(|queued| queued.task == task);
        let Some(place) = state.tasks.iter().position(is_it) else {
            return Err(Failure::new(CHI_INVALID, "the task is not in this completion queue"));
        };
        state.leave(place as u32);
        Ok(())
    }

    /// Takes all tasks out.
    fn clear(&self) {
        let state = &mut *lock(&self.state);
        (0..state.tasks.len() as u32).for_each(|place| state.leave(place));
    }

    /// # Errors
    /// `CHI_IO`.
    pub(crate) fn next(
        &self,
        done: &mut [MaybeUninit<chi_completed>],
        timeout_ns: u64,
    ) -> Result<usize> {
        process::check_fork()?;
        let start = Instant::now();
        let timeout = Duration::from_nanos(timeout_ns);
        loop {
            let mut state = lock(&self.state);
            let taken = state.give(done);
            if taken > 0 {
                return Ok(taken);
            }
            let waited = start.elapsed();
            let is_over = timeout_ns != CHI_WAIT_FOREVER && waited >= timeout;
            if !is_over && Spin::pause(waited) {
                continue;
            }
            // What rings from here on is for those who look from here on.
            self.silence(&mut state);
            if !state.rest() {
                continue;
            }
            drop(state);
            if is_over {
                return Ok(0);
            }
            let rest = (timeout_ns != CHI_WAIT_FOREVER).then(|| timeout.saturating_sub(waited));
            self.sleep(rest)?;
        }
    }

    /// Makes the descriptor unreadable.
    fn silence(&self, state: &mut State) {
        if let Some((session, board)) = &state.board {
            let mut bytes = [0; 64];
            // That there is nothing is no error.
            let received = rustix::net::recv(&board.bell, &mut bytes, RecvFlags::DONTWAIT);
            if matches!(received, Ok((0, _))) {
                // The runtime has hung up.
                session.end();
            }
        }
        let _ = rustix::io::read(&self.nudge, &mut [0_u8; 8]);
        if state.board.as_ref().is_some_and(|(session, _)| session.is_dead()) {
            state.take_all();
        }
    }

    fn nudge(&self) {
        // It fails only if the counter is full, and then it is readable anyway.
        let _ = rustix::io::write(&self.nudge, &1_u64.to_ne_bytes());
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

fn watch(epoll: &OwnedFd, fd: &OwnedFd) -> Result<()> {
    let data = epoll::EventData::new_u64(fd.as_raw_fd() as u64);
    epoll::add(epoll, fd.as_fd(), data, epoll::EventFlags::IN)
        .map_err(io("watch a completion queue"))
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

    /// The session has ended, and with it all of its tasks.
    fn take_all(&mut self) {
        let Some((session, _)) = self.board.take() else { return };
        session.end();
        for (queued, place) in self.tasks.iter_mut().zip(0..) {
            if let Some(queued) = queued.as_mut().filter(|queued| !queued.is_ready) {
                queued.is_ready = true;
                self.ready.push_back(place);
            }
        }
    }

    /// Moves tasks that are complete to the caller.
    fn give(&mut self, done: &mut [MaybeUninit<chi_completed>]) -> usize {
        if self.ready.is_empty() {
            self.take();
        }
        self.resting = false;
        let mut given = 0;
        while given < done.len() {
            let Some(place) = self.ready.pop_front() else { break };
            if let Some(Queued { task, argument, .. }) = self.tasks[place as usize].take() {
                done[given].write(chi_completed { task: task.as_ptr(), argument });
                self.free.push(place);
                given += 1;
            }
        }
        given
    }

    /// Has the workers ring. False if there is something to take.
    fn rest(&mut self) -> bool {
        let rests = self.board.as_ref().is_none_or(|(session, board)| session.marks(board).rest());
        self.resting = rests && self.ready.is_empty();
        self.resting
    }

    fn leave(&mut self, place: u32) {
        let Some(queued) = self.tasks[place as usize].take() else { return };
        if queued.is_ready {
            self.ready.retain(|ready| *ready != place);
        } else if let Some((session, _)) = &self.board {
            if let Some(offset) = session.mapping().offset_of(queued.task.as_ptr().cast()) {
                unqueue(session.state(offset));
            }
        }
        self.free.push(place);
    }
}

fn is_over(session: &Session, task: NonNull<chi_task>) -> bool {
    let offset = session.mapping().offset_of(task.as_ptr().cast());
    offset.is_some_and(|offset| is_complete(session.state(offset)))
}

impl Drop for Completions {
    fn drop(&mut self) {
        if process::check_fork().is_err() {
            return;
        }
        self.clear();
        if let Some((session, board)) = lock(&self.state).board.take() {
            let _ = epoll::delete(&self.epoll, &board.bell);
            session.give_board(board);
        }
    }
}

thread_local! {
    /// What `wait_any` sleeps with.
    static OWN: std::cell::RefCell<Option<Completions>> = const { std::cell::RefCell::new(None) };
}

/// The smallest queue that `wait_any` makes.
const LEAST: u32 = 64;

/// # Safety
/// As `chi_ipc.wait_any`.
pub(crate) unsafe fn wait_any(
    tasks: &[NonNull<chi_task>],
    timeout_ns: u64,
) -> Result<Option<usize>> {
    let start = Instant::now();
    let timeout = Duration::from_nanos(timeout_ns);
    loop {
        for (index, &task) in tasks.iter().enumerate() {
            // SAFETY: by the caller's promise.
            if unsafe { ipc_tasks::wait(task, 0)? } == Waited::Complete {
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
        // Several may have been complete, or none.
        let rest = match timeout_ns {
            CHI_WAIT_FOREVER => CHI_WAIT_FOREVER,
            _ => timeout.saturating_sub(waited).as_nanos() as u64,
        };
        // SAFETY: by the caller's promise.
        unsafe { sleep_for_any(tasks, rest)? };
    }
}

/// # Safety
/// As `wait_any`.
unsafe fn sleep_for_any(tasks: &[NonNull<chi_task>], timeout_ns: u64) -> Result<()> {
    let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    let made = OWN.take().filter(|queue| queue.capacity >= count);
    let queue = match made {
        Some(queue) => queue,
        None if count > 1 << CHI_COMPLETIONS_PLACE_BITS => {
            return Err(Failure::new(CHI_INVALID, "too many tasks to wait for"));
        }
        None => Completions::new(count.next_power_of_two().max(LEAST))?,
    };
    let mut result = Ok(());
    for &task in tasks {
        // SAFETY: by the caller's promise.
        result = result.and_then(|()| unsafe { queue.add(task, std::ptr::null_mut()) });
    }
    let mut first = [MaybeUninit::uninit()];
    let result = result.and_then(|()| queue.next(&mut first, timeout_ns)).map(|_| ());
    queue.clear();
    OWN.set(Some(queue));
    result
}
