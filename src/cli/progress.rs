//! How far a long request has come, on a terminal: one line of standard error, which is written anew.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::time::Duration;

use chimaera_ipc::control::Request;

use crate::context::Context;

/// How long a request goes on before it is reported on, and between reports.
const SAY: Duration = Duration::from_millis(500);

/// Sends the request in `ask`, which reads or writes this file for a pool, and shows how far it has come
/// if somebody is watching.
pub(crate) fn of_file<T>(context: &Context, file: &str, ask: impl FnOnce() -> T) -> T {
    if context.json || !io::stderr().is_terminal() {
        return ask();
    }
    let (done, over) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut shown = false;
            while over.recv_timeout(SAY) == Err(RecvTimeoutError::Timeout) {
                // An older instance does not know the request, and then nothing is shown.
                let Ok(changes) = context.ask(Request::Progress, &[]) else { continue };
                let mut changes = changes.as_array().into_iter().flatten();
                let Some(change) = changes.find(|change| change["file"] == file) else { continue };
                let (stage, bytes) = (&change["stage"], change["bytes"].as_u64());
                let stage = stage.as_str().unwrap_or_default();
                rewrite(&line(stage, bytes.unwrap_or(0)));
                shown = true;
            }
            if shown {
                rewrite("");
            }
        });
        let answer = ask();
        drop(done);
        answer
    })
}

fn line(stage: &str, bytes: u64) -> String {
    match stage {
        "waiting" => "waiting for tasks to end".to_owned(),
        _ => format!("{stage}: {:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// Writes the line in place of the one before. If that fails, nobody sees it.
pub(crate) fn rewrite(line: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_has_a_size_unless_it_waits() {
        assert_eq!(line("writing", 3 << 19), "writing: 1.5 MiB");
        assert_eq!(line("waiting", 0), "waiting for tasks to end");
    }
}
