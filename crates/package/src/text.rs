//! Attribute lists and URIs of HLS playlists. Quoted values cannot contain quotes or line breaks, because RFC
//! 8216 section 4.2 has no way to escape them.

/// Builds an attribute list.
#[derive(Default)]
pub(crate) struct Attributes(Vec<String>);

impl Attributes {
    /// Adds `name=value` verbatim.
    pub(crate) fn plain(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0.push(format!("{name}={value}"));
        self
    }

    /// Adds `name="value"` and drops quotes and line breaks from the value.
    pub(crate) fn quoted(&mut self, name: &str, value: &str) -> &mut Self {
        let clean: String = value.chars().filter(|letter| !matches!(letter, '"' | '\r' | '\n')).collect();
        self.0.push(format!("{name}=\"{clean}\""));
        self
    }

    /// Returns the attribute list.
    pub(crate) fn text(&self) -> String {
        self.0.join(",")
    }
}

/// Percent-encodes the characters of a path that a URI cannot hold.
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
    fn uri_escapes_reserved_characters() {
        assert_eq!(uri("día 1#?_00001.ts"), "d%C3%ADa%201%23%3F_00001.ts");
        assert_eq!(uri("a/b-c_d.e~f"), "a/b-c_d.e~f");
        assert_eq!(uri("100%.ts"), "100%25.ts");
    }

    #[test]
    fn quoted_value_cannot_close_its_quotes() {
        let mut list = Attributes::default();
        list.plain("BANDWIDTH", 7).quoted("NAME", "a\"b\nc");
        assert_eq!(list.text(), "BANDWIDTH=7,NAME=\"abc\"");
    }
}
