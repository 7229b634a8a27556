//! Describes what is wrong with a request, in MediaConvert's format `pointer: message`.

use std::fmt;

/// One problem and the place in the request where it occurs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// JSON pointer with wire names, such as `/outputGroups/0/outputs`; empty for the whole document.
    pub pointer: String,
    /// Description of the problem, in MediaConvert's wording.
    pub message: String,
}

impl Problem {
    /// Creates a problem with the value at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }

    /// Creates the problem that the object at `pointer` lacks `member`.
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

/// All problems of one request. `Display` separates them with ` | `.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Returns `Ok` if there are no problems.
    ///
    /// # Errors
    ///
    /// Returns itself if there is at least one problem.
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

/// Appends one step to a JSON pointer and escapes `~` and `/` as RFC 6901 requires.
pub(crate) fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_display_in_the_format_of_mediaconvert() {
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
