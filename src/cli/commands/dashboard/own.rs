//! What the program itself does for the page, in a process of its own: it then ends with what it has connected and
//! allocated, whatever became of it.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chimaera_abi::CHI_TIMEOUT;
use serde_json::Value;

use crate::context::{Context, Failed};

/// How long it may take: a little less than a connection.
const BOUND: Duration = Duration::from_secs(18);
/// The largest document for the page.
const MOST: u64 = 8 << 20;
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Runs this program with these arguments. Returns the document that it prints.
pub(super) fn run(context: &Context, args: &[String]) -> Result<Value, Failed> {
    let mut child = Command::new("/proc/self/exe")
        .args(["--name", &context.name, "--json"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.take(MOST + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let ended = wait(&mut child, || reader.is_finished());
    // It may have ended by itself meanwhile. If it writes on, that is of no use to anybody.
    let _ = child.kill();
    let _ = child.wait();
    if !ended? {
        let why = format!("there is no answer within {} s", BOUND.as_secs());
        return Err(Failed::Refused(CHI_TIMEOUT, why));
    }
    let bytes =
        reader.join().map_err(|_| Failed::Message("its output cannot be read".into()))??;
    if bytes.len() as u64 > MOST {
        let why = format!("the answer has more than {} MiB: use the command line", MOST >> 20);
        return Err(Failed::Message(why));
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// Waits until it has ended or all of its output has been read. Returns whether that was within the bound.
fn wait(child: &mut Child, is_read: impl Fn() -> bool) -> Result<bool, Failed> {
    let until = Instant::now() + BOUND;
    while !is_read() {
        if Instant::now() >= until {
            return Ok(false);
        }
        // Processes that it has left behind may keep its output open.
        if child.try_wait()?.is_some() && !is_read() {
            std::thread::sleep(LOOK * 20);
            return Ok(is_read());
        }
        std::thread::sleep(LOOK);
    }
    Ok(true)
}
