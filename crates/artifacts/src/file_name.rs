//! Names of files in artifacts: plain names, so that no path can leave the folder where a file is placed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Longest name in bytes; file systems take no more.
const MOST_BYTES: usize = 255;

/// The name of a file in an artifact: 1 to 255 bytes without `/` and control characters, and neither `.` nor `..`. Names
/// that begin with `.abanico-` are those of unfinished files.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FileName(String);

impl FileName {
    /// Checks a name.
    ///
    /// # Errors
    /// Returns [`crate::ErrorKind::Invalid`] with the reason.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let is_plain = !name.is_empty()
            && name.len() <= MOST_BYTES
            && ![".", ".."].contains(&name.as_str())
            && !name.starts_with(".abanico-")
            && !name.contains(|letter: char| letter == '/' || letter.is_control());
        if is_plain { Ok(Self(name)) } else { Err(Error::bad_name(&name)) }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl TryFrom<String> for FileName {
    type Error = Error;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_taken() {
        let long = "x".repeat(256);
        let wrong = ["", ".", "..", "a/b", "/", "a\nb", "a\0b", "\u{7f}", "\u{85}", ".abanico-x", &long];
        for name in wrong {
            let error = FileName::new(name).unwrap_err();
            assert!(error.to_string().contains("plain name"), "{error}");
            assert!(serde_json::from_value::<FileName>(name.into()).is_err());
        }
        for name in ["video.mp4", "...", "día 🏖.mp4", "manifest.json", "a\\b", &long[1..]] {
            assert_eq!(FileName::new(name).unwrap().as_str(), name);
        }
    }
}
