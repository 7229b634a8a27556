//! Builds the URLs of output files. It does not check whether a file already exists there.
//!
//! The rule is MediaConvert's: destination + modifier + `.` + extension. A destination that ends in `/` is
//! completed by the first input's file name without its last extension.

use crate::packaging::format_identifiers::{NameFacts, expand};

/// Destination of an output group, up to where an output's name modifier follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DestinationNames {
    base: String,
}

impl DestinationNames {
    /// Expands the variables of the destination, and appends the first input's name if it ends in `/`.
    pub(crate) fn new(destination: &str, facts: &NameFacts) -> Self {
        let completion = if destination.ends_with('/') { facts.input_name.as_str() } else { "" };
        Self { base: format!("{}{completion}", expand(destination, facts)) }
    }

    /// Returns the destination up to where a name modifier follows.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns the URL of the output with this name modifier and extension.
    pub fn file_url(&self, name_modifier: &str, extension: &str) -> String {
        format!("{}{name_modifier}.{extension}", self.base)
    }
}

/// Returns the last path segment of a URL without its last extension. A name that is all extension (`.mp4`)
/// is kept. Only `http:` and `https:` URLs have a query to remove; in an S3 key, `?` is an ordinary
/// character.
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
    fn only_the_last_extension_is_removed() {
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
    fn destinations_without_slash_are_complete() {
        let facts = NameFacts { input_name: "other".to_owned(), ..NameFacts::default() };
        let names = |destination: &str| DestinationNames::new(destination, &facts).file_url("_a", "mp4");
        assert_eq!(names("s3://out/name"), "s3://out/name_a.mp4");
        assert_eq!(names("s3://out/x/"), "s3://out/x/other_a.mp4");
        assert_eq!(names("s3://out/$fn$/$d$/"), "s3://out/other/19700101/other_a.mp4");
    }

    #[test]
    fn input_names_and_doubled_dollar_signs_are_literal() {
        for name in ["$dt$", "$d$", "5$", "$$", "$fn$"] {
            let facts = NameFacts { input_name: name.to_owned(), ..NameFacts::default() };
            let doubled = name.replace('$', "$$");
            for destination in
                ["s3://out/x/".to_owned(), "s3://out/x/$fn$".to_owned(), format!("s3://out/x/{doubled}")]
            {
                let names = DestinationNames::new(&destination, &facts);
                assert_eq!(names.file_url("_a", "mp4"), format!("s3://out/x/{name}_a.mp4"), "{destination}");
            }
        }
    }
}
