//! Prints data (lines, JSON and aligned tables) to stdout, and notes for people to stderr. Beside a log of JSON lines,
//! notes are JSON lines too, so that a collector can read everything on stderr.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::{Value, json};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Whether notes are JSON lines.
static NOTES_ARE_JSON: AtomicBool = AtomicBool::new(false);

/// Makes notes JSON lines from now on.
pub fn write_notes_as_json() {
    NOTES_ARE_JSON.store(true, Ordering::Relaxed);
}

/// Whether notes are JSON lines.
pub fn notes_are_json() -> bool {
    NOTES_ARE_JSON.load(Ordering::Relaxed)
}

/// Prints a line to stdout. A closed pipe is not an error.
pub fn line(text: impl AsRef<str>) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{}", text.as_ref()).and_then(|()| stdout.flush());
}

/// Prints a line for people to stderr.
pub fn note(text: impl AsRef<str>) {
    if notes_are_json() {
        return json_note("INFO", &json!({"message": text.as_ref()}));
    }
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

/// Prints a line like the log's to stderr: the time, the level, then `fields`.
pub fn json_note(level: &str, fields: &Value) {
    let mut now = String::new();
    // A clock that cannot be written leaves the time empty.
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    let mut line = json!({"timestamp": now, "level": level});
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.clone());
    }
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints a value as one line of JSON.
pub fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}

/// Prints a value as indented JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Returns the lines of a table whose columns are as wide as their widest cell. Cells that begin with a digit are
/// right-aligned.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let format_row = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            let is_number = cell.starts_with(|first: char| first.is_ascii_digit());
            if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![format_row(head.to_vec())];
    lines.extend(rows.iter().map(|row| format_row(row.iter().map(String::as_str).collect())));
    lines
}

/// Formats a number of bytes for people, such as `14.7 MB`.
pub fn bytes(count: u64) -> String {
    let units = [("GB", 1_000_000_000_u64), ("MB", 1_000_000), ("kB", 1_000)];
    match units.iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = vec![vec!["a".to_owned(), "12".to_owned()], vec!["longer".to_owned(), "3".to_owned()]];
        assert_eq!(table(&["name", "n"], &rows), ["name    n", "a       12", "longer   3"]);
    }

    #[test]
    fn bytes_have_decimal_units() {
        assert_eq!(
            [bytes(999), bytes(1_000), bytes(14_750_000), bytes(2_000_000_000)],
            ["999 B", "1.0 kB", "14.7 MB", "2.0 GB"]
        );
    }
}
