//! Checks that the cores in a file exist. That depends on the machine and the process, so it is
//! checked before a runtime starts, and not whenever a file is read.

use std::path::Path;

use chimaera_runtime::Error;
use chimaera_yaml::{Position, Problem, Problems};

use crate::file::File;
use crate::settings::{Origin, Settings};
use crate::value::Value;

/// Collects the problems with the cores among these values.
fn check<'v>(
    values: impl Iterator<Item = (&'v Path, Position, &'v Value)>,
) -> Result<(), Problems> {
    let wrong = values.filter_map(|(file, at, value)| {
        let Value::Cores(cores) = value else { return None };
        let (message, help) = match chimaera_runtime::check_cores(cores).err()? {
            Error::Core { core, usable } => {
                (format!("core {core} cannot be used"), format!("this process may use {usable}"))
            }
            other => (other.to_string(), "leave the cores to the operating system".to_owned()),
        };
        Some(Problem { file: file.to_owned(), position: Some(at), message, help })
    });
    let wrong: Vec<Problem> = wrong.collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Problems(wrong))
    }
}

impl File {
    /// Asks the operating system whether this process may use the cores that workers will be pinned
    /// to. `[any thread]`
    ///
    /// # Errors
    /// Every list with a core that the process may not use, with its position.
    pub fn check_cores(&self) -> Result<(), Problems> {
        check(self.values.values().map(|(value, at)| (&*self.path, *at, value)))
    }
}

impl Settings {
    /// The same of the cores that are in effect: flags may make those of the file meaningless.
    /// `[any thread]`
    ///
    /// # Errors
    /// Each list with a core that it may not use, with its place in the file: they come from
    /// nowhere else.
    pub fn check_cores(&self) -> Result<(), Problems> {
        check(self.values.iter().filter_map(|setting| match &setting.origin {
            Origin::File(path, at) => Some((&**path, *at, &setting.value)),
            _ => None,
        }))
    }
}
