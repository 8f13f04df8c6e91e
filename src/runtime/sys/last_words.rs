//! Last words: what a daemon writes before a fault, or a module that calls `exit`, ends it: the
//! signal, the task, and a backtrace. They go to the log and to a file beside it.
//!
//! All of this runs in signal handlers of a process whose state may be damaged. So it allocates no
//! memory and takes no lock, and a step that itself faults is skipped.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void, CString, OsStr};
use std::fmt::{self, Write};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use super::backtrace::{self, Frame};
use super::fault::Fault;
use super::{objects, signal, thread};

/// Writes what the calling thread is doing. May do only what a signal handler may.
pub(super) type Circumstances = fn(&mut dyn Write) -> fmt::Result;

/// The exit code of a daemon when a module ends it with exit code 0.
const ENDED_BY_MODULE: c_int = 70;
/// How many threads may call `exit` at the same time: each takes a handler off the C library's list, and one that
/// finds none ends the process at once, with the exit code that it wants.
const EXITS: usize = 256;
/// How many frames of the backtrace are shown.
const FRAMES: usize = 64;
/// The longest last words, in bytes.
const ROOM: usize = 32 * 1024;
/// How long a write waits for the descriptor to accept more, in milliseconds.
const PATIENCE: c_int = 1000;
/// How long all of it may take, in seconds: a file system that hangs must not keep the process from
/// ending.
const BOUND: libc::time_t = 10;

struct Setting {
    file: CString,
    /// Whether each line of the log is a JSON object.
    json: bool,
    circumstances: Circumstances,
}

static SETTING: OnceLock<Setting> = OnceLock::new();
/// The process that writes last words; a child that it forks does not.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// How many runtimes are running; while any is, an exit of the process is somebody's mistake.
static SERVING: AtomicUsize = AtomicUsize::new(0);
/// The thread that is writing the last words; 0 for none.
static SPEAKER: AtomicI32 = AtomicI32::new(0);
/// The next step of that thread.
static STEP: AtomicUsize = AtomicUsize::new(0);

/// While this exists, an exit of the process leads to last words.
pub(crate) struct Serving(());

impl Drop for Serving {
    fn drop(&mut self) {
        SERVING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Installs the handlers, once per process. Last words go to the standard error, as one JSON object
/// if `json`, and to `file`, as text.
pub(crate) fn install(file: &Path, json: bool, circumstances: Circumstances) -> Serving {
    static ONCE: Once = Once::new();
    let file = CString::new(file.as_os_str().as_bytes()).unwrap_or_default();
    // A second runtime of the process uses the settings of the first.
    let _ = SETTING.set(Setting { file, json, circumstances });
    ONCE.call_once(|| {
        objects::look();
        backtrace::prepare();
        let ends_process =
            |signal: &c_int| signal::is_of_fault(*signal) || signal::has_default(*signal);
        signal::all().filter(ends_process).for_each(|signal| signal::handle(signal, on_fault));
        // SAFETY: the functions have the required types, and live as long as the process.
        unsafe {
            for _ in 0..EXITS {
                on_exit(at_exit, std::ptr::null_mut());
                at_quick_exit(at_quick_exit_);
            }
        }
    });
    PROCESS.store(own_process(), Ordering::Release);
    SERVING.fetch_add(1, Ordering::AcqRel);
    Serving(())
}

/// Writes last words into their file, for a process that has lost a thread and ends in order. `[any thread]`
pub(crate) fn note(words: &str) {
    let Some(setting) = SETTING.get().filter(|_| are_wanted()) else { return };
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_time(&mut text);
    let _ = writeln!(text, " ERROR last words: {words} of process {}", own_process());
    let path = Path::new(OsStr::from_bytes(setting.file.to_bytes()));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
        tracing::warn!(file = %path.display(), %error, "the last words cannot be written");
    }
}

/// Lets the runtime itself end the process at once, without last words.
pub(crate) fn give_up() {
    PROCESS.store(0, Ordering::Release);
}

fn own_process() -> libc::pid_t {
    // SAFETY: the call has no preconditions.
    unsafe { libc::getpid() }
}

fn are_wanted() -> bool {
    PROCESS.load(Ordering::Acquire) == own_process()
}

// Functions of the C library, declared in stdlib.h.
extern "C" {
    fn on_exit(f: extern "C" fn(c_int, *mut c_void), data: *mut c_void) -> c_int;
    fn at_quick_exit(f: extern "C" fn()) -> c_int;
}

// Cause -------------------------------------------------------------------------------------------

/// What ends the process.
enum Cause<'a> {
    Fault(&'a mut Fault),
    /// `exit` or a similar function was called.
    Exit {
        call: &'static str,
        code: Option<c_int>,
    },
}

unsafe fn on_fault(fault: &mut Fault) -> bool {
    if are_wanted() {
        say(&mut Cause::Fault(fault));
    }
    false
}

extern "C" fn at_exit(code: c_int, _: *mut c_void) {
    exiting("exit", Some(code));
}

extern "C" fn at_quick_exit_() {
    exiting("quick_exit", None);
}

/// Ends the process with last words, because somebody has called a function that ends it; a program itself
/// does not call one once it has had a runtime, not even at its end. Returns if it has had none, and in a
/// child that it has forked.
pub(crate) fn exit_is_called(call: &'static str, code: c_int) {
    end_unless_its_own(call, Some(code));
}

/// The handlers find only that the process ends, which at its end is as it should be.
fn exiting(call: &'static str, code: Option<c_int>) {
    if SERVING.load(Ordering::Acquire) > 0 {
        end_unless_its_own(call, code);
    }
}

fn end_unless_its_own(call: &'static str, code: Option<c_int>) {
    if are_wanted() {
        say(&mut Cause::Exit { call, code });
        let code = code.filter(|code| code & 0xff != 0).unwrap_or(ENDED_BY_MODULE);
        // SAFETY: it has no preconditions.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}

// Steps -------------------------------------------------------------------------------------------

const FIRST_CALL: usize = 7;
const LAST_CALL: usize = FIRST_CALL + FRAMES;
const AFTER_FILE: usize = LAST_CALL + 1;
const AT_END: usize = AFTER_FILE + 1;

/// Writes the last words, once per process. If a step faults, the handler of that fault calls this
/// again, and the next step follows.
fn say(cause: &mut Cause<'_>) {
    // A thread that somebody has cancelled would otherwise end in the middle of that, and nobody could speak any more.
    thread::stay();
    let own = thread::number();
    let order = Ordering::SeqCst;
    match SPEAKER.compare_exchange(0, own, order, order) {
        Ok(_) => {}
        Err(other) if other == own => {}
        Err(_) => {
            // The other thread will end the process.
            for _ in 0..100 {
                sleep_a_little();
            }
            return;
        }
    }
    let Some(setting) = SETTING.get() else { return };
    loop {
        let step = STEP.fetch_add(1, order);
        // A part that cannot be written is left out.
        let _ = match step {
            0 => limit_time(),
            1 => begin(cause),
            2 => (setting.circumstances)(&mut Words),
            3 => collect(cause),
            4 => show_module(),
            5 => thread(own),
            6 => Words.write_str("\n"),
            FIRST_CALL..LAST_CALL => show_call(step - FIRST_CALL),
            LAST_CALL => write_file(setting),
            AFTER_FILE if setting.json => write_json(libc::STDERR_FILENO, said()),
            AFTER_FILE => write_patiently(libc::STDERR_FILENO, said()),
            // A core dump may take longer.
            AT_END => lift_limit(),
            _ => return,
        };
    }
}

fn sleep_a_little() {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    // SAFETY: the time lives through the call.
    unsafe { libc::nanosleep(&time, std::ptr::null_mut()) };
}

/// The timer that kills the process.
static TIMER: AtomicI32 = AtomicI32::new(-1);

fn limit_time() -> fmt::Result {
    // SAFETY: all zero is a valid `sigevent`.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    (event.sigev_notify, event.sigev_signo) = (libc::SIGEV_SIGNAL, libc::SIGKILL);
    let (mut timer, none) = (-1, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    let value = libc::timespec { tv_sec: BOUND, tv_nsec: 0 };
    let after = libc::itimerspec { it_interval: none, it_value: value };
    // The system calls, because those of the C library may allocate memory.
    // SAFETY: the arguments live through the calls.
    let set = unsafe {
        let clock = libc::CLOCK_MONOTONIC;
        libc::syscall(libc::SYS_timer_create, clock, &raw mut event, &raw mut timer) == 0
            && libc::syscall(libc::SYS_timer_settime, timer, 0, &raw const after, 0) == 0
    };
    TIMER.store(timer, Ordering::Relaxed);
    if set {
        Ok(())
    } else {
        Err(fmt::Error)
    }
}

fn lift_limit() -> fmt::Result {
    // SAFETY: the call takes a number, and fails if there is no such timer.
    unsafe { libc::syscall(libc::SYS_timer_delete, TIMER.load(Ordering::Relaxed)) };
    Ok(())
}

fn begin(cause: &mut Cause<'_>) -> fmt::Result {
    write_time(&mut Words)?;
    Words.write_str(" ERROR last words: ")?;
    match cause {
        Cause::Exit { call, code: Some(code) } => write!(Words, "{call}({code}) was called"),
        Cause::Exit { call, code: None } => write!(Words, "{call} was called"),
        Cause::Fault(fault) => {
            Words.write_str(signal::name(fault.signal()))?;
            match (fault.sender(), fault.address()) {
                (Some(sender), _) if sender != own_process() => {
                    write!(Words, " sent by process {sender}")
                }
                (None, Some(address)) => write!(Words, " at {address:#x}"),
                _ => Ok(()),
            }
        }
    }
}

/// Writes the time as the log does.
fn write_time(out: &mut impl Write) -> fmt::Result {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut now) };
    let (days, seconds) = (now.tv_sec.div_euclid(86_400), now.tv_sec.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let micros = now.tv_nsec / 1000;
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// The date of a day, counted from 1970-01-01. The Gregorian calendar repeats every 400 years. Here
/// these cycles begin on 1 March, so that a leap day is the last day of its year.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, date)
}

fn thread(own: i32) -> fmt::Result {
    write!(Words, ", thread {own} (")?;
    let name = thread::name();
    name.iter().take_while(|byte| **byte != 0).try_for_each(|byte| match byte {
        b' '..=b'~' => Words.write_char(char::from(*byte)),
        _ => Words.write_char('?'),
    })?;
    // Whoever reads the file later may have to know whose last words these are.
    write!(Words, ") of process {}", own_process())
}

// Backtrace ---------------------------------------------------------------------------------------

/// The instruction of each call, innermost first; 0 after the last.
static CALLS: [AtomicUsize; FRAMES] = [const { AtomicUsize::new(0) }; FRAMES];
/// The index of the call that was interrupted at its instruction.
static INTERRUPTED: AtomicUsize = AtomicUsize::new(usize::MAX);

fn collect(cause: &mut Cause<'_>) -> fmt::Result {
    let mut count = 0;
    let note = |frame: Frame| {
        CALLS[count].store(frame.pc, Ordering::Relaxed);
        if frame.interrupted {
            INTERRUPTED.store(count, Ordering::Relaxed);
        }
        count += 1;
        count < FRAMES
    };
    match cause {
        Cause::Fault(fault) => backtrace::walk_from(fault, note),
        Cause::Exit { .. } => backtrace::walk(note),
    };
    Ok(())
}

/// What `Circumstances` put before the file of the module of a task.
const MODULE: &[u8] = b", module ";

/// Names the innermost module on the stack, for threads of its own, of which nothing else is known.
fn show_module() -> fmt::Result {
    if said().windows(MODULE.len()).any(|part| part == MODULE) {
        return Ok(());
    }
    let calls = CALLS.iter().map(|call| call.load(Ordering::Relaxed)).take_while(|pc| *pc != 0);
    let mut objects = calls.filter_map(|pc| objects::find(pc.wrapping_sub(1)));
    match objects.find(|object| object.owner == objects::Owner::Module) {
        Some(object) => {
            Words.write_str(", module ")?;
            backtrace::escape(object.path.to_bytes(), &mut Words)
        }
        None => Ok(()),
    }
}

fn show_call(number: usize) -> fmt::Result {
    let pc = CALLS[number].load(Ordering::Relaxed);
    if pc == 0 {
        return Ok(());
    }
    let interrupted = INTERRUPTED.load(Ordering::Relaxed) == number;
    write!(Words, "{number:4}: ")?;
    backtrace::describe(Frame { pc, interrupted, sp: 0 }, &mut Words)?;
    Words.write_str("\n")
}

// Output ------------------------------------------------------------------------------------------

struct Buffer<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the thread in `SPEAKER` uses it.
unsafe impl<const SIZE: usize> Sync for Buffer<SIZE> {}

static BUFFER: Buffer<ROOM> = Buffer(UnsafeCell::new([0; ROOM]));
/// The same text in JSON, where a byte may become two.
static LINE: Buffer<{ 2 * ROOM + 128 }> = Buffer(UnsafeCell::new([0; 2 * ROOM + 128]));
static LEN: AtomicUsize = AtomicUsize::new(0);

/// Appends to the last words.
struct Words;

impl Write for Words {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let len = LEN.load(Ordering::Relaxed);
        let part = text.len().min(ROOM - len);
        // SAFETY: only this thread uses the buffer, and the part fits after the text that is there.
        unsafe {
            let at = BUFFER.0.get().cast::<u8>().add(len);
            std::ptr::copy_nonoverlapping(text.as_ptr(), at, part);
        }
        LEN.store(len + part, Ordering::Relaxed);
        if part == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

fn said() -> &'static [u8] {
    // SAFETY: this thread has written `LEN` bytes, and does not change them again.
    unsafe { std::slice::from_raw_parts(BUFFER.0.get().cast(), LEN.load(Ordering::Relaxed)) }
}

fn write_file(setting: &Setting) -> fmt::Result {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: a signal handler may call this, and the path is a C string that is never freed.
    let fd = unsafe { libc::open(setting.file.as_ptr(), flags, 0o600) };
    if fd < 0 {
        return Err(fmt::Error);
    }
    let written = write_patiently(fd, said());
    // SAFETY: the descriptor was opened above and is not used any more.
    unsafe { libc::close(fd) };
    written
}

/// Writes the last words as a JSON object, like a line of the log.
fn write_json(fd: c_int, said: &[u8]) -> fmt::Result {
    let mut parts = said.splitn(3, |byte| *byte == b' ');
    let [time, level, message] = [(); 3].map(|()| parts.next().unwrap_or_default());
    // SAFETY: only the thread in `SPEAKER` is here, and only once.
    let line = unsafe { &mut *LINE.0.get() };
    let mut len = 0;
    let mut push = |bytes: &[u8]| {
        for byte in bytes {
            line[len] = *byte;
            len += 1;
        }
    };
    push(b"{\"timestamp\":\"");
    push(time);
    push(b"\",\"level\":\"");
    push(level);
    push(b"\",\"message\":\"");
    // The other bytes are printable.
    message.iter().for_each(|byte| match byte {
        b'\n' => push(b"\\n"),
        b'"' | b'\\' => push(&[b'\\', *byte]),
        other => push(&[*other]),
    });
    push(b"\",\"target\":\"chimaera::last_words\"}\n");
    write_patiently(fd, &line[..len])
}

/// Writes bytes, and gives up if the descriptor accepts none for `PATIENCE`: a pipe that is not
/// being read must not keep the process from ending.
fn write_patiently(fd: c_int, mut bytes: &[u8]) -> fmt::Result {
    while !bytes.is_empty() {
        let mut ready = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
        // By POSIX, a pipe that is ready takes this much at once.
        let part = &bytes[..bytes.len().min(libc::PIPE_BUF)];
        // SAFETY: both arguments are valid during the calls.
        let written = unsafe {
            if libc::poll(&mut ready, 1, PATIENCE) != 1 {
                return Err(fmt::Error);
            }
            libc::write(fd, part.as_ptr().cast(), part.len())
        };
        match usize::try_from(written) {
            Ok(written) if written > 0 => bytes = &bytes[written..],
            _ => return Err(fmt::Error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        let known = [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_784, (2026, 11, 27)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ];
        for (days, expected) in known {
            assert_eq!(date(days), expected, "day {days}");
        }
    }
}
