//! The methods in a module's file.

use chimaera_abi::{CHI_METHOD_CUSTOM, CHI_METHOD_LIMIT};
use chimaera_yaml::{integer, nearest, shown, Entry, Kind, Position, Report, Section};

use crate::model::{Method, INHERITED};
use crate::names;

/// Reports keys that were probably meant to be methods.
pub(super) fn refuse_names(section: &mut Section, next: u32, report: &mut Report) {
    let meant = |entry: &Entry| {
        let number =
            matches!(entry.value.kind, Kind::Scalar { .. }) && integer(&entry.value).is_ok();
        number
            || entry
                .key
                .strip_prefix('k')
                .is_some_and(|stem| stem.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    for entry in section.take_all(meant) {
        let why = names::refuse_method(&entry.key).unwrap_or_default();
        let help = match names::method_name_near(&entry.key) {
            Some(name) => format!("write `{name}: {next}`, for example"),
            None => format!("choose another name: `kCompress: {next}`, for example"),
        };
        report.add(entry.at, format!("`{}` {why}", shown(&entry.key)), help);
    }
}

/// Reads the methods, and the numbers of those that are not supported. Inherited methods that the
/// file does not mention are included.
pub(super) fn read(
    entries: Vec<Entry>,
    unsupported: Option<Entry>,
    report: &mut Report,
) -> Vec<Method> {
    let retired = match unsupported.as_ref().map(|entry| &entry.value.kind) {
        Some(Kind::Mapping(entries)) => &entries[..],
        _ => &[],
    };
    let free = free_number(entries.iter().chain(retired));
    let mut methods = Methods { all: Vec::new(), free, report };
    for entry in entries {
        methods.read(entry);
    }
    if let Some(entry) = unsupported {
        methods.read_unsupported(entry);
    }
    methods.finish()
}

struct Methods<'r> {
    all: Vec<Method>,
    /// A number that no method of the file has.
    free: i64,
    report: &'r mut Report,
}

/// An unused number: the one after the highest if possible, else the lowest that is free.
fn free_number<'e>(entries: impl Iterator<Item = &'e Entry>) -> i64 {
    let custom = i64::from(CHI_METHOD_CUSTOM)..i64::from(CHI_METHOD_LIMIT);
    let used: Vec<i64> = entries
        .filter_map(|entry| integer(&entry.value).ok())
        .filter(|number| custom.contains(number))
        .collect();
    let next = used.iter().max().map_or(custom.start, |highest| highest + 1);
    match custom.contains(&next) {
        true => next,
        false => custom.rev().find(|number| !used.contains(number)).unwrap_or(next),
    }
}

impl Methods<'_> {
    fn read(&mut self, entry: Entry) {
        let (name, at) = (entry.key, entry.at);
        if matches!(entry.value.kind, Kind::Refused) {
            return;
        }
        let number = match integer(&entry.value) {
            Ok(number) => number,
            Err((message, help)) => {
                self.report.add(entry.value.at, format!("`{name}`: {message}"), help);
                return;
            }
        };
        let inherited = INHERITED.iter().position(|inherited| *inherited == name);
        let number = match (inherited, number) {
            (Some(position), -1) => {
                let method = Method { name, number: Some(position as u32), supported: false, at };
                return self.all.push(method);
            }
            (Some(position), number) if number != position as i64 => {
                return self.report.add(
                    entry.value.at,
                    format!("`{name}` has the number {number} instead of {position}"),
                    format!("write {position}, or -1 when the container does not support it"),
                );
            }
            (None, -1) => {
                let method = Method { name, number: None, supported: false, at };
                return self.all.push(method);
            }
            (Some(position), _) => position as u32,
            (None, number) => match self.custom(&name, number, entry.value.at) {
                Some(number) => number,
                None => return,
            },
        };
        self.add(Method { name, number: Some(number), supported: true, at }, entry.value.at);
    }

    /// The number of a custom method, if it is valid.
    fn custom(&mut self, name: &str, number: i64, at: Position) -> Option<u32> {
        let free = self.free;
        if number >= i64::from(CHI_METHOD_LIMIT) {
            self.report.add(
                at,
                format!(
                    "`{name}` has the number {number}, but numbers end at {}",
                    CHI_METHOD_LIMIT - 1
                ),
                format!("write {free}, which is free"),
            );
            return None;
        }
        if number < i64::from(CHI_METHOD_CUSTOM) {
            let help = match nearest(name, &INHERITED) {
                Some(near) => format!("did you mean `{near}`? custom methods start at 10"),
                None => format!("write {free}, which is free, or -1 when it is not supported"),
            };
            self.report.add(
                at,
                format!("`{name}` has the number {number}, but custom methods start at 10"),
                help,
            );
            return None;
        }
        u32::try_from(number).ok()
    }

    fn add(&mut self, method: Method, number_at: Position) {
        let other = self.all.iter().find(|other| other.number == method.number);
        if let (Some(other), Some(number)) = (other, method.number) {
            self.report.add(
                number_at,
                format!(
                    "`{}` has the number {number}, which `{}` already has on line {}",
                    method.name, other.name, other.at.line
                ),
                format!("write {}, which is free", self.free),
            );
            return;
        }
        self.all.push(method);
    }

    /// Reads the numbers by which callers know custom methods that are not supported.
    fn read_unsupported(&mut self, entry: Entry) {
        let Some(mut section) = Section::open(entry.value, "`unsupported`", self.report) else {
            return;
        };
        for entry in section.take_all(|_| true) {
            let found = self.all.iter().position(|found| {
                found.name == entry.key && !found.supported && found.number.is_none()
            });
            let Some(index) = found else {
                self.report.add(
                    entry.at,
                    format!("`{}` is not a custom method that is -1 above", shown(&entry.key)),
                    format!("add the line `{}: -1`, or remove this one", shown(&entry.key)),
                );
                continue;
            };
            let number = match integer(&entry.value) {
                Ok(number) => self.custom(&entry.key, number, entry.value.at),
                Err((message, help)) => {
                    let message = format!("`{}`: {message}", entry.key);
                    self.report.add(entry.value.at, message, help);
                    None
                }
            };
            if let Some(number) = number {
                let method = Method { number: Some(number), ..self.all.remove(index) };
                self.add(method, entry.value.at);
            }
        }
    }

    /// Returns all methods. Adds the inherited ones that the file does not mention, and refuses
    /// names that one of the languages cannot tell apart.
    fn finish(mut self) -> Vec<Method> {
        for (index, found) in self.all.iter().enumerate() {
            let name = &found.name;
            let clash = self.all[..index].iter().chain(&self.all[index + 1..]).find(|other| {
                let stem = &other.name[1..];
                names::snake(name) == names::snake(&other.name) && other.at < found.at
                    || ["kMonitor", "kDel", "kAggregate", "kAsync"]
                        .iter()
                        .any(|prefix| name.strip_prefix(prefix) == Some(stem))
                    || ["Async", "Task"]
                        .iter()
                        .any(|suffix| name.strip_suffix(suffix) == Some(&other.name))
            });
            if let Some(other) = clash {
                self.report.add(
                    found.at,
                    format!(
                        "`{name}` and `{}` (line {}) would have the same name in the code",
                        other.name, other.at.line
                    ),
                    "give one of them another name",
                );
            }
        }
        for (number, name) in INHERITED.iter().enumerate() {
            if !self.all.iter().any(|found| found.name == *name) {
                // Every container has the first two, if only from its base class.
                let method = Method {
                    name: (*name).into(),
                    number: Some(number as u32),
                    supported: number < 2,
                    at: Position::START,
                };
                self.all.push(method);
            }
        }
        self.all.sort_by_key(|method| method.number.unwrap_or(u32::MAX));
        self.all
    }
}
