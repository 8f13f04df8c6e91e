//! Reading a whole file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::problem::{Problem, Problems};

/// Larger files are not read: they are something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The bytes of a file that must be there. `if_missing` says what to do when it is not.
pub fn read_file(file: &Path, if_missing: &str) -> Result<Vec<u8>, Problems> {
    let whole = |message: String, help: &str| Problem {
        file: file.to_owned(),
        position: None,
        message,
        help: help.into(),
    };
    let mut bytes = Vec::new();
    // What is no regular file has no size until it is read.
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
