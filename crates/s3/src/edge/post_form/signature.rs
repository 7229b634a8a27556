//! Verifies the signature of a form's policy. The signature is in the form's fields, and the policy is all that it
//! covers; the policy's conditions cover the rest.

use hmac::{Hmac, KeyInit, Mac};
use s3s::S3ErrorCode;
use sha2::Sha256;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use crate::edge::door::{ALGORITHM, Refusal};
use crate::error::{Error, Result};

/// How far a signer's clock may be ahead.
const MAX_SKEW: Duration = Duration::minutes(15);
/// How long a signing key is valid.
const MAX_AGE: Duration = Duration::days(7);

/// Fields of a signature of version 2, in lower case.
const OF_V2: [&str; 2] = ["awsaccesskeyid", "signature"];

/// Returns the policy of a form, in base64, once its signature is right. `secret` returns the secret of an access key.
///
/// The secret is never in an error, and signatures are compared in constant time.
pub(crate) fn signed_policy<'a>(
    field: &dyn Fn(&str) -> Option<&'a str>,
    secret: &dyn Fn(&str) -> Option<String>,
    now: OffsetDateTime,
) -> Result<&'a str> {
    if OF_V2.iter().any(|name| field(name).is_some()) {
        let Refusal { code, message, .. } = Refusal::not_v4();
        return Err(Error::refused(code, message));
    }
    if field("policy").is_none() && field("x-amz-signature").is_none() {
        return Err(Error::refused(S3ErrorCode::AccessDenied, "Access Denied"));
    }
    let needed = |name: &str| {
        let message = || {
            format!(
                "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of \
                 the fields."
            )
        };
        field(name).ok_or_else(|| Error::refused(S3ErrorCode::InvalidArgument, message()))
    };
    let (policy, signature) = (needed("policy")?, needed("x-amz-signature")?);
    let (credential, date) = (needed("x-amz-credential")?, needed("x-amz-date")?);
    if needed("x-amz-algorithm")? != ALGORITHM {
        let Refusal { code, message, .. } = Refusal::not_v4();
        return Err(Error::refused(code, message));
    }
    let wrong =
        || Error::refused(S3ErrorCode::AuthorizationQueryParametersError, "X-Amz-Credential is mal-formed");
    let parts: Vec<&str> = credential.rsplitn(5, '/').collect();
    let ["aws4_request", "s3", region, day, access_key] = parts[..] else { return Err(wrong()) };
    check_date(date, day, now)?;
    let unknown = || {
        Error::refused(
            S3ErrorCode::InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records.",
        )
    };
    let secret = secret(access_key).ok_or_else(unknown)?;
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, region, "s3", "aws4_request"] {
        key = keyed(&key, part.as_bytes()).finalize().into_bytes().to_vec();
    }
    let shown = unhex(signature).unwrap_or_default();
    keyed(&key, policy.as_bytes()).verify_slice(&shown).map_err(|_| {
        Error::refused(
            S3ErrorCode::SignatureDoesNotMatch,
            "The request signature we calculated does not match the signature you provided. Check your key and \
             signing method.",
        )
    })?;
    Ok(policy)
}

/// Refuses dates of another day than the credential's, of the future, and older than a signing key may be.
fn check_date(date: &str, day: &str, now: OffsetDateTime) -> Result<()> {
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    let signed = PrimitiveDateTime::parse(date, form)
        .map_err(|_| {
            Error::refused(
                S3ErrorCode::InvalidArgument,
                "X-Amz-Date must be in the format \"yyyyMMddTHHmmssZ\"",
            )
        })?
        .assume_utc();
    if !date.starts_with(day) || day.len() != 8 {
        return Err(Error::refused(
            S3ErrorCode::AccessDenied,
            "the credential is not of the day in X-Amz-Date",
        ));
    }
    if signed - now > MAX_SKEW || now - signed > MAX_AGE {
        return Err(Error::refused(
            S3ErrorCode::RequestTimeTooSkewed,
            "The difference between the request time and the current time is too large.",
        ));
    }
    Ok(())
}

fn keyed(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// Signs a policy as a client does, for tests.
#[cfg(test)]
pub(crate) fn sign(policy: &str, secret: &str, day: &str, region: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, region, "s3", "aws4_request"] {
        key = keyed(&key, part.as_bytes()).finalize().into_bytes().to_vec();
    }
    crate::blobs::checksums::hex(&keyed(&key, policy.as_bytes()).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2015-12-29 12:00 UTC);

    fn code(changed: &[(&str, Option<&str>)]) -> String {
        let policy = "cG9saWN5";
        let signature = sign(policy, "secret", "20151229", "us-east-1");
        let mut fields = vec![
            ("policy", Some(policy)),
            ("x-amz-algorithm", Some(ALGORITHM)),
            ("x-amz-credential", Some("AKIA/20151229/us-east-1/s3/aws4_request")),
            ("x-amz-date", Some("20151229T000000Z")),
            ("x-amz-signature", Some(signature.as_str())),
        ];
        for (name, value) in changed {
            fields.retain(|(known, _)| known != name);
            fields.push((name, *value));
        }
        let field =
            |name: &str| fields.iter().find(|(known, _)| *known == name).and_then(|(_, value)| *value);
        let secret = |key: &str| (key == "AKIA").then(|| "secret".to_owned());
        let answer = signed_policy(&field, &secret, NOW);
        answer.map_or_else(|error| error.s3_code().to_owned(), ToOwned::to_owned)
    }

    #[test]
    fn signature_matches_the_example_of_aws() {
        // "Example: Browser-Based Upload using HTTP POST" in the API reference of S3.
        let policy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
        let signature = sign(policy, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20151229", "us-east-1");
        assert_eq!(signature, "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e");
    }

    #[test]
    fn only_the_right_signature_passes() {
        assert_eq!(code(&[]), "cG9saWN5");
        let other = sign("cG9saWN5", "guess", "20151229", "us-east-1");
        for (expected, change) in [
            ("SignatureDoesNotMatch", ("x-amz-signature", Some(other.as_str()))),
            ("SignatureDoesNotMatch", ("x-amz-signature", Some(""))),
            ("SignatureDoesNotMatch", ("x-amz-signature", Some("0g"))),
            ("SignatureDoesNotMatch", ("policy", Some("b3RoZXI="))),
            ("SignatureDoesNotMatch", ("x-amz-credential", Some("AKIA/20151229/eu-west-1/s3/aws4_request"))),
            ("InvalidAccessKeyId", ("x-amz-credential", Some("AKIB/20151229/us-east-1/s3/aws4_request"))),
            ("AccessDenied", ("x-amz-credential", Some("AKIA/20151228/us-east-1/s3/aws4_request"))),
            (
                "AuthorizationQueryParametersError",
                ("x-amz-credential", Some("AKIA/20151229/us-east-1/sts/aws4_request")),
            ),
            ("InvalidArgument", ("x-amz-credential", None)),
            ("InvalidArgument", ("x-amz-signature", None)),
            ("InvalidArgument", ("policy", None)),
            ("InvalidArgument", ("x-amz-date", Some("today"))),
            ("RequestTimeTooSkewed", ("x-amz-date", Some("20151229T121600Z"))),
            ("InvalidRequest", ("x-amz-algorithm", Some("AWS4-ECDSA-P256-SHA256"))),
            ("InvalidRequest", ("signature", Some("x"))),
            ("InvalidRequest", ("awsaccesskeyid", Some("AKIA"))),
        ] {
            assert_eq!(code(&[change]), expected, "{change:?}");
        }
        assert_eq!(code(&[("policy", None), ("x-amz-signature", None)]), "AccessDenied");
    }
}
