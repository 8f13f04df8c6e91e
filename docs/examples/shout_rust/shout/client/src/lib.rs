//! The client of `hello:shout`: `chimaera_mod.yaml` describes its tasks and calls.

#[path = "../../autogen/shout_described.rs"]
mod described;
#[path = "../../autogen/shout_methods.rs"]
mod methods;

pub use described::*;
pub use methods::Method;
