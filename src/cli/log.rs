//! The log of a runtime that this program runs.

use std::io;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use chimaera_runtime::log::{LogControl, LogFile, OnLoss, Sink};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{reload, Layer, Registry};

/// The target of lines from the log itself.
const OWN_TARGET: &str = "chimaera::log";

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
    filter: reload::Handle<Targets, Registry>,
    /// As it was given.
    level: Mutex<String>,
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
        let level = options.level.to_owned();
        let targets = targets(&level).map_err(io::Error::other)?;
        let (filter, handle) = reload::Layer::new(targets);
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(sink.clone());
        let lines = match options.json {
            true => lines.json().flatten_event(true).boxed(),
            false => lines.boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        std::panic::set_hook(Box::new(report_panic));
        Ok(Arc::new(Log { sink, filter: handle, level: Mutex::new(level), json: options.json }))
    }

    /// Logs a line without the subscriber, whose thread-locals need the dynamic linker.
    pub(crate) fn write(&self, level: Level, message: &str) {
        let shows = |targets: &Targets| targets.would_enable(OWN_TARGET, &level);
        if self.filter.with_current(shows).unwrap_or(true) {
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
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_level(&self, wanted: &str) -> Result<(), String> {
        let new = targets(wanted)?;
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        if *level == wanted {
            return Ok(());
        }
        let report = |old: &str| tracing::info!(from = old, to = wanted, "log level changed");
        // Logged while what is shown includes it.
        let shows_later = new.would_enable(module_path!(), &Level::INFO);
        if !shows_later {
            report(&level);
        }
        self.filter.reload(new).map_err(|error| error.to_string())?;
        if shows_later {
            report(&level);
        }
        wanted.clone_into(&mut level);
        Ok(())
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

/// What is shown at this level, with those of single targets behind commas.
fn targets(level: &str) -> Result<Targets, String> {
    let level = chimaera_config::log_level(level)?;
    Targets::from_str(&level).map_err(|error| error.to_string())
}

fn now() -> String {
    let mut text = String::new();
    // If the clock cannot be read, the line has no time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// A line from the log itself, formatted as the subscriber does.
fn text_line(level: Level, message: &str) -> String {
    format!("{} {:>5} {OWN_TARGET}: {message}\n", now(), level.as_str())
}

fn json_line(level: Level, message: &str) -> String {
    let (timestamp, level, target) = (now(), level.as_str(), OWN_TARGET);
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
