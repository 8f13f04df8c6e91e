//! Reading the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chimaera_ipc::status_page::MAX_WORKERS;
use chimaera_yaml::{Entry, Kind as Node, Position, Problems, Report, Section};

use crate::keys::{Kind, KEYS};
use crate::pool::{self, Pool};
use crate::settings;
use crate::units::{self, SIZES};
use crate::value::{self, Value};

/// The contents of a file.
#[derive(Clone, Debug)]
pub struct File {
    /// The absolute path of the file.
    pub path: PathBuf,
    /// The values of keys, by the paths of the keys.
    pub(crate) values: BTreeMap<&'static str, (Value, Position)>,
    /// The directories with modules.
    pub(crate) module_paths: Vec<(PathBuf, Position)>,
    /// The pools to create, in order.
    pub pools: Vec<Pool>,
    /// Whether it has the key `pools`.
    pub has_pools: bool,
}

impl File {
    /// Reads a file and what it refers to.
    pub fn read(path: &Path) -> Result<File, Problems> {
        let bytes =
            chimaera_yaml::read_file(path, "`chimaera config default` prints a complete one")?;
        let mut file = File::parse(path, &bytes)?;
        let mut problems = Vec::new();
        for pool in &mut file.pools {
            if let Err(found) = pool.load(&file.path) {
                problems.extend(found.0);
            }
        }
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(Problems(problems))
        }
    }

    /// The instance that it names.
    pub fn instance(&self) -> Option<&str> {
        match self.said("instance") {
            Some((Value::Text(name), _)) => Some(name),
            _ => None,
        }
    }

    /// The value of a key, and its position.
    fn said(&self, path: &str) -> Option<&(Value, Position)> {
        self.values.get(path)
    }

    /// Parses the text of a file. Does not read the other files that it names for the parameters of
    /// pools.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<File, Problems> {
        let mut report = Report::new(path);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let base = path.parent().unwrap_or(Path::new("/")).to_owned();
        let mut file = File {
            path,
            values: BTreeMap::new(),
            module_paths: Vec::new(),
            pools: Vec::new(),
            has_pools: false,
        };
        let root = chimaera_yaml::parse(bytes, &mut report);
        if let Some(root) = root.filter(|root| !root.is_null()) {
            if let Some(root) = Section::open(root, "a configuration", &mut report) {
                let mut reader = Reader { file: &mut file, base, report: &mut report };
                reader.section("", root);
                reader.check();
            }
        }
        report.finish(file)
    }
}

struct Reader<'r> {
    file: &'r mut File,
    base: PathBuf,
    report: &'r mut Report,
}

/// The word that follows `prefix` in `path`. `prefix` is empty, or ends with a dot.
fn next_word(path: &'static str, prefix: &str) -> Option<&'static str> {
    path.strip_prefix(prefix)?.split('.').next()
}

impl Reader<'_> {
    /// Reads the keys whose paths begin with `prefix`.
    fn section(&mut self, prefix: &str, mut section: Section) {
        let mut words: Vec<&'static str> = Vec::new();
        for word in KEYS.iter().filter_map(|key| next_word(key.path, prefix)) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        for word in words {
            let Some(entry) = section.take(word) else { continue };
            let path = format!("{prefix}{word}");
            match KEYS.iter().find(|key| key.path == path) {
                Some(key) => self.value(key.path, key.kind, entry),
                None => self.subsection(&path, entry),
            }
        }
        section.close("", self.report);
    }

    fn subsection(&mut self, path: &str, entry: Entry) {
        match &entry.value.kind {
            // Its whole contents are commented out.
            Node::Scalar { .. } if entry.value.is_null() => {}
            Node::Scalar { .. } if path == "workers" => {
                let key = KEYS.iter().find(|key| key.path == "workers.low_latency.count");
                let key = key.expect("it is in the table");
                self.value(key.path, key.kind, entry);
            }
            _ => {
                let what = format!("`{path}`");
                if let Some(section) = Section::open(entry.value, what, self.report) {
                    self.section(&format!("{path}."), section);
                }
            }
        }
    }

    fn value(&mut self, path: &'static str, kind: Kind, entry: Entry) {
        let at = entry.value.at;
        match kind {
            Kind::Pools => {
                self.file.has_pools = true;
                self.file.pools = pool::read(entry, &self.base, self.report);
            }
            Kind::Directories => {
                for item in value::items(entry, self.report) {
                    let at = item.value.at;
                    if let Some(Value::File(path)) =
                        value::read(Kind::File, &self.base, item, self.report)
                    {
                        self.file.module_paths.push((path, at));
                    }
                }
            }
            kind => {
                if let Some(value) = value::read(kind, &self.base, entry, self.report) {
                    self.file.values.insert(path, (value, at));
                }
            }
        }
    }

    /// Checks rules that involve several keys.
    fn check(&mut self) {
        let size = |path| match self.file.said(path) {
            Some((Value::Size(bytes), at)) => Some((*bytes, *at)),
            _ => None,
        };
        let mut problems = Vec::new();
        if let Some((default, at)) = size("segment.default") {
            let most = size("segment.max").map_or_else(preset_max_segment, |most| most.0);
            if default > most {
                let (default, most) = (units::show(default, SIZES), units::show(most, SIZES));
                problems.push((
                    at,
                    format!("`segment.default` ({default}) exceeds `segment.max` ({most})"),
                    "lower `segment.default`, or raise `segment.max`".to_owned(),
                ));
            }
        }
        let count = |group: &str| {
            let (count, cores) = (
                self.file.said(&format!("{group}.count")),
                self.file.said(&format!("{group}.cores")),
            );
            match (count, cores) {
                (Some((Value::Number(count), at)), _) => (*count as usize, Some(*at)),
                (_, Some((Value::Cores(cores), at))) => (cores.len(), Some(*at)),
                _ => (0, None),
            }
        };
        let (low, low_at) = count("workers.low_latency");
        let (high, high_at) = count("workers.high_latency");
        if let (true, Some(at)) = (low.max(1) + high > MAX_WORKERS, high_at.or(low_at)) {
            problems.push((
                at,
                format!("the two groups have {} workers in all", low.max(1) + high),
                format!("write {MAX_WORKERS} or less"),
            ));
        }
        for (at, message, help) in problems {
            self.report.add(at, message, help);
        }
    }
}

fn preset_max_segment() -> u64 {
    let key = KEYS.iter().find(|key| key.path == "segment.max").expect("it is in the table");
    match settings::preset(key) {
        Value::Size(bytes) => bytes,
        other => unreachable!("a size is {other:?}"),
    }
}
