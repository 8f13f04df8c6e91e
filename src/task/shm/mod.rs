//! What lies in tasks: strings, vectors, their elements, and the table that gives them memory. It imports
//! `ids` and `status`.

pub(crate) mod bytes;
pub(crate) mod descriptor;
pub(crate) mod element;
pub(crate) mod string;
mod table;
mod vec;

pub use self::bytes::ShmBytes;
pub use self::element::{Pod, ShmElement};
pub use self::string::ShmString;
pub(crate) use self::table::nanoseconds;
pub use self::table::{ipc, set_resolver, Ipc};
pub use self::vec::{Element, ElementMut, ShmVec};
