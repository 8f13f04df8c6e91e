//! The last words of an instance that crashed.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use chimaera_ipc::instance::Instance;
use chimaera_runtime::demangle;
use serde_json::{json, Value};

/// The last words of an instance.
#[derive(PartialEq, Eq)]
pub(crate) struct LastCrash {
    pub(crate) file: PathBuf,
    /// The whole text.
    pub(crate) text: String,
    /// The first line: the time, the signal, and the task.
    pub(crate) headline: String,
}

impl LastCrash {
    /// The last words of the instance's last crash; `None` if a run has ended cleanly since.
    pub(crate) fn of(instance: &Instance) -> Option<LastCrash> {
        let file = instance.crash();
        // Whatever else has that name must not hold anybody up.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&file);
        let mut opened = opened.ok().filter(|it| it.metadata().is_ok_and(|it| it.is_file()))?;
        let mut text = Vec::new();
        opened.read_to_end(&mut text).ok()?;
        let text = demangle(&String::from_utf8_lossy(&text));
        let headline = text.lines().next()?.to_owned();
        Some(LastCrash { file, text, headline })
    }

    /// Whether these are the last words of the process with this number.
    pub(crate) fn is_of(&self, process: u32) -> bool {
        self.headline.ends_with(&format!(" of process {process}"))
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "file": self.file.to_string_lossy(), "text": self.text })
    }
}
