//! The function `bucket-notification`, a CloudFormation custom resource: adds one notification to an existing
//! bucket's configuration, or removes it. Keeps the rest of the configuration unchanged.
//!
//! Always responds to CloudFormation, because a stack hangs for an hour without a response.

use std::time::Duration;

use abanico_aws::S3;
use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use serde_json::{Value, json};

use crate::settings::Environment;
use crate::{Error, log};

/// Time limit for sending the response to CloudFormation.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The function, ready to handle events.
pub struct BucketNotification {
    s3: S3,
    http: reqwest::Client,
}

impl BucketNotification {
    /// Creates the function. Needs only the region.
    ///
    /// # Errors
    /// Returns [`Error::Setting`] if the region is not set.
    pub fn new(environment: &Environment<'_>) -> Result<Self, Error> {
        let s3 = S3::new(environment.client("s3")?);
        let http = reqwest::Client::builder().timeout(ANSWER_LIMIT).no_proxy().build();
        let http = http.map_err(|error| Error::Setting(format!("cannot set up the HTTP client: {error}")))?;
        Ok(Self { s3, http })
    }

    /// Applies the request of type `RequestType` with `ResourceProperties`, then reports to CloudFormation at
    /// `ResponseURL`.
    ///
    /// # Errors
    /// Fails only if the report cannot be sent; Lambda then repeats the request.
    pub async fn handle(&self, event: &Value) -> Result<Value, Error> {
        let outcome = self.apply(event).await;
        let reason = outcome.as_ref().err().map(Error::with_causes);
        if let Some(reason) = &reason {
            log::error("cannot change the bucket's notification", json!({"reason": reason}));
        }
        let answer = response(event, reason.as_deref());
        let url = event.get("ResponseURL").and_then(Value::as_str).unwrap_or_default();
        let sent = self.http.put(url).header("content-type", "").body(answer.to_string()).send().await;
        let told = sent.and_then(reqwest::Response::error_for_status);
        told.map_err(|error| {
            Error::Event(format!("cannot send the response to CloudFormation: {}", error.without_url()))
        })?;
        Ok(answer)
    }

    async fn apply(&self, event: &Value) -> Result<(), Error> {
        let wanted = Notification::of(event.get("ResourceProperties").unwrap_or(&Value::Null))?;
        match event.get("RequestType").and_then(Value::as_str) {
            Some("Create") => self.change(&wanted.bucket, &wanted.id, Some(&wanted)).await,
            Some("Update") => {
                let old = event.get("OldResourceProperties").map(Notification::of).transpose()?;
                if let Some(old) = old.filter(|old| old.bucket != wanted.bucket || old.id != wanted.id) {
                    self.remove(&old).await?;
                }
                self.change(&wanted.bucket, &wanted.id, Some(&wanted)).await
            }
            Some("Delete") => self.remove(&wanted).await,
            _ => Err(Error::Event("`RequestType` is not Create, Update or Delete".to_owned())),
        }
    }

    /// Removes a notification. Succeeds if the bucket no longer exists.
    async fn remove(&self, old: &Notification) -> Result<(), Error> {
        match self.change(&old.bucket, &old.id, None).await {
            Err(Error::Aws { source, .. }) if source.status() == Some(404) => Ok(()),
            other => other,
        }
    }

    async fn change(&self, bucket: &str, id: &str, wanted: Option<&Notification>) -> Result<(), Error> {
        let what = |verb: &str| format!("the notifications of bucket `{bucket}` could not be {verb}");
        let before = self.s3.bucket_notification(bucket).await.map_err(Error::aws(what("read")))?;
        let after = merged(&before, id, wanted)?;
        self.s3.put_bucket_notification(bucket, &after).await.map_err(Error::aws(what("written")))
    }
}

/// A notification that this function manages.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Notification {
    bucket: String,
    id: String,
    function_arn: String,
    prefix: String,
    suffix: String,
}

impl Notification {
    fn of(properties: &Value) -> Result<Self, Error> {
        let text = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let needed = |name: &str| {
            let value = Some(text(name)).filter(|value| !value.is_empty());
            value.ok_or_else(|| Error::Event(format!("the resource has no property `{name}`")))
        };
        Ok(Self {
            bucket: needed("Bucket")?,
            id: needed("NotificationId")?,
            function_arn: needed("FunctionArn")?,
            prefix: text("Prefix"),
            suffix: text("Suffix"),
        })
    }

    fn xml(&self) -> String {
        let rule = |name: &str, value: &str| {
            format!("<FilterRule><Name>{name}</Name><Value>{}</Value></FilterRule>", escape(value))
        };
        let rules: String = [("prefix", &self.prefix), ("suffix", &self.suffix)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| rule(name, value))
            .collect();
        let filter =
            if rules.is_empty() { String::new() } else { format!("<Filter><S3Key>{rules}</S3Key></Filter>") };
        format!(
            "<CloudFunctionConfiguration><Id>{}</Id><CloudFunction>{}</CloudFunction>\
             <Event>s3:ObjectCreated:*</Event>{filter}</CloudFunctionConfiguration>",
            escape(self.id.as_str()),
            escape(self.function_arn.as_str())
        )
    }
}

/// Returns the configuration with the element `id` replaced by `wanted`, or removed if `wanted` is `None`. Keeps all
/// other elements as they are written.
fn merged(configuration: &str, id: &str, wanted: Option<&Notification>) -> Result<String, Error> {
    let written = escape(id);
    let kept = elements(configuration)?.into_iter().filter(|element| element.id != Some(&written));
    let mut inside: String = kept.map(|element| element.text).collect();
    inside.extend(wanted.map(Notification::xml));
    Ok(format!(
        "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}</NotificationConfiguration>"
    ))
}

/// An element below the root.
#[derive(PartialEq, Eq, Debug)]
struct Element<'a> {
    /// The whole element as written.
    text: &'a str,
    /// The content of its `Id` as written.
    id: Option<&'a str>,
}

fn elements(configuration: &str) -> Result<Vec<Element<'_>>, Error> {
    let broken = |why: String| {
        Error::Event(format!("the bucket's notification configuration is not valid XML: {why}"))
    };
    let mut reader = Reader::from_str(configuration);
    let (mut depth, mut start, mut id_start) = (0_u32, 0, None);
    let (mut found, mut id) = (Vec::new(), None);
    loop {
        let before = position(&reader);
        let event = reader.read_event().map_err(|error| broken(error.to_string()))?;
        let after = position(&reader);
        match event {
            Event::Start(tag) => {
                depth += 1;
                if depth == 2 {
                    (start, id) = (before, None);
                }
                if depth == 3 && tag.local_name().as_ref() == "Id" {
                    id_start = Some(after);
                }
            }
            Event::End(_) => {
                if let Some(id_start) = id_start.take().filter(|_| depth == 3) {
                    id = Some(&configuration[id_start..before]);
                }
                if depth == 2 {
                    found.push(Element { text: &configuration[start..after], id: id.take() });
                }
                depth = depth.saturating_sub(1);
            }
            // An element without members, such as EventBridgeConfiguration.
            Event::Empty(_) if depth == 1 => {
                found.push(Element { text: &configuration[before..after], id: None })
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// Builds the response to CloudFormation. The physical id stays the same for the life of the resource, so that an
/// update never looks like a replacement.
fn response(event: &Value, failure: Option<&str>) -> Value {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let name = text("/PhysicalResourceId").or_else(|| text("/ResourceProperties/NotificationId"));
    json!({
        "Status": if failure.is_none() { "SUCCESS" } else { "FAILED" },
        "Reason": failure.unwrap_or("done"),
        "PhysicalResourceId": name.unwrap_or_else(|| "bucket-notification".to_owned()),
        "StackId": event.get("StackId"),
        "RequestId": event.get("RequestId"),
        "LogicalResourceId": event.get("LogicalResourceId"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: &str = "<QueueConfiguration><Id>a&amp;b</Id><Queue>q</Queue><Event>s3:ObjectRemoved:*</Event>\
                          </QueueConfiguration><EventBridgeConfiguration/>";

    fn wanted() -> Notification {
        Notification {
            bucket: "b".to_owned(),
            id: "ours".to_owned(),
            function_arn: "arn:aws:lambda:r:1:function:f".to_owned(),
            prefix: "in & out/".to_owned(),
            suffix: String::new(),
        }
    }

    fn configuration(inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}\
             </NotificationConfiguration>"
        )
    }

    #[test]
    fn notification_is_added_and_removed_beside_others() {
        let with = merged(&configuration(OTHERS), "ours", Some(&wanted())).unwrap();
        assert!(with.contains(OTHERS) && with.contains("<Value>in &amp; out/</Value>"), "{with}");
        let twice = merged(&with, "ours", Some(&wanted())).unwrap();
        assert_eq!(twice.matches("<Id>ours</Id>").count(), 1);
        let without = merged(&with, "ours", None).unwrap();
        assert!(without.contains(OTHERS) && !without.contains("ours"), "{without}");
    }

    #[test]
    fn empty_configuration_is_accepted() {
        let empty = "<NotificationConfiguration xmlns=\"x\"/>";
        assert_eq!(elements(empty).unwrap(), []);
        assert!(merged(empty, "ours", Some(&wanted())).unwrap().contains("CloudFunctionConfiguration"));
    }

    #[test]
    fn missing_property_is_named() {
        let error = Notification::of(&json!({"Bucket": "b", "NotificationId": "n"})).unwrap_err();
        assert!(error.to_string().contains("FunctionArn"), "{error}");
    }

    #[test]
    fn response_keeps_the_physical_id() {
        let event = json!({"PhysicalResourceId": "kept", "ResourceProperties": {"NotificationId": "n"}, "StackId": "s"});
        assert_eq!(response(&event, None)["PhysicalResourceId"], "kept");
        let first = response(&json!({"ResourceProperties": {"NotificationId": "n"}}), Some("why"));
        assert_eq!((&first["PhysicalResourceId"], &first["Status"]), (&json!("n"), &json!("FAILED")));
    }
}
