//! What is wrong with a request: in a place and a sentence, out MediaConvert's `pointer: sentence`. Never decides.

use std::fmt;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// JSON pointer with wire names, such as `/outputGroups/0/outputs`; empty for the whole document.
    pub pointer: String,
    /// What is wrong there, in MediaConvert's wording.
    pub message: String,
}

impl Problem {
    /// Says `message` about the value at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }

    /// Says that the object at `pointer` lacks `member`.
    pub(crate) fn required(pointer: &str, member: &str) -> Self {
        Self::new(pointer, format!("{member} is a required property"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { self.pointer.as_str() };
        write!(out, "{place}: {}", self.message)
    }
}

/// Everything that is wrong with one request; displayed with ` | ` between the problems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Turns no problems into `Ok`.
    ///
    /// # Errors
    ///
    /// Gives itself back when there is at least one problem.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str(" | ")?;
            }
            problem.fmt(out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

/// Adds one step to a JSON pointer, with `~` and `/` escaped as RFC 6901 wants it.
pub(crate) fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_as_mediaconvert_writes_them() {
        let problems = Problems(vec![
            Problem::required("/outputGroups/0/outputs/0", "containerSettings"),
            Problem::new("", "wrong"),
        ]);
        assert_eq!(
            problems.to_string(),
            "/outputGroups/0/outputs/0: containerSettings is a required property | /: wrong"
        );
    }

    #[test]
    fn no_problem_is_ok() {
        assert!(Problems::default().into_result().is_ok());
        assert!(Problems(vec![Problem::new("", "x")]).into_result().is_err());
    }

    #[test]
    fn pointer_steps_are_escaped() {
        assert_eq!(step("/a", "b/c~d"), "/a/b~1c~0d");
    }
}
