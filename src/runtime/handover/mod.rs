//! What a runtime hands over to its successor when it is restarted, and the channel between the two. It
//! imports `durable`, `failure` and `sys`.
//!
//! ```text
//! predecessor                                  successor, a child process
//!   starts it                        ───────►  loads the modules
//!                                    ◄───────  Ready
//!   holds all tasks, saves the pools
//!   collects what clients have       ───────►
//!     Take: the document, the listening socket and the lock;
//!     Session: one message for each session
//!                                              creates the pools with their states
//!                                    ◄───────  Loaded, or Failed
//!   Go                               ───────►
//!                                    ◄───────  Serving
//!   ends
//! ```
//!
//! Until `Go`, the predecessor can take everything back: it says `Abort`, and goes on. If it ends without
//! a word after `Loaded`, the successor serves.

mod channel;
mod document;

pub(crate) use self::channel::{Channel, Heard, Received};
pub(crate) use self::document::{Document, SessionRecord, ToPredecessor, ToSuccessor, FORMAT};
