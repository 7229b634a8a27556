//! Tests the signature check with requests that botocore signed (see `sigv4_fixtures.py`), with copies of them that
//! differ in one byte, and with requests that no signer makes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abanico_server::sigv4::{Expected, SigV4Error, SigV4ErrorKind, Verified, credential_scope, verify};
use http::request::Parts;
use serde::Deserialize;

#[derive(Clone, Deserialize)]
struct Fixture {
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    now_epoch_s: u64,
    access_key: String,
    secret_key: String,
    expected_service: String,
    verdict: String,
}

impl Fixture {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("sigv4_fixtures.json")).unwrap()
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|fixture| fixture.name == name).unwrap()
    }

    fn good() -> impl Iterator<Item = Self> {
        Self::all().into_iter().filter(|fixture| fixture.verdict == "ok")
    }

    /// Returns the request, or `None` if HTTP itself does not allow it.
    fn parts(&self) -> Option<Parts> {
        let builder = http::Request::builder().method(self.method.as_str()).uri(&self.target);
        let add =
            |builder: http::request::Builder, (name, value): &(String, String)| builder.header(name, value);
        Some(self.headers.iter().fold(builder, add).body(()).ok()?.into_parts().0)
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.now_epoch_s)
    }

    fn verify(&self, body: &[u8]) -> Result<Verified, SigV4Error> {
        let secret_of = |key: &str| (key == self.access_key).then(|| self.secret_key.clone());
        let expected = Expected { service: Some(&self.expected_service) };
        verify(&self.parts().unwrap(), body, &secret_of, self.now(), expected)
    }

    fn kind(&self) -> SigV4ErrorKind {
        self.verify(self.body.as_bytes()).unwrap_err().kind()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(given, _)| given != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Returns the names of the signed headers and of the header that holds the signature.
    fn protected_headers(&self) -> BTreeSet<String> {
        let claim = self.header("authorization").unwrap_or(&self.target).replace("%3B", ";");
        let (_, names) = claim.split_once("SignedHeaders=").unwrap();
        let names = names.split([',', '&']).next().unwrap();
        names.split(';').map(str::to_owned).chain(["authorization".to_owned()]).collect()
    }
}

/// Returns every text that differs from `text` in one character: one substitution per position.
fn changed(text: &str) -> impl Iterator<Item = String> {
    text.char_indices().map(|(at, old)| {
        let new = if old == 'x' { 'y' } else { 'x' };
        format!("{}{new}{}", &text[..at], &text[at + old.len_utf8()..])
    })
}

fn assert_refused(fixture: &Fixture, what: &str) {
    if fixture.parts().is_some() {
        assert!(fixture.verify(fixture.body.as_bytes()).is_err(), "{}: {what}", fixture.name);
    }
}

#[test]
fn botocore_requests_get_their_verdicts() {
    let fixtures = Fixture::all();
    assert!(fixtures.len() > 40);
    for fixture in fixtures {
        let verdict = match fixture.verify(fixture.body.as_bytes()) {
            Ok(verified) => {
                assert_eq!(verified.access_key, fixture.access_key);
                assert_eq!(verified.region, "eu-west-1");
                assert_eq!(verified.service, "mediaconvert");
                "ok".to_owned()
            }
            Err(error) => format!("{:?}", error.kind()),
        };
        assert_eq!(verdict, fixture.verdict, "{}", fixture.name);
    }
}

#[test]
fn changed_path_or_query_breaks_signature() {
    for fixture in Fixture::good() {
        for target in changed(&fixture.target) {
            // Without its first slash it is a host, not a path. And a name that `..` removes does not matter, because
            // the path stays `/a/b/d/`.
            let taken_back = target.starts_with("/a/./b/")
                && target.split_once("/../d/").map(|(_, rest)| rest)
                    == fixture.target.split_once("/../d/").map(|(_, rest)| rest);
            if !target.starts_with('/') || taken_back {
                continue;
            }
            assert_refused(&Fixture { target: target.clone(), ..fixture.clone() }, &target);
        }
        let more = if fixture.target.contains('?') { "&x=1" } else { "?x=1" };
        let target = format!("{}{more}", fixture.target);
        assert_refused(&Fixture { target, ..fixture.clone() }, "one more query member");
    }
}

#[test]
fn changed_header_or_signature_is_refused() {
    for fixture in Fixture::good() {
        let protected = fixture.protected_headers();
        for (at, (name, value)) in fixture.headers.iter().enumerate() {
            if !protected.contains(name) {
                continue;
            }
            for value in changed(value) {
                let mut mutant = fixture.clone();
                mutant.headers[at].1 = value.clone();
                assert_refused(&mutant, &format!("{name}: {value}"));
            }
            let mut without = fixture.clone();
            without.headers.remove(at);
            assert_refused(&without, &format!("no {name}"));
        }
    }
}

#[test]
fn changed_body_or_method_breaks_signature() {
    for fixture in Fixture::good() {
        let method = if fixture.method == "PUT" { "POST" } else { "PUT" }.to_owned();
        assert_refused(&Fixture { method, ..fixture.clone() }, "method");
        if fixture.header("x-amz-content-sha256") == Some("UNSIGNED-PAYLOAD") {
            assert!(fixture.verify(b"any other body").is_ok());
            continue;
        }
        for at in 0..fixture.body.len() {
            let mut body = fixture.body.clone().into_bytes();
            body[at] ^= 1;
            assert!(fixture.verify(&body).is_err(), "{}: byte {at}", fixture.name);
        }
        let longer = format!("{} ", fixture.body);
        assert!(fixture.verify(longer.as_bytes()).is_err(), "{}: longer", fixture.name);
    }
}

#[test]
fn wrong_secret_or_key_is_refused() {
    for mut fixture in Fixture::good() {
        fixture.secret_key.push('x');
        assert_eq!(fixture.kind(), SigV4ErrorKind::SignatureMismatch, "{}", fixture.name);
        fixture.access_key.push('x');
        assert_eq!(fixture.kind(), SigV4ErrorKind::UnknownKey, "{}", fixture.name);
    }
}

#[test]
fn any_service_passes_if_none_expected() {
    let fixture = Fixture::named("header_other_service");
    let secret_of = |_: &str| Some(fixture.secret_key.clone());
    let verified =
        verify(&fixture.parts().unwrap(), b"", &secret_of, fixture.now(), Expected::default()).unwrap();
    assert_eq!(verified.service, "sqs");
}

#[test]
fn scope_is_parsed_without_verification() {
    for name in ["header_wrong_secret", "query_wrong_secret"] {
        let scope = credential_scope(&Fixture::named(name).parts().unwrap()).unwrap();
        assert_eq!(scope.access_key, "AKIDFIXTURE000000001");
        assert_eq!(scope.date, "20260314");
        assert_eq!((scope.region.as_str(), scope.service.as_str()), ("eu-west-1", "mediaconvert"));
    }
    let mut plain = Fixture::named("header_root");
    plain.headers.retain(|(name, _)| name == "host");
    assert_eq!(credential_scope(&plain.parts().unwrap()), None);
}

#[test]
fn missing_signature_is_reported() {
    for authorization in [None, Some("Bearer abc"), Some("AWS4-ECDSA-P256-SHA256 Credential=a"), Some("")] {
        let mut fixture = Fixture::named("header_root");
        fixture.headers.retain(|(name, _)| name != "authorization");
        if let Some(value) = authorization {
            fixture.set_header("authorization", value);
        }
        assert_eq!(fixture.kind(), SigV4ErrorKind::MissingAuthentication, "{authorization:?}");
    }
}

#[test]
fn unparsable_claim_is_malformed() {
    let good = "Credential=k/20260314/r/s/aws4_request, SignedHeaders=host, Signature=00";
    for (fields, message) in [
        (good.replace("Signature=00", ""), "signature lacks `Signature`"),
        (format!("{good}, Signature=01"), "signature states `Signature` twice"),
        (good.replace("=host", "=x-amz-date"), "`SignedHeaders` lacks `host`"),
        (good.replace("/r/", "/"), "`Credential` is not `KEY/YYYYMMDD/REGION/SERVICE/aws4_request`"),
        (good.replace("/r/", "//"), "`Credential` is not `KEY/YYYYMMDD/REGION/SERVICE/aws4_request`"),
    ] {
        let mut fixture = Fixture::named("header_root");
        fixture.set_header("authorization", &format!("AWS4-HMAC-SHA256 {fields}"));
        let error = fixture.verify(b"").unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (SigV4ErrorKind::Malformed, message));
    }
}

#[test]
fn ambiguous_requests_are_malformed() {
    let mut both = Fixture::named("query_root");
    let header = Fixture::named("header_root").header("authorization").unwrap().to_owned();
    both.set_header("authorization", &header);
    assert_eq!(both.kind(), SigV4ErrorKind::Malformed);

    let mut twice = Fixture::named("header_root");
    twice.headers.push(("authorization".to_owned(), header));
    assert_eq!(twice.kind(), SigV4ErrorKind::Malformed);

    let mut repeated = Fixture::named("query_root");
    repeated.target.push_str("&X-Amz-Signature=00");
    assert_eq!(repeated.kind(), SigV4ErrorKind::Malformed);
}

#[test]
fn lifetime_over_a_week_is_malformed() {
    for expires in ["0", "604801", "-1", "soon", ""] {
        let mut fixture = Fixture::named("query_root");
        fixture.target = fixture.target.replace("X-Amz-Expires=300", &format!("X-Amz-Expires={expires}"));
        assert_eq!(fixture.kind(), SigV4ErrorKind::Malformed, "{expires}");
    }
}

#[test]
fn credential_day_must_be_signing_day() {
    let mut fixture = Fixture::named("header_root");
    let header = fixture.header("authorization").unwrap().replace("/20260314/", "/20260313/");
    fixture.set_header("authorization", &header);
    assert_eq!(fixture.kind(), SigV4ErrorKind::ScopeMismatch);
}

#[test]
fn clock_error_names_server_time_and_remedy() {
    let error = Fixture::named("header_callers_clock_too_slow").verify(b"").unwrap_err();
    let words = "request was signed at `20260314T235930Z`, but this server's clock says `20260315T001431Z`, \
                 more than 15 minutes apart; correct the caller's clock and sign again";
    assert_eq!(error.to_string(), words);
    let error = Fixture::named("query_after_its_end").verify(b"").unwrap_err();
    assert!(error.to_string().contains("was valid for 300 s"), "{error}");
}

#[test]
fn errors_show_no_secret_or_signature() {
    for mut fixture in Fixture::all() {
        fixture.secret_key.push('x');
        let signature = |text: &str| text.split_once("Signature=").map(|(_, after)| after[..64].to_owned());
        let sent = fixture.header("authorization").and_then(signature).or_else(|| signature(&fixture.target));
        let error = fixture.verify(fixture.body.as_bytes()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&fixture.secret_key[..8]), "{shown}");
        assert!(!shown.contains(&sent.unwrap()[..8]), "{shown}");
    }
}
