//! Which file it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment variable that names the file.
pub const FILE_VARIABLE: &str = "CHI_SERVER_CONF";

/// Where a file is looked for when none is named, in order.
pub fn candidates(environment: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG Base Directory Specification has relative directories ignored.
    let own = set("XDG_CONFIG_HOME")
        .filter(|home| home.is_absolute())
        .or_else(|| Some(set("HOME")?.join(".config")));
    own.into_iter()
        .chain([PathBuf::from("/etc")])
        .map(|directory| directory.join("chimaera/chimaera.yaml"))
        .collect()
}

/// The file to use: the one that is named here or by the environment, which then must be there, or else
/// the first candidate that is.
pub fn find(
    named: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let variable = || environment(FILE_VARIABLE).filter(|value| !value.is_empty());
    let named = named.map(Path::to_owned).or_else(|| variable().map(PathBuf::from));
    named.or_else(|| candidates(environment).into_iter().find(|path| is_there(path)))
}

/// Whether there is a file. One that cannot be looked at is read, and so complained about.
fn is_there(path: &Path) -> bool {
    !matches!(path.try_exists(), Ok(false))
}
