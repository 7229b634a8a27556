//! What happens to a stack: in CloudFormation's events, out those that are new, and the failure that began it all.

use std::collections::BTreeSet;

use abanico_aws::StackEvent;

/// The first failure that is no consequence of another: resources that were stopped because one failed say so.
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

/// Which events were seen already.
#[derive(Default)]
pub(crate) struct Seen(BTreeSet<String>);

impl Seen {
    /// Those of `events` that are new and not before `since_ms`, oldest first.
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
    fn is_the_cause_told_and_not_its_consequences() {
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
    fn is_every_event_told_once_in_order() {
        let mut seen = Seen::default();
        let events = vec![event("b", 2, "", ""), event("a", 1, "", ""), event("old", -5, "", "")];
        let told: Vec<String> = seen.news(events.clone(), 0).into_iter().map(|event| event.id).collect();
        assert_eq!(told, ["a", "b"]);
        assert!(seen.news(events, 0).is_empty());
    }
}
