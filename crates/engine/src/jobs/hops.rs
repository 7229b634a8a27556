//! Decides when waiting jobs move from queue to queue (queue hopping). A running job never hops, and a job hops only to queues
//! that it names.
//!
//! Each destination has its turn: the first once the job has waited long enough in the queue that it was submitted
//! to, the next once it has waited long enough in the queue that it hopped to (AWS, "Setting up queue hopping").

use abanico_model::arn::{Arn, ResourceKind, resource_name};
use serde_json::Value;

use crate::jobs::job::{JobRecord, Submission};

/// Where a job hops to, and its priority there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hop {
    /// ARN of the queue.
    pub queue: String,
    /// Priority in that queue.
    pub priority: i32,
}

/// Returns the ARNs of all queues that a submission may hop to, in order.
pub(crate) fn destinations(submission: &Submission) -> Vec<String> {
    wire(submission).map(queue_of).collect()
}

fn wire(submission: &Submission) -> impl Iterator<Item = &Value> {
    submission.request.get("hopDestinations").and_then(Value::as_array).into_iter().flatten()
}

/// Returns the queue of a destination, or the default queue if it names none (AWS's service model).
fn queue_of(destination: &Value) -> String {
    let named = destination.get("queue").and_then(Value::as_str).unwrap_or("Default");
    Arn::local(ResourceKind::Queue, resource_name(named, ResourceKind::Queue)).to_string()
}

/// Returns the hop that is due, if any.
pub(crate) fn due(record: &JobRecord, now_ms: i64) -> Option<Hop> {
    let destination = wire(&record.submission).nth(record.transitions.len())?;
    let minutes = destination.get("waitMinutes").and_then(Value::as_i64).filter(|minutes| *minutes > 0)?;
    let since_ms = record.transitions.last().map_or(record.times.submitted_ms, |last| last.at_ms);
    let priority = destination.get("priority").and_then(Value::as_i64);
    let priority = priority.and_then(|priority| i32::try_from(priority).ok());
    (now_ms - since_ms >= minutes.saturating_mul(60_000)).then(|| Hop {
        queue: queue_of(destination),
        priority: priority.unwrap_or(record.submission.priority),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jobs::job::QueueTransition;
    use crate::records::database::ListFilter;
    use crate::records::database::sample_database;

    fn record(hops: Value) -> JobRecord {
        let mut record = crate::records::database::sample_record("1-a", 1_000);
        record.submission.queue = queue_of(&json!({"queue": "slow"}));
        record.submission.request = json!({ "hopDestinations": hops });
        record
    }

    #[test]
    fn each_destination_has_its_turn_and_wait() {
        let hops = json!([{"queue": "fast", "waitMinutes": 2, "priority": 7}, {"waitMinutes": 1}]);
        let mut job = record(hops);
        assert_eq!(
            destinations(&job.submission),
            [queue_of(&json!({"queue": "fast"})), queue_of(&json!({}))]
        );
        assert_eq!(due(&job, 120_999), None);
        let first = due(&job, 121_000).unwrap();
        assert!(first.queue.ends_with("queues/fast") && first.priority == 7, "{first:?}");
        job.transitions.push(QueueTransition { source: "a".into(), destination: "b".into(), at_ms: 121_000 });
        assert_eq!(due(&job, 180_999), None);
        assert!(due(&job, 181_000).unwrap().queue.ends_with("queues/Default"));
        job.transitions.push(QueueTransition { source: "b".into(), destination: "c".into(), at_ms: 181_000 });
        assert_eq!(due(&job, i64::MAX), None);
        assert_eq!(due(&record(json!([{"queue": "fast"}])), i64::MAX), None, "no hop without a wait");
    }

    #[test]
    fn only_waiting_jobs_hop_and_send_an_event() {
        let (_folder, database) = sample_database();
        let job = record(json!([{"queue": "fast", "waitMinutes": 1, "priority": 3}]));
        database.insert(&job, &[], 1_000).unwrap();
        assert_eq!(database.hop(60_000, |_| false).unwrap(), 0);
        assert_eq!(database.hop(61_000, |_| true).unwrap(), 0);
        assert_eq!(database.hop(61_000, |_| false).unwrap(), 1);
        assert_eq!(database.hop(999_000, |_| false).unwrap(), 0);
        let hopped = database.get(&job.id).unwrap();
        assert!(hopped.submission.queue.ends_with("queues/fast") && hopped.submission.priority == 3);
        assert_eq!(hopped.transitions.len(), 1);
        let filter = ListFilter { queue: Some(hopped.submission.queue.clone()), ..ListFilter::default() };
        assert_eq!(database.list(&filter, 10).unwrap().len(), 1, "the queue lists it");
        let event = &database.events_after(0, 10).unwrap()[0].body["detail"];
        assert_eq!(
            (&event["status"], &event["priority"], &event["previousPriority"]),
            (&json!("QUEUE_HOP"), &json!(3), &json!(0))
        );
        assert_eq!(
            (&event["queue"], &event["previousQueue"]),
            (&json!(hopped.submission.queue), &json!(job.submission.queue))
        );
    }
}
