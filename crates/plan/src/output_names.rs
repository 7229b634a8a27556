//! Names of output files: in a group's destination, the input's URL, modifier and extension, out the file's URL.
//! Never a look at what already lies there.
//!
//! The rule is MediaConvert's: destination + modifier + `.` + extension; a destination that ends in `/` is completed
//! by the first input's file name without its last extension.

/// Destination of one output group, completed to the point where an output's modifier follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DestinationNames {
    base: String,
}

impl DestinationNames {
    /// Completes `destination` by the name of `input_url` where it ends in `/`.
    pub fn new(destination: &str, input_url: &str) -> Self {
        let completion = if destination.ends_with('/') { file_stem(input_url) } else { "" };
        Self { base: format!("{destination}{completion}") }
    }

    /// The destination up to where a modifier follows.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The URL of the output with this modifier and extension.
    ///
    /// ```
    /// use abanico_plan::DestinationNames;
    /// let names = DestinationNames::new("s3://out/x/", "s3://in/holiday.final.mp4");
    /// assert_eq!(names.file_url("_720p", "mp4"), "s3://out/x/holiday.final_720p.mp4");
    /// ```
    pub fn file_url(&self, name_modifier: &str, extension: &str) -> String {
        format!("{}{name_modifier}.{extension}", self.base)
    }
}

/// The last path segment of a URL without its last extension; a name that is all extension (`.mp4`) stays whole.
/// Only `http:` and `https:` URLs have a query to leave out: in an S3 key `?` is a letter like any other.
fn file_stem(url: &str) -> &str {
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
        let names = DestinationNames::new("s3://out/name", "s3://in/other.mp4");
        assert_eq!(names.file_url("", "mp4"), "s3://out/name.mp4");
    }
}
