//! What is wrong in a file, and where.

use std::fmt;

/// A place in a file; both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text.
    pub at: Position,
    /// Where in the document: `ports[0].container`; empty for what concerns the whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.at.line, self.at.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// A file that cannot be deployed: everything that is wrong with it, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployFileError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl DeployFileError {
    pub(super) fn one(at: Position, message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { at, path: String::new(), message: message.into() }] }
    }

    /// One line a problem, each beginning with the file's name, as editors and terminals make links of it.
    #[must_use]
    pub fn in_file(&self, name: &str) -> String {
        self.problems.iter().map(|p| format!("{name}:{p}")).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for DeployFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for DeployFileError {}
