//! `chimaera dashboard`: a web page that shows what a runtime does.

mod api;
mod own;
mod page;
mod sampler;

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use chimaera_config::MetricsAddress;
use chimaera_http::{OwnNames, Server};
use rustix::rand::{getrandom, GetRandomFlags};
use serde_json::json;

use self::api::Api;
use crate::context::{complain, print, Context, Failed, Outcome};

/// The port that it has by default: one above that of metrics.
const PORT: u16 = 9465;
/// How many threads answer: one for each connection, so that nobody waits for a call of somebody else.
const THREADS: usize = chimaera_http::MOST_CONNECTIONS;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen: a host, an address or an interface of this machine, or a port of `localhost`
    ///
    /// [default: localhost:9465, or, if that port is taken, any that is free]
    #[arg(long, value_name = "HOST[:PORT]", verbatim_doc_comment)]
    listen: Option<String>,
    /// Let whoever has the URL call methods of pools, with the rights of this user
    ///
    /// The values of fields are in the list of processes for as long as a call takes.
    #[arg(long)]
    allow_calls: bool,
    /// The secret in the URL; as a flag, other users see it in the list of processes
    ///
    /// [default: a new one each time]
    #[arg(long, env = "CHI_DASHBOARD_TOKEN", hide_env_values = true, value_parser = token)]
    token: Option<String>,
    /// A further name by which a browser may ask, such as that of a proxy; may be given several times
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
}

/// A secret of characters that stand for themselves in a URL.
fn token(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match text.len() >= 16 && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("a token has at least 16 letters, digits and characters of -._~".to_owned()),
    }
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let wanted = args.listen.as_deref().unwrap_or("localhost");
    let wanted = MetricsAddress::at(wanted, PORT, &args.host)
        .map_err(|why| Failed::Usage(format!("--listen: {why}")))?;
    let listener = listen(wanted.at, args.listen.is_none())
        .map_err(|error| Failed::Message(format!("cannot listen at {}: {error}", wanted.at)))?;
    let at = listener.local_addr()?;
    let token = match args.token {
        Some(token) => token,
        None => new_token()?,
    };
    // Who listens at all addresses is reached by the name of the machine.
    let host = match wanted.names.last().filter(|_| at.ip().is_unspecified()) {
        Some(machine) => format!("{machine}:{}", at.port()),
        None => at.to_string(),
    };
    let url = format!("http://{host}/#token={token}");
    let instance = context.instance()?;
    if !instance.is_running()? {
        complain(&format!("chimaera: {}; the page says so until it is", instance.not_running()));
    }
    let document = json!({
        "instance": context.name,
        "url": url,
        "address": at.to_string(),
        "token": token,
        "calls": args.allow_calls,
    });
    if !context.print_json(&document) {
        let calls = if args.allow_calls { "" } else { ", read-only (see --allow-calls)" };
        print(&format!("instance '{}' is at {url}{calls}; Ctrl-C ends it\n", context.name));
    }
    if !at.ip().is_loopback() {
        complain("chimaera: others can reach this address, and what is sent is not encrypted");
    }
    let api = Arc::new(Api::new(context.clone(), token, args.allow_calls));
    let posts = api.clone();
    let server = Server {
        names: OwnNames::new(at, wanted.names),
        names_are_in: "--host",
        posts: Some(Arc::new(move |path, token| posts.may_post(path, token))),
        threads: THREADS,
        pages: Arc::new(move |asked| api.answer(asked)),
    };
    let Err(error) = server.run(listener);
    Err(Failed::Message(format!("the page is not served any more: {error}")))
}

/// Listens there. If that is the default and it is taken, at another port.
fn listen(at: SocketAddr, is_default: bool) -> io::Result<TcpListener> {
    match TcpListener::bind(at) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_default => {
            TcpListener::bind((at.ip(), 0))
        }
        bound => bound,
    }
}

/// Sixteen random bytes in hexadecimal, which nobody guesses.
fn new_token() -> io::Result<String> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_need_no_quotes() {
        let (a, b) = (new_token().unwrap(), new_token().unwrap());
        assert!(a != b && token(&a) == Ok(a.clone()) && a.len() == 32, "{a} {b}");
        for wrong in ["", "short", "with a blank in it at last", "0123456789abcde#"] {
            assert!(token(wrong).is_err(), "{wrong}");
        }
    }
}
