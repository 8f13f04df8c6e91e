//! Atomics: the standard ones, or loom's when this crate's models are checked (`make loom`).

#[cfg(all(loom, test))]
pub(crate) use loom::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
