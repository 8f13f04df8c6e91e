//! A strict reader for YAML files that people write. It reports all problems of a file at once,
//! each with its line, its column and a way to fix it.
//!
//! ```
//! use chimaera_yaml::{Report, Section};
//!
//! let mut report = Report::new("greeting.yaml".as_ref());
//! let root = chimaera_yaml::parse(b"naem: Ada", &mut report).expect("it is not empty");
//! let mut section = Section::open(root, "a greeting", &mut report).expect("it is a map");
//! let name = section.text("name", &mut report);
//! section.close("", &mut report);
//! let problems = report.finish(name).unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "greeting.yaml:1:1: unknown key `naem`\n    did you mean `name`?"
//! );
//! ```

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod file;
mod meaning;
mod mistakes;
mod numbers;
mod problem;
mod section;
mod tree;
mod words;

pub use file::read_file;
pub use meaning::Meaning;
pub use numbers::integer;
pub use problem::{Position, Problem, Problems, Report};
pub use section::{string, text, Section, Text};
pub use tree::{parse, shown, Entry, Kind, Node};
pub use words::nearest;
