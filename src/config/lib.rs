//! The configuration of a runtime: one YAML file, read strictly and merged with the environment and
//! the command line.
//!
//! ```text
//! KEYS ─┬─ read ──► File ─┐
//!       │   environment ──┼─ merge ─► Settings ─► chimaera_runtime::Config
//!       │   command line ─┘              └──────► what `config show` prints
//!       └──────────────► what `config default` and `config schema` print, docs/configuration.md
//! ```
//!
//! All information about a key is in [`KEYS`], and only there. A flag overrides the environment,
//! which overrides the file, which overrides the default.
//!
//! ```
//! use chimaera_config::{File, Flags, Settings};
//!
//! let text = b"spin: 20us\nsegment:\n  max: 1GB\n";
//! let problems = File::parse("conf.yaml".as_ref(), text).unwrap_err();
//! assert_eq!(problems.to_string(), "conf.yaml:3:8: \"1GB\" has an unknown unit\n    write 1GiB");
//!
//! let flags = Flags { no_config: true, workers: Some(2), ..Flags::default() };
//! let settings = Settings::load(&flags, &|_| None).unwrap();
//! assert_eq!(settings.runtime().workers, 2);
//! ```

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod accounts;
mod docs;
mod file;
mod find;
mod hosts;
mod keys;
mod machine;
mod pool;
mod print;
mod quota;
mod schema;
mod settings;
mod units;
mod value;

pub use accounts::listed;
pub use docs::default_file;
#[doc(hidden)]
pub use docs::table;
pub use file::File;
pub use find::{candidates, find, FILE_VARIABLE};
pub use hosts::{resolve, MetricsAddress};
pub use keys::{Key, Kind, Preset, KEYS};
pub use pool::Pool;
pub use schema::schema;
pub use settings::{Flags, Origin, Setting, Settings};
pub use units::{parse_size, show_size};
pub use value::{address, log_level, Value};
