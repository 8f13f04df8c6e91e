//! Where the lines of a log end up: a file, which is rotated, or standard error. Only the thread
//! that writes the log uses it, because each of these calls may take as long as a file system likes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::sink::{why, OwnLine};

/// A pipe that is ready for writing has room for this many bytes (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// How long a pipe may be full before a line is dropped. While lines are dropped, the next are not
/// waited for.
const PATIENCE: Duration = Duration::from_millis(50);

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
enum Destination {
    StandardError,
    File { file: File, of: LogFile },
}

/// Writes lines, one after the other.
pub(super) struct Output {
    destination: Destination,
    own_line: OwnLine,
    /// Lines that were lost and that the log does not mention yet.
    unreported: u64,
    /// The `errno` of the last one.
    error: Errno,
    /// The last write failed.
    failing: bool,
    /// The last line was only partly written.
    torn: bool,
    /// The file is also the process's standard error.
    is_stderr: bool,
}

impl Output {
    pub(super) fn standard_error(own_line: OwnLine) -> Output {
        Output::new(Destination::StandardError, own_line)
    }

    pub(super) fn file(of: LogFile, own_line: OwnLine) -> io::Result<Output> {
        let file = of.open()?;
        Ok(Output::new(Destination::File { file, of }, own_line))
    }

    fn new(destination: Destination, own_line: OwnLine) -> Output {
        Output {
            destination,
            own_line,
            unreported: 0,
            error: Errno::IO,
            failing: false,
            torn: false,
            is_stderr: false,
        }
    }

    /// Notes that lines before the next one have been lost.
    pub(super) fn note_lost(&mut self, lines: u64, error: Errno) {
        if lines > 0 {
            (self.unreported, self.error) = (self.unreported + lines, error);
        }
    }

    /// Writes a line, after a report about those that were lost before it.
    pub(super) fn put(&mut self, line: &[u8]) -> Result<(), Errno> {
        let result = self.try_put(line);
        self.failing = result.is_err();
        if let Err(error) = result {
            self.note_lost(1, error);
        }
        result
    }

    fn try_put(&mut self, line: &[u8]) -> Result<(), Errno> {
        if let Some(trouble) = self.make_room(line.len() as u64) {
            self.append((self.own_line)(&trouble).as_bytes())?;
        }
        if self.unreported > 0 {
            let were = if self.unreported == 1 { "line was" } else { "lines were" };
            let why = why(self.error.raw_os_error());
            let report = format!("{} {were} lost: {why}", self.unreported);
            self.append((self.own_line)(&report).as_bytes())?;
            self.unreported = 0;
        }
        self.append(line)
    }

    /// Reopens the log file. See [`Sink::reopen`](super::Sink::reopen).
    pub(super) fn reopen(&mut self) -> Result<PathBuf, String> {
        let Destination::File { of, .. } = &self.destination else {
            return Err("the log goes to standard error: there is no file to reopen".to_owned());
        };
        let path = of.path.clone();
        let result = of.open().and_then(|file| self.replace(file));
        result.map(|()| path.clone()).map_err(|error| {
            format!("the log {} cannot be reopened: {}", path.display(), reason(&error))
        })
    }

    /// Makes the log file the process's standard error, now and after each rotation.
    pub(super) fn take_standard_error(&mut self) -> io::Result<()> {
        if let Destination::File { file, .. } = &self.destination {
            rustix::stdio::dup2_stderr(file)?;
            self.is_stderr = true;
        }
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> Result<(), Errno> {
        let stderr = io::stderr();
        let to = match &self.destination {
            Destination::StandardError => stderr.as_fd(),
            Destination::File { file, .. } => file.as_fd(),
        };
        let patience = if self.failing { Duration::ZERO } else { PATIENCE };
        if self.torn {
            write_all(to, b"\n", patience).map_err(|(_, error)| error)?;
            self.torn = false;
        }
        write_all(to, line, patience).map_err(|(written, error)| {
            self.torn = written > 0;
            error
        })
    }

    /// Rotates the file if it has no room for a line of `len` bytes. Returns a warning for the log
    /// if the rotation failed.
    fn make_room(&mut self, len: u64) -> Option<String> {
        let Destination::File { file, of } = &self.destination else { return None };
        let now = file.metadata().ok()?;
        if !now.is_file() || now.size() == 0 || now.size() + len <= of.max_size {
            return None;
        }
        match self.rotate(&now) {
            Ok(()) => None,
            Err(error) => {
                // The size limit holds regardless.
                let Destination::File { file, of } = &self.destination else { return None };
                let path = of.path.display();
                file.set_len(0).ok()?;
                Some(format!("{path} was emptied, because rotation failed: {}", reason(&error)))
            }
        }
    }

    fn rotate(&mut self, now: &std::fs::Metadata) -> io::Result<()> {
        let Destination::File { file, of } = &self.destination else { return Ok(()) };
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

    /// Replaces the file, for tests.
    #[cfg(test)]
    pub(super) fn exchange(&mut self, new: File) -> File {
        match &mut self.destination {
            Destination::File { file, .. } => std::mem::replace(file, new),
            Destination::StandardError => unreachable!("it is a file"),
        }
    }

    /// Continues the log in another file.
    fn replace(&mut self, new: File) -> io::Result<()> {
        if self.is_stderr {
            rustix::stdio::dup2_stderr(&new)?;
        }
        if let Destination::File { file, .. } = &mut self.destination {
            *file = new;
            self.torn = false;
        }
        Ok(())
    }
}

/// Writes all the bytes, and waits for a reader no longer than that. On failure, also returns how
/// many were written.
pub(super) fn write_all(
    to: BorrowedFd<'_>,
    bytes: &[u8],
    patience: Duration,
) -> Result<(), (usize, Errno)> {
    let mut written = 0;
    while written < bytes.len() {
        let failed = |error| (written, error);
        let mut ready = [PollFd::new(&to, PollFlags::OUT)];
        let patience = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
        if rustix::event::poll(&mut ready, Some(&patience)) == Ok(0) {
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

/// The message of an error, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_ended() {
        let path = std::env::temp_dir().join(format!("chimaera-torn-{}", std::process::id()));
        let of = LogFile { path: path.clone(), max_size: 1 << 20, keep: 0 };
        let mut output = Output::file(of, Box::new(str::to_owned)).unwrap();
        output.put(b"half of a").unwrap();
        output.torn = true;
        output.put(b"whole\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "half of a\nwhole\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn nobody_waits_long_for_the_reader_of_a_pipe() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (line, patience) = ([b'x'; 1000], Duration::from_millis(1));
        let full = (0..1000).find_map(|_| write_all(writer.as_fd(), &line, patience).err());
        assert!(matches!(full, Some((_, Errno::AGAIN))), "{full:?}");
        drop(reader);
        assert_eq!(write_all(writer.as_fd(), &line, patience), Err((0, Errno::PIPE)));
    }
}
