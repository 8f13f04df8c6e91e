//! Finding the configuration file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment variable with the path of the file.
pub const FILE_VARIABLE: &str = "CHI_SERVER_CONF";

/// Where the file is searched when none is named, in order.
pub fn candidates(environment: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG Base Directory Specification says to ignore relative directories.
    let own = set("XDG_CONFIG_HOME")
        .filter(|home| home.is_absolute())
        .or_else(|| Some(set("HOME")?.join(".config")));
    own.into_iter()
        .chain([PathBuf::from("/etc")])
        .map(|directory| directory.join("chimaera/chimaera.yaml"))
        .collect()
}

/// The file to use: the one that the caller or the environment names, which must exist; else the
/// first candidate that exists.
pub fn find(
    named: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let variable = || environment(FILE_VARIABLE).filter(|value| !value.is_empty());
    let named = named.map(Path::to_owned).or_else(|| variable().map(PathBuf::from));
    named.or_else(|| candidates(environment).into_iter().find(|path| is_there(path)))
}

/// Whether the file exists. If that cannot be determined, the answer is yes, so that reading it
/// reports the error.
fn is_there(path: &Path) -> bool {
    !matches!(path.try_exists(), Ok(false))
}
