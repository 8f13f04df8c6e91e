//! `chimaera module inspect`.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chimaera_runtime::inspect;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{memfd_create, MemfdFlags};
use rustix::process::{pidfd_open, set_parent_process_death_signal, Pid, PidfdFlags, Signal};
use serde_json::{json, Value};

use crate::context::{Context, Failed, Outcome};

/// Shows the contract of the module in `file`, which must load within `limit`.
pub(crate) fn inspect(context: &Context, file: &Path, limit: Duration) -> Outcome {
    let mut document = inspect::read(file);
    if document["refused"].is_null() {
        let said = load_apart(file, limit)?;
        // If the file failed to load, this is only the reason.
        for (key, value) in said.as_object().into_iter().flatten() {
            document[key] = value.clone();
        }
    }
    let refused = document["refused"].as_str().map(str::to_owned);
    if let Some(why) = &refused {
        document["status"] = "CHI_FAILED".into();
        document["error"] = format!("{} would be refused: {why}", file.display()).into();
    }
    if !context.print_json(&document) {
        crate::context::print(&shown(&document));
    }
    match refused {
        None => Ok(()),
        Some(_) if context.json => Err(Failed::Told),
        Some(reason) => {
            Err(Failed::Message(format!("{} would be refused: {reason}", file.display())))
        }
    }
}

/// Loads a module in a separate process, because loading may end the process or hang.
fn load_apart(file: &Path, limit: Duration) -> Result<Value, Failed> {
    // dlopen searches the system's directories for names without a slash.
    let file = std::path::absolute(file)?;
    // Not a pipe: child processes of the module could keep it open indefinitely.
    let mut said = File::from(memfd_create("chimaera-inspect", MemfdFlags::CLOEXEC)?);
    let mut child = Command::new(std::env::current_exe()?)
        .args(["module", "inspect", "--load"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .spawn()?;
    let status = wait(&mut child, limit)?;
    said.rewind()?;
    let mut text = String::new();
    said.read_to_string(&mut text)?;
    if let Ok(said) = serde_json::from_str(&text) {
        return Ok(said);
    }
    let why = match status.map(|status| (status.signal(), status.code())) {
        None => format!("loading it took longer than {} s (--timeout)", limit.as_secs()),
        Some((Some(signal), _)) => format!("loading it kills the process with signal {signal}"),
        Some((None, code)) => {
            format!("loading it ends the process with exit code {}", code.unwrap_or_default())
        }
    };
    Ok(json!({ "refused": why }))
}

/// Waits for a child, and kills it when the time is up.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>, Failed> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = Instant::now() + limit;
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now()))
            .map_err(|_| Failed::Usage("the timeout is too long".into()))?;
        match poll(&mut [PollFd::new(&pidfd.as_fd(), PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => return Ok(Some(child.wait()?)),
        }
    }
}

/// Loads the module and prints its contract. [`inspect`] runs this in another process.
pub(crate) fn load_here(file: &Path) -> Outcome {
    // The parent may be killed while the module hangs.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The module's own output must not end up in the answer.
    let mut answer = File::from(rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3)?);
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    let said = inspect::load(file);
    std::io::Write::write_all(&mut answer, said.to_string().as_bytes())?;
    Ok(())
}

fn shown(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = format!("file      {}\n", text(&document["path"]));
    if !document["name"].is_null() {
        out += &format!(
            "module    {} {}\nlanguage  {}, SDK {}\nABI       {}\n",
            text(&document["name"]),
            text(&document["version"]),
            text(&document["language"]),
            text(&document["sdk_version"]),
            text(&document["abi"]),
        );
    }
    let symbols = document["symbols"].as_object().into_iter().flatten();
    // A file that exports none of the symbols is not meant to be a module.
    if symbols.clone().any(|(_, found)| found == true) {
        let symbols = symbols.map(|(name, found)| match found == true {
            true => name.clone(),
            false => format!("{name} (missing)"),
        });
        out += &format!("symbols   {}\n", symbols.collect::<Vec<_>>().join(", "));
    }
    let links: Vec<String> = document["links"].as_array().into_iter().flatten().map(text).collect();
    if !links.is_empty() {
        out += &format!("links     {}\n", links.join(", "));
    }
    for method in document["methods"].as_array().into_iter().flatten() {
        let what = match (method["supported"] == true, method["monitored"] == true) {
            (false, _) => "unsupported".to_owned(),
            (true, true) => format!("task of {} bytes, monitored", method["task_bytes"]),
            (true, false) => format!("task of {} bytes", method["task_bytes"]),
        };
        let number = method["number"].to_string();
        out += &format!("method    {number:>4}  {:<16}  {what}\n", text(&method["name"]));
    }
    out
}
