//! `chimaera start`.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chimaera_runtime::{Config, Runtime};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::{Context, Failed, Outcome};

/// The line by which a daemon tells who started it that it is ready.
const READY: &str = "ready";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Go on in the background once it is ready, and write a log file (`chimaera status` tells where)
    #[arg(long)]
    daemon: bool,
    /// Worker threads [default: cores less one, at least one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// A directory to scan for modules, before those of CHI_REPO_PATH and LD_LIBRARY_PATH; may be
    /// given several times
    #[arg(long = "modules", value_name = "DIR")]
    module_paths: Vec<PathBuf>,
    /// How long an idle worker looks for work before it sleeps, in microseconds
    #[arg(long, value_name = "US", default_value_t = 50)]
    spin_us: u64,
    /// What to log
    #[arg(long, value_name = "LEVEL", env = "CHI_LOG", default_value = "info")]
    log_level: Level,
    /// For an instance whose name is not used again: leave no file behind
    #[arg(long, hide = true)]
    private: bool,
    /// Used by --daemon: report on standard output, log to standard error
    #[arg(long, hide = true)]
    as_daemon: bool,
}

/// How much is logged. Each level has those before it.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    if args.daemon {
        start_daemon(context, &args)
    } else {
        serve(context, &args)
    }
}

fn config(context: &Context, args: &Args) -> Config {
    let default = Config::default();
    Config {
        instance: Some(context.name.clone()),
        workers: args.workers.map_or(default.workers, usize::from),
        module_paths: [args.module_paths.clone(), default.module_paths.clone()].concat(),
        spin: Duration::from_micros(args.spin_us),
        daemon: true,
        log_is_file: args.as_daemon && !args.private,
        private: args.private,
        ..default
    }
}

/// Runs a runtime in this process until it ends.
fn serve(context: &Context, args: &Args) -> Outcome {
    let filter = EnvFilter::new(args.log_level.name());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    context.instance()?;
    let started = Runtime::start(config(context, args));
    let runtime = match started {
        Ok(runtime) => runtime,
        Err(error) if args.as_daemon => {
            println!("{error}");
            return Err(Failed::Message(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ])?;
    let stop = runtime.stopper();
    std::thread::Builder::new().name("chi-signals".into()).spawn(move || {
        for signal in signals.forever() {
            tracing::info!(signal, "told to stop");
            stop();
        }
    })?;
    if args.as_daemon {
        println!("{READY}");
        std::io::stdout().flush()?;
        // Whoever started the daemon may read to the end now.
        rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    } else if context.json {
        crate::print(&format!("{:#}\n", started_json(context, std::process::id())?));
    }
    runtime.wait();
    Ok(())
}

fn started_json(context: &Context, pid: u32) -> Result<serde_json::Value, Failed> {
    let instance = context.instance()?;
    Ok(json!({ "name": instance.name(), "pid": pid, "socket": instance.socket() }))
}

/// Starts this program again in the background, and waits until it is ready.
fn start_daemon(context: &Context, args: &Args) -> Outcome {
    let instance = context.instance()?;
    instance.prepare_directory()?;
    let log_path = instance.log();
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log_path)
        .map_err(|error| Failed::Message(format!("{}: {error}", log_path.display())))?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .args(["--name", &context.name, "start", "--as-daemon"])
        .args(["--log-level", args.log_level.name()])
        .args(["--spin-us", &args.spin_us.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    if let Some(workers) = args.workers {
        command.args(["--workers", &workers.to_string()]);
    }
    for path in &args.module_paths {
        command.arg("--modules").arg(std::path::absolute(path)?);
    }
    // SAFETY: setsid may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    let out = child.stdout.take().expect("it was asked for");
    BufReader::new(out).read_line(&mut line)?;
    if line.trim_end() != READY {
        let code = child.wait()?;
        let why = if line.is_empty() {
            format!("it ended before it was ready ({code}); see {}", log_path.display())
        } else {
            line.trim_end().to_owned()
        };
        return Err(Failed::Message(why));
    }
    let pid = child.id();
    if !context.print_json(&started_json(context, pid)?) {
        crate::print(&format!(
            "started '{}' (process {pid}), log {}\n",
            context.name,
            log_path.display()
        ));
    }
    Ok(())
}
