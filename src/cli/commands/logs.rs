//! `chimaera logs`: shows the log of an instance that logs to a file, old files included.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chimaera_ipc::status_page::Reader;
use chimaera_runtime::log::displayed;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{json, Value};

use crate::commands::status::log_of;
use crate::complete;
use crate::context::{complain, print_document, try_print, Context, Failed, Outcome};
use crate::settings::Level;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Go on showing what is logged, until Ctrl-C
    ///
    /// With --json, each line is a document of its own then.
    #[arg(short, long)]
    follow: bool,
    /// Only what was logged since then: a time, such as 2026-11-30T08:00:00Z or 2026-11-30, or how long
    /// ago, such as 10m or 2h30m
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<String>,
    /// Only lines of this level, and of those that are worse
    #[arg(long)]
    level: Option<Level>,
    /// Only lines about this pool
    #[arg(long, value_name = "POOL", add = ArgValueCompleter::new(complete::pools))]
    pool: Option<String>,
}

/// How often it is looked whether the file has grown.
const LOOK: Duration = Duration::from_millis(200);

/// The most rotated files there can be, as `log.keep`.
const MOST_FILES: usize = 1000;

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let path = path(context)?;
    let filter = Filter { since: args.since, level: args.level, pool: args.pool };
    let failed = |error: io::Error| Failed::Message(format!("{}: {error}", path.display()));
    // What is rotated while it is read is read to its end: the file stays the same.
    let mut current = Tail::open(&path).map_err(failed)?;
    let mut shown = Vec::new();
    let mut show = |record: &Record| {
        if !filter.passes(record) {
            return;
        }
        match (context.json, args.follow) {
            (false, _) => write(&displayed(&record.text)),
            (true, true) => write(&format!("{}\n", record.to_json())),
            (true, false) => shown.push(record.to_json()),
        }
    };
    for old in rotated(&path) {
        // One that is gone meanwhile was the oldest.
        let Ok(mut old) = Tail::open(&old) else { continue };
        old.read(true, &mut show).map_err(failed)?;
    }
    current.read(!args.follow, &mut show).map_err(failed)?;
    if !args.follow {
        if context.json {
            print_document(&Value::from(shown));
        }
        return Ok(());
    }
    loop {
        std::thread::sleep(LOOK);
        current.read(false, &mut show).map_err(failed)?;
        if current.was_replaced(&path) {
            current.read(true, &mut show).map_err(failed)?;
            if let Ok(next) = Tail::open(&path) {
                current = next;
            }
        }
    }
}

/// About how many bytes a line of the log has at most.
const LONG_LINE: u64 = 512;

/// At most so many of the last lines of an instance's log, each as an object; what belongs to a line counts with it.
pub(crate) fn tail(context: &Context, most: usize) -> Result<Vec<Value>, Failed> {
    let path = path(context)?;
    let failed = |error: io::Error| Failed::Message(format!("{}: {error}", path.display()));
    let mut tail = Tail::open(&path).map_err(failed)?;
    let length = tail.file.get_ref().metadata().map_err(failed)?.len();
    let skipped = length.saturating_sub(most as u64 * LONG_LINE);
    tail.file.seek(SeekFrom::Start(skipped)).map_err(failed)?;
    if skipped > 0 {
        // The rest of a line.
        tail.file.read_until(b'\n', &mut Vec::new()).map_err(failed)?;
    }
    let mut lines = VecDeque::new();
    let mut show = |record: &Record| {
        if lines.len() == most {
            lines.pop_front();
        }
        lines.push_back(record.to_json());
    };
    tail.read(true, &mut show).map_err(failed)?;
    Ok(lines.into())
}

/// Writes to standard output. If nobody reads it any more, there is nothing left to do.
fn write(text: &str) {
    match try_print(text) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            complain(&format!("chimaera: cannot write to standard output: {error}"));
            std::process::exit(1);
        }
    }
}

/// The file that the instance logs to, or has last logged to as a daemon.
fn path(context: &Context) -> Result<PathBuf, Failed> {
    let instance = context.instance()?;
    if instance.is_running()? {
        let page = Reader::open(&instance).ok();
        let document = page.map(|page| chimaera_runtime::describe_page(page.page()));
        let pid = instance.holder().map(u64::from);
        let is_file = document.as_ref().map(|page| page["log_is_file"] == true);
        return match (is_file, pid.and_then(log_of)) {
            (Some(true) | None, Some(path)) if path.is_file() => Ok(path),
            (Some(false), _) => Err(Failed::Message(format!(
                "instance '{}' logs to its standard error: `log.file` or --daemon has it log to a file",
                context.name
            ))),
            _ => Ok(instance.log()),
        };
    }
    match instance.log() {
        path if path.exists() => Ok(path),
        _ => Err(Failed::NotRunning(instance.not_running())),
    }
}

/// The rotated files, the oldest first.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let numbered = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let mut found: Vec<PathBuf> =
        (1..=MOST_FILES).map(numbered).take_while(|path| path.exists()).collect();
    found.reverse();
    found
}

/// A time in UTC as the log has it, or its beginning: these can be compared as text.
fn since(text: &str) -> Result<String, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let then = SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        return Ok(humantime::format_rfc3339_micros(then).to_string());
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let full = match time.trim_end_matches('Z') {
        time if time.len() == 5 => format!("{date}T{time}:00Z"),
        time => format!("{date}T{time}Z"),
    };
    humantime::parse_rfc3339(&full)
        .map(|then| humantime::format_rfc3339_micros(then).to_string())
        .map_err(|_| {
            "write a time in UTC such as 2026-11-30T08:00:00Z, or how long ago: 10m, 2h30m"
                .to_owned()
        })
}

struct Filter {
    since: Option<String>,
    level: Option<Level>,
    pool: Option<String>,
}

impl Filter {
    fn passes(&self, record: &Record) -> bool {
        let is_late = self.since.as_ref().is_none_or(|since| record.time >= *since);
        let is_bad = self.level.is_none_or(|level| rank(&record.level) <= rank(level.name()));
        let is_about = self.pool.as_ref().is_none_or(|pool| record.pool.as_ref() == Some(pool));
        is_late && is_bad && is_about
    }
}

/// The worst level is 0. What has none, such as what a module writes to standard error, counts as the worst.
fn rank(level: &str) -> usize {
    let levels = ["error", "warn", "info", "debug", "trace"];
    levels.iter().position(|known| known.eq_ignore_ascii_case(level)).unwrap_or(0)
}

/// A line of the log, with the lines that belong to it: those of a backtrace begin with no time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    time: String,
    level: String,
    pool: Option<String>,
    text: String,
}

impl Record {
    /// Reads the first line of a record; `None` if the line belongs to the one before.
    fn begin(line: &str) -> Option<Record> {
        if line.starts_with('{') {
            let json: Value = serde_json::from_str(line).ok()?;
            let text = |key: &str| json[key].as_str().map(str::to_owned);
            let (time, level) = (text("timestamp")?, text("level")?);
            return Some(Record { time, level, pool: text("pool"), text: line.to_owned() });
        }
        let mut words = line.split_whitespace();
        let (time, level) = (words.next()?, words.next()?);
        let is_time = time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T';
        is_time.then(|| Record {
            time: time.to_owned(),
            level: level.to_owned(),
            pool: quoted_after(line, " pool="),
            text: line.to_owned(),
        })
    }

    fn to_json(&self) -> Value {
        match serde_json::from_str(self.text.trim_end()) {
            Ok(json @ Value::Object(_)) => json,
            _ => {
                let message = self.text.trim_end().split_once(&self.level);
                let message = message.map_or(&*self.text, |(_, message)| message).trim();
                json!({
                    "timestamp": self.time,
                    "level": self.level,
                    "pool": self.pool,
                    "message": message,
                })
            }
        }
    }
}

/// The text in double quotes behind a key.
fn quoted_after(line: &str, key: &str) -> Option<String> {
    let rest = &line[line.rfind(key)? + key.len()..];
    let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    stream.next()?.ok()
}

/// A log file, and how far it has been read.
struct Tail {
    file: BufReader<File>,
    identity: (u64, u64),
    /// A line that is not whole yet.
    part: Vec<u8>,
    /// A record to which further lines may belong.
    last: Option<Record>,
}

impl Tail {
    fn open(path: &Path) -> io::Result<Tail> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Tail { file: BufReader::new(file), identity, part: Vec::new(), last: None })
    }

    /// Whether another file has this path by now.
    fn was_replaced(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|now| (now.dev(), now.ino()) != self.identity)
    }

    /// Reads on. At the `end`, the last record is shown as it is.
    fn read(&mut self, end: bool, show: &mut impl FnMut(&Record)) -> io::Result<()> {
        // A file that was emptied begins anew.
        if self.file.get_ref().metadata()?.len() < self.file.stream_position()? {
            self.file.seek(SeekFrom::Start(0))?;
            self.part.clear();
        }
        while self.file.read_until(b'\n', &mut self.part)? > 0 {
            if !self.part.ends_with(b"\n") && !end {
                break;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.part)).into_owned();
            match (Record::begin(&line), &mut self.last) {
                (None, Some(last)) => last.text += &line,
                (begun, last) => {
                    last.iter().for_each(&mut *show);
                    *last = Some(begun.unwrap_or(Record { text: line, ..Record::default() }));
                }
            }
        }
        // Whoever follows the log does not wait for the next record.
        self.last.take().iter().for_each(show);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_formats_are_read() {
        let line = r#"2026-11-30T01:09:18.770342Z  INFO chimaera_runtime: pool created pool="a \"b\"" n=1"#;
        let record = Record::begin(line).unwrap();
        assert_eq!(record.time, "2026-11-30T01:09:18.770342Z");
        assert_eq!((&record.level[..], record.pool.as_deref()), ("INFO", Some("a \"b\"")));
        let json =
            r#"{"timestamp":"2026-11-30T01:09:18Z","level":"WARN","pool":"p","message":"m"}"#;
        let record = Record::begin(json).unwrap();
        assert_eq!((&record.level[..], record.pool.as_deref()), ("WARN", Some("p")));
        assert_eq!(record.to_json()["message"], "m");
        for line in ["", "  0: a frame", "{\"a\": 1}", "{", "2026 INFO x"] {
            assert_eq!(Record::begin(line), None, "{line}");
        }
    }

    #[test]
    fn times_are_compared_as_text() {
        assert_eq!(since("2026-11-30").unwrap(), "2026-11-30T00:00:00.000000Z");
        assert_eq!(since("2026-11-30T08:05").unwrap(), "2026-11-30T08:05:00.000000Z");
        assert_eq!(since("2026-11-30 08:05:01Z").unwrap(), "2026-11-30T08:05:01.000000Z");
        assert!(
            since("10m").unwrap() < humantime::format_rfc3339_micros(SystemTime::now()).to_string()
        );
        for text in ["", "soon", "30.11.2026", "2026-13-01"] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
