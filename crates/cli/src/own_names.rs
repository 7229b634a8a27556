//! Shows users their own paths. The commands that work on local files give the engine URLs for them; whatever the engine
//! says of such a URL, in the log or in a message, users read the path in its place.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::OnceLock;

use crate::arguments::LogFormat;

/// The names that this program's log and errors show.
static SHOWN: OnceLock<OwnNames> = OnceLock::new();

/// Each URL, or the start of URLs, that stands for something of the user's, with the user's name for it.
#[derive(Clone, Debug, Default)]
pub struct OwnNames(Vec<(String, String)>);

impl OwnNames {
    /// Adds the name of a URL. A URL that ends in a slash is the start of others.
    pub fn add(&mut self, url: impl Into<String>, name: impl Into<String>) {
        self.0.push((url.into(), name.into()));
    }

    /// Returns the text with the user's names.
    pub fn readable(&self, text: &str) -> String {
        self.replaced(text, &|name| name.to_owned())
    }

    /// Shows these names in the log and in errors from now on.
    pub fn show(&self) {
        // A program runs one command, which sets them once.
        let _ = SHOWN.set(self.clone());
    }

    /// Returns text in which URLs are written with `escape`, with the user's names written like that.
    fn replaced(&self, text: &str, escape: &dyn Fn(&str) -> String) -> String {
        self.0.iter().fold(text.to_owned(), |text, (url, name)| text.replace(&escape(url), &escape(name)))
    }
}

/// Returns the text with the names that are shown.
pub fn readable(text: &str) -> Cow<'_, str> {
    SHOWN.get().map_or(Cow::Borrowed(text), |names| Cow::Owned(names.readable(text)))
}

/// Standard error for lines of the log. Each write is a whole line.
pub struct LogLines(pub LogFormat);

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        match SHOWN.get() {
            Some(names) => {
                stderr.write_all(in_log(names, self.0, &String::from_utf8_lossy(line)).as_bytes())?
            }
            None => stderr.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns a line of the log with the user's names, in which no name can end the line or its field.
fn in_log(names: &OwnNames, format: LogFormat, line: &str) -> String {
    let as_text = |text: &str| text.escape_debug().to_string();
    let as_json = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    match format {
        LogFormat::Text => names.replaced(line, &as_text),
        LogFormat::Json => names.replaced(line, &as_json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> OwnNames {
        let mut names = OwnNames::default();
        names.add("s3://input-0/a \"b\".mp4", "/films/a \"b\".mp4");
        names.add("s3://input-1/c.mp4", "/new\nline/c.mp4");
        names.add("s3://output/", "/made/");
        names
    }

    #[test]
    fn only_own_urls_are_replaced() {
        let text = "`s3://input-0/a \"b\".mp4` makes s3://output/a_720p.mp4, not s3://outputs/a.mp4";
        let shown = "`/films/a \"b\".mp4` makes /made/a_720p.mp4, not s3://outputs/a.mp4";
        assert_eq!(names().readable(text), shown);
    }

    #[test]
    fn log_lines_stay_lines() {
        let text = "WARN a step failed reason=\"`s3://input-0/a \\\"b\\\".mp4` and s3://input-1/c.mp4\"\n";
        let shown = "WARN a step failed reason=\"`/films/a \\\"b\\\".mp4` and /new\\nline/c.mp4\"\n";
        assert_eq!(in_log(&names(), LogFormat::Text, text), shown);
        let reason = |text: &str| serde_json::json!({"reason": text}).to_string();
        let line = in_log(&names(), LogFormat::Json, &reason("s3://input-0/a \"b\".mp4, s3://input-1/c.mp4"));
        assert_eq!(line, reason("/films/a \"b\".mp4, /new\nline/c.mp4"));
    }
}
