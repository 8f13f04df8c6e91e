//! gRPC over a Unix socket, with tonic: a thread on each side.

use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Response, Status};

use crate::floor::Answerer;
use crate::measure::{Cores, Peer};
use crate::Result;

include!(concat!(env!("OUT_DIR"), "/peers.Echo.rs"));

/// A number.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// The number.
    #[prost(uint64, tag = "1")]
    number: u64,
}

struct Service;

#[tonic::async_trait]
impl echo_server::Echo for Service {
    async fn echo(
        &self,
        request: Request<Message>,
    ) -> std::result::Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// A client of the service.
pub(crate) struct Grpc {
    runtime: Runtime,
    client: echo_client::EchoClient<Channel>,
    _answerer: Answerer,
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

impl Grpc {
    pub(crate) fn start(cores: Cores) -> Result<Grpc> {
        let path: PathBuf = std::env::temp_dir().join(format!("peers-{}.sock", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let answerer = Answerer::fork(cores, || {
            runtime()?.block_on(async {
                let incoming = UnixListenerStream::new(UnixListener::from_std(listener)?);
                let server = echo_server::EchoServer::new(Service);
                Server::builder().add_service(server).serve_with_incoming(incoming).await?;
                Ok(())
            })
        })?;
        let runtime = runtime()?;
        let channel =
            runtime.block_on(async {
                let socket = path.clone();
                let connect = tower::service_fn(move |_: Uri| {
                    let socket = socket.clone();
                    async move {
                        Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(socket).await?))
                    }
                });
                Endpoint::from_static("http://peers").connect_with_connector(connect).await
            })?;
        std::fs::remove_file(&path)?;
        Ok(Grpc { runtime, client: echo_client::EchoClient::new(channel), _answerer: answerer })
    }
}

impl Peer for Grpc {
    fn call(&mut self) -> Result<()> {
        let Grpc { runtime, client, .. } = self;
        runtime.block_on(client.echo(Request::new(Message { number: 1 })))?;
        Ok(())
    }
}
