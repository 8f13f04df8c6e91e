//! The wire protocol without the client library, for hostile clients.

mod link;
mod random;
pub mod shapes;

pub use link::{dial, say, Link};
pub use random::{seed, Random, SEED_VARIABLE};
