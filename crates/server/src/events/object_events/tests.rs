use std::collections::VecDeque;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Notify;

use super::*;

/// A queue in memory, with the entries of each receiver in order.
#[derive(Default)]
struct Outbox {
    waiting: Mutex<BTreeMap<String, VecDeque<(i64, UploadEntry)>>>,
    dead: Mutex<Vec<(i64, String)>>,
    change: Notify,
    empty: Notify,
}

impl Outbox {
    fn add(&self, receiver: &str, id: i64, created_ms: i64) {
        let entry = UploadEntry {
            id,
            bucket: "b".to_owned(),
            key: format!("k{id}"),
            event: json!({}),
            function: receiver.to_owned(),
            attempts: 0,
            last_error: None,
            created_ms,
        };
        self.waiting.lock().unwrap().entry(receiver.to_owned()).or_default().push_back((0, entry));
        self.change.notify_one();
    }

    fn remove(&self, id: i64) {
        let mut waiting = self.waiting.lock().unwrap();
        waiting.values_mut().for_each(|entries| entries.retain(|(_, entry)| entry.id != id));
        self.empty.notify_one();
    }

    /// Makes everything due now, as if time had passed.
    fn hurry(&self) {
        self.waiting.lock().unwrap().values_mut().flatten().for_each(|(due, _)| *due = 0);
        self.change.notify_one();
    }

    fn attempts(&self, receiver: &str) -> Vec<u32> {
        self.waiting.lock().unwrap()[receiver].iter().map(|(_, entry)| entry.attempts).collect()
    }
}

#[async_trait]
impl UploadOutbox for Outbox {
    async fn due(&self, _: i64, _: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(Vec::new())
    }
    async fn delivered(&self, id: i64) -> Result<(), OutboxError> {
        self.remove(id);
        Ok(())
    }
    async fn retry_at(&self, id: i64, when_ms: i64, error: &str) -> Result<(), OutboxError> {
        let mut waiting = self.waiting.lock().unwrap();
        let (due, entry) = waiting.values_mut().flatten().find(|(_, entry)| entry.id == id).unwrap();
        *due = when_ms;
        entry.attempts += 1;
        entry.last_error = Some(error.to_owned());
        Ok(())
    }
    async fn dead_letter(&self, id: i64, error: &str) -> Result<(), OutboxError> {
        self.dead.lock().unwrap().push((id, error.to_owned()));
        self.remove(id);
        Ok(())
    }
    async fn dead_letters(&self) -> Result<Vec<UploadEntry>, OutboxError> {
        Ok(Vec::new())
    }
    async fn replay(&self, _: i64) -> Result<bool, OutboxError> {
        Ok(false)
    }
    async fn next_due_ms(&self) -> Result<Option<i64>, OutboxError> {
        Ok(None)
    }
    async fn changed(&self) {}
    async fn backlogs(&self) -> Result<Vec<Backlog>, OutboxError> {
        let waiting = self.waiting.lock().unwrap();
        let backlog = |(receiver, entries): (&String, &VecDeque<(i64, UploadEntry)>)| Backlog {
            receiver: receiver.clone(),
            waiting: entries.len() as u64,
            due_ms: entries.front().map(|(due, _)| *due),
            ..Backlog::default()
        };
        Ok(waiting.iter().map(backlog).collect())
    }
    async fn waiting_for(&self, receiver: &str, limit: usize) -> Result<Vec<UploadEntry>, OutboxError> {
        let waiting = self.waiting.lock().unwrap();
        Ok(waiting[receiver].iter().take(limit).map(|(_, entry)| entry.clone()).collect())
    }
    async fn changed_away(&self) {
        self.change.notified().await;
    }
}

/// Answers by the name of the receiver, and notes what arrived.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Send for Sent {
    async fn send(&self, receiver: &str, entry: &UploadEntry) -> Result<(), Failure> {
        match receiver {
            "silent" => std::future::pending().await,
            "down" => Err(Failure::MayPass("no answer".to_owned())),
            "strict" if entry.key == "k1" => Err(Failure::Refused("400".to_owned())),
            "gone" => Err(Failure::Unknown("not there".to_owned())),
            _ => {
                self.0.lock().unwrap().push(format!("{receiver} {}", entry.key));
                Ok(())
            }
        }
    }
}

fn courier(outbox: &Arc<Outbox>, sent: &Sent) -> Arc<Courier> {
    Arc::new(Courier {
        outbox: outbox.clone(),
        destinations: Box::new(sent.clone()),
        failures: Mutex::default(),
        stop: CancellationToken::new(),
    })
}

#[tokio::test]
async fn silent_receiver_holds_up_no_other() {
    let (outbox, sent) = (Arc::new(Outbox::default()), Sent::default());
    for id in 1..=3 {
        outbox.add("silent", id, 0);
        outbox.add("down", 10 + id, 0);
        outbox.add("good", 20 + id, 0);
    }
    let courier = courier(&outbox, &sent);
    let run = tokio::spawn({
        let courier = courier.clone();
        async move { courier.run().await }
    });
    while !outbox.waiting.lock().unwrap()["good"].is_empty() {
        outbox.empty.notified().await;
    }
    assert_eq!(*sent.0.lock().unwrap(), ["good k21", "good k22", "good k23"]);
    courier.stop.cancel();
    run.await.unwrap();
    assert_eq!(outbox.attempts("down"), [1, 0, 0], "later events wait behind the first");
    assert_eq!(outbox.attempts("silent"), [0, 0, 0], "what a stop interrupts is no failure");
}

#[tokio::test]
async fn refused_event_makes_room_after_ten_attempts() {
    let (outbox, sent) = (Arc::new(Outbox::default()), Sent::default());
    outbox.add("strict", 1, 0);
    outbox.add("strict", 2, 0);
    let courier = courier(&outbox, &sent);
    for attempt in 1..REFUSALS_MAX {
        courier.send_some("strict").await.unwrap();
        assert_eq!(outbox.attempts("strict"), [attempt, 0]);
        let (due, now) = (outbox.waiting.lock().unwrap()["strict"][0].0, now_ms());
        let wait_ms = (FIRST_WAIT_MS << (attempt - 1)).min(LONGEST_WAIT_MS);
        assert!((due - now - wait_ms).abs() < 900, "{attempt}: {}", due - now);
        outbox.hurry();
    }
    courier.send_some("strict").await.unwrap();
    assert_eq!(*outbox.dead.lock().unwrap(), [(1, "400".to_owned())]);
    courier.send_some("strict").await.unwrap();
    assert_eq!(*sent.0.lock().unwrap(), ["strict k2"]);
}

#[tokio::test]
async fn old_events_of_a_dead_receiver_are_given_up() {
    let (outbox, sent) = (Arc::new(Outbox::default()), Sent::default());
    let now = now_ms();
    outbox.add("down", 1, now - GIVE_UP_MS - 1);
    outbox.add("down", 2, now - GIVE_UP_MS - 1);
    outbox.add("down", 3, now);
    let courier = courier(&outbox, &sent);
    for _ in 1..FAILURES_LEAST {
        courier.send_some("down").await.unwrap();
    }
    assert_eq!(*outbox.dead.lock().unwrap(), [], "it may have just started");
    for _ in 0..20 {
        courier.send_some("down").await.unwrap();
    }
    let dead: Vec<i64> = outbox.dead.lock().unwrap().iter().map(|(id, _)| *id).collect();
    assert_eq!(dead, [1, 2], "the third one is not old");
}

#[tokio::test]
async fn unknown_receiver_is_given_up_at_once() {
    let (outbox, sent) = (Arc::new(Outbox::default()), Sent::default());
    outbox.add("gone", 1, 0);
    courier(&outbox, &sent).send_some("gone").await.unwrap();
    assert_eq!(*outbox.dead.lock().unwrap(), [(1, "not there".to_owned())]);
}
