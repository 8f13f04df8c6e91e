//! YAML as a tree of nodes with positions, so that a reader can continue after a problem.
//!
//! It supports only what the project's files need: one document and plain nesting. Anchors, aliases
//! and tags are refused, so the size of the tree is limited by the size of the text.

use std::borrow::Cow;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use crate::mistakes::explain;
use crate::problem::{Position, Report};

/// The maximum nesting depth, far more than any of the files needs.
const MAX_DEPTH: usize = 32;

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Text.
    Scalar {
        /// Without quotes and escapes.
        text: String,
        /// It is not quoted, so it may be a number.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Entries with unique keys, in the order of the file.
    Mapping(Vec<Entry>),
    /// A node that has already been reported as a problem.
    Refused,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub at: Position,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A description for messages.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => "an empty value".into(),
            Kind::Scalar { text, .. } => format!("\"{}\"", shown(text)),
            Kind::Sequence(_) => "a list".into(),
            Kind::Mapping(_) => "a map".into(),
            Kind::Refused => "something refused".into(),
        }
    }
}

/// A text as messages show it: on one line, and shortened if it is long.
pub fn shown(text: &str) -> String {
    const MAX: usize = 60;
    let mut short: String = text.escape_debug().take(MAX).collect();
    if text.escape_debug().count() > MAX {
        short.push_str("...");
    }
    short
}

/// Parses the document in `bytes`. `None` when it is empty, or when it cannot be parsed, which is
/// reported.
pub fn parse(bytes: &[u8], report: &mut Report) -> Option<Node> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            report.add(
                Position { line, column },
                "the file is not valid UTF-8 here",
                "save the file as UTF-8",
            );
            return None;
        }
    };
    let mut builder = Builder { report, open: Vec::new(), root: None, too_deep: false };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if !builder.event(event, span) {
                    return None;
                }
            }
            Err(error) => {
                let at = position(error.marker());
                match explain(text, at, error.info()) {
                    Some((at, message, help)) => builder.report.add(at, message, help),
                    None => builder.report.add(
                        at,
                        format!("this is not valid YAML: {}", error.info()),
                        "check that the lines above are complete and correctly indented",
                    ),
                }
                return None;
            }
        }
    }
    builder.root
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// A list or a map that has not ended yet.
enum Open {
    Sequence(Position, Vec<Node>),
    /// With the key whose value comes next.
    Mapping(Position, Vec<Entry>, Option<Node>),
}

struct Builder<'r> {
    report: &'r mut Report,
    open: Vec<Open>,
    root: Option<Node>,
    too_deep: bool,
}

impl Builder<'_> {
    /// Handles an event. False when parsing cannot continue.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        let at = position(&span.start);
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                self.report.add(
                    at,
                    "a second document starts here",
                    "a file holds one document: remove the line `---`",
                );
                return false;
            }
            Event::Alias(_) => {
                self.report.add(
                    at,
                    "aliases (`*name`) are not supported",
                    "write the value itself",
                );
                self.close(Node { at, kind: Kind::Refused });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let kind = match self.bare(at, anchor, tag.as_ref()) {
                    true => Kind::Scalar { text: text.into_owned(), plain },
                    false => Kind::Refused,
                };
                self.close(Node { at, kind });
            }
            Event::SequenceStart(anchor, tag) => {
                self.bare(at, anchor, tag.as_ref());
                self.open.push(Open::Sequence(at, Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.bare(at, anchor, tag.as_ref());
                self.open.push(Open::Mapping(at, Vec::new(), None));
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence(at, items)) => {
                    self.close(Node { at, kind: Kind::Sequence(items) });
                }
                Some(Open::Mapping(at, entries, _)) => {
                    self.close(Node { at, kind: Kind::Mapping(entries) });
                }
                None => {}
            },
            _ => {}
        }
        if self.open.len() > MAX_DEPTH && !self.too_deep {
            self.too_deep = true;
            self.report.add(
                at,
                format!("nested more than {MAX_DEPTH} levels deep"),
                "no file of this kind needs that: check the brackets",
            );
        }
        !self.too_deep
    }

    /// Reports an anchor or a tag. True when the node has neither.
    fn bare(&mut self, at: Position, anchor: usize, tag: Option<&Cow<'_, Tag>>) -> bool {
        if anchor != 0 {
            self.report.add(
                at,
                "anchors (`&name`) are not supported",
                "write the value out wherever it is used",
            );
        }
        if let Some(tag) = tag {
            let tag = shown(&format!("{}{}", tag.handle, tag.suffix));
            self.report.add(
                at,
                format!("tags (`{tag}`) are not supported"),
                "write the value without it",
            );
        }
        anchor == 0 && tag.is_none()
    }

    /// Adds a finished node to its parent.
    fn close(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence(_, items)) => items.push(node),
            Some(Open::Mapping(_, entries, key)) => match key.take() {
                None => *key = Some(node),
                Some(found) => {
                    let Kind::Scalar { text, .. } = found.kind else {
                        if !matches!(found.kind, Kind::Refused) {
                            self.report.add(
                                found.at,
                                format!("a key cannot be {}", found.describe()),
                                "write a word as the key",
                            );
                        }
                        return;
                    };
                    match entries.iter().find(|entry| entry.key == text) {
                        None => entries.push(Entry { key: text, at: found.at, value: node }),
                        Some(first) => self.report.add(
                            found.at,
                            format!(
                                "`{}` is given twice, first on line {}",
                                shown(&text),
                                first.at.line
                            ),
                            "remove one of them",
                        ),
                    }
                }
            },
        }
    }
}
