//! `chimaera stop`.

use std::time::{Duration, Instant};

use chimaera_abi::{CHI_DESCRIBE_RUNTIME, CHI_UNSUPPORTED};
use chimaera_ipc::control::{self, Asked, Request};
use chimaera_ipc::instance::Instance;
use rustix::io::Errno;
use rustix::process::{pidfd_open, pidfd_send_signal, test_kill_process, Pid, PidfdFlags, Signal};
use serde_json::{json, Value};

use crate::context::{complain, Context, Failed, Outcome};
use crate::last_crash::LastCrash;
use crate::number::number;

/// How often to check whether the instance has stopped.
const LOOK: Duration = Duration::from_millis(2);
/// The time before the first report of what the instance is waiting for, and between reports.
const SAY: Duration = Duration::from_secs(1);
/// How long an instance may take to say what it leaves, before it is killed.
const FORCE_BOUND: Duration = Duration::from_secs(1);
/// The time that a killed process may take to end.
const KILL_BOUND: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long the command may take, in seconds; after that, the instance goes on stopping
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = number::<u64>(0..=86_400))]
    timeout: u64,
    /// End the process at once: unfinished work is lost, and no pool is destroyed
    ///
    /// It prints what is lost. As that is what was asked for, the exit code is 0.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let instance = context.instance()?;
    if !instance.is_running()? {
        return Err(Failed::NotRunning(instance.not_running()));
    }
    let last_crash = LastCrash::of(&instance);
    let mut until = Instant::now() + Duration::from_secs(args.timeout);
    let mut takes_requests = true;
    let mut say_at = Instant::now() + SAY.min(Duration::from_secs(args.timeout) / 2);
    let mut end = None;
    let answer = loop {
        if !args.force && end.is_none() {
            // Before it is told to stop, or it might have ended by then. If it cannot be asked, it cannot be told
            // to stop either.
            end = Asked::send(&instance, Request::AwaitEnd, &[], "", until).ok();
        }
        let answers_until = match args.force {
            true => until.min(Instant::now() + FORCE_BOUND),
            false => until,
        };
        match context.ask_within(Request::Stop, &[args.force.into()], answers_until) {
            Err(_) if args.force && kill_silent(&instance)? => {
                // The kernel may take a while to free the memory of a large process.
                until = until.max(Instant::now() + KILL_BOUND);
                let abandoned = ["all work: the process did not answer, and was killed"];
                break json!({ "abandoned": abandoned });
            }
            Err(_) if !takes_requests && Instant::now() >= until && instance.is_running()? => {
                return Err(Failed::Message(silent(&instance)));
            }
            // It is starting, or another stop is about to be done.
            Err(Failed::NotRunning(why)) => {
                if !instance.is_running()? {
                    return Err(match takes_requests {
                        true => Failed::NotRunning(why),
                        false => Failed::Message(format!(
                            "instance '{}' has ended before it took requests; see its log",
                            context.name
                        )),
                    });
                }
                takes_requests = false;
                if Instant::now() >= say_at {
                    say_at = Instant::now() + SAY;
                    complain(&format!("waiting: {why}"));
                }
                std::thread::sleep(LOOK);
            }
            Err(Failed::Silent(_)) => {
                let name = &context.name;
                let timeout = if args.force { FORCE_BOUND.as_secs() } else { args.timeout };
                let what_to_do = match args.force {
                    false => "`chimaera stop --force` ends it at once",
                    true => "its process cannot be seen from here: kill it where it runs",
                };
                return Err(Failed::Silent(format!(
                    "instance '{name}' did not answer within {timeout} s; {what_to_do}"
                )));
            }
            answer => break answer?,
        }
    };
    let waiting_for = wait(context, &instance, until)?;
    if let Some(waiting_for) = waiting_for {
        let (name, timeout) = (&context.name, args.timeout);
        let mut message = format!("instance '{name}' is still running after {timeout} s");
        for obstacle in &waiting_for {
            message += &format!("\n  {obstacle}");
        }
        message += "\n`chimaera stop --force` ends it at once";
        return Err(Failed::Message(message));
    }
    let mut abandoned = strings(&answer["abandoned"]);
    if let Some(end) = &end {
        let process = answer["process"].as_i64().and_then(|pid| Pid::from_raw(pid as i32));
        let said = abandoned_at_end(end, process, until)?;
        // The instance's name is free by now: another process may have crashed under it.
        let is_of_it = |crash: &LastCrash| {
            process.is_some_and(|pid| crash.is_of(pid.as_raw_pid().unsigned_abs()))
        };
        let crash = LastCrash::of(&instance)
            .filter(|now| Some(now) != last_crash.as_ref())
            .filter(is_of_it);
        abandoned.extend(match (crash, said) {
            // It may have said before that it ends in order.
            (Some(LastCrash { headline, file, .. }), said) => {
                let crashed =
                    format!("what it had left: it crashed: {headline} (see {})", file.display());
                [said.unwrap_or_default(), vec![crashed]].concat()
            }
            (None, Some(said)) => said,
            (None, None) => {
                vec!["what it had left: its process ended without a word; see its log".to_owned()]
            }
        });
    }
    let mut document = json!({
        "name": context.name,
        "stopped": true,
        "forced": args.force,
        "abandoned": abandoned,
    });
    let in_order = abandoned.is_empty() || args.force;
    if !in_order {
        document["status"] = json!("CHI_FAILED");
    }
    if !context.print_json(&document) {
        let mut text = format!("stopped '{}'\n", context.name);
        for obstacle in &abandoned {
            text += &format!("  abandoned: {obstacle}\n");
        }
        crate::context::print(&text);
    }
    if in_order {
        return Ok(());
    }
    complain(&format!("chimaera: instance '{}' did not end in order", context.name));
    Err(Failed::Abandoned)
}

/// What an instance that has ended has abandoned; none if it has not said that. If its process ends with it, waits for
/// that until `until`.
fn abandoned_at_end(
    asked: &Asked<'_>,
    process: Option<Pid>,
    until: Instant,
) -> Result<Option<Vec<String>>, Failed> {
    let mut answers = Vec::new();
    let answers = loop {
        let look = if process.is_some() { LOOK } else { Duration::ZERO };
        match asked.answer(Instant::now() + look) {
            Ok(answer) => answers.push(answer),
            // The process has ended.
            Err(control::Error::NotRunning(_)) => break Ok(answers),
            // The connection may stay open: in an application whose runtime has ended, or in a child that a
            // module has forked. All that the runtime has said is there by now.
            Err(control::Error::Silent { .. }) => match process {
                Some(pid) if test_kill_process(pid) != Err(Errno::SRCH) => {
                    if Instant::now() >= until {
                        let pid = pid.as_raw_pid();
                        return Err(Failed::Message(format!(
                            "the runtime has ended, but its process {pid} has not: code of a module runs \
                             in it; `kill -9 {pid}` ends it"
                        )));
                    }
                }
                _ => break Ok(answers),
            },
            Err(error) => break Err(error),
        }
    };
    Ok(match answers {
        // A runtime from before this request; what it abandoned is in its log.
        Err(control::Error::Refused { status: CHI_UNSUPPORTED, .. }) => Some(Vec::new()),
        Err(error) => Some(vec![error.to_string()]),
        Ok(answers) if answers.is_empty() => None,
        Ok(answers) => {
            let told = answers.iter().map(|answer| serde_json::from_str(answer));
            let told = told.map(|told: Result<Value, _>| match told {
                Ok(told) => strings(&told["abandoned"]),
                Err(error) => vec![error.to_string()],
            });
            Some(told.flatten().collect())
        }
    })
}

fn silent(instance: &Instance) -> String {
    format!("{}; `chimaera stop --force` ends it at once", instance.not_ready(instance.holder()))
}

/// Kills the process of an instance that does not answer. False if it cannot be seen from here.
fn kill_silent(instance: &Instance) -> Result<bool, Failed> {
    let pid = instance.holder().and_then(|pid| Pid::from_raw(pid as i32));
    let Some(pid) = pid else { return Ok(false) };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        // It has just ended.
        Err(Errno::SRCH) => return Ok(true),
        Err(error) => return Err(Failed::Message(format!("cannot kill process {pid}: {error}"))),
    };
    // Another process may have got the number before the descriptor was opened.
    if instance.holder() != Some(pid.as_raw_pid() as u32) {
        return Ok(true);
    }
    match pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(true),
        Err(error) => Err(Failed::Message(format!("cannot kill process {pid}: {error}"))),
    }
}

/// Waits until the instance has stopped, and reports what it is waiting for. At `until`, returns
/// the last such report.
fn wait(
    context: &Context,
    instance: &Instance,
    until: Instant,
) -> Result<Option<Vec<String>>, Failed> {
    // If less than twice `SAY` is left, ask halfway, so that there is a report.
    let mut say_at = Instant::now() + SAY.min(until.saturating_duration_since(Instant::now()) / 2);
    let mut waiting_for = Vec::new();
    while instance.is_running()? {
        let now = Instant::now();
        if now >= until {
            return Ok(Some(waiting_for));
        }
        if now >= say_at {
            say_at = now + SAY;
            // The instance may have just ended, or be about to.
            let described =
                context.ask_within(Request::Describe, &[CHI_DESCRIBE_RUNTIME.into()], until);
            if let Ok(runtime) = described {
                waiting_for = strings(&runtime["stopping"]["waiting_for"]);
                if !context.json {
                    for obstacle in &waiting_for {
                        complain(&format!("waiting: {obstacle}"));
                    }
                }
            }
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
