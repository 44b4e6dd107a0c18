//! What is wrong with a mapping, and where.

use std::fmt;

/// One mistake, with the remedy in its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Such as `resources[2].port.entity.mappings.identifier`; empty for the whole.
    pub path: String,
    /// Counted from 1, where the mapping comes from a file.
    pub line: Option<usize>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), self.line) {
            ("", None) => write!(f, "{}", self.message),
            ("", Some(line)) => write!(f, "line {line}: {}", self.message),
            (path, None) => write!(f, "{path}: {}", self.message),
            (path, Some(line)) => write!(f, "{path} (line {line}): {}", self.message),
        }
    }
}

/// A mapping that was refused, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMapping {
    problems: Vec<Problem>,
}

impl InvalidMapping {
    pub(super) fn new(problems: Vec<Problem>) -> InvalidMapping {
        InvalidMapping { problems }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// At least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for InvalidMapping {}

impl fmt::Display for InvalidMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_of_file = self.problems.iter().any(|problem| problem.line.is_some());
        let mapping = match is_of_file {
            true => "the mapping",
            false => "the mapping stored in Port",
        };
        match self.problems.as_slice() {
            [problem] => write!(f, "{mapping} is not valid: {problem}"),
            problems => {
                write!(f, "{mapping} is not valid, in {} places:", problems.len())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}
