//! `chimaera doctor`: whether a runtime finds here what it needs, and what to do if not.

mod check;
mod instance;
mod kernel;
mod limits;
mod places;

use chimaera_config::Settings;
use serde_json::json;

use self::check::{Check, State};
use crate::context::{print, Context, Failed, Outcome};
use crate::settings;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    settings: settings::Args,
}

/// The settings, and what is to be said of them. With a configuration that a runtime would refuse, the rest is checked for one
/// without.
fn configuration(context: &Context, args: &Args) -> Result<(Settings, Check), Failed> {
    const WHAT: &str = "configuration";
    let todo = "correct that: no runtime starts with it, and what follows is about the defaults";
    let settings = match args.settings.read(context) {
        Ok(settings) => settings,
        Err(found) => {
            let check = Check::failed(WHAT, found.to_string(), todo);
            return Ok((settings::Args::defaults(context)?, check));
        }
    };
    let check = match (settings.check_machine(), &settings.file) {
        (Err(found), _) => {
            Check::failed(WHAT, found.to_string(), "correct that, or start it elsewhere")
        }
        (Ok(()), Some(file)) => Check::ok(WHAT, file.display().to_string()),
        (Ok(()), None) => Check::ok(WHAT, "the defaults: there is no file"),
    };
    Ok((settings, check))
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let (settings, configuration) = configuration(context, args)?;
    let context = &Context { name: settings.instance().to_owned(), ..context.clone() };
    let instance = context.instance()?;
    let config = settings.runtime();
    let mut checks = vec![configuration];
    checks.append(&mut limits::checks(&config, instance.holder()));
    checks.append(&mut kernel::checks());
    checks.append(&mut places::checks(&instance, &settings, &config));
    checks.append(&mut instance::checks(context, &instance)?);
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (warnings, failed) = (count(State::Warning), count(State::Failed));
    let status = if failed > 0 { "CHI_FAILED" } else { "CHI_OK" };
    let document =
        json!({ "status": status, "warnings": warnings, "failed": failed, "checks": checks });
    if !context.print_json(&document) {
        checks.iter().for_each(|check| print(&text(check)));
        print(&format!("{failed} failed, {warnings} with warnings, of {}\n", checks.len()));
    }
    if failed > 0 {
        return Err(Failed::Told);
    }
    Ok(())
}

fn text(check: &Check) -> String {
    let state = match check.state {
        State::Ok => "ok",
        State::Warning => "warning",
        State::Failed => "FAILED",
    };
    let mut text = format!("{state:<8} {}: {}\n", check.what, check.found);
    if let Some(todo) = &check.todo {
        text += &format!("         {todo}\n");
    }
    text
}
