//! The methods of a module.

use chimaera_yaml::Position;

/// The inherited methods: the number of each is its place here.
pub(crate) const INHERITED: [&str; 6] =
    ["kCreate", "kDestroy", "kNodeFailure", "kRecover", "kMigrate", "kUpgrade"];

/// A method of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name, `kCompress`.
    pub name: String,
    /// Its number; `None` for a custom method that is not supported and whose number nobody knows.
    pub number: Option<u32>,
    /// False for one that is `-1` in the file.
    pub supported: bool,
    /// Where it stands; at the beginning when the file does not mention it.
    pub(crate) at: Position,
}

impl Method {
    /// Its name without the `k`.
    pub(crate) fn stem(&self) -> &str {
        &self.name[1..]
    }

    /// Whether every container has it, or at least its number.
    pub(crate) fn is_inherited(&self) -> bool {
        INHERITED.contains(&&self.name[..])
    }
}
