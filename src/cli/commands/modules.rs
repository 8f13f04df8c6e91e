//! `chimaera modules`.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use chimaera_abi::CHI_DESCRIBE_MODULES;
use serde_json::{json, Value};

use super::status::host_in_words;
use crate::context::{Context, Outcome};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also list files that do not look like modules
    #[arg(long)]
    all: bool,
    /// Also show the methods of each module
    #[arg(long)]
    methods: bool,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let mut document = context.describe(CHI_DESCRIBE_MODULES)?;
    for module in document["loaded"].as_array_mut().into_iter().flatten() {
        module["changed"] = changed(module).into();
    }
    if context.print_json(&document) {
        return Ok(());
    }
    let mut out = String::new();
    let loaded = list(&document["loaded"]);
    if !loaded.is_empty() {
        let rows = loaded
            .iter()
            .map(|module| ["name", "version", "language", "path"].map(|key| text(&module[key])));
        let mut lines = table::lines(["NAME", "VERSION", "LANGUAGE", "LIBRARY"], rows).into_iter();
        out.extend(lines.next());
        for (line, module) in lines.zip(loaded) {
            out += &line;
            if args.methods {
                out += &format!("    {}\n", methods(module));
            }
            for pool in list(&module["pools"]) {
                let since = Duration::from_millis(pool["since_ms"].as_u64().unwrap_or(0));
                let (name, version) = (text(&pool["name"]), text(&pool["version"]));
                out += &format!("    pool {name}: version {version} for {since:.1?}\n");
            }
            let hosts = list(&module["pools"]).iter().map(|pool| &pool["host"]);
            for host in hosts.filter(|host| host.is_object()) {
                out += &format!("    module host of {}\n", host_in_words(host));
            }
            for file in list(&module["changed"]) {
                out += &format!(
                    "    {} has been {} since it was loaded: the runtime runs the old one until it is \
                     started again\n",
                    text(&file["path"]),
                    text(&file["how"])
                );
            }
        }
    }
    let refused = list(&document["refused"]);
    let shown: Vec<&Value> =
        refused.iter().filter(|file| args.all || file["is_module"] == true).collect();
    for file in &shown {
        out += &format!("refused  {}\n    {}\n", text(&file["path"]), text(&file["reason"]));
    }
    let hidden = refused.len() - shown.len();
    match hidden {
        0 => {}
        1 => out += "1 other file is not a module (--all lists it)\n",
        _ => out += &format!("{hidden} other files are not modules (--all lists them)\n"),
    }
    if list(&document["directories"]).is_empty() {
        out += "no directories were scanned: set CHI_REPO_PATH, or start the runtime with \
                --modules DIR\n";
    }
    crate::context::print(&out);
    Ok(())
}

/// The files of a module, its own and those of its libraries, that have changed since they were
/// loaded, and how.
fn changed(module: &Value) -> Vec<Value> {
    let files = std::iter::once(module).chain(list(&module["libraries"]));
    let changed = files.filter_map(|file| {
        how_changed(file).map(|how| json!({ "path": file["path"], "how": how }))
    });
    changed.collect()
}

/// What has happened to a file since it was loaded, if anything.
pub(crate) fn how_changed(file: &Value) -> Option<&'static str> {
    let (path, loaded) = (file["path"].as_str()?, &file["file"]);
    loaded.as_object()?;
    let Ok(file) = std::fs::metadata(path) else { return Some("removed") };
    let modified_ns = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
    let is_there = (loaded["device"].as_u64(), loaded["inode"].as_u64())
        == (Some(file.dev()), Some(file.ino()));
    if !is_there {
        return Some("replaced");
    }
    let is_same = loaded["size"].as_u64() == Some(file.size())
        && loaded["modified_ns"].as_str() == Some(&modified_ns.to_string());
    (!is_same).then_some("overwritten")
}

/// The supported methods of a module, with their numbers.
fn methods(module: &Value) -> String {
    let supported = list(&module["methods"]).iter().filter(|method| method["supported"] == true);
    let methods: Vec<String> =
        supported.map(|method| format!("{} {}", text(&method["name"]), method["number"])).collect();
    methods.join(", ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
