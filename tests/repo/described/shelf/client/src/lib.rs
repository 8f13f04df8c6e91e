//! The client of `described:shelf`.

#[path = "../../autogen/shelf_described.rs"]
mod described;
#[path = "../../autogen/shelf_methods.rs"]
mod methods;

pub use described::*;
pub use methods::Method;
