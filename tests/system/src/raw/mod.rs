//! The wire without the client library, for clients that do what no honest one does.

mod link;
mod random;
pub mod shapes;

pub use link::{dial, say, Link};
pub use random::{seed, Random, SEED_VARIABLE};
