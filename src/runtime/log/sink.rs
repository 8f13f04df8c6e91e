//! Writes the process's log. Writing a line never fails, and never waits for long: a thread of the
//! sink does the writing, so that a terminal that shows nothing more or a file system that hangs
//! holds up nobody else. A line that cannot be written is counted and dropped, and once writing
//! works again, the log says how many were lost and why.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::time::Duration;

use rustix::io::Errno;

use super::escape::escaped;
use super::output::{reason, write_all, LogFile, Output};
use super::queue::{Entry, Queue};
use crate::sys::{caught, lock};

/// How long a caller waits for the writer when the log is reopened, and at the end.
const BOUND: Duration = Duration::from_secs(1);

/// How long a start may wait for it.
const START_BOUND: Duration = Duration::from_secs(10);

/// The stack of the writer, in bytes.
const STACK: usize = 256 << 10;

/// Formats one of the sink's own warnings as a whole line. It must not log anything.
pub type OwnLine = Box<dyn Fn(&str) -> String + Send + Sync>;

/// Called after a line was lost, with the number of lost lines so far and the last `errno`. It must
/// not log anything.
pub type OnLoss = Box<dyn Fn(u64, i32) + Send + Sync>;

/// Lines that were lost.
#[derive(Default)]
struct Losses {
    total: u64,
    /// The `errno` of the last one.
    error: i32,
    on_loss: Option<OnLoss>,
}

/// What the writer shares with the other threads.
#[derive(Default)]
struct Shared {
    queue: Queue,
    losses: Mutex<Losses>,
}

/// Where the lines of the process's log go. `[any thread]`
///
/// ```
/// use chimaera_runtime::log::{LogFile, Sink};
///
/// let directory = std::env::temp_dir();
/// let path = directory.join(format!("chimaera-doc-{}.log", std::process::id()));
/// let of = LogFile { path: path.clone(), max_size: 1 << 20, keep: 2 };
/// let sink = Sink::file(of, Box::new(|message| format!("WARN {message}\n")))?;
/// sink.write("a line\n and what would be another\n");
/// sink.flush();
/// assert_eq!(std::fs::read_to_string(&path)?, "a line\\n and what would be another\n");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Sink {
    shared: Arc<Shared>,
    verbatim: bool,
    /// The process that has the writer. A child that it forks has none.
    process: u32,
}

thread_local! {
    /// True while this thread writes a line, and always on the writer. A panic in that code would
    /// otherwise deadlock when it is logged.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

impl Sink {
    /// A log on standard error.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn standard_error(own_line: OwnLine) -> io::Result<Sink> {
        Sink::new(Output::standard_error(own_line))
    }

    /// A log in a file.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn file(of: LogFile, own_line: OwnLine) -> io::Result<Sink> {
        Sink::new(Output::file(of, own_line)?)
    }

    fn new(mut output: Output) -> io::Result<Sink> {
        let shared = Arc::<Shared>::default();
        let (own, prepared) = (shared.clone(), Arc::new(Barrier::new(2)));
        let ready = prepared.clone();
        std::thread::Builder::new().name("chi-log".into()).stack_size(STACK).spawn(move || {
            BUSY.set(true);
            ready.wait();
            own.queue.drain(|entry| {
                // After a panic in a caller's function, the log continues with the next line.
                let _ = caught(|| own.take(&mut output, entry));
            });
        })?;
        // Preparing a thread takes the dynamic linker, which constructors of modules may hold up.
        prepared.wait();
        Ok(Sink { shared, verbatim: false, process: std::process::id() })
    }

    /// Passes control characters through, for a format that escapes them itself.
    #[must_use]
    pub fn verbatim(mut self) -> Sink {
        self.verbatim = true;
        self
    }

    /// Writes a line, which ends with a newline. Other control characters in it are escaped. It is
    /// usually written when this returns, unless writing takes long.
    pub fn write(&self, line: &str) {
        if BUSY.replace(true) {
            return;
        }
        let line = if self.verbatim { Cow::Borrowed(line) } else { escaped(line) };
        if std::process::id() != self.process {
            // A forked child: locks may be held by threads that it does not have. Its line is lost
            // if there is no room.
            let _ = write_all(io::stderr().as_fd(), line.as_bytes(), Duration::ZERO);
        } else if !self.shared.queue.put(&line) {
            self.shared.count(Errno::TIMEDOUT);
        }
        BUSY.set(false);
    }

    /// Waits until all lines so far are written, but no longer than a second.
    pub fn flush(&self) {
        self.shared.queue.flush(BOUND);
    }

    /// Reopens the log file, because it was renamed or removed. If that fails, the log continues in
    /// the file that is open.
    ///
    /// # Errors
    /// What failed, and why.
    pub fn reopen(&self) -> Result<PathBuf, String> {
        let late = || {
            let why = why(Errno::TIMEDOUT.raw_os_error());
            Err(format!("the log is not reopened yet: {why}"))
        };
        self.on_writer(BOUND, Output::reopen).unwrap_or_else(late)
    }

    /// Makes the log file the process's standard error, now and after each rotation.
    ///
    /// # Errors
    /// `dup2` failed, or writing takes too long.
    pub fn take_standard_error(&self) -> io::Result<()> {
        let late = || Err(io::ErrorKind::TimedOut.into());
        self.on_writer(START_BOUND, Output::take_standard_error).unwrap_or_else(late)
    }

    /// Calls `tell` now, and after each line that is lost.
    pub fn on_loss(&self, tell: OnLoss) {
        let losses = &mut lock(&self.shared.losses);
        tell(losses.total, losses.error);
        losses.on_loss = Some(tell);
    }

    /// Has the writer do something. `None` if it does so only later.
    fn on_writer<T: Send + 'static>(
        &self,
        bound: Duration,
        work: impl FnOnce(&mut Output) -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = mpsc::channel();
        let job = move |output: &mut Output| {
            // Nobody may be waiting any more.
            let _ = tell.send(work(output));
        };
        self.shared.queue.run(job, bound);
        told.try_recv().ok()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // The writer writes what is left and ends. It is not joined, for it may never end.
        if std::process::id() == self.process {
            self.shared.queue.close();
            self.flush();
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

/// For formatters that write each line with one call.
impl io::Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        Sink::write(self, &String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn take(&self, output: &mut Output, entry: Entry) {
        match entry {
            Entry::Line { text, lost } => {
                output.note_lost(lost, Errno::TIMEDOUT);
                if let Err(error) = output.put(text.as_bytes()) {
                    self.count(error);
                }
            }
            Entry::Job(work) => work(output),
        }
    }

    #[cold]
    fn count(&self, error: Errno) {
        let mut losses = lock(&self.losses);
        (losses.total, losses.error) = (losses.total + 1, error.raw_os_error());
        if let Some(tell) = &losses.on_loss {
            tell(losses.total, losses.error);
        }
    }
}

/// Why lines were lost, given the `errno`.
///
/// ```
/// assert_eq!(chimaera_runtime::log::why(libc::ENOSPC), "No space left on device");
/// ```
pub fn why(error: i32) -> String {
    match error {
        libc::EAGAIN => "its reader does not keep up".to_owned(),
        libc::ETIMEDOUT => "writing takes too long".to_owned(),
        error => reason(&io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let name = format!("chimaera-sink-{}-{name}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            std::fs::create_dir(&directory).unwrap();
            Directory(directory)
        }

        fn file(&self) -> PathBuf {
            self.0.join("log")
        }

        fn sink(&self, max_size: u64, keep: u32) -> Sink {
            let of = LogFile { path: self.file(), max_size, keep };
            Sink::file(of, Box::new(|message| format!("({message})\n"))).unwrap()
        }

        /// The files and their contents, in order of their names.
        fn files(&self) -> Vec<(String, String)> {
            let entries = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
            let mut files: Vec<_> = entries
                .map(|path| {
                    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                    (name, std::fs::read_to_string(path).unwrap_or_default())
                })
                .collect();
            files.sort();
            files
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn write(sink: &Sink, lines: &[&str]) {
        lines.iter().for_each(|line| sink.write(line));
        sink.flush();
    }

    fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn files_are_as_long_and_as_many_as_they_may_be() {
        let directory = Directory::new("rotated");
        let sink = directory.sink(8, 2);
        write(&sink, &["one\n", "two\n", "three\n", "four\n", "five\n"]);
        let want = [("log", "five\n"), ("log.1", "four\n"), ("log.2", "three\n")];
        assert_eq!(directory.files(), named(&want));
        // A line longer than the limit has a file of its own.
        write(&sink, &["much too long\n"]);
        let want = [("log", "much too long\n"), ("log.1", "five\n"), ("log.2", "four\n")];
        assert_eq!(directory.files(), named(&want));
    }

    #[test]
    fn a_single_file_starts_over() {
        let directory = Directory::new("single");
        let sink = directory.sink(8, 0);
        write(&sink, &["one\n", "two\n", "three\n"]);
        assert_eq!(directory.files(), named(&[("log", "three\n")]));
    }

    #[test]
    fn a_file_that_cannot_be_moved_starts_over() {
        let directory = Directory::new("stuck");
        let sink = directory.sink(8, 1);
        std::fs::create_dir(directory.0.join("log.1")).unwrap();
        write(&sink, &["one\n", "two\n", "three\n"]);
        let said = std::fs::read_to_string(directory.file()).unwrap();
        assert!(
            said.contains("was emptied, because rotation failed: Is a directory)\nthree\n"),
            "{said}"
        );
        assert!(!said.contains("one"), "{said}");
    }

    #[test]
    fn a_file_that_another_has_moved_is_left_alone() {
        let directory = Directory::new("moved");
        let sink = directory.sink(8, 1);
        write(&sink, &["one\n", "two\n"]);
        std::fs::rename(directory.file(), directory.0.join("elsewhere")).unwrap();
        write(&sink, &["three\n"]);
        let want = [("elsewhere", "one\ntwo\n"), ("log", "three\n")];
        assert_eq!(directory.files(), named(&want));
    }

    #[test]
    fn what_was_lost_is_told_once_there_is_room() {
        let directory = Directory::new("lost");
        let sink = directory.sink(1 << 20, 0);
        let told = std::sync::Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        sink.on_loss(Box::new(move |lost, error| lock(&tell).push((lost, error))));
        let full = File::options().write(true).open("/dev/full").unwrap();
        let good = sink.on_writer(START_BOUND, |output| output.exchange(full)).unwrap();
        write(&sink, &["one\n", "two\n"]);
        sink.on_writer(START_BOUND, |output| output.exchange(good)).unwrap();
        write(&sink, &["three\n", "four\n"]);
        let want = "(2 lines were lost: No space left on device)\nthree\nfour\n";
        assert_eq!(directory.files(), named(&[("log", want)]));
        let full = libc::ENOSPC;
        assert_eq!(*lock(&told), [(0, 0), (1, full), (2, full)]);
    }

    #[test]
    fn a_forked_child_writes_to_its_standard_error() {
        let directory = Directory::new("forked");
        let sink = directory.sink(1 << 20, 0);
        let (mut reader, writer) = std::io::pipe().unwrap();
        // SAFETY: the child makes system calls and allocates, which the C library allows.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let taken = rustix::stdio::dup2_stderr(&writer);
            sink.write("from the child\n");
            // SAFETY: it has no preconditions.
            unsafe { libc::_exit(i32::from(taken.is_err())) };
        }
        drop(writer);
        write(&sink, &["from the parent\n"]);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "from the child\n");
        assert_eq!(directory.files(), named(&[("log", "from the parent\n")]));
        // SAFETY: the child has no other owner.
        assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    }
}
