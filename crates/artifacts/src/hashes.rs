//! Keys of artifacts and hashes of their files: BLAKE3, written as 64 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The error for a text that is no hash.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is no hash: write 64 lower-case hexadecimal digits")]
pub struct ParseHashError {
    text: String,
}

macro_rules! hash_type {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// Hashes these bytes.
            pub fn of(bytes: &[u8]) -> Self {
                blake3::hash(bytes).into()
            }
        }

        impl From<blake3::Hash> for $name {
            fn from(hash: blake3::Hash) -> Self {
                Self(*hash.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let wrong = || ParseHashError { text: text.chars().take(80).collect() };
                let hash: Self = blake3::Hash::from_hex(text).map_err(|_| wrong())?.into();
                // One key has one name.
                if hash.to_string() == text { Ok(hash) } else { Err(wrong()) }
            }
        }

        impl From<$name> for String {
            fn from(hash: $name) -> Self {
                hash.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseHashError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    };
}

hash_type! {
    /// The key of an artifact: a hash of all that determines its files, such as the task, its inputs and the version of
    /// the encoder.
    ArtifactKey
}
hash_type! {
    /// The hash of a file's bytes.
    ContentHash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_hash_are_one_to_one() {
        let key = ArtifactKey::of(b"task");
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<ArtifactKey>(&format!("\"{text}\"")).unwrap(), key);
        for wrong in
            ["", "..", &text[1..], &format!("{text}0"), &text.to_uppercase(), &text.replace('a', "g")]
        {
            assert!(wrong == text || wrong.parse::<ArtifactKey>().is_err(), "{wrong}");
        }
    }
}
