//! Makes the client and the server of a gRPC service with one method that sends back what it gets.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let echo = Method::builder()
        .name("echo")
        .route_name("Echo")
        .input_type("crate::grpc::Message")
        .output_type("crate::grpc::Message")
        .codec_path("tonic_prost::ProstCodec")
        .build();
    let service = Service::builder().name("Echo").package("peers").method(echo).build();
    Builder::new().compile(&[service]);
}
