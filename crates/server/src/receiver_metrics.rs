//! Writes the metrics of receivers of events for Prometheus. Names of receivers carry no secrets.

use std::fmt::Write as _;

use crate::receivers::Standing;

/// Most receivers that are told of: clients can name as many queues as they like.
const MOST: usize = 100;

/// Returns the metrics in Prometheus's text format.
pub(crate) fn text(standings: &[Standing]) -> String {
    type Pick = fn(&Standing) -> u64;
    let gauges: [(&str, &str, Pick); 4] = [
        ("abanico_webhook_backlog", "Events that wait for a webhook, queue, topic or bus.", |one| {
            one.waiting
        }),
        ("abanico_webhook_backlog_age_seconds", "How long the first of them has waited.", |one| {
            one.oldest_seconds
        }),
        ("abanico_webhook_failures", "Deliveries that failed since the last success.", |one| {
            u64::from(one.failures)
        }),
        ("abanico_webhook_dead_letters", "Events of objects that were given up for the receiver.", |one| {
            one.dead_letters
        }),
    ];
    let mut text = String::new();
    for (name, help, pick) in gauges {
        let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
        text.push_str(&head);
        for one in standings.iter().take(MOST) {
            let receiver = one.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
            let events = one.events;
            writeln!(text, "{name}{{receiver=\"{receiver}\",events=\"{events}\"}} {}", pick(one))
                .expect("writing to a `String` cannot fail");
        }
    }
    text
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
        let text = text(&[one]);
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
