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
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    HeaderValue, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

pub use host::OwnNames;
pub use hyper::body::Bytes;
pub use hyper::StatusCode;

/// How many connections there are at the same time; others wait.
pub const MOST_CONNECTIONS: usize = 16;
/// How long the head of a request may take, and what is posted.
const HEAD_BOUND: Duration = Duration::from_secs(5);
/// How long a connection may take, with all that is sent back over it.
const CONNECTION_BOUND: Duration = Duration::from_secs(20);
/// How long a request may wait for a thread that answers it.
const QUEUE_BOUND: Duration = Duration::from_secs(2);
/// How many bytes the head of a request may have.
const MOST_HEAD: usize = 16 << 10;
/// How many bytes somebody may post.
const MOST_POSTED: usize = 1 << 20;
/// The pause after a connection could not be accepted, because there is no descriptor left for example.
const PAUSE: Duration = Duration::from_millis(100);

/// What somebody asks for.
pub struct Asked {
    /// The path.
    pub path: String,
    /// What was posted; `None` if it is only asked for.
    pub posted: Option<Bytes>,
    /// The secret that came with it: `Authorization: Bearer SECRET`.
    pub token: Option<String>,
}

/// What is sent back.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The media type.
    pub content_type: &'static str,
    /// What a browser may do with it (`Content-Security-Policy`).
    pub policy: Option<String>,
    /// The content.
    pub body: Bytes,
}

impl Reply {
    /// What was asked for.
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
        Reply { status: StatusCode::OK, content_type, policy: None, body: body.into() }
    }

    /// One line of text.
    pub fn text(status: StatusCode, text: &'static str) -> Reply {
        let content_type = "text/plain; charset=utf-8";
        Reply { status, content_type, policy: None, body: Bytes::from_static(text.as_bytes()) }
    }
}

/// What a server answers.
pub type Pages = dyn Fn(Asked) -> Reply + Send + Sync;

/// Whether a server takes what is posted at this path with this secret; otherwise what it answers. It is asked before what
/// is posted is read.
pub type Posts = dyn Fn(&str, Option<&str>) -> Result<(), Reply> + Send + Sync;

/// What a server does.
pub struct Server {
    /// The names by which it may be asked.
    pub names: OwnNames,
    /// Where more of them are named, for those who are refused.
    pub names_are_in: &'static str,
    /// What may be posted; `None`: nothing.
    pub posts: Option<Arc<Posts>>,
    /// How many threads answer, of their own; with 0, the server's thread does it.
    pub threads: usize,
    /// What it answers.
    pub pages: Arc<Pages>,
}

impl Server {
    /// Serves until the process ends. Blocks the calling thread, which should do nothing else.
    ///
    /// # Errors
    /// The system does not let the server begin. Later it answers what it can, and waits out what it cannot.
    pub fn run(self, listener: TcpListener) -> io::Result<Infallible> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(self.threads.max(1))
            .build()?;
        let server = Arc::new(self);
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            server.accept_all(listener).await
        })
    }

    async fn accept_all(
        self: Arc<Self>,
        listener: tokio::net::TcpListener,
    ) -> io::Result<Infallible> {
        let free = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            // Nobody closes it.
            let place = free.clone().acquire_owned().await.map_err(io::Error::other)?;
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let server = self.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| {
                    let server = server.clone();
                    async move {
                        let reply = server.answer(request).await;
                        Ok::<_, Infallible>(response(reply, server.posts.is_some()))
                    }
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

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let mut hosts = request.headers().get_all(HOST).iter();
        let host = hosts.next().and_then(|host| std::str::from_utf8(host.as_bytes()).ok());
        if hosts.next().is_some() {
            return Reply::text(StatusCode::BAD_REQUEST, "the request names several hosts\n");
        }
        // A target that is a whole address counts, too.
        let target = request.uri().authority().map(|authority| authority.as_str());
        let is_own = |host: Option<&str>| host.is_some_and(|host| self.names.have(host));
        if !is_own(host) || target.is_some() && !is_own(target) {
            let names = self.names_are_in;
            let why = format!(
                "the server was asked by a name that it does not know: add it to {names}\n"
            );
            let refusal = Reply::text(StatusCode::MISDIRECTED_REQUEST, "");
            return Reply { body: why.into(), ..refusal };
        }
        let posts = match *request.method() {
            Method::GET | Method::HEAD => false,
            Method::POST if self.posts.is_some() => true,
            _ => return Reply::text(StatusCode::METHOD_NOT_ALLOWED, ""),
        };
        let path = request.uri().path().to_owned();
        let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
        let token = token.map(|(_, token)| token.trim().to_owned());
        let posted = match self.posts.as_ref().filter(|_| posts) {
            None => None,
            Some(posts) => {
                if let Err(refusal) = posts(&path, token.as_deref()) {
                    return refusal;
                }
                match read(request.into_body()).await {
                    Ok(body) => Some(body),
                    Err(refusal) => return refusal,
                }
            }
        };
        let asked = Asked { path, posted, token };
        if self.threads == 0 {
            return (self.pages)(asked);
        }
        let (pages, since) = (self.pages.clone(), Instant::now());
        let answer = move || match since.elapsed() < QUEUE_BOUND {
            true => pages(asked),
            // Who asked may be gone by the time of an answer, and would not know that it was done.
            false => {
                Reply::text(StatusCode::SERVICE_UNAVAILABLE, "the server is busy: try again\n")
            }
        };
        let answered = tokio::task::spawn_blocking(answer).await;
        answered.unwrap_or_else(|_| {
            Reply::text(StatusCode::INTERNAL_SERVER_ERROR, "the answer has failed\n")
        })
    }
}

/// Reads what is posted.
async fn read(body: Incoming) -> Result<Bytes, Reply> {
    let body = Limited::new(body, MOST_POSTED).collect();
    match tokio::time::timeout(HEAD_BOUND, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Reply::text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n")),
        Err(_) => {
            Err(Reply::text(StatusCode::REQUEST_TIMEOUT, "the request does not come to its end\n"))
        }
    }
}

fn response(reply: Reply, takes_posts: bool) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Some(policy) = reply.policy.and_then(|policy| HeaderValue::from_str(&policy).ok()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = if takes_posts { "GET, HEAD, POST" } else { "GET, HEAD" };
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}
