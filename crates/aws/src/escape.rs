//! Percent-encodes text as SigV4 requires: letters, digits and `-._~` stay, everything else becomes `%XX`. A space
//! becomes `%20`, never `+`.

/// Percent-encodes all characters except the unreserved ones (RFC 3986, section 2.3).
pub fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
