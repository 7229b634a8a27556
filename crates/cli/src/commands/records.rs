//! `abanico records`: lists, shows, puts back and drops stored records that cannot be read and were put aside.
//!
//! It works beside a running server. What it puts back is read like any other record: if it still cannot be read, it is
//! put aside again.

use std::process::ExitCode;

use abanico_engine::Database;
use serde_json::{Map, Value, json};

use crate::arguments::{RecordAction, Records};
use crate::failure::{Hinted, WRONG_USAGE};
use crate::output;

/// Runs the command.
pub fn run(arguments: &Records) -> anyhow::Result<ExitCode> {
    let file = arguments.data.join("engine").join("jobs.sqlite");
    if !file.is_file() {
        let message = format!("`{}` is not a data folder of abanico", arguments.data.display());
        return Err(
            Hinted::new(WRONG_USAGE, message, "give the data folder of `abanico serve` with --data").into()
        );
    }
    let database = Database::open(&file)?;
    match arguments.action.as_ref().unwrap_or(&RecordAction::List) {
        RecordAction::List => {
            for record in database.put_aside()? {
                output::json_line(&json!({
                    "id": record.id,
                    "table": record.place,
                    "name": record.name,
                    "reason": record.reason,
                    "putAsideAtMs": record.at_ms,
                }))?;
            }
        }
        RecordAction::Show { id } => {
            let columns = database.show_put_aside(*id)?;
            let columns: Map<String, Value> =
                columns.into_iter().map(|(name, text)| (name, Value::String(text))).collect();
            output::json_line(&Value::Object(columns))?;
        }
        RecordAction::PutBack { id } => {
            database.put_back(*id)?;
            output::note(format!(
                "record {id} is back; an interrupted job continues at the next start of the server"
            ));
        }
        RecordAction::Drop { id } => {
            database.drop_put_aside(*id)?;
            output::note(format!("record {id} is deleted"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
