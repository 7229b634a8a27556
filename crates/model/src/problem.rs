//! What is wrong at which place of a request: in a JSON pointer and MediaConvert's wording, out one line.
//! Never a whole request in a message.

use std::fmt;

/// One thing that is wrong with a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// JSON pointer to the value, empty for the whole.
    pub pointer: String,
    /// What is wrong, in the words of MediaConvert's own messages where it has them.
    pub message: String,
}

impl Problem {
    /// Makes a problem.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }

    /// A member that is missing.
    pub fn missing(pointer: &str, member: &str) -> Self {
        Self::new(pointer, format!("{member} is a required property"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message)
    }
}

/// All problems as MediaConvert joins them: one text with ` | ` between.
pub fn joined(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join(" | ")
}

/// The pointer of a member of what `pointer` leads to.
pub(crate) fn below(pointer: &str, member: impl fmt::Display) -> String {
    let escaped = member.to_string().replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{escaped}")
}
