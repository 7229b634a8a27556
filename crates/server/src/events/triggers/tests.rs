use std::sync::Mutex;

use abanico_trigger::TriggerConfig;
use serde_json::json;
use tokio::sync::Notify;

use super::*;

/// A queue in memory that records the calls it gets.
#[derive(Default)]
struct Outbox {
    waiting: Mutex<Vec<(i64, UploadEntry)>>,
    told: Mutex<Vec<String>>,
    change: Notify,
    noted: Notify,
}

impl Outbox {
    fn with(entries: Vec<UploadEntry>) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::new(entries.into_iter().map(|entry| (0, entry)).collect()),
            ..Self::default()
        })
    }

    fn note(&self, id: i64, told: String) {
        self.waiting.lock().unwrap().retain(|(_, entry)| entry.id != id);
        self.told.lock().unwrap().push(told);
        self.noted.notify_one();
    }
}

#[async_trait]
impl UploadOutbox for Outbox {
    async fn due(&self, now_ms: i64, limit: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        let waiting = self.waiting.lock().unwrap();
        Ok(waiting
            .iter()
            .filter(|(due, _)| *due <= now_ms)
            .take(limit)
            .map(|(_, entry)| entry.clone())
            .collect())
    }
    async fn delivered(&self, id: i64) -> Result<(), OutboxError> {
        self.note(id, format!("delivered {id}"));
        Ok(())
    }
    async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), OutboxError> {
        let wait_s = (when_ms - now_ms() + 500) / 1000;
        self.note(id, format!("retry {id} in {wait_s} s: {error}"));
        Ok(())
    }
    async fn dead_letter(&self, id: i64, error: &str) -> Result<(), OutboxError> {
        self.note(id, format!("dead {id}: {error}"));
        Ok(())
    }
    async fn dead_letters(&self) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(Vec::new())
    }
    async fn replay(&self, _: i64) -> Result<bool, OutboxError> {
        Ok(false)
    }
    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError> {
        Ok(self.waiting.lock().unwrap().iter().map(|(due, _)| *due).min())
    }
    async fn changed(&self) {
        self.change.notified().await;
    }
}

/// Refuses jobs by key: `busy` with a retryable error, `bad` with a permanent one.
struct Service;

#[async_trait]
impl JobSubmitter for Service {
    async fn create_job(&self, request: Value) -> Result<String, SubmitError> {
        let input =
            request.pointer("/settings/inputs/0/fileInput").and_then(Value::as_str).unwrap().to_owned();
        let refused = |retryable| SubmitError { code: "X".to_owned(), message: "no".to_owned(), retryable };
        match input.rsplit('/').next() {
            Some("busy") => Err(refused(true)),
            Some("full") => {
                Err(SubmitError { code: "InternalServerErrorException".to_owned(), ..refused(true) })
            }
            Some("bad") => Err(refused(false)),
            _ => Ok("17-abcdef".to_owned()),
        }
    }
}

fn entry(id: i64, key: &str, attempts: u32) -> UploadEntry {
    let event = json!({"Records": [{
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "uploads"}, "object": {"key": key, "size": 1, "sequencer": "01"}},
    }]});
    let (bucket, key, function) = ("uploads".to_owned(), key.to_owned(), "transcode-video".to_owned());
    UploadEntry { id, bucket, key, event, function, attempts, last_error: None, created_ms: 0 }
}

fn functions() -> BTreeMap<String, TriggerConfig> {
    let config = TriggerConfig::new("arn:aws:iam::000000000000:role/r", json!({"settings": {}}));
    [("transcode-video".to_owned(), config)].into()
}

fn dispatcher(outbox: Arc<Outbox>) -> Dispatcher {
    Dispatcher { outbox, functions: functions(), submitter: Arc::new(Service) }
}

async fn told(entry: UploadEntry) -> String {
    let outbox = Outbox::with(vec![entry]);
    dispatcher(outbox.clone()).deliver_due(&CancellationToken::new()).await.unwrap();
    let told = outbox.told.lock().unwrap();
    assert_eq!(told.len(), 1);
    told[0].clone()
}

#[tokio::test]
async fn created_job_or_skip_removes_entry() {
    assert_eq!(told(entry(1, "good", 0)).await, "delivered 1");
    assert_eq!(told(entry(2, "folder/", 0)).await, "delivered 2");
}

#[tokio::test]
async fn waits_double_until_dead_letter() {
    assert!(told(entry(1, "busy", 0)).await.starts_with("retry 1 in 1 s: cannot create a job for"));
    assert!(told(entry(1, "busy", 3)).await.starts_with("retry 1 in 8 s: "));
    let last = told(entry(1, "busy", MAX_TRIES - 1)).await;
    assert!(last.starts_with("dead 1: ") && last.ends_with("`X`: no"), "{last}");
}

#[tokio::test]
async fn upload_outlasts_a_full_disk() {
    assert!(told(entry(1, "full", 2)).await.starts_with("retry 1 in 4 s: "));
    assert!(told(entry(1, "full", MAX_TRIES + 5)).await.starts_with("retry 1 in 30 s: "));
}

#[tokio::test]
async fn permanent_failure_becomes_dead_letter_at_once() {
    assert!(told(entry(1, "bad", 0)).await.starts_with("dead 1: "));
    let unknown = UploadEntry { function: "gone".to_owned(), ..entry(3, "good", 0) };
    assert!(told(unknown).await.starts_with("dead 3: function `gone` does not exist"));
    let nonsense = UploadEntry { event: json!("?"), ..entry(2, "good", 0) };
    assert!(told(nonsense).await.starts_with("dead 2: malformed S3 event"));
}

#[tokio::test]
async fn loop_wakes_on_change_and_stops() {
    let (outbox, stop) = (Outbox::with(Vec::new()), CancellationToken::new());
    let run = tokio::spawn(run_triggers(outbox.clone(), functions(), Arc::new(Service), stop.clone()));
    outbox.waiting.lock().unwrap().push((0, entry(5, "good", 0)));
    outbox.change.notify_one();
    outbox.noted.notified().await;
    assert_eq!(*outbox.told.lock().unwrap(), ["delivered 5"]);
    stop.cancel();
    run.await.unwrap();
}
