//! `aws logs`: prints the recent log of a function. With `--follow` it keeps printing new lines until interrupted.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use abanico_deployment::{FunctionLogs, LogLine};
use abanico_process::clock::wall_ms;

use super::{connect, hinted};
use crate::arguments::{AwsLogs, AwsPlace};
use crate::output;

/// Pause between two polls for new lines.
const PAUSE: Duration = Duration::from_secs(2);
/// How late a line may appear in the log, in milliseconds.
const LATE_MS: i64 = 30_000;

/// Prints log lines.
pub async fn run(place: &AwsPlace, logs: AwsLogs) -> anyhow::Result<ExitCode> {
    let account = connect(place).await?;
    let reader = FunctionLogs::of(&account).map_err(hinted)?;
    let function = format!("{}-{}", place.stack, logs.function.name());
    let (mut since_ms, mut printed) = (wall_ms().saturating_sub(logs.since.0), BTreeSet::new());
    loop {
        let lines = reader.since(&function, since_ms).await.map_err(hinted)?;
        for line in lines.iter().filter(|line| !printed.contains(&line.id)) {
            output::line(readable(line));
        }
        printed = lines.into_iter().map(|line| line.id).collect();
        if !logs.follow {
            return Ok(ExitCode::SUCCESS);
        }
        since_ms = since_ms.max(wall_ms() - LATE_MS);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Formats a line with its time of day. A line of JSON becomes its message followed by its fields.
fn readable(line: &LogLine) -> String {
    let seconds = line.time_ms.div_euclid(1000).rem_euclid(86_400);
    let time = format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(&line.text) else {
        return format!("{time} {}", line.text);
    };
    let mut take = |name: &str| match fields.remove(name) {
        Some(serde_json::Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let (level, message) = (take("level"), take("message"));
    let rest: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{time} {level:<5} {message}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_are_made_readable() {
        let line = |text: &str| LogLine { time_ms: 3_661_000, id: String::new(), text: text.to_owned() };
        let json = r#"{"level":"INFO","message":"an upload became a job","jobId":"1-a"}"#;
        assert_eq!(readable(&line(json)), "01:01:01Z INFO  an upload became a job jobId=\"1-a\"");
        assert_eq!(readable(&line("START RequestId: 1")), "01:01:01Z START RequestId: 1");
    }
}
