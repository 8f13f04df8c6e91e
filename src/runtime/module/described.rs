//! What a module says of its tasks, checked against its methods.

use std::ffi::CStr;
use std::path::Path;

use chimaera_description::{places, Description, Place, MAX_DESCRIPTION};

use super::method_table::{Field, Methods};

/// Reads what a module says of its tasks, and notes in its methods what matters there. `None` if that cannot be read: it may be in the format of a later version, and
/// the module works without it.
///
/// # Errors
/// What the module says is untrue: whoever filled in a task by it would send something else.
pub(super) fn read(
    text: &CStr,
    methods: &mut Methods,
    path: &Path,
) -> Result<Option<Description>, String> {
    let read = match text.to_str() {
        Ok(text) if text.len() > MAX_DESCRIPTION => {
            Err(format!("it has {} bytes, more than {MAX_DESCRIPTION}", text.len()))
        }
        Ok(text) => Description::from_json(text),
        Err(error) => Err(error.to_string()),
    };
    let description = match read {
        Ok(description) => description,
        Err(why) => {
            let path = path.display();
            tracing::warn!(%path, why, "what the module says of its tasks cannot be read");
            return Ok(None);
        }
    };
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
        methods.learn(name, body);
    }
    Ok(Some(description))
}

fn agree(said: &[Place], are: &[Field]) -> bool {
    said.len() == are.len()
        && said.iter().zip(are).all(|(said, is)| {
            said.offset as usize == is.offset
                && u64::from(said.elem_size) == is.elem_size
                && agree(&said.inner, &is.inner)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_untrue_is_refused() {
        let read = |text: &CStr| read(text, &mut Methods::default(), Path::new("libx.so"));
        for text in [c"", c"{", c"\xff", c"{\"format\":2}", c"{\"format\":1,\"structs\":[{}]}"] {
            assert_eq!(read(text), Ok(None), "{text:?}");
        }
        assert_eq!(read(c"{\"format\":1}"), Ok(Some(Description::default())));
        let missing = read(c"{\"format\":1,\"tasks\":[{\"method\":\"kX\"}]}");
        assert_eq!(missing, Err("it describes kX, which it does not have".to_owned()));
    }
}
