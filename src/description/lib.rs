//! What a module says of its tasks: the names, types and documentation of their fields. From that, tasks can be
//! filled in and read without the module's client: `chimaera call` does so.
//!
//! A module's generated code carries its description as JSON, in `chi_module_descriptor.description`. The offsets of
//! the fields follow from their types, by the rules of C.
//!
//! ```
//! use chimaera_description::{encode, Block, Description, Memory, Value};
//!
//! /// A task without strings and vectors needs no blocks.
//! struct None;
//! impl Memory for None {
//!     fn place(&mut self, _: &[u8], _: bool) -> Result<Block, String> {
//!         Err("no memory".to_owned())
//!     }
//!     fn read(&self, _: u64, _: u64) -> Result<Vec<u8>, String> {
//!         Err("no memory".to_owned())
//!     }
//! }
//!
//! let text = r#"{"format": 1, "structs": [], "tasks": [
//!     {"method": "kAdd", "fields": [{"name": "n", "type": "u32", "dir": "in"}]}]}"#;
//! let description = Description::from_json(text)?;
//! let body = description.task("kAdd").and_then(|task| task.body.as_ref()).ok_or("no fields")?;
//! let field = body.field("n").ok_or("no such field")?;
//! let mut task = vec![0; body.size as usize];
//! let value = Value::from_text("7", &field.ty, &description.structs)?;
//! encode(field, &value, &description.structs, &mut task, &mut None)?;
//! assert_eq!(task[64..68], [7, 0, 0, 0]);
//! # Ok::<(), String>(())
//! ```

mod json;
mod params;
mod places;
mod spelling;
mod task;
mod types;
mod value;

pub use json::{Described, Description, Param, Params, Word, FORMAT, MAX_DESCRIPTION};
pub use places::{places, Place};
pub use spelling::{parse_type, spell_type};
pub use task::{contents, decode, encode, Block, Memory};
pub use types::{
    is_plain, size_and_align, Body, Direction, Field, Member, Scalar, Struct, Type, MAX_ARRAY,
    TASK_HEADER,
};
pub use value::Value;
