//! A small HTTP server, on one thread: hyper, with bounds on what others can make it do.
//!
//! Whoever connects has a bound on the time for everything, on the bytes of what it asks, and on how many connections
//! there are. A web page of somebody else cannot use a visitor's browser to ask: the name by which the server was
//! asked must be one of its own.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod host;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    HeaderValue, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

pub use host::OwnNames;
pub use hyper::body::Bytes;

/// How many connections there are at the same time; others wait.
const MOST_CONNECTIONS: usize = 16;
/// How long the head of a request may take.
const HEAD_BOUND: Duration = Duration::from_secs(5);
/// How long a connection may take, with all that is sent back over it.
const CONNECTION_BOUND: Duration = Duration::from_secs(20);
/// How many bytes the head of a request may have.
const MOST_HEAD: usize = 16 << 10;
/// The pause after a connection could not be accepted, because there is no descriptor left for example.
const PAUSE: Duration = Duration::from_millis(100);

/// What is sent back.
pub struct Reply {
    /// The media type.
    pub content_type: &'static str,
    /// The content.
    pub body: Bytes,
}

/// What the server is asked for, by its path. `None`: there is no such thing. Called on the server's thread.
pub type Pages = dyn Fn(&str) -> Option<Reply> + Send + Sync;

/// Serves until the process ends. Blocks the calling thread, which should do nothing else.
///
/// # Errors
/// The system does not let the server begin. Later it answers what it can, and waits out what it cannot.
pub fn serve(listener: TcpListener, names: OwnNames, pages: Arc<Pages>) -> io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let names = Arc::new(names);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        accept_all(listener, names, pages).await
    })
}

async fn accept_all(
    listener: tokio::net::TcpListener,
    names: Arc<OwnNames>,
    pages: Arc<Pages>,
) -> io::Result<Infallible> {
    let free = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // Nobody closes it.
        let place = free.clone().acquire_owned().await.map_err(io::Error::other)?;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (names, pages) = (names.clone(), pages.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let reply = answer(&request, &names, &*pages);
                async move { Ok::<_, Infallible>(reply) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_BOUND)
                .max_buf_size(MOST_HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // An error is the client's, which has gone, has written no HTTP, or has not read in time.
            let _ = tokio::time::timeout(CONNECTION_BOUND, connection).await;
            drop(place);
        });
    }
}

type Response = hyper::Response<Full<Bytes>>;

fn answer(request: &hyper::Request<Incoming>, names: &OwnNames, pages: &Pages) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| std::str::from_utf8(host.as_bytes()).ok());
    if hosts.next().is_some() {
        return response(StatusCode::BAD_REQUEST, text("the request names several hosts\n"));
    }
    // A target that is a whole address counts, too.
    let target = request.uri().authority().map(|authority| authority.as_str());
    let is_own = |host: Option<&str>| host.is_some_and(|host| names.have(host));
    if !is_own(host) || target.is_some() && !is_own(target) {
        let why = "the server was asked by a name that it does not know: add it to metrics.names\n";
        return response(StatusCode::MISDIRECTED_REQUEST, text(why));
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, text("only GET and HEAD\n"));
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match pages(request.uri().path()) {
        Some(reply) => response(StatusCode::OK, reply),
        None => response(StatusCode::NOT_FOUND, text("there is no such page\n")),
    }
}

fn text(text: &'static str) -> Reply {
    Reply { content_type: "text/plain; charset=utf-8", body: Bytes::from_static(text.as_bytes()) }
}

fn response(status: StatusCode, reply: Reply) -> Response {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
