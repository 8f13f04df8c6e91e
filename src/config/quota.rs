//! The limits of single users and groups in a file.

use std::path::Path;

use chimaera_runtime::{UserLimits, UserQuota};
use chimaera_yaml::{Entry, Kind as Node, Report, Section};
use serde_json::{json, Map};

use crate::accounts;
use crate::keys::{Kind, KEYS};
use crate::value::{self, plain, Value};

/// The limits that a user may have: the keys below this one.
const PER_USER: &str = "limits.per_user.";

/// An item of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Users and groups, as the file names them.
    pub(crate) who: Vec<String>,
    /// The limits that it sets, by the last words of their keys.
    limits: Vec<(&'static str, Value)>,
}

/// The keys of an item besides `who`, and what their values may be.
pub(crate) fn limits() -> impl Iterator<Item = (&'static str, Kind)> {
    KEYS.iter().filter_map(|key| Some((key.path.strip_prefix(PER_USER)?, key.kind)))
}

impl Quota {
    /// The item in the form that the runtime's configuration takes: the one of this number, for a runtime
    /// whose other users have these limits.
    pub(crate) fn runtime(&self, index: usize, others: &UserLimits) -> UserQuota {
        let mut limits = UserLimits { key: format!("limits.users[{index}]"), ..others.clone() };
        for (key, value) in &self.limits {
            let (Value::Number(number) | Value::Size(number) | Value::Percent(number)) = *value
            else {
                continue;
            };
            match *key {
                "sessions" => limits.sessions = number as usize,
                "segments" => limits.segments = number,
                "pools" => limits.pools = number as u32,
                "containers" => limits.containers = number as u32,
                "tasks_in_flight" => limits.tasks_in_flight = number as usize,
                "worker_time" => limits.worker_time = number as u32,
                other => unreachable!("{other} is no limit of a user"),
            }
        }
        UserQuota { who: accounts::numbers(&self.who), limits }
    }

    /// The item as it is written in the file.
    pub(crate) fn yaml(&self) -> String {
        let who: Vec<String> = self.who.iter().map(|name| plain(name)).collect();
        let limits = self.limits.iter().map(|(key, value)| format!(", {key}: {}", value.yaml()));
        format!("{{who: [{}]{}}}", who.join(", "), limits.collect::<String>())
    }

    /// The item in JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let who = ("who".to_owned(), json!(self.who));
        let limits = self.limits.iter().map(|(key, value)| ((*key).to_owned(), value.json()));
        std::iter::once(who).chain(limits).collect::<Map<_, _>>().into()
    }
}

/// Reads the list.
pub(crate) fn read(entry: Entry, base: &Path, report: &mut Report) -> Option<Vec<Quota>> {
    let items = match entry.value.kind {
        Node::Sequence(items) => items,
        Node::Refused => return None,
        _ => {
            let what = format!("`users` is {}", entry.value.describe());
            report.add(
                entry.value.at,
                what,
                "write a list: lines of `- {who: alice, sessions: 8}`",
            );
            return None;
        }
    };
    let mut all = Vec::new();
    for item in items {
        let at = item.at;
        let Some(mut section) = Section::open(item, "a limit of users", report) else { continue };
        let who = section.take("who");
        if who.is_none() {
            report.add(
                at,
                "this limit has no `who`",
                "add `who: [alice, group:staff]`, for example",
            );
        }
        let who = who.and_then(|entry| value::read(Kind::Accounts, base, entry, report));
        let mut set = Vec::new();
        for (key, kind) in limits() {
            let Some(entry) = section.take(key) else { continue };
            set.extend(value::read(kind, base, entry, report).map(|value| (key, value)));
        }
        section.close("", report);
        if let Some(Value::Accounts(who)) = who {
            all.push(Quota { who, limits: set });
        }
    }
    Some(all)
}
