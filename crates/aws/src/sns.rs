//! SNS: in a topic, a subject and a message, out a notification to its subscribers. Never a subscription.

use crate::form::Form;
use crate::{Error, Operation, SignedClient};

/// Most characters of a subject (AWS, SNS API reference, `Publish`); it must be ASCII.
const SUBJECT_CHARACTERS: usize = 100;

/// An SNS service.
#[derive(Clone)]
pub struct Sns(SignedClient);

impl Sns {
    /// Talks through `client`, which signs for `sns`.
    pub fn new(client: SignedClient) -> Self {
        Self(client)
    }

    /// Publishes a message with text attributes, by which subscribers may filter. It is tried again when no answer came,
    /// so subscribers may see it twice. The subject is made ASCII and cut to what SNS takes.
    ///
    /// # Errors
    /// When the topic does not take it.
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
    fn is_a_subject_what_the_service_takes() {
        assert_eq!(subject_text("día\nx"), "d?a?x");
        assert_eq!(subject_text(&"a".repeat(200)).len(), 100);
    }
}
