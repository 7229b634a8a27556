//! Escapes values for use within an ffmpeg filter graph, so that no value can end an option, a filter or a
//! chain.

/// Escapes a value within a filter graph. ffmpeg parses it twice: first as part of the graph, then as an
/// option of a filter (ffmpeg's documentation of filters, "Notes on filtergraph escaping").
pub(crate) fn escaped(value: &str) -> String {
    with_slashes(&option_value(value), "\\'[],; ")
}

/// Escapes a value in a list of options separated by colons, which ffmpeg parses once.
pub(crate) fn option_value(value: &str) -> String {
    with_slashes(value, "\\': ")
}

fn with_slashes(text: &str, special: &str) -> String {
    let slash = |letter| special.contains(letter).then_some('\\');
    text.chars().flat_map(|letter| slash(letter).into_iter().chain([letter])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped_on_both_levels() {
        assert_eq!(escaped("/a/b-c_1.ass"), "/a/b-c_1.ass");
        assert_eq!(escaped("a:b"), r"a\\:b");
        assert_eq!(escaped("o'neil"), r"o\\\'neil");
        assert_eq!(escaped("[x],y;"), r"\[x\]\,y\;");
        assert_eq!(escaped(r"\"), r"\\\\");
        // ffmpeg would drop an unescaped trailing space.
        assert_eq!(escaped("a "), r"a\\\ ");
    }
}
