//! Implements this crate's [`UploadOutbox`] with the outbox of the S3 endpoint. It only passes calls on.

use abanico_s3::{ErrorKind, Outbox, OutboxEntry};
use async_trait::async_trait;

use crate::events::upload_outbox::{Backlog, OutboxError, UploadEntry, UploadOutbox};

impl From<OutboxEntry> for UploadEntry {
    fn from(entry: OutboxEntry) -> Self {
        let OutboxEntry { id, bucket, key, event, function, attempts, last_error, created_ms, .. } = entry;
        Self { id, bucket, key, event, function, attempts, last_error, created_ms }
    }
}

fn ours(entries: Vec<OutboxEntry>) -> Vec<UploadEntry> {
    entries.into_iter().map(UploadEntry::from).collect()
}

#[async_trait]
impl UploadOutbox for Outbox {
    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(ours(Self::due(self, now_ms, limit).await?))
    }

    async fn delivered(&self, id: i64) -> Result<(), OutboxError> {
        Ok(Self::delivered(self, id).await?)
    }

    async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), OutboxError> {
        Ok(Self::retry_at(self, id, when_ms, error).await?)
    }

    async fn dead_letter(&self, id: i64, error: &str) -> Result<(), OutboxError> {
        Ok(Self::dead_letter(self, id, error).await?)
    }

    async fn dead_letters(&self) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(ours(Self::dead_letters(self).await?))
    }

    async fn replay(&self, id: i64) -> Result<bool, OutboxError> {
        match Self::replay(self, id).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError> {
        Ok(Self::next_due_ms(self).await?)
    }

    async fn put_aside(&self) -> Result<Vec<String>, OutboxError> {
        let entries = Self::put_aside(self).await?;
        Ok(entries.into_iter().map(|(id, reason)| format!("`outbox/{id}` ({reason})")).collect())
    }

    async fn changed(&self) {
        Self::changed(self).await;
    }

    async fn backlogs(&self) -> Result<Vec<Backlog>, OutboxError> {
        Ok(Self::backlogs(self).await?)
    }

    async fn waiting_for(&self, receiver: &str, limit: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(ours(Self::waiting_for(self, receiver, limit).await?))
    }

    async fn redeliver(&self, receiver: &str) -> Result<u64, OutboxError> {
        Ok(Self::redeliver(self, receiver).await?)
    }

    async fn bound(&self, receiver: &str, most: u32, reason: &str) -> Result<(u64, u64), OutboxError> {
        Ok(Self::bound(self, receiver, most, reason).await?)
    }

    async fn changed_away(&self) {
        Self::changed_away(self).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use abanico_s3::{LocalS3, Options, Trigger};
    use abanico_store::{ObjectAttributes, ObjectStore as _};
    use abanico_trigger::TriggerConfig;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;

    use crate::entry::sigv4::presigned_get;
    use crate::{Credentials, EngineSubmitter, Server, ServerParts, run_triggers, s3_fallback, testing};

    #[tokio::test]
    async fn upload_becomes_job_and_console_link_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { functions: vec!["transcode-video".to_owned()], ..Options::default() };
        let s3 = LocalS3::open(folder.path(), options).unwrap();
        s3.ensure_bucket("uploads").await.unwrap();
        let trigger = Trigger {
            id: "all".to_owned(),
            bucket: "uploads".to_owned(),
            prefix: String::new(),
            suffix: String::new(),
            function: "transcode-video".to_owned(),
            events: Vec::new(),
        };
        s3.set_triggers(vec![trigger]).await.unwrap();
        let file = folder.path().join("a b.mp4");
        std::fs::write(&file, "no film").unwrap();
        let url = abanico_store::ObjectUrl::s3("uploads", "a b.mp4");
        s3.publish(&file, &url, &ObjectAttributes::default()).await.unwrap();

        let test = testing::engine().await;
        let (outbox, stop) = (Arc::new(s3.outbox()), CancellationToken::new());
        let mut template = testing::request("s3://filled/in.mp4");
        template = abanico_model::keys::to_wire(template, "CreateJobRequest");
        template["settings"]["outputGroups"][0]["outputGroupSettings"]["type"] = "FILE_GROUP_SETTINGS".into();
        let config = TriggerConfig::new("arn:aws:iam::000000000000:role/r", template);
        let config = std::collections::BTreeMap::from([("transcode-video".to_owned(), config)]);
        let submitter = Arc::new(EngineSubmitter::new(test.engine.clone()));
        let run = tokio::spawn(run_triggers(outbox.clone(), config, submitter, stop.clone()));
        let mut changes = test.engine.changes();
        while test.engine.list(Default::default(), 5).await.unwrap().is_empty() {
            changes.changed().await.unwrap();
        }
        let jobs = test.engine.list(Default::default(), 5).await.unwrap();
        assert_eq!(jobs[0].submission.settings["inputs"][0]["fileInput"], "s3://uploads/a b.mp4");
        stop.cancel();
        run.await.unwrap();
        assert_eq!(outbox.next_due_ms().await.unwrap(), None);

        let (key, secret) = ("AKIATEST", "wonder secret");
        let pairs = || vec![(key.to_owned(), secret.to_owned())];
        let parts = ServerParts {
            engine: test.engine.clone(),
            access: crate::Access::default(),
            credentials: Credentials::new(pairs()),
            metrics_token: None,
            s3: s3_fallback(s3.service(pairs())),
            outbox,
            objects: Some(s3.clone()),
            receivers: Arc::default(),
            warnings: Vec::new(),
            draining: CancellationToken::new(),
            stop,
        };
        let now = std::time::SystemTime::now();
        let link = presigned_get(key, secret, "127.0.0.1", "/uploads/a b.mp4", 60, &[], now);
        let request = http::Request::get(link).header("host", "127.0.0.1").body(Body::empty()).unwrap();
        let answer = Server::new(parts).oneshot(request).await.unwrap();
        let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
        assert_eq!((status.as_u16(), &*body), (200, &b"no film"[..]));
    }
}
