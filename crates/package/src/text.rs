//! Attribute lists: in names and values, out the text between a tag's colon and its line's end.
//! Never a quote or a line break within a quoted value: RFC 8216 section 4.2 has no way to write them.

/// An attribute list in the making.
#[derive(Default)]
pub(crate) struct Attributes(Vec<String>);

impl Attributes {
    /// Adds `name=value` as it is.
    pub(crate) fn plain(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0.push(format!("{name}={value}"));
        self
    }

    /// Adds `name="value"`; what cannot stand between quotes is left out of the value.
    pub(crate) fn quoted(&mut self, name: &str, value: &str) -> &mut Self {
        let clean: String = value.chars().filter(|letter| !matches!(letter, '"' | '\r' | '\n')).collect();
        self.0.push(format!("{name}=\"{clean}\""));
        self
    }

    /// The list.
    pub(crate) fn text(&self) -> String {
        self.0.join(",")
    }
}

/// A URI as a playlist has it: what a URI cannot hold is percent-encoded, what it can hold stays.
pub(crate) fn uri(reference: &str) -> String {
    let mut text = String::with_capacity(reference.len());
    for byte in reference.bytes() {
        let stays = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
        if stays {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_name_a_uri_that_gives_the_name_back() {
        assert_eq!(uri("día 1#?_00001.ts"), "d%C3%ADa%201%23%3F_00001.ts");
        assert_eq!(uri("a/b-c_d.e~f"), "a/b-c_d.e~f");
        assert_eq!(uri("100%.ts"), "100%25.ts");
    }

    #[test]
    fn does_a_value_never_end_its_quotes() {
        let mut list = Attributes::default();
        list.plain("BANDWIDTH", 7).quoted("NAME", "a\"b\nc");
        assert_eq!(list.text(), "BANDWIDTH=7,NAME=\"abc\"");
    }
}
