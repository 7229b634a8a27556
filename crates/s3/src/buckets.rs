//! Creates, lists, describes and removes buckets.
//!
//! It never removes a bucket that has objects. Multipart uploads are removed with their bucket.

mod access_block;
mod acl;
mod bucket_notifications;
pub(crate) mod bucket_rules;
pub(crate) mod bucket_settings;
mod bucket_tagging;
pub(crate) mod cors;
pub(crate) mod lifecycle;
mod ownership;
mod policy;
mod unset;
mod versioning;

use rusqlite::{OptionalExtension, params};
use s3s::S3ErrorCode;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketConfiguration, CreateBucketInput, CreateBucketOutput,
    DeleteBucketInput, GetBucketLocationOutput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
};

use self::access_block::AccessBlock;
use self::bucket_settings::{Settings, write};
use self::bucket_tagging::new_tags;
use crate::LocalS3;
use crate::error::{Error, Result};
use crate::index::record::require_bucket;
use crate::objects::get::timestamp;
use crate::objects::list::{owner, token_key, token_of};
use crate::objects::tagging::Tags;
use abanico_process::clock::wall_ms;

/// The first region of S3, for which S3 returns no location constraint.
const FIRST_REGION: &str = "us-east-1";
/// S3's limit on the length of a page of buckets.
const BUCKETS_MAX: i32 = 10_000;

/// Refuses buckets of another region or kind than there are.
fn check_configuration(configuration: &CreateBucketConfiguration, region: &str) -> Result<()> {
    if configuration.bucket.is_some() || configuration.location.is_some() {
        let message =
            "A header you provided implies functionality that is not implemented: directory buckets";
        return Err(Error::refused(S3ErrorCode::NotImplemented, message));
    }
    let wanted = configuration.location_constraint.as_ref().map(BucketLocationConstraint::as_str);
    match wanted {
        None | Some("") => Ok(()),
        Some(wanted) if wanted == region => Ok(()),
        Some(wanted) => Err(Error::refused(
            S3ErrorCode::IllegalLocationConstraintException,
            format!(
                "The {wanted} location constraint is incompatible for the region specific endpoint this request \
                 was sent to."
            ),
        )),
    }
}

impl LocalS3 {
    /// Creates a bucket if it does not exist.
    ///
    /// # Errors
    /// Fails if S3 does not allow the name, or on a disk error.
    pub async fn ensure_bucket(&self, name: &str) -> Result<(), Error> {
        self.ensure_bucket_with(name, Tags::new()).await
    }

    /// Creates a bucket if it does not exist. A new one gets the tags, and a public-access block.
    async fn ensure_bucket_with(&self, name: &str, tags: Tags) -> Result<()> {
        if !s3s::path::check_bucket_name(name) {
            return Err(Error::refused(
                S3ErrorCode::InvalidBucketName,
                format!("`{name}` is not a valid bucket name"),
            ));
        }
        let name = name.to_owned();
        let write = self.change_buckets(move |transaction| {
            let sql = "INSERT OR IGNORE INTO buckets (name, created_ms) VALUES (?1, ?2)";
            if transaction.execute(sql, params![name, wall_ms()])? > 0 {
                let access_block = Some(AccessBlock::NEW);
                write(transaction, &name, &Settings { tags, access_block, ..Settings::default() })?;
            }
            Ok(())
        });
        write.await
    }

    /// Returns whether a bucket exists.
    ///
    /// # Errors
    /// Fails on a disk error.
    pub async fn has_bucket(&self, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        let read = self.inner.index.read(move |reader| {
            let sql = "SELECT 1 FROM buckets WHERE name = ?1";
            Ok(reader.query_row(sql, [name], |_| Ok(())).optional()?.is_some())
        });
        read.await
    }

    /// Creates a bucket. `document` is the request's body, which may have tags.
    pub(crate) async fn make_bucket(
        &self,
        input: CreateBucketInput,
        document: &[u8],
    ) -> Result<CreateBucketOutput> {
        let region = &self.inner.options.region;
        if let Some(configuration) = &input.create_bucket_configuration {
            check_configuration(configuration, region)?;
        }
        if self.has_bucket(&input.bucket).await? && region != FIRST_REGION {
            return Err(Error::refused(S3ErrorCode::BucketAlreadyOwnedByYou, "you already own the bucket"));
        }
        self.ensure_bucket_with(&input.bucket, new_tags(document)?).await?;
        Ok(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) })
    }

    pub(crate) async fn remove_bucket(&self, input: DeleteBucketInput) -> Result<()> {
        let write = self.change_buckets(move |transaction| {
            require_bucket(transaction, &input.bucket)?;
            let sql = "SELECT 1 FROM objects WHERE bucket = ?1 LIMIT 1";
            if transaction.prepare_cached(sql)?.exists([&input.bucket])? {
                return Err(Error::refused(S3ErrorCode::BucketNotEmpty, "the bucket is not empty"));
            }
            crate::multipart::remove_uploads(transaction, &input.bucket)?;
            transaction.execute("DELETE FROM buckets WHERE name = ?1", [&input.bucket])?;
            Ok(())
        });
        write.await?;
        self.sweep_quietly().await;
        Ok(())
    }

    pub(crate) async fn all_buckets(&self, input: ListBucketsInput) -> Result<ListBucketsOutput> {
        let prefix = input.prefix.clone().unwrap_or_default();
        let page = match input.max_buckets {
            None => usize::MAX,
            Some(most @ 1..=BUCKETS_MAX) => usize::try_from(most).unwrap_or(usize::MAX),
            Some(_) => {
                let message = "Argument max-buckets must be an integer between 1 and 10000";
                return Err(Error::refused(S3ErrorCode::InvalidArgument, message));
            }
        };
        let first = input.continuation_token.as_deref().map(token_key).transpose()?.unwrap_or_default();
        let is_here = input.bucket_region.as_ref().is_none_or(|region| *region == self.inner.options.region);
        let read = self.inner.index.read(move |reader| {
            let mut statement =
                reader.prepare_cached("SELECT name, created_ms FROM buckets ORDER BY name")?;
            let rows =
                statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        });
        let is_asked = |(name, _): &(String, i64)| is_here && name.starts_with(&prefix) && *name >= first;
        let mut found: Vec<_> = read.await?.into_iter().filter(is_asked).collect();
        let next = found.get(page).map(|(name, _)| token_of(name));
        found.truncate(page);
        let buckets = found.into_iter().map(|(name, created_ms)| Bucket {
            name: Some(name),
            creation_date: Some(timestamp(created_ms)),
            bucket_region: Some(self.inner.options.region.clone()),
        });
        Ok(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(owner()),
            prefix: input.prefix,
            continuation_token: next,
        })
    }

    pub(crate) async fn require_bucket(&self, name: &str) -> Result<()> {
        if self.has_bucket(name).await? { Ok(()) } else { Err(Error::no_such_bucket(name)) }
    }

    pub(crate) async fn bucket_head(&self, name: &str) -> Result<HeadBucketOutput> {
        self.require_bucket(name).await?;
        let region = self.inner.options.region.clone();
        Ok(HeadBucketOutput { bucket_region: Some(region), ..HeadBucketOutput::default() })
    }

    pub(crate) async fn bucket_location(&self, name: &str) -> Result<GetBucketLocationOutput> {
        self.require_bucket(name).await?;
        let region = self.inner.options.region.clone();
        let location_constraint = (region != FIRST_REGION).then(|| BucketLocationConstraint::from(region));
        Ok(GetBucketLocationOutput { location_constraint })
    }
}
