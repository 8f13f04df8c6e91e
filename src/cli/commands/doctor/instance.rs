//! The running instance, if it runs.

use chimaera_abi::{CHI_DESCRIBE_MODULES, CHI_DESCRIBE_POOLS, CHI_UNSUPPORTED};
use chimaera_ipc::control::Request;
use chimaera_ipc::instance::Instance;
use serde_json::Value;

use super::check::Check;
use crate::commands::modules::how_changed;
use crate::context::{Context, Failed};
use crate::last_crash::LastCrash;

const WHAT: &str = "instance";
const RESTART: &str = "`chimaera restart` changes to this version, without losing pools";

pub(super) fn checks(context: &Context, instance: &Instance) -> Result<Vec<Check>, Failed> {
    let mut checks = Vec::new();
    if let Some(crash) = LastCrash::of(instance) {
        checks.push(Check::warning(
            WHAT,
            format!("it has crashed: {}", crash.headline),
            format!("{} has the rest", crash.file.display()),
        ));
    }
    match instance.is_running() {
        Ok(true) => {}
        Ok(false) => {
            checks.push(Check::ok(WHAT, format!("'{}' is not running", instance.name())));
            return Ok(checks);
        }
        Err(why) => {
            let todo = "nobody can reach it: see the check of the sockets";
            checks.push(Check::failed(WHAT, why.to_string(), todo));
            return Ok(checks);
        }
    }
    let answers = || -> Result<[Value; 3], Failed> {
        Ok([
            context.ask(Request::Slow, &[0, 0, 0])?,
            context.describe(CHI_DESCRIBE_MODULES)?,
            context.describe(CHI_DESCRIBE_POOLS)?,
        ])
    };
    let [about, modules, pools] = match answers() {
        Ok(answers) => answers,
        Err(Failed::Refused(CHI_UNSUPPORTED, _)) => {
            let found =
                format!("it is older than this program, version {}", env!("CARGO_PKG_VERSION"));
            checks.push(Check::warning(WHAT, found, RESTART));
            return Ok(checks);
        }
        Err(Failed::Silent(why)) => {
            let todo = "`chimaera logs` may say why; `chimaera stop --force` ends it";
            checks.push(Check::failed(WHAT, why, todo));
            return Ok(checks);
        }
        Err(Failed::NotRunning(why) | Failed::Refused(_, why) | Failed::Message(why)) => {
            checks.push(Check::failed(WHAT, why, "`chimaera logs` may say more"));
            return Ok(checks);
        }
        Err(other) => return Err(other),
    };
    checks.push(version(&about));
    checks.extend(list(&modules["loaded"]).iter().flat_map(changed));
    checks.extend(list(&modules["refused"]).iter().filter_map(refused));
    checks.extend(list(&pools).iter().filter_map(quarantined));
    Ok(checks)
}

fn version(about: &Value) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    match about["version"].as_str() {
        Some(running) if running != own => Check::warning(
            WHAT,
            format!("it runs version {running}, and this program is version {own}"),
            RESTART,
        ),
        _ => Check::ok(WHAT, format!("it runs version {own}")),
    }
}

fn changed(module: &Value) -> Vec<Check> {
    let name = text(&module["name"]);
    let files = std::iter::once(module).chain(list(&module["libraries"]));
    let changed = files.filter_map(|file| {
        let path = text(&file["path"]);
        let how = how_changed(file)?;
        Some(Check::warning(
            "modules",
            format!("{path} has been {how} since the runtime loaded it for {name}"),
            format!(
                "the old one runs on: `chimaera module upgrade {name} FILE`, or `chimaera restart`"
            ),
        ))
    });
    changed.collect()
}

fn refused(file: &Value) -> Option<Check> {
    let is_module = file["is_module"] == true;
    is_module.then(|| {
        Check::warning(
            "modules",
            format!("{} was refused: {}", text(&file["path"]), text(&file["reason"])),
            "mend that, and restart the runtime",
        )
    })
}

fn quarantined(pool: &Value) -> Option<Check> {
    let name = text(&pool["name"]);
    (pool["state"] == "quarantined").then(|| {
        Check::warning(
            "pools",
            format!("'{name}' is in quarantine, and takes no tasks"),
            format!("the log says why; `chimaera pool reset {name}` makes a new container"),
        )
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
