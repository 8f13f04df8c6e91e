//! The last words of an instance that did not end in order.

use std::path::PathBuf;

use chimaera_ipc::instance::Instance;
use serde_json::{json, Value};

/// What an instance said before it crashed.
#[derive(PartialEq, Eq)]
pub(crate) struct LastCrash {
    pub(crate) file: PathBuf,
    /// All of it.
    pub(crate) text: String,
    /// Its first line: when, by what, in which task.
    pub(crate) headline: String,
}

impl LastCrash {
    /// The last words of the instance's last run that did not end in order; `None` when one has since.
    pub(crate) fn of(instance: &Instance) -> Option<LastCrash> {
        let file = instance.crash();
        let text = String::from_utf8_lossy(&std::fs::read(&file).ok()?).into_owned();
        let headline = text.lines().next()?.to_owned();
        Some(LastCrash { file, text, headline })
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "file": self.file, "text": self.text })
    }
}
