//! Log lines: in a level, a message and fields, out one JSON object a line on stderr, which Lambda keeps.
//! Never a credential: callers hand in names, not requests.

use std::io::Write;

use serde_json::{Value, json};

/// Writes an `INFO` line; `fields` is an object.
pub fn info(message: &str, fields: Value) {
    line("INFO", message, fields);
}

/// Writes an `ERROR` line; `fields` is an object.
pub fn error(message: &str, fields: Value) {
    line("ERROR", message, fields);
}

fn line(level: &str, message: &str, fields: Value) {
    let mut entry = json!({"level": level, "message": message});
    if let (Some(entry), Value::Object(fields)) = (entry.as_object_mut(), fields) {
        entry.extend(fields);
    }
    // Nobody is left to tell when the log is gone.
    let _ = writeln!(std::io::stderr().lock(), "{entry}");
}
