//! Reads what a function wrote to its log, oldest line first.

use abanico_aws::{LogLine, Logs};

use crate::{Account, Error};

/// The logs of an account's functions.
pub struct FunctionLogs(Logs);

impl FunctionLogs {
    /// Opens the logs of `account`.
    ///
    /// # Errors
    /// As [`Account::s3`].
    pub fn of(account: &Account) -> Result<Self, Error> {
        account.logs().map(Self)
    }

    /// Returns all lines of `function` from `since_ms` on, oldest first.
    ///
    /// # Errors
    /// Fails if there is no such log or the caller may not read it.
    pub async fn since(&self, function: &str, since_ms: i64) -> Result<Vec<LogLine>, Error> {
        let (group, what) = (format!("/aws/lambda/{function}"), format!("read the log of `{function}`"));
        let (mut lines, mut token) = (Vec::new(), None);
        loop {
            let page = self.0.lines_since(&group, since_ms, token.as_deref()).await;
            let (page, next) = page.map_err(Error::client(&what))?;
            lines.extend(page);
            token = next;
            if token.is_none() {
                lines.sort_by_key(|line| line.time_ms);
                return Ok(lines);
            }
        }
    }
}
