//! Writes the process's log. Writing a line never fails, and never waits for a reader: a line that
//! cannot be written is counted and dropped, and once writing works again, the log says how many
//! were lost and why.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::escape::escaped;
use crate::sys::lock;

/// A pipe that is ready for writing has room for this many bytes (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// Formats one of the sink's own warnings as a whole line. It must not log anything.
pub type OwnLine = Box<dyn Fn(&str) -> String + Send + Sync>;

/// Called after a line was lost, with the number of lost lines so far and the last `errno`. It must
/// not log anything.
pub type OnLoss = Box<dyn Fn(u64, i32) + Send + Sync>;

/// A log file and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The file, which is appended to.
    pub path: PathBuf,
    /// The file is rotated before it becomes larger than this, in bytes.
    pub max_size: u64,
    /// How many rotated files are kept, `PATH.1` (the newest) to `PATH.N`. With 0, a full file is
    /// emptied.
    pub keep: u32,
}

impl LogFile {
    /// Opens the file for appending. It is created with mode 0600. A FIFO without a reader is an
    /// error.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(&self.path)
    }

    fn kept(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Renames the file to `PATH.1`, and each rotated file to the next number.
    fn move_on(&self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            match std::fs::rename(self.kept(number), self.kept(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, self.kept(1))
    }
}

/// Where the lines go.
enum Output {
    StandardError,
    File { file: File, of: LogFile },
}

/// Lines that could not be written.
#[derive(Default)]
struct Losses {
    total: u64,
    /// Those that the log does not mention yet.
    unreported: u64,
    /// The `errno` of the last one.
    error: i32,
    on_loss: Option<OnLoss>,
}

struct State {
    output: Output,
    losses: Losses,
    /// The last line was only partly written.
    torn: bool,
    /// The file is also the process's standard error.
    is_stderr: bool,
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
/// assert_eq!(std::fs::read_to_string(&path)?, "a line\\n and what would be another\n");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Sink {
    state: Mutex<State>,
    own_line: OwnLine,
    verbatim: bool,
}

thread_local! {
    /// True while this thread writes a line. A panic in that code would otherwise deadlock when it
    /// is logged.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

impl Sink {
    /// A log on standard error.
    pub fn standard_error(own_line: OwnLine) -> Sink {
        Sink::new(Output::StandardError, own_line)
    }

    /// A log in a file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn file(of: LogFile, own_line: OwnLine) -> io::Result<Sink> {
        let file = of.open()?;
        Ok(Sink::new(Output::File { file, of }, own_line))
    }

    fn new(output: Output, own_line: OwnLine) -> Sink {
        let losses = Losses::default();
        let state = State { output, losses, torn: false, is_stderr: false };
        Sink { state: Mutex::new(state), own_line, verbatim: false }
    }

    /// Passes control characters through, for a format that escapes them itself.
    #[must_use]
    pub fn verbatim(mut self) -> Sink {
        self.verbatim = true;
        self
    }

    /// Writes a line, which ends with a newline. Other control characters in it are escaped.
    pub fn write(&self, line: &str) {
        if BUSY.replace(true) {
            return;
        }
        let line = if self.verbatim { Cow::Borrowed(line) } else { escaped(line) };
        let mut state = lock(&self.state);
        if let Err(error) = self.put(&mut state, line.as_bytes()) {
            state.losses.count(error);
        }
        drop(state);
        BUSY.set(false);
    }

    fn put(&self, state: &mut State, line: &[u8]) -> Result<(), Errno> {
        if let Some(trouble) = state.make_room(line.len() as u64) {
            state.append((self.own_line)(&trouble).as_bytes())?;
        }
        let unreported = state.losses.unreported;
        if unreported > 0 {
            let (were, why) =
                (if unreported == 1 { "line was" } else { "lines were" }, state.why());
            state
                .append((self.own_line)(&format!("{unreported} {were} lost: {why}")).as_bytes())?;
            state.losses.unreported = 0;
        }
        state.append(line)
    }

    /// Reopens the log file, because it was renamed or removed. If that fails, the log continues in
    /// the file that is open.
    ///
    /// # Errors
    /// What failed, and why.
    pub fn reopen(&self) -> Result<PathBuf, String> {
        let mut state = lock(&self.state);
        let Output::File { of, .. } = &state.output else {
            return Err("the log goes to standard error: there is no file to reopen".to_owned());
        };
        let path = of.path.clone();
        let result = of.open().and_then(|file| state.replace(file));
        result.map(|()| path.clone()).map_err(|error| {
            format!("the log {} cannot be reopened: {}", path.display(), reason(&error))
        })
    }

    /// Makes the log file the process's standard error, now and after each rotation.
    ///
    /// # Errors
    /// `dup2` failed.
    pub fn take_standard_error(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        if let Output::File { file, .. } = &state.output {
            rustix::stdio::dup2_stderr(file)?;
            state.is_stderr = true;
        }
        Ok(())
    }

    /// Calls `tell` now, and after each line that is lost.
    pub fn on_loss(&self, tell: OnLoss) {
        let losses = &mut lock(&self.state).losses;
        tell(losses.total, losses.error);
        losses.on_loss = Some(tell);
    }

    /// The state, for tests.
    #[cfg(test)]
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
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

impl Losses {
    #[cold]
    fn count(&mut self, error: Errno) {
        (self.total, self.unreported, self.error) =
            (self.total + 1, self.unreported + 1, error.raw_os_error());
        if let Some(tell) = &self.on_loss {
            tell(self.total, self.error);
        }
    }
}

impl State {
    fn why(&self) -> String {
        why(self.losses.error)
    }

    fn append(&mut self, line: &[u8]) -> Result<(), Errno> {
        let stderr = io::stderr();
        let to = match &self.output {
            Output::StandardError => stderr.as_fd(),
            Output::File { file, .. } => file.as_fd(),
        };
        if self.torn {
            write_all(to, b"\n").map_err(|(_, error)| error)?;
            self.torn = false;
        }
        write_all(to, line).map_err(|(written, error)| {
            self.torn = written > 0;
            error
        })
    }

    /// Rotates the file if it has no room for a line of `len` bytes. Returns a warning for the log
    /// if the rotation failed.
    fn make_room(&mut self, len: u64) -> Option<String> {
        let Output::File { file, of } = &self.output else { return None };
        let now = file.metadata().ok()?;
        if !now.is_file() || now.size() == 0 || now.size() + len <= of.max_size {
            return None;
        }
        match self.rotate(&now) {
            Ok(()) => None,
            Err(error) => {
                // The size limit holds regardless.
                let Output::File { file, of } = &self.output else { return None };
                let path = of.path.display();
                file.set_len(0).ok()?;
                Some(format!("{path} was emptied, because rotation failed: {}", reason(&error)))
            }
        }
    }

    fn rotate(&mut self, now: &std::fs::Metadata) -> io::Result<()> {
        let Output::File { file, of } = &self.output else { return Ok(()) };
        let is_ours = |path: &Path| {
            std::fs::metadata(path)
                .is_ok_and(|there| (there.dev(), there.ino()) == (now.dev(), now.ino()))
        };
        // Otherwise logrotate, or another instance with the same log, has already rotated the file.
        if is_ours(&of.path) {
            if of.keep == 0 {
                return file.set_len(0);
            }
            of.move_on()?;
        }
        match of.open() {
            Ok(file) => self.replace(file),
            Err(error) => {
                // The log continues in the old file, under its original name.
                if is_ours(&of.kept(1)) {
                    std::fs::rename(of.kept(1), &of.path)?;
                }
                Err(error)
            }
        }
    }

    /// Continues the log in another file.
    fn replace(&mut self, new: File) -> io::Result<()> {
        if self.is_stderr {
            rustix::stdio::dup2_stderr(&new)?;
        }
        if let Output::File { file, .. } = &mut self.output {
            *file = new;
            self.torn = false;
        }
        Ok(())
    }
}

/// Writes all the bytes without waiting for a reader. On failure, also returns how many were
/// written.
fn write_all(to: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), (usize, Errno)> {
    let mut written = 0;
    while written < bytes.len() {
        let failed = |error| (written, error);
        let mut ready = [PollFd::new(&to, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut ready, Some(&at_once)) == Ok(0) {
            return Err(failed(Errno::AGAIN));
        }
        let end = bytes.len().min(written + CHUNK);
        match rustix::io::write(to, &bytes[written..end]) {
            Ok(0) => return Err(failed(Errno::IO)),
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Why lines were lost, given the `errno`.
///
/// ```
/// assert_eq!(chimaera_runtime::log::why(libc::ENOSPC), "No space left on device");
/// ```
pub fn why(error: i32) -> String {
    match error {
        libc::EAGAIN => "its reader does not keep up".to_owned(),
        error => reason(&io::Error::from_raw_os_error(error)),
    }
}

/// The message of an error, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
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
        sink.write("much too long\n");
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
        sink.write("three\n");
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
        let good = match &mut sink.state().output {
            Output::File { file, .. } => std::mem::replace(file, full),
            Output::StandardError => unreachable!(),
        };
        write(&sink, &["one\n", "two\n"]);
        sink.state().replace(good).unwrap();
        write(&sink, &["three\n", "four\n"]);
        let want = "(2 lines were lost: No space left on device)\nthree\nfour\n";
        assert_eq!(directory.files(), named(&[("log", want)]));
        let full = libc::ENOSPC;
        assert_eq!(*lock(&told), [(0, 0), (1, full), (2, full)]);
    }

    #[test]
    fn a_line_that_was_cut_off_is_ended() {
        let directory = Directory::new("torn");
        let sink = directory.sink(1 << 20, 0);
        sink.write("half of a");
        sink.state().torn = true;
        sink.write("whole\n");
        assert_eq!(directory.files(), named(&[("log", "half of a\nwhole\n")]));
    }

    #[test]
    fn nobody_waits_for_the_reader_of_a_pipe() {
        let (reader, writer) = std::io::pipe().unwrap();
        let line = [b'x'; 1000];
        let full = (0..1000).find_map(|_| write_all(writer.as_fd(), &line).err());
        assert!(matches!(full, Some((_, Errno::AGAIN))), "{full:?}");
        drop(reader);
        assert_eq!(write_all(writer.as_fd(), &line), Err((0, Errno::PIPE)));
    }
}
