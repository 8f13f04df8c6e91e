//! Reading a whole file.

use std::io::ErrorKind;
use std::path::Path;

use crate::problem::{Problem, Problems};

/// Larger files are not read: they are something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The bytes of a file that must be there.
pub fn read_file(file: &Path, if_missing: &str) -> Result<Vec<u8>, Problems> {
    let whole = |message: String, help: &str| Problem {
        file: file.to_owned(),
        position: None,
        message,
        help: help.into(),
    };
    match std::fs::metadata(file) {
        Ok(found) if found.len() > MAX_FILE_BYTES => Err(whole(
            format!("has {} bytes", found.len()),
            "a file of this kind has a few kilobytes; is this the right one?",
        )
        .into()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(whole("there is no such file".into(), if_missing).into())
        }
        _ => std::fs::read(file)
            .map_err(|error| Problems::io(file, "the file cannot be read", &error)),
    }
}
