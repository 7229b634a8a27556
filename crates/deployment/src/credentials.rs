//! Finds the deployer's credentials the way the AWS CLI does: in environment variables, then in the shared
//! configuration files, then in every other source that the AWS CLI knows (SSO, roles, containers, instances), through
//! `aws configure export-credentials`.

use std::process::Command;
use std::time::Duration;

use abanico_aws::{Credentials, CredentialsSource, Error};
use abanico_process::{Kind, OutputError, output};
use async_trait::async_trait;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;

use crate::profile::Profile;

/// Time limit for a program that prints credentials. It may wait for the user to type a code.
const PROGRAM_LIMIT: Duration = Duration::from_secs(120);
/// Temporary credentials are fetched again when they have less than this left before they expire.
const FRESH: Duration = Duration::from_secs(300);

/// Reads an environment variable; an empty one counts as unset, as in AWS's SDKs.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Looks credentials up at first use and again before they expire.
pub(crate) struct FoundCredentials {
    profile: Profile,
    prefers_profile: bool,
    found: Mutex<Option<Found>>,
}

#[derive(Clone)]
struct Found {
    credentials: Credentials,
    /// Seconds since 1970; `None` for credentials that do not expire.
    expires_s: Option<i64>,
}

impl FoundCredentials {
    /// Looks for credentials in the environment first, unless `prefers_profile` says that the user named the profile.
    pub fn of(profile: Profile, prefers_profile: bool) -> Self {
        Self { profile, prefers_profile, found: Mutex::new(None) }
    }

    async fn look(&self) -> Result<Found, Error> {
        if !self.prefers_profile
            && let Some(credentials) = from_environment()
        {
            return Ok(Found { credentials, expires_s: None });
        }
        if let Some(credentials) = self.profile.keys() {
            return Ok(Found { credentials, expires_s: None });
        }
        if let Some(command) = self.profile.setting("credential_process") {
            return run("credential_process", "sh", &["-c", command], PROGRAM_LIMIT).await;
        }
        let mut words = vec!["configure", "export-credentials", "--format", "process"];
        if self.profile.is_named() {
            words.extend(["--profile", self.profile.name()]);
        }
        run("aws configure export-credentials", "aws", &words, PROGRAM_LIMIT).await
    }
}

#[async_trait]
impl CredentialsSource for FoundCredentials {
    async fn credentials(&self) -> Result<Credentials, Error> {
        let mut found = self.found.lock().await;
        if let Some(found) = found.as_ref().filter(|found| found.is_fresh(now_s())) {
            return Ok(found.credentials.clone());
        }
        let fresh = self.look().await?;
        Ok(found.insert(fresh).credentials.clone())
    }
}

impl Found {
    fn is_fresh(&self, now_s: i64) -> bool {
        let limit_s = now_s.saturating_add_unsigned(FRESH.as_secs());
        self.expires_s.is_none_or(|expires_s| expires_s > limit_s)
    }
}

fn from_environment() -> Option<Credentials> {
    Some(Credentials {
        access_key_id: variable("AWS_ACCESS_KEY_ID")?,
        secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: variable("AWS_SESSION_TOKEN"),
    })
}

/// The JSON that credential programs print (AWS, "Sourcing credentials with an external process").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// Runs a program that prints credentials. It is killed with its children if it takes longer than `limit`.
async fn run(what: &str, program: &str, words: &[&str], limit: Duration) -> Result<Found, Error> {
    let mut command = Command::new(program);
    command.args(words);
    let failed = |why: String| Error::credentials(format!("`{what}` returned no credentials: {why}"));
    let output = output(command, Kind::UserProgram, limit).await.map_err(|error| match error {
        OutputError::Failed(std::io::ErrorKind::NotFound, _) => {
            failed(format!("`{program}` is not installed"))
        }
        OutputError::Failed(_, cause) => failed(cause),
        OutputError::TimedOut => failed(format!("it took longer than {} s", limit.as_secs())),
        OutputError::TooLong => failed("it printed more than 1 MiB".to_owned()),
    })?;
    if !output.exit.is_success() {
        let said = output.stderr;
        // Version 1 answers with its list of subcommands.
        if program == "aws" && said.to_lowercase().contains("invalid choice") {
            return Err(failed("this needs version 2 of the AWS CLI".to_owned()));
        }
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it printed no reason");
        return Err(failed(last.trim().to_owned()));
    }
    parse(&output.stdout).map_err(failed)
}

fn parse(printed: &[u8]) -> Result<Found, String> {
    // The JSON parser's error could quote a secret.
    let printed: Printed =
        serde_json::from_slice(printed).map_err(|_| "it did not print credentials as JSON".to_owned())?;
    if printed.version != 1 {
        return Err(format!("its output has version {}, but only version 1 is supported", printed.version));
    }
    let expires = printed.expiration.as_deref().map(|text| OffsetDateTime::parse(text, &Rfc3339));
    let expires =
        expires.transpose().map_err(|_| "its `Expiration` is not a time such as 2030-01-31T12:00:00Z")?;
    Ok(Found {
        credentials: Credentials {
            access_key_id: printed.access_key_id,
            secret_access_key: printed.secret_access_key,
            session_token: printed.session_token.filter(|token| !token.is_empty()),
        },
        expires_s: expires.map(OffsetDateTime::unix_timestamp),
    })
}

fn now_s() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_credentials_expire() {
        let text = br#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","SessionToken":"T","Expiration":"1970-01-01T01:00:00+00:00"}"#;
        let found = parse(text).unwrap();
        assert_eq!(found.credentials.session_token.as_deref(), Some("T"));
        assert_eq!(found.expires_s, Some(3600));
        assert!(found.is_fresh(3600 - 301) && !found.is_fresh(3600 - 300));
        let lasting = parse(br#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S"}"#).unwrap();
        assert!(lasting.is_fresh(i64::MAX));
        let text = br#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","SessionToken":""}"#;
        assert_eq!(parse(text).unwrap().credentials.session_token, None);
    }

    #[test]
    fn unusable_output_is_not_quoted() {
        for text in [
            r#"{"Version":1,"SecretAccessKey":"hidden"}"#,
            r#"{"Version":"hidden","AccessKeyId":"A","SecretAccessKey":"S"}"#,
            "hidden",
            r#"{"Version":2,"AccessKeyId":"A","SecretAccessKey":"hidden"}"#,
        ] {
            let why = parse(text.as_bytes()).err().unwrap();
            assert!(!why.contains("hidden"), "{why}");
        }
        let odd_time = r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"soon"}"#;
        assert!(parse(odd_time.as_bytes()).err().unwrap().contains("Expiration"));
    }

    fn profile(text: &str) -> Profile {
        Profile::parse("default", false, text, "")
    }

    #[tokio::test]
    async fn program_of_the_profile_is_run() {
        let text = "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}'\n";
        let source = FoundCredentials::of(profile(text), true);
        assert_eq!(source.credentials().await.unwrap().access_key_id, "A");
    }

    #[tokio::test]
    async fn failing_program_is_named_with_its_reason() {
        let source = FoundCredentials::of(
            profile(
                "[default]\ncredential_process = (echo 'warning'; echo 'token has expired'; echo) >&2; exit 3\n",
            ),
            true,
        );
        let error = source.credentials().await.unwrap_err().to_string();
        assert_eq!(error, "`credential_process` returned no credentials: token has expired");
    }

    #[tokio::test]
    async fn program_that_takes_too_long_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", noted.display());
        let limit = Duration::from_secs(2);
        let error = run("credential_process", "sh", &["-c", &script], limit).await.err().unwrap().to_string();
        assert_eq!(error, "`credential_process` returned no credentials: it took longer than 2 s");
        let child = std::fs::read_to_string(noted).unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        let is_zombie = |stat: &str| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z"));
        for _ in 0..3000 {
            if stat().is_empty() || is_zombie(&stat()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the child {child} is left over");
    }

    #[tokio::test]
    async fn missing_program_is_named() {
        let error = run("aws configure export-credentials", "no-such-program", &[], PROGRAM_LIMIT).await;
        assert_eq!(
            error.err().unwrap().to_string(),
            "`aws configure export-credentials` returned no credentials: `no-such-program` is not installed"
        );
    }

    #[tokio::test]
    async fn credentials_are_fetched_again_before_they_expire() {
        for (year, times) in [("1980", 2), ("9000", 1)] {
            let folder = tempfile::tempdir().unwrap();
            let count = folder.path().join("count");
            let text = format!(
                "[default]\ncredential_process = echo x >> {}; echo '{{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Expiration\":\"{year}-01-01T00:00:00Z\"}}'\n",
                count.display()
            );
            let source = FoundCredentials::of(profile(&text), true);
            source.credentials().await.unwrap();
            source.credentials().await.unwrap();
            assert_eq!(std::fs::read_to_string(count).unwrap().lines().count(), times, "{year}");
        }
    }
}
