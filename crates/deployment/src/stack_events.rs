//! Finds the new events of a stack, and the failure that caused all others.

use std::collections::BTreeSet;

use abanico_aws::StackEvent;

/// Returns the first failure that was not caused by another one. If a resource was cancelled because another one
/// failed, its reason says so.
pub fn first_failure(events: &[StackEvent]) -> Option<&StackEvent> {
    let is_consequence = |event: &StackEvent| {
        let reason = event.reason.to_lowercase();
        reason.contains("cancelled") || reason.contains("the following resource(s) failed")
    };
    events
        .iter()
        .filter(|event| event.status.ends_with("_FAILED") && !is_consequence(event))
        .min_by_key(|event| event.time_ms)
}

/// The ids of the events that were already returned.
#[derive(Default)]
pub(crate) struct Seen(BTreeSet<String>);

impl Seen {
    /// Returns those of `events` that are new and not older than `since_ms`, oldest first.
    pub(crate) fn news(&mut self, events: Vec<StackEvent>, since_ms: i64) -> Vec<StackEvent> {
        let is_new = |event: &StackEvent| event.time_ms >= since_ms && self.0.insert(event.id.clone());
        let mut news: Vec<StackEvent> = events.into_iter().filter(is_new).collect();
        news.sort_by_key(|event| event.time_ms);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, time_ms: i64, status: &str, reason: &str) -> StackEvent {
        StackEvent {
            id: id.to_owned(),
            time_ms,
            resource: id.to_owned(),
            kind: String::new(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn first_failure_is_the_cause() {
        let events = [
            event("stack", 5, "CREATE_FAILED", "The following resource(s) failed to create: [Role]"),
            event("Topic", 2, "CREATE_FAILED", "Resource creation cancelled"),
            event("Role", 3, "CREATE_FAILED", "not authorized to perform iam:CreateRole"),
            event("Bucket", 1, "CREATE_COMPLETE", ""),
        ];
        assert_eq!(first_failure(&events).unwrap().resource, "Role");
        assert_eq!(first_failure(&events[3..]), None);
    }

    #[test]
    fn every_event_is_returned_once_in_order() {
        let mut seen = Seen::default();
        let events = vec![event("b", 2, "", ""), event("a", 1, "", ""), event("old", -5, "", "")];
        let told: Vec<String> = seen.news(events.clone(), 0).into_iter().map(|event| event.id).collect();
        assert_eq!(told, ["a", "b"]);
        assert!(seen.news(events, 0).is_empty());
    }
}
