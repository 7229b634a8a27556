//! Writes log lines to stderr, which Lambda keeps: one JSON object per line, with a level, a message and fields.
//! Callers pass names, not requests, so that no credential is logged.

use std::io::Write;

use serde_json::{Value, json};

/// Writes an `INFO` line. `fields` must be an object.
pub fn info(message: &str, fields: Value) {
    line("INFO", message, fields);
}

/// Writes an `ERROR` line. `fields` must be an object.
pub fn error(message: &str, fields: Value) {
    line("ERROR", message, fields);
}

fn line(level: &str, message: &str, fields: Value) {
    let mut entry = json!({"level": level, "message": message});
    if let (Some(entry), Value::Object(fields)) = (entry.as_object_mut(), fields) {
        entry.extend(fields);
    }
    // If the log is gone, there is nowhere to report it.
    let _ = writeln!(std::io::stderr().lock(), "{entry}");
}
