//! `chimaera service`.

mod unit;

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use chimaera_ipc::account;
use serde_json::json;

use self::unit::Unit;
use crate::context::{print, Context, Failed, Outcome};
use crate::settings;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Have systemd start the instance, now and whenever the user logs in or the machine starts
    ///
    /// It writes a unit, `chimaera.service`, or `chimaera-NAME.service` for another instance than `default`, enables it,
    /// and starts it. Flags are those of `chimaera start`. The unit names the configuration file that is found, and a user's
    /// service takes over CHI_REPO_PATH, CHI_RUNTIME_DIR, CHI_LOG, LD_LIBRARY_PATH, STATE_DIRECTORY and XDG_STATE_HOME.
    Install(Box<Install>),
    /// Stop the instance, and have systemd start it no more
    Uninstall(Uninstall),
}

#[derive(clap::Args)]
pub(crate) struct Install {
    /// Make it a service of the system; without this, it is one of the calling user
    #[arg(long, requires = "user")]
    system: bool,
    /// The user that a service of the system runs as: its clients are those of this user, and whom
    /// `access.connect` names
    #[arg(long, value_name = "USER", requires = "system")]
    user: Option<String>,
    /// Print the unit, and do nothing
    #[arg(long)]
    print: bool,
    /// Write the unit, and neither enable nor start it
    #[arg(long, conflicts_with = "print")]
    no_start: bool,
    #[command(flatten)]
    settings: settings::Args,
}

#[derive(clap::Args)]
pub(crate) struct Uninstall {
    /// The service is one of the system
    #[arg(long)]
    system: bool,
}

/// Variables that a user's service takes over from the environment of `install`.
const TAKEN_OVER: [&str; 6] = [
    "CHI_REPO_PATH",
    "CHI_RUNTIME_DIR",
    "LD_LIBRARY_PATH",
    "STATE_DIRECTORY",
    "XDG_STATE_HOME",
    LEVEL,
];
/// The only one of them that has no paths.
const LEVEL: &str = "CHI_LOG";

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Install(args) => install(context, &args),
        Command::Uninstall(args) => uninstall(context, args.system),
    }
}

fn install(context: &Context, args: &Install) -> Outcome {
    let settings = args.settings.load(context)?;
    let arguments = args.settings.for_service(&settings)?;
    let taken = |variable: &'static str| {
        let value = std::env::var_os(variable).filter(|value| !value.is_empty() && !args.system)?;
        let value = if variable == LEVEL { Ok(value) } else { absolute(&value) };
        Some(value.map(|value| (variable, value)))
    };
    let environment: Vec<(&'static str, OsString)> =
        TAKEN_OVER.into_iter().filter_map(taken).collect::<std::io::Result<_>>()?;
    if let Some(user) = &args.user {
        account::user(user).map_err(|why| Failed::Usage(format!("--user: {why}")))?;
    }
    let unit = Unit {
        instance: settings.instance(),
        program: &std::env::current_exe()?,
        arguments: &arguments,
        environment: &environment,
        grace: settings.runtime().stop_grace,
        user: args.user.as_deref(),
    };
    let text = unit.text().map_err(Failed::Usage)?;
    let file = path(args.system, settings.instance())?;
    if args.print {
        if !context.print_json(&json!({ "unit": file, "text": text })) {
            print(&text);
        }
        return Ok(());
    }
    must_be_own(&file)?;
    if !args.no_start {
        must_have_systemd()?;
    }
    let written = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = written.and_then(|()| std::fs::write(&file, &text));
    written.map_err(|error| cannot_write(&file, &error))?;
    let name = unit::name(settings.instance());
    if !args.no_start {
        systemctl(args.system, &["daemon-reload"])?;
        systemctl(args.system, &["enable", &name])?;
        // One that runs already may have another configuration, or be of another version.
        systemctl(args.system, &["restart", &name])?;
    }
    let document = json!({ "unit": file, "started": !args.no_start });
    if !context.print_json(&document) {
        let what = if args.no_start { "wrote" } else { "wrote and started" };
        let mut told = format!("{what} {}\n", file.display());
        if args.system {
            let directory = unit::runtime_directory(settings.instance());
            told += &format!("clients set CHI_RUNTIME_DIR={}", directory.display());
            if let Some(user) = args.user.as_ref().filter(|user| *user != "root") {
                told += &format!(", and those of other users CHI_OWNER={user}");
            }
            told += "\n";
        } else if !args.no_start {
            told +=
                "it stops when its user logs out, unless `loginctl enable-linger` lets it go on\n";
        }
        print(&told);
    }
    Ok(())
}

fn uninstall(context: &Context, system: bool) -> Outcome {
    let instance = context.instance()?;
    let file = path(system, instance.name())?;
    let name = unit::name(instance.name());
    if !file.exists() {
        let (name, file) = (instance.name(), file.display());
        let why = format!(
            "'{name}' is not installed: there is no {file} (--name names another instance)"
        );
        return Err(Failed::Message(why));
    }
    must_be_own(&file)?;
    // A unit that is in nobody's way is removed even if the manager cannot be asked.
    let has_systemd = must_have_systemd().is_ok();
    let disabled = match has_systemd {
        true => systemctl(system, &["disable", "--now", &name]),
        false => Ok(()),
    };
    std::fs::remove_file(&file).map_err(|error| cannot_write(&file, &error))?;
    if let Err(Failed::Message(why)) = disabled {
        return Err(Failed::Message(format!("removed {}, but {why}", file.display())));
    }
    if has_systemd {
        systemctl(system, &["daemon-reload"])?;
    }
    if !context.print_json(&json!({ "unit": file, "removed": true })) {
        print(&format!("removed {}\n", file.display()));
    }
    Ok(())
}

/// Paths that do not depend on the working directory: one, or several with colons between them.
fn absolute(paths: &OsStr) -> std::io::Result<OsString> {
    let all = std::env::split_paths(paths).map(std::path::absolute);
    let all = all.collect::<std::io::Result<Vec<PathBuf>>>()?;
    std::env::join_paths(all).map_err(std::io::Error::other)
}

/// Fails if a unit was written by somebody else.
fn must_be_own(file: &Path) -> Outcome {
    let is_link = file.symlink_metadata().is_ok_and(|found| found.is_symlink());
    match std::fs::read_to_string(file) {
        // One that leads nowhere would be written to, wherever that is.
        _ if is_link => Err(Failed::Message(format!("{} is a link: remove it", file.display()))),
        Ok(text) if !text.starts_with(unit::MARK) => Err(Failed::Message(format!(
            "{} was not written by `chimaera service install`, and stays as it is: move it away",
            file.display()
        ))),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failed::Message(format!("{}: {error}", file.display()))),
    }
}

fn cannot_write(file: &Path, error: &std::io::Error) -> Failed {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => "; services of the system are root's to change",
        _ => "",
    };
    Failed::Message(format!("{}: {error}{hint}", file.display()))
}

/// The file of the unit.
fn path(system: bool, instance: &str) -> Result<PathBuf, Failed> {
    let directory = match system {
        true => PathBuf::from("/etc/systemd/system"),
        false => {
            let set = |variable| std::env::var_os(variable).filter(|dir| !dir.is_empty());
            let home = || set("HOME").map(|home| Path::new(&home).join(".config"));
            let config = set("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
            let config = config.ok_or_else(|| {
                Failed::Message("neither XDG_CONFIG_HOME nor HOME is set".to_owned())
            })?;
            std::path::absolute(config)?.join("systemd/user")
        }
    };
    Ok(directory.join(unit::name(instance)))
}

fn must_have_systemd() -> Outcome {
    // As sd_booted(3) says.
    match Path::new("/run/systemd/system").is_dir() {
        true => Ok(()),
        false => Err(Failed::Message(
            "systemd does not run on this machine (--no-start only writes the unit)".to_owned(),
        )),
    }
}

/// Has systemd do something. What it prints goes to standard error.
fn systemctl(system: bool, arguments: &[&str]) -> Outcome {
    let mut command = Process::new("systemctl");
    if !system {
        command.arg("--user");
    }
    command.args(arguments);
    let output = command
        .output()
        .map_err(|error| Failed::Message(format!("cannot run systemctl: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let what = arguments.join(" ");
    Err(Failed::Message(format!("`systemctl {what}` failed: {}", why.trim_end())))
}
