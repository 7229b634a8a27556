//! Percent-encoding as SigV4 wants it: in any text, out letters, digits, `-._~` and `%XX`. Never a `+` for a space.

/// Encodes everything but unreserved characters (RFC 3986 section 2.3).
pub fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
