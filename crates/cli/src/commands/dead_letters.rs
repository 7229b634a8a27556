//! `abanico dead-letters`: lists and replays uploads whose job could not be submitted.
//!
//! It opens the data folder of a stopped server. A running server offers the same under `/_abanico/dead-letters`.

use std::process::ExitCode;

use abanico_s3::{LocalS3, Options};
use serde_json::json;

use crate::arguments::{DeadLetterAction, DeadLetters};
use crate::failure::{Hinted, WRONG_USAGE};
use crate::output;

/// Runs the command.
pub async fn run(arguments: DeadLetters) -> anyhow::Result<ExitCode> {
    let folder = arguments.data.join("s3");
    if !folder.is_dir() {
        let message = format!("`{}` is not a data folder of abanico", arguments.data.display());
        return Err(
            Hinted::new(WRONG_USAGE, message, "give the data folder of `abanico serve` with --data").into()
        );
    }
    // Only the server deletes what is in the quarantine: this command does not know for how many days it stays.
    let options = Options { quarantine_days: u32::MAX, ..Options::default() };
    let s3 = LocalS3::open(&folder, options).map_err(|error| {
        let hint = "while the server is running, use its API: GET /_abanico/dead-letters, POST /_abanico/dead-letters/ID/replay";
        anyhow::Error::new(error).context(Hinted::new(WRONG_USAGE, "the data folder cannot be opened", hint))
    })?;
    match arguments.action.unwrap_or(DeadLetterAction::List) {
        DeadLetterAction::List => {
            for letter in s3.outbox().dead_letters().await? {
                output::json_line(&json!({
                    "id": letter.id,
                    "bucket": letter.bucket,
                    "key": letter.key,
                    "attempts": letter.attempts,
                    "error": letter.last_error,
                }))?;
            }
        }
        DeadLetterAction::Replay { id } => {
            s3.outbox().replay(id).await?;
            output::note(format!("dead letter {id} will be delivered at the next start of the server"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
