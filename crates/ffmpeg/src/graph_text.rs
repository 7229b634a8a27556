//! Values within a filter graph: in any text, out the text that ffmpeg reads it back from. Never a value that ends an option,
//! a filter or a chain.

/// A value within a graph, where it is read twice: as an option of a filter, and before that as a part of the graph
/// (ffmpeg's documentation of filters, "Notes on filtergraph escaping").
pub(crate) fn escaped(value: &str) -> String {
    with_slashes(&option_value(value), "\\'[],; ")
}

/// A value among options that colons part, read once.
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
    fn is_every_letter_with_a_meaning_held_back_on_both_levels() {
        assert_eq!(escaped("/a/b-c_1.ass"), "/a/b-c_1.ass");
        assert_eq!(escaped("a:b"), r"a\\:b");
        assert_eq!(escaped("o'neil"), r"o\\\'neil");
        assert_eq!(escaped("[x],y;"), r"\[x\]\,y\;");
        assert_eq!(escaped(r"\"), r"\\\\");
        // A space at an end would be left out.
        assert_eq!(escaped("a "), r"a\\\ ");
    }
}
