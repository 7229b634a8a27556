//! Where the functions' code lies: in zip files, out objects in a bucket of the account. A file that is there already is
//! not sent again: names follow content.

use abanico_aws::S3;

use crate::{Account, Error, Packages};

/// The bucket of an account and region for code.
pub struct Artifacts {
    s3: S3,
    bucket: String,
    region: String,
}

impl Artifacts {
    /// The bucket `abanico-code-ACCOUNT-REGION`, which [`Artifacts::upload`] makes when it is not there.
    ///
    /// # Errors
    /// As [`Account::s3`].
    pub fn of(account: &Account) -> Result<Self, Error> {
        let bucket = format!("abanico-code-{}-{}", account.id(), account.region());
        Ok(Self { s3: account.s3()?, bucket, region: account.region().to_owned() })
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Uploads what is not there yet and answers how many files that were. New buckets are private and encrypted by
    /// S3's own defaults (AWS, since 2023).
    ///
    /// # Errors
    /// When the bucket cannot be made or written.
    pub async fn upload(&self, packages: &Packages) -> Result<usize, Error> {
        let making = format!("make the bucket `{}` for the functions", self.bucket);
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
