//! Who gets the events of objects, and how the outbox names them: a function of this process, a queue, a topic, the
//! event bus or a webhook.
//!
//! It reaches nobody. A client's ARN never names a host: the operator configured where queues and topics are.

/// Receiver that stands for the configured event bus.
pub const EVENT_BUS: &str = "eventbridge:";
/// What the names of webhooks begin with.
pub const WEBHOOK: &str = "webhook:";

/// Longest names of queues and topics.
const QUEUE_NAME_MAX: usize = 80;
const TOPIC_NAME_MAX: usize = 256;

/// Events that this endpoint has, with those that AWS has and that never happen here.
const EVENTS: [&str; 12] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:ReducedRedundancyLostObject",
];

/// Families of events that AWS has and that this endpoint does not send.
const OTHER_EVENTS: [&str; 7] = [
    "s3:ObjectRestore:",
    "s3:Replication:",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectTagging:",
    "s3:ObjectAcl:",
    "s3:ObjectAnnotation:",
];

/// Returns whether this endpoint can send an event, such as `s3:ObjectCreated:*`.
pub fn is_sent(event: &str) -> bool {
    EVENTS.contains(&event)
}

/// Returns whether AWS has an event that this endpoint does not send.
pub(crate) fn is_only_aws(event: &str) -> bool {
    OTHER_EVENTS.iter().any(|family| event.starts_with(family))
}

/// A receiver of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receiver<'a> {
    /// A function that runs in this process.
    Function(&'a str),
    /// A queue of SQS.
    Queue(Arn<'a>),
    /// A topic of SNS.
    Topic(Arn<'a>),
    /// The configured bus of EventBridge.
    EventBus,
    /// A configured webhook, by its id.
    Webhook(&'a str),
}

/// The parts of a queue's or topic's ARN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arn<'a> {
    /// The ARN as a whole.
    pub text: &'a str,
    /// Its region.
    pub region: &'a str,
    /// Its account: 12 digits.
    pub account: &'a str,
    /// Name of the queue or topic: letters, digits, `-` and `_`.
    pub name: &'a str,
}

impl<'a> Receiver<'a> {
    /// Returns the receiver that the outbox calls `name`. What is no other receiver is a function.
    pub fn of(name: &'a str) -> Self {
        if name == EVENT_BUS {
            return Self::EventBus;
        }
        if let Some(id) = name.strip_prefix(WEBHOOK) {
            return Self::Webhook(id);
        }
        match (Arn::parse(name, "sqs", QUEUE_NAME_MAX), Arn::parse(name, "sns", TOPIC_NAME_MAX)) {
            (Some(queue), _) => Self::Queue(queue),
            (_, Some(topic)) => Self::Topic(topic),
            _ => Self::Function(name),
        }
    }

    /// Returns whether it is outside this process.
    pub fn is_away(self) -> bool {
        !matches!(self, Self::Function(_))
    }
}

impl<'a> Arn<'a> {
    /// Parses the ARN of a service's resource. A FIFO queue or topic is none: S3 sends to standard ones only.
    fn parse(text: &'a str, service: &str, longest: usize) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, kind, region, account, name] = parts[..] else { return None };
        let is_name =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_known = matches!(partition, "aws" | "aws-cn" | "aws-us-gov") && kind == service;
        let is_named = !name.is_empty() && name.len() <= longest && is_name(name);
        let fits = is_known && is_account && is_named && !region.is_empty() && is_name(region);
        fits.then_some(Self { text, region, account, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_told_apart_by_name() {
        let queue = "arn:aws:sqs:eu-west-1:123456789012:my_queue-1";
        let arn = Arn { text: queue, region: "eu-west-1", account: "123456789012", name: "my_queue-1" };
        assert_eq!(Receiver::of(queue), Receiver::Queue(arn));
        assert!(matches!(Receiver::of("arn:aws:sns:us-east-1:000000000000:t"), Receiver::Topic(_)));
        assert_eq!(Receiver::of("webhook:ab"), Receiver::Webhook("ab"));
        assert_eq!(Receiver::of(EVENT_BUS), Receiver::EventBus);
        for function in ["transcode-video", "arn:aws:lambda:us-east-1:000000000000:function:encode"] {
            assert_eq!(Receiver::of(function), Receiver::Function(function));
        }
    }

    #[test]
    fn no_arn_names_a_host() {
        for wrong in [
            "arn:aws:sqs:eu-west-1:123456789012:q.fifo",
            "arn:aws:sqs:eu-west-1:123456789012:a/b",
            "arn:aws:sqs:evil.example/:123456789012:q",
            "arn:aws:sqs:eu-west-1:12345678901x:q",
            "arn:aws:sqs:eu-west-1:123456789012:",
            "arn:aws:sqs::123456789012:q",
            "arn:evil:sqs:eu-west-1:123456789012:q",
            "http://169.254.169.254/latest",
        ] {
            assert!(!Receiver::of(wrong).is_away(), "{wrong}");
        }
    }
}
