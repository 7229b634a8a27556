//! Decodes the bytes of a caption file to text with `\n` line ends, and reports the encoding. Never fails:
//! bytes that are not Unicode are read as windows-1252, in which every byte is a character.

/// The encoding that bytes were decoded with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TextEncoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16 with the byte order mark `FF FE`.
    Utf16LittleEndian,
    /// UTF-16 with the byte order mark `FE FF`.
    Utf16BigEndian,
    /// windows-1252, assumed because the bytes are not valid UTF-8 and have no byte order mark. This is a guess
    /// that callers may want to report.
    Windows1252,
}

impl TextEncoding {
    /// Returns the name in the WHATWG Encoding Standard.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16LittleEndian => "UTF-16LE",
            Self::Utf16BigEndian => "UTF-16BE",
            Self::Windows1252 => "windows-1252",
        }
    }

    /// Whether the encoding is a guess.
    pub fn is_guess(self) -> bool {
        self == Self::Windows1252
    }
}

/// Decoded text and its encoding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodedText {
    /// The text, without byte order mark, with `\n` line ends, and with U+FFFD for NUL as WebVTT requires.
    pub text: String,
    /// The encoding that was used.
    pub encoding: TextEncoding,
}

/// Decodes bytes to text. An unpaired UTF-16 surrogate or a last odd byte becomes U+FFFD.
///
/// ```
/// use abanico_captions::{TextEncoding, decode};
/// let decoded = decode(b"\x93Se\xf1or\x94\r\n");
/// assert_eq!(decoded.text, "\u{201c}Señor\u{201d}\n");
/// assert_eq!(decoded.encoding, TextEncoding::Windows1252);
/// ```
pub fn decode(bytes: &[u8]) -> DecodedText {
    let (text, encoding) = match bytes {
        [0xff, 0xfe, rest @ ..] => (utf16(rest, u16::from_le_bytes), TextEncoding::Utf16LittleEndian),
        [0xfe, 0xff, rest @ ..] => (utf16(rest, u16::from_be_bytes), TextEncoding::Utf16BigEndian),
        _ => utf8_or_windows1252(bytes),
    };
    DecodedText { text: normalised(&text), encoding }
}

fn utf8_or_windows1252(bytes: &[u8]) -> (String, TextEncoding) {
    match str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) {
        Ok(text) => (text.to_owned(), TextEncoding::Utf8),
        Err(_) => (bytes.iter().map(|&byte| windows1252(byte)).collect(), TextEncoding::Windows1252),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| unit(pair));
    let mut text: String =
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

/// Decodes a byte of windows-1252 by the WHATWG Encoding Standard's index: ISO 8859-1, except for 0x80 to 0x9f.
fn windows1252(byte: u8) -> char {
    const FROM_0X80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => FROM_0X80[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// Removes a byte order mark, and replaces CRLF and CR by `\n` and NUL by U+FFFD. The parsers call it too,
/// because their text may not come from [`decode`].
pub(crate) fn normalised(text: &str) -> String {
    text.strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n")
        .replace('\r', "\n")
        .replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], text: &str, encoding: TextEncoding) {
        assert_eq!(decode(bytes), DecodedText { text: text.to_owned(), encoding }, "{bytes:x?}");
    }

    #[test]
    fn detects_each_encoding() {
        check(b"", "", TextEncoding::Utf8);
        check("ñ€\n".as_bytes(), "ñ€\n", TextEncoding::Utf8);
        check("\u{feff}WEBVTT".as_bytes(), "WEBVTT", TextEncoding::Utf8);
        check(b"\xff\xfeh\0\xe9\0", "hé", TextEncoding::Utf16LittleEndian);
        check(b"\xfe\xff\0h\xd8\x3d\xde\x00", "h😀", TextEncoding::Utf16BigEndian);
        check(b"caf\xe9 \x80 \x9f \x81", "café € Ÿ \u{81}", TextEncoding::Windows1252);
    }

    #[test]
    fn broken_utf16_becomes_replacement_characters() {
        check(b"\xff\xfe\x3d\xd8h\0\x01", "\u{fffd}h\u{fffd}", TextEncoding::Utf16LittleEndian);
    }

    #[test]
    fn line_ends_are_unified() {
        check(b"a\r\nb\rc\nd\r\r\ne\0", "a\nb\nc\nd\n\ne\u{fffd}", TextEncoding::Utf8);
    }

    #[test]
    fn only_windows1252_is_a_guess() {
        assert!(TextEncoding::Windows1252.is_guess());
        assert!(!decode(b"\xfe\xff\0h").encoding.is_guess());
        assert_eq!(TextEncoding::Utf16BigEndian.name(), "UTF-16BE");
    }

    proptest! {
        #[test]
        fn any_bytes_become_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = decode(&bytes).text;
            prop_assert!(!text.contains(['\r', '\0']));
            prop_assert_eq!(normalised(&text).len(), text.strip_prefix('\u{feff}').unwrap_or(&text).len());
        }

        #[test]
        fn utf8_is_unchanged(text in "[^\r\0\u{feff}]{0,80}") {
            let decoded = decode(text.as_bytes());
            prop_assert_eq!(decoded.text, text);
        }
    }
}
