//! A function's log: in its name and a moment, out what it wrote since, line by line. Never more than a page at once.

use aws_sdk_cloudwatchlogs::Client;

use crate::{Account, Error};

/// One line of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// When, in milliseconds since 1970.
    pub time_ms: i64,
    /// CloudWatch's name of the line.
    pub id: String,
    /// The line without its end.
    pub text: String,
}

/// The logs of an account's functions.
pub struct Logs(Client);

impl Logs {
    /// The logs of `account`.
    pub fn of(account: &Account) -> Self {
        Self(Client::new(account.config()))
    }

    /// Lines of `function` since `since_ms`, oldest first, all pages.
    ///
    /// # Errors
    /// When there is no such log, or it may not be read.
    pub async fn since(&self, function: &str, since_ms: i64) -> Result<Vec<LogLine>, Error> {
        let what = format!("read the log of `{function}`");
        let (mut lines, mut token) = (Vec::new(), None);
        loop {
            let request = self.0.filter_log_events().log_group_name(format!("/aws/lambda/{function}"));
            let request = request.start_time(since_ms).set_next_token(token.take());
            let page = request.send().await.map_err(Error::sdk(&what))?;
            lines.extend(page.events().iter().map(|event| LogLine {
                time_ms: event.timestamp().unwrap_or(0),
                id: event.event_id().unwrap_or_default().to_owned(),
                text: event.message().unwrap_or_default().trim_end().to_owned(),
            }));
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                lines.sort_by_key(|line| line.time_ms);
                return Ok(lines);
            }
        }
    }
}
