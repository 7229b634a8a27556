//! Connects to an AWS account in one region and makes clients for its services.

use std::sync::Arc;

use abanico_aws::{
    CloudFormation, CredentialsSource, Logs, MediaConvert, S3, SignedClient, Sqs, Sts, endpoint,
};

use crate::credentials::{FoundCredentials, variable};
use crate::profile::Profile;
use crate::{Error, ErrorKind};

/// An account and a region in it.
#[derive(Clone)]
pub struct Account {
    source: Arc<FoundCredentials>,
    region: String,
    id: String,
}

impl Account {
    /// Finds credentials and a region, and asks AWS which account they belong to. `profile` and `region` override the
    /// environment and the shared configuration files.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Credentials`] if there are no credentials or no region.
    pub async fn connect(profile: Option<&str>, region: Option<&str>) -> Result<Self, Error> {
        // A profile that only AWS_PROFILE names comes after keys in the environment, as in the AWS CLI.
        let prefers_profile = profile.is_some() && profile != variable("AWS_PROFILE").as_deref();
        let profile = Profile::read(profile.filter(|name| !name.is_empty()));
        let region = region.filter(|region| !region.is_empty()).map(str::to_owned);
        let region = region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = region.or_else(|| profile.setting("region").map(str::to_owned)).ok_or_else(|| {
            let hint = "name one with --region, such as --region eu-west-1, or set AWS_REGION";
            Error::new(ErrorKind::Credentials, "no AWS region is set", hint)
        })?;
        let source = Arc::new(FoundCredentials::of(profile, prefers_profile));
        let mut account = Self { source, region, id: String::new() };
        let sts = account.client("sts").map(Sts::new)?;
        account.id = sts.account_id().await.map_err(Error::client("find out the account"))?;
        Ok(account)
    }

    /// Returns the account ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns a client of S3 in this region.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Usage`] if an endpoint variable is not a URL.
    pub fn s3(&self) -> Result<S3, Error> {
        self.client("s3").map(S3::new)
    }

    /// Returns a client of MediaConvert in this region.
    ///
    /// # Errors
    /// As [`Account::s3`].
    pub fn mediaconvert(&self) -> Result<MediaConvert, Error> {
        self.client("mediaconvert").map(MediaConvert::new)
    }

    /// Returns a client of SQS in this region.
    ///
    /// # Errors
    /// As [`Account::s3`].
    pub fn sqs(&self) -> Result<Sqs, Error> {
        self.client("sqs").map(Sqs::new)
    }

    pub(crate) fn cloudformation(&self) -> Result<CloudFormation, Error> {
        self.client("cloudformation").map(CloudFormation::new)
    }

    pub(crate) fn logs(&self) -> Result<Logs, Error> {
        self.client("logs").map(Logs::new)
    }

    /// Returns the credentials that are valid now: access key, secret and, for temporary ones, the token.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Credentials`] if there are none.
    pub async fn credentials(&self) -> Result<abanico_aws::Credentials, Error> {
        self.source.credentials().await.map_err(Error::client("find credentials"))
    }

    fn client(&self, service: &str) -> Result<SignedClient, Error> {
        let at = endpoint(service, &self.region, &|name| std::env::var(name).ok());
        let client = at.and_then(|at| SignedClient::new(service, &self.region, at, self.source.clone()));
        client.map_err(|error| Error::usage(error.to_string(), "unset the variable, or give it a URL"))
    }
}
