//! Makes the token that keeps a repeated event from creating a second job. The token depends only on the upload,
//! never on time or chance, so every delivery of one upload gives the same token.

use sha2::{Digest, Sha256};

use crate::Upload;

/// Returns the ClientRequestToken of an upload: 64 lower-case hexadecimal digits. They are a hash of the bucket, the
/// key and the first of version, sequencer and entity tag that the event has. Ignores the version `null`, which
/// objects in a bucket with suspended versioning have, because it identifies nothing.
pub fn client_request_token(upload: &Upload) -> String {
    let said = |value: &Option<String>| value.clone().filter(|text| !text.is_empty() && text != "null");
    let (name, value) = if let Some(version_id) = said(&upload.version_id) {
        ("version", version_id)
    } else if let Some(sequencer) = said(&upload.sequencer) {
        ("sequencer", sequencer)
    } else {
        ("etag", said(&upload.e_tag).unwrap_or_default())
    };
    let mut hash = Sha256::new();
    for field in [upload.bucket.as_str(), &upload.key, name, &value] {
        // The length prefix keeps `ab`+`c` apart from `a`+`bc`.
        hash.update(field.len().to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(key: &str, version_id: Option<&str>, sequencer: Option<&str>, e_tag: Option<&str>) -> Upload {
        Upload {
            bucket: "uploads".to_owned(),
            key: key.to_owned(),
            version_id: version_id.map(str::to_owned),
            sequencer: sequencer.map(str::to_owned),
            e_tag: e_tag.map(str::to_owned),
            ..Upload::default()
        }
    }

    #[test]
    fn duplicate_gets_the_same_token() {
        let first = client_request_token(&upload("a.mp4", None, Some("01"), Some("e")));
        let mut again = upload("a.mp4", None, Some("01"), Some("e"));
        again.event_name = "ObjectCreated:Copy".to_owned();
        again.size_bytes = Some(3);
        assert_eq!(first, client_request_token(&again));
        assert_eq!(first.len(), 64);
        assert!(first.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn every_difference_changes_the_token() {
        let tokens: Vec<_> = [
            upload("a.mp4", None, Some("01"), Some("e")),
            upload("a.mp4", None, Some("02"), Some("e")),
            upload("b.mp4", None, Some("01"), Some("e")),
            upload("a.mp4", Some("01"), None, None),
            upload("a.mp4", None, None, Some("01")),
            upload("a.mp4", None, None, None),
            Upload { bucket: "other".to_owned(), ..upload("a.mp4", None, Some("01"), Some("e")) },
            Upload { bucket: "uploadsa".to_owned(), ..upload(".mp4", None, Some("01"), None) },
        ]
        .iter()
        .map(client_request_token)
        .collect();
        let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
        assert_eq!(distinct.len(), tokens.len());
    }

    #[test]
    fn null_version_is_ignored() {
        let first = client_request_token(&upload("a.mp4", Some("null"), Some("01"), None));
        let second = client_request_token(&upload("a.mp4", Some("null"), Some("02"), None));
        assert_ne!(first, second);
    }
}
