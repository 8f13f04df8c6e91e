//! The version of the contract.

/// Major version of the contract. A module loads only into a runtime of the same major version.
pub const CHI_ABI_MAJOR: u32 = 1;

/// Minor version of the contract. It increases when a table, or a struct that begins with its size,
/// grows; a module and a runtime with different minor versions use what both have.
pub const CHI_ABI_MINOR: u32 = 2;
