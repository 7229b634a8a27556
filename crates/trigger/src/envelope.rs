//! Unwraps the events that a function gets and returns single records, each with the id of the SQS message that
//! carried it. Does not parse the records. One broken envelope does not affect the others.

use serde_json::Value;

use crate::Error;

/// Deepest level of nesting, counted from 0. An S3 event in SNS in SQS is at level 2.
const MOST_ENVELOPES: u32 = 4;

/// One record, or the reason why there is none.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Identifier of the SQS message that carried the record, if any.
    pub message_id: Option<String>,
    /// The record, in S3's own form or in EventBridge's.
    pub record: Result<Value, Error>,
}

/// Unwraps an event: S3's own (`Records`), EventBridge's (`detail-type`), or either within SNS or SQS envelopes. The
/// test event that S3 sends when a notification is set up gives no records.
///
/// # Errors
/// Returns [`MalformedEvent`](crate::ErrorKind::MalformedEvent) if the event as a whole is none of these.
pub(crate) fn open(event: &Value) -> Result<Vec<Opened>, Error> {
    let mut opened = Vec::new();
    open_into(event, None, 0, &mut opened)?;
    Ok(opened)
}

fn open_into(
    event: &Value,
    message_id: Option<&str>,
    depth: u32,
    opened: &mut Vec<Opened>,
) -> Result<(), Error> {
    if depth > MOST_ENVELOPES {
        return Err(Error::malformed_event("the event has more nested envelopes than any service makes"));
    }
    if event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(());
    }
    if event.get("detail-type").is_some() {
        return keep(event, message_id, opened);
    }
    if let Some(message) = sns_message(event) {
        return open_text(message, "the message of an SNS notification", message_id, depth, opened);
    }
    let records = match event.get("Records") {
        Some(Value::Array(records)) => records,
        Some(_) => return Err(Error::malformed_event("`Records` is not a list")),
        None => return Err(Error::malformed_event("`Records` is missing")),
    };
    for record in records {
        open_record(record, message_id, depth, opened)?;
    }
    Ok(())
}

fn open_record(
    record: &Value,
    message_id: Option<&str>,
    depth: u32,
    opened: &mut Vec<Opened>,
) -> Result<(), Error> {
    let source = record.get("eventSource").or(record.get("EventSource")).and_then(Value::as_str);
    match source {
        Some("aws:sqs") => {
            // A broken message must not fail the others of its batch, so its error stays with it.
            let message_id = record.get("messageId").and_then(Value::as_str);
            let body = record.get("body").and_then(Value::as_str).unwrap_or_default();
            let result = open_text(body, "the body of an SQS message", message_id, depth, opened);
            let failed = |error| Opened { message_id: message_id.map(str::to_owned), record: Err(error) };
            opened.extend(result.err().map(failed));
            Ok(())
        }
        Some("aws:sns") => {
            let message = record.pointer("/Sns/Message").and_then(Value::as_str).unwrap_or_default();
            open_text(message, "the message of an SNS record", message_id, depth, opened)
        }
        _ => keep(record, message_id, opened),
    }
}

fn open_text(
    text: &str,
    what: &str,
    message_id: Option<&str>,
    depth: u32,
    opened: &mut Vec<Opened>,
) -> Result<(), Error> {
    let inside: Value =
        serde_json::from_str(text).map_err(|_| Error::malformed_event(&format!("{what} is not JSON")))?;
    open_into(&inside, message_id, depth + 1, opened)
}

fn keep(record: &Value, message_id: Option<&str>, opened: &mut Vec<Opened>) -> Result<(), Error> {
    opened.push(Opened { message_id: message_id.map(str::to_owned), record: Ok(record.clone()) });
    Ok(())
}

/// Returns the message of an SNS notification in the form that SNS puts into SQS messages.
fn sns_message(event: &Value) -> Option<&str> {
    let is_notification = event.get("Type").and_then(Value::as_str) == Some("Notification");
    event.get("Message").and_then(Value::as_str).filter(|_| is_notification)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn broken_message_does_not_fail_its_batch() {
        let good = json!({"Records": [{"s3": 1}, {"s3": 2}]}).to_string();
        let message = |id: &str, body: &str| json!({"eventSource": "aws:sqs", "messageId": id, "body": body});
        let event = json!({"Records": [message("a", "no json"), message("b", &good), message("c", "{}")]});
        let opened = open(&event).unwrap();
        let seen: Vec<_> =
            opened.iter().map(|one| (one.message_id.as_deref().unwrap(), one.record.is_ok())).collect();
        assert_eq!(seen, [("a", false), ("b", true), ("b", true), ("c", false)]);
    }

    #[test]
    fn endless_envelopes_are_refused() {
        let mut event = json!({"Records": []});
        for _ in 0..9 {
            event = json!({"Type": "Notification", "Message": event.to_string()});
        }
        assert_eq!(open(&event).unwrap_err().kind(), ErrorKind::MalformedEvent);
    }
}
