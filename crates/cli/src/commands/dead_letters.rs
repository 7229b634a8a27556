//! `abanico dead-letters`: lists and replays uploads whose job could not be submitted.
//!
//! It asks the server that has the data folder open, or else opens the folder itself.

use std::process::ExitCode;

use abanico_s3::{ErrorKind, LocalS3, Options};
use serde_json::{Value, json};

use crate::arguments::{DeadLetterAction, DeadLetters};
use crate::failure::{Hinted, WRONG_USAGE};
use crate::output;
use crate::running_server::RunningServer;

/// Runs the command.
pub async fn run(arguments: DeadLetters) -> anyhow::Result<ExitCode> {
    let folder = arguments.data.join("s3");
    if !folder.is_dir() {
        let message = format!("`{}` is not a data folder of abanico", arguments.data.display());
        return Err(
            Hinted::new(WRONG_USAGE, message, "give the data folder of `abanico serve` with --data").into()
        );
    }
    let action = arguments.action.unwrap_or(DeadLetterAction::List);
    // Only the server deletes what is in the quarantine: this command does not know for how many days it stays.
    let options = Options { quarantine_days: u32::MAX, ..Options::default() };
    match LocalS3::open(&folder, options) {
        Ok(s3) => of_stopped(&s3, action).await?,
        Err(error) if error.kind() == ErrorKind::InUse => {
            of_running(&RunningServer::of(&arguments.data)?, action).await?;
        }
        Err(error) => return Err(anyhow::Error::new(error).context("the data folder cannot be opened")),
    }
    Ok(ExitCode::SUCCESS)
}

async fn of_stopped(s3: &LocalS3, action: DeadLetterAction) -> anyhow::Result<()> {
    match action {
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
    Ok(())
}

async fn of_running(server: &RunningServer, action: DeadLetterAction) -> anyhow::Result<()> {
    match action {
        DeadLetterAction::List => {
            let answer = server.get("/_abanico/dead-letters").await?;
            for letter in answer.get("deadLetters").and_then(Value::as_array).into_iter().flatten() {
                output::json_line(&json!({
                    "id": letter["id"],
                    "bucket": letter["bucket"],
                    "key": letter["key"],
                    "attempts": letter["attempts"],
                    "error": letter["reason"],
                }))?;
            }
        }
        DeadLetterAction::Replay { id } => {
            server.post(&format!("/_abanico/dead-letters/{id}/replay")).await?;
            output::note(format!("the server delivers dead letter {id} again"));
        }
    }
    Ok(())
}
