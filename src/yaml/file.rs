//! Reading a whole file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::problem::{Problem, Problems};

/// Larger files are not read: they cannot be YAML that a person wrote.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads a file that must exist. `if_missing` is the help for the problem when it does not.
pub fn read_file(file: &Path, if_missing: &str) -> Result<Vec<u8>, Problems> {
    let whole = |message: String, help: &str| Problem {
        file: file.to_owned(),
        position: None,
        message,
        help: help.into(),
    };
    let mut bytes = Vec::new();
    // Only a regular file's size is known before it is read.
    let read = File::open(file).and_then(|file| {
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(())
    });
    match read {
        Ok(()) if bytes.len() as u64 > MAX_FILE_BYTES => Err(whole(
            format!("the file has more than {MAX_FILE_BYTES} bytes"),
            "files of this kind have a few kilobytes; is this the right one?",
        )
        .into()),
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(whole("there is no such file".into(), if_missing).into())
        }
        Err(error) => Err(Problems::io(file, "the file cannot be read", &error)),
    }
}
