//! The log of a runtime that this program runs.

use std::cmp::Ordering;
use std::io;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use chimaera_runtime::log::{LogControl, LogFile, OnLoss, Sink};
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{reload, Layer, Registry};

/// The settings of the log.
pub(crate) struct Options<'o> {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) level: &'o str,
    /// One JSON object per line.
    pub(crate) json: bool,
    /// `None`: standard error.
    pub(crate) file: Option<LogFile>,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    sink: Arc<Sink>,
    level: reload::Handle<LevelFilter, Registry>,
    json: bool,
}

impl Log {
    /// Sets up the log of this process. Panics are logged from now on.
    pub(crate) fn set_up(options: Options<'_>) -> io::Result<Arc<Log>> {
        let line = if options.json { json_line } else { text_line };
        let own_line = move |message: &str| line(Level::WARN, message);
        let sink = match options.file {
            Some(file) => Sink::file(file, Box::new(own_line))?,
            None => Sink::standard_error(Box::new(own_line))?,
        };
        let sink = Arc::new(if options.json { sink.verbatim() } else { sink });
        let level = level(options.level).unwrap_or(LevelFilter::INFO);
        let (filter, handle) = reload::Layer::new(level);
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(sink.clone());
        let lines = match options.json {
            true => lines.json().flatten_event(true).boxed(),
            false => lines.boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        std::panic::set_hook(Box::new(report_panic));
        Ok(Arc::new(Log { sink, level: handle, json: options.json }))
    }

    /// Logs a line without the subscriber, whose thread-locals need the dynamic linker.
    pub(crate) fn write(&self, level: Level, message: &str) {
        if level <= LevelFilter::current() {
            let line = if self.json { json_line } else { text_line };
            self.sink.write(&line(level, message));
        }
    }

    /// Makes the log file the process's standard error, so that it receives what modules write
    /// there, and `chimaera status` can find it.
    pub(crate) fn take_standard_error(&self) -> io::Result<()> {
        self.sink.take_standard_error()
    }
}

impl LogControl for Log {
    fn level(&self) -> String {
        LevelFilter::current().to_string()
    }

    fn set_level(&self, wanted: &str) -> Result<(), String> {
        let new = level(wanted).ok_or_else(|| format!("'{wanted}' is not a log level"))?;
        let old = LevelFilter::current();
        let report = || tracing::info!(from = %old, to = %new, "log level changed");
        let set = || self.level.reload(new).map_err(|error| error.to_string());
        // Logged at the more verbose of the two levels, so that it is shown.
        match new.cmp(&old) {
            Ordering::Less => {
                report();
                set()
            }
            Ordering::Equal => Ok(()),
            Ordering::Greater => set().map(|()| report()),
        }
    }

    fn reopen(&self) -> Result<PathBuf, String> {
        let path = self.sink.reopen()?;
        self.write(Level::INFO, "log reopened");
        Ok(path)
    }

    fn is_json(&self) -> bool {
        self.json
    }

    fn flush(&self) {
        self.sink.flush();
    }

    fn on_loss(&self, tell: OnLoss) {
        self.sink.on_loss(tell);
    }
}

/// The level with this name.
fn level(name: &str) -> Option<LevelFilter> {
    LevelFilter::from_str(name).ok().filter(|level| *level != LevelFilter::OFF)
}

fn now() -> String {
    let mut text = String::new();
    // If the clock cannot be read, the line has no time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// A line from the log itself, formatted as the subscriber does.
fn text_line(level: Level, message: &str) -> String {
    format!("{} {:>5} chimaera::log: {message}\n", now(), level.as_str())
}

fn json_line(level: Level, message: &str) -> String {
    let (timestamp, level, target) = (now(), level.as_str(), "chimaera::log");
    let line = serde_json::json!({
        "timestamp": timestamp, "level": level, "message": message, "target": target,
    });
    format!("{line}\n")
}

fn report_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    tracing::error!(thread = name, location, "panicked: {}", text.unwrap_or("no message"));
}
