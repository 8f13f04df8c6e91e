//! Prints the effective configuration, as text that is again a valid configuration file, and as
//! JSON.

use serde_json::json;

use crate::keys::{Kind, KEYS};
use crate::settings::{Origin, Settings};
use crate::value::{quoted, Value};

/// Writes nested keys: a line for each word of a path that has not been written yet.
#[derive(Default)]
pub(crate) struct Nest {
    open: Vec<&'static str>,
    pub(crate) text: String,
}

impl Nest {
    /// Writes the words before the last one of the path, and returns that one with its indentation.
    pub(crate) fn enter(&mut self, path: &'static str) -> String {
        let words: Vec<&'static str> = path.split('.').collect();
        let (last, above) = words.split_last().expect("a path has a word");
        let common = self.open.iter().zip(above).take_while(|(a, b)| a == b).count();
        for (depth, word) in above.iter().enumerate().skip(common) {
            self.text += &format!("{}{word}:\n", "  ".repeat(depth));
        }
        self.open = above.to_vec();
        format!("{}{last}", "  ".repeat(above.len()))
    }
}

/// Lines, each with a comment; the comments are aligned in one column where they fit.
fn remarked(lines: &[(String, String)]) -> String {
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|n| *n <= 48).max();
    let width = width.unwrap_or(0);
    let line = |(line, remark): &(String, String)| match remark.is_empty() {
        true => format!("{line}\n"),
        false => format!("{line:<width$}  # {remark}\n"),
    };
    lines.iter().map(line).collect()
}

impl Settings {
    /// The configuration as a file, with the origin of each value in a comment.
    pub fn yaml(&self) -> String {
        let mut nest = Nest::default();
        let mut lines = Vec::new();
        for key in KEYS {
            let head = nest.enter(key.path);
            let above = std::mem::take(&mut nest.text);
            lines.extend(above.lines().map(|line| (line.to_owned(), String::new())));
            match key.kind {
                Kind::Directories if self.module_paths.is_empty() => {
                    lines.push((format!("{head}: []"), Origin::Default.to_string()));
                }
                Kind::Directories => {
                    lines.push((format!("{head}:"), String::new()));
                    lines.extend(self.module_paths.iter().map(|(path, origin)| {
                        let path = quoted(&path.to_string_lossy());
                        (format!("  - {path}"), origin.to_string())
                    }));
                }
                Kind::Pools if self.pools.is_empty() => {
                    lines.push((format!("{head}: []"), Origin::Default.to_string()));
                }
                Kind::Pools => {
                    lines.push((format!("{head}:"), String::new()));
                    lines.extend(self.pool_lines());
                }
                _ => {
                    let mut settings = self.values.iter();
                    let setting = settings.find(|setting| setting.key.path == key.path);
                    let setting = setting.expect("each key with one value has a setting");
                    let line = match setting.value {
                        Value::Unset => format!("{}# {}:", &head[..indent(&head)], head.trim()),
                        _ => format!("{head}: {}", setting.value.yaml()),
                    };
                    lines.push((line, setting.origin.to_string()));
                }
            }
        }
        remarked(&lines)
    }

    fn pool_lines(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        for pool in &self.pools {
            for (index, (key, value)) in pool.yaml().into_iter().enumerate() {
                let (dash, remark) = match (index, &self.file) {
                    (0, Some(file)) => ("-", Origin::File(file.clone(), pool.at).to_string()),
                    _ => (" ", String::new()),
                };
                lines.push((format!("  {dash} {key}: {value}"), remark));
            }
        }
        lines
    }

    /// The configuration in JSON: the file, and for each key its value and its origin.
    pub fn json(&self) -> serde_json::Value {
        let values: Vec<serde_json::Value> = KEYS
            .iter()
            .flat_map(|key| match key.kind {
                Kind::Directories => {
                    let paths = self.module_paths.iter();
                    paths
                        .map(|(path, origin)| entry(key.path, json!(path), origin))
                        .collect::<Vec<_>>()
                }
                Kind::Pools => {
                    let origin = |at| match &self.file {
                        Some(file) => Origin::File(file.clone(), at),
                        None => Origin::Default,
                    };
                    let pools = self.pools.iter();
                    pools.map(|pool| entry(key.path, pool.json(), &origin(pool.at))).collect()
                }
                _ => {
                    let settings = self.values.iter();
                    let found = settings.filter(|setting| setting.key.path == key.path);
                    found
                        .map(|setting| entry(key.path, setting.value.json(), &setting.origin))
                        .collect()
                }
            })
            .collect();
        json!({ "file": self.file, "values": values })
    }
}

fn entry(path: &str, value: serde_json::Value, origin: &Origin) -> serde_json::Value {
    let origin = match origin {
        Origin::Default => json!({ "from": "default" }),
        Origin::File(file, at) => {
            json!({ "from": "file", "file": file, "line": at.line, "column": at.column })
        }
        Origin::Variable(name) => json!({ "from": "environment", "variable": name }),
        Origin::Flag(flag) => json!({ "from": "command line", "flag": flag }),
    };
    json!({ "key": path, "value": value, "origin": origin })
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}
