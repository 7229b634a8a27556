//! Uploads the functions' zip files to a bucket of the account. Keys are derived from the content, so a file that was
//! already uploaded is not sent again.

use abanico_aws::S3;

use crate::{Account, Error, Packages};

/// The bucket that holds the functions' code in an account and region.
pub struct Artifacts {
    s3: S3,
    bucket: String,
    region: String,
}

impl Artifacts {
    /// Names the bucket `abanico-code-ACCOUNT-REGION`. [`Artifacts::upload`] creates it if it does not exist.
    ///
    /// # Errors
    /// As [`Account::s3`].
    pub fn of(account: &Account) -> Result<Self, Error> {
        let bucket = format!("abanico-code-{}-{}", account.id(), account.region());
        Ok(Self { s3: account.s3()?, bucket, region: account.region().to_owned() })
    }

    /// Returns the bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Uploads the files that are not in the bucket yet and returns their number. A new bucket is private and
    /// encrypted, which has been S3's default since 2023.
    ///
    /// # Errors
    /// Fails if the bucket cannot be created or written to.
    pub async fn upload(&self, packages: &Packages) -> Result<usize, Error> {
        let making = format!("create the bucket `{}` for the functions", self.bucket);
        self.s3.create_bucket(&self.bucket, &self.region).await.map_err(Error::client(&making))?;
        let mut sent = 0;
        for (name, bytes) in &packages.files {
            let key = format!("{}{name}", packages.prefix);
            match self.s3.head_object(&self.bucket, &key).await {
                Ok(head) if head.size_bytes == bytes.len() as u64 => continue,
                Err(error) if !matches!(error.status(), Some(403 | 404)) => {
                    return Err(Error::client(&format!("look for `{key}`"))(error));
                }
                _ => {}
            }
            let put = self.s3.put_object(&self.bucket, &key, "application/zip", bytes.clone()).await;
            put.map_err(Error::client(&format!("upload `{key}` to `{}`", self.bucket)))?;
            sent += 1;
        }
        Ok(sent)
    }
}
