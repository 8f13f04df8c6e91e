//! The contents of tasks: strings, vectors and their elements, and the table that allocates memory
//! for them. Imports `ids` and `status`.

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
