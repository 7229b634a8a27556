//! An AWS account: in a profile and a region, out clients that act in it. Credentials come from the SDK's chain:
//! environment, profile, SSO, role of the machine.

use std::sync::Arc;

use abanico_aws::{CredentialsSource, MediaConvert, S3, SignedClient, Sqs, endpoint};
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::{Error, ErrorKind};

/// An account and a region in it.
#[derive(Clone)]
pub struct Account {
    config: SdkConfig,
    region: String,
    id: String,
}

impl Account {
    /// Finds out who acts; `region` and `profile` override the environment and the shared configuration.
    ///
    /// # Errors
    /// [`ErrorKind::Credentials`] without credentials or region.
    pub async fn connect(profile: Option<&str>, region: Option<&str>) -> Result<Self, Error> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let config = loader.load().await;
        let region = config.region().map(|region| region.to_string()).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| {
            let hint = "name one with --region, such as --region eu-west-1, or set AWS_REGION";
            Error::new(ErrorKind::Credentials, "no AWS region is set", hint)
        })?;
        let caller = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
        let caller = caller.map_err(Error::sdk("find out the account"))?;
        let id = caller.account().unwrap_or_default().to_owned();
        Ok(Self { config, region, id })
    }

    /// The account's number.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// S3 in this region.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when an endpoint variable is no URL.
    pub fn s3(&self) -> Result<S3, Error> {
        self.client("s3").map(S3::new)
    }

    /// MediaConvert in this region.
    ///
    /// # Errors
    /// As [`Account::s3`].
    pub fn mediaconvert(&self) -> Result<MediaConvert, Error> {
        self.client("mediaconvert").map(MediaConvert::new)
    }

    /// SQS in this region.
    ///
    /// # Errors
    /// As [`Account::s3`].
    pub fn sqs(&self) -> Result<Sqs, Error> {
        self.client("sqs").map(Sqs::new)
    }

    /// Credentials as they are now: access key, secret and, if temporary, the token.
    ///
    /// # Errors
    /// [`ErrorKind::Credentials`] when there are none.
    pub async fn credentials(&self) -> Result<abanico_aws::Credentials, Error> {
        let found = self.source().credentials().await;
        found.map_err(Error::client("find credentials"))
    }

    fn client(&self, service: &str) -> Result<SignedClient, Error> {
        let at = endpoint(service, &self.region, &|name| std::env::var(name).ok());
        let client = at.and_then(|at| SignedClient::new(service, &self.region, at, Arc::new(self.source())));
        client.map_err(|error| Error::usage(error.to_string(), "unset the variable, or give it a URL"))
    }

    fn source(&self) -> SdkCredentials {
        SdkCredentials(self.config.credentials_provider())
    }
}

/// The SDK's chain for the small client.
struct SdkCredentials(Option<SharedCredentialsProvider>);

#[async_trait]
impl CredentialsSource for SdkCredentials {
    async fn credentials(&self) -> Result<abanico_aws::Credentials, abanico_aws::Error> {
        let provider =
            self.0.as_ref().ok_or_else(|| abanico_aws::Error::credentials("there are no credentials"))?;
        let found = provider.provide_credentials().await;
        let found =
            found.map_err(|error| abanico_aws::Error::credentials(format!("no credentials: {error}")))?;
        Ok(abanico_aws::Credentials {
            access_key_id: found.access_key_id().to_owned(),
            secret_access_key: found.secret_access_key().to_owned(),
            session_token: found.session_token().map(str::to_owned),
        })
    }
}
