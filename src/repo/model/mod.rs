//! The contents of a repo's files, read and checked. The model depends on neither its readers nor
//! its users.

mod fields;
mod method;
mod module;
mod params;
mod rust_tasks;

pub(crate) use fields::{
    is_plain, Body, Direction, Field, Member, Scalar, Struct, TaskFromYaml, Type, MAX_ARRAY,
    TASK_HEADER,
};
pub use method::Method;
pub(crate) use method::INHERITED;
pub use module::{Language, Module};
pub(crate) use params::{range, Params, Value};
pub(crate) use rust_tasks::{RustStruct, RustTasks};
