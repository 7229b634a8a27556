//! Writes the metrics of receivers of events for Prometheus. Names of receivers carry no secrets.

use crate::events::receivers::Standing;
use crate::upkeep::metrics::Text;

/// Most receivers that are told of: clients can name as many queues as they like.
const MOST: usize = 100;

/// Writes them.
pub(crate) fn write(text: &mut Text, standings: &[Standing]) {
    type Pick = fn(&Standing) -> u64;
    let samples = |text: &mut Text, name: &str, pick: Pick| {
        for one in standings.iter().take(MOST) {
            text.sample(name, &[("receiver", &one.name), ("events", one.events)], pick(one));
        }
    };
    text.head("abanico_webhook_backlog", "gauge", "Events that wait for a webhook, queue, topic or bus.");
    samples(text, "abanico_webhook_backlog", |one| one.waiting);
    text.head("abanico_webhook_backlog_age_seconds", "gauge", "How long the first of them has waited.");
    samples(text, "abanico_webhook_backlog_age_seconds", |one| one.oldest_seconds);
    text.head("abanico_webhook_failures", "gauge", "Deliveries that failed since the last success.");
    samples(text, "abanico_webhook_failures", |one| u64::from(one.failures));
    text.head(
        "abanico_webhook_dead_letters",
        "gauge",
        "Events of objects that were given up for the receiver.",
    );
    samples(text, "abanico_webhook_dead_letters", |one| one.dead_letters);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_receiver_has_a_sample_of_each_metric() {
        let one = Standing {
            id: "webhook-1".to_owned(),
            name: "https://a/\"b".to_owned(),
            events: "jobs",
            waiting: 3,
            oldest_seconds: 70,
            next: Some(9),
            failures: 2,
            last_error: None,
            dead_letters: 0,
        };
        let mut text = Text::default();
        write(&mut text, &[one]);
        let text = text.shown();
        let labels = r#"{receiver="https://a/\"b",events="jobs"}"#;
        for line in [
            format!("abanico_webhook_backlog{labels} 3"),
            format!("abanico_webhook_backlog_age_seconds{labels} 70"),
            format!("abanico_webhook_failures{labels} 2"),
            format!("abanico_webhook_dead_letters{labels} 0"),
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
