//! `abanico receivers`: lists who gets the events of a running server and what waits for them, and lets it send events
//! again.

use std::process::ExitCode;

use serde_json::Value;

use crate::arguments::{ReceiverAction, Receivers};
use crate::failure::{Hinted, WRONG_USAGE};
use crate::output;
use crate::running_server::RunningServer;

/// Runs the command.
pub async fn run(arguments: Receivers) -> anyhow::Result<ExitCode> {
    let server = RunningServer::of(&arguments.data).map_err(|_| {
        let message = format!("no server that uses `{}` can be found", arguments.data.display());
        Hinted::new(WRONG_USAGE, message, "start `abanico serve`, and give its data folder with --data")
    })?;
    match arguments.action.unwrap_or(ReceiverAction::List) {
        ReceiverAction::List => {
            let answer = server.get("/_abanico/receivers").await?;
            for receiver in answer.get("receivers").and_then(Value::as_array).into_iter().flatten() {
                output::json_line(receiver)?;
            }
        }
        ReceiverAction::Redeliver { id, from } => {
            let from = from.map(|from| format!("?from={from}")).unwrap_or_default();
            server.post(&format!("/_abanico/receivers/{id}/redeliver{from}")).await?;
            output::note(format!("the server sends `{id}` its events again"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
