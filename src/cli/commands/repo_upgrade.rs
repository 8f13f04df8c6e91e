//! `chimaera repo install --upgrade`: lets the pools of a running instance run the modules that were
//! installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_abi::CHI_DESCRIBE_MODULES;
use serde_json::{json, Value};

use super::modules::how_changed;
use crate::context::{Context, Failed, Outcome};
use crate::number::counted;

/// A module that was installed.
pub(crate) struct Installed {
    /// `repo:module`.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
}

/// What became of the modules in the instance.
pub(crate) struct Upgrades(Vec<Value>);

/// Fails if the instance is not running: nothing shall be installed then.
pub(crate) fn check(context: &Context) -> Outcome {
    let instance = context.instance()?;
    match instance.is_running()? {
        true => Ok(()),
        false => Err(Failed::NotRunning(instance.not_running())),
    }
}

/// Upgrades the pools of each module that has changed. If that fails for one, all its pools go on with
/// the version that they have, and the other modules are upgraded all the same.
pub(crate) fn upgrade(
    context: &Context,
    modules: &[Installed],
    timeout: u32,
) -> Result<Upgrades, Failed> {
    let found = context.describe(CHI_DESCRIBE_MODULES)?;
    let loaded = found["loaded"].as_array().map_or(&[][..], Vec::as_slice);
    let bound = Duration::from_secs(timeout.into());
    let upgrades = modules.iter().map(|Installed { name, file }| {
        let Some(loaded) = loaded.iter().find(|module| module["name"] == **name) else {
            return Ok(json!({ "module": name, "state": "absent" }));
        };
        if is_same(loaded, file) {
            return Ok(json!({ "module": name, "state": "unchanged" }));
        }
        let Some(path) = file.to_str() else {
            let why = format!("{}: the path is not UTF-8", file.display());
            return Ok(failed(name, loaded, &why));
        };
        match context.upgrade_module(name, path, bound) {
            Ok(mut done) => {
                done["module"] = name.as_str().into();
                done["state"] = "upgraded".into();
                Ok(done)
            }
            Err(Failed::Message(why) | Failed::Refused(_, why) | Failed::Silent(why)) => {
                Ok(failed(name, loaded, &why))
            }
            Err(other) => Err(other),
        }
    });
    Ok(Upgrades(upgrades.collect::<Result<_, Failed>>()?))
}

fn failed(name: &str, loaded: &Value, why: &str) -> Value {
    json!({ "module": name, "state": "failed", "from": loaded["version"], "error": why })
}

/// Whether the module that the instance has is this file, as it is now, and all its pools run it.
fn is_same(loaded: &Value, file: &Path) -> bool {
    let mut pools = loaded["pools"].as_array().into_iter().flatten();
    if how_changed(loaded).is_some() || !pools.all(|pool| pool["current"] == true) {
        return false;
    }
    let Some(path) = loaded["path"].as_str() else { return false };
    let is_it = |one: &Path, other: &Path| {
        std::fs::canonicalize(one)
            .ok()
            .is_some_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
    };
    is_it(Path::new(path), file) || same_contents(Path::new(path), file)
}

/// Whether two files can be read and are the same byte for byte.
pub(crate) fn same_contents(one: &Path, other: &Path) -> bool {
    let sizes = [one, other].map(|path| std::fs::metadata(path).ok().map(|found| found.len()));
    if sizes[0].is_none() || sizes[0] != sizes[1] {
        return false;
    }
    match (std::fs::read(one), std::fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

impl Upgrades {
    /// One line for each module.
    pub(crate) fn lines(&self) -> String {
        self.0.iter().map(|one| line(one, "state")).collect()
    }

    /// The modules whose pools were not upgraded although they should be, in a message; `None` if there
    /// are none.
    pub(crate) fn failure(&self) -> Option<String> {
        let failed = self.0.iter().filter(|one| one["state"] == "failed");
        let names: Vec<_> = failed.filter_map(|one| one["module"].as_str()).collect();
        match names.is_empty() {
            true => None,
            false => Some(format!("installed, but not upgraded: {}", names.join(", "))),
        }
    }

    pub(crate) fn document(self) -> Value {
        self.0.into()
    }
}

/// What became of a module, in a line. `key` is that of its state.
pub(super) fn line(one: &Value, key: &str) -> String {
    let text = |key: &str| one[key].as_str().unwrap_or_default();
    let name = text("module");
    match text(key) {
        "upgraded" => {
            format!(
                "upgraded   {name} from {} to {}: {}, {} bytes of state; tasks waited {:.1} ms\n",
                text("from"),
                text("to"),
                counted(&one["containers"], "container"),
                one["state_bytes"],
                one["pause_ms"].as_f64().unwrap_or_default()
            )
        }
        "failed" => format!(
            "failed     {name}: {}; its pools go on with version {}\n",
            text("error"),
            text("from")
        ),
        "absent" => format!(
            "absent     {name}: the instance has not loaded it, and looks for it when it is started again\n"
        ),
        state => format!("{state:<10} {name}\n"),
    }
}
