//! Computes the checksums of objects and parts, and compares them with those that the client claims.
//!
//! Callers compare before they make an object visible.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use http::HeaderMap;
use s3s::S3ErrorCode;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// S3's checksum algorithms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// All algorithms with their headers and their names in S3.
const ALGORITHMS: [(Algorithm, &str, &str); 5] = [
    (Algorithm::Crc32, "x-amz-checksum-crc32", "CRC32"),
    (Algorithm::Crc32c, "x-amz-checksum-crc32c", "CRC32C"),
    (Algorithm::Crc64Nvme, "x-amz-checksum-crc64nvme", "CRC64NVME"),
    (Algorithm::Sha1, "x-amz-checksum-sha1", "SHA1"),
    (Algorithm::Sha256, "x-amz-checksum-sha256", "SHA256"),
];

impl Algorithm {
    /// Returns the algorithm with this S3 name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let known = ALGORITHMS.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(name));
        known.map(|(algorithm, ..)| *algorithm).ok_or_else(|| {
            Error::refused(S3ErrorCode::InvalidRequest, format!("checksum algorithm `{name}` is unknown"))
        })
    }

    /// Returns the name in S3.
    pub(crate) fn name(self) -> &'static str {
        ALGORITHMS[self as usize].2
    }

    /// Returns the CRC that joins checksums of parts into that of the whole; `None` if they cannot be joined.
    pub(crate) fn joins(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// Base64 checksums by algorithm.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Checksums(pub BTreeMap<Algorithm, String>);

impl Checksums {
    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<String> {
        self.0.get(&algorithm).cloned()
    }

    /// Reads the checksums that `headers` (or trailers) claim.
    pub(crate) fn claimed(headers: &HeaderMap) -> Self {
        let claims = ALGORITHMS.iter().filter_map(|(algorithm, header, _)| {
            let value = headers.get(*header)?.to_str().ok()?;
            Some((*algorithm, value.trim().to_owned()))
        });
        Self(claims.collect())
    }

    /// Fails if a claimed checksum differs from the computed one.
    pub(crate) fn verify(&self, claimed: &Self) -> Result<()> {
        for (algorithm, claim) in &claimed.0 {
            if self.0.get(algorithm).is_some_and(|computed| computed != claim) {
                let message =
                    format!("the {} you specified did not match what was received", algorithm.name());
                return Err(Error::refused(S3ErrorCode::BadDigest, message));
            }
        }
        Ok(())
    }
}

/// Returns the algorithms that a request asks for, by checksum headers, by announced trailers or by name. Default:
/// CRC-64/NVME.
pub(crate) fn wanted(headers: &HeaderMap) -> Result<Vec<Algorithm>> {
    let mut wanted: Vec<_> = Checksums::claimed(headers).0.into_keys().collect();
    for trailer in headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok()) {
        let announced = trailer.split(',').map(str::trim);
        wanted.extend(announced.filter_map(|name| {
            ALGORITHMS
                .iter()
                .find(|(_, header, _)| header.eq_ignore_ascii_case(name))
                .map(|(found, ..)| *found)
        }));
    }
    if let Some(name) = headers.get("x-amz-sdk-checksum-algorithm").and_then(|value| value.to_str().ok()) {
        wanted.push(Algorithm::named(name)?);
    }
    if wanted.is_empty() {
        wanted.push(Algorithm::Crc64Nvme);
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(wanted)
}

/// Computes the MD5 and the wanted checksums in one pass.
pub(crate) struct Digester {
    md5: Md5,
    sums: ChecksumHasher,
}

impl Digester {
    pub(crate) fn new(algorithms: &[Algorithm]) -> Self {
        Self { md5: Md5::new(), sums: hasher(algorithms) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sums.update(bytes);
    }

    /// Returns the MD5 and the checksums.
    pub(crate) fn finish(self) -> ([u8; 16], Checksums) {
        (self.md5.finalize(), summed(self.sums))
    }
}

/// Computes one checksum or the MD5 alone: less work than [`Digester`], which always computes the MD5 too.
pub(crate) enum Summer {
    Sum(Box<ChecksumHasher>),
    Md5(Box<Md5>),
    Nothing,
}

impl Summer {
    /// Begins a checksum.
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        Self::Sum(Box::new(hasher(&[algorithm])))
    }

    /// Begins an MD5.
    pub(crate) fn md5() -> Self {
        Self::Md5(Box::new(Md5::new()))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sum(hasher) => hasher.update(bytes),
            Self::Md5(md5) => md5.update(bytes),
            Self::Nothing => {}
        }
    }

    /// Returns the checksum in base64, or the MD5 in hexadecimal digits.
    pub(crate) fn finish(self) -> Option<String> {
        match self {
            Self::Sum(hasher) => summed(*hasher).0.into_values().next(),
            Self::Md5(md5) => Some(hex(&md5.finalize())),
            Self::Nothing => None,
        }
    }
}

fn hasher(algorithms: &[Algorithm]) -> ChecksumHasher {
    let mut sums = ChecksumHasher::default();
    for algorithm in algorithms {
        match algorithm {
            Algorithm::Crc32 => sums.crc32 = Some(Crc32::new()),
            Algorithm::Crc32c => sums.crc32c = Some(Crc32c::new()),
            Algorithm::Crc64Nvme => sums.crc64nvme = Some(Crc64Nvme::new()),
            Algorithm::Sha1 => sums.sha1 = Some(Sha1::new()),
            Algorithm::Sha256 => sums.sha256 = Some(Sha256::new()),
        }
    }
    sums
}

fn summed(hasher: ChecksumHasher) -> Checksums {
    let sums = hasher.finalize();
    let sums = [
        (Algorithm::Crc32, sums.checksum_crc32),
        (Algorithm::Crc32c, sums.checksum_crc32c),
        (Algorithm::Crc64Nvme, sums.checksum_crc64nvme),
        (Algorithm::Sha1, sums.checksum_sha1),
        (Algorithm::Sha256, sums.checksum_sha256),
    ];
    Checksums(sums.into_iter().filter_map(|(algorithm, sum)| Some((algorithm, sum?))).collect())
}

/// Fails if the MD5 differs from the one that the client claims in base64.
pub(crate) fn verify_md5(md5: &[u8; 16], claimed: Option<&str>) -> Result<()> {
    let Some(claimed) = claimed else { return Ok(()) };
    match BASE64.decode(claimed) {
        Ok(claimed) if claimed == md5 => Ok(()),
        Ok(claimed) if claimed.len() == 16 => Err(Error::refused(
            S3ErrorCode::BadDigest,
            "the Content-MD5 you specified did not match what was received",
        )),
        _ => Err(Error::refused(
            S3ErrorCode::InvalidDigest,
            "the Content-MD5 you specified is not an MD5 in base64",
        )),
    }
}

/// Formats bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Joins the checksums and sizes of parts into the checksum of the whole. Returns `None` if the algorithm does not
/// allow it.
pub(crate) fn joined(algorithm: Algorithm, parts: &[(String, u64)]) -> Option<String> {
    let crc = algorithm.joins()?;
    let mut whole: Option<u64> = None;
    let mut width = 8;
    for (sum, size) in parts {
        let bytes = BASE64.decode(sum).ok()?;
        width = bytes.len();
        let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        whole = Some(whole.map_or(value, |whole| crc_fast::checksum_combine(crc, whole, value, *size)));
    }
    let bytes = whole?.to_be_bytes();
    Some(BASE64.encode(&bytes[8_usize.checked_sub(width)?..]))
}

/// Computes S3's composite checksum: the checksum of the parts' checksums, then `-` and the number of parts. Returns
/// `None` if a part's checksum is not base64.
pub(crate) fn composed(algorithm: Algorithm, parts: &[String]) -> Option<String> {
    let mut digester = Digester::new(&[algorithm]);
    for sum in parts {
        digester.update(&BASE64.decode(sum).ok()?);
    }
    let sum = digester.finish().1.get(algorithm)?;
    Some(format!("{sum}-{}", parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut digester = Digester::new(&[algorithm]);
        digester.update(bytes);
        digester.finish().1.get(algorithm).unwrap()
    }

    #[test]
    fn checksums_match_the_published_check_values() {
        // The CRC catalogue gives each algorithm's checksum of these nine digits.
        let check = |algorithm, value: &[u8]| assert_eq!(sums(algorithm, b"123456789"), BASE64.encode(value));
        check(Algorithm::Crc32, &0xcbf4_3926_u32.to_be_bytes());
        check(Algorithm::Crc32c, &0xe306_9283_u32.to_be_bytes());
        check(Algorithm::Crc64Nvme, &0xae8b_1486_0a79_9888_u64.to_be_bytes());
    }

    #[test]
    fn joined_checksum_is_that_of_the_whole() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts: Vec<_> = [&b"1234"[..], b"567", b"", b"89"]
                .iter()
                .map(|part| (sums(algorithm, part), part.len() as u64))
                .collect();
            assert_eq!(joined(algorithm, &parts), Some(sums(algorithm, b"123456789")), "{algorithm:?}");
        }
        assert_eq!(joined(Algorithm::Sha256, &[]), None);
    }

    #[test]
    fn wrong_claims_and_unknown_names_are_refused() {
        let (md5, computed) = Digester::new(&[Algorithm::Crc32]).finish();
        let claim = Checksums([(Algorithm::Crc32, "AAAAAQ==".to_owned())].into());
        assert_eq!(computed.verify(&claim).unwrap_err().s3_code(), "BadDigest");
        assert!(computed.verify(&computed.clone()).is_ok());
        assert!(verify_md5(&md5, Some("1B2M2Y8AsgTpgAmY7PhCfg==")).is_ok());
        assert_eq!(verify_md5(&md5, Some("AAAAAAAAAAAAAAAAAAAAAA==")).unwrap_err().s3_code(), "BadDigest");
        assert_eq!(verify_md5(&md5, Some("?")).unwrap_err().s3_code(), "InvalidDigest");
        assert!(Algorithm::named("CRC1").is_err());
    }

    #[test]
    fn each_way_to_request_a_checksum_works() {
        let mut headers = HeaderMap::new();
        assert_eq!(wanted(&headers).unwrap(), [Algorithm::Crc64Nvme]);
        headers.insert("x-amz-trailer", "x-amz-checksum-crc32c".parse().unwrap());
        headers.insert("x-amz-checksum-sha1", "x".parse().unwrap());
        headers.insert("x-amz-sdk-checksum-algorithm", "SHA256".parse().unwrap());
        assert_eq!(wanted(&headers).unwrap(), [Algorithm::Crc32c, Algorithm::Sha1, Algorithm::Sha256]);
    }
}
