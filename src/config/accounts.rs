//! Users and groups in a file: `alice`, `1001`, `group:staff`, `group:2001`.

use chimaera_ipc::account;
use chimaera_runtime::Accounts;
use chimaera_yaml::shown;

use crate::units::Wrong;

/// The prefix of a group's name.
const GROUP: &str = "group:";

/// The number of a user or of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    User(u32),
    Group(u32),
}

/// Checks that a text could name a user or a group.
pub(crate) fn parse(text: &str) -> Result<String, Wrong> {
    let name = text.strip_prefix(GROUP).unwrap_or(text);
    let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ',' | ':');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && !name.contains(bad) {
        return Ok(text.to_owned());
    }
    Err((
        format!("\"{}\" is not the name of a user or group", shown(text)),
        "write a user as `alice` or `1001`, a group as `group:staff` or `group:2001`".into(),
    ))
}

/// The users and groups of a list on the command line, `alice,1001,group:staff`. An empty one names nobody.
///
/// # Errors
/// What is wrong with the first name that is wrong, or which user or group there is not.
pub fn listed(list: &str) -> Result<Accounts, String> {
    let mut all = Accounts::default();
    for name in list.split(',').filter(|_| !list.is_empty()) {
        let name = parse(name).map_err(|(what, help)| format!("{what}: {help}"))?;
        match number(&name).map_err(|error| error.to_string())? {
            Number::User(user) => all.users.push(user),
            Number::Group(group) => all.groups.push(group),
        }
    }
    Ok(all)
}

/// Looks up what a text names.
pub(crate) fn number(text: &str) -> Result<Number, account::Error> {
    match text.strip_prefix(GROUP) {
        Some(name) => account::group(name).map(Number::Group),
        None => account::user(text).map(Number::User),
    }
}

/// The numbers of the accounts that exist. The others have been reported before a runtime starts.
pub(crate) fn numbers(names: &[String]) -> Accounts {
    let mut all = Accounts::default();
    for name in names {
        match number(name) {
            Ok(Number::User(user)) => all.users.push(user),
            Ok(Number::Group(group)) => all.groups.push(group),
            // An account that does not exist grants nothing.
            Err(_) => {}
        }
    }
    all
}
