//! Reading maps strictly: a key that the reader does not take is a problem.

use crate::meaning::Meaning;
use crate::problem::{Position, Report};
use crate::tree::{shown, Entry, Kind, Node};
use crate::words::nearest;

/// A map, with the keys that have not been taken yet.
pub struct Section {
    /// What it is, for messages: "a repo", "the field `size`".
    what: String,
    entries: Vec<Entry>,
    /// The keys that the reader has asked for, for suggestions.
    known: Vec<&'static str>,
}

impl Section {
    /// Opens the map in `node`. Reports any other node.
    pub fn open(node: Node, what: impl Into<String>, report: &mut Report) -> Option<Section> {
        let what = what.into();
        match node.kind {
            Kind::Mapping(entries) => Some(Section { what, entries, known: Vec::new() }),
            Kind::Refused => None,
            _ => {
                report.add(
                    node.at,
                    format!("{what} is {}", node.describe()),
                    "write a map here: lines of `key: value`",
                );
                None
            }
        }
    }

    /// Takes an entry.
    pub fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    /// Takes an entry that is text.
    pub fn text(&mut self, key: &'static str, report: &mut Report) -> Option<Text> {
        text(self.take(key)?, report)
    }

    /// Takes all entries that `f` accepts, in the order of the file.
    pub fn take_all(&mut self, f: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let (taken, left) = std::mem::take(&mut self.entries).into_iter().partition(f);
        self.entries = left;
        taken
    }

    /// All entries, for a map whose keys are names.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Reports the keys that have not been taken. `else_help` names further keys that are allowed.
    pub fn close(self, else_help: &str, report: &mut Report) {
        for entry in &self.entries {
            let help = match nearest(&entry.key, &self.known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let known: Vec<String> =
                        self.known.iter().map(|key| format!("`{key}`")).collect();
                    format!("{} has the keys {}{else_help}", self.what, known.join(", "))
                }
            };
            report.add(entry.at, format!("unknown key `{}`", shown(&entry.key)), help);
        }
    }
}

/// A text and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Where it begins.
    pub at: Position,
}

/// The value of an entry as a text that is not blank. Reports anything else.
pub fn text(entry: Entry, report: &mut Report) -> Option<Text> {
    let at = entry.value.at;
    match &entry.value.kind {
        Kind::Refused => None,
        Kind::Scalar { text, .. } if !is_blank(text) && !entry.value.is_null() => {
            Some(Text { text: text.clone(), at })
        }
        _ => {
            report.add(
                at,
                format!("`{}` is {}", entry.key, entry.value.describe()),
                "write a string here",
            );
            None
        }
    }
}

/// The value of an entry as text that every YAML reader reads as text, and not, for example, as a
/// number.
pub fn string(entry: Entry, report: &mut Report) -> Option<Text> {
    let meaning = entry.value.meaning();
    let key = entry.key.clone();
    let Text { text, at } = text(entry, report)?;
    if meaning != Some(Meaning::Text) {
        let message = format!("`{key}` is {text}, which YAML does not read as text");
        report.add(at, message, format!("write it in quotes: \"{text}\""));
        return None;
    }
    Some(Text { text, at })
}

/// Whether a text is only white space, as defined by the patterns of JSON Schema.
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() && c != '\u{85}' || c == '\u{feff}')
}
