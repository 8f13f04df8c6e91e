//! Documents of runtimes, which may be of other versions.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a document, of a kind that `what` says in the singular.
///
/// # Errors
/// It was written by a runtime whose version writes something else; the message says which.
pub(crate) fn read<T: DeserializeOwned>(
    document: &Value,
    what: &str,
    own: u32,
) -> Result<T, String> {
    let of = match document["version"].as_str() {
        Some(version) => format!("Chimaera {version}"),
        None => "an unknown version of Chimaera".to_owned(),
    };
    match document["format"].as_u64() {
        Some(format) if format == u64::from(own) => {}
        Some(format) => {
            return Err(format!(
                "the runtime, {of}, writes its {what} in format {format}; this program reads format {own}: use the \
                 program of that version"
            ));
        }
        None => return Err(format!("this is no {what} of a runtime")),
    }
    T::deserialize(document)
        .map_err(|error| format!("the {what} of the runtime, {of}, cannot be read: {error}"))
}
