//! Writes the form-encoded bodies of AWS's query services (CloudFormation, STS, SNS).

use crate::Request;
use crate::escape::escaped;

/// The fields of one call, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Starts a call of `action` in the API `version`, such as `2010-05-15`.
    pub fn of(action: &str, version: &str) -> Self {
        Self::default().with("Action", action).with("Version", version)
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Adds a field if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Returns the fields as a POST request.
    pub fn into_request(self) -> Request {
        Request::post("/", "application/x-www-form-urlencoded", self.encoded())
    }

    fn encoded(&self) -> String {
        let pair = |(name, value): &(String, String)| format!("{}={}", escaped(name), escaped(value));
        self.0.iter().map(pair).collect::<Vec<_>>().join("&")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_every_reserved_byte() {
        let form = Form::default().with("a b", "\u{e4}&=+").with_some("c", None).with_some("d", Some("e"));
        assert_eq!(form.encoded(), "a%20b=%C3%A4%26%3D%2B&d=e");
    }
}
