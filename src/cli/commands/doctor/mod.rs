//! `chimaera doctor`: whether a runtime finds here what it needs, and what to do if not.

mod check;
mod instance;
mod kernel;
mod limits;
mod places;

use serde_json::json;

use self::check::{Check, State};
use crate::context::{print, Context, Failed, Outcome};
use crate::settings;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    settings: settings::Args,
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let settings = args.settings.load(context)?;
    settings.check_machine().map_err(|found| settings::misconfigured(context, &found))?;
    let context = &Context { name: settings.instance().to_owned(), ..context.clone() };
    let instance = context.instance()?;
    let config = settings.runtime();
    let mut checks = vec![match &settings.file {
        Some(file) => Check::ok("configuration", file.display().to_string()),
        None => Check::ok("configuration", "the defaults: there is no file"),
    }];
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
