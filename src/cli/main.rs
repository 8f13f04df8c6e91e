//! The program `chimaera`.
//!
//! Its exit codes: [`EXIT_CODES`].

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod bench;
mod commands;
mod complete;
mod context;
mod exit;
mod last_crash;
mod log;
mod method_name;
mod metrics_server;
mod number;
mod progress;
mod service_manager;
mod settings;
mod signal_masks;
mod signals;
mod state_calls;
mod table;

use std::process::ExitCode;

use chimaera_abi::CHI_INVALID;
use chimaera_ipc::instance;
use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;

use crate::commands::{
    call, cluster, compose, config, dashboard, doctor, list, logs, metrics, module, modules, pool,
    repo, restart, service, sessions, slow, start, status, stop, tasks, top, trace,
};
use crate::context::{complain, failure, print_document, write_out, Context, Failed, Outcome};

/// What `--help` says of exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure, with a message on standard error
  2  invalid usage or configuration
  3  the instance is not running, or not ready
  4  it was told to stop, and has stopped, but has abandoned something

With --json, a failure is a document, too: `status` and `error`. Each object has a `status`; lists
have none, nor have the lines of commands that go on, and schemas.";

/// A task runtime over shared memory.
///
/// Applications hand tasks to the runtime, which runs them in ChiMods: C++ or Rust modules that it
/// finds in the directories listed in CHI_REPO_PATH and LD_LIBRARY_PATH.
#[derive(Parser)]
#[command(name = "chimaera", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// The instance of the runtime to use; several can run side by side
    ///
    /// [env: CHI_INSTANCE=] [default: default]
    #[arg(
        long,
        global = true,
        value_name = "INSTANCE",
        help_heading = "Options of all commands",
        verbatim_doc_comment
    )]
    name: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = "Options of all commands")]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a runtime
    Start(start::Args),
    /// Stop a runtime cleanly: tasks of clients are cancelled, pools are destroyed
    Stop(stop::Args),
    /// Restart a runtime without losing its pools or its clients
    ///
    /// A new process is started, also of a newer program, and takes over: pools save their states, and
    /// are made anew with them, under the same ids; clients stay connected. Their tasks wait meanwhile.
    /// Those that run end first. If anything fails, the old process goes on with everything.
    ///
    /// The configuration is read again. Under a service manager, the new main process is announced to
    /// it (MAINPID=).
    Restart(restart::Args),
    /// Show whether a runtime is running, and what it is doing
    ///
    /// For each worker it shows the group, the number of completed tasks, and the number of tasks
    /// currently suspended: each holds a stack while it waits for other tasks, a lock, an event or
    /// a timer. A periodic task between two runs is not counted.
    ///
    /// With --json, `each_worker` lists the workers in order of their numbers. `group` is
    /// `low_latency`, which runs all tasks if it is the only group, or `high_latency`.
    Status,
    /// List the instances of this user that are running, and those that have crashed
    ///
    /// An instance that has crashed, and left last words, is listed until it has been started again and has ended properly:
    /// `chimaera --name INSTANCE status` shows its last words.
    List,
    /// Show a cluster of runtimes, or start one on this machine
    Cluster(cluster::Args),
    /// List the sessions of clients, or end one
    ///
    /// For each session it shows the client's process and user, when it was opened, the size of its
    /// segment, how much of the segment results take up, how many tasks are in flight, how many have
    /// ended and failed, how many bytes came with them and went back, and whether further tasks are
    /// held back because the session has reached a limit.
    Sessions(sessions::Args),
    /// List the modules with their libraries, and the refused files with the reasons
    Modules(modules::Args),
    /// List, create and destroy pools
    #[command(subcommand)]
    Pool(pool::Command),
    /// Call a method of a pool, or list its methods and their fields
    ///
    /// Any method can be called whose fields the module describes: in its chimaera_mod.yaml, or as tasks
    /// in Rust that this file names.
    Call(call::Args),
    /// Show what the runtime is doing, over and over: workers, methods of pools, and sessions
    ///
    /// Rates and times are those since it last looked; `h` shows the keys. BUSY is the part of the time in which a worker
    /// ran tasks, from those that were measured. With --batch it prints text instead, and with --json one document in each
    /// line, with times in nanoseconds.
    Top(top::Args),
    /// Serve a web page that shows what the runtime is doing, until Ctrl-C
    ///
    /// It shows what `chimaera top` does, with plots, and tasks, pools and modules, the log and the
    /// configuration; with --allow-calls it also calls methods. It listens for this machine only, and answers
    /// who has the token of the URL that is printed. The page needs nothing from elsewhere. Over ssh,
    /// forward the port: ssh -L 9465:localhost:9465 HOST.
    Dashboard(dashboard::Args),
    /// List the tasks that run or wait, and what each of them waits for
    ///
    /// Those that have begun are listed: queued in a lane, suspended, or running if they keep their worker busy. How
    /// many wait in the rings of clients is what `chimaera sessions` shows. AGE is the time since the task was
    /// submitted, where that is known, and else since it was queued or suspended for the first time. A worker that a
    /// method keeps busy cannot say what else is suspended on it. With --why, it follows one task to the end of the
    /// chain: over other tasks, locks, and module hosts.
    Tasks(tasks::Args),
    /// Show the slowest tasks of late, by stage, or change which are noted
    ///
    /// The last 256 tasks that took longer than the threshold are kept: 10 ms, unless somebody has changed that. Times
    /// after a ~ are right to some milliseconds: the task was not measured, but noticed.
    Slow(slow::Args),
    /// Record what happens to single tasks
    #[command(subcommand)]
    Trace(trace::Command),
    /// Print what the runtime counts and measures, as OpenMetrics text
    ///
    /// That is the format that Prometheus reads. With --json, it is one document with the same numbers, and more
    /// detailed histograms, with times in nanoseconds. Counts begin anew when the runtime is started.
    Metrics(metrics::Args),
    /// Show the log of an instance that logs to a file
    ///
    /// Rotated files are shown, too. If the instance is not running, the log of its last run as a daemon
    /// is shown.
    Logs(logs::Args),
    /// Show or change what a running runtime logs, and reopen its log file
    #[command(subcommand)]
    Log(commands::log::Command),
    /// Create or destroy the pools listed in a file
    #[command(subcommand)]
    Compose(compose::Command),
    /// Check whether a runtime finds here what it needs, and say what to do if not
    ///
    /// It looks at limits, the kernel, directories and their permissions, and, if the instance is running, at its version,
    /// its modules and its pools. Flags are those of `chimaera start`. The exit code is 1 if something fails without which a
    /// runtime does not work; warnings do not count.
    Doctor(doctor::Args),
    /// Make an instance a service of systemd, or no longer
    #[command(subcommand)]
    Service(service::Command),
    /// Show, check and explain the configuration of a runtime
    #[command(subcommand)]
    Config(config::Command),
    /// Create, extend and inspect modules
    #[command(subcommand)]
    Module(module::Command),
    /// Create and build module repos, and keep their generated code up to date
    #[command(subcommand)]
    Repo(repo::Command),
    /// Measure what tasks cost, in a runtime started for the purpose
    #[command(subcommand)]
    Bench(bench::Command),
    /// Run the containers of a pool for a daemon, which starts this itself
    #[command(hide = true)]
    ModuleHost,
    /// Print a shell completion script
    Completion {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write a page for every command into this directory instead
        #[arg(long, value_name = "DIR")]
        out: Option<std::path::PathBuf>,
    },
}

fn run(cli: Cli) -> Outcome {
    let variable = || std::env::var_os(instance::NAME_VARIABLE);
    let name = match (&cli.name, variable()) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => name.to_string_lossy().into_owned(),
        (None, None) => instance::DEFAULT_NAME.to_owned(),
    };
    let context = Context { name, named: cli.name, json: cli.json };
    match cli.command {
        Command::Start(args) => start::run(context, args),
        Command::Stop(args) => stop::run(&context, args),
        Command::Restart(args) => restart::run(&context, args),
        Command::Status => status::run(&context),
        Command::List => list::run(&context),
        Command::Cluster(args) => cluster::run(&context, args),
        Command::Sessions(args) => sessions::run(&context, args),
        Command::Modules(args) => modules::run(&context, args),
        Command::Pool(command) => pool::run(&context, command),
        Command::Call(args) => call::run(&context, args),
        Command::Top(args) => top::run(&context, args),
        Command::Tasks(args) => tasks::run(&context, args),
        Command::Slow(args) => slow::run(&context, args),
        Command::Dashboard(args) => dashboard::run(&context, args),
        Command::Trace(command) => trace::run(&context, command),
        Command::Metrics(args) => metrics::run(&context, args),
        Command::Logs(args) => logs::run(&context, args),
        Command::Log(command) => commands::log::run(&context, command),
        Command::Compose(command) => compose::run(context, command),
        Command::Doctor(args) => doctor::run(&context, &args),
        Command::Service(command) => service::run(&context, command),
        Command::Config(command) => config::run(&context, command),
        Command::Module(command) => module::run(&context, command),
        Command::Repo(command) => repo::run(&context, command),
        Command::Bench(command) => bench::run(&context, command),
        Command::ModuleHost => start::host(),
        Command::Completion { shell } => {
            let script = complete::script(shell)?;
            if !context.print_json(&json!({ "shell": shell.to_string(), "script": script })) {
                write_out(&script);
            }
            Ok(())
        }
        Command::Man { out: Some(out) } => {
            std::fs::create_dir_all(&out)
                .and_then(|()| clap_mangen::generate_to(documented(), &out))
                .map_err(|error| Failed::Message(format!("{}: {error}", out.display())))?;
            context.print_json(&json!({ "directory": out }));
            Ok(())
        }
        Command::Man { out: None } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(documented()).render(&mut page)?;
            let page = String::from_utf8_lossy(&page);
            if !context.print_json(&json!({ "page": page })) {
                write_out(&page);
            }
            Ok(())
        }
    }
}

/// The commands that have manual pages: all but `help`, which only shows the help of others.
fn documented() -> clap::Command {
    Cli::command().disable_help_subcommand(true)
}

fn main() -> ExitCode {
    complete::answer(Cli::command);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let json = std::env::args_os().any(|argument| argument == "--json");
            let text = error.render().to_string();
            match (error.use_stderr(), error.kind()) {
                _ if !json => {}
                (true, _) => print_document(&failure(CHI_INVALID, text.trim_end())),
                // clap also returns help and the version as errors, but for standard output.
                (false, kind) => {
                    let key = match kind {
                        clap::error::ErrorKind::DisplayVersion => "version",
                        _ => "help",
                    };
                    print_document(&json!({ "status": "CHI_OK", key: text.trim_end() }));
                    return ExitCode::SUCCESS;
                }
            }
            error.exit()
        }
    };
    let json = cli.json;
    // Its documents are in a line each.
    let in_lines =
        matches!(cli.command, Command::Top(_) | Command::Module(module::Command::Watch(_)));
    let Err(failed) = run(cli) else { return ExitCode::SUCCESS };
    let silent = match failed {
        Failed::Abandoned => chimaera_runtime::ends::ABANDONED as u8,
        Failed::Misconfigured => 2,
        _ => 1,
    };
    let Some((code, status, message)) = failed.parts() else { return ExitCode::from(silent) };
    match (json, failure(status, &message)) {
        (true, document) if in_lines => write_out(&format!("{document}\n")),
        (true, document) => print_document(&document),
        (false, _) => {}
    }
    complain(&format!("chimaera: {message}"));
    ExitCode::from(code)
}
