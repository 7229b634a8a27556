//! Calls SNS to publish a message to a topic.

use crate::form::Form;
use crate::{Error, Operation, SignedClient};

/// Maximum length of a subject, which must be ASCII (AWS, SNS API reference, `Publish`).
const SUBJECT_CHARACTERS: usize = 100;

/// A client of SNS.
#[derive(Clone)]
pub struct Sns(SignedClient);

impl Sns {
    /// Creates a client that sends through `client`, which must sign for `sns`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Publishes a message with text attributes, which subscribers can filter by. Empty attributes are left out. The
    /// call is retried if there is no response, so subscribers may see the message twice. The subject is converted to
    /// ASCII and cut to 100 characters.
    ///
    /// # Errors
    /// Fails if SNS refuses the message or cannot be reached.
    pub async fn publish(
        &self,
        topic_arn: &str,
        subject: &str,
        message: &str,
        attributes: &[(&str, &str)],
    ) -> Result<(), Error> {
        let mut form = Form::of(Operation::Publish.name(), "2010-03-31")
            .with("TopicArn", topic_arn)
            .with("Subject", subject_text(subject))
            .with("Message", message);
        for (number, (name, value)) in (1..).zip(attributes.iter().filter(|(_, value)| !value.is_empty())) {
            let entry = format!("MessageAttributes.entry.{number}");
            form = form
                .with(format!("{entry}.Name"), *name)
                .with(format!("{entry}.Value.DataType"), "String")
                .with(format!("{entry}.Value.StringValue"), *value);
        }
        self.0.send(Operation::Publish, &form.into_request(), true).await.map(drop)
    }
}

fn subject_text(subject: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    subject.chars().map(plain).take(SUBJECT_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_is_short_and_ascii() {
        assert_eq!(subject_text("día\nx"), "d?a?x");
        assert_eq!(subject_text(&"a".repeat(200)).len(), 100);
    }
}
