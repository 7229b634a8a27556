//! Names of output files: in a group's destination, the input's URL, modifier and extension, out the file's URL.
//! Never a look at what already lies there.
//!
//! The rule is MediaConvert's: destination + modifier + `.` + extension; a destination that ends in `/` is completed
//! by the first input's file name without its last extension.

use crate::format_identifiers::{NameFacts, expand};

/// Destination of one output group, completed to the point where an output's modifier follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DestinationNames {
    base: String,
}

impl DestinationNames {
    /// Puts values in the place of the destination's variables, and completes it by the first input's name where it ends
    /// in `/`.
    pub(crate) fn new(destination: &str, facts: &NameFacts) -> Self {
        let completion = if destination.ends_with('/') { facts.input_name.as_str() } else { "" };
        Self { base: format!("{}{completion}", expand(destination, facts)) }
    }

    /// The destination up to where a modifier follows.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The URL of the output with this modifier and extension.
    pub fn file_url(&self, name_modifier: &str, extension: &str) -> String {
        format!("{}{name_modifier}.{extension}", self.base)
    }
}

/// The last path segment of a URL without its last extension; a name that is all extension (`.mp4`) stays whole.
/// Only `http:` and `https:` URLs have a query to leave out: in an S3 key `?` is a letter like any other.
pub(crate) fn file_stem(url: &str) -> &str {
    let path = if url.starts_with("http") { url.split(['?', '#']).next().unwrap_or(url) } else { url };
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rfind('.') {
        Some(0) | None => name,
        Some(dot) => &name[..dot],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_only_the_last_extension_cut() {
        let cases = [
            ("s3://b/k/a.b.mp4", "a.b"),
            ("s3://b/no-extension", "no-extension"),
            ("s3://b/.mp4", ".mp4"),
            ("s3://b/what?.mov", "what?"),
            ("https://h/p/film.mp4?sig=a/b.c", "film"),
            ("s3://b/día de playa 🏖.MOV", "día de playa 🏖"),
        ];
        for (url, stem) in cases {
            assert_eq!(file_stem(url), stem, "{url}");
        }
    }

    #[test]
    fn is_a_destination_without_slash_the_whole_base() {
        let facts = NameFacts { input_name: "other".to_owned(), ..NameFacts::default() };
        let names = |destination: &str| DestinationNames::new(destination, &facts).file_url("_a", "mp4");
        assert_eq!(names("s3://out/name"), "s3://out/name_a.mp4");
        assert_eq!(names("s3://out/x/"), "s3://out/x/other_a.mp4");
        assert_eq!(names("s3://out/$fn$/$d$/"), "s3://out/other/19700101/other_a.mp4");
    }
}
