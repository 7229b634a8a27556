//! Looks at the head of a request before anything else does: refuses what S3 would refuse for its signature, and tells
//! forms from other requests.
//!
//! It verifies no signature of a header or query; `s3s` does that, from the head alone. It never touches a body.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use s3s::{S3Error, S3ErrorCode};

/// The only algorithm that signatures may have.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// AWS's words for signatures of version 2.
const ONLY_V4: &str =
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
/// S3's limit on how long a presigned address is valid: a week.
const EXPIRES_MAX_S: i64 = 604_800;
/// AWS's words for headers that are not part of the signature.
const NOT_SIGNED: &str = "There were headers present in the request which were not signed";

/// Where a request goes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Its head claims a signature that covers what it must; the signature itself is still to be verified.
    Signed,
    /// It is a form, whose fields carry the signature.
    Form,
    /// It has no signature and only reads: whether everyone may, a bucket's policy decides.
    Guest,
}

/// Why a request is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub code: S3ErrorCode,
    pub message: String,
    /// Headers that are not part of the signature.
    pub not_signed: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(code: S3ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), not_signed: Vec::new() }
    }

    /// Refuses a signature of version 2.
    pub(crate) fn not_v4() -> Self {
        Self::new(S3ErrorCode::InvalidRequest, ONLY_V4)
    }
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        Self::with_message(refusal.code, refusal.message)
    }
}

/// Decides where a request goes from its head alone.
pub(crate) fn door(parts: &Parts) -> Result<Door, Refusal> {
    if parts.method == Method::POST && is_form(&parts.headers) {
        return Ok(Door::Form);
    }
    let names = query_names(parts.uri.query());
    let has = |wanted: &str| names.iter().any(|(name, _)| name == wanted);
    let is_presigned = has("X-Amz-Signature") || has("X-Amz-Algorithm") || has("X-Amz-Credential");
    if has("Signature") || has("AWSAccessKeyId") {
        return Err(Refusal::not_v4());
    }
    let mut claims = parts.headers.get_all(AUTHORIZATION).iter();
    let (claim, others) = (claims.next(), claims.next());
    if others.is_some() || (claim.is_some() && is_presigned) {
        let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query \
                       string parameter or the Authorization header should be specified";
        return Err(Refusal::new(S3ErrorCode::InvalidArgument, message));
    }
    let signed = match claim {
        Some(value) => header_claim(value.to_str().unwrap_or_default())?,
        None if is_presigned => query_claim(&names)?,
        None if is_guest(&parts.method, &names) => return Ok(Door::Guest),
        None => return Err(Refusal::new(S3ErrorCode::AccessDenied, "Access Denied")),
    };
    require_coverage(&parts.headers, &signed)?;
    if parts.headers.get_all("x-amz-date").iter().any(|date| !is_long_date(date.as_bytes())) {
        let message = "AWS authentication requires a valid Date or x-amz-date header";
        return Err(Refusal::new(S3ErrorCode::AccessDenied, message));
    }
    Ok(Door::Signed)
}

/// Whether a request without a signature only reads. What looks like a part of a signature is none of a guest.
fn is_guest(method: &Method, names: &[(String, String)]) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && !names.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("x-amz-"))
}

/// Whether any `Content-Type` says that the body is a form.
fn is_form(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data")
    })
}

/// Returns the decoded names and values of a query.
pub(crate) fn query_names(query: Option<&str>) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Returns the signed headers that an `Authorization` header names.
fn header_claim(text: &str) -> Result<Vec<String>, Refusal> {
    let malformed = |what: &str| {
        let message = format!("The authorization header is malformed; {what}.");
        Refusal::new(S3ErrorCode::AuthorizationHeaderMalformed, message)
    };
    let (scheme, fields) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match scheme {
        ALGORITHM => {}
        "AWS" => return Err(Refusal::not_v4()),
        _ => return Err(Refusal::new(S3ErrorCode::InvalidArgument, "Unsupported Authorization Type")),
    }
    let field = |name: &str| {
        let found = fields.split(',').filter_map(|field| field.trim().split_once('='));
        let mut found = found.filter(|(given, _)| *given == name).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (Some(value), None) => Ok(value),
            _ => Err(malformed(&format!("it must have one `{name}`"))),
        }
    };
    require_scope(field("Credential")?).map_err(|what| malformed(&what))?;
    Ok(names(field("SignedHeaders")?))
}

/// Returns the signed headers that a presigned query names.
fn query_claim(pairs: &[(String, String)]) -> Result<Vec<String>, Refusal> {
    let wrong = |what: String| Refusal::new(S3ErrorCode::AuthorizationQueryParametersError, what);
    let field = |name: &str| {
        let mut found = pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        match (found.next(), found.next()) {
            (Some(value), None) => Ok(value),
            _ => Err(wrong(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
                    .to_owned(),
            )),
        }
    };
    for name in ["X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires"] {
        field(name)?;
    }
    check_expiry(field("X-Amz-Expires")?).map_err(wrong)?;
    if field("X-Amz-Algorithm")? != ALGORITHM {
        return Err(wrong(format!("X-Amz-Algorithm only supports \"{ALGORITHM}\"")));
    }
    if !is_long_date(field("X-Amz-Date")?.as_bytes()) {
        let what = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"";
        return Err(wrong(what.to_owned()));
    }
    require_scope(field("X-Amz-Credential")?)
        .map_err(|what| wrong(format!("Error parsing the X-Amz-Credential parameter; {what}.")))?;
    Ok(names(field("X-Amz-SignedHeaders")?))
}

/// Refuses a presigned address that would be valid for longer than S3 allows, in AWS's words.
fn check_expiry(seconds: &str) -> Result<(), String> {
    match seconds.parse::<i64>() {
        Ok(..0) => Err("X-Amz-Expires must be non-negative".to_owned()),
        Ok(..=EXPIRES_MAX_S) => Ok(()),
        Ok(_) => Err(format!(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less \
             than {EXPIRES_MAX_S} seconds"
        )),
        Err(_) => Err("X-Amz-Expires should be a number".to_owned()),
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(';').map(str::to_owned).collect()
}

/// Whether a date looks like `20130524T000000Z`. `s3s` computes with the bytes of dates before it knows that they are
/// digits.
fn is_long_date(date: &[u8]) -> bool {
    matches!(date, [day @ .., b'T', a, b, c, d, e, f, b'Z'] if is_day(day) && [a, b, c, d, e, f].iter().all(|byte| byte.is_ascii_digit()))
}

/// Whether a date looks like `20130524`.
fn is_day(date: &[u8]) -> bool {
    date.len() == 8 && date.iter().all(u8::is_ascii_digit)
}

/// Refuses credentials without a date, and those that were made for another service, whose rules may be others.
fn require_scope(credential: &str) -> Result<(), String> {
    // A key is free to contain slashes, so the scope is counted from the end; `s3s` counts its date from the start.
    match credential.rsplit('/').collect::<Vec<_>>()[..] {
        ["aws4_request", "s3", _, date, _, ..] => {
            let counted = credential.split('/').nth(1).unwrap_or_default();
            let wrong = [date, counted].into_iter().find(|date| !is_day(date.as_bytes()));
            wrong.map_or(Ok(()), |date| {
                Err(format!(
                    "incorrect date format \"{date}\". This date in the credential must be in the format \"yyyyMMdd\""
                ))
            })
        }
        ["aws4_request", service, _, _, _, ..] => {
            Err(format!("incorrect service \"{service}\". This endpoint belongs to \"s3\""))
        }
        _ => Err(
            "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\""
                .to_owned(),
        ),
    }
}

/// Refuses a request that has a header which changes what it does, and which its signature does not cover. `s3s` skips
/// values that are not UTF-8 when it computes a signature, so these count as not covered.
fn require_coverage(headers: &HeaderMap, signed: &[String]) -> Result<(), Refusal> {
    let is_signed = |name: &str| signed.iter().any(|given| given == name);
    let mut not_signed: Vec<String> = headers
        .iter()
        .filter(|(name, value)| {
            let name = name.as_str();
            name.starts_with("x-amz-") && (!is_signed(name) || std::str::from_utf8(value.as_bytes()).is_err())
        })
        .map(|(name, _)| name.as_str().to_owned())
        .collect();
    if !is_signed("host") {
        not_signed.push("host".to_owned());
    }
    if not_signed.is_empty() {
        return Ok(());
    }
    not_signed.sort();
    not_signed.dedup();
    Err(Refusal { not_signed, ..Refusal::new(S3ErrorCode::AccessDenied, NOT_SIGNED) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIAL: &str = "AKIA/20260101/us-east-1/s3/aws4_request";

    fn parts(method: &str, query: &str, headers: &[(&str, &str)]) -> Parts {
        let builder = http::Request::builder().method(method).uri(format!("/bucket/key?{query}"));
        let request = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn by_header(signed: &str) -> String {
        format!("{ALGORITHM} Credential={CREDENTIAL}, SignedHeaders={signed}, Signature=00")
    }

    fn by_query(signed: &str) -> String {
        format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={CREDENTIAL}&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60\
             &X-Amz-SignedHeaders={signed}&X-Amz-Signature=00"
        )
    }

    fn code(answer: Result<Door, Refusal>) -> String {
        answer.err().map_or_else(|| "passes".to_owned(), |refusal| refusal.code.as_str().to_owned())
    }

    #[test]
    fn each_header_of_s3_must_be_signed_for_each_method_and_way_to_sign() {
        let names = [
            "x-amz-copy-source",
            "x-amz-copy-source-range",
            "x-amz-acl",
            "x-amz-meta-name",
            "x-amz-tagging",
            "x-amz-metadata-directive",
            "x-amz-date",
            "x-amz-content-sha256",
            "x-amz-checksum-crc32",
            "x-amz-new",
            "x-amz-security-token",
            "x-amz-bypass-governance-retention",
            "x-amz-trailer",
        ];
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
            for name in names {
                let value = if name == "x-amz-date" { "20260101T000000Z" } else { "v" };
                let listed = format!("host%3B{name}");
                for (query, headers, is_covered) in [
                    (by_query("host"), vec![(name, value)], false),
                    (by_query(&listed), vec![(name, value)], true),
                    (
                        String::new(),
                        vec![("authorization", by_header("host").leak() as &str), (name, value)],
                        false,
                    ),
                    (
                        String::new(),
                        vec![
                            ("authorization", by_header(&format!("host;{name}")).leak() as &str),
                            (name, value),
                        ],
                        true,
                    ),
                ] {
                    let answer = door(&parts(method, &query, &headers));
                    match answer {
                        Ok(door) => assert!(is_covered && door == Door::Signed, "{method} {name} passes"),
                        Err(refusal) => {
                            assert!(!is_covered, "{method} {name}: {refusal:?}");
                            assert_eq!(
                                (refusal.code.as_str(), &refusal.not_signed[..]),
                                ("AccessDenied", &[name.to_owned()][..])
                            );
                            assert_eq!(refusal.message, NOT_SIGNED);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn host_must_be_signed_and_other_headers_need_not() {
        let unsigned = door(&parts("GET", &by_query("range"), &[])).unwrap_err();
        assert_eq!(unsigned.not_signed, ["host"]);
        let others = [("content-type", "text/html"), ("content-md5", "x"), ("range", "bytes=0-1")];
        assert_eq!(door(&parts("PUT", &by_query("host"), &others)).unwrap(), Door::Signed);
        let spelled = parts("PUT", &by_query("host%3BX-Amz-Acl"), &[("x-amz-acl", "private")]);
        assert_eq!(code(door(&spelled)), "AccessDenied", "another spelling is not what s3s signs");
    }

    #[test]
    fn value_that_cannot_be_signed_is_not_covered() {
        let mut parts = parts("PUT", &by_query("host%3Bx-amz-meta-a"), &[]);
        parts.headers.insert("x-amz-meta-a", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
        assert_eq!(code(door(&parts)), "AccessDenied");
    }

    #[test]
    fn version_2_is_refused_wherever_it_stands() {
        for parts in [
            parts("GET", "", &[("authorization", "AWS AKIA:c2lnbmF0dXJl")]),
            parts("GET", "AWSAccessKeyId=AKIA&Signature=x&Expires=1", &[]),
            parts("GET", "Signature=x", &[]),
            parts("GET", "AWSAccessKeyId=AKIA", &[]),
            parts("GET", &format!("{}&%53ignature=x", by_query("host")), &[]),
        ] {
            let refusal = door(&parts).unwrap_err();
            assert_eq!(
                (refusal.code.as_str(), refusal.message.as_str()),
                ("InvalidRequest", ONLY_V4),
                "{}",
                parts.uri
            );
        }
    }

    #[test]
    fn address_is_valid_for_a_week_at_most() {
        for (seconds, expected) in [
            ("1", "passes"),
            ("604800", "passes"),
            ("604801", "AuthorizationQueryParametersError"),
            ("99999999999999999999", "AuthorizationQueryParametersError"),
            ("-1", "AuthorizationQueryParametersError"),
            ("soon", "AuthorizationQueryParametersError"),
        ] {
            let query = by_query("host").replace("X-Amz-Expires=60", &format!("X-Amz-Expires={seconds}"));
            assert_eq!(code(door(&parts("GET", &query, &[]))), expected, "{seconds}");
        }
    }

    #[test]
    fn dates_are_digits() {
        let (header, query) = (by_header("host"), by_query("host"));
        let day = header.split('/').nth(1).unwrap().to_owned();
        for wrong in ["2015083-", "2015083", "201508300", "", "2015/830"] {
            let bad = header.replace(&day, wrong);
            assert_eq!(
                code(door(&parts("GET", "", &[("authorization", bad.leak())]))),
                "AuthorizationHeaderMalformed",
                "{wrong}"
            );
            let bad = query.replacen(&day, wrong, 1);
            assert_eq!(code(door(&parts("GET", &bad, &[]))), "AuthorizationQueryParametersError", "{wrong}");
        }
        for wrong in ["20150830T12360-Z", "2015-830T123600Z", "20150830 123600Z", "", "20150830"] {
            let signed = by_header("host;x-amz-date").leak();
            let both = [("authorization", &*signed), ("x-amz-date", wrong)];
            assert_eq!(code(door(&parts("GET", "", &both))), "AccessDenied", "{wrong}");
        }
    }

    #[test]
    fn unsigned_doubly_signed_and_foreign_requests_are_refused() {
        let both = parts("GET", &by_query("host"), &[("authorization", by_header("host").leak())]);
        let sts = by_header("host").replace("/s3/", "/sts/");
        let sts_query = by_query("host").replace("/s3/", "/sts/");
        for (expected, parts) in [
            ("AccessDenied", parts("PUT", "", &[])),
            ("AccessDenied", parts("DELETE", "", &[])),
            ("AccessDenied", parts("GET", "x-AMZ-signature=00", &[])),
            ("AccessDenied", parts("POST", "delete", &[("content-type", "text/xml")])),
            ("InvalidArgument", parts("GET", "", &[("authorization", "Basic QTpC")])),
            ("InvalidArgument", both),
            ("AuthorizationHeaderMalformed", parts("GET", "", &[("authorization", sts.leak())])),
            ("AuthorizationQueryParametersError", parts("GET", &sts_query, &[])),
            ("AuthorizationQueryParametersError", parts("GET", "X-Amz-Signature=00", &[])),
            (
                "AuthorizationQueryParametersError",
                parts("GET", &format!("{}&X-Amz-SignedHeaders=x-amz-acl", by_query("host")), &[]),
            ),
        ] {
            assert_eq!(code(door(&parts)), expected, "{}", parts.uri);
        }
    }

    #[test]
    fn forms_are_told_by_method_and_type() {
        let form = [("content-type", "Multipart/Form-Data; boundary=x")];
        assert_eq!(door(&parts("POST", "", &form)).unwrap(), Door::Form);
        assert_eq!(door(&parts("GET", "prefix=x", &[])).unwrap(), Door::Guest);
        assert_eq!(door(&parts("HEAD", "", &[])).unwrap(), Door::Guest);
        assert_eq!(code(door(&parts("PUT", "", &form))), "AccessDenied");
    }
}
