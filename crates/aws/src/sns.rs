//! SNS: in a topic, a subject and a message, out a notification to its subscribers. Never a subscription.

use crate::escape::escaped;
use crate::{Error, Operation, Request, SignedClient};

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
        let mut form = vec![
            ("Action".to_owned(), "Publish".to_owned()),
            ("Version".to_owned(), "2010-03-31".to_owned()),
            ("TopicArn".to_owned(), topic_arn.to_owned()),
            ("Subject".to_owned(), subject_text(subject)),
            ("Message".to_owned(), message.to_owned()),
        ];
        for (number, (name, value)) in (1..).zip(attributes.iter().filter(|(_, value)| !value.is_empty())) {
            let entry = format!("MessageAttributes.entry.{number}");
            form.push((format!("{entry}.Name"), (*name).to_owned()));
            form.push((format!("{entry}.Value.DataType"), "String".to_owned()));
            form.push((format!("{entry}.Value.StringValue"), (*value).to_owned()));
        }
        let request = Request::post("/", "application/x-www-form-urlencoded", encoded(&form));
        self.0.send(Operation::Publish, &request, true).await.map(drop)
    }
}

fn subject_text(subject: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    subject.chars().map(plain).take(SUBJECT_CHARACTERS).collect()
}

fn encoded(form: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{}={}", escaped(name), escaped(value));
    form.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_subject_what_the_service_takes() {
        assert_eq!(subject_text("día\nx"), "d?a?x");
        assert_eq!(subject_text(&"a".repeat(200)).len(), 100);
    }

    #[test]
    fn is_a_form_encoded_byte_by_byte() {
        let form = [("a b".to_owned(), "ä&=+".to_owned())];
        assert_eq!(encoded(&form), "a%20b=%C3%A4%26%3D%2B");
    }
}
