//! The policy of a form: what its signer allows. Parses it and checks a form's fields and size against it.
//!
//! Reads no clock and verifies no signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::S3ErrorCode;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Result};

/// Fields that need no condition: they carry the signature itself or the file.
const FREE_FIELDS: [&str; 3] = ["policy", "x-amz-signature", "file"];
/// Prefix of fields that nobody reads.
const IGNORED_PREFIX: &str = "x-ignore-";

#[derive(Deserialize)]
struct Document {
    expiration: String,
    conditions: Vec<Value>,
}

/// A condition on a field.
#[derive(Debug, PartialEq, Eq)]
struct Condition {
    /// In lower case, without `$`.
    field: String,
    value: String,
    is_prefix: bool,
}

impl Condition {
    fn holds(&self, value: &str) -> bool {
        if !self.is_prefix {
            return value == self.value;
        }
        // A content type may be a list, of which each must fit.
        if self.field == "content-type" {
            return value.split(',').all(|one| one.trim().starts_with(&self.value));
        }
        value.starts_with(&self.value)
    }

    /// As AWS prints it.
    fn text(&self) -> String {
        let matching = if self.is_prefix { "starts-with" } else { "eq" };
        let field = format!("${}", self.field);
        serde_json::json!([matching, field, self.value]).to_string()
    }
}

/// A parsed policy.
#[derive(Debug)]
pub(crate) struct Policy {
    expires: OffsetDateTime,
    conditions: Vec<Condition>,
    /// Fewest and most bytes of the file.
    pub size: Option<(u64, u64)>,
}

fn broken(why: &str) -> Error {
    Error::refused(S3ErrorCode::InvalidPolicyDocument, format!("Invalid Policy: {why}"))
}

fn denied(why: String) -> Error {
    Error::refused(S3ErrorCode::AccessDenied, format!("Invalid according to Policy: {why}"))
}

impl Policy {
    /// Parses a policy in base64, as the form has it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bytes = BASE64.decode(text.trim()).map_err(|_| broken("it is not base64."))?;
        let document: Document = serde_json::from_slice(&bytes).map_err(|_| broken("Invalid JSON."))?;
        let expires = OffsetDateTime::parse(&document.expiration, &Rfc3339)
            .map_err(|_| broken("Invalid 'expiration' value."))?;
        let mut policy = Self { expires, conditions: Vec::new(), size: None };
        for condition in document.conditions {
            policy.add(condition)?;
        }
        Ok(policy)
    }

    fn add(&mut self, condition: Value) -> Result<()> {
        let wrong = || broken("Invalid Condition.");
        match condition {
            Value::Object(pairs) => {
                for (field, value) in pairs {
                    let value = value.as_str().ok_or_else(wrong)?.to_owned();
                    self.conditions.push(Condition {
                        field: field.to_ascii_lowercase(),
                        value,
                        is_prefix: false,
                    });
                }
            }
            Value::Array(parts) => {
                let [Value::String(matching), first, second] = &parts[..] else { return Err(wrong()) };
                if matching.eq_ignore_ascii_case("content-length-range") {
                    return self
                        .add_size(number(first).ok_or_else(wrong)?, number(second).ok_or_else(wrong)?);
                }
                let is_prefix = match matching.to_ascii_lowercase().as_str() {
                    "eq" => false,
                    "starts-with" => true,
                    _ => return Err(wrong()),
                };
                let field = first.as_str().and_then(|field| field.strip_prefix('$')).ok_or_else(wrong)?;
                let value = second.as_str().ok_or_else(wrong)?.to_owned();
                self.conditions.push(Condition { field: field.to_ascii_lowercase(), value, is_prefix });
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// Adds a range of sizes. With several, all hold.
    fn add_size(&mut self, least: u64, most: u64) -> Result<()> {
        let (low, high) = self.size.unwrap_or((0, u64::MAX));
        self.size = Some((low.max(least), high.min(most)));
        Ok(())
    }

    /// Refuses the form if the policy has expired, if a condition does not hold, or if a field has no condition.
    pub(crate) fn check(&self, bucket: &str, fields: &[(String, String)], now: OffsetDateTime) -> Result<()> {
        if now >= self.expires {
            return Err(denied("Policy expired.".to_owned()));
        }
        for condition in &self.conditions {
            // The bucket is in the URL, whatever a field says.
            let value = match condition.field.as_str() {
                "bucket" => Some(bucket),
                field => fields.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str()),
            };
            if !condition.holds(value.unwrap_or_default()) {
                return Err(denied(format!("Policy Condition failed: {}", condition.text())));
            }
        }
        let is_free = |name: &str| {
            FREE_FIELDS.contains(&name)
                || name.starts_with(IGNORED_PREFIX)
                || self.conditions.iter().any(|condition| condition.field == name)
        };
        match fields.iter().find(|(name, _)| !is_free(name)) {
            Some((name, _)) => Err(denied(format!("Extra input fields: {name}"))),
            None => Ok(()),
        }
    }
}

/// Reads a number that is written as a number or as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(conditions: &str) -> Result<Policy> {
        let text = format!("{{\"expiration\": \"2026-01-01T12:00:00.000Z\", \"conditions\": {conditions}}}");
        Policy::parse(&BASE64.encode(text))
    }

    fn checked(conditions: &str, fields: &[(&str, &str)]) -> Result<()> {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let now = OffsetDateTime::parse("2026-01-01T11:59:59Z", &Rfc3339).unwrap();
        policy(conditions).unwrap().check("media", &fields, now)
    }

    #[test]
    fn each_kind_of_condition_holds_or_refuses() {
        for (conditions, fields, refused) in [
            (r#"[{"key": "a"}]"#, &[("key", "a")][..], None),
            (r#"[{"Key": "a"}]"#, &[("key", "b")], Some(r#"Policy Condition failed: ["eq","$key","a"]"#)),
            (r#"[["eq", "$key", "a"]]"#, &[("key", "a")], None),
            (r#"[["starts-with", "$key", "in/"]]"#, &[("key", "in/x")], None),
            (r#"[["starts-with", "$key", ""]]"#, &[("key", "x")], None),
            (
                r#"[["starts-with", "$key", "in/"]]"#,
                &[("key", "out/in/")],
                Some(r#"["starts-with","$key","in/"]"#),
            ),
            (r#"[["starts-with", "$key", "in/"]]"#, &[], Some("starts-with")),
            (
                r#"[["starts-with", "$Content-Type", "video/"]]"#,
                &[("content-type", "video/mp4,video/webm")],
                None,
            ),
            (
                r#"[["starts-with", "$Content-Type", "video/"]]"#,
                &[("content-type", "video/mp4,text/html")],
                Some("failed"),
            ),
            (r#"[{"bucket": "media"}]"#, &[], None),
            (r#"[{"bucket": "other"}]"#, &[], Some("bucket")),
            (r#"[{"bucket": "other"}]"#, &[("bucket", "other")], Some("bucket")),
            ("[]", &[("acl", "public-read")], Some("Extra input fields: acl")),
            ("[]", &[("x-amz-meta-a", "b")], Some("Extra input fields: x-amz-meta-a")),
            ("[]", &[("x-ignore-a", "b"), ("policy", "p"), ("x-amz-signature", "s")], None),
        ] {
            let answer = checked(conditions, fields).err().map(|error| error.to_string());
            match (refused, answer) {
                (None, answer) => assert_eq!(answer, None, "{conditions} {fields:?}"),
                (Some(words), Some(answer)) => assert!(answer.contains(words), "{answer} has no {words}"),
                (Some(_), None) => panic!("{conditions} {fields:?} passes"),
            }
        }
    }

    #[test]
    fn expired_policy_is_refused() {
        let at = OffsetDateTime::parse("2026-01-01T12:00:00Z", &Rfc3339).unwrap();
        let refused = policy("[]").unwrap().check("media", &[], at).unwrap_err();
        assert_eq!(
            (refused.s3_code(), refused.to_string().as_str()),
            ("AccessDenied", "Invalid according to Policy: Policy expired.")
        );
    }

    #[test]
    fn sizes_are_numbers_or_text_and_all_of_them_hold() {
        let size =
            policy(r#"[["content-length-range", 1, "10"], ["content-length-range", "2", 20]]"#).unwrap().size;
        assert_eq!(size, Some((2, 10)));
    }

    #[test]
    fn broken_policies_are_refused() {
        for conditions in [
            "[1]",
            "[[\"eq\", \"key\", \"a\"]]",
            "[[\"like\", \"$key\", \"a\"]]",
            "[[\"eq\", \"$key\"]]",
            "[{\"a\": 1}]",
            "1",
            "[[\"content-length-range\", -1, 2]]",
        ] {
            assert_eq!(policy(conditions).unwrap_err().s3_code(), "InvalidPolicyDocument", "{conditions}");
        }
        for text in ["", "???", "bm8gSlNPTg=="] {
            assert_eq!(Policy::parse(text).unwrap_err().s3_code(), "InvalidPolicyDocument", "{text}");
        }
    }
}
