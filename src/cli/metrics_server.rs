//! The HTTP server of a runtime's metrics.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chimaera_config::MetricsAddress;
use chimaera_http::{Asked, Bytes, OwnNames, Reply, Server, StatusCode};
use chimaera_metrics::{openmetrics, Snapshot, CONTENT_TYPE};

/// How long an answer is given again, instead of a new one: asking often costs the workers nothing.
const FRESH: Duration = Duration::from_millis(250);
/// How often it is looked whether a predecessor has left the address.
const LOOK: Duration = Duration::from_millis(50);
/// How often after that time.
const SLOW: Duration = Duration::from_secs(10);

/// A server that has its address, and begins once the runtime is ready.
pub(crate) struct MetricsServer {
    address: MetricsAddress,
    /// `None` while a predecessor has the address.
    listener: Option<TcpListener>,
}

impl MetricsServer {
    /// Takes the address, unless a predecessor still has it.
    ///
    /// # Errors
    /// The address cannot be taken; the message says why.
    pub(crate) fn new(address: MetricsAddress, succeeds: bool) -> Result<MetricsServer, String> {
        let listener = match succeeds {
            true => None,
            false => Some(TcpListener::bind(address.at).map_err(|error| {
                let at = address.at;
                format!("cannot listen for metrics at {at}: {error}; see metrics.listen")
            })?),
        };
        Ok(MetricsServer { address, listener })
    }

    /// Serves from a thread of its own, until the process ends. Without it the runtime goes on.
    pub(crate) fn start(
        self,
        metrics: impl Fn() -> Snapshot + Send + Sync + 'static,
    ) -> io::Result<()> {
        let answer = Answer { metrics, kept: Mutex::new(None) };
        let pages = move |asked: Asked| match &*asked.path {
            "/metrics" => Reply::ok(CONTENT_TYPE, answer.text()),
            "/" => Reply::text(StatusCode::OK, "The metrics of Chimaera are at /metrics.\n"),
            _ => Reply::text(StatusCode::NOT_FOUND, "there is no such page\n"),
        };
        let work = move || {
            let at = self.address.at;
            let listener = match self.listener {
                Some(listener) => Ok(listener),
                None => bind_when_free(at),
            };
            let listens = listener.and_then(|it| Ok((it.local_addr()?, it)));
            let failed = listens.and_then(|(at, listener)| {
                tracing::info!(%at, "metrics are served over HTTP");
                let names = OwnNames::new(at, self.address.names);
                let (names_are_in, pages) = ("metrics.names", Arc::new(pages));
                Server { names, names_are_in, posts: None, threads: 0, pages }.run(listener)
            });
            let Err(error) = failed;
            tracing::error!(%at, %error, "metrics are not served over HTTP");
        };
        std::thread::Builder::new().name("chi-metrics".into()).spawn(work).map(drop)
    }
}

/// Takes the address once the predecessor has left it. That may take long: its process may hang at its end.
fn bind_when_free(at: SocketAddr) -> io::Result<TcpListener> {
    let (mut look, mut waited) = (LOOK, Duration::ZERO);
    loop {
        match TcpListener::bind(at) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                std::thread::sleep(look);
                waited += look;
                if waited > SLOW && look < SLOW {
                    tracing::warn!(%at, %error, "the address for metrics is still taken");
                    look = SLOW;
                }
            }
            bound => return bound,
        }
    }
}

/// The answer, which is kept for a while.
struct Answer<F> {
    metrics: F,
    kept: Mutex<Option<(Instant, Bytes)>>,
}

impl<F: Fn() -> Snapshot> Answer<F> {
    fn text(&self) -> Bytes {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((at, text)) if at.elapsed() < FRESH => text.clone(),
            _ => {
                let text = Bytes::from(openmetrics(&(self.metrics)(), false));
                *kept = Some((Instant::now(), text.clone()));
                text
            }
        }
    }
}
