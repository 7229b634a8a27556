//! Loads or creates the server's own access key, which stays the same across restarts.
//!
//! The secret is never logged, and only the owner can read its file, which has a checksum: a damaged secret would refuse
//! every client and say that they are wrong.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::failure::{Hinted, WRONG_USAGE};

const ID_VARIABLE: &str = "ABANICO_ACCESS_KEY_ID";
const SECRET_VARIABLE: &str = "ABANICO_SECRET_ACCESS_KEY";

/// An access key and its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair")
            .field("access_key_id", &self.access_key_id)
            .field("secret", &"REDACTED")
            .finish()
    }
}

/// Reads the pair from the environment, otherwise from the data folder. If neither has one, creates a pair and stores
/// it in the folder.
///
/// # Errors
/// Fails if only half of a pair is in the environment, or the pair in the folder cannot be read or written.
pub fn load(data: &Path) -> anyhow::Result<KeyPair> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable(ID_VARIABLE), variable(SECRET_VARIABLE)) {
        (Some(access_key_id), Some(secret_access_key)) => Ok(KeyPair { access_key_id, secret_access_key }),
        (None, None) => kept(&data.join("credentials.json")),
        _ => {
            let message = format!("only one of {ID_VARIABLE} and {SECRET_VARIABLE} is set");
            Err(Hinted::new(WRONG_USAGE, message, "set both, or neither to let abanico create a pair").into())
        }
    }
}

/// The pair as its file has it.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    pair: KeyPair,
    /// Older versions wrote none.
    checksum: Option<String>,
}

impl Kept {
    fn new(pair: KeyPair) -> Self {
        let checksum = Some(checksum(&pair));
        Self { pair, checksum }
    }

    fn read(text: &str) -> Option<KeyPair> {
        let kept: Self = serde_json::from_str(text).ok()?;
        let is_whole = kept.checksum.is_none_or(|stored| stored == checksum(&kept.pair));
        is_whole.then_some(kept.pair)
    }
}

/// Returns a checksum of a pair. It says nothing about the secret that its file does not say.
fn checksum(pair: &KeyPair) -> String {
    let text = format!("{}\0{}", pair.access_key_id, pair.secret_access_key);
    blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
}

/// Tells that clients must learn a new pair, if there can be clients already.
fn tell_of_new_pair(path: &Path) {
    if path.with_file_name("s3").join("index.db").exists() {
        tracing::warn!(
            path = %path.display(),
            "made a new key pair, because there was none: clients that sign with an earlier one are refused"
        );
    }
}

fn kept(path: &Path) -> anyhow::Result<KeyPair> {
    match std::fs::read(path) {
        Ok(bytes) => Kept::read(&String::from_utf8_lossy(&bytes)).with_context(|| {
            format!(
                "`{}` is damaged: put it back from a backup, or remove it to let abanico create a new key pair",
                path.display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let pair = KeyPair {
                access_key_id: format!("ABANICO{}", random_text(13)?.to_uppercase()),
                secret_access_key: random_text(40)?,
            };
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(serde_json::to_string(&Kept::new(pair.clone()))?.as_bytes())?;
            file.sync_all()?;
            tell_of_new_pair(path);
            Ok(pair)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Returns random letters and digits, each equally likely, from the system's random number generator.
fn random_text(length: usize) -> anyhow::Result<String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = std::fs::File::open("/dev/urandom").context("cannot get random numbers")?;
    let mut text = String::new();
    while text.len() < length {
        let mut byte = [0];
        random.read_exact(&mut byte)?;
        // 248 is the largest multiple of 62 in a byte; higher values would favour the first letters.
        if byte[0] < 248 {
            text.push(char::from(LETTERS[usize::from(byte[0]) % LETTERS.len()]));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_pair_stays_the_same_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        let made = kept(&path).unwrap();
        assert_eq!(kept(&path).unwrap(), made);
        assert_eq!((made.access_key_id.len(), made.secret_access_key.len()), (20, 40));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{made:?}").contains(&made.secret_access_key));
        let other = kept(&folder.path().join("other.json")).unwrap();
        assert_ne!(other, made);
    }
    #[test]
    fn any_damage_is_refused_and_an_older_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        let made = kept(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for (place, bit) in (0..whole.len()).flat_map(|place| [1, 4, 0x80].map(|bit| (place, bit))) {
            let mut damaged = whole.clone();
            damaged[place] ^= bit;
            std::fs::write(&path, &damaged).unwrap();
            match kept(&path) {
                // The name of a member that may be missing.
                Ok(pair) => assert_eq!(pair, made, "bit {bit} of byte {place}"),
                Err(error) => assert!(error.to_string().contains("is damaged"), "{error}"),
            }
        }
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(kept(&path).is_err());
        std::fs::write(&path, serde_json::to_string(&made).unwrap()).unwrap();
        assert_eq!(kept(&path).unwrap(), made);
    }
}
