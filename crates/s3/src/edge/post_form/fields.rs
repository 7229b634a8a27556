//! Reads a form (`multipart/form-data`) from a stream: first its fields, which are short, then its file in chunks.
//!
//! Knows nothing of S3. At most the fields and one chunk are in memory.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};

/// Most bytes before the file's first one: all fields with their names.
pub(crate) const FIELDS_MAX_BYTES: usize = 64 * 1024;
/// Most bytes after the file. Fields there do not count.
const REST_MAX_BYTES: usize = 64 * 1024;
/// How much a buffer of fields grows at a time.
const GROWTH_BYTES: usize = 8 * 1024;
/// Longest boundary that RFC 2046 allows.
const BOUNDARY_MAX_BYTES: usize = 70;

type StdError = Box<dyn std::error::Error + Send + Sync>;
/// A request body as chunks.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, StdError>> + Send + Sync>>;

/// Why a form cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    /// It is not a form as RFC 7578 defines it.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its fields are too long.
    #[error("the fields before the file are longer than 64 KiB")]
    TooLong,
    /// It ended or failed in the middle.
    #[error("the form broke off")]
    BrokenOff(#[source] Option<StdError>),
}

/// The file's part of a form, whose bytes follow.
pub(crate) struct FilePart {
    /// Name of the file on the sender's machine, without folders.
    pub name: String,
    /// Where its bytes come from.
    pub content: FileContent,
}

/// Returns the boundary that a `Content-Type` names.
pub(crate) fn boundary(content_type: &str) -> Result<String, FormError> {
    let missing = FormError::Malformed("the Content-Type of the form has no usable boundary");
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut found = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    let Some((_, value)) = found.next() else { return Err(missing) };
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    if value.is_empty() || value.len() > BOUNDARY_MAX_BYTES || !value.is_ascii() {
        return Err(missing);
    }
    Ok(value.to_owned())
}

/// Reads the fields up to the file's first byte. Names are in lower case, in the order sent.
pub(crate) async fn read_fields(
    mut chunks: Chunks,
    boundary: &str,
) -> Result<(Vec<(String, String)>, FilePart), FormError> {
    let delimiter: Bytes = format!("\r\n--{boundary}").into();
    // The first delimiter has no line end before it; with one put there, all are alike.
    let mut buffer = b"\r\n".to_vec();
    let mut fields = Vec::new();
    let (mut used, mut in_part) = (0, false);
    loop {
        match next_part(&buffer[used..], &delimiter, in_part) {
            Step::More => {
                if buffer.len() > FIELDS_MAX_BYTES {
                    return Err(FormError::TooLong);
                }
                match chunks.next().await {
                    Some(Ok(chunk)) => {
                        if buffer.capacity() - buffer.len() < chunk.len() {
                            // Many senders may wait here: growing by halves would hold twice of what they sent.
                            buffer.reserve_exact(chunk.len().max(GROWTH_BYTES));
                        }
                        buffer.extend_from_slice(&chunk);
                    }
                    Some(Err(error)) => return Err(FormError::BrokenOff(Some(error))),
                    None => return Err(FormError::BrokenOff(None)),
                }
            }
            Step::Begin(length) => {
                used += length;
                in_part = true;
            }
            Step::Field(name, value, length) => {
                used += length;
                in_part = false;
                fields.push((name, value));
            }
            Step::File(name, length) => {
                if used + length > FIELDS_MAX_BYTES {
                    return Err(FormError::TooLong);
                }
                let rest = BytesMut::from(&buffer[used + length..]);
                let content = FileContent { chunks, buffer: rest, delimiter, at_end: false };
                return Ok((fields, FilePart { name, content }));
            }
            Step::Wrong(why) => return Err(FormError::Malformed(why)),
        }
    }
}

/// What the next bytes of the fields are.
enum Step {
    /// Too few bytes to tell.
    More,
    /// The begin of a part; its length.
    Begin(usize),
    /// A field's name and value; its length, without the delimiter after it.
    Field(String, String, usize),
    /// The head of the file; its name and the head's length.
    File(String, usize),
    Wrong(&'static str),
}

fn next_part(bytes: &[u8], delimiter: &[u8], in_part: bool) -> Step {
    if !in_part {
        let Some(begin) = find(bytes, delimiter) else { return Step::More };
        let after = &bytes[begin + delimiter.len()..];
        return match after {
            [b'\r', b'\n', ..] => Step::Begin(begin + delimiter.len() + 2),
            [b'-', b'-', ..] => Step::Wrong("the form has no file"),
            [] | [b'\r' | b'-'] => Step::More,
            _ => Step::Wrong("the form has a broken boundary"),
        };
    }
    let Some(head_length) = find(bytes, b"\r\n\r\n") else { return Step::More };
    let Some((name, file)) = std::str::from_utf8(&bytes[..head_length]).ok().and_then(disposition) else {
        return Step::Wrong("a part of the form has no name");
    };
    let content = &bytes[head_length + 4..];
    if name.eq_ignore_ascii_case("file") {
        return Step::File(file.unwrap_or_default(), head_length + 4);
    }
    // An empty value's delimiter begins with the line end of the head.
    match find(&bytes[head_length + 2..], delimiter) {
        None => Step::More,
        Some(0) => Step::Field(name.to_ascii_lowercase(), String::new(), head_length + 2),
        Some(end) => match std::str::from_utf8(&content[..end.saturating_sub(2)]) {
            Ok(value) => Step::Field(name.to_ascii_lowercase(), value.to_owned(), head_length + 2 + end),
            Err(_) => Step::Wrong("a field of the form is not UTF-8"),
        },
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, pattern)
}

/// Reads a part's name and file name from its head.
fn disposition(head: &str) -> Option<(String, Option<String>)> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) =
        lines.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let (mut name, mut file) = (None, None);
    let mut rest = value.split_once(';')?.1;
    while let Some((key, after)) = rest.split_once('=') {
        let (text, after) = quoted(after)?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => name = Some(text),
            "filename" => file = Some(text),
            _ => {}
        }
        rest = after.trim_start().strip_prefix(';').unwrap_or_default();
    }
    // Some browsers send a whole path, with either kind of slash.
    let file = file.map(|file| file.rsplit(['/', '\\']).next().unwrap_or_default().to_owned());
    Some((name?, file))
}

/// Splits a value, with or without quotes, from what follows it. Browsers write a quote in a name as `%22`, others
/// as `\"`.
fn quoted(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.trim_start().strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut letters = inner.char_indices().peekable();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '"' => return Some((value.replace("%22", "\""), &inner[index + 1..])),
            '\\' if letters.peek().is_some_and(|(_, next)| *next == '"') => {
                value.extend(letters.next().map(|(_, next)| next));
            }
            _ => value.push(letter),
        }
    }
    None
}

/// The bytes of the file, up to the delimiter after them.
pub(crate) struct FileContent {
    chunks: Chunks,
    buffer: BytesMut,
    delimiter: Bytes,
    at_end: bool,
}

impl FileContent {
    /// Returns the next bytes; `None` once the form has ended as it should.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, FormError>> {
        if self.at_end {
            return None;
        }
        loop {
            if let Some(end) = find(&self.buffer, &self.delimiter) {
                let content = self.buffer.split_to(end).freeze();
                self.at_end = true;
                return match self.drain().await {
                    Ok(()) if content.is_empty() => None,
                    Ok(()) => Some(Ok(content)),
                    Err(error) => Some(Err(error)),
                };
            }
            // The last bytes may be the begin of the delimiter.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if sure > 0 {
                return Some(Ok(self.buffer.split_to(sure).freeze()));
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) if self.buffer.is_empty() => self.buffer = BytesMut::from(chunk),
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(error)) => return Some(Err(FormError::BrokenOff(Some(error)))),
                None => return Some(Err(FormError::BrokenOff(None))),
            }
        }
    }

    /// Reads what follows the file, so that the connection can be used again.
    async fn drain(&mut self) -> Result<(), FormError> {
        let mut rest = self.buffer.split_off(self.delimiter.len()).len();
        while let Some(chunk) = self.chunks.next().await {
            rest += chunk.map_err(|error| FormError::BrokenOff(Some(error)))?.len();
            if rest > REST_MAX_BYTES {
                return Err(FormError::Malformed(
                    "more than 64 KiB follow the file; it must be the last field",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunks(bytes: &[u8], size: usize) -> Chunks {
        let chunks: Vec<_> = bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Box::pin(futures::stream::iter(chunks))
    }

    fn form(fields: &[(&str, &str)], file: &[u8], boundary: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend(
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                    .into_bytes(),
            );
        }
        body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\clips\\a \\\"b\\\".mp4\"\r\nContent-Type: video/mp4\r\n\r\n").into_bytes());
        body.extend(file);
        body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
        body
    }

    async fn read(
        bytes: &[u8],
        size: usize,
        boundary: &str,
    ) -> Result<(Vec<(String, String)>, String, Vec<u8>), FormError> {
        let (fields, mut file) = read_fields(chunks(bytes, size), boundary).await?;
        let mut content = Vec::new();
        while let Some(chunk) = file.content.next().await {
            content.extend_from_slice(&chunk?);
        }
        Ok((fields, file.name, content))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn file_is_the_same_however_the_form_is_cut(
            file in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'x'), any::<u8>()], 0..600),
            value in "[a-z\r\n-]{0,40}",
            size in 1_usize..700,
        ) {
            let boundary = "x-x";
            prop_assume!(find(&file, b"\r\n--x-x").is_none() && !value.contains("\r\n--x-x"));
            let body = form(&[("Key", &value), ("policy", "")], &file, boundary);
            let (fields, name, content) = run(read(&body, size, boundary)).unwrap();
            prop_assert_eq!(fields, [("key".to_owned(), value), ("policy".to_owned(), String::new())]);
            prop_assert_eq!(name, "a \"b\".mp4");
            prop_assert_eq!(content, file);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            let _ = run(read(&bytes, size, "b"));
            let mut body = b"--b\r\n".to_vec();
            body.extend(&bytes);
            let _ = run(read(&body, size, "b"));
        }
    }

    #[test]
    fn form_that_breaks_off_or_is_too_long_is_refused() {
        let whole = form(&[("key", "a")], b"0123456789", "b");
        for length in 0..whole.len() - 4 {
            let read = run(read(&whole[..length], 7, "b"));
            let is_cut = matches!(read, Err(FormError::BrokenOff(None)));
            assert!(is_cut || length >= whole.len() - 7, "{length}");
        }
        let long = "x".repeat(FIELDS_MAX_BYTES);
        assert!(matches!(run(read(&form(&[("key", &long)], b"", "b"), 1000, "b")), Err(FormError::TooLong)));
        assert!(matches!(
            run(read(&form(&[("key", &long)], b"", "b"), 1 << 20, "b")),
            Err(FormError::TooLong)
        ));
        let mut tail = form(&[], b"a", "b");
        tail.resize(tail.len() + REST_MAX_BYTES, b'x');
        assert!(matches!(run(read(&tail, 1000, "b")), Err(FormError::Malformed(_))));
        assert!(matches!(run(read(b"--b--\r\n", 3, "b")), Err(FormError::Malformed("the form has no file"))));
    }

    #[test]
    fn boundary_may_be_quoted_and_must_be_there() {
        assert_eq!(boundary("multipart/form-data; boundary=abc").unwrap(), "abc");
        assert_eq!(boundary("multipart/form-data; charset=utf-8; Boundary=\"a b\"").unwrap(), "a b");
        assert!(
            boundary("multipart/form-data").is_err() && boundary("multipart/form-data; boundary=").is_err()
        );
        assert!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))).is_err());
    }
}
