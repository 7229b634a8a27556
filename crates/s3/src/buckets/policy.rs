//! Bucket policies that let everyone read: parses them, stores them, and says whether somebody without credentials may
//! read an object or list the bucket.
//!
//! A policy either means exactly what is done or is refused: nothing is ever more public than its text says.

use s3s::S3ErrorCode;
use s3s::dto::{
    DeleteBucketPolicyInput, DeleteBucketPolicyOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, PolicyStatus, PutBucketPolicyInput,
    PutBucketPolicyOutput,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::LocalS3;
use crate::error::{Error, Result};

/// S3's limit on the length of a policy.
const TEXT_MAX_BYTES: usize = 20 * 1024;
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
const ARN: &str = "arn:aws:s3:::";
const GET: &str = "s3:GetObject";
const LIST: &str = "s3:ListBucket";

/// A policy as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// The document as the client sent it.
    text: String,
    /// Which keys everyone may read.
    readable: Vec<Keys>,
    /// Whether everyone may list the bucket.
    is_listable: bool,
}

/// Keys of a bucket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Keys {
    /// The key alone.
    Key(String),
    /// All keys with this prefix.
    Prefix(String),
}

impl Policy {
    /// Parses a policy of a bucket.
    ///
    /// # Errors
    /// Fails with `MalformedPolicy` if AWS would refuse it, and with `NotImplemented` if this server cannot do exactly
    /// what it says.
    pub(crate) fn parse(bucket: &str, text: &str) -> Result<Self> {
        if text.len() > TEXT_MAX_BYTES {
            return Err(malformed("Policies must be smaller than 20 KiB"));
        }
        let document: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
        only(&document, &["Version", "Id", "Statement"])?;
        if let Some(version) = document.get("Version")
            && !version.as_str().is_some_and(|version| VERSIONS.contains(&version))
        {
            return Err(malformed("The policy must contain a valid version string"));
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(all)) if !all.is_empty() => all.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err(malformed("Missing required field Statement")),
        };
        let mut policy = Self { text: text.to_owned(), readable: Vec::new(), is_listable: false };
        for statement in statements {
            policy.take(bucket, statement)?;
        }
        Ok(policy)
    }

    /// Adds what a statement allows.
    fn take(&mut self, bucket: &str, statement: &Value) -> Result<()> {
        let Value::Object(statement) = statement else { return Err(malformed("Invalid policy syntax.")) };
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") if statement.contains_key("NotPrincipal") => {
                return Err(malformed("Allow with NotPrincipal is not allowed"));
            }
            Some("Allow") => only(statement, &["Sid", "Effect", "Principal", "Action", "Resource"])?,
            Some("Deny") => return Err(unserved("a statement with `\"Effect\": \"Deny\"`")),
            Some(_) => return Err(malformed("Invalid effect")),
            None => return Err(malformed("Missing required field Effect")),
        }
        check_principal(statement.get("Principal"))?;
        let actions = texts(statement, "Action")?;
        let resources = texts(statement, "Resource")?;
        if !actions.iter().all(|action| is_action(action)) {
            return Err(malformed("Policy has invalid action"));
        }
        if let Some(other) = actions.iter().find(|action| ![GET, LIST].contains(action)) {
            return Err(unserved(&format!(
                "the action `{other}`: everyone may be allowed {GET} and {LIST} only"
            )));
        }
        let (mut keys, mut is_of_bucket) = (Vec::new(), false);
        for resource in resources {
            match of_bucket(bucket, resource)? {
                Some(those) => keys.push(those),
                None => is_of_bucket = true,
            }
        }
        let (gets, lists) = (actions.contains(&GET), actions.contains(&LIST));
        if (gets && keys.is_empty()) || (lists && !is_of_bucket) {
            return Err(malformed("Action does not apply to any resource(s) in statement"));
        }
        if gets {
            self.readable.extend(keys);
        }
        self.is_listable |= lists;
        Ok(())
    }

    /// Whether everyone may read this key.
    pub(crate) fn is_readable(&self, key: &str) -> bool {
        self.readable.iter().any(|keys| match keys {
            Keys::Key(one) => one == key,
            Keys::Prefix(prefix) => key.starts_with(prefix.as_str()),
        })
    }

    /// Whether everyone may list the bucket.
    pub(crate) fn is_listable(&self) -> bool {
        self.is_listable
    }
}

fn malformed(message: &str) -> Error {
    Error::refused(S3ErrorCode::MalformedPolicy, message)
}

fn unserved(what: &str) -> Error {
    let message = format!(
        "This server has only policies that let everyone read (Allow, Principal \"*\", {GET} and {LIST}); it cannot do \
         what this one says: {what}"
    );
    Error::refused(S3ErrorCode::NotImplemented, message)
}

/// Refuses members that nothing here acts on.
fn only(members: &Map<String, Value>, known: &[&str]) -> Result<()> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) if ["Condition", "NotAction", "NotPrincipal", "NotResource"].contains(&name.as_str()) => {
            Err(unserved(&format!("`{name}`")))
        }
        Some(name) => Err(malformed(&format!("Unknown field {name}"))),
        None => Ok(()),
    }
}

/// Whether an action of a policy is one of S3 by its form.
fn is_action(action: &str) -> bool {
    let Some(name) = action.strip_prefix("s3:") else { return action == "*" };
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'?'))
}

/// Whether a name is a principal of AWS by its form: an account, a user, a role or everyone.
fn is_principal(kind: &str, name: &str) -> bool {
    let is_account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        "AWS" => name == "*" || is_account || name.starts_with("arn:aws:"),
        "Service" | "Federated" | "CanonicalUser" => !name.is_empty(),
        _ => false,
    }
}

/// Refuses a principal that is not everyone.
fn check_principal(principal: Option<&Value>) -> Result<()> {
    let invalid = || malformed("Invalid principal in policy");
    let members = match principal {
        None => return Err(malformed("Missing required field Principal")),
        Some(Value::String(everyone)) if everyone == "*" => return Ok(()),
        Some(Value::Object(members)) if !members.is_empty() => members,
        Some(_) => return Err(invalid()),
    };
    let mut is_everyone = true;
    for kind in members.keys() {
        for name in texts(members, kind).map_err(|_| invalid())? {
            if !is_principal(kind, name) {
                return Err(invalid());
            }
            is_everyone &= kind == "AWS" && name == "*";
        }
    }
    if is_everyone { Ok(()) } else { Err(unserved("a principal other than \"*\"")) }
}

/// Returns the texts of a member that is one text or several.
fn texts<'a>(statement: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a str>> {
    let all: Option<Vec<&str>> = match statement.get(name) {
        Some(Value::String(one)) => Some(vec![one]),
        Some(Value::Array(all)) if !all.is_empty() => all.iter().map(Value::as_str).collect(),
        _ => None,
    };
    all.ok_or_else(|| malformed(&format!("Missing required field {name}")))
}

/// Returns the keys that a resource means; `None` if it is the bucket itself.
fn of_bucket(bucket: &str, resource: &str) -> Result<Option<Keys>> {
    let elsewhere = || malformed("Policy has invalid resource");
    let name = resource.strip_prefix(ARN).ok_or_else(elsewhere)?;
    let (named, key) = name.split_once('/').map_or((name, None), |(named, key)| (named, Some(key)));
    if named != bucket {
        return Err(elsewhere());
    }
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() {
        return Err(elsewhere());
    }
    let prefix = key.strip_suffix('*');
    let literal = prefix.unwrap_or(key);
    if literal.contains(['*', '?']) || literal.contains("${") {
        return Err(unserved(&format!("the resource `{resource}`: `*` may stand only at its end")));
    }
    Ok(Some(prefix.map_or_else(|| Keys::Key(key.to_owned()), |prefix| Keys::Prefix(prefix.to_owned()))))
}

impl LocalS3 {
    pub(crate) async fn policy(&self, input: GetBucketPolicyInput) -> Result<GetBucketPolicyOutput> {
        Ok(GetBucketPolicyOutput { policy: Some(self.stored_policy(input.bucket).await?.text) })
    }

    pub(crate) async fn policy_status(
        &self,
        input: GetBucketPolicyStatusInput,
    ) -> Result<GetBucketPolicyStatusOutput> {
        let policy = self.stored_policy(input.bucket).await?;
        let is_public = policy.is_listable || !policy.readable.is_empty();
        Ok(GetBucketPolicyStatusOutput { policy_status: Some(PolicyStatus { is_public: Some(is_public) }) })
    }

    async fn stored_policy(&self, bucket: String) -> Result<Policy> {
        let policy = self.settings(bucket).await?.policy;
        let missing = || Error::refused(S3ErrorCode::NoSuchBucketPolicy, "The bucket policy does not exist");
        policy.ok_or_else(missing)
    }

    pub(crate) async fn put_policy(&self, input: PutBucketPolicyInput) -> Result<PutBucketPolicyOutput> {
        let bucket = input.bucket.clone();
        let change = self.set(input.bucket, move |settings| {
            let policy = Policy::parse(&bucket, &input.policy)?;
            // All policies that can be stored are public.
            if settings.access_block.as_ref().is_some_and(|block| block.blocks_policies()) {
                let message = "Access Denied: public policies are blocked by the BlockPublicPolicy block public \
                               access setting";
                return Err(Error::refused(S3ErrorCode::AccessDenied, message));
            }
            tracing::info!(bucket, "everyone may now read what a bucket's policy says");
            settings.policy = Some(policy);
            Ok(())
        });
        change.await?;
        Ok(PutBucketPolicyOutput {})
    }

    pub(crate) async fn delete_policy(
        &self,
        input: DeleteBucketPolicyInput,
    ) -> Result<DeleteBucketPolicyOutput> {
        self.set(input.bucket, |settings| {
            settings.policy = None;
            Ok(())
        })
        .await?;
        Ok(DeleteBucketPolicyOutput {})
    }

    /// Returns the policy that lets strangers into a bucket, unless something restricts it.
    pub(crate) fn open_policy(&self, bucket: &str) -> Option<Policy> {
        let settings = self.inner.settings.of(bucket)?;
        let is_restricted = settings.access_block.as_ref().is_some_and(|block| block.restricts());
        settings.policy.clone().filter(|_| !is_restricted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut statement = serde_json::json!({
            "Effect": "Allow", "Principal": "*", "Action": GET, "Resource": "arn:aws:s3:::media/hls/*",
        });
        change(statement.as_object_mut().unwrap());
        serde_json::json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
    }

    fn set(name: &'static str, value: Value) -> String {
        statement(|members| drop(members.insert(name.to_owned(), value)))
    }

    fn code(text: &str) -> String {
        Policy::parse("media", text).err().map_or_else(String::new, |error| error.s3_code().to_owned())
    }

    #[test]
    fn prefix_is_readable_and_nothing_beside_it() {
        let policy = Policy::parse("media", &statement(|_| {})).unwrap();
        for (key, is_readable) in [
            ("hls/a", true),
            ("hls/", true),
            ("hls/a/../../b", true),
            ("hls", false),
            ("hlsx", false),
            ("a/hls/b", false),
            ("", false),
        ] {
            assert_eq!(policy.is_readable(key), is_readable, "{key}");
        }
        assert!(!policy.is_listable());
        let exact = Policy::parse("media", &set("Resource", "arn:aws:s3:::media/a.mp4".into())).unwrap();
        assert!(exact.is_readable("a.mp4") && !exact.is_readable("a.mp4x"));
        let all = Policy::parse("media", &set("Resource", "arn:aws:s3:::media/*".into())).unwrap();
        assert!(all.is_readable("x") && !all.is_listable());
    }

    #[test]
    fn list_needs_the_bucket_and_read_needs_keys() {
        let both = statement(|members| {
            members.insert("Action".to_owned(), serde_json::json!([GET, LIST]));
            let resources = serde_json::json!(["arn:aws:s3:::media", "arn:aws:s3:::media/hls/*"]);
            members.insert("Resource".to_owned(), resources);
        });
        assert!(Policy::parse("media", &both).unwrap().is_listable());
        assert_eq!(code(&set("Resource", "arn:aws:s3:::media".into())), "MalformedPolicy");
        assert_eq!(code(&set("Action", LIST.into())), "MalformedPolicy");
    }

    #[test]
    fn everyone_can_be_written_in_three_ways() {
        for everyone in
            [serde_json::json!("*"), serde_json::json!({"AWS": "*"}), serde_json::json!({"AWS": ["*"]})]
        {
            assert_eq!(code(&set("Principal", everyone)), "");
        }
    }

    #[test]
    fn what_cannot_be_done_exactly_is_refused() {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (name, value, expected) in [
            ("Effect", json("\"Deny\""), "NotImplemented"),
            ("Effect", json("\"allow\""), "MalformedPolicy"),
            ("Principal", json("\"arn:aws:iam::111122223333:root\""), "MalformedPolicy"),
            ("Principal", json("{\"AWS\": \"arn:aws:iam::111122223333:root\"}"), "NotImplemented"),
            ("Principal", json("{\"AWS\": \"somebody\"}"), "MalformedPolicy"),
            ("Principal", json("{\"aws\": \"*\"}"), "MalformedPolicy"),
            ("Principal", json("{}"), "MalformedPolicy"),
            ("Principal", json("{\"AWS\": [\"*\", \"111122223333\"]}"), "NotImplemented"),
            ("Principal", json("{\"Service\": \"*\"}"), "NotImplemented"),
            ("Principal", json("{\"AWS\": \"*\", \"Service\": \"x\"}"), "NotImplemented"),
            ("Principal", json("{\"AWS\": []}"), "MalformedPolicy"),
            ("Action", json("\"s3:*\""), "NotImplemented"),
            ("Action", json("\"s3:Get*\""), "NotImplemented"),
            ("Action", json("\"s3:PutObject\""), "NotImplemented"),
            ("Action", json("[\"s3:GetObject\", \"s3:DeleteObject\"]"), "NotImplemented"),
            ("Action", json("\"*\""), "NotImplemented"),
            ("Action", json("[]"), "MalformedPolicy"),
            ("Action", json("\"GetObject\""), "MalformedPolicy"),
            ("Action", json("\"sqs:SendMessage\""), "MalformedPolicy"),
            ("Action", json("\"s3:Get Object\""), "MalformedPolicy"),
            ("Resource", json("\"*\""), "MalformedPolicy"),
            ("Resource", json("\"arn:aws:s3:::*\""), "MalformedPolicy"),
            ("Resource", json("\"arn:aws:s3:::other/*\""), "MalformedPolicy"),
            ("Resource", json("\"arn:aws:s3:::media/\""), "MalformedPolicy"),
            ("Resource", json("\"arn:aws:s3:::media*\""), "MalformedPolicy"),
            ("Resource", json("\"arn:aws:s3:::media/*/x*\""), "NotImplemented"),
            ("Resource", json("\"arn:aws:s3:::media/a?\""), "NotImplemented"),
            ("Resource", json("\"arn:aws:s3:::media/${aws:username}/*\""), "NotImplemented"),
            ("Condition", json("{}"), "NotImplemented"),
            ("NotAction", json("\"s3:GetObject\""), "NotImplemented"),
            ("NotPrincipal", json("\"*\""), "MalformedPolicy"),
            ("Unheard", json("1"), "MalformedPolicy"),
        ] {
            assert_eq!(code(&set(name, value.clone())), expected, "{name}: {value}");
        }
        for text in [
            "",
            "[]",
            "{}",
            "{\"Statement\": []}",
            "{\"Statement\": [1]}",
            &format!("{{\"Id\": \"{}\"}}", "x".repeat(TEXT_MAX_BYTES)),
        ] {
            assert_eq!(code(text), "MalformedPolicy", "{text}");
        }
        for name in ["Effect", "Principal", "Action", "Resource"] {
            assert_eq!(
                code(&statement(|members| drop(members.remove(name)))),
                "MalformedPolicy",
                "without {name}"
            );
        }
        assert_eq!(code(&statement(|_| {}).replace("2012-10-17", "2025-01-01")), "MalformedPolicy");
    }
}
