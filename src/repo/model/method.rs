//! The methods of a module.

use chimaera_yaml::Position;

/// The inherited methods. A method's index is its number.
pub(crate) const INHERITED: [&str; 6] =
    ["kCreate", "kDestroy", "kNodeFailure", "kRecover", "kMigrate", "kUpgrade"];

/// A method of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name, such as `kCompress`.
    pub name: String,
    /// Its number; `None` for an unsupported custom method whose number is not given.
    pub number: Option<u32>,
    /// False if the file sets it to `-1`.
    pub supported: bool,
    /// Its position in the file; the beginning if the file does not mention it.
    pub(crate) at: Position,
}

impl Method {
    /// Its name without the `k`.
    pub(crate) fn stem(&self) -> &str {
        &self.name[1..]
    }

    /// Whether it is one of the methods whose numbers are the same in every container.
    pub(crate) fn is_inherited(&self) -> bool {
        INHERITED.contains(&&self.name[..])
    }
}
