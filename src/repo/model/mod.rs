//! The contents of a repo's files, read and checked. The model depends on neither its readers nor
//! its users.

mod method;
mod module;
mod params;
mod rust_tasks;

pub(crate) use chimaera_description::{
    is_plain, Body, Direction, Field, Member, Scalar, Struct, Type, MAX_ARRAY, TASK_HEADER,
};
pub use method::Method;
pub(crate) use method::INHERITED;
pub(crate) use module::TaskFromYaml;
pub use module::{Language, Module};
pub(crate) use params::{Params, Value};
pub(crate) use rust_tasks::{RustStruct, RustTasks};
