//! Reads a child's output with bounded memory: keeps the last 32 kB of a stream, or cuts a stream into lines.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of the end of stderr to keep, in bytes.
const TAIL_BYTES: usize = 32 * 1024;
/// Maximum length of a line; the rest of a longer line is dropped.
const LINE_BYTES: usize = 1024;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub struct Tail(VecDeque<u8>);

impl Tail {
    /// Reads to the end of the stream.
    pub async fn read(&mut self, mut from: impl AsyncRead + Unpin) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.push(&buffer[..length]);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        self.0.drain(..self.0.len().saturating_sub(TAIL_BYTES));
    }

    /// Returns the bytes as text, with invalid UTF-8 replaced. A carriage return, which ffmpeg uses to
    /// overwrite its status line, becomes a line end.
    pub fn text(&self) -> String {
        let (first, second) = self.0.as_slices();
        String::from_utf8_lossy(&[first, second].concat()).replace('\r', "\n")
    }
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub struct LineSplitter(Vec<u8>);

impl LineSplitter {
    /// Takes some bytes and calls `line` for each line that they complete, without its line end.
    pub fn feed(&mut self, bytes: &[u8], line: &mut dyn FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES - self.0.len();
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.0.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < piece.len() {
                line(&String::from_utf8_lossy(&self.0));
                self.0.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_last_bytes_are_kept() {
        let said: Vec<u8> = (0..20_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let mut tail = Tail::default();
        tail.read(said.as_slice()).await;
        let text = tail.text();
        assert_eq!(text.len(), TAIL_BYTES);
        assert_eq!(text.as_bytes(), &said[said.len() - TAIL_BYTES..]);
    }

    #[test]
    fn broken_text_and_carriage_returns_are_replaced() {
        let mut tail = Tail::default();
        tail.push(b"frame=1\rframe=2\n\xff!");
        assert_eq!(tail.text(), "frame=1\nframe=2\n\u{fffd}!");
    }

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut all) = (LineSplitter::default(), Vec::new());
        for piece in pieces {
            splitter.feed(piece, &mut |line| all.push(line.to_owned()));
        }
        all
    }

    #[test]
    fn lines_are_joined_across_reads() {
        assert_eq!(lines(&[b"fra", b"me=1\nfps=", b"2", b"\n\nprog"]), ["frame=1", "fps=2", ""]);
    }

    #[test]
    fn endless_line_is_truncated() {
        let long = vec![b'x'; 10_000];
        let all = lines(&[&long, &long, b"\nfps=1\n"]);
        assert_eq!(all[0].len(), LINE_BYTES);
        assert_eq!(all[1], "fps=1");
    }
}
