//! The program `chimaera`.
//!
//! Exit codes: 0 success; 1 failure, with a message on standard error; 2 wrong usage, or a
//! wrong configuration; 3 the instance is not running.

mod bench;
mod compose;
mod config;
mod inspect;
mod module;
mod modules;
mod pool;
mod repo;
mod repo_build;
mod settings;
mod start;
mod status;
mod stop;
mod table;

use std::process::ExitCode;

use chimaera_client_rs::Options;
use chimaera_ipc::instance::{self, Instance};
use clap::{CommandFactory, Parser, Subcommand};

/// A task runtime over shared memory.
///
/// Applications hand tasks to the runtime, which runs them in ChiMods: modules in C++ or Rust that it
/// finds in the directories of CHI_REPO_PATH and LD_LIBRARY_PATH.
#[derive(Parser)]
#[command(name = "chimaera", version, max_term_width = 100)]
struct Cli {
    /// The instance to use; several can run side by side
    ///
    /// [env: CHI_INSTANCE=] [default: default]
    #[arg(long, global = true, value_name = "NAME", verbatim_doc_comment)]
    name: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a runtime
    Start(start::Args),
    /// Stop a runtime cleanly: running tasks finish, pools are destroyed
    Stop(stop::Args),
    /// Show whether a runtime is running, and what it is doing
    ///
    /// For each worker it shows the group, how many tasks it has completed, and how many are suspended on
    /// it right now: those wait for other tasks, a lock, an event or a timer, and each holds a stack. A
    /// periodic task between two runs does not count.
    ///
    /// With --json, `each_worker` lists the workers in the order of their numbers; `group` is
    /// `low_latency`, which runs all tasks if it is the only one, or `high_latency`.
    Status,
    /// List the modules with their libraries, and the files that were refused and why
    Modules(modules::Args),
    /// List, create and destroy pools
    #[command(subcommand)]
    Pool(pool::Command),
    /// Create or destroy the pools listed in a file
    #[command(subcommand)]
    Compose(compose::Command),
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

/// What every command knows.
struct Context {
    /// The instance's name, by the command line or the environment or else the default.
    name: String,
    /// The name on the command line.
    named: Option<String>,
    json: bool,
}

/// Why a command failed.
enum Failed {
    /// With a message for standard error.
    Message(String),
    /// An argument is wrong in a way that only this program can tell.
    Usage(String),
    /// The instance is not running.
    NotRunning(String),
    /// The user knows already.
    Told,
    /// The user knows already what is wrong with the configuration.
    Misconfigured,
}

type Outcome = Result<(), Failed>;

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed::Message(error.to_string())
    }
}

impl Context {
    fn instance(&self) -> Result<Instance, Failed> {
        Instance::new(Some(&self.name)).map_err(|error| match error {
            instance::Error::Name(_) => Failed::Usage(error.to_string()),
            instance::Error::Directory { .. } => Failed::Message(error.to_string()),
        })
    }

    /// Connects to the instance.
    fn connect(&self) -> Outcome {
        self.instance()?;
        let options = Options { instance: Some(self.name.clone()), ..Options::default() };
        chimaera_client_rs::init(options).map_err(|failure| match failure.status {
            chimaera_abi::CHI_UNAVAILABLE => Failed::NotRunning(failure.message.into_owned()),
            _ => Failed::Message(failure.to_string()),
        })
    }

    /// Asks the instance to describe something.
    fn describe(&self, subject: u32) -> Result<serde_json::Value, Failed> {
        self.connect()?;
        Ok(serde_json::from_str(&chimaera_client_rs::describe(subject)?)?)
    }

    /// Prints a JSON document, if that is what was asked for.
    fn print_json(&self, value: &serde_json::Value) -> bool {
        if self.json {
            print(&format!("{value:#}\n"));
        }
        self.json
    }
}

/// Writes to standard output. A reader that has gone (`| head`) is no failure.
fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("chimaera: cannot write to standard output: {error}");
        std::process::exit(1);
    }
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
        Command::Status => status::run(&context),
        Command::Modules(args) => modules::run(&context, args),
        Command::Pool(command) => pool::run(&context, command),
        Command::Compose(command) => compose::run(context, command),
        Command::Config(command) => config::run(&context, command),
        Command::Module(command) => module::run(&context, command),
        Command::Repo(command) => repo::run(&context, command),
        Command::Bench(command) => bench::run(&context, command),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chimaera", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(())
        }
        Command::Man { out: Some(out) } => std::fs::create_dir_all(&out)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &out))
            .map_err(|error| Failed::Message(format!("{}: {error}", out.display()))),
        Command::Man { out: None } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            print(&String::from_utf8_lossy(&page));
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    let (code, message) = match run(cli) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::Message(message)) => (1, message),
        Err(Failed::Usage(message)) => (2, message),
        Err(Failed::NotRunning(message)) => (3, message),
        Err(Failed::Told) => return ExitCode::FAILURE,
        Err(Failed::Misconfigured) => return ExitCode::from(2),
    };
    if json {
        print(&format!("{:#}\n", serde_json::json!({ "error": message })));
    }
    eprintln!("chimaera: {message}");
    ExitCode::from(code)
}
