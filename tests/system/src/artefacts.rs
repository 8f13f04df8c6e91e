//! The artefacts under test. The build gives their locations in the environment:
//!
//! | variable | what |
//! |---|---|
//! | `CHI_TEST_BIN` | the program `chimaera` |
//! | `CHI_TEST_MODULES` | the directory of the C++ modules (`build/modules`) |
//! | `CHI_TEST_RUST_MODULES` | the directory of the Rust modules (`target/release`) |
//! | `CHI_TEST_FAULT_MODULES` | the directory of the test modules (`build/fixtures`) |
//! | `CHI_TEST_REPO_MODULES` | the directory of the modules of `tests/repo` (`build/tests/repo/modules`) |
//! | `CHI_TEST_PROGRAMS` | the directory of the C and C++ client programs (`build/tests/cpp`) |

use std::path::PathBuf;

fn variable(name: &str) -> PathBuf {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    let Some(value) = value else {
        panic!(
            "{name} is not set: `make test` builds what the whole-system tests need and runs them"
        );
    };
    let path = PathBuf::from(value);
    let path = std::fs::canonicalize(&path);
    path.unwrap_or_else(|error| panic!("{name}: {error}; `make test` builds what is missing"))
}

fn file(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} is missing; `make test` builds it", path.display());
    path
}

/// The program `chimaera`.
pub fn chimaera() -> PathBuf {
    file(variable("CHI_TEST_BIN"))
}

/// The C++ module of this name, such as `"example_mod_name"`.
pub fn cpp_module(name: &str) -> PathBuf {
    file(variable("CHI_TEST_MODULES").join(format!("lib{name}_runtime.so")))
}

/// The C++ module of this name in `tests/repo`, such as `"described_parts"`.
pub fn repo_module(name: &str) -> PathBuf {
    file(variable("CHI_TEST_REPO_MODULES").join(format!("lib{name}_runtime.so")))
}

/// The Rust module of this name, such as `"chimaera_kv"`.
pub fn rust_module(name: &str) -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join(format!("lib{name}_runtime.so")))
}

/// The module `test:rust_conformance`.
pub fn rust_conformance() -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join("libchimaera_test_rust_conformance.so"))
}

/// The module `test:depends_rust`.
pub fn rust_depends() -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join("libchimaera_test_depends.so"))
}

/// The module `test:rust_events`.
pub fn rust_events() -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join("libchimaera_test_rust_events.so"))
}

/// The module `test:rust_faults`.
pub fn rust_faults() -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join("libchimaera_test_rust_faults.so"))
}

/// Version 1 or 2 of the module `test:life` in Rust; `test_module("life")` and
/// `test_module("life_2")` are in C++.
pub fn rust_life(version: u32) -> PathBuf {
    let suffix = if version == 1 { "" } else { "_2" };
    file(variable("CHI_TEST_RUST_MODULES").join(format!("libchimaera_test_life{suffix}.so")))
}

/// The module `test:rust_locks`.
pub fn rust_locks() -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join("libchimaera_test_rust_locks.so"))
}

/// The module `test:rust_model`.
pub fn rust_model() -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join("libchimaera_test_rust_model.so"))
}

/// The module `test:spread_rust`.
pub fn spread_rust() -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join("libchimaera_test_spread.so"))
}

/// The module `test:witness`.
pub fn witness() -> PathBuf {
    file(variable("CHI_TEST_RUST_MODULES").join("libchimaera_test_witness.so"))
}

/// The library built from a source in tests/fixtures, such as `"throws_method"`.
pub fn test_module(name: &str) -> PathBuf {
    file(variable("CHI_TEST_FAULT_MODULES").join(name).join(format!("lib{name}.so")))
}

/// Such a library if this machine has what it needs; the build says so if not.
pub fn optional_test_module(name: &str) -> Option<PathBuf> {
    let path = variable("CHI_TEST_FAULT_MODULES").join(name).join(format!("lib{name}.so"));
    path.is_file().then_some(path)
}

/// A program built from tests/cpp, such as `"cpp_client"`.
pub fn program(name: &str) -> PathBuf {
    file(variable("CHI_TEST_PROGRAMS").join(name))
}

/// The Rust client program, which has the commands of `cpp_client`.
pub fn rust_client() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its program");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("tests are in target/*/deps");
    file(profile.join("chi-test-client"))
}
