//! Checks that the cores, users and groups in a file exist. That depends on the machine and the
//! process, so it is checked before a runtime starts, and not whenever a file is read.

use std::path::Path;

use chimaera_runtime::Error;
use chimaera_yaml::{Position, Problem, Problems};

use crate::accounts;
use crate::file::File;
use crate::pool::Pool;
use crate::settings::{Origin, Settings};
use crate::value::Value;

/// A list in a file, and its position.
type Placed<'v> = (&'v Path, Position, &'v Value);

/// What is wrong with a value on this machine, and what to do.
fn wrong_with(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Cores(cores) => match chimaera_runtime::check_cores(cores) {
            Ok(()) => Vec::new(),
            Err(Error::Core { core, usable }) => vec![(
                format!("core {core} cannot be used"),
                format!("this process may use {usable}"),
            )],
            Err(other) => {
                vec![(other.to_string(), "leave the cores to the operating system".to_owned())]
            }
        },
        Value::Accounts(names) => unknown(names).collect(),
        Value::Quotas(quotas) => quotas.iter().flat_map(|quota| unknown(&quota.who)).collect(),
        _ => Vec::new(),
    }
}

/// What is wrong with users and groups that do not exist, and what to do.
fn unknown(names: &[String]) -> impl Iterator<Item = (String, String)> + '_ {
    let errors = names.iter().filter_map(|name| accounts::number(name).err());
    let help = "name one that exists on this machine, or give its number";
    errors.map(|error| (error.to_string(), help.to_owned()))
}

/// The lists of users and groups in the pools of a file.
fn of_pools<'p>(file: &'p Path, pools: &'p [Pool]) -> impl Iterator<Item = Placed<'p>> {
    pools.iter().flat_map(Pool::accounts).map(move |(value, at)| (file, *at, value))
}

/// Collects the problems with these values.
fn check<'v>(values: impl Iterator<Item = Placed<'v>>) -> Result<(), Problems> {
    let wrong = values.flat_map(|(file, at, value)| {
        wrong_with(value).into_iter().map(move |(message, help)| Problem {
            file: file.to_owned(),
            position: Some(at),
            message,
            help,
        })
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
    /// to, and whether the users and groups exist. `[any thread]`
    ///
    /// # Errors
    /// Every list with a core that the process may not use, and every unknown user or group, with its
    /// position.
    pub fn check_machine(&self) -> Result<(), Problems> {
        let values = self.values.values().map(|(value, at)| (&*self.path, *at, value));
        check(values.chain(of_pools(&self.path, &self.pools)))
    }

    /// Asks the operating system whether the users and groups exist that may use the pools of the file.
    /// `[any thread]`
    ///
    /// # Errors
    /// Every unknown user or group, with its position.
    pub fn check_pools(&self) -> Result<(), Problems> {
        check(of_pools(&self.path, &self.pools))
    }
}

impl Settings {
    /// Does the same for the effective values: flags may override those of the file.
    /// `[any thread]`
    ///
    /// # Errors
    /// As [`File::check_machine`]: these values can only come from the file.
    pub fn check_machine(&self) -> Result<(), Problems> {
        let values = self.values.iter().filter_map(|setting| match &setting.origin {
            Origin::File(path, at) => Some((&**path, *at, &setting.value)),
            _ => None,
        });
        let pools = self.file.iter().flat_map(|file| of_pools(file, &self.pools));
        check(values.chain(pools))
    }
}
