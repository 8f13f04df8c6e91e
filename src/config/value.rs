//! The value of a key, read from YAML and written as YAML.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_ipc::instance;
use chimaera_yaml::{integer, nearest, shown, Entry, Kind as Node, Position, Report};

use crate::accounts;
use crate::keys::{Kind, FORMATS, LEVELS, TARGET_LEVELS};
use crate::quota::{self, Quota};
use crate::units::{self, Wrong, SIZES, TIMES};

/// Core numbers are below this.
pub(crate) const MAX_CORES: u64 = 1024;

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// Bytes.
    Size(u64),
    /// A time; `None` is never.
    Time(Option<Duration>),
    /// A percentage.
    Percent(u64),
    /// A name, or a word of several.
    Text(String),
    /// The absolute path of a file.
    File(PathBuf),
    /// Users and groups, as the file names them.
    Accounts(Vec<String>),
    /// Names of modules.
    Modules(Vec<String>),
    /// Where machines can be reached.
    Addresses(Vec<String>),
    /// Limits of users and groups.
    Quotas(Vec<Quota>),
    /// Cores.
    Cores(Vec<usize>),
    /// No value: the default that the key describes in words applies.
    Unset,
}

impl Value {
    /// The value as it is written in the file; empty for [`Value::Unset`].
    pub fn yaml(&self) -> String {
        match self {
            Value::Number(number) => number.to_string(),
            Value::Size(bytes) => units::show(*bytes, SIZES),
            Value::Time(Some(time)) => units::show(time.as_nanos() as u64, TIMES),
            Value::Time(None) => "never".into(),
            Value::Percent(number) => format!("{number}%"),
            Value::Text(text) => plain(text),
            Value::File(path) => quoted(&path.to_string_lossy()),
            Value::Accounts(names) => {
                let names: Vec<String> = names.iter().map(|name| plain(name)).collect();
                format!("[{}]", names.join(", "))
            }
            Value::Modules(names) | Value::Addresses(names) => {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                format!("[{}]", names.join(", "))
            }
            Value::Quotas(quotas) => {
                let quotas: Vec<String> = quotas.iter().map(Quota::yaml).collect();
                format!("[{}]", quotas.join(", "))
            }
            Value::Cores(cores) => {
                let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
                format!("[{}]", cores.join(", "))
            }
            Value::Unset => String::new(),
        }
    }

    /// The value in JSON: numbers as numbers, values with a unit as text.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Value::Number(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
            Value::File(path) => path.to_string_lossy().into(),
            Value::Accounts(names) | Value::Modules(names) | Value::Addresses(names) => {
                names.clone().into()
            }
            Value::Quotas(quotas) => quotas.iter().map(Quota::json).collect(),
            Value::Cores(cores) => cores.clone().into(),
            Value::Unset => serde_json::Value::Null,
            other => other.yaml().into(),
        }
    }
}

/// A text as a YAML scalar that every reader reads as text, quoted only where necessary.
pub(crate) fn plain(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':');
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let meant = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let other = meant.contains(&&*text.to_lowercase()) || text.ends_with(':');
    if word && !other && text.chars().all(safe) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A text in quotes. JSON's quoting is valid YAML, too.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads the value of an entry, and reports any problem with it.
pub(crate) fn read(kind: Kind, base: &Path, entry: Entry, report: &mut Report) -> Option<Value> {
    let at = entry.value.at;
    let result = match kind {
        Kind::Number { least, most } => {
            integer(&entry.value).and_then(|number| match u64::try_from(number) {
                Ok(number) if (least..=most).contains(&number) => Ok(Value::Number(number)),
                _ => out_of_range(number, least, most),
            })
        }
        Kind::Accounts => return accounts(entry, report).map(Value::Accounts),
        Kind::Modules => {
            return texts(entry, report, chimaera_yaml::text, |name| match is_module(name) {
                true => Ok(()),
                false => Err((
                    format!("\"{}\" is not a valid module name", shown(name)),
                    "write `repo:module`, as `chimaera modules` shows it".into(),
                )),
            })
            .map(Value::Modules);
        }
        Kind::Address => {
            let text = chimaera_yaml::string(entry, report)?;
            scalar(kind, &text.text)
        }
        Kind::Addresses => {
            let check = |text: &str| scalar(Kind::Address, text).map(drop);
            return texts(entry, report, chimaera_yaml::string, check).map(Value::Addresses);
        }
        Kind::Quotas => return quota::read(entry, base, report).map(Value::Quotas),
        Kind::Cores => return cores(entry, report).map(Value::Cores),
        Kind::File => {
            let text = chimaera_yaml::string(entry, report)?;
            path(&text.text, base).map(Value::File)
        }
        _ => {
            let text = chimaera_yaml::text(entry, report)?.text;
            scalar(kind, &text)
        }
    };
    match result {
        Ok(value) => Some(value),
        Err((message, help)) => {
            report.add(at, message, help);
            None
        }
    }
}

/// Parses a value.
pub(crate) fn scalar(kind: Kind, text: &str) -> Result<Value, Wrong> {
    match kind {
        Kind::Size { least, most } => {
            let bytes = units::parse(text, SIZES)?;
            if (least..=most).contains(&bytes) {
                return Ok(Value::Size(bytes));
            }
            out_of_range(text, units::show(least, SIZES), units::show(most, SIZES))
        }
        Kind::Time { never: true, .. } if text == "never" => Ok(Value::Time(None)),
        Kind::Time { least, most, .. } => {
            let time = units::parse(text, TIMES)?;
            if (least..=most).contains(&time) {
                return Ok(Value::Time(Some(Duration::from_nanos(time))));
            }
            out_of_range(text, units::show(least, TIMES), units::show(most, TIMES))
        }
        Kind::Percent { least, most } => {
            let digits = text.strip_suffix('%').map(|text| text.trim_end_matches([' ', '\t']));
            let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let number = digits.and_then(|digits| digits.parse().ok());
            match number {
                Some(number) if (least..=most).contains(&number) => Ok(Value::Percent(number)),
                Some(_) => out_of_range(text, format!("{least}%"), format!("{most}%")),
                None => Err((
                    format!("\"{}\" is not a percentage", shown(text)),
                    "write a whole number and `%`".into(),
                )),
            }
        }
        Kind::Memory { .. } if text == "auto" => Ok(Value::Text(text.to_owned())),
        Kind::Memory { .. } if text.ends_with('%') => {
            scalar(Kind::Percent { least: 1, most: 100 }, text)
        }
        Kind::Memory { least, most } => scalar(Kind::Size { least, most }, text)
            .map_err(|(wrong, help)| (wrong, format!("{help}, a percentage, or `auto`"))),
        Kind::Name if instance::is_name(text) => Ok(Value::Text(text.to_owned())),
        Kind::Name => Err((
            format!("\"{}\" is not a valid instance name", shown(text)),
            "use 1 to 48 letters, digits, `.`, `_` or `-`, not beginning with `.` or `-`".into(),
        )),
        Kind::Address if is_address(text) => Ok(Value::Text(text.to_owned())),
        Kind::Address => Err((
            format!("\"{}\" is not an address", shown(text)),
            "write `HOST[:PORT]`, for example `10.0.0.1:4411` or `[::1]`".into(),
        )),
        Kind::Level => levels(text),
        Kind::Format => word(text, "log format", &FORMATS),
        Kind::Number { .. }
        | Kind::Accounts
        | Kind::Modules
        | Kind::Addresses
        | Kind::Quotas
        | Kind::Cores
        | Kind::File
        | Kind::Directories
        | Kind::Pools => {
            unreachable!("these are no texts")
        }
    }
}

/// Checks a log level, with those of single targets behind commas: `info,module=debug`. `[any thread]`
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn log_level(text: &str) -> Result<String, String> {
    levels(text).map_err(|(wrong, help)| format!("{wrong}: {help}"))?;
    Ok(text.to_owned())
}

/// The longest text with log levels.
const MOST_LEVELS: usize = 1024;

fn levels(text: &str) -> Result<Value, Wrong> {
    if text.len() > MOST_LEVELS {
        let wrong = format!("these log levels have {} bytes", text.len());
        return Err((wrong, format!("write at most {MOST_LEVELS}")));
    }
    let mut parts = text.split(',');
    if text.contains('=') && parts.clone().next().is_some_and(|first| first.contains('=')) {
        return Err((
            format!("\"{}\" does not begin with a log level", shown(text)),
            "write that of all other targets first: `info,module=debug`".into(),
        ));
    }
    word(parts.next().unwrap_or_default(), "log level", &LEVELS)?;
    for part in parts {
        let is_target = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
        };
        match part.split_once('=') {
            Some((target, level)) if is_target(target) => {
                word(level, "log level of a target", &TARGET_LEVELS)?;
            }
            _ => {
                return Err((
                    format!("\"{}\" is not the level of a target", shown(part)),
                    "write `TARGET=LEVEL` without blanks, for example `module=debug`".into(),
                ))
            }
        }
    }
    Ok(Value::Text(text.to_owned()))
}

/// One of several words.
fn word(text: &str, what: &str, of: &[&str]) -> Result<Value, Wrong> {
    if of.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let help = match nearest(&text.to_lowercase(), of) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", of.join(", ")),
    };
    Err((format!("\"{}\" is not a {what}", shown(text)), help))
}

fn out_of_range<T>(
    found: impl std::fmt::Display,
    least: impl std::fmt::Display,
    most: impl std::fmt::Display,
) -> Result<T, Wrong> {
    Err((format!("{found} is out of range"), format!("write {least} to {most}")))
}

/// Resolves a path: `~/` is the home directory, and relative paths start at the directory of the
/// file.
pub(crate) fn path(text: &str, base: &Path) -> Result<PathBuf, Wrong> {
    if text.contains('\0') {
        return Err(("the path contains a zero byte".into(), "write a path without one".into()));
    }
    match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => match std::env::home_dir() {
            Some(home) => Ok(home.join(rest.trim_start_matches('/'))),
            None => Err((
                "`~` cannot be resolved: $HOME is not set".into(),
                "write the full path".into(),
            )),
        },
        _ => Ok(base.join(text)),
    }
}

/// The items of a list, or the single value that is written instead of one.
pub(crate) fn items(entry: Entry, report: &mut Report) -> Vec<Entry> {
    let Entry { key, at, value } = entry;
    match value.kind {
        Node::Sequence(items) => {
            items.into_iter().map(|value| Entry { key: key.clone(), at, value }).collect()
        }
        Node::Refused => Vec::new(),
        Node::Scalar { .. } if !value.is_null() => vec![Entry { key, at, value }],
        Node::Scalar { .. } | Node::Mapping(_) => {
            let what = format!("`{key}` is {}", value.describe());
            report.add(value.at, what, "write a list: `[first, second]`, or `[]` for none");
            Vec::new()
        }
    }
}

fn accounts(entry: Entry, report: &mut Report) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut good = !matches!(entry.value.kind, Node::Refused | Node::Mapping(_));
    for item in items(entry, report) {
        let at = item.value.at;
        let name = chimaera_yaml::text(item, report).map(|text| accounts::parse(&text.text));
        match name {
            Some(Ok(name)) => all.push(name),
            Some(Err((message, help))) => {
                report.add(at, message, help);
                good = false;
            }
            None => good = false,
        }
    }
    good.then_some(all)
}

/// A list of texts, each of which is checked.
fn texts(
    entry: Entry,
    report: &mut Report,
    read: impl Fn(Entry, &mut Report) -> Option<chimaera_yaml::Text>,
    check: impl Fn(&str) -> Result<(), Wrong>,
) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut good = !matches!(entry.value.kind, Node::Refused | Node::Mapping(_));
    for item in items(entry, report) {
        let at = item.value.at;
        match read(item, report).map(|text| (check(&text.text), text.text)) {
            Some((Ok(()), text)) => all.push(text),
            Some((Err((what, help)), _)) => {
                report.add(at, what, help);
                good = false;
            }
            None => good = false,
        }
    }
    good.then_some(all)
}

/// Checks an address of the command line, `HOST[:PORT]`.
///
/// # Errors
/// It is none; the text says what to write.
pub fn address(text: &str) -> Result<String, String> {
    match scalar(Kind::Address, text) {
        Ok(_) => Ok(text.to_owned()),
        Err((what, help)) => Err(format!("{what}: {help}")),
    }
}

/// The port of an address that names none.
pub(crate) const DEFAULT_PORT: u16 = 4411;

/// The host of an address, and its port if it names one. An IPv6 address is in brackets.
fn parts(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((_, port)) if port.ends_with(']') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// The host of an address, an IPv6 address without its brackets.
pub(crate) fn host_of(text: &str) -> &str {
    parts(text).0.trim_matches(['[', ']'])
}

/// Whether a text can be `HOST[:PORT]`.
pub(crate) fn is_address(text: &str) -> bool {
    let (host, port) = parts(text);
    let is_port = port.is_none_or(|port| {
        let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
        digits && port.parse::<u16>().is_ok()
    });
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            (1..=253).contains(&host.len()) && host.bytes().all(is_fit)
        }
    };
    is_port && is_host
}

/// An address with its port, or with this one if it names none.
pub(crate) fn with_port(text: &str, default: u16) -> String {
    match parts(text) {
        (host, None) => format!("{host}:{default}"),
        _ => text.to_owned(),
    }
}

/// Whether a text can be the full name of a module: `repo:module`.
pub(crate) fn is_module(name: &str) -> bool {
    name.len() <= 255
        && !name.chars().any(char::is_control)
        && name.split_once(':').is_some_and(|(repo, module)| {
            !repo.is_empty() && !module.is_empty() && !module.contains(':')
        })
}

fn cores(entry: Entry, report: &mut Report) -> Option<Vec<usize>> {
    let mut all: Vec<usize> = Vec::new();
    let mut good = !matches!(entry.value.kind, Node::Refused);
    for item in items(entry, report) {
        let at: Position = item.value.at;
        let mut wrong = |message: String, help: &str| {
            report.add(at, message, help);
            good = false;
        };
        let what = item.value.describe();
        let Node::Scalar { text, .. } = item.value.kind else {
            wrong(format!("{what} is not a core number"), "write numbers and ranges: `[0, 2-3]`");
            continue;
        };
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let number = |text: &str| {
            let text = text.trim_matches([' ', '\t']);
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| digits)
        };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if last >= MAX_CORES || first >= MAX_CORES => {
                wrong(format!("{what} is out of range"), "cores are 0 to 1023");
            }
            (Some(first), Some(last)) if first <= last => {
                for core in first as usize..=last as usize {
                    if all.contains(&core) {
                        wrong(format!("core {core} is listed twice"), "list each core once");
                        break;
                    }
                    all.push(core);
                }
            }
            _ => wrong(
                format!("{what} is not a core number"),
                "write numbers and ranges: `[0, 2-3]`",
            ),
        }
    }
    good.then_some(all)
}
