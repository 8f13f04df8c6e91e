//! What a module says of its tasks, checked against its methods.

use std::ffi::CStr;

use chimaera_description::{places, Description, Place};

use super::method_table::{Field, Methods};

/// Reads what a module says of its tasks. The error says what is wrong with it.
pub(super) fn read(text: &CStr, methods: &Methods) -> Result<Description, String> {
    let text = text.to_str().map_err(|error| format!("its description is no text: {error}"))?;
    let description = Description::from_json(text)
        .map_err(|why| format!("its description is malformed: {why}"))?;
    for task in &description.tasks {
        let name = &task.method;
        let method = methods.iter().find(|method| method.name == *name && method.supported);
        let method =
            method.ok_or_else(|| format!("it describes {name}, which it does not have"))?;
        let Some(body) = &task.body else { continue };
        if body.size as usize != method.task_size {
            let (said, is) = (body.size, method.task_size);
            return Err(format!(
                "it describes the task of {name} with {said} bytes, but it has {is}"
            ));
        }
        if !agree(&places(body, &description.structs), &method.fields) {
            return Err(format!(
                "the strings and vectors in the task of {name} are not where it describes them"
            ));
        }
    }
    Ok(description)
}

fn agree(said: &[Place], are: &[Field]) -> bool {
    said.len() == are.len()
        && said.iter().zip(are).all(|(said, is)| {
            said.offset as usize == is.offset
                && u64::from(said.elem_size) == is.elem_size
                && agree(&said.inner, &is.inner)
        })
}
