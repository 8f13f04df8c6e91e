//! What the page asks for: documents in JSON, for who knows the token.

use std::collections::BTreeMap;

use chimaera_abi::{CHI_DENIED, CHI_DESCRIBE_MODULES, CHI_DESCRIBE_POOLS, CHI_INVALID};
use chimaera_http::{Asked, Bytes, Reply, StatusCode};
use chimaera_ipc::control::Request;
use chimaera_metrics::Wanted;
use serde::Deserialize;
use serde_json::{json, Value};

use super::sampler::Sampler;
use super::{new_token, own, page};
use crate::commands::logs;
use crate::context::{Context, Failed};

/// How many tasks are listed.
const MOST_TASKS: usize = 200;
/// How many lines of the log are shown.
const MOST_LINES: usize = 500;
/// How long a call may take, in seconds: with the time until it is known that it does not end, it is shorter than what the
/// program may take.
const CALL_BOUND: f64 = 12.0;
/// The largest value of a field, which is an argument of the program: the system has a bound, too.
const MOST_VALUE: usize = 100 << 10;

/// Answers the page.
pub(super) struct Api {
    context: Context,
    token: String,
    allows_calls: bool,
    sampler: Sampler,
}

/// What is asked of one pool.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPool {
    pool: String,
}

/// A call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    pool: String,
    method: String,
    fields: BTreeMap<String, String>,
    timeout: Option<f64>,
}

impl Api {
    pub(super) fn new(context: Context, token: String, allows_calls: bool) -> Api {
        Api { context, token, allows_calls, sampler: Sampler::default() }
    }

    /// Whether something may be posted there, by who knows this token.
    pub(super) fn may_post(&self, path: &str, token: Option<&str>) -> Result<(), Reply> {
        if !path.starts_with(PREFIX) {
            return Err(nothing());
        }
        match token.is_some_and(|token| is_same(token, &self.token)) {
            true => Ok(()),
            false => {
                let why = "the token of the URL is missing or wrong: use the URL that `chimaera dashboard` prints";
                let why = failure(Failed::Refused(CHI_DENIED, why.into()));
                Err(document(StatusCode::UNAUTHORIZED, &why))
            }
        }
    }

    /// Answers what somebody asks for, and [may post](Api::may_post).
    pub(super) fn answer(&self, asked: Asked) -> Reply {
        match (&asked.posted, asked.path.strip_prefix(PREFIX)) {
            (Some(posted), Some(what)) => match self.find(what, posted) {
                Some(Ok(value)) => document(StatusCode::OK, &value),
                Some(Err(failed)) => document(StatusCode::OK, &failure(failed)),
                None => nothing(),
            },
            // A page of somebody else cannot post with a token, and a link cannot post at all.
            (None, Some(_)) => {
                Reply::text(StatusCode::METHOD_NOT_ALLOWED, "what is asked for here is posted\n")
            }
            (None, None) if asked.path == "/" => match new_token() {
                Ok(nonce) => page::page(&nonce),
                Err(_) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "no random numbers\n"),
            },
            _ => nothing(),
        }
    }

    fn find(&self, what: &str, posted: &Bytes) -> Option<Result<Value, Failed>> {
        let context = &self.context;
        Some(match what {
            "about" => Ok(json!({
                "instance": context.name,
                "version": env!("CARGO_PKG_VERSION"),
                "calls": self.allows_calls,
            })),
            "view" => self.sampler.view(context).map(|view| json!(view)),
            "pools" => self.pools(),
            "tasks" => self.tasks(),
            "slow" => context.ask(Request::Slow, &[0, 0, 0]),
            "log" => logs::tail(context, MOST_LINES).map(|lines| json!({ "lines": lines })),
            "config" => own::run(context, &["config", "show"].map(str::to_owned)),
            "methods" => read(posted).and_then(|OfPool { pool }| {
                check("the name of the pool", &pool)?;
                own::run(context, &["call", "--", &pool].map(str::to_owned))
            }),
            "call" => read(posted).and_then(|call| self.call(call)),
            _ => return None,
        })
    }

    fn pools(&self) -> Result<Value, Failed> {
        let modules = self.context.describe(CHI_DESCRIBE_MODULES)?;
        let pools = self.context.describe(CHI_DESCRIBE_POOLS)?;
        Ok(json!({ "pools": pools, "modules": modules["loaded"], "refused": modules["refused"] }))
    }

    fn tasks(&self) -> Result<Value, Failed> {
        let wanted = Wanted { most: MOST_TASKS, ..Wanted::default() };
        self.context.ask_with_text(Request::Tasks, &serde_json::to_string(&wanted)?)
    }

    fn call(&self, call: Call) -> Result<Value, Failed> {
        if !self.allows_calls {
            let why =
                "this page is read-only: `chimaera dashboard --allow-calls` lets it call methods";
            return Err(Failed::Refused(CHI_DENIED, why.into()));
        }
        let timeout = call.timeout.unwrap_or(CALL_BOUND).clamp(0.001, CALL_BOUND);
        let mut args = ["call", "--timeout", &timeout.to_string(), "--", &call.pool, &call.method]
            .map(str::to_owned)
            .to_vec();
        check("the name of the pool", &call.pool)?;
        check("the name of the method", &call.method)?;
        for (name, value) in call.fields {
            if name.is_empty() || name.contains('=') {
                return Err(Failed::Usage(format!("there is no field '{name}'")));
            }
            check("the name of a field", &name)?;
            check(&format!("field '{name}'"), &value)?;
            args.push(format!("{name}={value}"));
        }
        let mut ended = own::run(&self.context, &args)?;
        // Of long numbers, a browser would round the last digits.
        ended["results_text"] = serde_json::to_string_pretty(&ended["results"])?.into();
        Ok(ended)
    }
}

/// Refuses what cannot be an argument of the program.
fn check(what: &str, text: &str) -> Result<(), Failed> {
    match text.len() <= MOST_VALUE && !text.contains('\0') {
        true => Ok(()),
        false => Err(Failed::Usage(format!(
            "{what}: the page passes text of at most {} KiB, without zero bytes: use --file of `chimaera call`",
            MOST_VALUE >> 10
        ))),
    }
}

/// The beginning of the paths of documents.
const PREFIX: &str = "/api/";

fn nothing() -> Reply {
    Reply::text(StatusCode::NOT_FOUND, "there is no such page\n")
}

fn read<'d, T: Deserialize<'d>>(posted: &'d [u8]) -> Result<T, Failed> {
    serde_json::from_slice(posted)
        .map_err(|error| Failed::Refused(CHI_INVALID, format!("what was posted: {error}")))
}

fn failure(failed: Failed) -> Value {
    match failed.parts() {
        Some((_, status, message)) => crate::context::failure(status, &message),
        None => json!({ "status": "CHI_FAILED", "error": "it has failed" }),
    }
}

fn document(status: StatusCode, value: &Value) -> Reply {
    let reply = Reply::ok("application/json", value.to_string());
    Reply { status, ..reply }
}

/// Whether two texts are the same. How long it takes says nothing about where they differ.
fn is_same(a: &str, b: &str) -> bool {
    let differ = a.bytes().zip(b.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    a.len() == b.len() && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        assert!(is_same("0123456789abcdef", "0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!is_same(other, "0123456789abcdef"), "{other}");
        }
    }
}
