//! `chimaera dashboard`: a web page that shows what a runtime does.

mod api;
mod own;
mod page;
mod sampler;

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use chimaera_http::{OwnNames, Server};
use rustix::rand::{getrandom, GetRandomFlags};
use serde_json::json;

use self::api::Api;
use crate::context::{complain, print, Context, Failed, Outcome};

/// Where it listens by default: one port above that of metrics.
const DEFAULT: &str = "127.0.0.1:9465";
/// How many threads answer: of a browser, all but one may wait for a runtime that does not answer.
const THREADS: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address and port to listen at
    ///
    /// [default: 127.0.0.1:9465, or, if that port is taken, any that is free]
    #[arg(long, value_name = "ADDRESS:PORT", verbatim_doc_comment)]
    listen: Option<SocketAddr>,
    /// Let whoever has the URL call methods of pools, with the rights of this user
    #[arg(long)]
    allow_calls: bool,
    /// The secret in the URL [default: a new one each time]
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
    let listener = listen(args.listen)
        .map_err(|(at, error)| Failed::Message(format!("cannot listen at {at}: {error}")))?;
    let at = listener.local_addr()?;
    let token = match args.token {
        Some(token) => token,
        None => new_token()?,
    };
    let url = format!("http://{at}/#token={token}");
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
    let api = Api::new(context.clone(), token, args.allow_calls);
    let server = Server {
        names: OwnNames::new(at, args.host),
        names_are_in: "--host",
        takes_posts: true,
        threads: THREADS,
        pages: Arc::new(move |asked| api.answer(asked)),
    };
    let Err(error) = server.run(listener);
    Err(Failed::Message(format!("the page is not served any more: {error}")))
}

/// Listens there, or at the default address; if nobody has asked for that and it is taken, at another port.
fn listen(wanted: Option<SocketAddr>) -> Result<TcpListener, (SocketAddr, io::Error)> {
    let default: SocketAddr = DEFAULT.parse().expect("an address");
    let at = wanted.unwrap_or(default);
    match TcpListener::bind(at) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && wanted.is_none() => {
            TcpListener::bind((at.ip(), 0)).map_err(|error| (at, error))
        }
        bound => bound.map_err(|error| (at, error)),
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
