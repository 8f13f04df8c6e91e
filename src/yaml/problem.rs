//! Problems of a file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A position in a file. Lines and columns count from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The start of a file, for problems with something that is missing.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// A problem: its position, a description, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The position in the file; `None` for a problem of the file as a whole.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}\n    {}", self.message, self.help)
    }
}

/// All problems, ordered by file and line. Never empty when it is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl Problems {
    /// A problem from a failed system call on a file.
    pub fn io(file: &Path, what: &str, error: &std::io::Error) -> Problems {
        Problem {
            file: file.to_owned(),
            position: None,
            message: format!("{what}: {error}"),
            help: "check the path, and that you have permission to read and write there".into(),
        }
        .into()
    }
}

/// Collects the problems of one file.
pub struct Report {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl Report {
    /// Makes an empty report for a file.
    pub fn new(file: &Path) -> Report {
        Report { file: file.to_owned(), problems: Vec::new() }
    }

    /// Adds a problem: its position, a description, and how to fix it.
    pub fn add(&mut self, position: Position, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.clone(),
            position: Some(position),
            message: message.into(),
            help: help.into(),
        });
    }

    /// Whether there are no problems yet.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// `value`, unless there were problems.
    pub fn finish<T>(mut self, value: T) -> Result<T, Problems> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems.sort();
        Err(Problems(self.problems))
    }
}
