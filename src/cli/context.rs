//! What all commands share: the instance to use, and how they fail.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use chimaera::client::Options;
use chimaera_abi::{
    chi_status, status_name, CHI_FAILED, CHI_INVALID, CHI_TIMEOUT, CHI_UNAVAILABLE,
};
use chimaera_ipc::control::{self, Request};
use chimaera_ipc::instance::{self, Instance};
use chimaera_ipc::layout::MIN_SEGMENT;
use chimaera_runtime::log::displayed;

/// How long a running instance may take to answer a request.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// The options that all commands share.
#[derive(Clone)]
pub(crate) struct Context {
    /// The instance's name: from the command line, else the environment, else the default.
    pub(crate) name: String,
    /// The name given on the command line.
    pub(crate) named: Option<String>,
    pub(crate) json: bool,
}

/// Why a command failed.
pub(crate) enum Failed {
    /// The message for standard error.
    Message(String),
    /// The runtime has refused it, or one of its tasks has failed, with this status.
    Refused(chi_status, String),
    /// An invalid argument that the command-line parser cannot detect.
    Usage(String),
    /// The instance is not running.
    NotRunning(String),
    /// The instance did not answer in time.
    Silent(String),
    /// The user has already been told.
    Told,
    /// The instance has stopped, but not in order; the user has already been told what it has abandoned.
    Abandoned,
    /// The problems of the configuration have already been printed.
    Misconfigured,
}

impl Failed {
    /// The exit code, the status and the message; `None` if the user has been told.
    pub(crate) fn parts(self) -> Option<(u8, chi_status, String)> {
        match self {
            Failed::Message(message) => Some((1, CHI_FAILED, message)),
            Failed::Refused(status, message) => Some((1, status, message)),
            Failed::Silent(message) => Some((1, CHI_TIMEOUT, message)),
            Failed::Usage(message) => Some((2, CHI_INVALID, message)),
            Failed::NotRunning(message) => Some((3, CHI_UNAVAILABLE, message)),
            Failed::Told | Failed::Abandoned | Failed::Misconfigured => None,
        }
    }
}

/// The document for a failure.
pub(crate) fn failure(status: chi_status, message: &str) -> serde_json::Value {
    serde_json::json!({ "status": status_in_words(status), "error": message })
}

/// The name of a status, or its number if it has none.
pub(crate) fn status_in_words(status: chi_status) -> String {
    status_name(status).map_or_else(|| status.to_string(), str::to_owned)
}

pub(crate) type Outcome = Result<(), Failed>;

impl<E: std::error::Error + 'static> From<E> for Failed {
    fn from(error: E) -> Self {
        let any = &error as &dyn std::error::Error;
        let of_task = any.downcast_ref::<chimaera::Status>().map(chimaera::Status::code);
        let of_client = any.downcast_ref::<chimaera_client_rs::Failure>();
        match of_task.or(of_client.map(|failure| failure.status)) {
            Some(status) => Failed::Refused(status, error.to_string()),
            None => Failed::Message(error.to_string()),
        }
    }
}

impl Context {
    pub(crate) fn instance(&self) -> Result<Instance, Failed> {
        Instance::new(Some(&self.name)).map_err(|error| match error {
            instance::Error::Name(_) => Failed::Usage(error.to_string()),
            _ => Failed::Message(error.to_string()),
        })
    }

    /// Connects to the instance. Commands send little, so the segment is the smallest: there may be
    /// few addresses left (`ulimit -v`), here or in the runtime.
    pub(crate) fn connect(&self) -> Outcome {
        self.connect_with(MIN_SEGMENT)
    }

    /// Connects to the instance, with a segment of so many bytes; 0 means the runtime's default.
    pub(crate) fn connect_with(&self, segment_size: u64) -> Outcome {
        self.instance()?;
        let options =
            Options { instance: Some(self.name.clone()), segment_size, ..Options::default() };
        chimaera::client::init(options).map_err(|status| match status.code() {
            chimaera_abi::CHI_UNAVAILABLE => Failed::NotRunning(status.message().to_owned()),
            code => Failed::Refused(code, status.to_string()),
        })
    }

    /// Asks the instance for a JSON description.
    pub(crate) fn describe(&self, subject: u32) -> Result<serde_json::Value, Failed> {
        self.ask(Request::Describe, &[subject.into()])
    }

    /// Sends the instance a request, which its control thread answers.
    pub(crate) fn ask(&self, request: Request, words: &[u64]) -> Result<serde_json::Value, Failed> {
        self.ask_within(request, words, Instant::now() + ANSWER_BOUND)
    }

    /// Sends the instance a request, and waits for the answer until `until`.
    pub(crate) fn ask_within(
        &self,
        request: Request,
        words: &[u64],
        until: Instant,
    ) -> Result<serde_json::Value, Failed> {
        let bound = until.saturating_duration_since(Instant::now());
        self.ask_all(request, words, "", bound)
    }

    /// Sends the instance a request with a text.
    pub(crate) fn ask_with_text(
        &self,
        request: Request,
        text: &str,
    ) -> Result<serde_json::Value, Failed> {
        self.ask_all(request, &[], text, ANSWER_BOUND)
    }

    /// Sends the instance a request with a text, whose answer may take that long.
    pub(crate) fn ask_long(
        &self,
        request: Request,
        text: &str,
        bound: Duration,
    ) -> Result<serde_json::Value, Failed> {
        self.ask_all(request, &[], text, bound)
    }

    /// Replaces containers of a pool, whose tasks may take up to `bound` to end.
    pub(crate) fn migrate_pool(
        &self,
        pool: &str,
        container: Option<u32>,
        bound: Duration,
    ) -> Result<serde_json::Value, Failed> {
        let container = container.map_or(u64::MAX, u64::from);
        let words = [bound.as_millis() as u64, container];
        self.ask_all(Request::MigratePool, &words, pool, bound + ANSWER_BOUND)
    }

    /// Saves a pool to a file (`Request::SavePool`), or creates one with this policy, `CHI_POOL_*`, from it
    /// (`Request::LoadPool`).
    pub(crate) fn pool_file(
        &self,
        request: Request,
        pool: &str,
        file: &str,
        bound: Duration,
        policy: u32,
    ) -> Result<serde_json::Value, Failed> {
        let text = format!("{pool}\0{file}");
        let words = [bound.as_millis() as u64, policy.into()];
        self.ask_all(request, &words, &text, bound + ANSWER_BOUND)
    }

    /// Lets all pools of a module run another version; their tasks may take up to `bound` to end.
    pub(crate) fn upgrade_module(
        &self,
        module: &str,
        file: &str,
        bound: Duration,
    ) -> Result<serde_json::Value, Failed> {
        let words = [bound.as_millis() as u64];
        let text = format!("{module}\0{file}");
        self.ask_all(Request::UpgradeModule, &words, &text, bound + ANSWER_BOUND)
    }

    /// Restarts the instance with this program, or the same if that is empty.
    pub(crate) fn restart(
        &self,
        program: &str,
        makes_anew: bool,
        bound: Duration,
    ) -> Result<serde_json::Value, Failed> {
        let words = [bound.as_millis() as u64, makes_anew.into()];
        // At the bound, the new process is ended, and the old one takes everything back.
        self.ask_all(Request::Restart, &words, program, bound + 4 * ANSWER_BOUND)
    }

    /// Destroys a pool, whose tasks may take up to `bound` to end. With `force`, also if other pools
    /// depend on it.
    pub(crate) fn destroy_pool(
        &self,
        pool: &str,
        bound: Duration,
        force: bool,
    ) -> Result<(), Failed> {
        let words = [bound.as_millis() as u64, force.into()];
        self.ask_all(Request::DestroyPool, &words, pool, bound + ANSWER_BOUND).map(|_| ())
    }

    fn ask_all(
        &self,
        request: Request,
        words: &[u64],
        text: &str,
        bound: Duration,
    ) -> Result<serde_json::Value, Failed> {
        let answer = control::ask(&self.instance()?, request, words, text, bound);
        let answer = answer.map_err(|error| match error {
            control::Error::NotRunning(_) => Failed::NotRunning(error.to_string()),
            control::Error::Silent { .. } => Failed::Silent(error.to_string()),
            control::Error::Refused { status, .. } => Failed::Refused(status, error.to_string()),
            other => Failed::Message(other.to_string()),
        })?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Prints the JSON document of what has succeeded if JSON was requested. Returns whether it was. An object gets a
    /// `status`, unless it has one.
    pub(crate) fn print_json(&self, value: &serde_json::Value) -> bool {
        if self.json {
            let mut value = value.clone();
            if let Some(object) = value.as_object_mut() {
                object.entry("status").or_insert_with(|| "CHI_OK".into());
            }
            print_document(&value);
        }
        self.json
    }
}

/// Writes text to standard output; names in it cannot control the terminal.
pub(crate) fn print(text: &str) {
    write_out(&displayed(text));
}

/// Writes a JSON document to standard output.
pub(crate) fn print_document(value: &serde_json::Value) {
    write_out(&format!("{value:#}\n"));
}

/// Writes text that a program reads as it is: a configuration, a script. A reader that has gone away (`| head`) is
/// not an error.
pub(crate) fn write_out(text: &str) {
    match try_print(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("chimaera: cannot write to standard output: {error}"));
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Writes to standard output, or returns an error.
pub(crate) fn try_print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// Writes a line to standard error. If that fails, there is nowhere to report it.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{}", displayed(line));
}
