//! What is wrong with a file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A place in a file, counted from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// Where a file begins: for what is missing in it.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// One thing that is wrong: where, what, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Where in it; `None` when it is about the file as a whole.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
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

/// All that is wrong, in the order of files and lines. Never empty as an error.
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
    /// A failure of the operating system on a file.
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
    /// For the file of this path.
    pub fn new(file: &Path) -> Report {
        Report { file: file.to_owned(), problems: Vec::new() }
    }

    /// Adds a problem: where, what, and what would be right.
    pub fn add(&mut self, position: Position, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.clone(),
            position: Some(position),
            message: message.into(),
            help: help.into(),
        });
    }

    /// Whether there is none yet.
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
