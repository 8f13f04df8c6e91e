//! The pools in a file.

use std::path::{Path, PathBuf};

use base64::engine::general_purpose::STANDARD as BASE64;
use base64::Engine;
use chimaera_abi::CHI_MAX_CONTAINERS;
use chimaera_runtime::{HostLimits, Isolation, OnCrash, PoolAccess, PoolConfig};
use chimaera_yaml::{read_file, shown, string, text, Entry, Kind, Position, Problem, Problems};
use chimaera_yaml::{Report, Section, Text};

use crate::accounts;
use crate::keys;
use crate::value::{self, path, plain, quoted, Value};

/// The maximum size of a pool's parameters, in bytes.
const MAX_PARAMS: usize = 1 << 20;

/// The valid numbers of containers of a pool.
const CONTAINERS: keys::Kind = keys::Kind::Number { least: 1, most: CHI_MAX_CONTAINERS as u64 };
/// The valid numbers of nodes of a pool.
const NODES: keys::Kind = keys::Kind::Number { least: 1, most: u32::MAX as u64 };

/// A pool to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its module, `repo:module`.
    pub module: String,
    /// Parameters for the module.
    pub params: Vec<u8>,
    /// The number of its containers.
    pub containers: u32,
    /// On how many nodes of the cluster it is kept; 0 for all.
    pub nodes: u32,
    /// What happens when one of its methods crashes.
    pub on_crash: OnCrash,
    /// Where its containers run.
    pub isolation: Isolation,
    /// The next runtime of the instance makes it anew.
    pub durable: bool,
    /// What its module host may use, as the file says it.
    host: Vec<(&'static str, Value)>,
    /// Who may use it.
    access: Access,
    /// Its position in the file.
    pub at: Position,
    /// The file with the parameters, until they are loaded.
    params_file: ParamsFile,
}

/// A file with parameters, and the position where it is named.
type ParamsFile = Option<(PathBuf, Position)>;

/// The users and groups that may use a pool, as the file names them, with their positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Access {
    call: Option<(Value, Position)>,
    destroy: Option<(Value, Position)>,
}

impl Access {
    /// Those that the file gives, with their keys.
    fn lists(&self) -> impl Iterator<Item = (&'static str, &(Value, Position))> {
        let both = [("call", &self.call), ("destroy", &self.destroy)];
        both.into_iter().filter_map(|(key, list)| Some((key, list.as_ref()?)))
    }
}

impl Pool {
    /// Who may use it, besides its creator, the user of the runtime and root.
    pub fn access(&self) -> PoolAccess {
        let numbers = |list: &Option<(Value, Position)>| match list {
            Some((Value::Accounts(names), _)) => Some(accounts::numbers(names)),
            _ => None,
        };
        PoolAccess {
            call: numbers(&self.access.call),
            destroy: numbers(&self.access.destroy).unwrap_or_default(),
        }
    }

    /// The lists of users and groups in it, with their positions.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &(Value, Position)> {
        self.access.lists().map(|(_, list)| list)
    }

    /// Reads the file with the parameters.
    pub(crate) fn load(&mut self, file: &Path) -> Result<(), Problems> {
        let Some((source, at)) = self.params_file.take() else { return Ok(()) };
        self.params = read_file(&source, "").map_err(|problems| {
            let why = &problems.0[0].message;
            Problem {
                file: file.to_owned(),
                position: Some(at),
                message: format!("cannot take the parameters from {}: {why}", source.display()),
                help: "name a readable file; relative paths start at the directory of this file"
                    .into(),
            }
        })?;
        Ok(())
    }

    /// The pool in the form that the runtime's configuration takes.
    pub(crate) fn runtime(&self, hosts: &HostLimits) -> PoolConfig {
        PoolConfig {
            name: self.name.clone(),
            module: self.module.clone(),
            params: self.params.clone(),
            containers: self.containers,
            nodes: self.nodes,
            on_crash: self.on_crash,
            access: self.access(),
            isolation: self.isolation,
            durable: self.durable,
            host: (!self.host.is_empty()).then(|| self.host_limits(hosts)),
        }
    }

    /// Whether the file says what its module host may use.
    pub fn limits_host(&self) -> bool {
        !self.host.is_empty()
    }

    /// What its module host may use; what the file does not say is as for others.
    fn host_limits(&self, others: &HostLimits) -> HostLimits {
        let mut limits = others.clone();
        for (key, value) in &self.host {
            match (*key, value) {
                ("kill_after", Value::Time(time)) => limits.kill_after = *time,
                ("memory_limit", Value::Size(bytes)) => limits.memory = Some(*bytes),
                ("restarts", Value::Number(count)) => limits.restarts = *count as u32,
                other => unreachable!("{other:?}"),
            }
        }
        limits
    }

    /// The pool as it is written in the file: keys and values.
    pub(crate) fn yaml(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("name", plain(&self.name)), ("module", plain(&self.module))];
        match std::str::from_utf8(&self.params) {
            _ if self.params.is_empty() => {}
            Ok(text) => all.push(("params", quoted(text))),
            Err(_) => all.push(("params_base64", quoted(&BASE64.encode(&self.params)))),
        }
        if self.containers != 1 {
            all.push(("containers", self.containers.to_string()));
        }
        if self.nodes != 0 {
            all.push(("nodes", self.nodes.to_string()));
        }
        if self.on_crash != OnCrash::default() {
            all.push(("on_crash", self.on_crash.name().to_owned()));
        }
        if self.isolation != Isolation::default() {
            all.push(("isolation", self.isolation.name().to_owned()));
        }
        if self.durable {
            all.push(("durable", "true".to_owned()));
        }
        all.extend(self.host.iter().map(|(key, value)| (*key, value.yaml())));
        let access: Vec<_> =
            self.access.lists().map(|(key, list)| format!("{key}: {}", list.0.yaml())).collect();
        if !access.is_empty() {
            all.push(("access", format!("{{{}}}", access.join(", "))));
        }
        all
    }

    /// The pool in JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut map = serde_json::Map::new();
        map.insert("name".into(), self.name.clone().into());
        map.insert("module".into(), self.module.clone().into());
        match std::str::from_utf8(&self.params) {
            Ok(text) => map.insert("params".into(), text.into()),
            Err(_) => map.insert("params_base64".into(), BASE64.encode(&self.params).into()),
        };
        map.insert("containers".into(), self.containers.into());
        if self.nodes != 0 {
            map.insert("nodes".into(), self.nodes.into());
        }
        map.insert("on_crash".into(), self.on_crash.name().into());
        map.insert("isolation".into(), self.isolation.name().into());
        map.insert("durable".into(), self.durable.into());
        self.host.iter().for_each(|(key, value)| drop(map.insert((*key).into(), value.json())));
        let access = self.access.lists().map(|(key, list)| (key.to_owned(), list.0.json()));
        map.insert("access".into(), access.collect::<serde_json::Map<_, _>>().into());
        map.into()
    }
}

/// Reads the list of pools.
pub(crate) fn read(entry: Entry, base: &Path, report: &mut Report) -> Vec<Pool> {
    let items = match entry.value.kind {
        Kind::Sequence(items) => items,
        Kind::Refused => return Vec::new(),
        _ => {
            let what = format!("`pools` is {}", entry.value.describe());
            report.add(entry.value.at, what, "write a list: lines of `- name: NAME`");
            return Vec::new();
        }
    };
    let mut pools: Vec<Pool> = Vec::new();
    for item in items {
        let at = item.at;
        let Some(section) = Section::open(item, "a pool", report) else { continue };
        let Some(pool) = read_one(section, at, base, report) else { continue };
        match pools.iter().find(|other| other.name == pool.name) {
            Some(first) => report.add(
                pool.at,
                format!(
                    "duplicate pool '{}': the first one is on line {}",
                    shown(&pool.name),
                    first.at.line
                ),
                "remove or rename one of them",
            ),
            None => pools.push(pool),
        }
    }
    pools
}

fn read_one(mut section: Section, at: Position, base: &Path, report: &mut Report) -> Option<Pool> {
    let name = required(&mut section, "name", "`name: cache`", at, report).filter(|name| {
        let good = name.text.len() <= 255 && !name.text.chars().any(char::is_control);
        if !good {
            let help = "use 1 to 255 bytes of UTF-8 without control characters";
            report.add(
                name.at,
                format!("\"{}\" is not a valid pool name", shown(&name.text)),
                help,
            );
        } else if name.text == "admin" {
            report.add(name.at, "the pool 'admin' always exists", "choose another name");
        }
        good
    });
    let module = required(&mut section, "module", "`module: chimaera:kv`", at, report);
    let module = module.filter(|module| {
        let good = value::is_module(&module.text);
        if !good {
            let what = format!("\"{}\" is not a valid module name", shown(&module.text));
            report.add(module.at, what, "write `repo:module`, as `chimaera modules` shows it");
        }
        good
    });
    let (params, params_file) = read_params(&mut section, base, report);
    let mut count = |key, kind, default| match section.take(key) {
        Some(entry) => match value::read(kind, base, entry, report) {
            Some(Value::Number(count)) => count as u32,
            _ => default,
        },
        None => default,
    };
    let containers = count("containers", CONTAINERS, 1);
    let nodes = count("nodes", NODES, 0);
    let on_crash = read_on_crash(&mut section, report);
    let isolation = read_isolation(&mut section, report);
    let durable = read_durable(&mut section, report);
    let host = read_host(&mut section, base, report);
    let access = read_access(&mut section, base, report);
    section.close("", report);
    let (name, module) = (name?, module?.text);
    Some(Pool {
        name: name.text,
        module,
        params,
        containers,
        nodes,
        on_crash,
        isolation,
        durable,
        host,
        access,
        at: name.at,
        params_file,
    })
}

fn read_on_crash(section: &mut Section, report: &mut Report) -> OnCrash {
    let Some(found) = section.take("on_crash").and_then(|entry| text(entry, report)) else {
        return OnCrash::default();
    };
    let all = [OnCrash::Quarantine, OnCrash::Abort];
    all.into_iter().find(|on_crash| on_crash.name() == found.text).unwrap_or_else(|| {
        let what = format!("\"{}\" is not a valid value of `on_crash`", shown(&found.text));
        report.add(found.at, what, "write `quarantine` or `abort`");
        OnCrash::default()
    })
}

fn read_isolation(section: &mut Section, report: &mut Report) -> Isolation {
    let Some(found) = section.take("isolation").and_then(|entry| text(entry, report)) else {
        return Isolation::default();
    };
    let all = [Isolation::None, Isolation::Process];
    all.into_iter().find(|isolation| isolation.name() == found.text).unwrap_or_else(|| {
        let what = format!("\"{}\" is not a valid value of `isolation`", shown(&found.text));
        report.add(found.at, what, "write `none` or `process`");
        Isolation::default()
    })
}

fn read_durable(section: &mut Section, report: &mut Report) -> bool {
    let Some(found) = section.take("durable").and_then(|entry| text(entry, report)) else {
        return false;
    };
    match &*found.text {
        "true" => true,
        "false" => false,
        other => {
            let what = format!("\"{}\" is not a valid value of `durable`", shown(other));
            report.add(found.at, what, "write `true` or `false`");
            false
        }
    }
}

fn read_host(
    section: &mut Section,
    base: &Path,
    report: &mut Report,
) -> Vec<(&'static str, Value)> {
    let keys = [
        ("kill_after", keys::KILL_AFTER),
        ("memory_limit", keys::MEMORY_LIMIT),
        ("restarts", keys::RESTARTS),
    ];
    let read = |(key, kind)| {
        let entry = section.take(key)?;
        Some((key, value::read(kind, base, entry, report)?))
    };
    keys.into_iter().filter_map(read).collect()
}

fn read_access(section: &mut Section, base: &Path, report: &mut Report) -> Access {
    let found = section.take("access").filter(|entry| !entry.value.is_null());
    let Some(mut section) =
        found.and_then(|entry| Section::open(entry.value, "the access to a pool", report))
    else {
        return Access::default();
    };
    let mut list = |key| {
        let entry = section.take(key)?;
        let at = entry.value.at;
        Some((value::read(keys::Kind::Accounts, base, entry, report)?, at))
    };
    let access = Access { call: list("call"), destroy: list("destroy") };
    section.close("", report);
    access
}

fn required(
    section: &mut Section,
    key: &'static str,
    example: &str,
    at: Position,
    report: &mut Report,
) -> Option<Text> {
    match section.take(key) {
        Some(entry) => text(entry, report),
        None => {
            report.add(
                at,
                format!("this pool has no `{key}`"),
                format!("add {example}, for example"),
            );
            None
        }
    }
}

/// Converts a map of parameters into the text that modules parse.
fn as_text(entries: &[Entry]) -> Result<String, (Position, String)> {
    let mut settings = Vec::new();
    for Entry { key, at, value } in entries {
        if key.is_empty() || key.contains(['=', ',', '"']) || key.trim() != key {
            return Err((*at, format!("\"{}\" is not a valid parameter name", shown(key))));
        }
        let text = match &value.kind {
            Kind::Scalar { text, .. } => text,
            Kind::Refused => continue,
            _ => {
                let message = format!("the parameter `{}` is {}", shown(key), value.describe());
                return Err((value.at, message));
            }
        };
        settings.push(match text.contains([',', '"']) || text.trim() != text {
            true => format!("{key}=\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")),
            false => format!("{key}={text}"),
        });
    }
    Ok(settings.join(","))
}

/// Reads the parameters, which may be given in at most one form.
fn read_params(section: &mut Section, base: &Path, report: &mut Report) -> (Vec<u8>, ParamsFile) {
    let mut forms: Vec<Entry> = ["params", "params_base64", "params_file"]
        .into_iter()
        .filter_map(|key| section.take(key))
        .collect();
    for extra in forms.drain(1.min(forms.len())..) {
        let what = format!("parameters are given a second time, as `{}`", extra.key);
        report.add(extra.at, what, "keep one of `params`, `params_base64`, `params_file`");
    }
    forms.pop().and_then(|entry| read_form(entry, base, report)).unwrap_or_default()
}

/// The parameters in an entry, or the file that it names. `None` when they are invalid.
fn read_form(entry: Entry, base: &Path, report: &mut Report) -> Option<(Vec<u8>, ParamsFile)> {
    let at = entry.value.at;
    let result = match (&entry.key[..], &entry.value.kind) {
        (_, Kind::Refused) => return None,
        ("params", Kind::Mapping(entries)) => match as_text(entries) {
            Ok(text) => Ok(text.into_bytes()),
            Err((at, message)) => {
                report.add(at, message, "write `NAME: VALUE`, the value on one line");
                return None;
            }
        },
        ("params", Kind::Scalar { text, .. }) => Ok(text.clone().into_bytes()),
        ("params", Kind::Sequence(_)) => Err((
            format!("`params` is {}", entry.value.describe()),
            "write a map of names and values, or a string, quoted if it contains `: ` or starts \
              with a bracket"
                .to_owned(),
        )),
        ("params_file", _) => match path(&string(entry, report)?.text, base) {
            Ok(path) => return Some((Vec::new(), Some((path, at)))),
            Err(wrong) => Err(wrong),
        },
        _ => {
            let text = string(entry, report)?.text.replace([' ', '\t', '\r', '\n'], "");
            BASE64.decode(text).map_err(|error| {
                (format!("not valid Base64: {error}"), "write what `base64 FILE` prints".to_owned())
            })
        }
    };
    let result = result.and_then(|params| match params.len() > MAX_PARAMS {
        true => Err((
            format!("the parameters have {} bytes", params.len()),
            "the limit is 1 MiB".to_owned(),
        )),
        false => Ok(params),
    });
    match result {
        Ok(params) => Some((params, None)),
        Err((message, help)) => {
            report.add(at, message, help);
            None
        }
    }
}
